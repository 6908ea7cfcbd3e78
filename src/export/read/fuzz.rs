//! Files that are broken at random. Reading them must not panic, and must need little memory whatever they claim.

use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType};
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{RowError, RowReader, columns};
use crate::diff::FileSide;
use crate::export::{Folder, manifest, verify};
use crate::fuzz::{Random, break_bytes, peak_memory, rounds_for, rounds_of};

/// Rows after which reading stops: a few bytes may claim billions.
const MOST_ROWS: usize = 20_000;
/// What reading a file may need, whatever the file is.
const MOST_MEMORY: usize = 100 << 20;

/// One test in the normal run, and one that runs for long.
macro_rules! fuzz {
    ($few:ident, $long:ident, $rounds:expr, $round:expr) => {
        #[test]
        fn $few() {
            let before = peak_memory();
            rounds_of($rounds, $round);
            require_little_memory(before);
        }

        #[test]
        #[ignore = "large: breaks files for FUZZ_SECONDS, by default 10"]
        fn $long() {
            let before = peak_memory();
            let done = rounds_for($round);
            assert!(done > 100, "{done} rounds are no test");
            require_little_memory(before);
        }
    };
}

fuzz!(broken_csv, broken_csv_for_long, 300, |random| read_broken(
    random, csv, &TEXT
));
fuzz!(broken_json, broken_json_for_long, 300, |random| read_broken(
    random, json, &TEXT
));
fuzz!(broken_parquet, broken_parquet_for_long, 300, |random| read_broken(
    random, parquet, &BINARY
));
fuzz!(broken_datasets, broken_datasets_for_long, 40, read_broken_dataset);

fn require_little_memory(before: usize) {
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{grown} bytes of memory");
}

