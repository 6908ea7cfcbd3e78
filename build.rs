//! Tells the program which commit it is built from, for `--version`.
//!
//! A package from crates.io says so in a file of its own, a checkout through git, anything else (a container's build)
//! through DURABLE_INVENTORY_COMMIT. Where nobody says, there is the version alone.

use std::path::Path;
use std::process::Command;

const VARIABLE: &str = "DURABLE_INVENTORY_COMMIT";
const SHOWN: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    // They are compiled in.
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

/// `cargo package` writes it.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = text.split_once("\"sha1\"")?;
    after.split('"').nth(1).map(str::to_owned)
}

/// Only of a repository that this is the root of: sources may lie in somebody else's.
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
