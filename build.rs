//! Passes the commit of the build to the program, for `--version`, and keeps the build away from databases.
//!
//! A package from crates.io has the commit in a file, a checkout in git, and any other build (such as a container's) in
//! DURABLE_INVENTORY_COMMIT. Without any of them, `--version` prints the version alone.

use std::path::Path;
use std::process::Command;

const VARIABLE: &str = "DURABLE_INVENTORY_COMMIT";
const SHOWN: usize = 12;
/// Whether sqlx's macros check the queries against `.sqlx` instead of a database.
const OFFLINE: &str = "SQLX_OFFLINE";

fn main() {
    // The program's own DATABASE_URL must not decide how it is built: without this, sqlx's macros would connect to that
    // database while they compile. `SQLX_OFFLINE=false` lets a developer check the queries against one.
    println!("cargo::rerun-if-env-changed={OFFLINE}");
    if std::env::var_os(OFFLINE).is_none() {
        println!("cargo::rustc-env={OFFLINE}=true");
    }
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    // Migrations are compiled in.
    println!("cargo::rerun-if-changed=migrations");
    let said = std::env::var(VARIABLE).ok();
    let commit = said
        .or_else(of_package)
        .or_else(of_checkout)
        .filter(|commit| is_commit(commit));
    let suffix = commit
        .map(|commit| format!(" ({})", &commit[..SHOWN]))
        .unwrap_or_default();
    println!("cargo::rustc-env=DURABLE_INVENTORY_COMMIT_SUFFIX={suffix}");
}

/// Reads the file that `cargo package` writes.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = text.split_once("\"sha1\"")?;
    after.split('"').nth(1).map(str::to_owned)
}

/// Reads the commit only if this folder is the repository's root, because the sources may lie inside another
/// repository.
fn of_checkout() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    let head = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(head.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() >= SHOWN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
