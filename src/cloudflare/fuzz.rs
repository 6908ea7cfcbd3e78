//! Valid responses, broken at random. Parsing them must not panic, need memory out of proportion to their size, or
//! return text with terminal control sequences.
//!
//! `crate::fuzz` says how to run it for longer.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};

use super::rate_limit_headers;
use super::wire::{self, ApiErrors, ParseError};
use crate::fuzz::{Random, break_bytes, peak_memory, rounds_for, rounds_of};
use crate::units::Quota;

#[test]
fn a_thousand_broken_responses() {
    let (before, mut longest) = (peak_memory(), 0);
    rounds_of(1000, |random| longest = longest.max(one_round(random)));
    require_little_memory(before, longest);
}

#[test]
#[ignore = "large: breaks responses for FUZZ_SECONDS, by default 10"]
fn broken_responses_for_long() {
    let (before, mut longest) = (peak_memory(), 0);
    let done = rounds_for(|random| longest = longest.max(one_round(random)));
    assert!(done > 1000, "{done} rounds are no test");
    require_little_memory(before, longest);
}

/// Returns the length of the body.
fn one_round(random: &mut Random) -> usize {
    let body = broken_body(random);
    read(&body);
    read_headers(random);
    body.len()
}

fn require_little_memory(before: usize, longest: usize) {
    let (grown, bound) = (peak_memory().saturating_sub(before), (64 << 20) + 64 * longest);
    assert!(grown < bound, "{grown} bytes of memory for bodies of {longest} at most");
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
