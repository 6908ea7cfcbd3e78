//! One side of a comparison, read in batches: files and datasets here, the record in `record`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Entry;
use super::error::DiffError;
use super::owners::{Covered, Fate, LIMIT, Owner, Owners, Skipped};
use super::record::Stored;
use super::whose::Whose;
use crate::export::manifest::{Manifest, ManifestNamespace};
use crate::export::read::{self, Columns, Places, RowReader, detect_format};
use crate::export::{DatasetStore, ExportError, Format, Location};
use crate::temporary::nameless_file;
use crate::text::shown;

pub(super) const BATCH: usize = 2048;

pub enum Side {
    Files(Files),
    Stored(Stored),
}

/// Why a side was not read to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// Its ids do not ascend.
    Disorder,
    /// Whoever compares wants no more.
    Gone,
    Failed(DiffError),
}

impl<E: Into<DiffError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// All objects of one namespace, known without a look at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub owner: Owner,
    pub name: Option<String>,
    pub objects: u64,
    /// Its version and value; `None` where the rows are not all that the digest is of.
    pub digest: Option<(i16, String)>,
}

impl Side {
    /// What an error calls it.
    pub fn place(&self) -> &str {
        match self {
            Self::Files(files) => &files.place,
            Self::Stored(stored) => &stored.place,
        }
    }

    /// `None` of a side without a row, which lacks nothing.
    pub fn columns(&self) -> Option<Columns> {
        match self {
            Self::Files(files) => files.columns,
            Self::Stored(_) => Some(Columns {
                account_id: true,
                namespace_id: true,
                object_id: true,
                has_stored_data: true,
                no_objects: None,
            }),
        }
    }

    /// The namespaces that it speaks of, where it knows.
    pub fn segments(&self) -> Option<Vec<&Segment>> {
        match self {
            Self::Files(files) => files.segments.as_ref().map(|segments| segments.iter().collect()),
            Self::Stored(stored) => Some(stored.slices.iter().map(|(_, segment)| segment).collect()),
        }
    }

    pub fn covered(&self) -> Option<Covered> {
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let segments = self.segments()?.into_iter();
        Some(
            segments
                .map(|s| (text(&s.owner.account_id), text(&s.owner.namespace_id)))
                .collect(),
        )
    }

    /// These namespaces are not read.
    pub fn leave_out(&mut self, owners: &HashSet<Owner>) {
        match self {
            Self::Files(files) => files
                .parts
                .retain(|part| part.owner.as_ref().is_none_or(|owner| !owners.contains(owner))),
            Self::Stored(stored) => stored.slices.retain(|(_, segment)| !owners.contains(&segment.owner)),
        }
    }

    /// Whether it can't be in order: the record is ordered within its namespaces.
    pub(super) fn needs_sorting(&self, owners: &Owners) -> bool {
        match self {
            Self::Files(_) => false,
            Self::Stored(stored) => stored.slices.len() > 1 && !owners.by_account(),
        }
    }

    /// Hands its entries on as they come; what a batch holds may be taken out of it.
    pub(super) fn read(
        &self,
        side: usize,
        owners: &Owners,
        stop: &AtomicBool,
        mut hand_on: impl FnMut(&mut Vec<Entry>) -> Result<(), Halt>,
    ) -> Result<Skipped, Halt> {
        let hand_on = |batch: &mut Vec<Entry>| match stop.load(Ordering::Relaxed) {
            true => Err(Halt::Failed(DiffError::Stopped)),
            false => hand_on(batch),
        };
        match self {
            Self::Files(files) => files.read(side, owners, hand_on),
            Self::Stored(stored) => stored.read(owners, hand_on),
        }
    }
}

/// A file, or the files of a dataset.
pub struct Files {
    place: String,
    columns: Option<Columns>,
    parts: Vec<Part>,
    segments: Option<Vec<Segment>>,
}

