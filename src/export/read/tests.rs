use std::io::{Seek, Write};

use super::*;

fn read(format: Format, text: &str) -> Result<Vec<FileRow>, RowError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    rows(format, file)?.collect()
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let csv = format!(
        "has_stored_data,note,object_id\ntrue,\"a,b\",{}\n,,{}\n",
        id('a'),
        id('B')
    );
    let found = read(Format::Csv, &csv).unwrap();
    let flags: Vec<_> = found.iter().map(|row| row.has_stored_data).collect();
    assert_eq!(flags, [Some(Some(true)), Some(None)]);
    assert_eq!(
        found[1].object_id.unwrap().to_string(),
        id('b'),
        "upper case is the same id"
    );
    assert_eq!(found[0].namespace_id, None);
}

#[test]
fn a_null_is_unknown_and_a_missing_key_says_nothing() {
    let lines = format!(
        "{{\"object_id\":\"{0}\",\"has_stored_data\":null}}\n{{\"object_id\":\"{0}\"}}\n",
        id('a')
    );
    let flags: Vec<_> = read(Format::Jsonl, &lines)
        .unwrap()
        .iter()
        .map(|row| row.has_stored_data)
        .collect();
    assert_eq!(flags, [Some(None), None]);
}

#[test]
fn what_is_wrong_is_told_with_its_row() {
    let csv = format!("object_id,has_stored_data\n{},maybe\n", id('a'));
    assert!(matches!(read(Format::Csv, &csv), Err(RowError::Flag { row: 1 })));
    assert!(matches!(
        read(Format::Csv, "object_id\nabc\n"),
        Err(RowError::Id { row: 1, .. })
    ));
    assert!(matches!(read(Format::Ids, "abc\n"), Err(RowError::Id { row: 1, .. })));
    assert!(matches!(
        read(Format::Jsonl, "{}\n[]\n"),
        Err(RowError::NoObject { row: 2 })
    ));
    assert!(matches!(read(Format::Parquet, "PAR1"), Err(RowError::Parquet(_))));
}
