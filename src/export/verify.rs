//! Verification of a dataset against its manifest: sizes, checksums, rows, and the digests that its rows have.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};

use sha2::{Digest, Sha256};

use super::columns::ExportColumn;
use super::destination::DatasetStore;
use super::error::ExportError;
use super::format::Format;
use super::manifest::{self, Manifest, ManifestFile};
use super::read::{RowError, RowReader};
use crate::digest::SetDigest;
use crate::model::Observation;
use crate::moment::Moment;
use crate::store::Store;
use crate::text::{chain, shown};

/// The result of a verification. Without problems, the dataset is what its manifest says.
#[derive(Debug)]
pub struct Verified {
    pub manifest: Manifest,
    pub rows: u64,
    /// Whether the digests were computed from the rows.
    pub digested: bool,
    pub problems: Vec<String>,
}

/// Account id and namespace id, as in the rows. Empty if the file has no such column.
type NamespaceIds = (Vec<u8>, Vec<u8>);

/// The digests of rows, by namespace.
#[derive(Default)]
struct Digests {
    by_namespace: HashMap<NamespaceIds, SetDigest>,
    /// Bytes of all ids.
    bytes: usize,
}

/// The greatest number of namespaces, and of bytes of their ids, so that they fit into memory.
const MOST_NAMESPACES: usize = 100_000;
const MOST_BYTES: usize = 8 << 20;

pub fn verify(store: &dyn DatasetStore, place: &str) -> Result<Verified, ExportError> {
    let manifest = Manifest::read(store, place)?.ok_or_else(|| ExportError::NoManifest {
        place: place.to_owned(),
    })?;
    let mut verified = Verified {
        rows: 0,
        digested: manifest.can_be_digested(),
        problems: Vec::new(),
        manifest,
    };
    let (manifest, problems) = (&verified.manifest, &mut verified.problems);
    let Some(format) = manifest.file_format() else {
        problems.push(format!("unknown format {}", shown(&manifest.format)));
        verified.digested = false;
        return Ok(verified);
    };
    let mut digests = Digests::default();
    for file in &manifest.files {
        match check(store, file, &mut digests) {
            Ok(rows) => verified.rows += rows,
            Err(problem) => problems.push(format!("{}: {problem}", shown(&file.path))),
        }
    }
    // After a file that could not be read, every digest would differ too.
    if verified.digested && problems.is_empty() {
        compare_digests(manifest, &digests, problems);
    }
    find_strays(store, place, manifest, format, problems)?;
    Ok(verified)
}

/// Returns the number of rows in the file, or what is wrong with it.
fn check(store: &dyn DatasetStore, listed: &ManifestFile, digests: &mut Digests) -> Result<u64, String> {
    if listed.leaves_dataset() {
        return Err("its path leads out of the dataset".to_owned());
    }
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "it is missing".to_owned(),
        _ => format!("it could not be read: {}", chain(&error)),
    };
    let mut file = store.open(&listed.path).map_err(unreadable)?;
    let (bytes, sha256) = hash(&mut file).map_err(unreadable)?;
    if bytes != listed.bytes {
        return Err(format!("it has {bytes} bytes, but the manifest says {}", listed.bytes));
    }
    if sha256 != listed.sha256 {
        return Err("its SHA-256 differs from the manifest".to_owned());
    }
    file.rewind().map_err(unreadable)?;
    let rows = count(&listed.path, file, digests)?;
    if rows != listed.rows {
        return Err(format!("it has {rows} rows, but the manifest says {}", listed.rows));
    }
    Ok(rows)
}

fn hash(file: &mut File) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hex::encode(hash.finalize()))),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Counts the rows and adds their digests to `digests`.
fn count(name: &str, file: File, digests: &mut Digests) -> Result<u64, String> {
    let unreadable = |error: RowError| chain(&error);
    let mut reader = RowReader::open(name, file).map_err(unreadable)?;
    let mut count = 0;
    // Most rows are of the same namespace as the row before.
    let mut current = (NamespaceIds::default(), SetDigest::default());
    while let Some(row) = reader.next_row().map_err(unreadable)? {
        count += 1;
        let (Some(id), Some(flag)) = (row.object_id, row.has_stored_data) else {
            continue;
        };
        let ids = (row.account_id.unwrap_or_default(), row.namespace_id.unwrap_or_default());
        if (&current.0.0[..], &current.0.1[..]) != ids {
            let ids = (ids.0.to_vec(), ids.1.to_vec());
            digests.add(std::mem::replace(&mut current, (ids, SetDigest::default())))?;
        }
        current.1.add(&Observation { id, data: flag.into() });
    }
    digests.add(current)?;
    Ok(count)
}

