//! A file, the files of a dataset, or the files of a folder, as a side.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::entry::Entry;
use super::error::{DiffError, Stopped};
use super::folder;
use super::namespaces::{LIMIT, NamespaceInfo, NamespaceKey, Namespaces, RowNamespaces, RowProblem, Scope, Skipped};
use super::side::ALL_COLUMNS;
use crate::export::manifest::{Manifest, ManifestFile, ManifestNamespace};
use crate::export::read::{self, Columns, Places, RowError, RowReader};
use crate::export::{DatasetStore, Location};
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
    /// The account and the namespace that the manifest or the path gives, for rows without them.
    namespace: NamespaceKey,
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

    /// Its name, in a place.
    fn name<'a>(&'a self, place: &'a str) -> &'a str {
        match self {
            Self::Tree(_, name) => name,
            Self::File(_) => place,
        }
    }

    /// What errors call it.
    fn label(&self, place: &str) -> String {
        match self {
            Self::Tree(_, name) => format!("{} in {place}", shown(name)),
            Self::File(_) => place.to_owned(),
        }
    }

    /// Returns the columns of the file; `None` if it has neither a header nor a row.
    fn columns(&self, place: &str) -> Result<Option<Columns>, DiffError> {
        let file = self.open().map_err(|source| DiffError::Read {
            place: self.label(place),
            source,
        })?;
        let columns = read::columns(self.name(place), file).map_err(|source| DiffError::Row {
            place: self.label(place),
            source,
        })?;
        if let Some(columns) = &columns {
            require_objects(&self.label(place), columns)?;
        }
        Ok(columns)
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
        let opened = opened.map_err(RowError::from).and_then(seekable);
        let opened = opened.map_err(|error| match error {
            RowError::Io(source) => DiffError::Read {
                place: name.clone(),
                source,
            },
            source => DiffError::Row {
                place: name.clone(),
                source,
            },
        })?;
        Self::one(name, opened)
    }

    /// Opens a file of an object store.
    pub fn file_of(tree: &dyn DatasetStore, name: &str, place: String) -> Result<Self, DiffError> {
        match tree.open(name) {
            Ok(file) => Self::one(place, file),
            Err(source) => Err(DiffError::Read { place, source }),
        }
    }

    fn one(place: String, file: File) -> Result<Self, DiffError> {
        let origin = Origin::File(file);
        Ok(Self {
            columns: origin.columns(&place)?.unwrap_or(ALL_COLUMNS),
            parts: vec![Part {
                origin,
                namespace: NamespaceKey::default(),
                rows: None,
            }],
            place,
            namespaces: None,
        })
    }

    /// Opens a dataset, or a folder of files that other programs wrote.
    pub fn folder(tree: Box<dyn DatasetStore>, place: String) -> Result<Self, DiffError> {
        let tree: Arc<dyn DatasetStore> = tree.into();
        match Manifest::read(&*tree, &place)? {
            Some(manifest) => Self::dataset(tree, place, manifest),
            None => Self::files(tree, place),
        }
    }

    fn files(tree: Arc<dyn DatasetStore>, place: String) -> Result<Self, DiffError> {
        let names = tree.names().map_err(|source| DiffError::Read {
            place: place.clone(),
            source,
        })?;
        let mut parts = Vec::new();
        let mut all: Option<Columns> = None;
        for name in folder::files_of_rows(names, &place)? {
            let namespace = folder::namespace_of(&name);
            let origin = Origin::Tree(tree.clone(), name);
            let columns = match origin.columns(&place) {
                // Spark writes an empty file for a part without rows.
                Err(DiffError::Row {
                    source: RowError::Empty,
                    ..
                }) => continue,
                columns => columns?,
            };
            // A file without a row lacks no column.
            if let Some(mut columns) = columns {
                columns.account_id |= namespace.account_id.is_some();
                columns.namespace_id |= namespace.namespace_id.is_some();
                all = Some(all.unwrap_or_default().or(columns));
            }
            parts.push(Part {
                origin,
                namespace,
                rows: None,
            });
        }
        Ok(Self {
            columns: all.unwrap_or(ALL_COLUMNS),
            parts,
            place,
            namespaces: None,
        })
    }

    fn dataset(tree: Arc<dyn DatasetStore>, place: String, manifest: Manifest) -> Result<Self, DiffError> {
        if manifest.table != "objects" {
            return Err(DiffError::NoObjects {
                place,
                what: manifest.table,
            });
        }
        if manifest.file_format().is_none() {
            return Err(DiffError::Format {
                place,
                format: shown(&manifest.format),
            });
        }
        let names: Vec<_> = manifest.columns.iter().map(|column| column.name.as_str()).collect();
        let columns = match Places::of(&names) {
            Ok(places) => places.columns,
            Err(source) => return Err(DiffError::Row { place, source }),
        };
        require_objects(&place, &columns)?;
        let folders: HashMap<_, _> = manifest.namespaces.iter().map(|it| (it.folder(), key(it))).collect();
        let part = |file: &ManifestFile| {
            if file.leaves_dataset() {
                return Err(DiffError::Stray {
                    place: place.clone(),
                    part: file.path.clone(),
                });
            }
            let folder = file.path.rsplit_once('/').map(|(folder, _)| folder);
            Ok(Part {
                origin: Origin::Tree(tree.clone(), file.path.clone()),
                namespace: folder
                    .and_then(|folder| folders.get(folder).cloned())
                    .unwrap_or_default(),
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
        self.parts.retain(|part| !keys.contains(&part.namespace));
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
            let namespaces = RowNamespaces::new(side, namespaces, part.namespace.clone());
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
        let place = || part.origin.label(&self.place);
        let invalid = |source| DiffError::Row { place: place(), source };
        let file = part.origin.open();
        let file = file.map_err(|source| DiffError::Read { place: place(), source })?;
        let mut reader = RowReader::open(part.origin.name(&self.place), file).map_err(invalid)?;
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

/// Pipes can be read only once, and not from their end: their content is copied to a temporary file, unless its start
/// shows that it is not a list. A device may have no end.
fn seekable(mut file: File) -> Result<File, RowError> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(read::START).read_to_end(&mut start)?;
    read::require_rows(&start)?;
    let mut copy = unnamed_file()?;
    copy.write_all(&start)?;
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
