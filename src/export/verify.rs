//! A dataset held against its manifest: sizes, checksums, rows, and the digests of its namespaces from their rows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::destination::Tree;
use super::error::ExportError;
use super::manifest::{self, Manifest, ManifestFile};
use super::read::{RowError, rows};
use super::sink::Format;
use crate::digest::SetDigest;
use crate::model::Observation;
use crate::moment::Moment;
use crate::store::Store;
use crate::text::{chain, shown};

/// What was found. Without problems, the dataset is what its manifest says.
#[derive(Debug)]
pub struct Verified {
    pub manifest: Manifest,
    pub rows: u64,
    /// The digests were computed from the rows.
    pub digested: bool,
    pub problems: Vec<String>,
}

/// Account and namespace, as the rows say them.
type Whose = (Arc<str>, Arc<str>);
type Found = HashMap<Whose, SetDigest>;

pub fn verify(tree: &dyn Tree, place: &str) -> Result<Verified, ExportError> {
    let manifest = Manifest::read(tree, place)?.ok_or_else(|| ExportError::NoManifest {
        place: place.to_owned(),
    })?;
    let mut problems = Vec::new();
    let mut digests = Found::new();
    let mut total = 0;
    let Some(format) = manifest.file_format() else {
        problems.push(format!("its format is {}, which is none", shown(&manifest.format)));
        return Ok(done(manifest, 0, false, problems));
    };
    for file in &manifest.files {
        match check(tree, file, format, &mut digests) {
            Ok(rows) => total += rows,
            Err(problem) => problems.push(format!("{}: {problem}", shown(&file.path))),
        }
    }
    let digested = manifest.can_be_digested();
    // A file that can't be read would make every digest differ too.
    if digested && problems.is_empty() {
        compare_digests(&manifest, &digests, &mut problems);
    }
    find_strays(tree, place, &manifest, format, &mut problems)?;
    Ok(done(manifest, total, digested, problems))
}

fn done(manifest: Manifest, rows: u64, digested: bool, problems: Vec<String>) -> Verified {
    Verified {
        manifest,
        rows,
        digested,
        problems,
    }
}

/// How many rows the file has, or what is wrong with it.
fn check(tree: &dyn Tree, told: &ManifestFile, format: Format, digests: &mut Found) -> Result<u64, String> {
    if told.path.starts_with('/') || told.path.split('/').any(|step| step == "..") {
        return Err("its path leads out of the dataset".to_owned());
    }
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "it is missing".to_owned(),
        _ => format!("it could not be read: {}", chain(&error)),
    };
    let mut file = tree.open(&told.path).map_err(unreadable)?;
    let (bytes, sha256) = hash(&mut file).map_err(unreadable)?;
    if bytes != told.bytes {
        return Err(format!("it has {bytes} bytes, and its manifest says {}", told.bytes));
    }
    if sha256 != told.sha256 {
        return Err("its SHA-256 is not the one of its manifest".to_owned());
    }
    file.rewind().map_err(unreadable)?;
    let rows = count(format, file, digests).map_err(|error| chain(&error))?;
    if rows != told.rows {
        return Err(format!("it has {rows} rows, and its manifest says {}", told.rows));
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

fn count(format: Format, file: File, digests: &mut Found) -> Result<u64, RowError> {
    let mut count = 0;
    let mut current: Option<(Whose, SetDigest)> = None;
    for row in rows(format, file)? {
        let row = row?;
        count += 1;
        let (Some(id), Some(flag)) = (row.object_id, row.has_stored_data) else {
            continue;
        };
        let key = (row.account_id.unwrap_or_default(), row.namespace_id.unwrap_or_default());
        let digest = match &mut current {
            Some((there, digest)) if *there == key => digest,
            _ => {
                keep(current.take(), digests);
                &mut current.insert((key, SetDigest::default())).1
            }
        };
        digest.add(&Observation { id, data: flag.into() });
    }
    keep(current, digests);
    Ok(count)
}

fn keep(current: Option<(Whose, SetDigest)>, digests: &mut Found) {
    if let Some((key, digest)) = current {
        let sum = digests.entry(key).or_default();
        *sum = sum.plus(digest);
    }
}

fn compare_digests(manifest: &Manifest, digests: &Found, problems: &mut Vec<String>) {
    let named = manifest.has_column(super::columns::Column::AccountId)
        && manifest.has_column(super::columns::Column::NamespaceId);
    if !named {
        // Rows that do not say whose they are add up to all namespaces together.
        let all = digests
            .values()
            .fold(SetDigest::default(), |sum, digest| sum.plus(*digest));
        let told = manifest.namespaces.iter().filter_map(|told| digest_of(&told.digest));
        if told.fold(SetDigest::default(), SetDigest::plus) != all {
            problems.push("its rows do not have the digests that its manifest says".to_owned());
        }
        return;
    }
    for told in &manifest.namespaces {
        let key = (told.account_id.as_str().into(), told.namespace_id.as_str().into());
        let found = digests.get(&key).copied().unwrap_or_default();
        if digest_of(&told.digest) != Some(found) {
            problems.push(format!(
                "namespace {}: its rows do not have the digest that the manifest says",
                shown(&told.namespace_id)
            ));
        }
    }
}

fn digest_of(text: &str) -> Option<SetDigest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(SetDigest::from_bytes(bytes))
}

