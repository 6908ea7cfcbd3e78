//! Files made by people and by other programs, valid and damaged.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes `rows` ids with data, in ascending order or reversed.
    fn many(&self, name: &str, rows: u32, turned: bool) -> String {
        let row = |n: u32| format!("{n:064x},true\n");
        let rows: String = match turned {
            true => (0..rows).rev().map(row).collect(),
            false => (0..rows).map(row).collect(),
        };
        self.write(name, format!("object_id,has_stored_data\n{rows}"))
    }
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

#[test]
fn the_exit_code_tells_same_different_and_trouble() {
    let files = Files::new();
    let one = files.write("one.csv", format!("object_id,has_stored_data\n{},true\n", id('a')));
    let same = files.write(
        "same.jsonl",
        format!("{{\"id\":\"{}\",\"hasStoredData\":true}}\n", id('A')),
    );
    let other = files.write("other.csv", format!("has_stored_data,id\nfalse,{}\n", id('a')));
    let ids = files.write("ids.txt", format!("{}\n", id('a')));
    for (from, to, with, without) in [
        (&one, &same, 0, 0),
        (&one, &other, 1, 0),
        (&one, &ids, 0, 0),
        (&one, &files.write("bad.csv", "object_id\nx\n"), 2, 2),
    ] {
        assert_eq!(diff(&[from, to, "--exit-code"]).code, Some(with), "{from} {to}");
        assert_eq!(diff(&[from, to]).code, Some(without), "{from} {to}");
        assert_eq!(diff(&[from, to, "--exit-code", "--combined"]).code, Some(with));
    }
    let ended = diff(&[&one, &other]);
    assert_eq!(
        ended.stdout,
        format!("data_lost     {}  with_data -> without_data\n", id('a'))
    );
    assert_eq!(
        ended.stderr,
        "0 created, 0 removed, 0 data_gained, 1 data_lost, 0 data_known, 0 data_unknown; 0 objects are identical\n"
    );
    let usage = diff(&[&one, &other, "--combined", "--format", "csv"]);
    assert_eq!(usage.code, Some(2), "{usage:#?}");
}

