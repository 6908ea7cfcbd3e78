//! `check`: reports whether everything is in place for a sync, in one line per item, with what to do about each
//! problem. It changes nothing.

mod api;
mod database;

use durable_inventory::cli::{CheckArgs, OutputFormat};
use durable_inventory::config::Settings;
use durable_inventory::documents::{CheckDocument, CheckFinding};
use durable_inventory::text::{chain, visible};

use super::connections::Connections;
use super::signals::stopped;
use super::store::until;
use crate::terminal::look::{Look, Tint};
use crate::terminal::suggested::complete;
use crate::terminal::{self, Failure};

/// Larger differences between clocks would misdate the record noticeably.
const APART_S: f64 = 60.0;

/// Prints each finding at once, or keeps it for the JSON.
struct Findings {
    format: OutputFormat,
    kept: Vec<CheckFinding>,
    wrong: bool,
}

impl Findings {
    fn new(format: OutputFormat) -> Self {
        Self {
            format,
            kept: Vec::new(),
            wrong: false,
        }
    }

    fn right(&mut self, what: &str, detail: &str) -> Result<(), Failure> {
        self.add("ok", "ok", what, detail)
    }

    fn wrong(&mut self, what: &str, why: &str) -> Result<(), Failure> {
        self.wrong = true;
        // Not cut to a length: quoted words were, and the advice is at the end.
        let lines: Vec<_> = why.lines().map(visible).collect();
        self.add("wrong", "WRONG", what, &lines.join("\n"))
    }

    /// Something that works but should be changed.
    fn doubtful(&mut self, what: &str, why: &str) -> Result<(), Failure> {
        self.add("note", "NOTE", what, why)
    }

    /// Something that could not be checked.
    fn skipped(&mut self, what: &str, why: &str) -> Result<(), Failure> {
        self.add("skipped", "-", what, &format!("not checked: {why}"))
    }

    fn add(&mut self, status: &'static str, mark: &str, what: &str, detail: &str) -> Result<(), Failure> {
        match self.format {
            OutputFormat::Text => {
                let tint = match status {
                    "wrong" => Some(Tint::Red),
                    "note" => Some(Tint::Yellow),
                    _ => None,
                };
                print(mark, tint, &complete(&format!("{what}: {detail}")))
            }
            OutputFormat::Json => {
                self.kept.push(CheckFinding::new(what, status, detail));
                Ok(())
            }
        }
    }
}

/// Prints a finding. Each of its lines begins in the eighth column.
fn print(verdict: &str, tint: Option<Tint>, text: &str) -> Result<(), Failure> {
    let look = Look::stdout();
    let mut beginning = look.tinted(verdict, tint) + &" ".repeat(7_usize.saturating_sub(verdict.len()));
    let mut finding = String::new();
    for line in text.lines() {
        finding.push_str(&(look.wrapped(&format!("{beginning}{line}"), 7) + "\n"));
        beginning = " ".repeat(7);
    }
    terminal::out(&finding)
}

pub async fn run(settings: &Settings<'_>, args: &CheckArgs) -> Result<u8, Failure> {
    let stopped = stopped()?;
    let mut findings = Findings::new(args.output.format());
    let mut connections = Connections::default();
    let config = until(&stopped, api::configuration(settings, &mut connections, &mut findings)).await?;
    for exposed in settings.exposed_files() {
        findings.doubtful("files", &exposed)?;
    }
    let database_ahead = match settings.store() {
        Ok(store) => database::look(store, config.as_ref(), args.deep, &stopped, &mut findings).await?,
        // The configuration's finding may be about another problem that came first.
        Err(error) => {
            findings.wrong("database", &chain(&error))?;
            None
        }
    };
    let api_ahead = match &config {
        Some(config) => until(&stopped, api::look(config, &mut connections, &mut findings)).await?,
        None => {
            findings.skipped("token, permission, namespaces, quota", "the configuration has an error")?;
            None
        }
    };
    clock(api_ahead, database_ahead, &mut findings)?;
    if findings.format == OutputFormat::Json {
        terminal::out(&terminal::json(CheckDocument::new(!findings.wrong, findings.kept))?)?;
    }
    Ok(if findings.wrong { 2 } else { 0 })
}

/// Compares the clocks of this machine, the database and the API. The record's times are the database's.
fn clock(api_ahead: Option<i64>, database_ahead: Option<f64>, findings: &mut Findings) -> Result<(), Failure> {
    let api_ahead = api_ahead.map(|seconds| seconds as f64);
    let between = match (api_ahead, database_ahead) {
        (Some(api), Some(database)) => Some(api - database),
        _ => None,
    };
    let compared = [
        ("this machine's clock", "the API's", api_ahead),
        ("this machine's clock", "the database's", database_ahead),
        ("the database's clock", "the API's", between),
    ];
    let mut known = compared
        .iter()
        .filter_map(|(one, other, ahead)| Some((one, other, (*ahead)?)));
    if let Some((one, other, ahead)) = known.clone().find(|(_, _, ahead)| ahead.abs() > APART_S) {
        let way = if ahead > 0.0 { "ahead of" } else { "behind" };
        let by = ahead.abs().round();
        return findings.wrong("clock", &format!("{one} is {by} s {way} {other}: set both by NTP"));
    }
    match known.next() {
        Some(_) => findings.right(
            "clock",
            &format!("within {APART_S} s of the other clocks that could be read"),
        ),
        None => findings.skipped("clock", "no other clock could be read"),
    }
}
