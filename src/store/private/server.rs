//! Starts the server, or finds the one that runs, and stops it.
//!
//! Whether a server can be used is asked of its socket. The pid file only tells whether one is on its way up or down;
//! one that names a process is never removed by us, for PostgreSQL also learns from it whether processes of a killed
//! server still use the data.

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

use super::cluster::ROLE;
use super::error::Error;
use super::folder::DataFolder;
use super::log::ServerLog;
use super::process::{self, ServerProcess};
use super::programs::Programs;
use super::users::StartLock;
use super::{DATABASE, socket};

/// For a server to answer, which it does not while it recovers from a crash.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// For a server to write what it holds to disk and end.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// What a pid file may stay empty for while a server is writing it.
const PID_FILE_PATIENCE: Duration = Duration::from_secs(2);

/// PostgreSQL's code for a database that does not exist.
const INVALID_CATALOG_NAME: &str = "3D000";

pub(super) fn connect_options(folder: &DataFolder) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .socket(folder.socket())
        .port(socket::PORT)
        .username(ROLE)
        .database(DATABASE)
        .ssl_mode(PgSslMode::Disable)
}

/// Makes sure that a server runs, and that its database exists. Gives the child where the server was started here.
pub(super) async fn start_or_share(
    folder: &DataFolder,
    programs: &Programs,
    lock: &StartLock,
) -> Result<Option<Child>, Error> {
    folder.prepare_socket()?;
    let began = Instant::now();
    loop {
        let silence = match ask(folder).await {
            Answer::Ready => return Ok(None),
            Answer::NoDatabase => return create_database(folder).await.map(|()| None),
            Answer::Silence(why) => why,
        };
        match look(folder)? {
            ServerProcess::Living(_) => {}
            ServerProcess::Unreadable if began.elapsed() < PID_FILE_PATIENCE => {}
            ServerProcess::Unreadable => remove_empty_pid_file(folder)?,
            ServerProcess::None => return start(folder, programs, None, lock).await.map(Some),
            ServerProcess::Gone(pid) => return start(folder, programs, Some(pid), lock).await.map(Some),
        }
        if began.elapsed() > START_PATIENCE {
            return Err(no_answer(folder, silence));
        }
        sleep(POLL).await;
    }
}

/// What a server says to a new connection.
enum Answer {
    Ready,
    /// It serves, and was stopped before our database was created.
    NoDatabase,
    /// There is none, or it is starting, recovering or stopping.
    Silence(Option<sqlx::Error>),
}

async fn ask(folder: &DataFolder) -> Answer {
    let asked = async {
        let mut connection = connect_options(folder).connect().await?;
        connection.ping().await?;
        connection.close().await
    };
    match timeout(ANSWER_PATIENCE, asked).await {
        Ok(Ok(())) => Answer::Ready,
        Ok(Err(e)) if has_code(&e, INVALID_CATALOG_NAME) => Answer::NoDatabase,
        Ok(Err(e)) => Answer::Silence(Some(e)),
        Err(_) => Answer::Silence(None),
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error
        .as_database_error()
        .and_then(|e| e.code())
        .is_some_and(|found| found == code)
}

async fn create_database(folder: &DataFolder) -> Result<(), Error> {
    let created = async {
        let mut connection = PgConnection::connect_with(&connect_options(folder).database("postgres")).await?;
        sqlx::raw_sql("CREATE DATABASE durable_inventory")
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    created.await.map_err(|source| Error::CreateDatabase {
        folder: folder.path().to_owned(),
        source,
    })
}

/// Starts a server where none runs. `gone` is the pid of one that did not end as it should.
async fn start(folder: &DataFolder, programs: &Programs, gone: Option<u32>, _: &StartLock) -> Result<Child, Error> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let log = ServerLog::open(folder)?;
        let mut child = spawn(folder, programs, gone, &log)?;
        if wait_until_ready(folder, &mut child, deadline).await? {
            tracing::debug!(folder = %folder.path().display(), pid = child.id(), "started the private PostgreSQL");
            return Ok(child);
        }
        // Processes of a killed server end by themselves, but one that computes does not see at once that it should.
        if !(log.tells_of_survivors() && Instant::now() < deadline) {
            return Err(Error::DidNotStart {
                folder: folder.path().to_owned(),
                log: folder.log(),
                said: log.last_words(),
            });
        }
        sleep(5 * POLL).await;
    }
}

