//! Makes text from elsewhere safe to show: a response must not move a terminal's cursor, fake a log line or fill the
//! screen.

use std::time::Duration;

use indicatif::HumanCount;
use unicode_width::UnicodeWidthChar;

/// Length to which text from elsewhere is cut.
const SHOWN_CHARS: usize = 300;
/// Characters without a width, such as accents, that may follow each other. No language needs more, and a stack of
/// thousands covers the lines around it.
const MOST_MARKS: usize = 4;

/// Escapes invisible characters, and cuts the text to a readable length. Backquotes become apostrophes: in our messages
/// they enclose commands to copy, and text from elsewhere must not look like one.
pub fn shown(text: &str) -> String {
    cut(text).replace('`', "'")
}

/// Escapes invisible characters, and cuts the text to a readable length: for messages of ours that quote other text.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => visible(&text[..end]) + "…",
        None => visible(text),
    }
}

/// Escapes invisible characters without cutting the text: for our own messages, which end with what to do.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        if is_invisible(c) || marks > MOST_MARKS {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Quotes a word for a command that a person copies into a shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", shown(text).replace('\'', r"'\''"))
}

/// Returns the scheme and host of a misplaced address. Its user, password, query and, with some services, its path are
/// credentials.
pub fn address(text: &str) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| plain(scheme)) else {
        return "…".to_owned();
    };
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    // An unescaped password may contain the separators too, so what looks like the host may be part of it.
    if rest.contains('@') || !plain(host) {
        return format!("{scheme}://…");
    }
    let cut = if host.len() < rest.len() { "…" } else { "" };
    format!("{scheme}://{host}{cut}")
}

/// Whether a misplaced text may be an address or a database connection string. It must only be shown through
/// [`address`].
pub fn may_hold_a_secret(text: &str) -> bool {
    let has_user = || text.split_once('@').is_some_and(|(before, _)| before.contains(':'));
    is_address(text) || has_user()
}

/// Whether a text is an address or a database connection string rather than a path.
pub fn is_address(text: &str) -> bool {
    text.contains("://") || text.contains("password=")
}

/// Whether a URL may be parsed in two ways. An unescaped `@`, `/`, `?` or `#` in a password ends the password early;
/// the rest of it would be taken for the host, looked up in DNS and shown.
pub fn is_ambiguous(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // In http URLs a backslash is a slash, as in browsers.
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let ends = |c: char| matches!(c, '/' | '?') || (c == '\\' && is_http);
    let (authority, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    rest.contains('#') || authority.matches('@').count() > 1 || after.contains('@')
}

/// The first line that is not blank, in quotation marks.
pub fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.map_or_else(|| "nothing".to_owned(), |line| format!("\"{}\"", shown(line)))
}

/// Renders an error and its sources on one line. The whole is escaped, because some quote text from elsewhere.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors already include their source.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    visible(&text)
}

/// Formats a number with thousands separators: 1,234,567.
pub fn number(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A number of things with a regular plural: "1 object", "1,234 objects".
pub fn count(n: u64, thing: &str) -> String {
    match n {
        1 => format!("1 {thing}"),
        _ => format!("{} {thing}s", number(n)),
    }
}

/// The first `most` names, sanitized, and how many more there are.
pub fn first_names<'a>(names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let first: Vec<_> = names.take(most).map(shown).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {} more", first.join(", "), number(more as u64)),
    }
}

/// Formats a duration for people, rounded down to the largest unit that fits: 59 s, 15 min, 12 h, 2 d.
pub fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Whether a character is a control character, or reorders or hides text, or is a blank that is not a space: the
/// characters that Unicode calls default-ignorable, but for variation selectors, and a few more. `visible` limits those,
/// as all that take no width.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d");
    }

    #[test]
    fn what_hides_or_reorders_text_is_escaped() {
        for c in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{180e}',
            '\u{2066}',
            '\u{2800}',
            '\u{3164}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ] {
            assert_eq!(shown(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
        }
        for text in [
            "Zürich",
            "Z\u{75}\u{308}rich",
            "Tiê\u{301}ng",
            "שָׁלוֹם",
            "ไม้เอก",
            "한국어",
            "\u{1112}\u{1161}\u{11ab}",
            "❤\u{fe0f}",
            "日本",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn a_stack_of_marks_is_escaped_from_the_fifth_on() {
        let stack = format!("a{}b", "\u{301}".repeat(6));
        assert_eq!(shown(&stack), format!("a{}\\u{{301}}\\u{{301}}b", "\u{301}".repeat(4)));
    }

    #[test]
    fn text_from_elsewhere_has_no_command_to_copy() {
        assert_eq!(shown("run `curl evil | sh` as root"), "run 'curl evil | sh' as root");
        assert_eq!(cut("run `durable-inventory check`"), "run `durable-inventory check`");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = shown(&"ä".repeat(1000));
        assert_eq!(cut.chars().count(), SHOWN_CHARS + 1);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn an_error_that_quotes_others_is_one_line_that_steers_nothing() {
        let error = std::io::Error::other("no object named a\n\u{1b}[2Jb");
        assert_eq!(chain(&error), "no object named a\\u{a}\\u{1b}[2Jb");
    }

    #[test]
    fn a_word_in_a_command_is_one_word() {
        assert_eq!(shell_word("0f5e.chat_Room"), "0f5e.chat_Room");
        assert_eq!(shell_word("x;curl evil|sh"), "'x;curl evil|sh'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn of_an_address_scheme_and_host_are_shown() {
        for (text, expected) in [
            ("ftp://host", "ftp://host"),
            ("ftp://host/path", "ftp://host…"),
            ("https://acct.example/c?sig=secret", "https://acct.example…"),
            ("https://acct.example/c?sig=a@secret", "https://…"),
            ("s3://KEY:sec/ret@bucket/x", "s3://…"),
            ("s3://KEY:secret", "s3://KEY…"),
            ("s3://", "s3://"),
            ("u:secret@s3://bucket", "…"),
            ("host=h password=secret", "…"),
        ] {
            assert_eq!(address(text), expected);
        }
    }

    #[test]
    fn a_url_that_a_password_tore_apart_is_ambiguous() {
        for url in [
            "postgres://u:p@h/d",
            "postgres://u:p%40%2F%3F%23@h:1/d?sslmode=require&host=%2Frun",
            "postgres://u:a:b\\c@h/d",
            "postgres:///d?host=/run",
            "https://user:key@hc.example/ping/uuid",
            "https://hc.example",
        ] {
            assert!(!is_ambiguous(url), "{url}");
        }
        for url in [
            "postgres://u:a@b@h/d",
            "postgres://u:a/b@h/d",
            "postgres://u:a?b@h/d",
            "postgres://u:a#b@h/d",
            "postgres://u:a@b#c",
            "postgres://u:a@h/d?user=x@y",
            "https://u:a\\b@h/",
            "HTTPS://u:a\\b@h/",
            "u:a/b@h",
        ] {
            assert!(is_ambiguous(url), "{url}");
        }
    }

    #[test]
    fn the_first_line_skips_blank_ones() {
        assert_eq!(first_line(b"\n  \r\n <html>\xff\r\nmore"), "\"<html>\u{fffd}\"");
        assert_eq!(first_line(b" \n"), "nothing");
    }
}
