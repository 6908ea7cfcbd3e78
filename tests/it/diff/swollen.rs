//! Parquet files of a few bytes that decompress to gigabytes.

use std::fs;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::*;
use crate::support::memory::limited;

mod file;

use file::Piece::{self, Bytes, Run};
use file::{
    DELTA, DELTA_LENGTH, PLAIN, Page, RLE_DICTIONARY, deltas, parquet, parquet_with, schema_group, schema_id, thrift,
};
use thrift::{number, signed};

/// Each value contains all of the value before it.
fn growing(first: usize, count: u64) -> Vec<Piece> {
    let length = first as i64;
    let lengths = [deltas(count, 0, length), deltas(count, length, -length)].concat();
    vec![Bytes(lengths), Run(b'a', first)]
}

/// `count` numbers in a few bytes, because a block may declare any size.
fn endless(count: u64) -> Vec<u8> {
    [number(1 << 31), number(1), number(count), signed(0), signed(0), vec![0]].concat()
}

fn plain_id(n: usize) -> Vec<u8> {
    [&64u32.to_le_bytes()[..], format!("{n:064x}").as_bytes()].concat()
}

fn limited_diff(file: &str) -> Ended {
    let mut command: Command = bare(&["diff", file, file, "--exit-code"]);
    command.env("RUST_BACKTRACE", "0");
    run(limited(&command))
}

#[test]
fn a_few_bytes_of_parquet_do_not_become_gigabytes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        assert!(bytes.len() < 2 << 20, "{name}: {}", bytes.len());
        fs::write(&path, bytes).unwrap();
        text(&path).to_owned()
    };
    let many = i64::from(i32::MAX);
    let second_version = |page: Page| Page { kind: 3, ..page };
    let grown = |first, count: u64| Page::data(count as i64, DELTA, growing(first, count));
    let dictionary = |values| Page {
        kind: 2,
        ..Page::data(values, PLAIN, vec![Bytes(plain_id(1))])
    };
    // The last suffix, over and over.
    let stale = [deltas(8192, 0, 1 << 20), deltas(1, 1 << 20, 0)].concat();
    for (name, pages, packed, told) in [
        (
            "first.parquet",
            vec![grown(1 << 20, 8192)],
            false,
            "is not an object id",
        ),
        (
            "second.parquet",
            vec![second_version(grown(1 << 20, 8192))],
            false,
            "is not an object id",
        ),
        (
            "packed.parquet",
            vec![grown(20 << 20, 8192)],
            true,
            "is not an object id",
        ),
        (
            "packed-second.parquet",
            vec![second_version(grown(20 << 20, 8192))],
            true,
            "is not an object id",
        ),
        (
            "large.parquet",
            vec![grown(100 << 20, 8192)],
            true,
            "take 100 MiB of memory, more than the 28 MiB",
        ),
        (
            "stale.parquet",
            vec![Page::data(8192, DELTA, vec![Bytes(stale), Run(b'a', 1 << 20)])],
            false,
            "a page has damaged lengths",
        ),
        (
            "lengths.parquet",
            vec![Page::data(many, DELTA_LENGTH, vec![Bytes(endless(many as u64))])],
            false,
            "more than the 28 MiB",
        ),
        (
            "more-lengths.parquet",
            vec![Page::data(many, DELTA_LENGTH, vec![Bytes(endless(1 << 40))])],
            false,
            "a page has damaged lengths",
        ),
        (
            "prefixes.parquet",
            vec![Page::data(
                many,
                DELTA,
                vec![Bytes([endless(many as u64), endless(many as u64)].concat())],
            )],
            false,
            "more than the 28 MiB",
        ),
        (
            "suffixes.parquet",
            vec![Page::data(
                many,
                DELTA,
                vec![Bytes([endless(1), endless(many as u64)].concat())],
            )],
            false,
            "a page has damaged lengths",
        ),
        (
            "hidden.parquet",
            // The column's metadata claims that all its pages are plain.
            [PLAIN; 3]
                .map(|plain| Page::data(1, plain, vec![Bytes(plain_id(1))]))
                .into_iter()
                .chain([grown(1 << 20, 8192)])
                .collect(),
            false,
            "which its column does not list",
        ),
        (
            "dictionary.parquet",
            vec![
                dictionary(many),
                Page::data(1, RLE_DICTIONARY, vec![Bytes(vec![1, 2, 0])]),
            ],
            false,
            "more than the 28 MiB",
        ),
        (
            "claimed.parquet",
            vec![Page {
                claimed_size: Some(many - 100),
                ..Page::data(1, PLAIN, vec![Bytes(plain_id(1))])
            }],
            false,
            "more than the 28 MiB",
        ),
        (
            "beyond.parquet",
            vec![Page {
                claimed_size: Some(10 << 20),
                ..Page::data(1, PLAIN, vec![Bytes(plain_id(1))])
            }],
            false,
            "beyond its end",
        ),
    ] {
        let rows = pages.iter().filter(|page| page.kind != 2).map(|page| page.values).sum();
        let file = write(name, parquet(&pages, rows, packed));
        let ended = limited_diff(&file);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{name}: {ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {ended:#?}");
        assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
    }
}

/// False claims in a footer, and excessive nesting.
#[test]
fn a_footer_is_as_large_as_it_looks() {
    let folder = tempfile::tempdir().unwrap();
    let many = i32::MAX;
    let flags = [&[0xf1][..], &number(many as u64)].concat();
    let deep = |depth| [vec![schema_group(1); depth], vec![schema_id()]].concat();
    let flat = |columns: i64| [vec![schema_group(columns)], vec![schema_id(); columns as usize]].concat();
    let page = || [Page::data(1, PLAIN, vec![Bytes(plain_id(1))])];
    let check = |name: &str, bytes: Vec<u8>, told: &str| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let ended = limited_diff(text(&path));
        assert_eq!(ended.code, Some(2), "{name}: {ended:#?}");
        assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
    };
    for (name, schema, more) in [
        ("children", vec![schema_group(many.into()), schema_id()], vec![]),
        (
            "nested",
            [vec![schema_group(1 << 27); 20], vec![schema_id()]].concat(),
            vec![],
        ),
        ("deep", deep(100_000), vec![]),
        ("flags", deep(1), thrift::field(11, 9, &flags)),
    ] {
        let bytes = parquet_with(&page(), 1, false, &schema, &more);
        check(name, bytes, "its footer is damaged, or too large");
    }
    // A footer takes twice its size, whatever is in it: here `created_by`.
    let long = thrift::field(2, 8, &[number(30 << 20), vec![b'x'; 30 << 20]].concat());
    let schema = [schema_group(1), schema_id()];
    check(
        "long",
        parquet_with(&page(), 1, false, &schema, &long),
        "more than the 28 MiB",
    );
    // Nesting and width as in real data. The row group has fewer columns than the schema, which the library reports.
    for (name, schema) in [("nested", deep(100)), ("wide", flat(5000))] {
        check(
            name,
            parquet_with(&page(), 1, false, &schema, &[]),
            folder.path().to_str().unwrap(),
        );
    }
}

