//! Files of other programs, in which a difference or a row could be missed silently.

use std::fs;

use super::*;
use crate::export::{recorded, walk};
use crate::support::files::{Files, id, rows};
use crate::support::program::ACCOUNT;

/// Five objects with every kind of flag.
fn base(files: &Files) -> String {
    files.write(
        "base.csv",
        rows("object_id,has_stored_data\n1,true\n2,false\n3,true\n4,\n5,false\n"),
    )
}

fn assert_same(from: &str, to: &str, objects: &str, what: &str) {
    for args in [[from, to], [to, from]] {
        let ended = diff(&[args[0], args[1], "--exit-code"]);
        assert_eq!(ended.code, Some(0), "{what}: {ended:#?}");
        let expected = format!("no difference: {objects} objects are identical\n");
        assert_eq!(ended.stderr, expected, "{what}");
    }
}

fn assert_trouble(from: &str, to: &str, told: &str) {
    for args in [[from, to], [to, from]] {
        let ended = diff(&[args[0], args[1], "--exit-code"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{told}: {ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{told}: {ended:#?}");
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
}

#[test]
fn a_quotation_mark_that_does_not_open_a_cell_is_text() {
    let files = Files::new();
    let base = base(&files);
    let inches =
        "object_id\tnote\thas_stored_data\n1\tX\" disk\ttrue\n2\tx\tfalse\n3\tY\" tape\ttrue\n4\ty\t\n5\tz\tfalse\n";
    for (name, text) in [
        ("tabs.tsv", rows(inches)),
        ("semicolons.csv", rows(&inches.replace('\t', ";"))),
        ("commas.csv", rows(&inches.replace('\t', ","))),
        (
            "header.csv",
            rows("object_id,has_stored_data,size \"\n1,true,\n2,false,x\"y\n3,true,\n4,,\n5,false,\n"),
        ),
        (
            "quoted.csv",
            rows(
                "\"object_id\",\"n\",\"has_stored_data\"\r\n\"1\",\"a \"\"b\"\"\r\nc\",\"true\"\r\n2,,false\r\n3,,true\r\n4,,\r\n5,,false\r\n",
            ),
        ),
    ] {
        assert_same(&base, &files.write(name, text), "5", name);
    }
}

/// Two inch marks 11,000 rows apart.
#[test]
fn rows_between_two_quotation_marks_are_all_there() {
    let files = Files::new();
    let row = |n: u32, note: &str| format!("{n:064x}\t{note}\ttrue\n");
    let list = |note: &str| {
        let rows = (0..12_000).map(|n| row(n, if n % 11_000 == 500 { note } else { "x" }));
        format!("object_id\tnote\thas_stored_data\n{}", rows.collect::<String>())
    };
    let (plain, marked) = (files.write("a.tsv", list("x")), files.write("b.tsv", list("5\" disk")));
    assert_same(&plain, &marked, "12,000", "inch marks");
    // At the start of a cell, a quotation mark opens it. Text after the closing mark is an error.
    let opened = files.write("c.tsv", list("\"quoted\" name"));
    assert_trouble(&plain, &opened, "line 502 has text after a closing quotation mark");
    let mut swallowed = list("\"x");
    let last = swallowed.rfind("\t\"x\t").unwrap();
    swallowed.replace_range(last..last + 3, "\tx\"");
    let swallowed = files.write("d.tsv", swallowed);
    assert_trouble(
        &plain,
        &swallowed,
        "the quotation mark opened in line 502 encloses whole rows",
    );
}

/// MySQL and other programs escape quotation marks in this way.
#[test]
fn a_quotation_mark_behind_a_backslash_loses_no_row() {
    let files = Files::new();
    let base = base(&files);
    for (text, told) in [
        (
            "object_id,n,has_stored_data\n1,\"x \\\"\",true\n2,\"y \\\"\",false\n3,,true\n4,,\n5,,false\n",
            "line 3 has text after a closing quotation mark",
        ),
        (
            "object_id,n,has_stored_data\n1,\"x \\\"y\\\" z\",true\n2,,false\n3,,true\n4,,\n5,,false\n",
            "line 2 has text after a closing quotation mark",
        ),
        (
            "object_id,n,has_stored_data\n1,\"x \\\"\",true\n2,,false\n3,,true\n4,,\n5,,false\n",
            "the quotation mark opened in line 2 is not closed",
        ),
        (
            "object_id,n,m,has_stored_data\n1,\"x \\\"\",b,true\n2,a,\", y\",false\n3,,,true\n4,,,\n5,,,false\n",
            "the quotation mark opened in line 2 encloses whole rows",
        ),
    ] {
        assert_trouble(&base, &files.write("escaped.csv", rows(text)), told);
    }
}

#[test]
fn lines_that_end_in_cr_are_lines() {
    let files = Files::new();
    let base = base(&files);
    let text = fs::read_to_string(&base).unwrap();
    for (name, text) in [
        ("cr.csv", text.replace('\n', "\r")),
        ("header.csv", text.replacen('\n', "\r", 1)),
        ("one.csv", text.replacen("true\n", "true\r", 1)),
        ("crlf.csv", text.replace('\n', "\r\n")),
        ("mixed.csv", text.replacen('\n', "\r", 2).replacen('\n', "\r\n", 2)),
        (
            "semicolons.csv",
            format!("\u{feff}{}", text.replace('\n', "\r").replace(',', ";")),
        ),
    ] {
        assert_same(&base, &files.write(name, text), "5", name);
    }
    let ids = [id('1'), id('2')];
    let lines = files.write("lf.txt", ids.join("\n"));
    assert_same(&lines, &files.write("cr.txt", ids.join("\r")), "2", "ids");
    let json = ids.map(|id| format!("{{\"object_id\":\"{id}\"}}"));
    assert_same(&lines, &files.write("cr.jsonl", json.join("\r")), "2", "JSON");
    assert_trouble(
        &base,
        &files.write("bad.csv", text.replace('\n', "\r") + "x,true\r"),
        "line 7: \"x\" is not an object id",
    );
}

#[test]
fn a_name_of_a_column_is_known_however_it_is_written() {
    let files = Files::new();
    let base = base(&files);
    let other = |header: &str| rows(&format!("{header}\n1,false\n2,false\n3,true\n4,\n5,false\n"));
    for header in [
        "object_id, has_stored_data",
        "OBJECT_ID,HAS_STORED_DATA",
        "Object ID ,Has Stored Data",
        "objectId,hasStoredData",
        "\"object_id \",\" has-stored-data\"",
    ] {
        let to = files.write("to.csv", other(header));
        for from in [
            &base,
            &files.write("from.csv", other(header).replacen("false", "true", 1)),
        ] {
            let ended = diff(&[from, &to, "--exit-code"]);
            assert_eq!(ended.code, Some(1), "{header}: {ended:#?}");
            let expected = format!("data_lost     {}  with_data -> without_data\n", id('1'));
            assert_eq!(ended.stdout, expected, "{header}");
        }
    }
    let json = |flag: bool| format!("{{\"OBJECT_ID\":\"{}\",\"HAS_STORED_DATA\":{flag}}}\n", id('1'));
    let (from, to) = (
        files.write("from.jsonl", json(true)),
        files.write("to.jsonl", json(false)),
    );
    assert_eq!(diff(&[&from, &to, "--exit-code"]).code, Some(1));

    let near = "column \"hasstoreddta\" is unknown, and there is no has_stored_data";
    assert_trouble(&base, &files.write("near.csv", other("object_id,has_stored_dta")), near);
    let near_json = json(true).replace("DATA", "DTA") + &json(true).replace("DATA", "DTA").replace('1', "2");
    assert_trouble(&base, &files.write("near.jsonl", near_json), near);
    assert_trouble(
        &base,
        &files.write("two.csv", other("object_id,ObjectId")),
        "two columns are called object_id",
    );
    let twice = json(true).replace("{", "{\"has_stored_data\":false,");
    assert_trouble(
        &base,
        &files.write("two.jsonl", twice),
        "duplicate field `has_stored_data`",
    );
}

/// Many programs omit keys whose value is null.
#[test]
fn a_key_that_some_rows_leave_out_is_unknown_in_these() {
    let files = Files::new();
    let with = |digit, flag: &str| format!("{{\"object_id\":\"{}\",\"has_stored_data\":{flag}}}\n", id(digit));
    let without = |digit| format!("{{\"object_id\":\"{}\"}}\n", id(digit));
    let from = files.write("from.jsonl", with('1', "true") + &with('2', "true"));
    let lost = format!("data_unknown  {}  with_data -> unknown\n", id('1'));
    for (name, to) in [
        ("first.jsonl", without('1') + &with('2', "true")),
        ("last.jsonl", with('2', "true") + &without('1')),
        ("null.jsonl", with('1', "null") + &with('2', "true")),
    ] {
        let ended = diff(&[&from, &files.write(name, &to), "--exit-code"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), lost.as_str()),
            "{name}: {ended:#?}"
        );
        let known = diff(&[&files.write(name, &to), &from, "--exit-code"]);
        assert!(known.stdout.starts_with("data_known "), "{name}: {known:#?}");
        // Both files omit the key in the same row.
        assert_same(
            &files.write(name, &to),
            &files.write("same.jsonl", without('1') + &with('2', "true")),
            "2",
            name,
        );
    }
    // If no row of a file has the key, the file has no information about it.
    let ended = diff(&[
        &from,
        &files.write("never.jsonl", without('1') + &without('2')),
        "--exit-code",
    ]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("compared by id alone"), "{}", ended.stderr);
    // The same holds for an object's owner, whichever row omits it.
    let owned = |digit| without(digit).replace('{', "{\"namespace_id\":\"n\",");
    let both = files.write("both.jsonl", owned('1') + &owned('2'));
    for (name, text, line) in [
        ("a.jsonl", owned('1') + &without('2'), 2),
        ("b.jsonl", without('1') + &owned('2'), 1),
    ] {
        assert_trouble(
            &both,
            &files.write(name, text),
            &format!("line {line} has no namespace_id"),
        );
    }
    // A row of another table is not an object, in any line of the file.
    let history = with('1', "true").replace('{', "{\"account_id\":\"a\",\"namespace_id\":\"n\",");
    let mixed = history.clone() + &history.replace('1', "2").replace('{', "{\"valid_from\":null,");
    assert_trouble(
        &from,
        &files.write("mixed.jsonl", mixed),
        "line 2 is a row of an export of history",
    );
}

#[tokio::test]
async fn ids_of_namespaces_and_accounts_are_the_same_in_any_case() {
    let recorded = recorded().await;
    let other = recorded.simulator.add_namespace(ACCOUNT, "other_Room");
    recorded.simulator.seed(&other, 10, 3);
    walk(&recorded.simulator, &recorded.database, &other);
    let files = Files::new();
    let plain = files.write("plain.csv", recorded.exported(&["objects"]));
    let exported = fs::read_to_string(&plain).unwrap();
    let shouted = |text: &str| {
        let namespace = recorded.namespace.to_uppercase();
        text.replace(&recorded.namespace, &namespace)
            .replace(ACCOUNT, &ACCOUNT.to_uppercase())
    };
    let padded = exported.replace(&recorded.namespace, &format!("{}   ", recorded.namespace));
    let named = ["--namespace", "chat_Room"];
    let upper = recorded.namespace.to_uppercase();
    for (name, text) in [("capitals.csv", shouted(&exported)), ("padded.csv", padded)] {
        let file = files.write(name, text);
        for (to, filter) in [
            (plain.as_str(), &[][..]),
            ("latest", &[]),
            ("latest", &named),
            ("latest", &["--namespace", &upper]),
            ("latest", &["--account", &ACCOUNT.to_uppercase()]),
            (&recorded.second.snapshot, &[]),
            (&plain, &["--namespace", &recorded.namespace]),
        ] {
            let ended = recorded.diff(&[&[file.as_str(), to, "--exit-code"], filter].concat());
            assert_eq!(ended.code, Some(0), "{name} {to} {filter:?}: {ended:#?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{name} {to} {filter:?}: {ended:#?}");
            assert!(
                !ended.stderr.contains(" 0 objects"),
                "{name} {to} {filter:?}: {ended:#?}"
            );
        }
    }
}

#[tokio::test]
async fn rows_that_a_filter_leaves_out_for_want_of_a_name_are_told() {
    let recorded = recorded().await;
    let files = Files::new();
    let exported = recorded.exported(&["objects"]);
    let foreign = files.write("foreign.csv", exported.replace(&recorded.namespace, "dashed-id"));
    let objects = recorded.second.truth.len();
    for args in [&["latest", "--namespace", "chat_*"][..], &[&recorded.second.snapshot]] {
        let ended = recorded.diff(&[&[foreign.as_str()], args].concat());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let told = format!("{objects} objects in {foreign} are not compared: no record of their namespace dashed-id\n");
        assert!(ended.stderr.contains(&told), "{args:?}: {}", ended.stderr);
    }
    // Files have no names.
    let plain = files.write("plain.csv", &exported);
    let ended = diff(&[&plain, &foreign, "--namespace", "chat_*", "--exit-code"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stderr.contains("no namespace of either side matches"),
        "{}",
        ended.stderr
    );
    let ended = diff(&[
        &plain,
        &foreign,
        "--namespace",
        &recorded.namespace,
        "--namespace",
        "chat_*",
    ]);
    let told = format!("{objects} objects in {foreign} are not compared: without names, ");
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    let ended = diff(&[&plain, &foreign, "--namespace", &recorded.namespace]);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}
