//! The real program as a child process, on a simulator and a database of the test's own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use cloudflare_simulator::Simulator;
use serde_json::Value;

use super::database::TestDatabase;

/// The account that the tests' simulators hold, and its token.
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "test-token";

/// What a run of the program left.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
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
    /// stdout of `--output json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A simulator with the tests' account in it.
pub async fn simulator() -> Simulator {
    let simulator = Simulator::start().await;
    simulator.add_account(ACCOUNT, TOKEN);
    simulator
}

/// The program with nothing of the tester's own environment but PATH, and no limit on its pace.
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

/// `sync` at full speed on one cursor, its outcome as JSON on stdout. On a busy machine the API looks slow, and without
/// the option it would be read on several: `cursors` is about those.
pub fn sync(simulator: &Simulator, database: &TestDatabase, more: &[&str]) -> Command {
    program(simulator, database, &[&SYNC, more].concat())
}

/// `sync` by a configuration file, which says everything but where the API and the database are.
pub fn sync_by_file(simulator: &Simulator, database: &TestDatabase, file: &Path, more: &[&str]) -> Command {
    let args = ["sync", "--output", "json", "--config", file.to_str().unwrap()];
    let mut command = bare(&[&args, more].concat());
    command
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("DATABASE_URL", database.url());
    command
}

/// The same, with a database that is not only a test's, but a server's.
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
