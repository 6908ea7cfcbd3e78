//! Files that people exchange: what their programs write is read, and everything else is named.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use parquet::basic::Compression;

use super::*;
use crate::support::files::{Files, id, rows};
use crate::support::parquet_file::{Column, parquet_file};

/// Five objects with every kind of flag.
const BASE: &str = "object_id,has_stored_data\n1,true\n2,false\n3,true\n4,\n5,false\n";
const FLAGS: [Option<bool>; 5] = [Some(true), Some(false), Some(true), None, Some(false)];

fn ids() -> [String; 5] {
    ['1', '2', '3', '4', '5'].map(id)
}

fn json_rows() -> [String; 5] {
    let mut flags = FLAGS.into_iter();
    ids().map(|id| {
        let flag = flags.next().unwrap().map_or("null".to_owned(), |flag| flag.to_string());
        format!("{{\"object_id\":\"{id}\",\"has_stored_data\":{flag}}}")
    })
}

fn json_lines() -> String {
    json_rows().map(|row| row + "\n").concat()
}

/// A response of the API. An empty cursor is the last page's.
fn response(rows: &[String], cursor: &str) -> String {
    let rows = rows
        .join(",")
        .replace("object_id", "id")
        .replace("has_stored_data", "hasStoredData");
    format!(
        "{{\"result\":[{rows}],\"success\":true,\"errors\":[],\"messages\":[],\
         \"result_info\":{{\"count\":2,\"cursor\":\"{cursor}\"}}}}"
    )
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(text.as_ref(), 19).unwrap()
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

/// Compares with a list of the same objects and flags.
fn assert_read(files: &Files, all: Vec<(&str, Vec<u8>)>) {
    let base = files.write("base.csv", rows(BASE));
    for (name, bytes) in all {
        let file = files.write(name, bytes);
        let ended = diff(&[&base, &file, "--exit-code"]);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), "no difference: 5 objects are identical\n"),
            "{name}: {ended:#?}"
        );
    }
}

