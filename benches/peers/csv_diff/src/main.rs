//! `csv-diff-peer KEY BEFORE AFTER`: the changes between two CSV files with a header, as CSV. KEY is the index of the
//! column that identifies a row. This is what `qsv diff` does with the same crate.

use std::fs::File;

use csv::ByteRecord;
use csv_diff::csv::Csv;
use csv_diff::csv_diff::CsvByteDiffLocalBuilder;
use csv_diff::diff_row::DiffByteRecord;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, key, before, after] = &arguments[..] else {
        return Err("usage: csv-diff-peer KEY BEFORE AFTER".into());
    };
    let differ = CsvByteDiffLocalBuilder::new().primary_key_columns([key.parse()?]).build()?;
    let changes = differ.diff(
        Csv::with_reader_seek(File::open(before)?),
        Csv::with_reader_seek(File::open(after)?),
    )?;
    let mut to = csv::WriterBuilder::new().flexible(true).from_writer(std::io::stdout().lock());
    to.write_byte_record(&ByteRecord::from(vec!["change"; 3]))?;
    let mut write = |change: &str, row: &ByteRecord| {
        to.write_field(change)?;
        to.write_byte_record(row)
    };
    for change in changes.iter() {
        match change {
            DiffByteRecord::Add(row) => write("created", row.byte_record())?,
            DiffByteRecord::Delete(row) => write("removed", row.byte_record())?,
            DiffByteRecord::Modify { add, .. } => write("changed", add.byte_record())?,
        }
    }
    Ok(())
}