fn read_broken(random: &mut Random, valid: fn(&mut Random) -> Vec<u8>, pieces: &[&[u8]]) {
    let mut bytes = valid(random);
    for _ in 0..random.below(5) {
        break_bytes(&mut bytes, random, pieces);
    }
    if random.below(4) == 0 {
        bytes = packed(random, &bytes);
        if random.below(2) == 0 {
            break_bytes(&mut bytes, random, &BINARY);
        }
    }
    let name = *random.pick(&["a.csv", "a.jsonl", "a.parquet", "a.txt", "a.csv.gz", "a"]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let mut reopened = || {
        file.rewind().unwrap();
        file.try_clone().unwrap()
    };
    if let Err(error) = columns(name, reopened()) {
        is_explained(&error);
    }
    match RowReader::open(name, reopened()).and_then(|mut reader| read_rows(&mut reader)) {
        // Every row takes bytes of a text.
        Ok(rows) => assert!(rows <= MOST_ROWS),
        Err(error) => is_explained(&error),
    }
}

fn read_rows(reader: &mut RowReader) -> Result<usize, RowError> {
    let mut rows = 0;
    while rows < MOST_ROWS && reader.next_row()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

fn is_explained(error: &RowError) {
    let text = crate::text::chain(error);
    assert!(text.len() < 3000, "{} bytes are no message: {text:?}", text.len());
}

fn packed(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    if random.below(2) == 0 {
        return zstd::encode_all(bytes, 3).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn id(random: &mut Random) -> String {
    (0..4).map(|_| format!("{:016x}", random.next())).collect()
}

const FLAGS: [&str; 8] = ["true", "false", "", "1", "0.0", "NULL", "\\N", "t"];

fn csv(random: &mut Random) -> Vec<u8> {
    let delimiter = *random.pick(&[",", ";", "\t", "|"]);
    let line_end = *random.pick(&["\n", "\r\n", "\r"]);
    let mut text = random.pick(&["", "\u{feff}", "\n", "sep=,\n"]).to_string();
    text += &["namespace_id", "object_id", "note", "has_stored_data"].join(delimiter);
    for _ in 0..random.below(40) {
        let note = *random.pick(&["", "x", "\"a,b\"", "\"a\"\"b\"", "\"a\nb\"", "5\""]);
        let flag = *random.pick(&FLAGS);
        let cells = ["n", &id(random), note, flag].map(str::to_owned);
        text += line_end;
        text += &cells.join(delimiter);
    }
    match random.below(5) {
        0 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => text.into_bytes(),
    }
}

fn json(random: &mut Random) -> Vec<u8> {
    let rows: Vec<_> = (0..random.below(40))
        .map(|_| {
            let flag = *random.pick(&["true", "false", "null", "1", "\"t\""]);
            let id = id(random);
            match random.below(6) {
                0 => format!("{{\"id\":7,\"object_id\":\"{id}\",\"note\":{{\"a\":[\"\\\"]\"]}}}}"),
                1 => format!("{{\"id\":\"{id}\",\"hasStoredData\":{flag}}}"),
                _ => format!("{{\"object_id\":\"{id}\",\"has_stored_data\":{flag},\"namespace_id\":\"n\"}}"),
            }
        })
        .collect();
    let text = match random.below(4) {
        0 => format!("[{}]", rows.join(",\n")),
        1 => format!(
            "{{\"result\":[{}],\"success\":true,\"errors\":[],\"result_info\":{{\"cursor\":\"\"}}}}",
            rows.join(",")
        ),
        2 => format!("[\"{}\"]", id(random)),
        _ => rows.join("\n"),
    };
    text.into_bytes()
}

fn parquet(random: &mut Random) -> Vec<u8> {
    let schema = *random.pick(&[
        "message m { required binary object_id (STRING); optional binary namespace_id; optional boolean has_stored_data; }",
        "message m { optional binary object_id; required binary namespace_id (STRING); required boolean has_stored_data; }",
    ]);
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let codec = *random.pick(&[
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ]);
    let encoding = *random.pick(&[
        Encoding::PLAIN,
        Encoding::DELTA_BYTE_ARRAY,
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
    ]);
    let version = *random.pick(&[WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]);
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_writer_version(version)
        .set_dictionary_enabled(random.below(2) == 0)
        .set_column_encoding("object_id".into(), encoding)
        .set_column_encoding("namespace_id".into(), encoding)
        .set_data_page_row_count_limit(8)
        .set_write_batch_size(4)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema.clone(), Arc::new(properties)).unwrap();
    for _ in 0..1 + random.below(3) {
        let rows = random.below(30);
        let mut group = writer.next_row_group().unwrap();
        for field in schema.get_fields() {
            let levels = field.is_optional().then(|| vec![1i16; rows]);
            let mut column = group.next_column().unwrap().unwrap();
            let flags: Vec<_> = (0..rows).map(|row| row % 3 == 0).collect();
            let texts: Vec<_> = (0..rows)
                .map(|_| {
                    ByteArray::from(
                        if field.name() == "object_id" {
                            id(random)
                        } else {
                            "n".to_owned()
                        }
                        .into_bytes(),
                    )
                })
                .collect();
            match field.name() {
                "has_stored_data" => column.typed::<BoolType>().write_batch(&flags, levels.as_deref(), None),
                _ => column
                    .typed::<ByteArrayType>()
                    .write_batch(&texts, levels.as_deref(), None),
            }
            .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// A dataset whose manifest, parts or both are broken.
fn read_broken_dataset(random: &mut Random) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let format = *random.pick(&["csv", "jsonl", "parquet"]);
    for number in 0..1 + random.below(3) {
        let mut part = match format {
            "csv" => csv(random),
            "jsonl" => json(random),
            _ => parquet(random),
        };
        if random.below(3) == 0 {
            break_bytes(&mut part, random, &BINARY);
        }
        let path = format!("account_id=a/namespace_id=n/snapshot=1/part-{number}.{format}");
        write(folder.path(), &path, &part);
        let sha256 = hex::encode(Sha256::digest(&part));
        files.push(json!({"path": path, "rows": random.below(40), "bytes": part.len(), "sha256": sha256}));
    }
    let namespace = json!({
        "account_id": "a", "namespace_id": "n", "name": null, "snapshot_id": 1, "since_snapshot_id": null,
        "started_at": "x", "finished_at": "x", "recorded_at": "x", "objects": 1, "digest": "00", "digest_version": 1,
        "rows": 1,
    });
    let columns = ["account_id", "namespace_id", "object_id", "has_stored_data"];
    let columns = columns.map(|name| json!({"name": name, "type": "text", "nullable": false}));
    let mut text = json!({
        "format_version": 1, "created_by": "x", "created_at": "x", "table": "objects", "format": format,
        "complete": true, "columns": columns, "namespaces": [namespace], "files": files,
    })
    .to_string()
    .into_bytes();
    for _ in 0..random.below(4) {
        break_bytes(&mut text, random, &TEXT);
    }
    if random.below(8) > 0 {
        write(folder.path(), manifest::NAME, &text);
    }
    let verified = verify(&Folder::new(folder.path()), "x");
    if let Ok(verified) = verified {
        assert!(verified.problems.iter().all(|problem| problem.len() < 5000));
    }
    let _side = FileSide::folder(Box::new(Folder::new(folder.path())), "x".to_owned());
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

const TEXT: [&[u8]; 24] = [
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"1e999",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"object_id",
    b"\"result\":[",
    b"\"cursor\":\"x\"",
    b"../",
    b"99999999999999999999",
    b"\xc3",
];

const BINARY: [&[u8]; 16] = [
    b"\0",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\x80\x80\x80\x08",
    b"\xfe\xff\xff\xff\x0f",
    b"PAR1",
    b"\x15\x00",
    b"\x15\x04\x15",
    b"\x19\xfc\xff\xff\x03",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\x28\xb5\x2f\xfd\x00\xf8",
    b"\x04\x22\x4d\x18",
    b"\x11",
    b"\x01",
];
