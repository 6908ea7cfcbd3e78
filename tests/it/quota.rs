//! Promise 6, the quota, as the server observes it: through the program itself, with restarts and with several
//! accounts.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Fault, Quota, Simulator, When};
use tempfile::TempDir;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, truth};
use crate::support::program::{ACCOUNT, TOKEN, program, run, simulator, sync, sync_by_file};

const OTHER: &str = "fedcba9876543210fedcba9876543210";
const WINDOW: Duration = Duration::from_secs(2);
/// Tolerance for requests that arrive late. The program counts when it sends and the server when it receives. On a busy
/// machine one request may be late and the following ones on time.
const LATE: Duration = Duration::from_millis(150);
/// 80% of 60.
const SHARE: usize = 48;
const PACE: &[&str] = &["--quota", "60/2s", "--quota-share", "80", "--limit", "10"];

fn seeded(simulator: &Simulator, account: &str, names: &[&str], objects: usize) -> Vec<String> {
    let add = |name: &&str| {
        let namespace = simulator.add_namespace(account, name);
        simulator.seed(&namespace, objects, 1);
        namespace
    };
    names.iter().map(add).collect()
}

fn paced(simulator: &Simulator, database: &TestDatabase) -> Command {
    let args = [&["sync", "--output", "json", "--quiet"], PACE].concat();
    program(simulator, database, &args)
}

async fn until_requests(simulator: &Simulator, count: usize) {
    while simulator.requests().len() < count {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn all_is_right(simulator: &Simulator, database: &TestDatabase, namespaces: &[String]) {
    for namespace in namespaces {
        assert_eq!(objects(database, namespace).await, truth(simulator, namespace));
    }
}

#[tokio::test]
async fn restarts_do_not_add_up() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespaces = seeded(&simulator, ACCOUNT, &["a", "b", "c", "d"], 250);
    simulator.set_quota(Some(Quota::new(60, WINDOW)));
    for restart in 1..=4 {
        let mut child: Child = paced(&simulator, &database)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each run is killed after its first requests, so that four of them fit into two windows.
        until_requests(&simulator, restart * 12).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ended = run(paced(&simulator, &database));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    all_is_right(&simulator, &database, &namespaces).await;
    let most = simulator.max_in_window(WINDOW - LATE);
    assert!(simulator.requests().len() > 2 * SHARE, "too few to show anything");
    assert!(most <= SHARE, "{most} requests in a window");
    assert_eq!(simulator.refused(), 0, "the server, which counts for itself, agrees");
}

/// Two accounts, with the variables of their tokens.
fn two_accounts() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.toml");
    let table = |id, variable| format!("[[accounts]]\nid = \"{id}\"\napi_token_env = \"{variable}\"\n");
    std::fs::write(&file, table(ACCOUNT, "TOKEN_1") + &table(OTHER, "TOKEN_2")).unwrap();
    (folder, file)
}

#[tokio::test]
async fn accounts_with_one_token_share_its_quota() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_account(OTHER, TOKEN);
    let mut namespaces = seeded(&simulator, ACCOUNT, &["a", "b"], 250);
    namespaces.extend(seeded(&simulator, OTHER, &["c", "d"], 250));
    let (_folder, file) = two_accounts();
    let mut command = sync_by_file(&simulator, &database, &file, PACE);
    command.env("TOKEN_1", TOKEN).env("TOKEN_2", TOKEN);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    all_is_right(&simulator, &database, &namespaces).await;
    let most = simulator.max_in_window(WINDOW - LATE);
    assert!(simulator.requests().len() > 2 * SHARE, "too few to show anything");
    assert!(most <= SHARE, "{most} requests in a window");
}

#[tokio::test]
async fn a_pause_of_one_token_is_not_the_others() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_account(OTHER, "another-token");
    let mine = seeded(&simulator, ACCOUNT, &["a"], 30);
    let others = seeded(&simulator, OTHER, &["b"], 30);
    simulator.fault(&mine[0], When::Nth(2), Fault::too_many(Some("3")));
    let (_folder, file) = two_accounts();
    let args = ["--quota", "1000000/1s", "--limit", "10"];
    let mut command = sync_by_file(&simulator, &database, &file, &args);
    command.env("TOKEN_1", TOKEN).env("TOKEN_2", "another-token");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let resumed = simulator.requests_to(&mine[0])[2].at;
    let last = simulator.requests_to(&others[0]).last().unwrap().at;
    assert!(last < resumed, "the other token went on meanwhile");
}

/// Waits until the program logs a line with this text. Keeps reading afterwards, so that the program does not block on
/// its log.
fn until_logged(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.any(|line| line.unwrap().contains(text));
    assert!(found, "the program ended without a word of {text}");
    std::thread::spawn(move || lines.for_each(drop));
}

#[tokio::test]
async fn a_429_pauses_every_namespace_of_its_token() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespaces = seeded(&simulator, ACCOUNT, &["a", "b", "c", "d"], 50);
    simulator.fault(&namespaces[0], When::Nth(2), Fault::too_many(Some("2")));
    // All four are at their second page when the first of them is refused.
    let holds: Vec<_> = namespaces.iter().map(|id| simulator.hold_at(id, 2)).collect();
    let mut child = sync(&simulator, &database, &["--limit", "10"]).spawn().unwrap();
    for hold in &holds {
        hold.wait_until_held().await;
    }
    let released = Instant::now();
    holds[0].release();
    until_logged(&mut child, "HTTP 429");
    let before = simulator.requests().len();
    for hold in &holds[1..] {
        hold.release();
    }
    assert!(child.wait().unwrap().success());
    let requests = simulator.requests();
    let next = requests[before].at;
    let pause = next - released;
    assert!(pause >= Duration::from_secs(2), "a request after {pause:?}");
    assert_eq!(simulator.refused(), 1);
    all_is_right(&simulator, &database, &namespaces).await;
}
