//! The destinations of exports: stdout, files, folders and object stores. A file appears under its name when it is
//! committed; dropped without a commit, it leaves nothing behind.

mod folder;
#[cfg(feature = "object-store")]
mod object_store;

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

pub use self::folder::Folder;
use rustix::fs::FileType;
use rustix::io::Errno;

#[cfg(feature = "object-store")]
pub use self::object_store::RemoteStore;
use super::format::{Format, MisleadingName};
pub use crate::file_output::FileOutput;
use crate::text::{address, is_address};

/// A file that appears as a whole, or not at all.
pub trait AtomicOutput: Write + Send {
    /// Makes the file visible after its last byte was written.
    fn commit(self: Box<Self>) -> io::Result<()>;
}

/// The value of `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Stdout,
    File(PathBuf),
    /// A dataset in a folder.
    Folder(PathBuf),
    /// A dataset in an object store.
    Remote(url::Url),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    #[error(
        "expected - for stdout, a file, a folder with a / at its end, or an s3://, gs:// or az:// URL with a bucket"
    )]
    Empty,
    #[error(
        "an object store's URL must have no user, password, port, query or fragment: give credentials by its usual \
         environment variables"
    )]
    Credentials,
    /// With the address, redacted.
    #[error("cannot export to '{0}': use an s3://, gs:// or az:// URL with a bucket")]
    Scheme(String),
}

impl FromStr for Location {
    type Err = InvalidLocation;

    /// A path with a slash at its end, or of an existing folder, is a folder.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => return Err(InvalidLocation::Empty),
            "-" => return Ok(Self::Stdout),
            _ => {}
        }
        if is_address(text) {
            let url = url::Url::parse(text).map_err(|_| InvalidLocation::Scheme(address(text)))?;
            let known =
                matches!(url.scheme(), "s3" | "gs" | "az") && url.host_str().is_some_and(|host| !host.is_empty());
            // A bucket has no port. Digits there are a password, and a slash in it would make its user the bucket.
            let has_more = url.query().is_some() || url.fragment().is_some() || url.port().is_some();
            if !url.username().is_empty() || url.password().is_some() || has_more {
                return Err(InvalidLocation::Credentials);
            }
            return known
                .then_some(Self::Remote(url))
                .ok_or_else(|| InvalidLocation::Scheme(address(text)));
        }
        let path = PathBuf::from(text);
        Ok(if text.ends_with('/') || path.is_dir() {
            Self::Folder(path)
        } else {
            Self::File(path)
        })
    }
}

impl Location {
    /// Fails if a dataset here would look like a file of another format.
    pub fn require_folder_name(&self) -> Result<(), MisleadingName> {
        match self {
            // The host is the bucket's name.
            Self::Remote(url) if url.path().len() > 1 => Format::require_folder_name(url.as_str()),
            Self::File(path) => Format::require_folder_name(&path.to_string_lossy()),
            Self::Remote(_) | Self::Folder(_) | Self::Stdout => Ok(()),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) | Self::Folder(path) => path.display().fmt(f),
            Self::Remote(url) => url.fmt(f),
        }
    }
}

impl AtomicOutput for FileOutput {
    fn commit(self: Box<Self>) -> io::Result<()> {
        (*self).commit()
    }
}

/// Stdout has no name under which an incomplete export could appear; the reader sees a failure by the exit code.
pub struct Stdout(io::BufWriter<io::Stdout>);

impl Default for Stdout {
    fn default() -> Self {
        Self(io::BufWriter::with_capacity(64 * 1024, io::stdout()))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(reader_left)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(reader_left)
    }
}

/// A terminal that went away fails with EIO. That is the same as a pipe's reader that left, and gets the same kind.
fn reader_left(error: io::Error) -> io::Error {
    let is_device = || {
        let found = rustix::fs::fstat(io::stdout());
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_char_device())
    };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::IO) if is_device() => io::ErrorKind::BrokenPipe.into(),
        _ => error,
    }
}

impl AtomicOutput for Stdout {
    fn commit(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

/// Whether the name of a file in a dataset stays below the dataset. Names come from manifests, which may be forged.
pub fn stays_inside(name: &str) -> bool {
    name.split('/').all(is_step)
}

fn is_step(step: &str) -> bool {
    !matches!(step, "" | "." | "..")
}

/// Bytes of a file that is read whole.
pub const LARGEST_SMALL_FILE: u64 = 16 << 20;

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it has more than {} MiB", LARGEST_SMALL_FILE >> 20),
    )
}

/// A folder or a prefix in an object store, which holds a dataset. Names in it are relative, with slashes.
pub trait DatasetStore: Send + Sync {
    /// Creates the folder if it is missing.
    fn prepare(&self) -> io::Result<()>;
    fn create(&self, name: &str) -> io::Result<Box<dyn AtomicOutput>>;
    /// Reads a small file whole; `None` if it does not exist, an error if it has more than `LARGEST_SMALL_FILE` bytes.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Opens a file for reading from its start, after a download if it is remote.
    fn open(&self, name: &str) -> io::Result<std::fs::File>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names of all files, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_parsed_and_addresses_with_secrets_refused() {
        let place = |text: &str| text.parse::<Location>();
        assert_eq!(place("-"), Ok(Location::Stdout));
        assert_eq!(place("out.csv"), Ok(Location::File("out.csv".into())));
        assert_eq!(place("out/"), Ok(Location::Folder("out/".into())));
        assert_eq!(place("/tmp"), Ok(Location::Folder("/tmp".into())));
        assert!(matches!(place("s3://bucket/a"), Ok(Location::Remote(_))));
        assert!(matches!(place("gs://bucket"), Ok(Location::Remote(_))));
        for wrong in ["http://host/a", "s3://", "s3:///a", "host=h password=secret"] {
            assert_eq!(place(wrong), Err(InvalidLocation::Scheme(address(wrong))));
        }
        for secret in [
            "s3://key:secret@bucket/a",
            "s3://key:1/secret@bucket/a",
            "s3://key:1#secret@bucket/a",
            "az://container/a?sig=secret",
        ] {
            assert_eq!(place(secret), Err(InvalidLocation::Credentials));
        }
        assert_eq!(place(""), Err(InvalidLocation::Empty));
    }
}
