//! A program that prints the token.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use tempfile::TempDir;

use super::{SYNC, program_in, service};
use crate::support::account::OTHER;
use crate::support::database::TestDatabase;
use crate::support::ledger::{objects, truth};
use crate::support::program::{ACCOUNT, Ended, TOKEN, run};

const VARIABLE: &str = "CLOUDFLARE_API_TOKEN_COMMAND";

fn command(folder: &TempDir, simulator: &Simulator, database: &TestDatabase, args: &[&str], given: &str) -> Command {
    let mut command = program_in(folder, simulator, database, args);
    command.env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT).env(VARIABLE, given);
    command
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
}

/// A script that prints the token in the file `token`, and leaves a line in `runs`.
fn counting(folder: &TempDir) -> &'static str {
    write(folder.path(), "token", TOKEN, 0o600);
    write(folder.path(), "print", "#!/bin/sh\necho >> runs\ncat token\n", 0o700);
    "sh print"
}

fn runs(folder: &TempDir) -> usize {
    fs::read_to_string(folder.path().join("runs")).unwrap().lines().count()
}

fn allow(simulator: &Simulator, token: &str) {
    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().credentials = vec![format!("Bearer {token}")]);
}

#[tokio::test]
async fn it_prints_text_or_json_and_runs_without_a_shell() {
    let (simulator, database, namespace) = service().await;
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "json",
        &format!("{{\n  \"type\": \"oauth\",\n  \"token\": \"{TOKEN}\"\n}}\n"),
        0o600,
    );
    for given in [
        format!("echo {TOKEN}"),
        format!("printf '%s' \"{TOKEN}\""),
        "cat json".to_owned(),
    ] {
        let ended = run(command(&folder, &simulator, &database, SYNC, &given));
        assert_eq!(ended.code, Some(0), "{given}: {ended:#?}");
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains(TOKEN), "{ended:#?}");
    }
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    for given in ["echo $HOME", "echo `true`", "echo x; touch ran", "echo x | touch ran"] {
        let ended = run(command(&folder, &simulator, &database, SYNC, given));
        assert_eq!(ended.code, Some(2), "{given}: {ended:#?}");
        assert!(
            ended.stderr.contains("printed something other than a token"),
            "{given}: {ended:#?}"
        );
    }
    assert!(!folder.path().join("ran").exists());

    // The account may be found with such a token, too, and the program runs once.
    let mut alone = program_in(&folder, &simulator, &database, SYNC);
    alone.env(VARIABLE, counting(&folder));
    let ended = run(alone);
    assert_eq!((ended.code, runs(&folder)), (Some(0), 1), "{ended:#?}");
    let ended = run(command(&folder, &simulator, &database, &["check"], "cat token"));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test]
async fn it_sees_only_what_it_needs_of_the_environment() {
    let (simulator, database, _) = service().await;
    let folder = tempfile::tempdir().unwrap();
    let account = format!(
        "[[accounts]]\nid = '{ACCOUNT}'\ntoken_command = ['sh', '-c', 'env > seen; cat >> seen; echo {TOKEN}']\n"
    );
    let other = format!("[[accounts]]\nid = '{OTHER}'\napi_token_env = 'VAULT_TOKEN'\n");
    write(folder.path(), "inventory.toml", &format!("{account}{other}"), 0o644);
    let args = [SYNC, &["--config", "inventory.toml", "--account", ACCOUNT]].concat();
    let mut command = program_in(&folder, &simulator, &database, &args);
    for name in [
        "HOME",
        "XDG_CONFIG_HOME",
        "SSH_AUTH_SOCK",
        "BW_SESSION", // needed
        "CLOUDFLARE_EMAIL",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "VAULT_TOKEN",
        "LD_PRELOAD_",
        "NODE_OPTIONS",
    ] {
        command.env(name, format!("set-{name}"));
    }
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    let names: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    for name in ["HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "BW_SESSION", "PATH"] {
        assert!(names.contains(&name), "no {name}: {seen}");
    }
    // The shell sets some itself.
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    assert_eq!(names.iter().filter(|name| !own.contains(name)).count(), 5, "{seen}");
}

