//! Creates the database cluster (PostgreSQL's term for its folder of databases) and reads its version.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::binaries::Binaries;
use super::client_lock::StartLock;
use super::data_dir::DataDir;
use super::error::Error;

/// The only role, a superuser. It needs no password: nobody else can enter the folder of the socket.
pub(super) const ROLE: &str = "inventory";

/// Prefix of a cluster that is being created, before the pid of the program that creates it.
const UNFINISHED: &str = "postgres.new.";

/// The major version of the cluster's data, or `None` if there is no cluster yet.
pub(super) fn major_version(cluster: &Path) -> Result<Option<u32>, Error> {
    if !cluster.exists() {
        return Ok(None);
    }
    let text = match fs::read_to_string(cluster.join("PG_VERSION")) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("read the version of", cluster)(e)),
        found => found.unwrap_or_default(),
    };
    // "15", and "9.6" before PostgreSQL 10.
    let major = text.trim().split('.').next().and_then(|number| number.parse().ok());
    major.map(Some).ok_or_else(|| Error::DamagedCluster(cluster.to_owned()))
}

/// Creates the cluster under another name and renames it when it is complete, so that a program that is killed in
/// between leaves nothing that looks like data.
pub(super) async fn create_cluster(data_dir: &DataDir, binaries: &Binaries, _: &StartLock) -> Result<(), Error> {
    remove_unfinished(data_dir).await?;
    // The name is unique: the initdb of a killed program may still be writing to its own.
    let unfinished = data_dir.path().join(format!("{UNFINISHED}{}", std::process::id()));
    run_initdb(data_dir, binaries, &unfinished).await?;
    flush(&unfinished).await?;
    fs::rename(&unfinished, data_dir.cluster()).map_err(Error::io("rename", &unfinished))?;
    flush(data_dir.path()).await
}

async fn run_initdb(data_dir: &DataDir, binaries: &Binaries, target: &Path) -> Result<(), Error> {
    let program = binaries.program("initdb");
    let mut command = data_dir.run_as.command(&program, data_dir.path());
    command
        .args(["--no-sync", "--locale=C", "-E", "UTF8", "-A", "trust", "-U", ROLE, "-D"])
        .arg(target);
    let mut command = tokio::process::Command::from(command);
    let output = command
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Initdb {
        folder: data_dir.path().to_owned(),
        said: said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
    })
}

/// Removes the unfinished clusters of killed programs.
async fn remove_unfinished(data_dir: &DataDir) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(10);
    for path in unfinished(data_dir)? {
        // The initdb of a killed program may run a moment longer, and add files while they are being removed.
        while let Err(e) = fs::remove_dir_all(&path) {
            match e.kind() {
                ErrorKind::NotFound => break,
                ErrorKind::DirectoryNotEmpty if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                _ => return Err(Error::io("remove", &path)(e)),
            }
        }
    }
    Ok(())
}

fn unfinished(data_dir: &DataDir) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(data_dir.path()).map_err(Error::io("read", data_dir.path()))?;
    let is_unfinished = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(UNFINISHED))
    };
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_unfinished)
        .collect())
}

/// Flushes a new cluster to the disk, on a blocking thread.
pub(super) async fn flush(path: &Path) -> Result<(), Error> {
    let target = path.to_owned();
    let flushed = tokio::task::spawn_blocking(move || flush_file_system(&target)).await;
    flushed
        .map_err(io::Error::from)
        .flatten()
        .map_err(Error::io("write to disk", path))
}

/// Flushes in one call. initdb flushes file by file, which takes three times as long.
#[cfg(target_os = "linux")]
fn flush_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
}

/// Flushes all file systems: this system has no call for a single one.
#[cfg(not(target_os = "linux"))]
fn flush_file_system(_: &Path) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_file_that_postgres_keeps() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(major_version(&dir.path().join("none")).unwrap(), None);
        assert!(matches!(major_version(dir.path()), Err(Error::DamagedCluster(_))));
        for (text, major) in [("15\n", 15), ("9.6\n", 9)] {
            fs::write(dir.path().join("PG_VERSION"), text).unwrap();
            assert_eq!(major_version(dir.path()).unwrap(), Some(major));
        }
    }
}
