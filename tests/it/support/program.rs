//! The real program as a child process, on a simulator and a database of the test's own.

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

/// `sync` at full speed, its outcome as JSON on stdout.
pub fn sync(simulator: &Simulator, database: &TestDatabase, more: &[&str]) -> Command {
    program(simulator, database, &[&SYNC, more].concat())
}

/// The same, with a database that is not only a test's, but a server's.
pub fn sync_to(simulator: &Simulator, url: &str, more: &[&str]) -> Command {
    program_on(simulator, url, &[&SYNC, more].concat())
}

const SYNC: [&str; 7] = [
    "sync",
    "--output",
    "json",
    "--quota",
    "1000000/1s",
    "--quota-share",
    "100",
];

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ended {
    command.output().unwrap().into()
}
