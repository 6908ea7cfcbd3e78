//! Builds Parquet files byte by byte.

/// The parts of Thrift's compact protocol that a footer and a page need.
pub mod thrift {
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

    pub fn field(step: u8, kind: u8, value: &[u8]) -> Vec<u8> {
        [&[step << 4 | kind], value].concat()
    }

    /// `step` is the difference between a field's number and the one before it.
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
        let size = match items.len() {
            few @ 0..15 => vec![(few as u8) << 4 | kind],
            many => [vec![15 << 4 | kind], number(many as u64)].concat(),
        };
        field(step, 9, &[size, items.concat()].concat())
    }

    pub fn structure(step: u8, fields: &[Vec<u8>]) -> Vec<u8> {
        field(step, 12, &bare_structure(fields))
    }

    pub fn bare_structure(fields: &[Vec<u8>]) -> Vec<u8> {
        [fields.concat(), vec![0]].concat()
    }
}

use thrift::{bare_structure, bare_text, i32, i64, list, number, signed, structure};

pub const PLAIN: i64 = 0;
pub const RLE: i64 = 3;
pub const DELTA_LENGTH: i64 = 6;
pub const DELTA: i64 = 7;
pub const RLE_DICTIONARY: i64 = 8;

/// A run of one byte, or literal bytes.
pub enum Piece {
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

/// A Zstandard frame, in which a run of 128 KiB takes 4 bytes.
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
    // An empty last block.
    frame.extend([1, 0, 0]);
    frame
}

/// DELTA_BINARY_PACKED: `first`, `first + step`, and so on.
pub fn deltas(count: u64, first: i64, step: i64) -> Vec<u8> {
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

pub struct Page {
    /// 0: data, 2: dictionary, 3: data page of version 2.
    pub kind: u8,
    pub values: i64,
    pub encoding: i64,
    pub body: Vec<Piece>,
    /// Replaces the true size.
    pub claimed_size: Option<i64>,
}

impl Page {
    pub fn data(values: i64, encoding: i64, body: Vec<Piece>) -> Self {
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

/// A file with the single column object_id.
pub fn parquet(pages: &[Page], rows: i64, packed: bool) -> Vec<u8> {
    parquet_with(pages, rows, packed, &[schema_group(1), schema_id()], &[])
}

/// A file with this schema and additional footer fields, whose numbers start at 4.
pub fn parquet_with(pages: &[Page], rows: i64, packed: bool, schema: &[Vec<u8>], more: &[u8]) -> Vec<u8> {
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
    let (schema, groups) = (list(1, 12, schema), list(1, 12, &[group]));
    let footer = bare_structure(&[i32(1, 1), schema, i64(1, rows), groups, more.to_vec()]);
    let end = (footer.len() as u32).to_le_bytes();
    [&start[..], &body, &footer, &end, start].concat()
}

/// A schema group that claims `children` children.
pub fn schema_group(children: i64) -> Vec<u8> {
    bare_structure(&[i32(3, 0), thrift::text(1, "g"), i32(1, children)])
}

pub fn schema_id() -> Vec<u8> {
    bare_structure(&[i32(1, 6), i32(2, 0), thrift::text(1, "object_id")])
}
