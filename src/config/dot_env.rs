//! The `.env` file of the working folder. It supplies the account and its credentials where nothing else does.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use secrecy::{ExposeSecret, SecretString};

use super::error::Origin;
use super::exposed::is_open;
use super::secret::utf8;
use crate::text::shell_word;

/// The only variables that are taken. A file of a project must not choose a program to run, a database or an API.
pub(super) const NAMES: [&str; 4] = [
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_ACCOUNT_ID",
    "CLOUDFLARE_EMAIL",
    "CLOUDFLARE_API_KEY",
];
const LARGEST: u64 = 64 << 10;
const WRITTEN_BY_OTHERS: u32 = 0o022;
const READ_BY_OTHERS: u32 = 0o004;
/// Line numbers in one message.
const MOST_LINES: usize = 5;

/// The file's content. That of a file that is not there is empty.
#[derive(Default)]
pub(super) struct DotEnv {
    path: PathBuf,
    values: Vec<Value>,
    /// What is wrong with the file, and what to do.
    problems: Vec<String>,
    is_readable_by_others: bool,
}

struct Value {
    name: &'static str,
    line: usize,
    text: SecretString,
    is_taken: Cell<bool>,
}

/// What to report about the file once its values were taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DotEnvReport {
    /// The variables that it supplied.
    pub supplied: Vec<&'static str>,
    /// One line each: what is wrong, and what to do.
    pub problems: Vec<String>,
}

impl DotEnv {
    pub fn read(path: &Path) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        match file.load() {
            Ok(Some(text)) => file.parse(&text),
            Ok(None) => {}
            Err(problem) => file.problems.push(format!("{}: {problem}", path.display())),
        }
        file
    }

    /// The value of a variable, and where it is. An empty one counts as not set, as in the environment.
    pub fn take(&self, name: &str) -> Option<(Origin, String)> {
        let value = self.values.iter().find(|value| value.name == name)?;
        value.is_taken.set(true);
        let origin = Origin::File {
            file: self.path.clone(),
            line: value.line,
            key: name.to_owned(),
        };
        Some((origin, value.text.expose_secret().to_owned()))
    }

    pub fn report(&self) -> DotEnvReport {
        let taken = self.values.iter().filter(|value| value.is_taken.get());
        let supplied: Vec<_> = taken.map(|value| value.name).collect();
        let mut problems = self.problems.clone();
        let is_secret = |name: &&str| name.ends_with("TOKEN") || name.ends_with("KEY");
        if self.is_readable_by_others && supplied.iter().any(is_secret) {
            let file = shell_word(&self.path.to_string_lossy());
            problems.push(format!(
                "{}: other users can read it, and it contains a secret: run `chmod o= {file}`",
                self.path.display()
            ));
        }
        DotEnvReport { supplied, problems }
    }

    /// Returns the text of a file that nobody else could have written.
    fn load(&mut self) -> Result<Option<String>, String> {
        // Opening a pipe must not wait for a writer.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err("not read, as it is a link: put a regular file in its place".to_owned());
            }
            Err(error) => return Err(format!("not read: {error}")),
        };
        self.check(&file)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("not read: {error}"))?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("not read, as it is larger than {} KiB", LARGEST >> 10));
        }
        let text = utf8(bytes).map_err(|form| format!("not read, as it is {form}, not UTF-8 text"))?;
        Ok(Some(text))
    }

    fn check(&mut self, file: &File) -> Result<(), String> {
        let metadata = file.metadata().map_err(|error| format!("not read: {error}"))?;
        let name = shell_word(&self.path.to_string_lossy());
        if !metadata.is_file() {
            return Err("not read, as it is not a regular file".to_owned());
        }
        let own = geteuid().as_raw();
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(format!(
                "not read, because it belongs to user id {}: if its content is yours, run `chown {own} {name}`",
                metadata.uid()
            ));
        }
        if metadata.mode() & WRITTEN_BY_OTHERS != 0 {
            return Err(format!(
                "not read, because other users can change it: run `chmod go-w {name}`"
            ));
        }
        self.is_readable_by_others = self
            .path
            .canonicalize()
            .is_ok_and(|path| is_open(&path, READ_BY_OTHERS));
        Ok(())
    }

    fn parse(&mut self, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let (mut at, mut malformed) = (0, Vec::new());
        while at < lines.len() {
            let number = at + 1;
            match entry(&lines[at..]) {
                Ok(None) => at += 1,
                Ok(Some(entry)) => {
                    at += entry.lines;
                    self.keep(entry, number);
                }
                Err(Malformed) => {
                    at += 1;
                    malformed.push(number);
                }
            }
        }
        if !malformed.is_empty() {
            self.problems.push(told(&self.path, &malformed));
        }
    }

    /// Keeps the last value of a name, as most programs that read such files do.
    fn keep(&mut self, entry: Assignment<'_>, line: usize) {
        let Some(name) = NAMES.into_iter().find(|name| *name == entry.name) else {
            return;
        };
        self.values.retain(|value| value.name != name);
        if !entry.value.is_empty() {
            self.values.push(Value {
                name,
                line,
                text: entry.value.into(),
                is_taken: Cell::new(false),
            });
        }
    }
}

fn told(path: &Path, malformed: &[usize]) -> String {
    let numbers: Vec<_> = malformed.iter().take(MOST_LINES).map(usize::to_string).collect();
    let more = match malformed.len().saturating_sub(MOST_LINES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (file, numbers) = (path.display(), numbers.join(", "));
    match malformed {
        [line] => format!("{file}:{line}: skipped, as the line is not NAME=value"),
        _ => format!("{file}: skipped lines {numbers}{more}, as they are not NAME=value"),
    }
}

/// A variable, and the number of lines that it takes.
struct Assignment<'a> {
    name: &'a str,
    value: String,
    lines: usize,
}

/// A line that is neither a variable, nor empty, nor a comment.
struct Malformed;

/// The variable in the first of these lines, if it has one. Nothing is substituted in its value.
fn entry<'a>(lines: &[&'a str]) -> Result<Option<Assignment<'a>>, Malformed> {
    let line = lines.first().map_or("", |line| line.trim());
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let (name, value) = exported.unwrap_or(line).split_once('=').ok_or(Malformed)?;
    let (name, value) = (name.trim(), value.trim_start());
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return Err(Malformed);
    }
    let (value, lines) = match value.chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => quoted(quote, &value[1..], &lines[1..]).ok_or(Malformed)?,
        _ => (unquoted(value).to_owned(), 1),
    };
    Ok(Some(Assignment { name, value, lines }))
}

/// A comment begins with a `#` at the start or after white space.
fn unquoted(value: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| value[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let end = value.match_indices('#').find(begins).map_or(value.len(), |(at, _)| at);
    value[..end].trim_end()
}

/// A value up to its closing quote, which may be in a later line, and the number of lines. Only a comment may follow.
fn quoted(quote: char, first: &str, later: &[&str]) -> Option<(String, usize)> {
    let mut value = String::new();
    for (line, number) in std::iter::once(&first).chain(later).zip(1..) {
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            if c == quote {
                let rest = chars.as_str().trim_start();
                return (rest.is_empty() || rest.starts_with('#')).then_some((value, number));
            }
            if c != '\\' || quote != '"' {
                value.push(c);
                continue;
            }
            match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                other => {
                    value.push('\\');
                    value.extend(other);
                }
            }
        }
        value.push('\n');
    }
    None
}