fn assert_refused(files: &Files, all: Vec<(&str, Vec<u8>, &str)>) {
    let base = files.write("base.csv", rows(BASE));
    for (name, bytes, told) in all {
        let file = files.write(name, bytes);
        let ended = diff(&[&base, &file, "--exit-code"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{name}: {ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {ended:#?}");
        assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
    }
}

#[test]
fn text_is_read_however_it_is_written() {
    let (csv, jsonl) = (rows(BASE), json_lines());
    let csv_of = |text: &str| rows(text).into_bytes();
    let mark = "\u{feff}";
    let with_null = |null: &str| csv_of(&BASE.replace("4,\n", &format!("4,{null}\n")));
    let with_flags =
        |text: &str, yes: &str, no: &str| rows(text).replace("true", yes).replace("false", no).into_bytes();
    let spaced = |name: &str| format!("{{\"id\":{{\"{name}\":[1,null]}},");
    assert_read(
        &Files::new(),
        vec![
            // Marks and empty lines at the start.
            ("mark.csv", format!("{mark}{csv}").into()),
            ("empty.csv", format!("\n\r\n{csv}").into()),
            ("both.csv", format!("{mark}\n\n{csv}").into()),
            ("mark.jsonl", format!("{mark}{jsonl}").into()),
            ("empty.jsonl", format!("\n{jsonl}").into()),
            ("both.jsonl", format!("{mark}\r\n \n{jsonl}").into()),
            ("mark.json", format!("{mark}\n[{}]", json_rows().join(",")).into()),
            // An id that is somebody else's.
            ("id.jsonl", jsonl.replace('{', "{\"id\":7,").into()),
            ("id-object.jsonl", jsonl.replace('{', &spaced("a")).into()),
            ("id-float.jsonl", jsonl.replace('{', "{\"ID\":-1.5,").into()),
            (
                "id.csv",
                csv_of("id,object_id,has_stored_data\n7,1,true\n,2,false\nx,3,true\n0,4,\n0,5,false\n"),
            ),
            // Flags.
            ("numbers.csv", with_flags(BASE, "1", "0")),
            ("floats.csv", with_flags(BASE, "1.0", "0.0")),
            ("yes.csv", with_flags(BASE, "YES", "n")),
            ("null.csv", with_null("NULL")),
            ("na.csv", with_null("NA")),
            ("backslash.csv", with_null("\\N")),
            ("none.csv", with_null("None")),
            ("nan.csv", with_null("NaN")),
            ("nat.csv", with_null("<NA>")),
            ("numbers.jsonl", jsonl.replace("true", "1").replace("false", "0").into()),
            (
                "floats.jsonl",
                jsonl.replace("true", "1.0").replace("false", "0.0").into(),
            ),
            (
                "texts.jsonl",
                jsonl.replace("true", "\"True\"").replace("false", "\"0\"").into(),
            ),
            // Excel leaves out empty cells at the end of a row, and has rows without any.
            (
                "short.csv",
                csv_of("object_id,has_stored_data,note\r\n1,true\r\n2,false,x\r\n3,true\r\n4\r\n5,false\r\n"),
            ),
            ("commas.csv", csv_of(&format!("{BASE},\n,\n"))),
            (
                "long.csv",
                csv_of("object_id;has_stored_data\n1;true;;\n2;false;\n3;true\n4\n5;false\n;;;\n"),
            ),
            ("sep.csv", format!("sep=;\r\n{}", csv.replace(',', ";")).into()),
            (
                "quoted-sep.csv",
                format!("{mark}\"SEP=|\"\r\n{}", csv.replace(',', "|")).into(),
            ),
            ("bars.csv", csv.replace(',', "|").into()),
            ("hive.csv", csv.replace(',', "\u{1}").into()),
            // Ids as databases write bytes.
            (
                "psql.csv",
                csv_of("object_id,has_stored_data\n\\x1,t\n\\x2,f\n\\x3,t\n\\x4,\n\\x5,f\n"),
            ),
            (
                "mysql.csv",
                with_flags(&BASE.replace('\n', "\n0x").replace("\n0x4,", "\n0X4,NULL"), "1", "0")
                    .strip_suffix(b"0x")
                    .unwrap()
                    .to_vec(),
            ),
            // UTF-16.
            (
                "excel.txt",
                utf16(&format!("{mark}{}", csv.replace(',', "\t")), u16::to_le_bytes),
            ),
            ("big.csv", utf16(&format!("{mark}{csv}"), u16::to_be_bytes)),
            ("bare.csv", utf16(&csv, u16::to_le_bytes)),
            ("utf16.jsonl", utf16(&format!("{mark}{jsonl}"), u16::to_le_bytes)),
            // Packed, also in several parts.
            ("a.csv.gz", gzip(&csv)),
            ("two.csv.gz", [gzip(&csv[..100]), gzip(&csv[100..])].concat()),
            ("a.jsonl.gz", gzip(&jsonl)),
            ("noname", gzip(&jsonl)),
            ("a.csv.zst", zstd(&csv)),
            ("two.jsonl.zst", [zstd(&jsonl[..100]), zstd(&jsonl[100..])].concat()),
            (
                "skip.csv.zst",
                [&b"\x50\x2a\x4d\x18\x02\0\0\0xx"[..], &zstd(&csv)].concat(),
            ),
            ("utf16.csv.gz", gzip(utf16(&format!("{mark}{csv}"), u16::to_le_bytes))),
            ("array.json.gz", gzip(format!("[{}]", json_rows().join(",")))),
            // Other JSON.
            ("array.json", format!("[{}]", json_rows().join(",")).into()),
            ("lines.json", format!("[\n  {}\n]\n", json_rows().join(",\n  ")).into()),
            (
                "pretty.json",
                jsonl
                    .replace('{', "{\n  ")
                    .replace(",", ",\n  ")
                    .replace('}', "\n}")
                    .into(),
            ),
            ("response.json", response(&json_rows(), "").into()),
            (
                "pages.json",
                format!(
                    "{}\n{}",
                    response(&json_rows()[..3], "abc"),
                    response(&json_rows()[3..], "")
                )
                .into(),
            ),
            (
                "pretty-response.json",
                response(&json_rows(), "")
                    .replace(':', ": ")
                    .replace(",", ",\n  ")
                    .into(),
            ),
        ],
    );
}

#[test]
fn lists_of_ids_are_read_however_they_are_written() {
    let files = Files::new();
    let lines = ids().map(|id| id + "\n").concat();
    let base = files.write("base.csv", rows(BASE));
    for (name, bytes) in [
        ("mark.txt", format!("\u{feff}{lines}").into_bytes()),
        ("empty.txt", format!("\n \n{lines}").into()),
        ("both.txt", format!("\u{feff}\r\n{lines}").into()),
        ("quoted.txt", ids().map(|id| format!("\"{id}\"\n")).concat().into()),
        ("bytes.txt", ids().map(|id| format!("\\x{id}\n")).concat().into()),
        ("a.txt.gz", gzip(&lines)),
        ("a.txt.zst", zstd(&lines)),
        ("utf16.txt", utf16(&format!("\u{feff}{lines}"), u16::to_le_bytes)),
        ("array.json", format!("[\"{}\"]", ids().join("\", \"")).into()),
        (
            "ids.json",
            response(&ids().map(|id| format!("{{\"id\":\"{id}\"}}")), "").into(),
        ),
    ] {
        let ended = diff(&[&base, &files.write(name, bytes), "--exit-code"]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
        assert!(
            ended.stderr.contains("no difference: 5 objects are identical"),
            "{name}: {ended:#?}"
        );
        assert!(ended.stderr.contains("compared by id alone"), "{name}: {ended:#?}");
    }
    // An empty list is one in any packing.
    for (name, bytes) in [
        ("none.txt.gz", gzip("")),
        ("none.jsonl.zst", zstd("")),
        ("none.json", b"[]".to_vec()),
    ] {
        let ended = diff(&[&files.write(name, bytes), &base]);
        assert!(ended.stderr.starts_with("5 created"), "{name}: {ended:#?}");
    }
}

#[test]
fn parquet_of_other_programs_is_read() {
    let texts = || Column::texts("binary object_id (STRING)", ids().map(|id| Some(id.into_bytes())));
    let raw = || ids().map(|id| Some(hex::decode(id).unwrap()));
    let flags = || Column::Bool("boolean has_stored_data", FLAGS.to_vec());
    let plain = |columns: &[Column]| parquet_file(Compression::UNCOMPRESSED, false, columns);
    let flag = |of: Column| plain(&[texts(), of]);
    let number = |flag: Option<bool>| flag.map(f64::from);
    let doubles = FLAGS.map(number);
    let mut files = vec![
        (
            "fixed-text.parquet",
            plain(&[
                Column::Fixed("fixed_len_byte_array(64) object_id", texts().bytes()),
                flags(),
            ]),
        ),
        (
            "fixed-raw.parquet",
            plain(&[
                Column::Fixed("fixed_len_byte_array(32) object_id", raw().to_vec()),
                flags(),
            ]),
        ),
        (
            "raw.parquet",
            plain(&[Column::Bytes("binary object_id", raw().to_vec()), flags()]),
        ),
        (
            "unused-id.parquet",
            plain(&[Column::Int64("int64 id", vec![Some(1); 5]), texts(), flags()]),
        ),
        (
            "int8.parquet",
            flag(Column::Int32(
                "int32 has_stored_data (INTEGER(8,true))",
                FLAGS.map(|flag| flag.map(i32::from)).to_vec(),
            )),
        ),
        (
            "int64.parquet",
            flag(Column::Int64(
                "int64 has_stored_data",
                FLAGS.map(|flag| flag.map(i64::from)).to_vec(),
            )),
        ),
        (
            "double.parquet",
            flag(Column::Double("double has_stored_data", doubles.to_vec())),
        ),
        (
            "nan.parquet",
            flag(Column::Double(
                "double has_stored_data",
                doubles.map(|flag| Some(flag.unwrap_or(f64::NAN))).to_vec(),
            )),
        ),
        (
            "text.parquet",
            flag(Column::texts(
                "binary has_stored_data (STRING)",
                FLAGS.map(|flag| flag.map(|flag| flag.to_string().into_bytes())),
            )),
        ),
    ];
    let names = [
        "snappy", "gzip", "brotli", "lz4", "lz4-raw", "zstd", "plain", "snappy2", "gzip2", "brotli2", "lz42",
        "lz4-raw2", "zstd2", "plain2",
    ];
    let codecs = [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
        Compression::UNCOMPRESSED,
    ];
    for (index, name) in names.into_iter().enumerate() {
        files.push((
            name,
            parquet_file(codecs[index % codecs.len()], index >= codecs.len(), &[texts(), flags()]),
        ));
    }
    assert_read(&Files::new(), files);
}

#[test]
fn a_column_of_nulls_is_a_column() {
    let files = Files::new();
    let base = files.write("base.csv", rows(BASE));
    let texts = || Column::texts("binary object_id (STRING)", ids().map(|id| Some(id.into_bytes())));
    let nulls = |name, count| Column::Int32(name, vec![None; count]);
    let unknown = parquet_file(
        Compression::SNAPPY,
        false,
        &[texts(), nulls("int32 has_stored_data (UNKNOWN)", 5)],
    );
    let ended = diff(&[&base, &files.write("unknown.parquet", unknown), "--exit-code"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stderr.ends_with("4 data_unknown; 1 objects are identical\n"),
        "{ended:#?}"
    );
    // A data frame without rows has no types.
    let none = parquet_file(
        Compression::SNAPPY,
        false,
        &[
            nulls("int32 object_id (UNKNOWN)", 0),
            nulls("int32 has_stored_data (UNKNOWN)", 0),
        ],
    );
    let ended = diff(&[&files.write("none.parquet", none), &base]);
    assert!(ended.stderr.starts_with("5 created"), "{ended:#?}");
    let no_ids = parquet_file(Compression::SNAPPY, false, &[nulls("int32 object_id (UNKNOWN)", 2)]);
    assert_refused(&files, vec![("no-ids.parquet", no_ids, "row 1 has no object_id")]);
}

/// Ids of accounts and namespaces, which some databases keep as bytes.
#[test]
fn an_id_of_a_namespace_is_the_same_in_digits_and_in_bytes() {
    let files = Files::new();
    let (account, namespace) = ("0a".repeat(16), "fe".repeat(16));
    let listed = |rows: [String; 1]| format!("account_id,namespace_id,object_id\n{}\n", rows.concat());
    let base = files.write("base.csv", listed([format!("{account},{namespace},{}", id('1'))]));
    let raw = |text: &str| vec![Some(hex::decode(text).unwrap())];
    let object = || Column::texts("binary object_id (STRING)", [Some(id('1').into_bytes())]);
    for (name, columns) in [
        (
            "fixed.parquet",
            [
                Column::Fixed("fixed_len_byte_array(16) account_id", raw(&account)),
                Column::Fixed("fixed_len_byte_array(16) namespace_id", raw(&namespace)),
                object(),
            ],
        ),
        (
            "bytes.parquet",
            [
                Column::Bytes("binary account_id", raw(&account)),
                Column::texts("binary namespace_id (STRING)", [Some(namespace.clone().into_bytes())]),
                object(),
            ],
        ),
    ] {
        let file = files.write(name, parquet_file(Compression::SNAPPY, false, &columns));
        let ended = diff(&[&base, &file, "--exit-code"]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
    }
}

#[test]
fn a_folder_of_files_is_one_list() {
    let files = Files::new();
    let base = files.write("base.csv", rows(BASE));
    let whole = |folder: &str| format!("{}/", files.path(folder));
    let same = |folder: &str| {
        let ended = diff(&[&base, &whole(folder), "--exit-code"]);
        assert_eq!(ended.code, Some(0), "{folder}: {ended:#?}");
        assert_eq!(ended.stderr, "no difference: 5 objects are identical\n", "{folder}");
    };
    let refused = |folder: &str, told: &str| {
        let ended = diff(&[&base, &whole(folder)]);
        assert_eq!(ended.code, Some(2), "{folder}: {ended:#?}");
        assert!(ended.stderr.contains(told), "{folder}: {ended:#?}");
    };
    // As Spark and DuckDB write them, in any order of ids, with files for other purposes.
    files.write("spark/part-1.csv", rows("object_id,has_stored_data\n1,true\n2,false\n"));
    files.write(
        "spark/part-0.csv",
        rows("has_stored_data,object_id\ntrue,3\n,4\nfalse,5\n"),
    );
    files.write("spark/part-2.csv", "");
    files.write("spark/_SUCCESS", "");
    files.write("spark/.part-0.csv.crc", "crc\0\u{1}");
    same("spark");
    let lines = json_rows().map(|row| row.replace(",\"has_stored_data\":null", "") + "\n");
    files.write("mixed/day=1/a.json.gz", gzip(lines[..2].concat()));
    files.write("mixed/day=2/b.jsonl", lines[3].clone());
    files.write("mixed/c.csv", rows("object_id,has_stored_data\n3,true\n5,false\n"));
    same("mixed");
    files.write("bad/a.csv", rows(BASE));
    files.write("bad/read me.txt", "these are the lists of Monday\n");
    refused("bad", "read me.txt in ");
    files.write("delta/_delta_log/0.json", "{}");
    files.write("delta/a.csv", rows(BASE));
    refused("delta", "is a Delta table, whose log says which files count");
    files.write("twice/a.csv", rows(BASE));
    files.write("twice/b.csv", rows(BASE));
    refused("twice", "lists 5 ids more than once");
    // An export of ours that did not finish.
    let unfinished = "unfinished/account_id=a/namespace_id=n/snapshot=1/part-0000.csv";
    files.write(unfinished, rows(BASE));
    refused("unfinished", "manifest.json is missing");

    // The names of folders are columns.
    let named = files.write("named.csv", rows("namespace_id,object_id\nm,1\nn x,2\n"));
    files.write("hive/namespace_id=m/a.csv", rows("object_id\n1\n"));
    files.write("hive/namespace_id=n%20x/a.csv", rows("object_id\n2\n"));
    let ended = diff(&[&named, &whole("hive"), "--exit-code", "--combined"]);
    assert_eq!(ended.stdout, format!("= {}\n= {}\n", id('1'), id('2')), "{ended:#?}");
}

#[test]
fn what_is_no_list_is_named_with_a_command_that_converts_it() {
    let csv = rows(BASE);
    let binary = |start: &[u8]| [start, &[0, 1, 0xff]].concat();
    let zip = |name: &str| [&b"PK\x03\x04"[..], &[0; 26], name.as_bytes(), b"\0"].concat();
    let tar = || [&b"base.csv"[..], &[0; 249], b"ustar\0", &[0; 249]].concat();
    let two = || Column::texts("binary object_id (STRING)", ids().map(|id| Some(id.into_bytes())));
    assert_refused(
        &Files::new(),
        vec![
            ("a.xlsx", zip("[Content_Types].xml"), "an Excel workbook: convert it, as in `libreoffice"),
            ("b.xlsx", zip("xl/workbook.xml"), "an Excel workbook: convert it"),
            ("a.xls", binary(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an Excel workbook (.xls, or encrypted)"),
            ("a.ods", zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "an OpenDocument spreadsheet"),
            ("a.zip", zip("base.csv"), "a zip archive: use `unzip -p FILE | durable-inventory diff - ...`"),
            ("a.csv", binary(b"BZh91AY&SY"), "compressed by bzip2: use `bzip2 -dc FILE |"),
            ("a.csv.xz", binary(b"\xfd7zXZ\0"), "compressed by xz: use `xz -dc FILE |"),
            ("a.lz4", binary(b"\x04\x22\x4d\x18"), "compressed by lz4"),
            ("a.7z", binary(b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
            ("a.tar", tar(), "a tar archive: use `tar -xOf FILE NAME |"),
            ("a.tar.gz", gzip(tar()), "a tar archive"),
            ("a.orc", binary(b"ORC"), "an ORC file: convert it, as in `python3"),
            ("a.avro", binary(b"Obj\x01"), "an Avro file: convert it, as in `duckdb"),
            ("a.feather", binary(b"ARROW1\0\0"), "an Arrow (Feather) file"),
            ("a.db", binary(b"SQLite format 3\0"), "an SQLite database: use `sqlite3"),
            ("a.duckdb", binary(b"\0\0\0\0\0\0\0\0DUCK"), "a DuckDB database"),
            ("a.dump", binary(b"PGDMP"), "a dump of PostgreSQL"),
            ("a.parquet", binary(b"PARE"), "encrypted Parquet: convert it, as in `duckdb"),
            ("a.pkl", binary(b"\x80\x05\x95"), "a Python pickle"),
            ("a.html", b"\n<!DOCTYPE html><html>".to_vec(), "an HTML page"),
            ("a.xml", b"<?xml version=\"1.0\"?>".to_vec(), "an XML document"),
            ("lfs.csv", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "a pointer of Git LFS"),
            ("pgp.csv", b"-----BEGIN PGP MESSAGE-----\n".to_vec(), "encrypted by PGP: use `gpg -d FILE |"),
            ("u32.csv", csv.chars().flat_map(|c| [c as u8, 0, 0, 0]).collect(), "a binary file of an unknown kind"),
            ("marked.csv", binary(b"\xff\xfe\0\0"), "text in UTF-32"),
            ("zeros", vec![0; 1000], "a binary file of an unknown kind: convert it to CSV, JSON Lines or Parquet"),
            ("a.csv.gz.gz", gzip(gzip(&csv)), "gzip compressed by gzip: use `gzip -dc FILE > UNPACKED`"),
            ("a.parquet.gz", gzip(b"PAR1"), "Parquet compressed by gzip"),
            ("cut.csv.gz", gzip(&csv)[..60].to_vec(), "its gzip data is damaged or cut off"),
            ("cut.csv.zst", zstd(&csv)[..40].to_vec(), "its zstd data is damaged or cut off"),
            // Columns.
            ("two.csv", rows("object_id,object_id\n1,2\n").into(), "two columns are called object_id"),
            ("flags.csv", rows("id,has_stored_data,HAS_STORED_DATA\n1,true,\n").into(), "two columns are called has_stored_data"),
            ("two.parquet", parquet_file(Compression::SNAPPY, false, &[two(), two()]), "two columns are called object_id"),
            (
                "list.parquet",
                parquet_file(Compression::SNAPPY, false, &[Column::Int64("int64 object_id", vec![Some(1)])]),
                "column object_id has an unsuitable type",
            ),
            ("number.jsonl", b"{\"id\":1}\n".to_vec(), "line 1: \"1\" is not an object id"),
            ("flag.jsonl", rows("{\"id\":\"1\",\"has_stored_data\":7}\n").into(), "expected true, false or null"),
            ("flag.csv", rows("id,has_stored_data\n1,7\n").into(), "line 2: has_stored_data is \"7\""),
            ("cut.csv", rows("id,has_stored_data\n1,true\n2").into(), "line 3 has 1 cells, but the header has 2"),
            ("shifted.csv", rows("note,id,flag\nx\n1,true\n").into(), "line 2 has 1 cells"),
            ("wide.csv", ",".repeat(20_000).into(), "line 1 has more than 16384 cells"),
            // JSON.
            ("first.json", response(&json_rows(), "abc").into(), "this is not the whole list"),
            (
                "refused.json",
                b"{\"success\":false,\"errors\":[{\"code\":10000,\"message\":\"Authentication error\"}],\"result\":null}".to_vec(),
                "is an error of the API: Authentication error",
            ),
            ("cut.json", format!("[{}", json_rows()[0]).into(), "the JSON that begins in line 1 is cut off"),
            ("numbers.json", b"[1, 2]".to_vec(), "line 1 is not a JSON object"),
        ],
    );
}
