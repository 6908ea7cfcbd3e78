//! Which snapshots of which namespaces an export reads.

use super::error::{ExportError, NoRecord, shown};
use super::run::Covered;
use crate::moment::Moment;
use crate::store::{ReadNamespace, Reader, Slice};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Changes after it; `None` for all that are known.
    pub since: Option<Moment>,
    pub until: Moment,
}

#[derive(Debug, Default)]
pub struct Plan {
    /// By account and namespace; never empty.
    pub slices: Vec<Slice>,
    /// Namespaces whose record begins later than was asked for.
    pub notes: Vec<NoRecord>,
    /// Namespaces that are missing from the slices on purpose: a dataset may lose them.
    pub retired: Covered,
}

impl Plan {
    pub fn covered(&self) -> Covered {
        let slices = self.slices.iter().map(|slice| &slice.namespace);
        let slices = slices.map(|there| (there.account_id.clone(), there.namespace_id.clone()));
        slices.chain(self.retired.iter().cloned()).collect()
    }
}

/// A moment before a namespace's baseline is an error where nothing else is left to export, else a note.
pub async fn plan(
    reader: &mut Reader,
    asked: Asked,
    selects: impl Fn(&ReadNamespace) -> bool,
) -> Result<Plan, ExportError> {
    let snapshots = named_snapshots(asked);
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
        return Err(ExportError::NothingSelected);
    };
    let mut plan = Plan::default();
    for namespace in namespaces {
        add(reader, &mut plan, asked, namespace, selected).await?;
    }
    if !plan.slices.is_empty() {
        return Ok(plan);
    }
    Err(match (plan.notes.len(), plan.notes.pop(), snapshots.last()) {
        (0, _, Some(snapshot)) => ExportError::OtherNamespace(snapshot),
        (1, Some(only), _) => only.into(),
        _ => ExportError::NoRecords {
            namespaces: selected,
            moment: asked.until,
            first: shown(first),
        },
    })
}

/// Of exactly these snapshots, each with its namespace.
pub async fn plan_of_snapshots(reader: &mut Reader, snapshots: &[i32]) -> Result<Plan, ExportError> {
    let mut plan = Plan::default();
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
    plan: &mut Plan,
    asked: Asked,
    namespace: ReadNamespace,
    selected: usize,
) -> Result<(), ExportError> {
    let no_record = |moment| NoRecord {
        namespace: namespace.label().to_owned(),
        moment,
        begins: namespace.published.recorded_since,
    };
    let Some(until) = reader.snapshot_at(&namespace, asked.until).await? else {
        // A snapshot selects its namespace: nothing was asked of the others.
        if !matches!(asked.until, Moment::Snapshot(_)) {
            plan.notes.push(no_record(asked.until));
        }
        return Ok(());
    };
    let since = match asked.since {
        None => None,
        Some(moment) => match reader.snapshot_at(&namespace, moment).await? {
            Some(since) if since.snapshot_id > until.snapshot_id => {
                return Err(ExportError::Backwards {
                    since: moment,
                    until: asked.until,
                });
            }
            Some(since) => Some(since),
            None if matches!(moment, Moment::Snapshot(_)) => return Ok(()),
            None if selected == 1 => return Err(no_record(moment).into()),
            // Of several, a younger one is told from its beginning.
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

fn named_snapshots(asked: Asked) -> impl Iterator<Item = i32> + Clone {
    let snapshot = |moment| match moment {
        Moment::Snapshot(id) => Some(id),
        _ => None,
    };
    [asked.since.and_then(snapshot), snapshot(asked.until)]
        .into_iter()
        .flatten()
}
