//! Measures and limits a program's memory.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::program::Ended;

/// Runs a command to its end and returns its peak resident memory in KiB.
pub fn run_measured(mut command: Command) -> (Ended, u64) {
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak_kib(child.id()).unwrap_or(peak);
        sleep(Duration::from_millis(20));
    }
    (child.wait_with_output().unwrap().into(), peak)
}

/// Returns `None` once the process has ended.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What `limited` allows: memory that a program writes to, with the stacks of its threads in full, in KiB, and seconds of
/// processor time. The program's own limit is 100 MB of resident memory.
const DATA_KIB: u64 = 140 * 1024;
const SECONDS: u64 = 120;

/// Limits a command's memory and time. Beyond the first, allocations fail; beyond the second, a signal ends it.
pub fn limited(command: &Command) -> Command {
    let limits = format!("ulimit -d {DATA_KIB} && ulimit -t {SECONDS} && ulimit -c 0 && exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &limits])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(key, value);
        }
    }
    shell
}
