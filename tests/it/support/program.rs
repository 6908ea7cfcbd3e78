//! Runs the real program as a child process, against a simulator and a database that belong to the test.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use cloudflare_simulator::Simulator;
use serde_json::Value;

use super::database::TestDatabase;

/// The account in the tests' simulators, and its token.
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "test-token";

/// The result of a finished run.
#[derive(Debug)]
pub struct Ended {
    /// `None` if a signal ended the run.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Parses stdout as JSON, for `--output json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Starts a simulator with the tests' account.
pub async fn simulator() -> Simulator {
    let simulator = Simulator::start().await;
    simulator.add_account(ACCOUNT, TOKEN);
    simulator
}

/// The program with no environment variable of the tester but PATH, and without a rate limit.
pub fn program(simulator: &Simulator, database: &TestDatabase, args: &[&str]) -> Command {
    program_on(simulator, &database.url(), args)
}

fn program_on(simulator: &Simulator, url: &str, args: &[&str]) -> Command {
    let mut command = bare(args);
    command
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", TOKEN)
        .env("DATABASE_URL", url);
    command
}

/// The program without any configuration.
pub fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_durable-inventory"));
    command
        .args(args)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `sync` at full speed on one cursor, with its outcome as JSON on stdout. On a busy machine the API looks slow, and
/// the program would otherwise use several cursors; the module `cursors` tests those.
pub fn sync(simulator: &Simulator, database: &TestDatabase, more: &[&str]) -> Command {
    program(simulator, database, &[&SYNC, more].concat())
}

/// `sync` with a configuration file that sets everything but the addresses of the API and the database.
pub fn sync_by_file(simulator: &Simulator, database: &TestDatabase, file: &Path, more: &[&str]) -> Command {
    let args = ["sync", "--output", "json", "--config", file.to_str().unwrap()];
    let mut command = bare(&[&args, more].concat());
    command
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("DATABASE_URL", database.url());
    command
}

/// `sync` on a database given by URL, which may be any server's.
pub fn sync_to(simulator: &Simulator, url: &str, more: &[&str]) -> Command {
    program_on(simulator, url, &[&SYNC, more].concat())
}

const SYNC: [&str; 9] = [
    "sync",
    "--output",
    "json",
    "--quota",
    "1000000/1s",
    "--quota-share",
    "100",
    "--cursors",
    "1",
];

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ended {
    command.output().unwrap().into()
}
