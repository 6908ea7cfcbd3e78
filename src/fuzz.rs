//! Valid input, broken at random.
//!
//! `FUZZ_SECONDS=1800 cargo test --profile test-all --lib fuzz -- --ignored` runs for that long. A failure names the
//! `FUZZ_SEED` and the round that reproduce it.

use std::time::{Duration, Instant};

/// SplitMix64: short, and the same on every platform.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Prints its seed and number if dropped by a panic.
struct Round {
    seed: u64,
    number: u64,
}

impl Drop for Round {
    #[expect(clippy::print_stderr, reason = "a failure that can't be brought back is of no use")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it happened with FUZZ_SEED={} in round {}", self.seed, self.number);
        }
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

pub fn rounds_of(many: u64, round: impl FnMut(&mut Random)) {
    rounds(1, |number| number < many, round);
}

/// Runs rounds for FUZZ_SECONDS and returns their number.
pub fn rounds_for(round: impl FnMut(&mut Random)) -> u64 {
    let end = Instant::now() + Duration::from_secs(variable("FUZZ_SECONDS", 10));
    rounds(variable("FUZZ_SEED", 1), |_| Instant::now() < end, round)
}

fn rounds(seed: u64, goes_on: impl Fn(u64) -> bool, mut round: impl FnMut(&mut Random)) -> u64 {
    let mut number = 0;
    while goes_on(number) {
        let here = Round { seed, number };
        // Each round has its own seed, so that it can be reproduced alone.
        round(&mut Random(seed.wrapping_mul(0xa076_1d64_78bd_642f) ^ number));
        drop(here);
        number += 1;
    }
    number
}

pub fn break_bytes(text: &mut Vec<u8>, random: &mut Random, pieces: &[&[u8]]) {
    let (at, other) = (random.below(text.len() + 1), random.below(text.len() + 1));
    let (from, to) = (at.min(other), at.max(other));
    match random.below(8) {
        0 => text.truncate(at),
        1 => drop(text.drain(from..to.min(from + 200))),
        2 => {
            // Repeats a key, or a row.
            let copy = text[from..to].to_vec();
            text.splice(other..other, copy);
        }
        3 => {
            let long = random.pick(pieces).repeat(1 << random.below(14));
            text.splice(at..at, long);
        }
        4 if !text.is_empty() => {
            let at = random.below(text.len());
            text[at] ^= 1 << random.below(8);
        }
        5 => replace_value(text, random, pieces),
        _ => {
            let piece = random.pick(pieces).iter().copied();
            text.splice(at..at, piece);
        }
    }
}

/// Replaces the value after a colon: still JSON, but unexpected.
fn replace_value(text: &mut Vec<u8>, random: &mut Random, pieces: &[&[u8]]) {
    let colons: Vec<usize> = (0..text.len()).filter(|at| matches!(text[*at], b':' | b'=')).collect();
    if colons.is_empty() {
        return;
    }
    let start = random.pick(&colons) + 1;
    let end = text[start..]
        .iter()
        .position(|b| matches!(b, b',' | b'}' | b';'))
        .map_or(text.len(), |length| start + length);
    let piece = random.pick(pieces).iter().copied();
    text.splice(start..end, piece);
}

/// Peak memory of this process in bytes; 0 if the system does not report it.
pub fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes << 10)
}
