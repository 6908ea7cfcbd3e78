//! Whether a server runs on a cluster, by its `postmaster.pid` and the system's processes.

use std::fs;
use std::io;
use std::path::Path;

/// The state of the cluster's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerProcess {
    /// There is no pid file: the server was shut down, or never ran.
    None,
    /// The pid file holds no pid. A server writes it within an instant, so one that stays empty was left by a crash.
    Unreadable,
    /// The server ran under this pid, and ended without removing its file. Another process may have the pid by now.
    Gone(u32),
    /// The server is starting, recovering, running or stopping.
    Living(u32),
}

pub(super) fn look(cluster: &Path) -> io::Result<ServerProcess> {
    let text = match fs::read_to_string(cluster.join("postmaster.pid")) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(ServerProcess::None),
        Err(e) => return Err(e),
    };
    Ok(match first_pid(&text) {
        None => ServerProcess::Unreadable,
        Some(pid) if is_server_of(pid, cluster) => ServerProcess::Living(pid),
        Some(pid) => ServerProcess::Gone(pid),
    })
}

/// The pid in the first line. A single-user server writes it as a negative number.
fn first_pid(pid_file: &str) -> Option<u32> {
    let pid: i32 = pid_file.lines().next()?.trim().parse().ok()?;
    (pid != 0).then_some(pid.unsigned_abs())
}

/// Whether a process is a PostgreSQL server of this cluster. A zombie is not: it has no command line left.
#[cfg(target_os = "linux")]
pub(super) fn is_server_of(pid: u32, cluster: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;

    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut args = command.split(|byte| *byte == 0);
    let program = args.next().unwrap_or_default();
    let names_postgres = [b"postgres".as_slice(), b"postmaster"]
        .iter()
        .any(|name| program.ends_with(name));
    names_postgres && args.any(|arg| arg == cluster.as_os_str().as_bytes())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_server_of(pid: u32, cluster: &Path) -> bool {
    let pid = pid.to_string();
    let Some(program) = super::binaries::find_program("ps") else {
        return false;
    };
    let answer = std::process::Command::new(program)
        .args(["-ww", "-o", "stat=", "-o", "command=", "-p", &pid])
        .output();
    let text = answer
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    !text.trim_start().starts_with('Z') && text.contains("postgres") && text.contains(&*cluster.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_is_the_first_line() {
        assert_eq!(first_pid("123\n/data\n"), Some(123));
        assert_eq!(first_pid("-123\n"), Some(123));
        assert_eq!(first_pid(""), None);
        assert_eq!(first_pid("0\n"), None);
    }

    #[test]
    fn another_process_with_the_pid_is_not_the_server() {
        let cluster = tempfile::tempdir().unwrap();
        assert_eq!(look(cluster.path()).unwrap(), ServerProcess::None);
        let own = std::process::id();
        fs::write(cluster.path().join("postmaster.pid"), format!("{own}\n")).unwrap();
        assert_eq!(look(cluster.path()).unwrap(), ServerProcess::Gone(own));
        fs::write(cluster.path().join("postmaster.pid"), "").unwrap();
        assert_eq!(look(cluster.path()).unwrap(), ServerProcess::Unreadable);
    }
}