/// Large but honest pages are read in parts.
#[test]
fn pages_that_are_large_together_are_read_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pages.parquet");
    let page = |n| Page::data(1, PLAIN, vec![Bytes(plain_id(n)), Run(0, 12 << 20)]);
    fs::write(&path, parquet(&(1..=40).map(page).collect::<Vec<_>>(), 40, true)).unwrap();
    let ended = limited_diff(text(&path));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("40 objects are identical"), "{}", ended.stderr);

    // Texts with a common prefix, which is the intended use of DELTA_BYTE_ARRAY.
    let ids = [deltas(1, 0, 0), deltas(1, 64, 0), format!("{:064x}", 7).into_bytes()].concat();
    let pages = [1, 3].map(|kind| Page {
        kind: if kind == 1 { 0 } else { kind },
        ..Page::data(1, DELTA, vec![Bytes(ids.clone())])
    });
    for (index, page) in pages.into_iter().enumerate() {
        let path = folder.path().join(format!("delta{index}.parquet"));
        fs::write(&path, parquet(&[page], 1, false)).unwrap();
        let ended = limited_diff(text(&path));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stderr.contains("1 objects are identical"), "{}", ended.stderr);
    }
}

#[test]
fn verifying_a_dataset_has_the_same_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = parquet(&[Page::data(8192, DELTA, growing(20 << 20, 8192))], 8192, true);
    fs::write(folder.path().join("part.parquet"), &bytes).unwrap();
    let manifest = serde_json::json!({
        "format_version": 1, "created_by": "x", "created_at": "x", "table": "objects", "format": "parquet",
        "complete": true, "columns": [], "namespaces": [],
        "files": [{"path": "part.parquet", "rows": 8192, "bytes": bytes.len(), "sha256": hex_of(&bytes)}],
    });
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let place = format!("{}/", text(folder.path()));
    let ended = run(limited(&bare(&["export", "verify", &place])));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stdout.contains("row 1: \"aaaa") || ended.stderr.contains("row 1: \"aaaa"),
        "{ended:#?}"
    );
}

fn hex_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