#[tokio::test]
async fn it_runs_again_when_the_token_has_expired() {
    let (simulator, database, namespace) = service().await;
    let folder = tempfile::tempdir().unwrap();
    let args = [SYNC, &["--concurrency", "1"]].concat();
    let command = command(&folder, &simulator, &database, &args, counting(&folder));
    let holds = [simulator.hold_at(&namespace, 1), simulator.hold_at(&namespace, 2)];
    let sync = std::thread::spawn(|| run(command));
    // The token of the next request has expired, twice in one run.
    for (n, hold) in holds.iter().enumerate() {
        hold.wait_until_held().await;
        let next = format!("token-{n}");
        write(folder.path(), "token", &next, 0o600);
        allow(&simulator, &next);
        hold.release();
    }
    let ended = sync.join().unwrap();
    assert_eq!((ended.code, runs(&folder)), (Some(0), 3), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(
        ended.stderr.matches("the program printed another one").count(),
        2,
        "{ended:#?}"
    );
    assert!(!ended.stderr.contains("token-"), "{ended:#?}");
}

/// Many requests may be refused at once, and the program may print what it likes: it runs once.
#[tokio::test]
async fn it_runs_once_for_a_refusal_that_lasts() {
    for prints in ["cat token", "cat token; wc -l < runs", "exit 3"] {
        let (simulator, database, _) = service().await;
        for n in 0..5 {
            let namespace = simulator.add_namespace(ACCOUNT, &format!("n{n}"));
            simulator.seed(&namespace, 25, n);
            simulator.fault(
                &namespace,
                When::From(2),
                Fault::Answer(Answer::error(401, 10000, "Authentication error")),
            );
        }
        let folder = tempfile::tempdir().unwrap();
        counting(&folder);
        // The first run prints the token.
        let script =
            format!("echo >> runs\n[ $(wc -l < runs) = 1 ] && exec cat token\n{{ {prints}; }} | tr -d '\\n '\n");
        let script = match prints {
            "exit 3" => "echo >> runs\n[ $(wc -l < runs) = 1 ] && exec cat token\nexit 3\n".to_owned(),
            _ => script,
        };
        write(folder.path(), "print", &script, 0o700);
        simulator.with(|state| {
            let account = state.accounts.get_mut(ACCOUNT).unwrap();
            account.faults.add(
                When::From(2),
                Fault::Answer(Answer::error(401, 10000, "Authentication error")),
            );
        });
        let ended = run(command(&folder, &simulator, &database, SYNC, "sh print"));
        assert!(matches!(ended.code, Some(1 | 3)), "{prints}: {ended:#?}");
        assert_eq!(runs(&folder), 2, "{prints}: {ended:#?}");
        assert!(ended.stdout.contains("HTTP 401"), "{prints}: {ended:#?}");
    }
}

#[tokio::test]
async fn a_failure_ends_the_command_at_once() {
    let (simulator, database, _) = service().await;
    let folder = tempfile::tempdir().unwrap();
    for (given, problem) in [
        ("/no/such/program", "`/no/such/program` can't be started: No such file"),
        ("true", "`true` printed nothing"),
        ("printf 's3cret-one\\ns3cret-two\\n'", "`printf` printed 2 lines"),
        ("head -c 5000000 /dev/zero", "`head` printed more than 64 KiB"),
        (
            "sh -c 'echo s3cret-token; echo not logged in: s3cret-token >&2; exit 4'",
            "`sh` failed with exit code 4: not logged in: [redacted]",
        ),
        (
            "sh -c 'printf \"\\033[2Jx\\a\" >&2; exit 1'",
            "failed with exit code 1: x\\u{7}",
        ),
        ("sh -c 'kill -9 $$'", "was ended by signal 9"),
        ("echo 's3cret", "a quotation mark is not closed"),
        ("' '", "names no program"),
        (
            "s3cret-s3cret-s3cret-s3cret-s3cret-s3cret",
            "the program that it names can't be started",
        ),
    ] {
        let ended = run(command(&folder, &simulator, &database, SYNC, given));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{given}: {ended:#?}"
        );
        assert!(
            ended.stderr.contains(&format!("error: {VARIABLE}: ")),
            "{given}: {ended:#?}"
        );
        assert!(ended.stderr.contains(problem), "{given}: no {problem}: {ended:#?}");
        assert!(!ended.stderr.contains("s3cret"), "{ended:#?}");
    }
    let ended = run(command(&folder, &simulator, &database, &["check"], "false"));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stdout
            .contains(&format!("WRONG  token: {VARIABLE}: `false` failed with exit code 1")),
        "{ended:#?}"
    );
    assert_eq!(simulator.requests().len(), 0);
}