struct Part {
    origin: Origin,
    format: Format,
    /// Whose its rows are, as the manifest says.
    owner: Option<Owner>,
    /// As the manifest says.
    rows: Option<u64>,
}

enum Origin {
    File(File),
    Tree(Arc<dyn DatasetStore>, String),
}

impl Origin {
    /// From its start.
    fn open(&self) -> io::Result<File> {
        match self {
            Self::Tree(tree, name) => tree.open(name),
            Self::File(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Ok(file)
            }
        }
    }
}

impl Files {
    /// A file of this machine, or stdin.
    pub fn file(place: &Location) -> Result<Self, DiffError> {
        let (name, opened) = match place {
            Location::File(path) | Location::Folder(path) => (path.display().to_string(), File::open(path)),
            _ => (
                "stdin".to_owned(),
                io::stdin().as_fd().try_clone_to_owned().map(File::from),
            ),
        };
        match opened.and_then(seekable) {
            Ok(file) => Self::one(name, file),
            Err(source) => Err(DiffError::Read { place: name, source }),
        }
    }

    /// A file of an object store, or whatever else a tree holds.
    pub fn file_of(tree: &dyn DatasetStore, name: &str, place: String) -> Result<Self, DiffError> {
        match tree.open(name) {
            Ok(file) => Self::one(place, file),
            Err(source) => Err(DiffError::Read { place, source }),
        }
    }

    fn one(place: String, file: File) -> Result<Self, DiffError> {
        let unreadable = |source| DiffError::Unreadable {
            place: place.clone(),
            source,
        };
        let format = detect_format(&place, &file).map_err(unreadable)?;
        let origin = Origin::File(file);
        let columns = match origin.open().map(|file| read::columns(format, file)) {
            Ok(Ok(columns)) => columns,
            Ok(Err(source)) => return Err(DiffError::Row { place, source }),
            Err(source) => return Err(DiffError::Read { place, source }),
        };
        if let Some(columns) = columns {
            require_objects(&place, &columns)?;
        }
        Ok(Self {
            place,
            columns,
            parts: vec![Part {
                origin,
                format,
                owner: None,
                rows: None,
            }],
            segments: None,
        })
    }

    pub fn dataset(tree: Box<dyn DatasetStore>, place: String) -> Result<Self, DiffError> {
        let tree: Arc<dyn DatasetStore> = tree.into();
        let manifest =
            Manifest::read(&*tree, &place)?.ok_or_else(|| ExportError::NoManifest { place: place.clone() })?;
        if manifest.table != "objects" {
            return Err(DiffError::NoObjects {
                place,
                what: manifest.table,
            });
        }
        let Some(format) = manifest.file_format() else {
            return Err(DiffError::Format {
                place,
                format: shown(&manifest.format),
            });
        };
        let names: Vec<_> = manifest.columns.iter().map(|column| column.name.as_str()).collect();
        let columns = match Places::of(&names) {
            Ok(places) => places.columns,
            Err(source) => return Err(DiffError::Row { place, source }),
        };
        require_objects(&place, &columns)?;
        let mut files = Self {
            // Its paths say whose its rows are, whatever their columns do.
            columns: Some(Columns {
                account_id: true,
                namespace_id: true,
                ..columns
            }),
            segments: Some(
                manifest
                    .namespaces
                    .iter()
                    .map(|told| segment(&manifest, told))
                    .collect(),
            ),
            parts: Vec::new(),
            place,
        };
        for file in &manifest.files {
            if file.leaves_dataset() {
                return Err(DiffError::Stray {
                    place: files.place,
                    part: file.path.clone(),
                });
            }
            let whose = |told: &&ManifestNamespace| file.path.starts_with(&format!("{}/", told.folder()));
            files.parts.push(Part {
                origin: Origin::Tree(tree.clone(), file.path.clone()),
                format,
                owner: manifest.namespaces.iter().find(whose).map(owner_of),
                rows: Some(file.rows),
            });
        }
        Ok(files)
    }

