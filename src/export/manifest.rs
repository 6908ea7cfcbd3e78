//! A dataset's description, `manifest.json`. It is written last: a folder without it holds no dataset, or one whose
//! export did not finish.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::columns::ExportColumn;
use super::destination::{DatasetStore, stays_inside};
use super::error::ExportError;
use super::format::Format;
use crate::digest;
use crate::model::{canonical_id, label};
use crate::store::{Slice, Table};
use crate::times::for_programs;

pub const NAME: &str = "manifest.json";
/// To be raised whenever a reader of the previous version would misread the manifest.
const FORMAT_VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    pub created_by: String,
    /// RFC 3339, like all times here.
    pub created_at: String,
    /// `objects`, `changes` or `history`.
    pub table: String,
    /// `csv`, `parquet` or `jsonl`.
    pub format: String,
    /// Whether the rows are complete: false if `--has-data` selected some of them.
    pub complete: bool,
    pub columns: Vec<ManifestColumn>,
    pub namespaces: Vec<ManifestNamespace>,
    pub files: Vec<ManifestFile>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub nullable: bool,
}

/// A namespace and its snapshot that was exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestNamespace {
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub snapshot_id: i32,
    /// The snapshot after which changes and history begin; null for the baseline.
    pub since_snapshot_id: Option<i32>,
    /// Start of the walk. Each row was true at some time between the start and the end.
    pub started_at: String,
    pub finished_at: String,
    pub recorded_at: String,
    /// Number of objects in the whole snapshot, selected or not.
    pub objects: u64,
    /// The whole snapshot's digest.
    pub digest: String,
    pub digest_version: i16,
    /// Number of rows in this dataset.
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Relative to the manifest's folder, with slashes.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    pub fn new(table: Table, format: Format, columns: &[ExportColumn], complete: bool) -> Self {
        let column = |column: &ExportColumn| ManifestColumn {
            name: column.name().to_owned(),
            kind: column.kind().name().to_owned(),
            nullable: column.nullable(),
        };
        Self {
            format_version: FORMAT_VERSION,
            created_by: concat!("durable-inventory ", env!("CARGO_PKG_VERSION")).to_owned(),
            created_at: for_programs(OffsetDateTime::now_utc()),
            table: table_name(table).to_owned(),
            format: format.extension().to_owned(),
            complete,
            columns: columns.iter().map(column).collect(),
            namespaces: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Returns `None` if the store has no manifest.
    pub fn read(store: &dyn DatasetStore, place: &str) -> Result<Option<Self>, ExportError> {
        let bytes = store.read(NAME).map_err(|source| ExportError::Read {
            place: format!("{NAME} in {place}"),
            source,
        })?;
        let Some(bytes) = bytes else { return Ok(None) };
        let foreign = |source| ExportError::ForeignManifest {
            place: place.to_owned(),
            source,
        };
        let Version { format_version } = serde_json::from_slice(&bytes).map_err(foreign)?;
        if format_version != FORMAT_VERSION {
            return Err(ExportError::ManifestVersion {
                place: place.to_owned(),
                found: format_version,
                known: FORMAT_VERSION,
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(foreign)
    }

    /// Returns `None` for a format that this program does not write.
    pub fn file_format(&self) -> Option<Format> {
        Format::by_name(&self.format)
    }

    pub fn paths(&self) -> HashSet<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }

    pub fn has_column(&self, column: ExportColumn) -> bool {
        self.columns.iter().any(|there| there.name == column.name())
    }

    /// Whether the digests can be computed from the rows, which takes all objects with their ids and flags.
    pub fn can_be_digested(&self) -> bool {
        self.table == table_name(Table::Objects)
            && self.complete
            && self.has_column(ExportColumn::ObjectId)
            && self.has_column(ExportColumn::HasStoredData)
            && self.namespaces.iter().all(|n| n.digest_version == digest::VERSION)
    }
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl ManifestFile {
    /// Whether the path leads out of the dataset, as only a forged manifest's does.
    pub fn leaves_dataset(&self) -> bool {
        !stays_inside(&self.path)
    }
}

impl ManifestNamespace {
    pub fn new(slice: &Slice) -> Self {
        let Slice {
            namespace,
            since,
            until,
        } = slice;
        Self {
            account_id: namespace.account_id.clone(),
            namespace_id: namespace.namespace_id.clone(),
            name: namespace.name.clone(),
            snapshot_id: until.snapshot_id,
            since_snapshot_id: since.as_ref().map(|since| since.snapshot_id),
            started_at: for_programs(until.started_at),
            finished_at: for_programs(until.finished_at),
            recorded_at: for_programs(until.recorded_at),
            objects: until.objects,
            digest: hex::encode(until.digest.to_bytes()),
            digest_version: until.digest_version,
            rows: 0,
        }
    }

    /// The name, or the id of a namespace without a name.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    /// The ids of the account and of the namespace, as the record spells them: older datasets may have capitals.
    pub fn key(&self) -> (String, String) {
        let spelled = |id: &str| canonical_id(id).into_owned();
        (spelled(&self.account_id), spelled(&self.namespace_id))
    }

    /// The folder of the snapshot's parts, named in Hive style.
    pub fn folder(&self) -> String {
        format!(
            "account_id={}/namespace_id={}/snapshot={}",
            escaped(&self.account_id),
            escaped(&self.namespace_id),
            self.snapshot_id
        )
    }
}

/// Percent-encodes an id for a path, as Hive, Spark, DuckDB and pyarrow decode it.
fn escaped(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(text, ESCAPED).to_string()
}

pub fn table_name(table: Table) -> &'static str {
    match table {
        Table::Objects => "objects",
        Table::Changes => "changes",
        Table::History => "history",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped_in_paths() {
        assert_eq!(escaped("worker-Class_1.x"), "worker-Class_1.x");
        assert_eq!(escaped("../a b/ä=%"), "..%2Fa%20b%2F%C3%A4%3D%25");
    }
}
