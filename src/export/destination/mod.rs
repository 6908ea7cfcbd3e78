//! Where an export's bytes go. What is written becomes visible under its name by `commit` only; dropped without it,
//! nothing is left.

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
pub use crate::file_output::FileOutput;
use crate::text::{address, is_address};

/// Bytes on their way.
pub trait Output: Write + Send {
    /// All was written: it may be seen now.
    fn commit(self: Box<Self>) -> io::Result<()>;
}

/// As `--output` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Stdout,
    File(PathBuf),
    /// A dataset in a folder.
    Folder(PathBuf),
    /// A dataset in an object store.
    Remote(url::Url),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    #[error("an output is - for stdout, a file, a folder with a / at its end, or s3://, gs:// or az:// with a bucket")]
    Empty,
    #[error(
        "an object store's address holds no user, password, port, query or fragment: credentials come by its usual variables"
    )]
    Credentials,
    /// With as much of it as may be shown.
    #[error("'{0}' is no place that exports can go to: s3://, gs:// and az:// are, each with a bucket")]
    Scheme(String),
}

impl FromStr for Place {
    type Err = InvalidPlace;

    /// A folder is a path that ends in a slash, or one that is there.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => return Err(InvalidPlace::Empty),
            "-" => return Ok(Self::Stdout),
            _ => {}
        }
        if is_address(text) {
            let url = url::Url::parse(text).map_err(|_| InvalidPlace::Scheme(address(text)))?;
            let known =
                matches!(url.scheme(), "s3" | "gs" | "az") && url.host_str().is_some_and(|host| !host.is_empty());
            // A bucket has no port: that is a password of digits, and a slash in it would make its user the bucket.
            let has_more = url.query().is_some() || url.fragment().is_some() || url.port().is_some();
            if !url.username().is_empty() || url.password().is_some() || has_more {
                return Err(InvalidPlace::Credentials);
            }
            return known
                .then_some(Self::Remote(url))
                .ok_or_else(|| InvalidPlace::Scheme(address(text)));
        }
        let path = PathBuf::from(text);
        Ok(if text.ends_with('/') || path.is_dir() {
            Self::Folder(path)
        } else {
            Self::File(path)
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) | Self::Folder(path) => path.display().fmt(f),
            Self::Remote(url) => url.fmt(f),
        }
    }
}

impl Output for FileOutput {
    fn commit(self: Box<Self>) -> io::Result<()> {
        (*self).commit()
    }
}

/// stdout, which has no name under which something half-written could stand.
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

impl Output for Stdout {
    fn commit(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

/// A folder or a part of an object store that holds a dataset; names in it are relative, with slashes.
pub trait Tree: Send + Sync {
    /// Makes it where it is missing.
    fn prepare(&self) -> io::Result<()>;
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>>;
    /// `None` where there is no such file. Of small files only.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// The file as one on this machine, to be read from its start.
    fn open(&self, name: &str) -> io::Result<std::fs::File>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// All files in it, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_or_an_existing_folder_means_a_dataset() {
        let place = |text: &str| text.parse::<Place>();
        assert_eq!(place("-"), Ok(Place::Stdout));
        assert_eq!(place("out.csv"), Ok(Place::File("out.csv".into())));
        assert_eq!(place("out/"), Ok(Place::Folder("out/".into())));
        assert_eq!(place("/tmp"), Ok(Place::Folder("/tmp".into())));
        assert!(matches!(place("s3://bucket/a"), Ok(Place::Remote(_))));
        assert!(matches!(place("gs://bucket"), Ok(Place::Remote(_))));
        for wrong in ["http://host/a", "s3://", "s3:///a", "host=h password=secret"] {
            assert_eq!(place(wrong), Err(InvalidPlace::Scheme(address(wrong))));
        }
        for secret in [
            "s3://key:secret@bucket/a",
            "s3://key:1/secret@bucket/a",
            "s3://key:1#secret@bucket/a",
            "az://container/a?sig=secret",
        ] {
            assert_eq!(place(secret), Err(InvalidPlace::Credentials));
        }
        assert_eq!(place(""), Err(InvalidPlace::Empty));
    }
}
