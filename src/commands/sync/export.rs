//! `sync --export`: a dataset of what this run published, without a second walk.

use durable_inventory::cli::{FilterArgs, SyncArgs};
use durable_inventory::config::SyncConfig;
use durable_inventory::export::{self, CoveredNamespaces, Dataset, ExportError, Format, Location, columns};
use durable_inventory::store::{Store, StoreError, Table};
use durable_inventory::sync::{Shutdown, Status, StopReason, Summary};
use tracing::{info, warn};

use crate::commands::export::{blocking, dataset, failure};
use crate::commands::filter::Filter;
use crate::terminal::Failure;
use durable_inventory::text::count;

/// Opens the dataset. If it certainly would not be replaced, that is reported now and not after the walk; the run is
/// still recorded.
pub async fn target(place: &Location, args: &SyncArgs, config: &SyncConfig) -> Result<Dataset, Failure> {
    let columns = columns::all(Table::Objects).to_vec();
    let mut dataset = dataset(place, Table::Objects, Format::Parquet, columns, true, args.replace)
        .await
        .map_err(failure)?;
    let asked = FilterArgs {
        namespace: [&args.namespace[..], &args.rebuild].concat(),
        account: config.accounts.iter().map(|account| account.id.clone()).collect(),
    };
    let (dataset, refused) = blocking(move || {
        let filter = Filter::new(&asked);
        let refused =
            dataset.refuse_loss(|there| filter.selects(&there.account_id, &there.namespace_id, there.name.as_deref()));
        (dataset, refused)
    })
    .await;
    match refused {
        Err(ExportError::Loss(loss)) => warn!("this run will be recorded, but not exported: {loss}"),
        refused => refused.map_err(failure)?,
    }
    Ok(dataset)
}

/// Retired namespaces, which have no objects left to export.
async fn retired(store: &Store) -> Result<CoveredNamespaces, StoreError> {
    let all = store.namespaces().await?.into_iter();
    let retired =
        all.filter(|there| there.missing_since.is_some() && there.published.is_some_and(|newest| newest.objects == 0));
    Ok(retired.map(|there| (there.account_id, there.namespace_id)).collect())
}

/// Exports what the run published. If it published nothing, an existing dataset is kept.
pub async fn published(store: &Store, summary: &Summary, target: Dataset, stop: &Shutdown) -> Result<(), Failure> {
    let complete = summary.namespaces.iter().filter(|n| n.status == Status::Complete);
    let snapshots: Vec<_> = complete.filter_map(|namespace| namespace.snapshot_id).collect();
    if snapshots.is_empty() {
        warn!("nothing was published, so nothing was exported");
        return Ok(());
    }
    let exported = async {
        let planned = async {
            let mut reader = store.reader().await?;
            let mut plan = export::plan_of_snapshots(&mut reader, &snapshots).await?;
            plan.retired = retired(store).await?;
            Ok::<_, ExportError>((reader, plan))
        };
        let (mut reader, plan) = tokio::select! {
            planned = planned => planned?,
            () = signalled(stop) => return Err(ExportError::Stopped),
        };
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
    info!("exported {}", count(exported.rows, "object"));
    Ok(())
}

/// Waits for a signal. A deadline ends only the walks: what they published is still exported.
async fn signalled(stop: &Shutdown) {
    if stop.stopped().await == StopReason::Deadline {
        std::future::pending().await
    }
}

/// A failed export does not undo the run; it exits 3 (partial).
pub fn exit_code(of_the_walks: u8) -> u8 {
    match of_the_walks {
        0 | 4 | 5 => 3,
        other => other,
    }
}
