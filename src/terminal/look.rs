//! What stdout and stderr can show: a width, colours, and characters beyond ASCII.

use std::ffi::OsString;
use std::io::IsTerminal;

use anstream::{AutoStream, ColorChoice};
use console::Term;

use super::shorten::width as width_of_plain;

/// The width of a terminal that tells none.
pub const USUAL_WIDTH: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// `None` for a pipe or a file: programs read it, so nothing is shortened.
    pub width: Option<usize>,
    pub colours: bool,
    /// The locale's characters are UTF-8.
    pub unicode: bool,
}

impl Look {
    pub fn stdout() -> Self {
        Self::of(&Term::stdout(), AutoStream::choice(&std::io::stdout()))
    }

    pub fn stderr() -> Self {
        Self::of(&Term::stderr(), AutoStream::choice(&std::io::stderr()))
    }

    fn of(terminal: &Term, colours: ColorChoice) -> Self {
        Self {
            width: width(terminal),
            colours: colours != ColorChoice::Never,
            unicode: is_utf8(|name| std::env::var_os(name)),
        }
    }

    /// Whether a person sees both what is written to stdout and what is written to stderr.
    pub fn is_one_screen() -> bool {
        std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Colours a text; `None` leaves it as it is.
    pub fn tinted(&self, text: &str, tint: Option<Tint>) -> String {
        let code = match tint.filter(|_| self.colours && !text.is_empty()) {
            None => return text.to_owned(),
            Some(Tint::Bold) => "1",
            Some(Tint::Red) => "31",
            Some(Tint::Yellow) => "33",
            Some(Tint::Green) => "32",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Breaks a text into lines between words, the later ones indented. A command in backquotes stays in one line, even
    /// if the terminal has to break it: it is copied. In a pipe a text is one line.
    pub fn wrapped(&self, text: &str, indent: usize) -> String {
        let Some(columns) = self.width else {
            return text.to_owned();
        };
        let (mut lines, mut used, mut is_command) = (String::new(), 0, false);
        let mut word = String::new();
        let mut words = text.split(' ').peekable();
        while let Some(part) = words.next() {
            word.push_str(part);
            is_command ^= part.matches('`').count() % 2 == 1;
            if is_command && words.peek().is_some() {
                word.push(' ');
                continue;
            }
            let width = width_of(&word);
            if used > indent && used + 1 + width > columns {
                lines.push('\n');
                lines.push_str(&" ".repeat(indent));
                used = indent;
            } else if !lines.is_empty() {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(&word);
            used += width;
            word.clear();
        }
        lines
    }

    /// Stands for a value that is unknown or does not apply.
    pub fn none(&self) -> &'static str {
        if self.unicode { "\u{2013}" } else { "-" }
    }

    /// Stands for the part of a name that was left out.
    pub fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { ".." }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    Bold,
    Red,
    Yellow,
    Green,
}

impl Tint {
    /// The colour of a status: red if a person has to act, yellow if something is not as it should be.
    pub fn of_status(status: &str) -> Option<Self> {
        match status {
            "held" | "failed" => Some(Self::Red),
            "interrupted" | "missing" | "stale" | "superseded" | "vanished" => Some(Self::Yellow),
            _ => None,
        }
    }
}

/// The columns of a text that may have colours in it.
fn width_of(text: &str) -> usize {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().map_or(0, width_of_plain);
    let coloured = parts.map(|part| part.split_once('m').map_or(0, |(_, text)| width_of_plain(text)));
    first + coloured.sum::<usize>()
}

/// The terminal's own size comes before COLUMNS, which may be that of another window. clap does the same for the help.
fn width(terminal: &Term) -> Option<usize> {
    if !terminal.is_term() {
        return None;
    }
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let size = terminal.size_checked().map(|(_, columns)| usize::from(columns));
    Some(size.or_else(columns).unwrap_or(USUAL_WIDTH))
}

/// The first variable that is not empty decides; without any the locale is C, which is ASCII.
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_of_the_locale_that_is_set_decides() {
        for (set, expected) in [
            (&[][..], false),
            (&[("LANG", "en_US.UTF-8")], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "de_DE@euro")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "C"), ("LC_CTYPE", "UTF-8")], true),
            (&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")], true),
        ] {
            let variable = |name: &str| Some(set.iter().find(|(known, _)| *known == name)?.1.into());
            assert_eq!(is_utf8(variable), expected, "{set:?}");
        }
    }

    #[test]
    fn text_breaks_between_words_and_commands_stay_whole() {
        let mut look = Look {
            width: Some(24),
            colours: true,
            unicode: true,
        };
        let held = look.tinted("held", Some(Tint::Red));
        let text = format!("chat_Room {held}: run `durable-inventory snapshots accept 7`, else nothing");
        assert_eq!(
            look.wrapped(&text, 2),
            format!("chat_Room {held}: run\n  `durable-inventory snapshots accept 7`,\n  else nothing")
        );
        assert_eq!(look.wrapped("an unclosed ` stays", 2), "an unclosed ` stays");
        look.width = None;
        assert_eq!(look.wrapped(&text, 2), text);
    }

    #[test]
    fn only_what_needs_a_person_is_coloured() {
        let mut look = Look {
            width: None,
            colours: true,
            unicode: true,
        };
        assert_eq!(look.tinted("held", Tint::of_status("held")), "\u{1b}[31mheld\u{1b}[0m");
        assert_eq!(look.tinted("complete", Tint::of_status("complete")), "complete");
        look.colours = false;
        assert_eq!(look.tinted("held", Tint::of_status("held")), "held");
    }
}
