//! Command lines of the program and of its child processes, which every user of the machine can read.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use cloudflare_simulator::Simulator;
use sqlx::{Connection, Executor, PgConnection};

use super::{API_TOKEN, MARK, search, simulator, sync, with_password};
use crate::support::database::fresh_database;
use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, bare};

/// The command lines of a process and of all its descendants.
fn command_lines(root: u32) -> Vec<String> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let (mut open, mut lines) = (vec![root], Vec::new());
    while let Some(pid) = open.pop() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    lines
}

fn are_searched(lines: &[String]) {
    let found = lines.iter().find(|line| line.contains(MARK));
    assert_eq!(found, None, "a secret in a command line");
}

/// A core dump would contain the secrets. At a limit of 1 byte, Linux starts no program that collects it either.
fn leaves_no_core_dump(pid: u32) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let soft: u64 = core.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert!(soft <= 1, "{core}");
}

async fn held_sync(simulator: &Simulator, mut command: Command, child_name: &str) {
    let chat = simulator.add_namespace(ACCOUNT, "chat");
    simulator.seed(&chat, 10, 1);
    let hold = simulator.hold_at(&chat, 1);
    command.env("RUST_LOG", "trace");
    let child = command.spawn().unwrap();
    // Its output must be read meanwhile, or it would block on a full pipe.
    let pid = child.id();
    let output = std::thread::spawn(move || child.wait_with_output().unwrap());
    hold.wait_until_held().await;
    let lines = command_lines(pid);
    assert!(lines.iter().any(|line| line.contains(child_name)), "{lines:?}");
    are_searched(&lines);
    leaves_no_core_dump(pid);
    hold.release();
    let ended = Ended::from(output.join().unwrap());
    search(&ended);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test]
async fn no_command_line_of_sync_has_a_secret() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    held_sync(
        &simulator,
        sync(&simulator, &with_password(&database)),
        "durable-inventory",
    )
    .await;
    super::database::is_searched(&database);
}

/// If root starts the private server, it runs as another user. Neither its command line nor its environment may contain
/// a secret.
#[tokio::test]
async fn the_private_server_is_told_no_secret() {
    let (simulator, data) = (simulator().await, Data::new());
    let chat = simulator.add_namespace(ACCOUNT, "chat");
    let hold = simulator.hold_at(&chat, 1);
    let mut command = sync(&simulator, "");
    command.arg("--data-dir").arg(&data.dir);
    let child = command.spawn().unwrap();
    let pid = child.id();
    let output = std::thread::spawn(move || child.wait_with_output().unwrap());
    hold.wait_until_held().await;
    let lines = command_lines(pid);
    assert!(lines.iter().any(|line| line.contains("postgres")), "{lines:?}");
    are_searched(&lines);
    let environment = fs::read(format!("/proc/{}/environ", data.server_pid().as_raw_nonzero())).unwrap();
    assert!(
        !String::from_utf8_lossy(&environment).contains(API_TOKEN),
        "the token is in the server's environment"
    );
    hold.release();
    let ended = Ended::from(output.join().unwrap());
    search(&ended);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test]
async fn psql_is_told_the_password_by_its_environment_alone() {
    let database = fresh_database().await;
    let mut gate = PgConnection::connect_with(&database.options).await.unwrap();
    gate.execute("select pg_advisory_lock(1)").await.unwrap();
    let mut command = bare(&["psql", "-X", "-c", "select pg_advisory_lock(1)"]);
    command
        .env("DATABASE_URL", with_password(&database))
        .env("RUST_LOG", "trace");
    let child = command.spawn().unwrap();
    let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
    let deadline = Instant::now() + Duration::from_secs(30);
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut gate).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "psql does not come to the lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lines = command_lines(child.id());
    assert!(lines.len() > 1, "{lines:?}");
    are_searched(&lines);
    gate.execute("select pg_advisory_unlock(1)").await.unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    search(&ended);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// psql's pager, its editor and anything that `\!` runs are its child processes.
#[tokio::test]
async fn what_psql_runs_inherits_no_token() {
    let database = fresh_database().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("inventory.toml");
    let account = format!("[[accounts]]\nid = '{ACCOUNT}'\napi_token_env = 'STAGING_TOKEN'\n");
    fs::write(&config, account).unwrap();
    let mut command = bare(&["--config", config.to_str().unwrap(), "psql", "-X", "-c", r"\! env"]);
    command
        .env("DATABASE_URL", database.url())
        .env("CLOUDFLARE_API_TOKEN", API_TOKEN)
        .env("CLOUDFLARE_API_KEY_FILE", "/nowhere")
        .env("DURABLE_INVENTORY_PING_URL", "https://ping.example/s3cretmark")
        .env("DURABLE_INVENTORY_NOTIFY_URL", "https://chat.example/s3cretmark")
        .env("AWS_REGION", "there")
        .env("STAGING_TOKEN", API_TOKEN);
    let ended = Ended::from(command.output().unwrap());
    search(&ended);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let ours = ["CLOUDFLARE_", "DATABASE_URL", "DURABLE_INVENTORY_"];
    let line = ended
        .stdout
        .lines()
        .find(|line| ours.iter().any(|name| line.starts_with(name)));
    assert_eq!(line, None);
    assert!(
        ended.stdout.contains("AWS_REGION=there"),
        "the rest is the user's: {ended:#?}"
    );
}
