//! The outputs that the pages show are the program's.
//!
//! Each `console` block is run as it stands, on a terminal of 80 columns, all blocks of a page in one folder and on one
//! record: that of the demo's account, in which a week passes before each `sync` but the first. docs/reports.md has a
//! record of some months.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use cloudflare_simulator::{DEMO_ACCOUNT, DEMO_TOKEN, Simulator, State};
use tempfile::TempDir;

use super::markdown::{Page, pages, root};
use crate::report::everything;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::terminal::output_of;

pub fn update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

struct Session {
    simulator: Simulator,
    database: TestDatabase,
    folder: TempDir,
    synced: bool,
}

impl Session {
    async fn on_page(page: &Page) -> Self {
        let database = match page.path.as_str() {
            "docs/reports.md" => everything().await.database,
            _ => fresh_database().await,
        };
        Self {
            simulator: Simulator::serve(State::demo(), 0).await.unwrap(),
            database,
            folder: tempfile::tempdir().unwrap(),
            synced: false,
        }
    }

    /// What the command prints to stdout.
    fn run(&mut self, line: &str) -> String {
        if line.contains("durable-inventory sync") && std::mem::replace(&mut self.synced, true) {
            self.simulator.with(|state| state.pass_time(7));
        }
        let program = Path::new(env!("CARGO_BIN_EXE_durable-inventory"));
        let path = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let messages = self.folder.path().join(".messages");
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("PSQL_PAGER", "cat")
            .env("CLOUDFLARE_API_BASE_URL", self.simulator.base_url())
            .env("CLOUDFLARE_ACCOUNT_ID", DEMO_ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", DEMO_TOKEN)
            .env("DATABASE_URL", self.database.url())
            .stdin(Stdio::null())
            .stderr(fs::File::create(&messages).unwrap());
        let (code, output) = output_of(command, 80);
        assert_eq!(
            code,
            Some(0),
            "{line}\n{output}{}",
            fs::read_to_string(&messages).unwrap()
        );
        output
    }
}

/// The command lines of a block, each with the output that follows it.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((command, output))) if command.ends_with('\\') && output.is_empty() => {
                command.push('\n');
                command.push_str(line);
            }
            (None, last) => {
                let (_, output) = last.unwrap_or_else(|| panic!("an output without a command: {block}"));
                output.push_str(line);
                output.push('\n');
            }
        }
    }
    commands
}

fn trimmed(output: &str) -> String {
    let lines: Vec<_> = output.trim_end().lines().map(str::trim_end).collect();
    match lines.is_empty() {
        true => String::new(),
        false => lines.join("\n") + "\n",
    }
}

/// The words of an output, without those that depend on the time and on which walk ended first.
fn masked(output: &str) -> String {
    let mut masked = String::new();
    for line in trimmed(output).lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1).copied().unwrap_or_default();
            masked.push_str(mask(word, next));
            masked.push(' ');
        }
        masked.push('\n');
    }
    masked
}

const UNITS: [&str; 9] = ["s", "min", "h", "d", "ms", "day", "days", "hours", "hour"];
const STATUSES: [&str; 6] = ["complete", "missing", "held", "failed", "interrupted", "running"];

fn mask<'a>(word: &'a str, next: &str) -> &'a str {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let bare = word.trim_matches(|c| matches!(c, ',' | ';' | ':' | '(' | ')'));
    let unit = UNITS.iter().any(|unit| bare.strip_suffix(unit).is_some_and(is_number));
    let is_unit = UNITS.contains(&next.trim_matches(|c: char| !c.is_alphabetic()));
    let hex = |length| bare.len() == length && bare.chars().all(|c| c.is_ascii_hexdigit());
    let is_date = bare.len() >= 8 && bare.chars().all(|c| c.is_ascii_digit() || "-:.TZ".contains(c));
    if unit || is_number(bare) && (is_unit || STATUSES.contains(&next)) {
        "[n]"
    } else if is_date {
        "[time]"
    } else if hex(64) || hex(32) {
        "[id]"
    } else if word.chars().all(|c| c == '-') && word.len() > 2 {
        "---"
    } else {
        word
    }
}

/// Runs the page's commands, and compares or writes what they print.
async fn try_outputs(path: &str) {
    let page = Page::read(path);
    let mut session = Session::on_page(&page).await;
    let mut text = page.text.clone();
    for block in page.blocks().iter().filter(|block| block.language == "console") {
        let mut shown_anew = Vec::new();
        for (line, shown) in commands(block.text) {
            let output = session.run(&line);
            let alike = masked(&output) == masked(&shown);
            if !update() {
                assert!(alike, "{path}: {line}\n{}\n{}", masked(&output), masked(&shown));
            }
            // Times and ids stay as they are if nothing else changed.
            let text = if alike { &shown } else { &output };
            shown_anew.push(format!("$ {line}\n{}", trimmed(text)));
        }
        text = text.replace(block.text, &shown_anew.join("\n"));
    }
    if update() {
        fs::write(root().join(path), text).unwrap();
    }
}

#[tokio::test]
async fn the_readme_shows_what_the_program_prints() {
    try_outputs("README.md").await;
}

#[tokio::test]
async fn the_page_about_exports_shows_what_the_program_prints() {
    try_outputs("docs/exports.md").await;
}

#[tokio::test]
async fn the_page_about_reports_shows_what_the_program_prints() {
    try_outputs("docs/reports.md").await;
}

#[test]
fn no_output_is_left_untried() {
    let pages = pages().into_iter();
    let with_outputs = pages.filter(|page| page.blocks().iter().any(|block| block.language == "console"));
    let paths: Vec<_> = with_outputs.map(|page| page.path).collect();
    assert_eq!(paths, ["README.md", "docs/exports.md", "docs/reports.md"]);
}

/// The README is read in terminals, too.
#[test]
fn the_tables_of_the_readme_fit_eighty_columns() {
    let page = Page::read("README.md");
    for row in page.prose().filter(|line| line.starts_with('|')) {
        assert!(row.chars().count() <= 80, "{row}");
    }
}

/// So are its outputs.
#[test]
fn the_outputs_of_the_readme_fit_eighty_columns() {
    let page = Page::read("README.md");
    for block in page.blocks().iter().filter(|block| block.language == "console") {
        for line in block.text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
