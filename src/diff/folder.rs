//! A folder of files that other programs wrote: which of them have rows, and what their paths say about the rows.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::DiffError;
use super::namespaces::NamespaceKey;
use crate::export::ExportError;
use crate::export::read::Known;

/// What Hive and Spark write for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Returns the files that have rows, in the order of their names. By convention, names that begin with `_` or `.` are
/// for other purposes. Fails if the folder needs another reader, which knows the files that count.
pub fn files_of_rows(mut names: Vec<String>, place: &str) -> Result<Vec<String>, DiffError> {
    let has = |is: &dyn Fn(&str) -> bool| names.iter().any(|name| is(name));
    let table = if has(&|name| name.starts_with("_delta_log/")) {
        Some(("a Delta table", "delta_scan"))
    } else if has(&|name| name.starts_with("metadata/") && name.ends_with(".metadata.json")) {
        Some(("an Iceberg table", "iceberg_scan"))
    } else {
        None
    };
    if let Some((what, reader)) = table {
        return Err(DiffError::Table {
            place: place.to_owned(),
            what,
            reader,
        });
    }
    // Without its manifest, an export may be incomplete.
    let is_ours = |name: &str| name.starts_with("account_id=") && name.contains("/snapshot=");
    names.retain(|name| name.split('/').all(|step| !step.starts_with(['_', '.'])));
    if names.is_empty() || names.iter().any(|name| is_ours(name)) {
        let place = place.to_owned();
        return Err(ExportError::NoManifest { place }.into());
    }
    names.sort();
    Ok(names)
}

/// Returns what the folders of a file are called in Hive's style: `namespace_id=.../part.csv`.
pub fn namespace_of(name: &str) -> NamespaceKey {
    let (folders, _) = name.rsplit_once('/').unwrap_or_default();
    let value = |wanted: Known| {
        folders.split('/').find_map(|step| {
            let (column, value) = step.split_once('=')?;
            let value = percent_decode_str(value).decode_utf8_lossy();
            (Known::of(column) == Some(wanted) && value != NULL).then_some(value)
        })
    };
    let (account, namespace): (Option<Cow<'_, str>>, _) = (value(Known::AccountId), value(Known::NamespaceId));
    NamespaceKey::new(account.as_deref(), namespace.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_rows_are_told_from_others() {
        let files = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            files_of_rows(names, "x").map_err(|error| error.to_string())
        };
        assert_eq!(
            files(&[
                "b.csv",
                "_SUCCESS",
                "a/c.csv",
                ".a.crc",
                "_temporary/0/d.csv",
                "a/._c.csv"
            ])
            .unwrap(),
            ["a/c.csv", "b.csv"]
        );
        for (names, told) in [
            (&["_SUCCESS"][..], "manifest.json is missing"),
            (
                &["account_id=a/namespace_id=b/snapshot=1/part-0000.csv"],
                "manifest.json is missing",
            ),
            (&["a.parquet", "_delta_log/0.json"], "a Delta table"),
            (&["data/a.parquet", "metadata/v1.metadata.json"], "an Iceberg table"),
        ] {
            assert!(files(names).unwrap_err().contains(told), "{names:?}");
        }
    }

    #[test]
    fn folders_name_accounts_and_namespaces() {
        let key = |account, namespace| NamespaceKey::new(account, namespace);
        assert_eq!(namespace_of("namespace_id=a%20b/x.csv"), key(None, Some("a b")));
        assert_eq!(
            namespace_of("AccountId=c/day=1/namespace_id=n/x=1.csv"),
            key(Some("c"), Some("n"))
        );
        for name in ["x.csv", "namespace_id=n", "namespace_id=__HIVE_DEFAULT_PARTITION__/x"] {
            assert_eq!(namespace_of(name), key(None, None), "{name}");
        }
    }
}
