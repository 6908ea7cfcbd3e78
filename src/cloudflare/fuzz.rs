//! Valid responses, broken at random. Parsing them must not panic, need memory out of proportion to their size, or
//! return text with terminal control sequences.
//!
//! `FUZZ_SECONDS=1800 cargo test --profile test-all --lib fuzz -- --ignored` runs for that long. A failure names the
//! `FUZZ_SEED` and the round that reproduce it.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};

use super::rate_limit_headers;
use super::wire::{self, ApiErrors, ParseError};
use crate::units::Quota;

/// SplitMix64: short, and the same on every platform.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
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

#[test]
fn a_thousand_broken_responses() {
    rounds(1, |number| number < 1000);
}

#[test]
#[ignore = "large: breaks responses for FUZZ_SECONDS, by default 10"]
fn broken_responses_for_long() {
    let end = Instant::now() + Duration::from_secs(variable("FUZZ_SECONDS", 10));
    let done = rounds(variable("FUZZ_SEED", 1), |_| Instant::now() < end);
    assert!(done > 1000, "{done} rounds are no test");
}

fn rounds(seed: u64, goes_on: impl Fn(u64) -> bool) -> u64 {
    let before = peak_memory();
    let (mut longest, mut number) = (0, 0);
    while goes_on(number) {
        let round = Round { seed, number };
        // Each round has its own seed, so that it can be reproduced alone.
        let mut random = Random(seed.wrapping_mul(0xa076_1d64_78bd_642f) ^ number);
        let body = broken_body(&mut random);
        longest = longest.max(body.len());
        read(&body);
        read_headers(&mut random);
        drop(round);
        number += 1;
    }
    let (grown, bound) = (peak_memory().saturating_sub(before), (64 << 20) + 64 * longest);
    assert!(grown < bound, "{grown} bytes of memory for bodies of {longest} at most");
    number
}

fn read(body: &[u8]) {
    match wire::objects(body) {
        Ok(read) => {
            // Every id takes 64 bytes of the body.
            assert!(read.value.rows.len() * 64 <= body.len());
            read.notices.iter().for_each(|text| is_fit_to_show(text));
        }
        Err(error) => is_explained(&error),
    }
    if let Err(error) = wire::namespaces(body) {
        is_explained(&error);
    }
    if let Err(error) = wire::accounts(body) {
        is_explained(&error);
    }
    if let Some(errors) = wire::api_errors(body) {
        is_fit_to_show(&errors.text);
    }
}

fn is_explained(error: &ParseError) {
    let (ParseError::Unexpected(text)
    | ParseError::Contradictory(text)
    | ParseError::NotTheApi(text)
    | ParseError::CutShort(text)
    | ParseError::Refused(ApiErrors { text, .. })) = error;
    is_fit_to_show(text);
}

fn is_fit_to_show(text: &str) {
    assert!(
        !text.chars().any(|c| c.is_control() || c == '\u{202e}'),
        "a terminal would obey {text:?}"
    );
    assert!(text.len() < 10_000, "{} bytes are no message", text.len());
}

fn read_headers(random: &mut Random) {
    let mut headers = HeaderMap::new();
    for _ in 0..random.below(4) {
        let name = *random.pick(&["ratelimit", "ratelimit-policy"]);
        let mut text = random
            .pick(&[
                r#""default";r=50;t=30"#,
                r#""default";q=1200;w=300"#,
                r#""a;b,c";r=1;t=2, b;r=0;t=99999999999"#,
                r#"x;q=0;w=0"#,
            ])
            .as_bytes()
            .to_vec();
        for _ in 0..random.below(5) {
            break_bytes(&mut text, random, &HEADER_PIECES);
        }
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            headers.append(name, value);
        }
    }
    let share = random.below(101) as u8;
    let backpressure =
        rate_limit_headers::backpressure(&rate_limit_headers::statuses(&headers), Quota::CLOUDFLARE, share);
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(backpressure.hold <= day && backpressure.spacing <= day && backpressure.spaced_for <= day);
}

/// A valid page of either list, or an error response, broken in a few places.
fn broken_body(random: &mut Random) -> Vec<u8> {
    let mut body = match random.below(4) {
        0 => namespaces_body(random),
        1 => REFUSAL.as_bytes().to_vec(),
        _ => objects_body(random),
    };
    for _ in 0..random.below(6) {
        break_bytes(&mut body, random, &BODY_PIECES);
    }
    body
}

const REFUSAL: &str = r#"{"errors":[{"code":1000,"message":"message","documentation_url":"url","source":{"pointer":"p"}}],"messages":[{"code":1,"message":"m"}],"success":false,"result":null}"#;

fn objects_body(random: &mut Random) -> Vec<u8> {
    let rows: Vec<String> = (0..random.below(40))
        .map(|_| {
            let id: String = (0..4).map(|_| format!("{:016x}", random.next())).collect();
            let flag = random.pick(&["", r#","hasStoredData":true"#, r#","hasStoredData":null"#]);
            format!(r#"{{"id":"{id}"{flag}}}"#)
        })
        .collect();
    let count = rows.len();
    let rows = rows.join(",");
    let cursor = random.pick(&[
        "",
        r#","cursor":"""#,
        r#","cursor":"abc""#,
        r#","cursors":{"after":"abc"}"#,
    ]);
    format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":[{rows}],"result_info":{{"count":{count}{cursor},"page":1,"per_page":20,"total_count":2000,"total_pages":100}}}}"#
    )
    .into_bytes()
}

fn namespaces_body(random: &mut Random) -> Vec<u8> {
    let rows: Vec<String> = (0..random.below(10))
        .map(|_| {
            let id = random.next();
            format!(
                r#"{{"id":"{id:032x}","name":"n","script":null,"class":"C","use_sqlite":true,"preview":{{"id":"p","slug":"s"}}}}"#
            )
        })
        .collect();
    let rows = rows.join(",");
    format!(r#"{{"success":true,"errors":[],"messages":[],"result":[{rows}],"result_info":{{"total_pages":3}}}}"#)
        .into_bytes()
}

const BODY_PIECES: [&[u8]; 30] = [
    b"null",
    b"true",
    b"-0",
    b"1e999999",
    b"99999999999999999999999999999999999999",
    b"0.1",
    b"\"\"",
    b"\"\\ud800\"",
    b"\\u001b[2J",
    b"\\u202e",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"{}",
    b"[]",
    b"[",
    b"{\"a\":",
    b"]",
    b"}",
    b",",
    b"\"",
    b"\\",
    b"\0",
    b"\n",
    b"\"result\":[],",
    b"\"success\":true,",
    b"\"errors\":[{\"code\":-1,\"message\":\"\\n\"}],",
    b"\"id\":\"x\",",
    b"\"cursor\":\"y\",",
];

const HEADER_PIECES: [&[u8]; 12] = [
    b"\"",
    b";",
    b",",
    b"=",
    b"\\",
    b"-1",
    b"99999999999999999999",
    b"18446744073709551615",
    b" ",
    b"\t",
    b"r=",
    b"w=1e9",
];

fn break_bytes(text: &mut Vec<u8>, random: &mut Random, pieces: &[&[u8]]) {
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
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes << 10)
}
