//! The choice of snapshots and namespaces that an export reads.

use super::error::{ExportError, NoRecord};
use super::run::CoveredNamespaces;
use crate::moment::Moment;
use crate::store::{ReadNamespace, Reader, Slice};
use crate::times::for_programs;

/// The period that an export covers. Objects are those of its end.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// `None` for the beginning of each namespace's record.
    pub since: Option<Moment>,
    pub until: Moment,
}

#[derive(Debug, Default)]
pub struct ExportPlan {
    /// In the order of account and namespace.
    pub slices: Vec<Slice>,
    /// Namespaces whose record begins later than the requested point in time.
    pub notes: Vec<NoRecord>,
    /// Namespaces that are left out on purpose, so a dataset may lose them.
    pub retired: CoveredNamespaces,
}

impl ExportPlan {
    pub fn covered(&self) -> CoveredNamespaces {
        let slices = self.slices.iter().map(|slice| &slice.namespace);
        let slices = slices.map(|there| (there.account_id.clone(), there.namespace_id.clone()));
        slices.chain(self.retired.iter().cloned()).collect()
    }
}

/// Plans the export of the namespaces that `selects` accepts. A namespace whose record begins later becomes a note; it
/// is an error if no other namespace is left.
pub async fn plan(
    reader: &mut Reader,
    period: Period,
    selects: impl Fn(&ReadNamespace) -> bool,
) -> Result<ExportPlan, ExportError> {
    let snapshots = named_snapshots(period);
    for snapshot in snapshots.clone() {
        reader.require_published(snapshot).await?;
    }
    let mut namespaces = reader.namespaces().await?;
    if namespaces.is_empty() {
        return Err(ExportError::NothingRecorded);
    }
    namespaces.retain(selects);
    let (selected, first) = (
        namespaces.len(),
        namespaces.iter().map(|n| n.published.recorded_since).min(),
    );
    let Some(first) = first else {
        return Err(ExportError::NothingPublished);
    };
    let mut plan = ExportPlan::default();
    for namespace in namespaces {
        add(reader, &mut plan, period, namespace, selected).await?;
    }
    if !plan.slices.is_empty() {
        return Ok(plan);
    }
    Err(match (plan.notes.len(), plan.notes.pop(), snapshots.last()) {
        (0, _, Some(snapshot)) => ExportError::OtherNamespace(snapshot),
        (1, Some(only), _) => only.into(),
        _ => ExportError::NoRecords {
            namespaces: selected,
            moment: period.until,
            first: for_programs(first),
        },
    })
}

/// Plans the export of exactly these snapshots.
pub async fn plan_of_snapshots(reader: &mut Reader, snapshots: &[i32]) -> Result<ExportPlan, ExportError> {
    let mut plan = ExportPlan::default();
    for namespace in reader.namespaces().await? {
        for snapshot in snapshots {
            if let Some(until) = reader.snapshot_at(&namespace, Moment::Snapshot(*snapshot)).await? {
                plan.slices.push(Slice {
                    namespace: namespace.clone(),
                    since: None,
                    until,
                });
            }
        }
    }
    Ok(plan)
}

async fn add(
    reader: &mut Reader,
    plan: &mut ExportPlan,
    period: Period,
    namespace: ReadNamespace,
    selected: usize,
) -> Result<(), ExportError> {
    let no_record = |moment| NoRecord {
        namespace: namespace.label().to_owned(),
        moment,
        begins: namespace.published.recorded_since,
        ended: namespace.is_missing.then_some(namespace.published.recorded_at),
    };
    let Some(until) = reader.snapshot_at(&namespace, period.until).await? else {
        // A snapshot id selects its namespace, so the others need no note.
        if !matches!(period.until, Moment::Snapshot(_)) {
            plan.notes.push(no_record(period.until));
        }
        return Ok(());
    };
    let since = match period.since {
        None => None,
        Some(moment) => match reader.snapshot_at(&namespace, moment).await? {
            Some(since) if since.snapshot_id > until.snapshot_id => {
                return Err(ExportError::Backwards {
                    since: moment,
                    until: period.until,
                });
            }
            Some(since) => Some(since),
            None if matches!(moment, Moment::Snapshot(_)) => return Ok(()),
            None if selected == 1 => return Err(no_record(moment).into()),
            // One of several namespaces: it is exported from its beginning.
            None => {
                plan.notes.push(no_record(moment));
                None
            }
        },
    };
    plan.slices.push(Slice {
        namespace,
        since,
        until,
    });
    Ok(())
}

fn named_snapshots(period: Period) -> impl Iterator<Item = i32> + Clone {
    let snapshot = |moment| match moment {
        Moment::Snapshot(id) => Some(id),
        _ => None,
    };
    [period.since.and_then(snapshot), snapshot(period.until)]
        .into_iter()
        .flatten()
}
