//! An export to a dataset: one folder per snapshot with parts of bounded size, and a manifest that is written last.
//!
//! An existing dataset is replaced. Its parts stay valid until the new manifest is in place; then the parts that the
//! new manifest does not name are removed. Unless `replace` is set, a dataset that would lose namespaces stays as it
//! is.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::columns::ExportColumn;
use super::destination::{AtomicOutput, DatasetStore, stays_inside};
use super::error::{ExportError, Loss};
use super::format::Format;
use super::manifest::{self, Manifest, ManifestFile, ManifestNamespace};
use super::run::{CoveredNamespaces, Target};
use super::sink::Sink;
use crate::store::{Row, Slice, Table};

/// About 40 MB of Parquet or 200 MB of CSV.
const PART_ROWS: u64 = 1_000_000;

pub struct Dataset {
    store: Box<dyn DatasetStore>,
    /// Names the dataset in errors.
    place: String,
    format: Format,
    columns: Vec<ExportColumn>,
    manifest: Manifest,
    /// Replace an existing dataset even if it has other namespaces or another table.
    replace: bool,
    covered: CoveredNamespaces,
    /// Files of the dataset that this export replaces.
    former: HashSet<String>,
    current: Option<Current>,
    /// Finished parts, which are removed if the export fails.
    written: Vec<String>,
}

/// The snapshot that is being written.
struct Current {
    slice: Arc<Slice>,
    namespace: ManifestNamespace,
    parts: u32,
    part: Part,
}

struct Part {
    name: String,
    rows: u64,
    sink: Sink<Counted>,
}

impl Dataset {
    /// `complete`: the export will have all rows of its snapshots. `replace`: an existing dataset may lose namespaces,
    /// or be of another table.
    pub fn new(
        store: Box<dyn DatasetStore>,
        place: String,
        table: Table,
        format: Format,
        columns: Vec<ExportColumn>,
        complete: bool,
        replace: bool,
    ) -> Result<Self, ExportError> {
        store.prepare().map_err(ExportError::write(&place))?;
        let manifest = Manifest::new(table, format, &columns, complete);
        Ok(Self {
            manifest,
            store,
            place,
            format,
            columns,
            replace,
            covered: CoveredNamespaces::new(),
            former: HashSet::new(),
            current: None,
            written: Vec::new(),
        })
    }

    /// Fails if the existing dataset has another table, or a namespace that `covers` rejects.
    pub fn refuse_loss(&mut self, covers: impl Fn(&ManifestNamespace) -> bool) -> Result<(), ExportError> {
        let Some(former) = Manifest::read(&*self.store, &self.place)? else {
            self.former.clear();
            return Ok(());
        };
        self.former = former.files.into_iter().map(|file| file.path).collect();
        if self.replace {
            return Ok(());
        }
        let place = self.place.clone();
        if former.table != self.manifest.table {
            let (found, asked) = (former.table, self.manifest.table.clone());
            return Err(Loss::Table { place, found, asked }.into());
        }
        let of = former.namespaces.len();
        let lost = former.namespaces.into_iter().filter(|there| !covers(there));
        let lost: Vec<_> = lost.map(|there| there.label().to_owned()).collect();
        match lost.is_empty() {
            true => Ok(()),
            false => Err(Loss::Namespaces { place, lost, of }.into()),
        }
    }

    fn failed(&self, name: &str) -> impl FnOnce(io::Error) -> ExportError + use<> {
        ExportError::write(&format!("{name} in {}", self.place))
    }

    fn open_part(&self, folder: &str, number: u32) -> Result<Part, ExportError> {
        let extension = self.format.extension();
        let mut name = format!("{folder}/part-{number:04}.{extension}");
        if self.former.contains(&name) {
            // The former manifest still names this part, so it must not change yet.
            name = format!("{folder}/part-{number:04}-again.{extension}");
        }
        let opened = self
            .store
            .create(&name)
            .and_then(|output| Sink::new(self.format, &self.columns, Counted::new(output)));
        let sink = opened.map_err(self.failed(&name))?;
        Ok(Part { name, rows: 0, sink })
    }

