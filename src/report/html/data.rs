//! The numbers of all charts, for the page's script: numbers only, packed. The script's `unpack` reads them.
//!
//! Each series is the index of its first recorded day, then four columns with one number per day from there on:
//! created and removed (0 if unknown, else one more), the change of the objects beyond those, and the change of the
//! objects with data. Numbers are LEB128, signed ones zigzag. The columns of all series are compressed together, and
//! base64 makes text of them.

use std::io::{self, Write};

use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::report::Day;

/// Packs one series after the other. All have the same days.
pub fn packed<'a>(series: impl IntoIterator<Item = &'a [Day]>) -> String {
    let mut bytes = Vec::new();
    for days in series {
        pack(days, &mut bytes);
    }
    // Nothing that is written to memory fails.
    let compressed = compressed(&bytes).unwrap_or_default();
    BASE64_STANDARD.encode(compressed)
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn pack(days: &[Day], out: &mut Vec<u8>) {
    let first = days.iter().position(|day| day.objects.is_some()).unwrap_or(days.len());
    number(first as u64, out);
    let days = &days[first..];
    for day in days {
        number(day.created.map_or(0, |n| n.saturating_add(1)), out);
    }
    for day in days {
        number(day.removed.map_or(0, |n| n.saturating_add(1)), out);
    }
    let mut objects = 0;
    for day in days {
        let moved = as_signed(day.created).wrapping_sub(as_signed(day.removed));
        let now = as_signed(day.objects);
        signed(now.wrapping_sub(objects).wrapping_sub(moved), out);
        objects = now;
    }
    let mut with_data = 0;
    for day in days {
        let now = as_signed(day.with_data);
        signed(now.wrapping_sub(with_data), out);
        with_data = now;
    }
}

fn as_signed(n: Option<u64>) -> i64 {
    n.unwrap_or(0).cast_signed()
}

fn signed(n: i64, out: &mut Vec<u8>) {
    number(((n << 1) ^ (n >> 63)).cast_unsigned(), out);
}

fn number(mut n: u64, out: &mut Vec<u8>) {
    while n > 127 {
        out.push((n & 127) as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use time::macros::date;

    use super::*;

    fn day(index: i64, objects: Option<u64>, with_data: u64, moved: Option<(u64, u64)>) -> Day {
        Day {
            date: date!(2026 - 11 - 01) + time::Duration::days(index),
            objects,
            with_data: objects.map(|_| with_data),
            created: moved.map(|moved| moved.0),
            removed: moved.map(|moved| moved.1),
        }
    }

    /// The browser's test reads the same with the page's script.
    #[test]
    fn a_series_is_its_first_day_and_four_columns() {
        let days = [
            day(0, None, 0, None),
            day(1, Some(300), 2, None),
            day(2, Some(305), 1, Some((7, 2))),
        ];
        let unrecorded = [day(0, None, 0, None), day(1, None, 0, None), day(2, None, 0, None)];
        let packed = BASE64_STANDARD.decode(packed([&days[..], &unrecorded[..]])).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 0, 8, 0, 3, 0b1101_1000, 4, 0, 4, 1, 3]);
    }
}