#[test]
fn what_is_wrong_with_a_file_is_told_in_one_line() {
    let files = Files::new();
    let (a, b) = (id('a'), id('b'));
    let good = files.write("good.csv", format!("object_id,has_stored_data\n{a},true\n"));
    for (name, text, told) in [
        (
            "empty.csv",
            String::new(),
            "the file is empty: an empty list needs at least a header row",
        ),
        (
            "noid.csv",
            "name,has_stored_data\na,true\n".to_owned(),
            "has no column object_id",
        ),
        ("headless.csv", format!("{a},true\n"), "has no column object_id"),
        (
            "short.csv",
            format!("object_id\n{a}\nabc\n"),
            "line 3: \"abc\" is not an object id of 64 hex digits",
        ),
        (
            "flag.csv",
            format!("object_id,has_stored_data\n{a},maybe\n"),
            "line 2: has_stored_data is \"maybe\"",
        ),
        (
            "cut.csv",
            format!("object_id,has_stored_data\n{a},true\n{b}"),
            "line 3 has 1 cells, but the header has 2",
        ),
        (
            "quote.csv",
            format!("object_id,n\n{a},\"x\n{b},y\n"),
            "the quotation mark opened in line 2",
        ),
        ("ids.txt", format!("{a}\n{}\n", &b[1..]), "line 2: \"bbb"),
        (
            "cut.jsonl",
            format!("{{\"object_id\":\"{a}\"}}\n{{\"obj"),
            "line 2 is not the expected JSON",
        ),
        (
            "noid.jsonl",
            format!("{{\"object_id\":\"{a}\"}}\n{{}}\n"),
            "line 2 has no object_id",
        ),
        (
            "flag.jsonl",
            format!("{{\"object_id\":\"{a}\",\"has_stored_data\":2}}\n"),
            "line 1 is not the expected JSON",
        ),
        (
            "cut.parquet",
            "PAR1".to_owned(),
            "not a Parquet file, or one that is cut off",
        ),
        (
            "changes.csv",
            format!("object_id,change\n{a},created\n"),
            "is an export of changes",
        ),
        (
            "history.csv",
            format!("object_id,valid_from\n{a},x\n"),
            "is an export of history",
        ),
        (
            "twice.csv",
            format!("object_id\n{b}\n{a}\n{b}\n"),
            &format!("lists an id more than once: {b}"),
        ),
        (
            "twice.txt",
            format!("{a}\n{a}\n{b}\n{b}\n"),
            &format!("lists 2 ids more than once: {a}, {b}"),
        ),
    ] {
        let wrong = files.write(name, text);
        for args in [[&good, &wrong], [&wrong, &good]] {
            let ended = diff(&[args[0], args[1], "--format", "csv"]);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{name}: {ended:#?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{name}: {}", ended.stderr);
            assert!(
                ended.stderr.starts_with(&format!("error: {wrong}")),
                "{name}: {}",
                ended.stderr
            );
            assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
        }
    }
    let missing = diff(&[&good, "no-such-file.csv"]);
    assert_eq!(missing.code, Some(2), "{missing:#?}");
    assert!(
        missing
            .stderr
            .contains("neither an existing file or folder nor a point in time"),
        "{}",
        missing.stderr
    );
    let empty = files.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let folder = diff(&[&good, empty.to_str().unwrap()]);
    assert!(folder.stderr.contains("manifest.json is missing"), "{}", folder.stderr);
}

#[test]
fn empty_lists_are_lists() {
    let files = Files::new();
    let one = files.write("one.csv", format!("object_id,has_stored_data\n{},true\n", id('a')));
    for (name, text) in [
        ("none.csv", "object_id,has_stored_data\n"),
        ("none.txt", ""),
        ("none.jsonl", ""),
    ] {
        let none = files.write(name, text);
        let ended = diff(&[&none, &one, "--combined"]);
        assert_eq!(ended.stdout, format!("+ {}\n", id('a')), "{name}: {ended:#?}");
        assert_eq!(diff(&[&none, &none, "--exit-code"]).code, Some(0), "{name}");
    }
}

/// Uses a separate folder for temporary files, which must be empty afterwards.
fn with_temporary(args: &[&str], folder: &Path) -> Command {
    let mut command = bare(&[&["diff"], args].concat());
    command.env("TMPDIR", folder);
    command
}

#[test]
fn one_side_may_be_a_pipe() {
    let files = Files::new();
    let (sorted, turned) = (files.many("s.csv", 5_000, false), files.many("t.csv", 5_001, true));
    let temporary = tempfile::tempdir().unwrap();
    for args in [["-", &sorted], [&sorted, "-"]] {
        let mut command = with_temporary(&[&args[..], &["--exit-code"]].concat(), temporary.path());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&fs::read(&turned).unwrap()).unwrap();
        drop(stdin);
        let ended: Ended = child.wait_with_output().unwrap().into();
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert_eq!(ended.stdout.lines().count(), 1);
        assert!(
            ended.stderr.contains("; 5,000 objects are identical"),
            "{}",
            ended.stderr
        );
    }
    let mut redirected = with_temporary(&["-", &sorted, "--exit-code"], temporary.path());
    redirected.stdin(File::open(&sorted).unwrap());
    assert_eq!(run(redirected).code, Some(0));
    let twice = diff(&["-", "-"]);
    assert_eq!(twice.code, Some(2), "{twice:#?}");
    assert!(twice.stderr.contains("only one side can be stdin"), "{}", twice.stderr);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn whoever_reads_the_first_line_and_leaves_ends_it_quietly() {
    let files = Files::new();
    let (many, none) = (files.many("many.csv", 20_000, true), files.many("none.csv", 0, false));
    for format in [
        &["--format", "text"][..],
        &["--format", "csv"],
        &["--format", "jsonl"],
        &["--combined"],
    ] {
        let mut command = bare(&[&["diff", &none, &many, "--quiet", "--exit-code"], format].concat());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::with_capacity(16, child.stdout.take().unwrap());
        stdout.read_until(b'0', &mut Vec::new()).unwrap();
        drop(stdout);
        let ended: Ended = child.wait_with_output().unwrap().into();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""), "{format:?}");
    }
    let mut full = bare(&["diff", &none, &many]);
    full.stdout(File::create("/dev/full").unwrap());
    let ended = run(full);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("stdout could not be written"), "{}", ended.stderr);
}

