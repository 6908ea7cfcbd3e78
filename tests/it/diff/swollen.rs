//! Parquet files of a few bytes that want to become gigabytes.

use std::fs;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::*;
use crate::support::memory::limited;

/// Thrift's compact protocol, as far as a footer and a page need it.
mod thrift {
    pub fn number(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(number as u8 | 128);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    pub fn signed(number: i64) -> Vec<u8> {
        self::number((number << 1 ^ number >> 63) as u64)
    }

    fn field(step: u8, kind: u8, value: &[u8]) -> Vec<u8> {
        [&[step << 4 | kind], value].concat()
    }

    /// `step` is how far a field's number is from the one before it.
    pub fn i32(step: u8, value: i64) -> Vec<u8> {
        field(step, 5, &signed(value))
    }

    pub fn i64(step: u8, value: i64) -> Vec<u8> {
        field(step, 6, &signed(value))
    }

    pub fn text(step: u8, value: &str) -> Vec<u8> {
        field(step, 8, &bare_text(value))
    }

    pub fn bare_text(value: &str) -> Vec<u8> {
        [&number(value.len() as u64)[..], value.as_bytes()].concat()
    }

    pub fn list(step: u8, kind: u8, items: &[Vec<u8>]) -> Vec<u8> {
        field(
            step,
            9,
            &[&[(items.len() as u8) << 4 | kind][..], &items.concat()].concat(),
        )
    }

    pub fn structure(step: u8, fields: &[Vec<u8>]) -> Vec<u8> {
        field(step, 12, &bare_structure(fields))
    }

    pub fn bare_structure(fields: &[Vec<u8>]) -> Vec<u8> {
        [fields.concat(), vec![0]].concat()
    }
}

use thrift::{bare_structure, bare_text, i32, i64, list, number, signed, structure};

const PLAIN: i64 = 0;
const RLE: i64 = 3;
const DELTA_LENGTH: i64 = 6;
const DELTA: i64 = 7;
const RLE_DICTIONARY: i64 = 8;

/// A run of one byte, or bytes as they are.
enum Piece {
    Bytes(Vec<u8>),
    Run(u8, usize),
}

use Piece::{Bytes, Run};

impl Piece {
    fn length(&self) -> usize {
        match self {
            Bytes(bytes) => bytes.len(),
            Run(_, length) => *length,
        }
    }
}

fn unpacked(pieces: &[Piece]) -> Vec<u8> {
    let all = pieces.iter().map(|piece| match piece {
        Bytes(bytes) => bytes.clone(),
        Run(byte, length) => vec![*byte; *length],
    });
    all.collect::<Vec<_>>().concat()
}

/// Zstandard, in which a run of 128 KiB takes 4 bytes.
fn zstd(pieces: &[Piece]) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    let total: usize = pieces.iter().map(Piece::length).sum();
    frame.extend((total as u32).to_le_bytes());
    let mut block = |kind: u32, length: usize, bytes: &[u8]| {
        frame.extend(&((length as u32) << 3 | kind << 1).to_le_bytes()[..3]);
        frame.extend(bytes);
    };
    for piece in pieces {
        match piece {
            Bytes(bytes) => bytes.chunks(BLOCK).for_each(|chunk| block(0, chunk.len(), chunk)),
            Run(byte, length) => {
                for start in (0..*length).step_by(BLOCK) {
                    block(1, BLOCK.min(length - start), &[*byte]);
                }
            }
        }
    }
    // An empty last one.
    frame.extend([1, 0, 0]);
    frame
}

/// DELTA_BINARY_PACKED: `first`, `first + step`, and that for ever.
fn deltas(count: u64, first: i64, step: i64) -> Vec<u8> {
    let least = step.min(0);
    let mut bytes = [number(128), number(4), number(count), signed(first)].concat();
    if count == 1 {
        return bytes;
    }
    let width = 64 - step.unsigned_abs().leading_zeros() as usize;
    let part = |numbers: [u64; 32]| {
        let mut packed = vec![0u8; 4 * width];
        for (at, value) in numbers.iter().enumerate() {
            for bit in (0..width).filter(|bit| value >> bit & 1 == 1) {
                packed[(at * width + bit) / 8] |= 1 << ((at * width + bit) % 8);
            }
        }
        packed
    };
    let no_step = [-least as u64; 32];
    let mut one_step = no_step;
    one_step[0] = (step - least) as u64;
    bytes.extend(signed(least));
    bytes.extend([width as u8; 4]);
    bytes.extend(part(one_step));
    (0..3).for_each(|_| bytes.extend(part(no_step)));
    for _ in 0..count.saturating_sub(129).div_ceil(128) {
        bytes.extend(signed(0));
        bytes.extend([0; 4]);
    }
    bytes
}

struct Page {
    /// 0: data, 2: dictionary, 3: data of the second version.
    kind: u8,
    values: i64,
    encoding: i64,
    body: Vec<Piece>,
    /// In place of the true one.
    claimed_size: Option<i64>,
}

impl Page {
    fn data(values: i64, encoding: i64, body: Vec<Piece>) -> Self {
        Self {
            kind: 0,
            values,
            encoding,
            body,
            claimed_size: None,
        }
    }

    fn bytes(&self, packed: bool) -> Vec<u8> {
        let body = if packed { zstd(&self.body) } else { unpacked(&self.body) };
        let whole: usize = self.body.iter().map(Piece::length).sum();
        let (values, encoding) = (i32(1, self.values), i32(1, self.encoding));
        let head = match self.kind {
            0 => structure(2, &[values, encoding, i32(1, RLE), i32(1, RLE)]),
            2 => structure(4, &[values, encoding]),
            _ => structure(
                5,
                &[values, i32(1, 0), i32(1, self.values), encoding, i32(1, 0), i32(1, 0)],
            ),
        };
        let size = self.claimed_size.unwrap_or(body.len() as i64);
        let head = [i32(1, self.kind.into()), i32(1, whole as i64), i32(1, size), head];
        [bare_structure(&head), body].concat()
    }
}

