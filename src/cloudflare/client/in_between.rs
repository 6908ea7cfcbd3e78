//! A response that is not the API's: what its page says, and who may have sent it. Pure.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::text::{first_line, shown};

/// Cloudflare's own errors in front of a site, listed at
/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/>.
const EDGE_ERRORS: RangeInclusive<u64> = 1000..=1999;

/// The page of Cloudflare's rate limit, whatever its status.
pub(super) const RATE_LIMITED: u64 = 1015;

/// The client's signature is blocked.
const BLOCKED_SIGNATURE: u64 = 1010;

/// What a page says: the title of HTML, the message of JSON, or the first line.
pub(super) fn excerpt(body: &[u8]) -> String {
    if let Some(text) = json_message(body) {
        return format!("\"{}\"", shown(&text));
    }
    match html_title(&String::from_utf8_lossy(body)) {
        Some(title) => format!("\"{}\"", shown(&title)),
        None => first_line(body),
    }
}

/// The sender of a page that is not the API's, as a clause. `is_challenge` says whether the header `cf-mitigated` says
/// so.
pub(super) fn sender(status: u16, is_challenge: bool, body: &[u8]) -> &'static str {
    match edge_error(body) {
        _ if is_challenge => "a firewall requires a browser check, so the request did not reach the API",
        Some(RATE_LIMITED) => "Cloudflare's rate limit responded (error 1015), not the API",
        Some(BLOCKED_SIGNATURE) => {
            "a firewall blocks this program by its signature (error 1010), and the API did not respond"
        }
        Some(_) => "Cloudflare's firewall or gateway responded, not the API",
        None if matches!(status, 401 | 403 | 406 | 451) => "a firewall or proxy responded, not the API",
        None => "something in between responded, not the API",
    }
}

/// The number of Cloudflare's own error: `error code: 1010` in a text, `Error 1010` in a page, `error_code` in JSON.
pub(super) fn edge_error(body: &[u8]) -> Option<u64> {
    let code = match json(body) {
        Some(value) => value.get("error_code").and_then(Value::as_u64),
        None => spelled_out(&without_tags(&String::from_utf8_lossy(body))),
    };
    code.filter(|code| EDGE_ERRORS.contains(code))
}

fn spelled_out(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(3).chain(words.windows(2)).find_map(|words| match words {
        ["error", "code", code] | ["error", code] if code.len() == 4 => code.parse().ok(),
        _ => None,
    })
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        match part.split_once('>') {
            Some((_tag, after)) => {
                text.push(' ');
                text.push_str(after);
            }
            None => text.push_str(part),
        }
    }
    text
}

fn html_title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag + lower[tag..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let words: Vec<&str> = html[start..end].split_whitespace().collect();
    let mut title = words.join(" ");
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        title = title.replace(entity, character);
    }
    (!title.is_empty()).then_some(title)
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok().filter(Value::is_object)
}

fn json_message(body: &[u8]) -> Option<String> {
    let value = json(body)?;
    let text = |key| value.get(key).and_then(Value::as_str);
    let text = text("message").or_else(|| text("title")).or_else(|| text("error"))?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_of_a_page_is_shown() {
        let table = [
            (
                "<!DOCTYPE html>\n<html><head>\n<TITLE lang=en>\n Attention\n Required! | A&amp;B\n</TITLE>",
                "\"Attention Required! | A&B\"",
            ),
            ("<!DOCTYPE html>\n<p>no title", "\"<!DOCTYPE html>\""),
            ("<title></title>x", "\"<title></title>x\""),
            ("<title>cut", "\"<title>cut\""),
            ("<title", "\"<title\""),
            ("<title>\u{1b}[2J\u{202e}</title>", "\"\\u{1b}[2J\\u{202e}\""),
            ("\nupstream error\nat line 2", "\"upstream error\""),
            (r#"{"message":"API rate\nlimit"}"#, "\"API rate\\u{a}limit\""),
            (
                r#"{"title":"Error 1015: You are being rate limited","status":429}"#,
                "\"Error 1015: You are being rate limited\"",
            ),
            ("[]", "\"[]\""),
            ("", "nothing"),
        ];
        for (body, expected) in table {
            assert_eq!(excerpt(body.as_bytes()), expected, "{body}");
        }
        let long = format!("<title>{}</title>", "x".repeat(10_000));
        assert!(excerpt(long.as_bytes()).len() < 400);
    }

    #[test]
    fn cloudflares_own_errors_are_known_by_their_number() {
        let table = [
            ("error code: 1010", Some(1010)),
            ("error code: 1015\n", Some(1015)),
            (
                "<h1><span>Error</span>\n<span class=\"cf-error-code\">1015</span></h1>",
                Some(1015),
            ),
            ("<title>Error 1020</title>", Some(1020)),
            (r#"{"error_code":1015,"retryable":true}"#, Some(1015)),
            (r#"{"error_code":7,"title":"Error 1015"}"#, None),
            ("error code: 404", None),
            ("error 10155", None),
            ("the year 1015", None),
            ("", None),
        ];
        for (body, expected) in table {
            assert_eq!(edge_error(body.as_bytes()), expected, "{body}");
        }
    }
}