    fn close_part(&mut self, part: Part) -> Result<(), ExportError> {
        let counted = part.sink.finish().map_err(self.failed(&part.name))?;
        let (bytes, sha256) = (counted.bytes, hex::encode(counted.hash.finalize()));
        counted.to.commit().map_err(self.failed(&part.name))?;
        self.written.push(part.name.clone());
        self.manifest.files.push(ManifestFile {
            path: part.name,
            rows: part.rows,
            bytes,
            sha256,
        });
        Ok(())
    }

    fn close_current(&mut self) -> Result<(), ExportError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        self.close_part(current.part)?;
        self.manifest.namespaces.push(current.namespace);
        Ok(())
    }

    fn refuse_loss_of_others(&mut self) -> Result<(), ExportError> {
        let covered = std::mem::take(&mut self.covered);
        let refused = self.refuse_loss(|there| covered.contains(&there.key()));
        self.covered = covered;
        refused
    }

    fn write_manifest(&mut self) -> Result<(), ExportError> {
        let written = self.store.create(manifest::NAME).and_then(|mut output| {
            serde_json::to_writer_pretty(&mut output, &self.manifest)?;
            output.write_all(b"\n")?;
            output.commit()
        });
        written.map_err(self.failed(manifest::NAME))
    }

    fn remove_former(&mut self) -> Result<(), ExportError> {
        let kept = self.manifest.paths();
        for name in self.former.iter().filter(|name| !kept.contains(name.as_str())) {
            // A forged manifest must not remove files outside the dataset, or files that no export wrote.
            if name.starts_with("account_id=") && stays_inside(name) {
                self.store.remove(name).map_err(self.failed(name))?;
            }
        }
        Ok(())
    }
}

impl Target for Dataset {
    fn expect(&mut self, covered: CoveredNamespaces) -> Result<(), ExportError> {
        self.covered = covered;
        self.refuse_loss_of_others()
    }

    /// A snapshot without objects gets an empty part, which states that there were none.
    fn begin(&mut self, slice: &Arc<Slice>) -> Result<(), ExportError> {
        self.close_current()?;
        let namespace = ManifestNamespace::new(slice);
        self.current = Some(Current {
            slice: slice.clone(),
            part: self.open_part(&namespace.folder(), 0)?,
            namespace,
            parts: 1,
        });
        Ok(())
    }

    fn rows(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        if current.part.rows >= PART_ROWS {
            let next = self.open_part(&current.namespace.folder(), current.parts)?;
            current.parts += 1;
            self.close_part(std::mem::replace(&mut current.part, next))?;
        }
        let part = &mut current.part;
        part.sink.write(&current.slice, rows).map_err(self.failed(&part.name))?;
        part.rows += rows.len() as u64;
        current.namespace.rows += rows.len() as u64;
        self.current = Some(current);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, ExportError> {
        self.close_current()?;
        // Another export may have replaced the dataset in the meantime.
        self.refuse_loss_of_others()?;
        self.write_manifest()?;
        self.written.clear();
        self.remove_former()?;
        Ok(self.manifest.files.iter().map(|file| file.rows).sum())
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        if let Some(Current { part, .. }) = self.current.take() {
            drop(part.sink);
            // The part never became visible, but its folders exist.
            self.written.push(part.name);
        }
        // Files of the former manifest belong to the dataset that is still valid.
        for name in self.written.iter().filter(|name| !self.former.contains(*name)) {
            // A file that stays is harmless: no manifest names it.
            let _removed = self.store.remove(name);
        }
    }
}

/// Counts and hashes the bytes that it passes on.
struct Counted {
    to: Box<dyn AtomicOutput>,
    bytes: u64,
    hash: Sha256,
}

impl Counted {
    fn new(to: Box<dyn AtomicOutput>) -> Self {
        Self {
            to,
            bytes: 0,
            hash: Sha256::new(),
        }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