    fn read(
        &self,
        side: usize,
        owners: &Owners,
        mut hand_on: impl FnMut(&mut Vec<Entry>) -> Result<(), Halt>,
    ) -> Result<Skipped, Halt> {
        let mut skipped = Skipped::default();
        let mut batch = Vec::with_capacity(BATCH);
        for part in &self.parts {
            let whose = Whose::new(side, owners, part.owner.clone().unwrap_or_default());
            self.read_part(part, whose, &mut batch, &mut skipped, &mut hand_on)?;
        }
        hand_on(&mut batch)?;
        Ok(skipped)
    }

    fn read_part(
        &self,
        part: &Part,
        mut whose: Whose<'_>,
        batch: &mut Vec<Entry>,
        skipped: &mut Skipped,
        hand_on: &mut impl FnMut(&mut Vec<Entry>) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let place = || match &part.origin {
            Origin::File(_) => self.place.clone(),
            Origin::Tree(_, name) => format!("{name} in {}", self.place),
        };
        let wrong = |source| DiffError::Row { place: place(), source };
        let file = part.origin.open();
        let file = file.map_err(|source| DiffError::Read { place: place(), source })?;
        let mut reader = RowReader::open(part.format, file).map_err(wrong)?;
        let has_flags = self.columns.is_some_and(|columns| columns.has_stored_data);
        let mut rows = 0;
        while let Some(row) = reader.next_row().map_err(wrong)? {
            rows += 1;
            // A row that leaves the flag out does not know it, where the file has it at all.
            let has_stored_data = row.has_stored_data.or(has_flags.then_some(None));
            let (id, data) = (row.object_id, has_stored_data.map(Into::into));
            let whose = whose.of(&row).map(|whose| (id, whose));
            let (id, whose) = match whose {
                Ok((Some(id), whose)) => (id, whose),
                missing => {
                    let column = missing.err().unwrap_or("object_id");
                    return Err(self.no_value(place(), &reader, column).into());
                }
            };
            match whose {
                (owner, Fate::Compared) => batch.push(Entry { id, owner, data }),
                (owner, fate) => skipped.add(owner, fate, 1),
            }
            if batch.len() == BATCH {
                hand_on(batch)?;
                batch.clear();
                batch.reserve(BATCH);
            }
        }
        match (part.rows, &part.origin) {
            (Some(told), Origin::Tree(_, name)) if told != rows => Err(Halt::Failed(DiffError::PartRows {
                place: self.place.clone(),
                part: name.clone(),
                found: rows,
                told,
            })),
            _ => Ok(()),
        }
    }

    fn no_value(&self, place: String, reader: &RowReader, column: &'static str) -> DiffError {
        match column {
            Whose::TOO_MANY => DiffError::TooManyNamespaces { place, limit: LIMIT },
            column => DiffError::NoValue {
                place,
                at: reader.at(),
                column,
            },
        }
    }
}

/// What is no plain file can be read only once, and not from its end.
fn seekable(mut file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let mut copy = nameless_file()?;
    io::copy(&mut file, &mut copy)?;
    Ok(copy)
}

fn require_objects(place: &str, columns: &Columns) -> Result<(), DiffError> {
    let place = place.to_owned();
    match columns {
        Columns {
            no_objects: Some(what), ..
        } => Err(DiffError::NoObjects {
            place,
            what: (*what).to_owned(),
        }),
        Columns { object_id: false, .. } => Err(DiffError::NoIdColumn { place }),
        _ => Ok(()),
    }
}

fn owner_of(told: &ManifestNamespace) -> Owner {
    Owner::new(Some(&told.account_id), Some(&told.namespace_id))
}

fn segment(manifest: &Manifest, told: &ManifestNamespace) -> Segment {
    let digest = (told.digest_version, told.digest.clone());
    Segment {
        owner: owner_of(told),
        name: told.name.clone(),
        objects: told.rows,
        digest: manifest.can_be_digested().then_some(digest),
    }
}
