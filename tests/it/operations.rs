//! Tries what docs/operations.md and contrib/ recommend.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use durable_inventory::cli::Cli;

use crate::support::database::fresh_database;
use crate::support::program::{ACCOUNT, Ended, TOKEN, run, simulator, sync};
use crate::support::python::{python, readers};

const PAGE: &str = include_str!("../../docs/operations.md");
const PROGRAM: &str = env!("CARGO_BIN_EXE_durable-inventory");

/// The alert rules and the dashboard.
const MONITORING: [&str; 2] = ["prometheus/alerts.yml", "grafana/dashboard.json"];

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(path)
}

/// The page's only block in that language.
fn block(language: &str) -> &'static str {
    let (_, after) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    after.split_once("```").unwrap().0
}

/// Returns `None` on a machine without systemd, which only the full test suite requires.
fn systemd_analyze(args: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(args).arg(unit).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(
                std::env::var_os("DURABLE_INVENTORY_TEST_ALL").is_none(),
                "systemd-analyze: {error}"
            );
            None
        }
    }
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["durable-inventory.service", "durable-inventory.timer"] {
        // `systemd-analyze verify` checks that the program exists.
        let unit = std::fs::read_to_string(contrib("systemd").join(name)).unwrap();
        let unit = unit.replace("ExecStart=durable-inventory ", &format!("ExecStart={PROGRAM} "));
        std::fs::write(folder.path().join(name), unit).unwrap();
    }
    for name in ["durable-inventory.timer", "durable-inventory.service"] {
        let Some(verified) = systemd_analyze(&["verify", "--man=no"], &folder.path().join(name)) else {
            return;
        };
        let verified: Ended = verified.into();
        assert_eq!((verified.code, verified.stderr.as_str()), (Some(0), ""), "{name}");
    }
    // The exposure ranges from 0, the safest, to 10, which `--threshold` counts as 100.
    let service = folder.path().join("durable-inventory.service");
    let hardened = systemd_analyze(&["security", "--offline=true", "--threshold=20"], &service).unwrap();
    assert!(
        hardened.status.success(),
        "{}",
        String::from_utf8_lossy(&hardened.stdout)
    );
}

#[test]
fn the_service_and_the_cronjob_call_the_program_as_it_is() {
    let unit = std::fs::read_to_string(contrib("systemd/durable-inventory.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    Cli::try_parse_from(start.split_whitespace()).unwrap();
    let drop_in = block("ini")
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="))
        .next_back()
        .unwrap();
    Cli::try_parse_from(drop_in.split_whitespace()).unwrap();
}

/// Runs the crontab's lines as cron does: with `sh -c` and almost no environment.
#[tokio::test]
async fn the_crontab_works() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    simulator.add_account("023e105f4ecef8ad9ca31a8372d0c353", TOKEN);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    // The page recommends this mode; any other causes a warning.
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let lines: Vec<_> = block("cron").lines().collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let mut fields = line.splitn(6, char::is_whitespace);
        let times: Vec<_> = fields.by_ref().take(5).collect();
        assert!(
            times.iter().all(|time| *time == "*" || time.parse::<u8>().is_ok()),
            "{times:?}"
        );
        let command = fields.next().unwrap().trim_start();
        let command = command.replace("/etc/durable-inventory", folder.path().to_str().unwrap());
        let ended: Ended = Command::new("/bin/sh")
            .args(["-c", &command])
            .env_clear()
            .env("PATH", Path::new(PROGRAM).parent().unwrap())
            .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
            .env("DATABASE_URL", database.url())
            .output()
            .unwrap()
            .into();
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{command}: {ended:#?}"
        );
        assert_eq!(ended.stdout.lines().count(), 1, "{command}: {ended:#?}");
    }
}

/// A metrics file as the program writes it.
async fn metrics() -> String {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_namespace(ACCOUNT, "room");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.prom");
    assert_eq!(
        run(sync(&simulator, &database, &["--metrics-file", file.to_str().unwrap()])).code,
        Some(0)
    );
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test]
async fn every_metric_is_on_the_page() {
    let text = metrics().await;
    let told = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE durable_inventory_"));
    assert!(told.clone().count() > 10);
    for name in told.map(|line| line.split(' ').next().unwrap()) {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test]
async fn the_alerts_and_the_dashboard_use_metrics_that_exist() {
    let text = metrics().await;
    for file in MONITORING {
        let used = std::fs::read_to_string(contrib(file)).unwrap();
        let names = used.split("durable_inventory_").skip(1).map(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_'));
            &rest[..end.unwrap_or(rest.len())]
        });
        assert!(names.clone().count() > 4, "{file}");
        for name in names {
            assert!(
                text.contains(&format!("# TYPE durable_inventory_{name} ")),
                "{file}: {name}"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs Python: scripts/test --all"]
async fn the_alerts_and_the_dashboard_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.prom");
    std::fs::write(&file, metrics().await).unwrap();
    let mut read = Command::new(python("operations"));
    read.arg(readers().join("monitoring.py"))
        .arg(file)
        .args(MONITORING.map(contrib));
    let read: Ended = read.output().unwrap().into();
    assert_eq!(read.code, Some(0), "{read:#?}");
}

#[test]
#[ignore = "needs Python: scripts/test --all"]
fn the_cronjob_is_one() {
    let mut read = Command::new(python("operations"));
    read.arg(readers().join("cronjob.py"))
        .arg(contrib("kubernetes/cronjob.yaml"));
    let read: Ended = read.output().unwrap().into();
    assert_eq!(read.code, Some(0), "{read:#?}");
    Cli::try_parse_from(std::iter::once("durable-inventory").chain(read.stdout.lines())).unwrap();
}
