//! `check`: reports whether everything is in place for a sync, in one line per item, with what to do about each
//! problem. It changes nothing.

mod api;

use durable_inventory::cli::{CheckArgs, OutputFormat};
use durable_inventory::config::{Settings, StoreConfig, SyncConfig};
use durable_inventory::documents::{CheckDocument, CheckFinding};
use durable_inventory::store::{SchemaState, Store};
use durable_inventory::text::{chain, shell_word, shown, visible};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::signals::stopped;
use super::store::{StoreServer, is_new, leave, until};
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
        Ok(store) => reach_database(store, config.as_ref(), args.deep, &stopped, &mut findings).await?,
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

/// Returns how far this machine's clock is ahead of the database's.
async fn reach_database(
    config: StoreConfig,
    sync: Option<&SyncConfig>,
    deep: bool,
    stopped: &CancellationToken,
    findings: &mut Findings,
) -> Result<Option<f64>, Failure> {
    if is_new(&config) {
        let detail = "nothing recorded yet: the first sync will create a private PostgreSQL";
        findings.right("database", detail)?;
        findings.right("migrations", "the first sync will apply them")?;
        return Ok(None);
    }
    match StoreServer::find(config).await {
        Ok(server) => {
            server
                .during(async |server| database(server, sync, deep, stopped, findings).await)
                .await
        }
        Err(failure) => {
            findings.wrong("database", &failure.to_string())?;
            Ok(None)
        }
    }
}

async fn database(
    server: &StoreServer,
    sync: Option<&SyncConfig>,
    deep: bool,
    stopped: &CancellationToken,
    findings: &mut Findings,
) -> Result<Option<f64>, Failure> {
    let connected = until(stopped, async { Ok(Store::connect(server.options.clone(), 2).await) });
    let store = match connected.await? {
        Ok(store) => store,
        Err(error) => {
            findings.wrong("database", &chain(&error))?;
            findings.skipped("migrations", "the database can't be reached")?;
            return Ok(None);
        }
    };
    let reached = match &server.private {
        Some(private) => format!("reached: the private PostgreSQL in {}", private.data_dir().display()),
        None => "reached".to_owned(),
    };
    findings.right("database", &visible(&reached))?;
    let checked = async {
        migrations(&store, sync, deep, findings).await?;
        Ok(store.clock_ahead_s().await.ok())
    };
    let checked = until(stopped, checked).await;
    leave(store, stopped).await;
    checked
}

async fn migrations(
    store: &Store,
    sync: Option<&SyncConfig>,
    deep: bool,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let detail = match store.schema_state().await {
        Ok(SchemaState::Current) => {
            findings.right("migrations", "up to date")?;
            rights(store, findings).await?;
            origin(store, sync, findings).await?;
            return if deep { digests(store, findings).await } else { Ok(()) };
        }
        Ok(SchemaState::Behind) => "the next sync will update the schema",
        Ok(SchemaState::Missing) => "the first sync will create the schema `inventory`",
        Err(error) => return findings.wrong("migrations", &chain(&error)),
    };
    findings.right("migrations", detail)
}

/// Checks that this role may write what a sync writes, and that row security hides nothing from it.
async fn rights(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    match store.tables_with_hidden_rows().await {
        Ok(tables) if tables.is_empty() => {}
        Ok(tables) => {
            let why = format!(
                "row security hides rows of {} from this role: use a role with BYPASSRLS, or the owner of the tables",
                tables.join(", ")
            );
            findings.wrong("rights", &why)?;
        }
        Err(error) => findings.wrong("rights", &chain(&error))?,
    }
    match store.tables_without_rights().await {
        Ok(tables) if tables.is_empty() => Ok(()),
        Ok(tables) => {
            let why = format!(
                "this role may not write {}: docs/operations.md has the GRANTs",
                tables.join(", ")
            );
            findings.wrong("rights", &why)
        }
        Err(error) => findings.wrong("rights", &chain(&error)),
    }
}

/// Checks that the record of each account comes from the configured API: a sync refuses any other.
async fn origin(store: &Store, sync: Option<&SyncConfig>, findings: &mut Findings) -> Result<(), Failure> {
    for account in sync.iter().flat_map(|config| &config.accounts) {
        if let Err(error) = store.require_api(&account.id, account.endpoint.base_url.as_str()).await {
            findings.wrong("record", &chain(&error))?;
        }
    }
    Ok(())
}

async fn digests(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    match store.namespaces_with_wrong_digest().await {
        Ok(wrong) if wrong.is_empty() => findings.right(
            "record",
            "the rows of every namespace match its latest \
                                                                   snapshot",
        ),
        Ok(wrong) => wrong.iter().try_for_each(|(account, namespace)| {
            let why = format!(
                "its rows differ from its latest snapshot: repair them with `durable-inventory sync --account {} \
                 --rebuild {}`",
                shell_word(account),
                shell_word(namespace)
            );
            findings.wrong(&format!("namespace {}", shown(namespace)), &why)
        }),
        Err(error) => findings.wrong("record", &chain(&error)),
    }
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