/// An engine that is pointed at the folder reads every part in it.
fn find_strays(
    tree: &dyn Tree,
    place: &str,
    manifest: &Manifest,
    format: Format,
    problems: &mut Vec<String>,
) -> Result<(), ExportError> {
    let names = tree.names().map_err(|source| ExportError::Read {
        place: place.to_owned(),
        source,
    })?;
    let known = manifest.paths();
    let mut strays: Vec<_> = names
        .iter()
        .filter(|name| name.ends_with(&format!(".{}", format.extension())))
        .filter(|name| *name != manifest::NAME && !known.contains(name.as_str()))
        .collect();
    strays.sort();
    problems.extend(
        strays
            .iter()
            .map(|name| format!("{}: it is not in the manifest", shown(name))),
    );
    Ok(())
}

/// A dataset's snapshots, held against the record.
#[derive(Debug, Default)]
pub struct InRecord {
    /// What the manifest says of them that the record says otherwise.
    pub problems: Vec<String>,
    /// Those that can't be compared any more: their history was pruned.
    pub pruned: usize,
}

pub async fn against_record(store: &Store, manifest: &Manifest) -> Result<InRecord, ExportError> {
    let mut reader = store.reader().await?;
    let namespaces = reader.namespaces().await?;
    let mut found = InRecord::default();
    for told in &manifest.namespaces {
        let recorded = namespaces
            .iter()
            .find(|there| there.account_id == told.account_id && there.namespace_id == told.namespace_id);
        let snapshot = match recorded {
            // A dataset may be kept for longer than the history in the database.
            Some(namespace) if namespace.is_pruned(told.snapshot_id) => {
                found.pruned += 1;
                continue;
            }
            Some(namespace) => {
                reader
                    .snapshot_at(namespace, Moment::Snapshot(told.snapshot_id))
                    .await?
            }
            None => None,
        };
        let label = shown(&told.namespace_id);
        match snapshot {
            None => found.problems.push(format!(
                "namespace {label}: its snapshot {} is not in the database",
                told.snapshot_id
            )),
            Some(there) => {
                let same = hex::encode(there.digest.to_bytes()) == told.digest
                    && there.digest_version == told.digest_version
                    && there.objects == told.objects;
                if !same {
                    found.problems.push(format!(
                        "namespace {label}: its snapshot {} has another digest in the database",
                        told.snapshot_id
                    ));
                }
            }
        }
    }
    Ok(found)
}
