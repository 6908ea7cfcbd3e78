//! S3-compatible stores, Google Cloud Storage and Azure, configured by their usual environment variables.
//!
//! An object appears when its upload completes. This `DatasetStore` is for threads that may block: it waits for work
//! that it gives to the runtime.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, parse_url_opts};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use url::Url;

use super::{AtomicOutput, DatasetStore, LARGEST_SMALL_FILE, too_large};
use crate::temporary::unnamed_file;

/// Bytes per part of an upload. At most two parts are in flight while the next one is filled.
const UPLOAD_PART: usize = 8 * 1024 * 1024;

#[derive(Clone)]
pub struct RemoteStore {
    store: Arc<dyn ObjectStore>,
    base: Path,
    runtime: Handle,
}

impl RemoteStore {
    /// Must be called within a runtime. Reads prefixed variables only: a bare `TOKEN` or `REGION` is for other
    /// programs.
    pub fn new(url: &Url) -> io::Result<Self> {
        // The process has one TLS provider, which the API client may have installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let ours = ["AWS_", "GOOGLE_", "AZURE_"];
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| ours.iter().any(|prefix| name.starts_with(prefix)));
        let (store, base) = parse_url_opts(url, variables).map_err(io_error)?;
        Ok(Self {
            store: store.into(),
            base,
            runtime: Handle::current(),
        })
    }

    fn path(&self, name: &str) -> io::Result<Path> {
        let whole = match self.base.as_ref() {
            "" => name.to_owned(),
            base => format!("{base}/{name}"),
        };
        // `parse` does not encode again: names are percent-encoded already.
        Path::parse(whole).map_err(io::Error::other)
    }
}

impl DatasetStore for RemoteStore {
    /// Buckets are created by their owners, and folders exist only in names.
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn AtomicOutput>> {
        let path = self.path(name)?;
        let upload = BufWriter::with_capacity(self.store.clone(), path, UPLOAD_PART).with_max_concurrency(2);
        Ok(Box::new(Upload {
            upload: Some(upload),
            runtime: self.runtime.clone(),
        }))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(name)?;
        self.runtime.block_on(async {
            match self.store.get(&path).await {
                Ok(found) if found.meta.size > LARGEST_SMALL_FILE => Err(too_large()),
                Ok(found) => Ok(Some(found.bytes().await.map_err(io_error)?.to_vec())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(io_error(error)),
            }
        })
    }

    /// Downloads the object to a file without a name.
    fn open(&self, name: &str) -> io::Result<File> {
        let path = self.path(name)?;
        let mut file = unnamed_file()?;
        self.runtime.block_on(async {
            let found = self.store.get(&path).await.map_err(io_error)?;
            let mut bytes = found.into_stream();
            while let Some(bytes) = bytes.try_next().await.map_err(io_error)? {
                file.write_all(&bytes)?;
            }
            io::Result::Ok(())
        })?;
        file.rewind()?;
        Ok(file)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        match self.runtime.block_on(self.store.delete(&path)) {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(io_error(error)),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let base = Some(&self.base).filter(|base| !base.as_ref().is_empty());
        let listed = self.runtime.block_on(self.store.list(base).try_collect::<Vec<_>>());
        let prefix = base.map(|base| format!("{base}/")).unwrap_or_default();
        let names = listed.map_err(io_error)?.into_iter();
        Ok(names
            .filter_map(|object| object.location.as_ref().strip_prefix(&prefix).map(str::to_owned))
            .collect())
    }
}

/// An upload of one object.
struct Upload {
    /// `None` after it was completed or aborted.
    upload: Option<BufWriter>,
    runtime: Handle,
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let upload = self.upload.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        self.runtime.block_on(upload.write(bytes))
    }

    /// Nothing is visible before the upload completes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AtomicOutput for Upload {
    fn commit(mut self: Box<Self>) -> io::Result<()> {
        let Some(mut upload) = self.upload.take() else {
            return Ok(());
        };
        // If the completion fails, `shutdown` aborts the upload itself.
        self.runtime.block_on(upload.shutdown())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // The parts of an incomplete upload are invisible, but they are billed.
            let _aborted = self.runtime.block_on(upload.abort());
        }
    }
}

fn io_error(error: object_store::Error) -> io::Error {
    match error {
        object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            io::Error::new(io::ErrorKind::PermissionDenied, error)
        }
        other => io::Error::other(other),
    }
}