#[tokio::test]
async fn one_that_hangs_is_ended_after_30_s() {
    let (simulator, database, _) = service().await;
    let folder = tempfile::tempdir().unwrap();
    let given = "sh -c 'sleep 1000 & echo $! > child; wait'";
    let begun = Instant::now();
    let ended = run(command(&folder, &simulator, &database, SYNC, given));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stderr.contains("`sh` did not end within 30 s and was stopped"),
        "{ended:#?}"
    );
    assert!(begun.elapsed() >= Duration::from_secs(30));
    has_ended(&folder);

    let begun = Instant::now();
    let args = [SYNC, &["--deadline", "1s"]].concat();
    let ended = run(command(&folder, &simulator, &database, &args, given));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(begun.elapsed() < Duration::from_secs(25));
    has_ended(&folder);
}

#[track_caller]
fn has_ended(folder: &TempDir) {
    let child = fs::read_to_string(folder.path().join("child")).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let runs = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        assert!(Instant::now() < until, "its child still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn it_excludes_other_credentials_and_files_of_others() {
    let (simulator, database, _) = service().await;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    write(folder.path(), "token", TOKEN, 0o600);
    for other in ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_TOKEN_FILE"] {
        let mut both = command(&folder, &simulator, &database, SYNC, "cat token");
        both.env(other, "token");
        let ended = run(both);
        refused(
            &ended,
            &format!("{VARIABLE}: {other} is set too: remove one of the two"),
        );
    }
    let account = format!("[[accounts]]\nid = '{ACCOUNT}'\n");
    let by_file = |keys: &str, mode| {
        write(folder.path(), "inventory.toml", &format!("{account}{keys}\n"), mode);
        let args = [SYNC, &["--config", "inventory.toml"]].concat();
        run(program_in(&folder, &simulator, &database, &args))
    };
    let ended = by_file("token_command = ['cat', 'token']", 0o644);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for (keys, problem) in [
        (
            "token_command = ['cat', 'token']\napi_token_file = 'token'",
            "inventory.toml:3: accounts.token_command: a file or variable",
        ),
        (
            "token_command = ['cat', 'token']\nemail = 'a@b'",
            "inventory.toml:3: accounts.token_command: email is set too",
        ),
        (
            "token_command = []",
            "inventory.toml:3: accounts.token_command: names no program",
        ),
        (
            "token_command = 'cat token'",
            "inventory.toml:3: accounts.token_command: invalid type: string, expected a sequence",
        ),
    ] {
        refused(&by_file(keys, 0o644), problem);
    }
    for mode in [0o664, 0o646] {
        let ended = by_file("token_command = ['cat', 'token']", mode);
        let problem = "accounts.token_command: not run, because other users can change inventory.toml, and so choose the program that runs: run `chmod go-w inventory.toml`";
        refused(&ended, problem);
    }
}

#[track_caller]
fn refused(ended: &Ended, problem: &str) {
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains(problem), "no {problem}: {ended:#?}");
}
