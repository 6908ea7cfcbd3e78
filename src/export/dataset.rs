//! A dataset: a folder a snapshot, parts of a bounded size in it, and the manifest last.
//!
//! A dataset that is there already is replaced: its parts stay valid and untouched until the new manifest is in place,
//! then those that no longer belong are removed. One that would lose namespaces by that is left alone, unless it was said
//! that it may.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::columns::Column;
use super::destination::{Output, Tree};
use super::error::{ExportError, Loss};
use super::manifest::{self, Manifest, ManifestFile, ManifestNamespace};
use super::run::{Covered, Target, Written};
use super::sink::{Format, Sink};
use crate::store::{Row, Slice, Table};

/// About 40 MB of Parquet or 200 MB of CSV.
const PART_ROWS: u64 = 1_000_000;

pub struct Dataset {
    tree: Box<dyn Tree>,
    /// What an error calls it.
    place: String,
    format: Format,
    columns: Vec<Column>,
    manifest: Manifest,
    /// A dataset that has other namespaces, or another table, may be replaced.
    replace: bool,
    covered: Covered,
    /// Files of the dataset that is here.
    former: HashSet<String>,
    current: Option<Current>,
    /// Taken back when the export fails.
    written: Vec<String>,
}

/// The snapshot in hand.
struct Current {
    slice: Arc<Slice>,
    told: ManifestNamespace,
    parts: u32,
    part: Part,
}

struct Part {
    name: String,
    rows: u64,
    sink: Sink<Counted>,
}

impl Dataset {
    /// `complete` says that the rows will be all of the snapshots' rows; `replace`, that a dataset here may be replaced
    /// whatever it has.
    pub fn new(
        tree: Box<dyn Tree>,
        place: String,
        table: Table,
        format: Format,
        columns: Vec<Column>,
        complete: bool,
        replace: bool,
    ) -> Result<Self, ExportError> {
        tree.prepare().map_err(|source| ExportError::Write {
            place: place.clone(),
            source,
        })?;
        let manifest = Manifest::new(table, format, &columns, complete);
        Ok(Self {
            manifest,
            tree,
            place,
            format,
            columns,
            replace,
            covered: Covered::new(),
            former: HashSet::new(),
            current: None,
            written: Vec::new(),
        })
    }

    /// Looks at what is here now, and refuses to replace it where it has what `covers` does not.
    pub fn refuse_loss(&mut self, covers: impl Fn(&ManifestNamespace) -> bool) -> Result<(), ExportError> {
        let Some(former) = Manifest::read(&*self.tree, &self.place)? else {
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

    fn failed(&self, name: &str) -> impl FnOnce(io::Error) -> ExportError {
        let place = format!("{name} in {}", self.place);
        move |source| ExportError::Write { place, source }
    }

    fn open_part(&self, folder: &str, number: u32) -> Result<Part, ExportError> {
        let extension = self.format.extension();
        let mut name = format!("{folder}/part-{number:04}.{extension}");
        if self.former.contains(&name) {
            // It stays as it is for as long as the former manifest speaks of it.
            name = format!("{folder}/part-{number:04}-again.{extension}");
        }
        let opened = self
            .tree
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
        self.manifest.namespaces.push(current.told);
        Ok(())
    }

    fn refuse_loss_of_others(&mut self) -> Result<(), ExportError> {
        let covered = std::mem::take(&mut self.covered);
        let refused = self.refuse_loss(|there| covered.contains(&there.key()));
        self.covered = covered;
        refused
    }

    fn write_manifest(&mut self) -> Result<(), ExportError> {
        let written = self.tree.create(manifest::NAME).and_then(|mut output| {
            serde_json::to_writer_pretty(&mut output, &self.manifest)?;
            output.write_all(b"\n")?;
            output.commit()
        });
        written.map_err(self.failed(manifest::NAME))
    }

    fn remove_former(&mut self) -> Result<(), ExportError> {
        let kept = self.manifest.paths();
        for name in self.former.iter().filter(|name| !kept.contains(name.as_str())) {
            // A manifest that someone tampered with must not reach beyond the dataset.
            if name.starts_with("account_id=") && !name.split('/').any(|step| step == "..") {
                self.tree.remove(name).map_err(self.failed(name))?;
            }
        }
        Ok(())
    }
}

impl Target for Dataset {
    fn expect(&mut self, covered: Covered) -> Result<(), ExportError> {
        self.covered = covered;
        self.refuse_loss_of_others()
    }

    /// Every snapshot has a part, if only an empty one: that nothing was there is an answer too.
    fn begin(&mut self, slice: &Arc<Slice>) -> Result<(), ExportError> {
        self.close_current()?;
        let told = ManifestNamespace::new(slice);
        self.current = Some(Current {
            slice: slice.clone(),
            part: self.open_part(&told.folder(), 0)?,
            told,
            parts: 1,
        });
        Ok(())
    }

    fn rows(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        if current.part.rows >= PART_ROWS {
            let next = self.open_part(&current.told.folder(), current.parts)?;
            current.parts += 1;
            self.close_part(std::mem::replace(&mut current.part, next))?;
        }
        let part = &mut current.part;
        part.sink.write(&current.slice, rows).map_err(self.failed(&part.name))?;
        part.rows += rows.len() as u64;
        current.told.rows += rows.len() as u64;
        self.current = Some(current);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Written, ExportError> {
        self.close_current()?;
        // Another export may have come first.
        self.refuse_loss_of_others()?;
        self.write_manifest()?;
        self.written.clear();
        self.remove_former()?;
        Ok(Written {
            rows: self.manifest.files.iter().map(|file| file.rows).sum(),
            files: self.manifest.files.len() as u64,
        })
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        if let Some(Current { part, .. }) = self.current.take() {
            drop(part.sink);
            // It was never seen, but its folders were made for it.
            self.written.push(part.name);
        }
        // What the manifest speaks of that is here now is not this export's.
        for name in self.written.iter().filter(|name| !self.former.contains(*name)) {
            // Without a manifest it is no dataset, with or without this file.
            let _left = self.tree.remove(name);
        }
    }
}

/// Counts and hashes what passes.
struct Counted {
    to: Box<dyn Output>,
    bytes: u64,
    hash: Sha256,
}

impl Counted {
    fn new(to: Box<dyn Output>) -> Self {
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
