//! Where the server's socket lies. The system keeps a socket's path in a short fixed field, so a data folder whose path
//! is long has its socket elsewhere.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// PostgreSQL makes this number part of the socket's name. It is not a port of the network.
pub(super) const PORT: u16 = 5432;

/// The longest path, in bytes, that fits `sun_path` with its closing zero.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The folder of the socket for a data folder: `run` in it, or one in `/tmp`. It follows from the data folder's path
/// alone, not from an environment, so that every program that uses the data folder finds the same socket.
pub(super) fn folder_for(data_folder: &Path) -> PathBuf {
    let near = data_folder.join("run");
    if near.join(socket_name()).as_os_str().len() <= LONGEST {
        return near;
    }
    let digest = Sha256::digest(data_folder.as_os_str().as_bytes());
    Path::new("/tmp").join(format!("durable-inventory-{}", hex::encode(&digest[..10])))
}

/// Whether the folder is one that nothing else lies in, and that is therefore removed with the socket.
pub(super) fn is_elsewhere(socket_folder: &Path, data_folder: &Path) -> bool {
    !socket_folder.starts_with(data_folder)
}

fn socket_name() -> String {
    format!(".s.PGSQL.{PORT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_108_bytes_goes_elsewhere() {
        let fits = PathBuf::from(format!("/{}", "d".repeat(LONGEST - "//run/.s.PGSQL.5432".len())));
        assert_eq!(folder_for(&fits), fits.join("run"));
        let long = PathBuf::from(format!("{}d", fits.display()));
        let elsewhere = folder_for(&long);
        assert!(elsewhere.starts_with("/tmp") && is_elsewhere(&elsewhere, &long));
        assert_eq!(elsewhere, folder_for(&long));
        assert_ne!(elsewhere, folder_for(&long.join("e")));
    }
}
