//! Starts the server or finds the running one, and stops it.
//!
//! A server is ready when it answers on its socket. The pid file only shows whether one is starting or stopping. A pid
//! file that names a process is never removed here: PostgreSQL needs it to find processes of a killed server that still
//! use the data.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep, timeout};

use super::binaries::Binaries;
use super::client_lock::StartLock;
use super::data_dir::DataDir;
use super::error::Error;
use super::initdb::ROLE;
use super::log::ServerLog;
use super::postmaster::{self, ServerProcess};
use super::{DATABASE, socket};
use crate::store::session::has_code;

/// Limit for a server to become ready, including recovery from a crash.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Limit for a server to write its data to disk and exit.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// How long a pid file may be empty while a server is writing it.
const PID_FILE_TIMEOUT: Duration = Duration::from_secs(2);

/// PostgreSQL's code for a database that does not exist.
const INVALID_CATALOG_NAME: &str = "3D000";

pub(super) fn connect_options(data_dir: &DataDir) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .socket(data_dir.socket())
        .port(socket::PORT)
        .username(ROLE)
        .database(DATABASE)
        .ssl_mode(PgSslMode::Disable)
}

/// Makes sure that a server runs and that its database exists. Returns the child process if it was started here.
pub(super) async fn start_or_share(
    data_dir: &DataDir,
    binaries: &Binaries,
    lock: &StartLock,
) -> Result<Option<Child>, Error> {
    data_dir.prepare_socket()?;
    let began = Instant::now();
    loop {
        let error = match probe(data_dir).await {
            Probe::Ready => return Ok(None),
            Probe::NoDatabase => return create_database(data_dir).await.map(|()| None),
            Probe::NotReady(why) => why,
        };
        match look(data_dir)? {
            ServerProcess::Living(_) => {}
            ServerProcess::Unreadable if began.elapsed() < PID_FILE_TIMEOUT => {}
            ServerProcess::Unreadable => remove_empty_pid_file(data_dir)?,
            ServerProcess::None => return start(data_dir, binaries, None, lock).await.map(Some),
            ServerProcess::Gone(pid) => return start(data_dir, binaries, Some(pid), lock).await.map(Some),
        }
        if began.elapsed() > START_TIMEOUT {
            return Err(no_answer(data_dir, error));
        }
        sleep(POLL).await;
    }
}

/// The result of a connection attempt.
enum Probe {
    Ready,
    /// The server runs, but was stopped before the database was created.
    NoDatabase,
    /// There is no server, or it is starting, recovering or stopping.
    NotReady(Option<sqlx::Error>),
}

async fn probe(data_dir: &DataDir) -> Probe {
    let attempt = async {
        let mut connection = connect_options(data_dir).connect().await?;
        connection.ping().await?;
        connection.close().await
    };
    match timeout(ANSWER_TIMEOUT, attempt).await {
        Ok(Ok(())) => Probe::Ready,
        Ok(Err(e)) if has_code(&e, INVALID_CATALOG_NAME) => Probe::NoDatabase,
        Ok(Err(e)) => Probe::NotReady(Some(e)),
        Err(_) => Probe::NotReady(None),
    }
}

async fn create_database(data_dir: &DataDir) -> Result<(), Error> {
    let created = async {
        let mut connection = PgConnection::connect_with(&connect_options(data_dir).database("postgres")).await?;
        sqlx::raw_sql("CREATE DATABASE durable_inventory")
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    created.await.map_err(|source| Error::CreateDatabase {
        folder: data_dir.path().to_owned(),
        source,
    })
}

/// Starts a server; none may be running. `gone` is the pid of one that ended without removing its pid file.
async fn start(data_dir: &DataDir, binaries: &Binaries, gone: Option<u32>, _: &StartLock) -> Result<Child, Error> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let log = ServerLog::open(data_dir)?;
        let mut child = spawn(data_dir, binaries, gone, &log)?;
        if wait_until_ready(data_dir, &mut child, deadline).await? {
            tracing::debug!(folder = %data_dir.path().display(), pid = child.id(), "started the private PostgreSQL");
            return Ok(child);
        }
        // Processes of a killed server end by themselves, but a busy one takes a moment to notice.
        if !(log.reports_survivors() && Instant::now() < deadline) {
            return Err(Error::DidNotStart {
                folder: data_dir.path().to_owned(),
                log: data_dir.log(),
                said: log.last_words(),
            });
        }
        sleep(5 * POLL).await;
    }
}

fn spawn(data_dir: &DataDir, binaries: &Binaries, gone: Option<u32>, log: &ServerLog) -> Result<Child, Error> {
    let program = binaries.program("postgres");
    let mut command = data_dir.run_as.command(&program, data_dir.path());
    command.arg("-D").arg(data_dir.cluster());
    for setting in settings(data_dir) {
        command.arg("-c").arg(setting);
    }
    if let Some(pid) = gone {
        // The pid may belong to another process or a zombie by now, which PostgreSQL would take for a server. Its own
        // pg_ctl uses this variable to name a process that is not one. Surviving processes of the server are still
        // found.
        command.env("PG_GRANDPARENT_PID", pid.to_string());
    }
    spawn_apart(command, log).map_err(Error::io("run", &program))
}

