//! `sync --export`: a dataset of what this run published, without a second walk.

use durable_inventory::export::{self, Dataset, Format, Place, columns};
use durable_inventory::store::{Store, Table};
use durable_inventory::sync::{Status, Stop, StopReason, Summary};
use tracing::{info, warn};

use crate::commands::Failure;
use crate::commands::export::{dataset, failure};
use crate::terminal::table::number;

pub async fn target(place: &Place) -> Result<Dataset, Failure> {
    let columns = columns::all(Table::Objects).to_vec();
    dataset(place, Table::Objects, Format::Parquet, columns, true)
        .await
        .map_err(failure)
}

/// A dataset that is there stays where nothing was published.
pub async fn published(store: &Store, summary: &Summary, target: Dataset, stop: &Stop) -> Result<(), Failure> {
    let complete = summary.namespaces.iter().filter(|n| n.status == Status::Complete);
    let snapshots: Vec<_> = complete.filter_map(|namespace| namespace.snapshot_id).collect();
    if snapshots.is_empty() {
        warn!("nothing was published, so nothing was exported");
        return Ok(());
    }
    let written = async {
        let mut reader = store.reader().await?;
        let plan = export::plan_of_snapshots(&mut reader, &snapshots).await?;
        export::export(
            &mut reader,
            Table::Objects,
            plan,
            None,
            Box::new(target),
            signalled(stop),
        )
        .await
    }
    .await
    .map_err(failure)?;
    info!("exported {} objects", number(written.rows));
    Ok(())
}

/// A deadline is one of the walks: what they published is exported all the same.
async fn signalled(stop: &Stop) {
    if stop.stopped().await == StopReason::Deadline {
        std::future::pending().await
    }
}

/// What is recorded is recorded: a run whose export failed is one of which a part failed.
pub fn exit_code(of_the_walks: u8) -> u8 {
    match of_the_walks {
        0 | 4 | 5 => 3,
        other => other,
    }
}