/// Sorting uses files in TMPDIR and removes them, on success and on failure.
#[test]
fn what_is_not_sorted_is_sorted_on_disk() {
    let files = Files::new();
    // More rows than are sorted in memory.
    let (sorted, turned) = (files.many("s.csv", 900_000, false), files.many("t.csv", 900_001, true));
    let temporary = tempfile::tempdir().unwrap();
    let ended = run(with_temporary(&[&sorted, &turned, "--exit-code"], temporary.path()));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(
        ended.stdout,
        format!("created       {:064x}  absent -> with_data\n", 900_000)
    );
    let text = fs::read_to_string(&turned).unwrap();
    let wrong = files.write("w.csv", format!("{text}{}\n", "x,true"));
    let failed = run(with_temporary(&[&sorted, &wrong], temporary.path()));
    assert_eq!(failed.code, Some(2), "{failed:#?}");
    assert!(
        failed.stderr.contains("line 900003: \"x\" is not an object id"),
        "{}",
        failed.stderr
    );
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);

    let missing = temporary.path().join("missing");
    let nowhere = run(with_temporary(&[&sorted, &turned], &missing));
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(2), ""), "{nowhere:#?}");
    assert!(
        nowhere.stderr.contains("the folder that TMPDIR names"),
        "{}",
        nowhere.stderr
    );
    assert!(nowhere.stderr.contains(missing.to_str().unwrap()), "{}", nowhere.stderr);
}

#[test]
fn a_file_in_an_unexpected_place_is_a_file() {
    let files = Files::new();
    let text = format!("object_id\n{}\n", id('a'));
    let path: PathBuf = files.write("latest", &text).into();
    let mut command = bare(&["diff", "./latest", "./latest", "--exit-code"]);
    command.current_dir(path.parent().unwrap());
    assert_eq!(run(command).code, Some(0));
}

/// A user opens the result in a spreadsheet after comparing a list of ids from someone else.
#[test]
fn an_id_that_is_a_formula_is_text_in_csv_and_itself_when_read_back() {
    let files = Files::new();
    let header = "account_id,namespace_id,object_id";
    let empty = files.write("empty.csv", format!("{header}\n"));
    let foreign = files.write("foreign.csv", format!("{header}\na,=cmd|' /C calc'!A0,{}\n", id('a')));
    let ended = diff(&[&empty, &foreign, "--format", "csv"]);
    assert!(ended.stdout.contains("\na,'=cmd|' /C calc'!A0,"), "{ended:#?}");
    let ended = diff(&[&empty, &foreign, "--format", "csv", "--summary"]);
    assert!(ended.stdout.contains("\na,'=cmd|' /C calc'!A0,"), "{ended:#?}");

    let guarded = files.write("guarded.csv", format!("{header}\na,'=cmd|' /C calc'!A0,{}\n", id('a')));
    let ended = diff(&[&foreign, &guarded, "--exit-code"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// One of its pages has a wrong description of its values.
#[test]
fn a_damaged_parquet_file_is_trouble_and_no_panic() {
    let files = Files::new();
    let damaged = files.write("damaged.parquet", include_bytes!("damaged.parquet"));
    let empty = files.write("empty.csv", "object_id\n");
    let ended = diff(&[&empty, &damaged]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains("damaged Parquet file"), "{ended:#?}");
}

/// A file of one row, whose namespace has a name of `letters` letters.
fn parquet_with_name(files: &Files, letters: usize) -> String {
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    // Snowflake writes column names in capitals.
    let schema = "message rows { required binary OBJECT_ID; required binary NAMESPACE_ID; }";
    let schema = std::sync::Arc::new(parse_message_type(schema).unwrap());
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let path = files.folder.path().join(format!("{letters}.parquet"));
    let mut file = File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(&mut file, schema, std::sync::Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for text in [id('a'), "n".repeat(letters)] {
        let mut column = group.next_column().unwrap().unwrap();
        let value = ByteArray::from(text.into_bytes());
        column
            .typed::<ByteArrayType>()
            .write_batch(&[value], None, None)
            .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    path.to_str().unwrap().to_owned()
}

/// A file of 10 KB must not take 1 GB of memory.
#[test]
fn a_small_parquet_file_does_not_become_a_large_text() {
    let files = Files::new();
    let told = |letters| {
        let file = parquet_with_name(&files, letters);
        let ended = diff(&[&file, &file]);
        (ended.code, ended.stderr)
    };
    assert_eq!(told(1 << 20).0, Some(0));
    for (letters, why) in [
        ((1 << 20) + 1, "row 1 is longer than 1 MiB: not a file of rows"),
        (
            29 << 20,
            "take 29 MiB of memory, more than the 28 MiB that there are for a file: rewrite it, as in",
        ),
    ] {
        let (code, stderr) = told(letters);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
