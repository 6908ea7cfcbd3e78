//! Pages whose ids ascend, as the API serves them: the rows of a page that can be compared now, and the one that waits.

use super::WalkError;
use super::check_page::CheckedPage;
use super::diff_range::RangeDiff;
use crate::model::Observation;
use crate::store::Checkpoint;

/// Compares a page with the record. Returns the checkpoint after it.
///
/// The last row of a page is held back: the next page may begin with the same id and another flag, and then the later
/// flag counts. The row becomes `pending_row` of the checkpoint, the first row of the next comparison, and ids are
/// compared only up to its predecessor. The last page holds nothing back and is compared up to the greatest id.
///
/// A page that lists nothing but the pending row again does not advance the walk, which is an error. Only a last page
/// may consist of that one row: the object was the last one, and its page was requested after it.
pub(super) async fn diff_page(diff: &mut RangeDiff, page: &CheckedPage) -> Result<Checkpoint, WalkError> {
    let mut checkpoint = page.checkpoint.clone();
    let number = checkpoint.pages;
    let pending = checkpoint.pending_row.take();
    let mut rows =
        ascending(pending, page.rows.iter().copied()).map_err(|OutOfOrder| WalkError::OutOfOrder { page: number })?;
    let last = rows.last().map(|row| row.id);
    let advances = page.rows.is_empty() || last != pending.map(|row| row.id);
    let repeats_the_last_row = page.is_last && page.rows.len() == 1;
    if !advances && !repeats_the_last_row {
        return Err(WalkError::not_advancing(number));
    }
    if page
        .rows_past_end
        .iter()
        .any(|row| last.is_none_or(|last| row.id > last))
    {
        return Err(WalkError::misplaced_cursor(number));
    }
    if page.is_last {
        return Ok(diff.diff(checkpoint, &rows, None).await?);
    }
    checkpoint.pending_row = rows.pop();
    match checkpoint.pending_row.and_then(|row| row.id.predecessor()) {
        Some(to) => Ok(diff.diff(checkpoint, &rows, Some(to)).await?),
        // Nothing lies below the smallest id, or there is no row yet.
        None => Ok(diff.without_rows(checkpoint).await),
    }
}

/// A row whose id is smaller than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfOrder;

/// The pending row and the rows of the page after it, strictly ascending. The later flag of a duplicate counts.
fn ascending(
    pending: Option<Observation>,
    rows: impl IntoIterator<Item = Observation>,
) -> Result<Vec<Observation>, OutOfOrder> {
    let mut ordered: Vec<Observation> = pending.into_iter().collect();
    for row in rows {
        match ordered.last_mut() {
            Some(last) if last.id == row.id => *last = row,
            Some(last) if last.id > row.id => return Err(OutOfOrder),
            _ => ordered.push(row),
        }
    }
    Ok(ordered)
}

/// A page without order, prepared for the spool: one row per id, and the later flag of a duplicate counts.
pub(super) fn without_duplicates(mut rows: Vec<Observation>) -> Vec<Observation> {
    rows.reverse();
    rows.sort_by_key(|row| row.id); // stable: the later row of an id comes first
    rows.dedup_by_key(|row| row.id);
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::ObjectId;

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
            pending in any::<Option<(u8, Option<bool>)>>(),
        ) {
            if sorted {
                rows.sort_by_key(|(id, _)| *id);
            }
            let pending = pending.map(|(id, flag)| (id % 6, flag));
            let all: Vec<_> = pending.into_iter().chain(rows.iter().copied()).collect();
            let in_order = all.is_sorted_by_key(|(id, _)| *id);
            let distinct = |rows: &[(u8, Option<bool>)]| -> Vec<Observation> {
                rows.iter().copied().collect::<BTreeMap<_, _>>().into_iter().map(row).collect()
            };
            let page: Vec<_> = rows.iter().copied().map(row).collect();
            prop_assert_eq!(without_duplicates(page.clone()), distinct(&rows));
            match ascending(pending.map(row), page) {
                Ok(ordered) => {
                    prop_assert!(in_order);
                    prop_assert_eq!(ordered, distinct(&all));
                }
                Err(OutOfOrder) => prop_assert!(!in_order),
            }
        }
    }
}