/// Spawns in a new process group: Ctrl-C for this program must not end a server that others use.
fn spawn_apart(mut command: Command, log: &ServerLog) -> std::io::Result<Child> {
    let (out, err) = log.outputs()?;
    command.stdout(out).stderr(err).process_group(0).spawn()
}

/// The required settings, which override `postgresql.conf`.
fn settings(data_dir: &DataDir) -> Vec<OsString> {
    let mut socket_folder = OsString::from("unix_socket_directories=");
    socket_folder.push(quote(&data_dir.socket()));
    let mut settings: Vec<OsString> = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "logging_collector=off",
    ]
    .map(OsString::from)
    .into();
    settings.push(format!("port={}", socket::PORT).into());
    settings.push(socket_folder);
    settings
}

/// Quotes a path as an item of a list: commas separate items, and a quote is doubled.
fn quote(path: &Path) -> OsString {
    use std::os::unix::ffi::OsStringExt;

    let mut quoted = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        quoted.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

/// Waits until the child is ready, and returns false if it ended instead. The answer comes from this child only if the
/// pid file names it.
async fn wait_until_ready(data_dir: &DataDir, child: &mut Child, deadline: Instant) -> Result<bool, Error> {
    loop {
        if reap(data_dir, child)? {
            return Ok(false);
        }
        let mut error = None;
        if look(data_dir)? == ServerProcess::Living(child.id()) {
            match probe(data_dir).await {
                Probe::Ready => return Ok(true),
                Probe::NoDatabase => return create_database(data_dir).await.map(|()| true),
                Probe::NotReady(why) => error = why,
            }
        }
        if Instant::now() > deadline {
            return Err(no_answer(data_dir, error));
        }
        sleep(POLL).await;
    }
}

/// Stops the server with a fast shutdown: sessions are ended, and everything is written to disk.
pub(super) async fn stop(data_dir: &DataDir, mut child: Option<Child>, _: &StartLock) -> Result<(), Error> {
    let deadline = Instant::now() + STOP_TIMEOUT;
    if let ServerProcess::Living(pid) = look(data_dir)? {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            // If it ended in the meantime, the loop below notices.
            let _ = kill_process(pid, Signal::INT);
        }
        while postmaster::is_server_of(pid, &data_dir.cluster()) {
            if Instant::now() > deadline {
                return Err(Error::NotStopped {
                    folder: data_dir.path().to_owned(),
                    log: data_dir.log(),
                    seconds: STOP_TIMEOUT.as_secs(),
                });
            }
            sleep(POLL).await;
        }
    }
    if let Some(child) = &mut child {
        reap(data_dir, child)?;
    }
    let socket_folder = data_dir.socket();
    if socket::is_elsewhere(&socket_folder, data_dir.path()) {
        // A folder that can't be removed is used again by the next start.
        let _ = std::fs::remove_dir(&socket_folder);
    }
    tracing::debug!(folder = %data_dir.path().display(), "stopped the private PostgreSQL");
    Ok(())
}

/// Whether no process runs the server. One that can't be determined counts as running: the database itself shows what
/// it is.
pub(super) fn has_ended(data_dir: &DataDir) -> bool {
    matches!(look(data_dir), Ok(ServerProcess::None | ServerProcess::Gone(_)))
}

/// Whether the child has ended. Reaps it if so.
pub(super) fn reap(data_dir: &DataDir, child: &mut Child) -> Result<bool, Error> {
    let status = child
        .try_wait()
        .map_err(Error::io("watch the server of", data_dir.path()))?;
    Ok(status.is_some())
}

fn look(data_dir: &DataDir) -> Result<ServerProcess, Error> {
    let cluster = data_dir.cluster();
    postmaster::look(&cluster).map_err(Error::io("read the pid file of", &cluster))
}

/// PostgreSQL does not start if the pid file is empty. An empty one names no process, so it can be removed.
fn remove_empty_pid_file(data_dir: &DataDir) -> Result<(), Error> {
    let path = data_dir.cluster().join("postmaster.pid");
    std::fs::remove_file(&path).map_err(Error::io("remove", &path))
}

fn no_answer(data_dir: &DataDir, source: Option<sqlx::Error>) -> Error {
    Error::NoAnswer {
        folder: data_dir.path().to_owned(),
        log: data_dir.log(),
        seconds: START_TIMEOUT.as_secs(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_quoted_as_one_item_of_a_list() {
        assert_eq!(quote(Path::new("/a, b")), "\"/a, b\"");
        assert_eq!(quote(Path::new("/a\"b")), "\"/a\"\"b\"");
    }
}
