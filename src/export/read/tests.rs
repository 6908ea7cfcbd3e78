use std::io::{Seek, Write};

use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct OwnedRow {
    account_id: Option<String>,
    namespace_id: Option<String>,
    object_id: Option<ObjectId>,
    has_stored_data: Option<Option<bool>>,
}

fn read(name: &str, text: &str) -> Result<Vec<OwnedRow>, RowError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut reader = RowReader::open(name, file)?;
    let mut rows = Vec::new();
    let owned = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    while let Some(row) = reader.next_row()? {
        rows.push(OwnedRow {
            account_id: row.account_id.map(owned),
            namespace_id: row.namespace_id.map(owned),
            object_id: row.object_id,
            has_stored_data: row.has_stored_data,
        });
    }
    Ok(rows)
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn error(name: &str, text: &str) -> String {
    read(name, text).unwrap_err().to_string()
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let csv = format!(
        "has_stored_data,note,object_id\ntrue,\"a,b\",{}\n,,{}\n",
        id('a'),
        id('B')
    );
    let found = read("a.csv", &csv).unwrap();
    let flags: Vec<_> = found.iter().map(|row| row.has_stored_data).collect();
    assert_eq!(flags, [Some(Some(true)), Some(None)]);
    assert_eq!(
        found[1].object_id.unwrap().to_string(),
        id('b'),
        "upper case is the same id"
    );
    assert_eq!(found[0].namespace_id, None);
}

/// The same rows as spreadsheets, psql and Cloudflare's API write them.
#[test]
fn files_of_other_programs_are_read() {
    for csv in [
        "object_id,has_stored_data\r\nA,true\r\nB,false\r\nC,\r\n",
        "\u{feff}has_stored_data;object_id\nTRUE;A\nFALSE;B\n;C",
        "id\thasStoredData\n\nA\tt\n\nB\tf\nC\t\n",
        "\"object_id\",\"has_stored_data\"\n\"A\",\"true\"\n\"B\",\"false\"\n\"C\",\"\"\n",
        // The `id` of a view has bytes, not hex digits.
        "id,object_id,has_stored_data\n\\x00,A,True\n\\x00,B,False\n\\x00,C,\n",
        "\u{feff}\nobject ID, HaS_Stored-data \rA, true\nB,false\r\nC,\r",
        "object_id\tnote\thas_stored_data\nA\t5\" disk\ttrue\nB\tx\tfalse\nC\t3\" tape\t\n",
    ] {
        let csv = csv.replace('A', &id('a')).replace('B', &id('b')).replace('C', &id('c'));
        // The letters in words were replaced too.
        let csv = csv.replace(&format!("F{}LSE", id('a')), "FALSE");
        let found = read("a.csv", &csv).unwrap();
        let flags: Vec<_> = found.iter().map(|row| row.has_stored_data).collect();
        assert_eq!(flags, [Some(Some(true)), Some(Some(false)), Some(None)], "{csv}");
        assert_eq!(found[2].object_id.unwrap().to_string(), id('c'));
    }
    for (key, flag) in [("id", "hasStoredData"), ("OBJECT_ID", "HAS_STORED_DATA")] {
        let json = format!("\u{feff}\n{{\"{key}\":\"{}\",\"{flag}\":false}}\n\n", id('a'));
        let found = read("a.jsonl", &json).unwrap();
        assert_eq!(found[0].has_stored_data, Some(Some(false)));
        assert_eq!(found[0].object_id.unwrap().to_string(), id('a'));
    }
}

#[test]
fn a_null_is_unknown_and_a_missing_key_is_no_value() {
    let lines = format!(
        "{{\"object_id\":\"{0}\",\"has_stored_data\":null}}\n{{\"object_id\":\"{0}\"}}\n",
        id('a')
    );
    let flags: Vec<_> = read("a.jsonl", &lines)
        .unwrap()
        .iter()
        .map(|row| row.has_stored_data)
        .collect();
    assert_eq!(flags, [Some(None), None]);
}

#[test]
fn errors_name_their_position() {
    let csv = |rows: &str| error("a.csv", &format!("object_id,note,has_stored_data\n{rows}"));
    let a = id('a');
    assert_eq!(
        csv(&format!("{a},\"1\n2\",\n{a},,maybe\n")),
        "line 4: has_stored_data is \"maybe\" instead of true, false or empty"
    );
    assert_eq!(
        csv("\n\nabc,,\n"),
        "line 4: \"abc\" is not an object id of 64 hex digits"
    );
    assert_eq!(
        csv(&format!("{a},,true\n{a},")),
        "line 3 has 2 cells, but the header has 3: the file may be cut off"
    );
    assert_eq!(
        csv(&format!("{a},\"1,true\n{a},,true\n")),
        "the quotation mark opened in line 2 is not closed: the file may be cut off, or a quotation mark within a \
         cell must be written as \\\" in place of \"\""
    );
    assert_eq!(
        csv(&"a".repeat(3 << 20)),
        "line 2 is longer than 1 MiB: not a file of rows"
    );
    assert_eq!(
        error("a.csv", ""),
        "the file is empty: an empty list needs at least a header row"
    );
    assert_eq!(
        error("a.txt", &format!("{a}\nabc\n")),
        "line 2: \"abc\" is not an object id of 64 hex digits"
    );
    assert_eq!(error("a.jsonl", "{}\n[]\n"), "line 2 is not a JSON object");
    assert_eq!(
        error("a.jsonl", "{}\n{\"object_id\":"),
        "line 2 is not the expected JSON"
    );
    assert!(matches!(read("a.parquet", "PAR1"), Err(RowError::Parquet(_))));
}

proptest! {
    /// Cells that the csv crate writes are read back.
    #[test]
    fn cells_are_those_that_the_csv_crate_finds(
        cells in prop::collection::vec(("[a-c,\"\n\r]{0,6}", "[a-c,\"\n]{0,3}"), 1..6),
    ) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["account_id", "note", "namespace_id"]).unwrap();
        for (one, other) in &cells {
            writer.write_record([one.as_str(), "", other]).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let found = read("a.csv", &text).unwrap();
        prop_assert_eq!(found.len(), cells.len());
        for (row, (one, other)) in found.iter().zip(&cells) {
            prop_assert_eq!(row.account_id.as_deref(), Some(one.as_str()));
            prop_assert_eq!(row.namespace_id.as_deref(), Some(other.as_str()));
        }
    }
}
