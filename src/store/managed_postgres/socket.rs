//! The place of the server's socket. A socket's path must fit into a short field (`sun_path`), so a data directory with
//! a long path has its socket elsewhere.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Part of the socket's name; no network port is opened.
pub(super) const PORT: u16 = 5432;

/// The longest path, in bytes, that fits `sun_path` with its terminating zero.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The folder of a data directory's socket: `run` in it, or one in `/tmp`. It depends on the data directory's path
/// alone and not on the environment, so that all programs that use the directory find the same socket.
pub(super) fn folder_for(data_dir: &Path) -> PathBuf {
    let near = data_dir.join("run");
    if near.join(socket_name()).as_os_str().len() <= LONGEST {
        return near;
    }
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    Path::new("/tmp").join(format!("durable-inventory-{}", hex::encode(&digest[..10])))
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
}
