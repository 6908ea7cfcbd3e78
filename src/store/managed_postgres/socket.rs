//! The place of the server's socket. A socket's path must fit into a short field (`sun_path`), so a data directory with
//! a long path has its socket elsewhere.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Part of the socket's name; no network port is opened.
pub(super) const PORT: u16 = 5432;

/// The longest path, in bytes, that fits `sun_path` with its terminating zero.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

const SHARED: &str = "/tmp";
const PREFIX: &str = "durable-inventory-";
/// In the data directory: names the socket's folder if its usual place was taken.
const RECORD: &str = "socket";

/// The folder of a data directory's socket: `run` in it, or one in `/tmp`. The latter's name follows from the data
/// directory's path, and not from the environment, so that all programs that use the directory find the same socket.
/// Anyone can create a folder of that name; the data directory then records another one.
pub(super) fn folder_for(data_dir: &Path) -> PathBuf {
    let near = data_dir.join("run");
    if near.join(socket_name()).as_os_str().len() <= LONGEST {
        return near;
    }
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    let usual = Path::new(SHARED).join(format!("{PREFIX}{}", hex::encode(&digest[..10])));
    match recorded(data_dir) {
        Some(folder) => folder,
        None if is_usable(&usual, data_dir) => usual,
        // Without a record, the usual place is refused when the server starts.
        None => record_another(data_dir).unwrap_or(usual),
    }
}

/// Whether a folder does not exist yet, or belongs to this user or the data directory's.
fn is_usable(folder: &Path, data_dir: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(folder) else {
        return true;
    };
    let owner = fs::metadata(data_dir).map(|data| data.uid());
    let us = rustix::process::geteuid().as_raw();
    found.is_dir() && (found.uid() == us || owner.is_ok_and(|owner| owner == found.uid()))
}

fn recorded(data_dir: &Path) -> Option<PathBuf> {
    let name = fs::read(data_dir.join(RECORD)).ok()?;
    let plain = |name: &[u8]| name.starts_with(PREFIX.as_bytes()) && !name.contains(&b'/') && name.len() < 64;
    let folder = plain(&name).then(|| Path::new(SHARED).join(OsStr::from_bytes(&name)))?;
    is_usable(&folder, data_dir).then_some(folder)
}

/// Creates a folder that nobody could have created before, and records its name.
fn record_another(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(SHARED)?;
    let mut record = tempfile::NamedTempFile::new_in(data_dir)?;
    record.write_all(folder.path().file_name().unwrap_or_default().as_bytes())?;
    // The data directory itself is closed to others; its owner may be another user than this one.
    record.as_file().set_permissions(Permissions::from_mode(0o644))?;
    record.persist(data_dir.join(RECORD))?;
    Ok(folder.keep())
}

/// Whether the socket has a folder of its own outside the data directory, which is removed with it.
pub(super) fn is_elsewhere(socket_folder: &Path, data_dir: &Path) -> bool {
    !socket_folder.starts_with(data_dir)
}

fn socket_name() -> String {
    format!(".s.PGSQL.{PORT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_of_108_bytes_is_placed_elsewhere() {
        let fits = PathBuf::from(format!("/{}", "d".repeat(LONGEST - "//run/.s.PGSQL.5432".len())));
        assert_eq!(folder_for(&fits), fits.join("run"));
        let long = PathBuf::from(format!("{}d", fits.display()));
        let elsewhere = folder_for(&long);
        assert!(elsewhere.starts_with("/tmp") && is_elsewhere(&elsewhere, &long));
        assert_eq!(elsewhere, folder_for(&long));
        assert_ne!(elsewhere, folder_for(&long.join("e")));
    }

    #[test]
    fn a_folder_that_is_taken_is_replaced_by_one_of_another_name() {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        let data_dir = parent.path().join("d".repeat(LONGEST));
        fs::create_dir(&data_dir).unwrap();
        let usual = folder_for(&data_dir);
        // Anything but a folder of ours will do.
        fs::write(&usual, "").unwrap();
        let other = folder_for(&data_dir);
        assert_ne!(other, usual);
        assert_eq!(folder_for(&data_dir), other);
        fs::remove_dir(&other).unwrap();
        assert_eq!(folder_for(&data_dir), other, "it is created again");
        fs::write(&other, "").unwrap();
        let third = folder_for(&data_dir);
        assert!(third != other && third != usual && is_elsewhere(&third, &data_dir));
        fs::write(data_dir.join(RECORD), "durable-inventory-/../etc").unwrap();
        let fourth = folder_for(&data_dir);
        assert!(fourth.parent() == Some(Path::new(SHARED)), "{fourth:?}");
        for taken in [usual, other] {
            fs::remove_file(taken).unwrap();
        }
        for folder in [third, fourth] {
            fs::remove_dir(folder).unwrap();
        }
    }
}