impl Digests {
    fn add(&mut self, (ids, digest): (NamespaceIds, SetDigest)) -> Result<(), String> {
        if let Some(sum) = self.by_namespace.get_mut(&ids) {
            *sum = sum.plus(digest);
            return Ok(());
        }
        self.bytes += ids.0.len() + ids.1.len();
        if self.by_namespace.len() == MOST_NAMESPACES || self.bytes > MOST_BYTES {
            return Err(format!(
                "its rows are of more than {MOST_NAMESPACES} namespaces, or their ids are too long"
            ));
        }
        self.by_namespace.insert(ids, digest);
        Ok(())
    }
}

fn compare_digests(manifest: &Manifest, digests: &Digests, problems: &mut Vec<String>) {
    let named = manifest.has_column(ExportColumn::AccountId) && manifest.has_column(ExportColumn::NamespaceId);
    if !named {
        // Without the ids of namespaces, only the sum over all of them can be compared.
        let listed = manifest.namespaces.iter().filter_map(|it| digest_of(&it.digest));
        let found = digests.by_namespace.values().copied();
        if listed.fold(SetDigest::default(), SetDigest::plus) != found.fold(SetDigest::default(), SetDigest::plus) {
            problems.push("the digests of its rows differ from the manifest".to_owned());
        }
        return;
    }
    for namespace in &manifest.namespaces {
        let ids = (
            namespace.account_id.as_bytes().to_vec(),
            namespace.namespace_id.as_bytes().to_vec(),
        );
        let found = digests.by_namespace.get(&ids).copied().unwrap_or_default();
        if digest_of(&namespace.digest) != Some(found) {
            problems.push(format!(
                "namespace {}: the digest of its rows differs from the manifest",
                shown(&namespace.namespace_id)
            ));
        }
    }
}

fn digest_of(text: &str) -> Option<SetDigest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(SetDigest::from_bytes(bytes))
}

/// Finds files of the dataset's format that are not in the manifest: an engine that reads the folder reads them too.
fn find_strays(
    store: &dyn DatasetStore,
    place: &str,
    manifest: &Manifest,
    format: Format,
    problems: &mut Vec<String>,
) -> Result<(), ExportError> {
    let mut names = store.names().map_err(|source| ExportError::Read {
        place: place.to_owned(),
        source,
    })?;
    let (listed, extension) = (manifest.paths(), format!(".{}", format.extension()));
    names.retain(|name| name.ends_with(&extension) && name != manifest::NAME && !listed.contains(name.as_str()));
    names.sort();
    problems.extend(
        names
            .iter()
            .map(|name| format!("{}: it is not in the manifest", shown(name))),
    );
    Ok(())
}

/// The result of comparing a dataset's snapshots with the database.
#[derive(Debug, Default)]
pub struct RecordCheck {
    pub problems: Vec<String>,
    /// Number of snapshots that can't be compared because their history was pruned.
    pub pruned: usize,
}

pub async fn against_record(store: &Store, manifest: &Manifest) -> Result<RecordCheck, ExportError> {
    let mut reader = store.reader().await?;
    let namespaces = reader.namespaces().await?;
    let mut check = RecordCheck::default();
    for exported in &manifest.namespaces {
        let (label, id) = (shown(&exported.namespace_id), exported.snapshot_id);
        let (account_id, namespace_id) = exported.key();
        let recorded = namespaces
            .iter()
            .find(|there| there.account_id == account_id && there.namespace_id == namespace_id);
        let snapshot = match recorded {
            // A dataset may be kept for longer than the history in the database.
            Some(namespace) if namespace.is_pruned(id) => {
                check.pruned += 1;
                continue;
            }
            Some(namespace) => reader.snapshot_at(namespace, Moment::Snapshot(id)).await?,
            None => None,
        };
        let is_same = snapshot.map(|recorded| {
            hex::encode(recorded.digest.to_bytes()) == exported.digest
                && recorded.digest_version == exported.digest_version
                && recorded.objects == exported.objects
        });
        let problem = match is_same {
            Some(true) => continue,
            Some(false) => "has another digest in the database",
            None => "is not in the database",
        };
        check
            .problems
            .push(format!("namespace {label}: its snapshot {id} {problem}"));
    }
    Ok(check)
}