/// A file of one column, object_id.
fn parquet(pages: &[Page], rows: i64, packed: bool) -> Vec<u8> {
    let start = b"PAR1";
    let body: Vec<u8> = pages.iter().flat_map(|page| page.bytes(packed)).collect();
    let size = pages.iter().find_map(|page| page.claimed_size).unwrap_or_default() + body.len() as i64;
    let encodings: Vec<_> = pages.iter().map(|page| signed(page.encoding)).collect();
    let of_dictionary = pages[0].kind == 2;
    let first_data = if of_dictionary {
        4 + pages[0].bytes(packed).len()
    } else {
        4
    };
    let mut chunk = vec![
        i32(1, 6),
        list(1, 5, &encodings[..encodings.len().min(3)]),
        list(1, 8, &[bare_text("object_id")]),
        i32(1, if packed { 6 } else { 0 }),
        i64(1, rows),
        i64(1, size),
        i64(1, size),
        i64(2, first_data as i64),
    ];
    if of_dictionary {
        chunk.push(i64(2, 4));
    }
    let column = bare_structure(&[i64(2, 4), structure(1, &chunk)]);
    let group = bare_structure(&[list(1, 12, &[column]), i64(1, size), i64(1, rows)]);
    let root = bare_structure(&[thrift::text(4, "root"), i32(1, 1)]);
    let id = bare_structure(&[i32(1, 6), i32(2, 0), thrift::text(1, "object_id")]);
    let footer = bare_structure(&[i32(1, 1), list(1, 12, &[root, id]), i64(1, rows), list(1, 12, &[group])]);
    let end = (footer.len() as u32).to_le_bytes();
    [&start[..], &body, &footer, &end, start].concat()
}

/// Each value is all of the one before it.
fn growing(first: usize, count: u64) -> Vec<Piece> {
    let length = first as i64;
    let lengths = [deltas(count, 0, length), deltas(count, length, -length)].concat();
    vec![Bytes(lengths), Run(b'a', first)]
}

/// So many numbers in a few bytes: a block is as large as it wants to be.
fn endless(count: u64) -> Vec<u8> {
    [number(1 << 31), number(1), number(count), signed(0), signed(0), vec![0]].concat()
}

fn plain_id(n: usize) -> Vec<u8> {
    [&64u32.to_le_bytes()[..], format!("{n:064x}").as_bytes()].concat()
}

/// GB that a diff of two of these files may use.
const GB: u64 = 2;

fn limited_diff(file: &str) -> Ended {
    let mut command: Command = bare(&["diff", file, file, "--exit-code"]);
    command.env("RUST_BACKTRACE", "0");
    run(limited(&command, GB << 20))
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
    // The last suffix, again and again.
    let stale = [deltas(8192, 0, 1 << 20), deltas(1, 1 << 20, 0)].concat();
    for (name, pages, packed, told) in [
        ("first.parquet", vec![grown(1 << 20, 8192)], false, "is no object id"),
        (
            "second.parquet",
            vec![second_version(grown(1 << 20, 8192))],
            false,
            "is no object id",
        ),
        ("packed.parquet", vec![grown(100 << 20, 8192)], true, "is no object id"),
        (
            "packed-second.parquet",
            vec![second_version(grown(100 << 20, 8192))],
            true,
            "is no object id",
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
            "it has a page of 2147483647 texts",
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
            "it has a page of 2147483647 texts",
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
            // Its column says that it has plain pages alone.
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
            "it has a page of 2147483647 dictionary entries",
        ),
        (
            "claimed.parquet",
            vec![Page {
                claimed_size: Some(many - 100),
                ..Page::data(1, PLAIN, vec![Bytes(plain_id(1))])
            }],
            false,
            "MiB",
        ),
        (
            "beyond.parquet",
            vec![Page {
                claimed_size: Some(100 << 20),
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

/// What is large and honest is read, a part at a time.
#[test]
fn pages_that_are_large_together_are_read_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pages.parquet");
    let page = |n| Page::data(1, PLAIN, vec![Bytes(plain_id(n)), Run(0, 100 << 20)]);
    fs::write(&path, parquet(&(1..=40).map(page).collect::<Vec<_>>(), 40, true)).unwrap();
    let ended = limited_diff(text(&path));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("40 objects are the same"), "{}", ended.stderr);

    // Texts that share their beginning, as DELTA_BYTE_ARRAY is meant.
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
        assert!(ended.stderr.contains("1 objects are the same"), "{}", ended.stderr);
    }
}

#[test]
fn verifying_a_dataset_has_the_same_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = parquet(&[Page::data(8192, DELTA, growing(100 << 20, 8192))], 8192, true);
    fs::write(folder.path().join("part.parquet"), &bytes).unwrap();
    let manifest = serde_json::json!({
        "format_version": 1, "created_by": "x", "created_at": "x", "table": "objects", "format": "parquet",
        "complete": true, "columns": [], "namespaces": [],
        "files": [{"path": "part.parquet", "rows": 8192, "bytes": bytes.len(), "sha256": hex_of(&bytes)}],
    });
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let place = format!("{}/", text(folder.path()));
    let ended = run(limited(&bare(&["export", "verify", &place]), GB << 20));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stdout.contains("row 1: \"aaaa") || ended.stderr.contains("row 1: \"aaaa"),
        "{ended:#?}"
    );
}

fn hex_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
