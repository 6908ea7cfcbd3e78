//! What a person decides: `snapshots accept`, `snapshots discard`, `namespaces retire`.

use durable_inventory::cli::{NamespaceDecision, SnapshotDecision};
use durable_inventory::config::Settings;
use durable_inventory::sync;
use durable_inventory::text::shown;

use super::Failure;
use super::store::with_store;
use crate::terminal;
use crate::terminal::table::number;

pub async fn snapshot(settings: &Settings<'_>, decision: &SnapshotDecision) -> Result<u8, Failure> {
    let told = with_store(settings.store()?, 3, async |store| {
        let told = match decision {
            SnapshotDecision::Accept { snapshot } => sync::accept(store, *snapshot)
                .await
                .map(|namespace| format!("snapshot {snapshot} of {} is published\n", shown(&namespace))),
            SnapshotDecision::Discard { snapshot } => sync::discard(store, *snapshot)
                .await
                .map(|namespace| format!("snapshot {snapshot} of {} is discarded\n", shown(&namespace))),
        };
        told.map_err(|error| Failure::new(error, 1))
    })
    .await?;
    terminal::out(&told)?;
    Ok(0)
}

pub async fn namespace(settings: &Settings<'_>, decision: &NamespaceDecision) -> Result<u8, Failure> {
    let NamespaceDecision::Retire { namespace, account } = decision;
    let (name, objects) = with_store(settings.store()?, 3, async |store| {
        sync::retire(store, namespace, account.as_slice())
            .await
            .map_err(|error| Failure::new(error, 1))
    })
    .await?;
    terminal::out(&format!(
        "{} is retired: {} objects are recorded as removed\n",
        shown(&name),
        number(objects)
    ))?;
    Ok(0)
}
