//! A file, or the files of a dataset, as a side.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::entry::Entry;
use super::error::{DiffError, Stopped};
use super::namespaces::{LIMIT, NamespaceInfo, NamespaceKey, Namespaces, RowNamespaces, RowProblem, Scope, Skipped};
use super::side::ALL_COLUMNS;
use crate::export::manifest::{Manifest, ManifestFile, ManifestNamespace};
use crate::export::read::{self, Columns, Places, RowReader, detect_format};
use crate::export::{DatasetStore, ExportError, Format, Location};
use crate::temporary::unnamed_file;
use crate::text::shown;

/// Entries per batch.
pub(super) const BATCH: usize = 2048;

pub struct FileSide {
    pub(super) place: String,
    /// A file without a row lacks no column.
    pub(super) columns: Columns,
    parts: Vec<Part>,
    pub(super) namespaces: Option<Vec<NamespaceInfo>>,
}

struct Part {
    origin: Origin,
    format: Format,
    /// The manifest's namespace for this file.
    namespace: Option<NamespaceKey>,
    /// The manifest's number of rows.
    rows: Option<u64>,
}

enum Origin {
    File(File),
    Tree(Arc<dyn DatasetStore>, String),
}

impl Origin {
    /// Opens it at its start.
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

impl FileSide {
    /// Opens a local file, or stdin.
    pub fn file(place: &Location) -> Result<Self, DiffError> {
        let (name, opened) = match place {
            Location::File(path) | Location::Folder(path) => (path.display().to_string(), File::open(path)),
            _ => (
                "stdin".to_owned(),
                io::stdin().as_fd().try_clone_to_owned().map(File::from),
            ),
        };
        Self::one(name, opened.and_then(seekable))
    }

    /// Opens a file of an object store.
    pub fn file_of(tree: &dyn DatasetStore, name: &str, place: String) -> Result<Self, DiffError> {
        Self::one(place, tree.open(name))
    }

    fn one(place: String, opened: io::Result<File>) -> Result<Self, DiffError> {
        let unread = |source| DiffError::Read {
            place: place.clone(),
            source,
        };
        let file = opened.map_err(unread)?;
        let format = detect_format(&place, &file).map_err(|source| DiffError::Unreadable {
            place: place.clone(),
            source,
        })?;
        let origin = Origin::File(file);
        let columns = match read::columns(format, origin.open().map_err(unread)?) {
            Ok(columns) => columns.unwrap_or(ALL_COLUMNS),
            Err(source) => return Err(DiffError::Row { place, source }),
        };
        require_objects(&place, &columns)?;
        Ok(Self {
            place,
            columns,
            parts: vec![Part {
                origin,
                format,
                namespace: None,
                rows: None,
            }],
            namespaces: None,
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
        let part = |file: &ManifestFile| {
            if file.leaves_dataset() {
                return Err(DiffError::Stray {
                    place: place.clone(),
                    part: file.path.clone(),
                });
            }
            let holds = |namespace: &&ManifestNamespace| file.path.starts_with(&format!("{}/", namespace.folder()));
            Ok(Part {
                origin: Origin::Tree(tree.clone(), file.path.clone()),
                format,
                namespace: manifest.namespaces.iter().find(holds).map(key),
                rows: Some(file.rows),
            })
        };
        let parts = manifest.files.iter().map(part).collect::<Result<_, _>>()?;
        let info = |namespace: &ManifestNamespace| NamespaceInfo {
            key: key(namespace),
            name: namespace.name.clone(),
            objects: namespace.rows,
            digest: manifest
                .can_be_digested()
                .then(|| (namespace.digest_version, namespace.digest.clone())),
        };
        Ok(Self {
            // The paths name account and namespace even if the rows don't.
            columns: Columns {
                account_id: true,
                namespace_id: true,
                ..columns
            },
            namespaces: Some(manifest.namespaces.iter().map(info).collect()),
            parts,
            place,
        })
    }

    pub(super) fn drop_namespaces(&mut self, keys: &HashSet<NamespaceKey>) {
        self.parts
            .retain(|part| part.namespace.as_ref().is_none_or(|key| !keys.contains(key)));
    }

    pub(super) fn read(
        &self,
        side: usize,
        namespaces: &Namespaces,
        mut send: impl FnMut(&mut Vec<Entry>) -> Result<(), Stopped>,
    ) -> Result<Skipped, Stopped> {
        let mut skipped = Skipped::default();
        let mut batch = Vec::with_capacity(BATCH);
        for part in &self.parts {
            let namespaces = RowNamespaces::new(side, namespaces, part.namespace.clone().unwrap_or_default());
            self.read_part(part, namespaces, &mut batch, &mut skipped, &mut send)?;
        }
        send(&mut batch)?;
        Ok(skipped)
    }

    fn read_part(
        &self,
        part: &Part,
        mut namespaces: RowNamespaces<'_>,
        batch: &mut Vec<Entry>,
        skipped: &mut Skipped,
        send: &mut impl FnMut(&mut Vec<Entry>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let place = || match &part.origin {
            Origin::File(_) => self.place.clone(),
            Origin::Tree(_, name) => format!("{name} in {}", self.place),
        };
        let invalid = |source| DiffError::Row { place: place(), source };
        let file = part.origin.open();
        let file = file.map_err(|source| DiffError::Read { place: place(), source })?;
        let mut reader = RowReader::open(part.format, file).map_err(invalid)?;
        let mut rows = 0;
        while let Some(row) = reader.next_row().map_err(invalid)? {
            rows += 1;
            // If the file has the flag, a row without it is a row with an unknown one.
            let has_stored_data = row.has_stored_data.or(self.columns.has_stored_data.then_some(None));
            let data = has_stored_data.map(Into::into);
            let found = namespaces.find(&row).and_then(|(namespace, scope)| {
                let id = row.object_id.ok_or(RowProblem::NoValue { column: "object_id" })?;
                Ok((Entry { id, namespace, data }, scope))
            });
            match found {
                Ok((entry, Scope::Compared)) => batch.push(entry),
                Ok((entry, scope)) => skipped.add(entry.namespace, scope, 1),
                Err(problem) => return Err(row_error(problem, place(), &reader).into()),
            }
            if batch.len() == BATCH {
                send(batch)?;
                batch.clear();
                batch.reserve(BATCH);
            }
        }
        match (part.rows, &part.origin) {
            (Some(told), Origin::Tree(_, name)) if told != rows => Err(Stopped::Failed(DiffError::PartRows {
                place: self.place.clone(),
                part: name.clone(),
                found: rows,
                told,
            })),
            _ => Ok(()),
        }
    }
}

/// Pipes can be read only once, and not from their end: their content is copied to a temporary file.
fn seekable(mut file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let mut copy = unnamed_file()?;
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

fn key(namespace: &ManifestNamespace) -> NamespaceKey {
    NamespaceKey::new(Some(&namespace.account_id), Some(&namespace.namespace_id))
}

fn row_error(problem: RowProblem, place: String, reader: &RowReader) -> DiffError {
    match problem {
        RowProblem::NoValue { column } => DiffError::NoValue {
            place,
            at: reader.at(),
            column,
        },
        RowProblem::TooManyNamespaces => DiffError::TooManyNamespaces { place, limit: LIMIT },
    }
}
