//! What a dataset says of itself, in `manifest.json`. It is written last: a folder without one holds no dataset, or one
//! whose export did not finish.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::columns::Column;
use super::destination::Tree;
use super::error::{ExportError, shown};
use super::sink::Format;
use crate::digest;
use crate::model::label;
use crate::store::{Slice, Table};

pub const NAME: &str = "manifest.json";
/// Raised when a reader of the version before would misread it.
const FORMAT_VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    pub created_by: String,
    /// Times are RFC 3339.
    pub created_at: String,
    /// `objects`, `changes` or `history`.
    pub table: String,
    /// `csv`, `parquet` or `jsonl`.
    pub format: String,
    /// Whether the rows are all that the snapshots have, or chosen by `--has-data`.
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

/// A namespace and the snapshot as of which it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestNamespace {
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub snapshot_id: i32,
    /// Changes and history: those after this snapshot. Null means from the baseline on.
    pub since_snapshot_id: Option<i32>,
    /// The window of the walk: each row was true at some moment in it.
    pub started_at: String,
    pub finished_at: String,
    pub recorded_at: String,
    /// Of the whole snapshot, whatever was chosen of it.
    pub objects: u64,
    pub digest: String,
    pub digest_version: i16,
    /// In this dataset.
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// From the manifest's folder on, with slashes.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    pub fn new(table: Table, format: Format, columns: &[Column], complete: bool) -> Self {
        let column = |column: &Column| ManifestColumn {
            name: column.name().to_owned(),
            kind: column.kind().name().to_owned(),
            nullable: column.nullable(),
        };
        Self {
            format_version: FORMAT_VERSION,
            created_by: concat!("durable-inventory ", env!("CARGO_PKG_VERSION")).to_owned(),
            created_at: shown(OffsetDateTime::now_utc()),
            table: table_name(table).to_owned(),
            format: format.extension().to_owned(),
            complete,
            columns: columns.iter().map(column).collect(),
            namespaces: Vec::new(),
            files: Vec::new(),
        }
    }

    /// `None` where there is none.
    pub fn read(tree: &dyn Tree, place: &str) -> Result<Option<Self>, ExportError> {
        let bytes = tree.read(NAME).map_err(|source| ExportError::Read {
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

    /// `None` where it is none that this program writes.
    pub fn file_format(&self) -> Option<Format> {
        let mut known = [Format::Csv, Format::Parquet, Format::Jsonl].into_iter();
        known.find(|format| format.extension() == self.format)
    }

    pub fn paths(&self) -> HashSet<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }

    pub fn has_column(&self, column: Column) -> bool {
        self.columns.iter().any(|there| there.name == column.name())
    }

    /// Whether its rows can be held against the digests: all objects, each with its id and flag.
    pub fn can_be_digested(&self) -> bool {
        self.table == table_name(Table::Objects)
            && self.complete
            && self.has_column(Column::ObjectId)
            && self.has_column(Column::HasStoredData)
            && self.namespaces.iter().all(|n| n.digest_version == digest::VERSION)
    }
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
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
            started_at: shown(until.started_at),
            finished_at: shown(until.finished_at),
            recorded_at: shown(until.recorded_at),
            objects: until.objects,
            digest: hex::encode(until.digest.to_bytes()),
            digest_version: until.digest_version,
            rows: 0,
        }
    }

    /// What a person is shown: the name where there is one, else the id.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    /// Its account and its id.
    pub fn key(&self) -> (String, String) {
        (self.account_id.clone(), self.namespace_id.clone())
    }

    /// The folder of its parts, Hive-style. Nothing unescaped reaches a path.
    pub fn folder(&self) -> String {
        format!(
            "account_id={}/namespace_id={}/snapshot={}",
            escaped(&self.account_id),
            escaped(&self.namespace_id),
            self.snapshot_id
        )
    }
}

/// Percent-encoded, as Hive, Spark, DuckDB and pyarrow read it back.
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
    fn nothing_unescaped_reaches_a_path() {
        assert_eq!(escaped("worker-Class_1.x"), "worker-Class_1.x");
        assert_eq!(escaped("../a b/ä=%"), "..%2Fa%20b%2F%C3%A4%3D%25");
    }
}
