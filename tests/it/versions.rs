//! The core of the tests on other versions of PostgreSQL than the machine's, whose server programs come from npm
//! (`tests/postgres`). They are built for Linux on x86-64 only.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use crate::support::database::{OTHER_SERVER, fresh_database};

/// The tests of what depends on the server: those with one of these in their path.
const CORE: [&str; 13] = [
    "sync::",
    "resume::",
    "export::record::",
    "export::altered::",
    "diff::record::",
    "prune::",
    "check::",
    "grants::",
    "upgrade::",
    "reached::",
    "publication::",
    "fence::",
    "sequences::",
];

/// Those of the programs' libraries whose names are links, which a package can't contain.
#[derive(Deserialize)]
struct Link {
    source: String,
    target: String,
}

/// A copy of the server programs, with the links, where the server's user can run them: a checkout in root's home is
/// closed to it.
fn installed(major: u32) -> TempDir {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/postgres/node_modules/postgres-{major}"));
    let folder = tempfile::Builder::new()
        .prefix(&format!("postgres-{major}-"))
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in("/tmp")
        .unwrap();
    let copied = Command::new("cp")
        .args(["-r", "--"])
        .arg(package.join("native"))
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success(), "npm ci --prefix tests/postgres installs it");
    let links = fs::read(folder.path().join("native/pg-symlinks.json")).unwrap();
    let links: Vec<Link> = serde_json::from_slice(&links).unwrap();
    for Link { source, target } in links {
        let (source, target) = (Path::new(&source), folder.path().join(target));
        assert_eq!(folder.path().join(source).parent(), target.parent());
        symlink(source.file_name().unwrap(), target).unwrap();
    }
    folder
}

/// Runs tests of this program on the server of that folder. Returns what they printed.
fn run_on(folder: &TempDir, args: &[&str]) -> String {
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(args)
        .env(OTHER_SERVER, folder.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{printed}");
    printed
}

#[expect(clippy::print_stderr, reason = "the number of tests belongs to the result")]
pub fn the_core_passes_on(major: u32) {
    let folder = installed(major);
    let found = run_on(
        &folder,
        &["versions::the_shared_server", "--exact", "--ignored", "--nocapture"],
    );
    assert!(found.contains(&format!("server version {major}.")), "{found}");
    let printed = run_on(&folder, &CORE);
    let result = printed.lines().find(|line| line.starts_with("test result: ")).unwrap();
    eprintln!("PostgreSQL {major}: {result}");
    let passed = result.split_once("ok. ").unwrap().1.split(' ').next().unwrap();
    assert!(passed.parse::<u32>().unwrap() > 50, "{printed}");
}

#[expect(clippy::print_stdout, reason = "the first process reads it")]
#[tokio::test]
#[ignore = "runs in the second process of another test"]
async fn the_shared_server() {
    use sqlx::Connection;
    let database = fresh_database().await;
    let mut session = sqlx::PgConnection::connect_with(&database.options).await.unwrap();
    let version: String = sqlx::query_scalar("show server_version")
        .fetch_one(&mut session)
        .await
        .unwrap();
    println!("server version {version}");
}

#[test]
#[ignore = "needs an npm package: scripts/test --all"]
fn the_core_passes_on_the_newest_version() {
    the_core_passes_on(18);
}
