//! The server's log, and its last lines: the reason of a failed start is found nowhere else.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::process::Stdio;

use super::data_dir::DataDir;
use super::error::Error;

/// A log larger than this, in bytes, is truncated at the next start.
const LARGEST: u64 = 1 << 20;
/// Bytes at the log's end that are searched for a reason.
const TAIL: u64 = 16 << 10;

pub(super) struct ServerLog {
    file: File,
    /// The offset of the first line of this start.
    begin: u64,
}

impl ServerLog {
    pub fn open(data_dir: &DataDir) -> Result<Self, Error> {
        let path = data_dir.log();
        let file = data_dir.open_file(&path)?;
        let mut begin = file.metadata().map_err(Error::io("read", &path))?.len();
        if begin > LARGEST {
            file.set_len(0).map_err(Error::io("shorten", &path))?;
            begin = 0;
        }
        Ok(Self { file, begin })
    }

    /// For the server's standard output and error.
    pub fn outputs(&self) -> io::Result<(Stdio, Stdio)> {
        Ok((self.file.try_clone()?.into(), self.file.try_clone()?.into()))
    }

    /// Whether the start failed because processes of a killed server still use the data. The server logs in English.
    pub fn reports_survivors(&self) -> bool {
        self.text().contains("is still in use")
    }

    /// The last lines of this start, joined into one.
    pub fn last_words(&self) -> String {
        summarize(&self.text())
    }

    fn text(&self) -> String {
        tail(&self.file, self.begin).unwrap_or_default()
    }
}

/// The end of a log's text after `begin`, at most [`TAIL`] bytes.
fn tail(mut file: &File, begin: u64) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(begin.max(length.saturating_sub(TAIL))))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The length of the server's log in bytes.
pub(super) fn length(data_dir: &DataDir) -> u64 {
    std::fs::metadata(data_dir.log()).map_or(0, |meta| meta.len())
}

/// Why a server ended by itself: the last PANIC or FATAL in its log after `begin`.
pub(super) fn last_fatal(data_dir: &DataDir, begin: u64) -> Option<String> {
    let file = File::open(data_dir.log()).ok()?;
    // A log that was truncated meanwhile is shorter.
    let begin = if begin <= length(data_dir) { begin } else { 0 };
    find_fatal(&tail(&file, begin).ok()?)
}

/// A PANIC counts more than a FATAL after it. What sessions are sent when a server goes down is no reason.
fn find_fatal(text: &str) -> Option<String> {
    let last = |level: &str| {
        let found = text
            .lines()
            .rev()
            .find(|line| line.contains(level) && !is_consequence(line))?;
        let reason = &found[found.find(level)?..];
        Some(reason.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    last("PANIC:").or_else(|| last("FATAL:"))
}

/// Whether the line is a message to a session while the server stops or starts.
fn is_consequence(line: &str) -> bool {
    let told = [
        "terminating connection",
        "the database system is",
        "Consistent recovery state has not been yet reached",
    ];
    told.iter().any(|words| line.contains(words))
}

/// The last lines that give a reason, without time and pid, or else the last line.
fn summarize(text: &str) -> String {
    const LEVELS: [&str; 5] = ["FATAL:", "PANIC:", "ERROR:", "DETAIL:", "HINT:"];
    let reasons: Vec<String> = text
        .lines()
        .filter(|line| !is_consequence(line))
        .filter_map(|line| LEVELS.iter().find_map(|word| line.find(word)).map(|at| &line[at..]))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    match reasons.as_slice() {
        [] => text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it printed nothing")
            .to_owned(),
        lines => lines[lines.len().saturating_sub(3)..].join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_failed_start_becomes_one_line() {
        let log = "2026-01-01 00:00:00 UTC [7] LOG:  starting PostgreSQL\n\
                   2026-01-01 00:00:00 UTC [7] FATAL:  could not map memory\n\
                   2026-01-01 00:00:00 UTC [7] HINT:  use less\n";
        assert_eq!(summarize(log), "FATAL: could not map memory; HINT: use less");
        let probed = format!(
            "{log}UTC [8] FATAL:  the database system is not yet accepting connections\n\
             UTC [8] DETAIL:  Consistent recovery state has not been yet reached.\n"
        );
        assert_eq!(summarize(&probed), summarize(log), "what the probes were told");
        assert_eq!(summarize("postgres: no such option\n\n"), "postgres: no such option");
        assert_eq!(summarize(""), "it printed nothing");
    }

    #[test]
    fn a_server_ended_by_its_last_panic() {
        let log = "UTC [7] PANIC:  could not write to file \"pg_wal/xlogtemp\": No space left on device\n\
                   UTC [8] FATAL:  the database system is in recovery mode\n\
                   UTC [9] FATAL:  terminating connection because of crash of another server process\n";
        let reason = "PANIC: could not write to file \"pg_wal/xlogtemp\": No space left on device";
        assert_eq!(find_fatal(log).as_deref(), Some(reason));
        assert_eq!(
            find_fatal("UTC [7] FATAL:  out of memory\n").as_deref(),
            Some("FATAL: out of memory")
        );
        assert_eq!(find_fatal("UTC [8] FATAL:  the database system is starting up\n"), None);
    }
}
