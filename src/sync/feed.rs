//! From observations to changes, a range of ids at a time. One comparison, two feeds: the pages themselves where ids
//! ascend, the sorted spool where they do not.

use tokio::sync::mpsc::Sender;

use crate::model::{Change, ObjectId, Observation};
use crate::store::{Checkpoint, StoreError};

use super::compare::compare;
use super::stored::StoredRows;

/// The greatest id there can be: a checkpoint that has compared everything.
pub(super) const LAST_ID: ObjectId = ObjectId::from_bytes([0xff; 32]);

/// What a comparison hands on to be committed: a page, or a part of one that removes much.
pub(super) struct Compared {
    pub(super) changes: Vec<Change>,
    /// With the page's last changes.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Where nobody takes it, an earlier commit failed, and with it the walk.
pub(super) async fn hand_on(to: &Sender<Compared>, changes: Vec<Change>, checkpoint: Option<Checkpoint>) {
    let _ = to.send(Compared { changes, checkpoint }).await;
}

/// A row whose id is smaller than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// `carried` and the rows of the page after it, strictly ascending. Of an id that comes twice the later flag counts.
pub(super) fn ascending(
    carried: Option<Observation>,
    rows: impl IntoIterator<Item = Observation>,
) -> Result<Vec<Observation>, OutOfOrder> {
    let mut ordered: Vec<Observation> = carried.into_iter().collect();
    for row in rows {
        match ordered.last_mut() {
            Some(last) if last.id == row.id => *last = row,
            Some(last) if last.id > row.id => return Err(OutOfOrder),
            _ => ordered.push(row),
        }
    }
    Ok(ordered)
}

/// A page without order, fit for the spool: one row an id, the later flag counts.
pub(super) fn without_duplicates(mut rows: Vec<Observation>) -> Vec<Observation> {
    rows.reverse();
    rows.sort_by_key(|row| row.id); // stable: the later row of an id comes first
    rows.dedup_by_key(|row| row.id);
    rows
}

/// Compares `rows`, which are all that was observed above the checkpoint up to `to` (`None`: to the end), with the
/// record's rows of that range. What differs is handed on as it is found, and the last of it returned: memory is one page
/// and one chunk, however many rows of the record the range holds.
pub(super) async fn compare_range(
    to_commit: &Sender<Compared>,
    stored: &mut StoredRows,
    checkpoint: &mut Checkpoint,
    rows: &[Observation],
    to: Option<ObjectId>,
    baseline: bool,
) -> Result<Vec<Change>, StoreError> {
    let mut rest = rows;
    loop {
        let part = stored.take(to).await?;
        let (now, later) = match part.to {
            Some(bound) => rest.split_at(rest.partition_point(|row| row.id <= bound)),
            None => (rest, &[][..]),
        };
        let changes: Vec<Change> = compare(part.rows, now.iter().copied()).collect();
        tally(checkpoint, now, &changes, baseline);
        checkpoint.compared_to = Some(part.to.unwrap_or(LAST_ID));
        rest = later;
        if part.is_last {
            return Ok(changes);
        }
        hand_on(to_commit, changes, None).await;
    }
}

fn tally(checkpoint: &mut Checkpoint, observed: &[Observation], changes: &[Change], baseline: bool) {
    for row in observed {
        checkpoint.counts.observe(row.data);
        checkpoint.digest.add(row);
    }
    if baseline {
        // It says what was there, not what was created; and all that it changes is what it saw.
        checkpoint.change_digest = checkpoint.digest;
        return;
    }
    for change in changes {
        checkpoint.counts.change(change.old, change.new);
        checkpoint.change_digest.apply(change);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row((id, flag): (u8, Option<bool>)) -> Observation {
        Observation {
            id: ObjectId::from_bytes([id; 32]),
            data: flag.into(),
        }
    }

    proptest! {
        #[test]
        fn order_is_checked_and_the_later_duplicate_counts(
            // Few ids, and in order half the time: most pages would be out of order, and duplicates rare.
            mut rows in prop::collection::vec((0..6_u8, any::<Option<bool>>()), 0..12),
            sorted in any::<bool>(),
            carried in any::<Option<(u8, Option<bool>)>>(),
        ) {
            if sorted {
                rows.sort_by_key(|(id, _)| *id);
            }
            let carried = carried.map(|(id, flag)| (id % 6, flag));
            let all: Vec<_> = carried.into_iter().chain(rows.iter().copied()).collect();
            let in_order = all.is_sorted_by_key(|(id, _)| *id);
            let distinct = |rows: &[(u8, Option<bool>)]| -> Vec<Observation> {
                rows.iter().copied().collect::<BTreeMap<_, _>>().into_iter().map(row).collect()
            };
            let page: Vec<_> = rows.iter().copied().map(row).collect();
            prop_assert_eq!(without_duplicates(page.clone()), distinct(&rows));
            match ascending(carried.map(row), page) {
                Ok(ordered) => {
                    prop_assert!(in_order);
                    prop_assert_eq!(ordered, distinct(&all));
                }
                Err(OutOfOrder) => prop_assert!(!in_order),
            }
        }
    }
}