fn spawn(folder: &DataFolder, programs: &Programs, gone: Option<u32>, log: &ServerLog) -> Result<Child, Error> {
    let program = programs.program("postgres");
    let mut command = folder.runner.command(&program, folder.path());
    command.arg("-D").arg(folder.cluster());
    for setting in settings(folder) {
        command.arg("-c").arg(setting);
    }
    if let Some(pid) = gone {
        // The pid may be another process's by now, or a zombie's, and PostgreSQL would take it for a server. This is
        // how its own pg_ctl names a process that is none. Surviving processes of the server are found nevertheless.
        command.env("PG_GRANDPARENT_PID", pid.to_string());
    }
    spawn_apart(command, log).map_err(Error::io("run", &program))
}

/// In a process group of its own: what the user types to end this program must not end a server that others use.
fn spawn_apart(mut command: Command, log: &ServerLog) -> std::io::Result<Child> {
    let (out, err) = log.outputs()?;
    command.stdout(out).stderr(err).process_group(0).spawn()
}

/// Everything that matters is given here, so that it holds whatever the environment and `postgresql.conf` say.
fn settings(folder: &DataFolder) -> Vec<OsString> {
    let mut socket_folder = OsString::from("unix_socket_directories=");
    socket_folder.push(quote(&folder.socket()));
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

/// The setting is a list, in which a comma separates and a quote is doubled.
fn quote(path: &Path) -> OsString {
    use std::os::unix::ffi::OsStringExt;

    let mut quoted = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        quoted.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

/// Waits until our child serves; false if it ended instead. That *our* child serves is only sure when the pid file is
/// its own.
async fn wait_until_ready(folder: &DataFolder, child: &mut Child, deadline: Instant) -> Result<bool, Error> {
    loop {
        if has_ended(folder, child)? {
            return Ok(false);
        }
        let mut silence = None;
        if look(folder)? == ServerProcess::Living(child.id()) {
            match ask(folder).await {
                Answer::Ready => return Ok(true),
                Answer::NoDatabase => return create_database(folder).await.map(|()| true),
                Answer::Silence(why) => silence = why,
            }
        }
        if Instant::now() > deadline {
            return Err(no_answer(folder, silence));
        }
        sleep(POLL).await;
    }
}

/// Stops the server as it wants to be stopped: clients are sent away, and everything is written to disk.
pub(super) async fn stop(folder: &DataFolder, mut child: Option<Child>, _: &StartLock) -> Result<(), Error> {
    let deadline = Instant::now() + STOP_PATIENCE;
    if let ServerProcess::Living(pid) = look(folder)? {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            // It may have ended just now, which the loop sees.
            let _ = kill_process(pid, Signal::INT);
        }
        while process::is_server_of(pid, &folder.cluster()) {
            if Instant::now() > deadline {
                return Err(Error::NotStopped {
                    folder: folder.path().to_owned(),
                    log: folder.log(),
                    seconds: STOP_PATIENCE.as_secs(),
                });
            }
            sleep(POLL).await;
        }
    }
    if let Some(child) = &mut child {
        has_ended(folder, child)?;
    }
    let socket_folder = folder.socket();
    if socket::is_elsewhere(&socket_folder, folder.path()) {
        // Only tidiness: what is left there is used again, or is not empty and not ours to remove.
        let _ = std::fs::remove_dir(&socket_folder);
    }
    tracing::debug!(folder = %folder.path().display(), "stopped the private PostgreSQL");
    Ok(())
}

/// Also takes an ended child off the system's list of processes.
fn has_ended(folder: &DataFolder, child: &mut Child) -> Result<bool, Error> {
    let status = child
        .try_wait()
        .map_err(Error::io("watch the server of", folder.path()))?;
    Ok(status.is_some())
}

fn look(folder: &DataFolder) -> Result<ServerProcess, Error> {
    let cluster = folder.cluster();
    process::look(&cluster).map_err(Error::io("read the pid file of", &cluster))
}

/// PostgreSQL won't start over an empty pid file. It tells of no process, so nothing is lost with it.
fn remove_empty_pid_file(folder: &DataFolder) -> Result<(), Error> {
    let path = folder.cluster().join("postmaster.pid");
    std::fs::remove_file(&path).map_err(Error::io("remove", &path))
}

fn no_answer(folder: &DataFolder, source: Option<sqlx::Error>) -> Error {
    Error::NoAnswer {
        folder: folder.path().to_owned(),
        log: folder.log(),
        seconds: START_PATIENCE.as_secs(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_is_one_item_of_a_list() {
        assert_eq!(quote(Path::new("/a, b")), "\"/a, b\"");
        assert_eq!(quote(Path::new("/a\"b")), "\"/a\"\"b\"");
    }
}
