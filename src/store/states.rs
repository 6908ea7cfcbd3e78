//! Which objects there were at a moment, and what differs between two moments: ids and states alone, streamed.

use std::ops::ControlFlow;

use super::StoreError;
use super::as_of::{Slice, state, stored};
use super::copy_out::Fields;
use super::decode::id_from;
use super::moments::Reader;
use super::unread::Unread;
use crate::digest::SetDigest;
use crate::model::{ObjectId, Observation, State};

impl Reader {
    /// The objects as of the slice's end, in the order of their ids, until there is no more or `deliver` wants none. It is
    /// an error if they are not those that the snapshot recorded.
    pub async fn read_states(
        &mut self,
        slice: &Slice,
        deliver: impl AsyncFnMut(Vec<Observation>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let rows = objects(slice.namespace.key, slice.until.snapshot_id, "");
        let query = format!("select id, has_stored_data from ({rows}) o order by id");
        let mut unread = Unread::of(&slice.until);
        let row = |[id, flag, ..]: &Fields<'_>| {
            let row = Observation {
                id: id_from(id.unwrap_or_default())?,
                data: stored(*flag),
            };
            let state = row.data.into();
            unread.take(state, SetDigest::of(&row.id, state));
            Ok(Some(row))
        };
        let read = self.read_rows(&query, row, deliver).await?;
        if read.is_continue() {
            unread.require_none(slice)?;
        }
        Ok(read)
    }

    /// The objects of one namespace with their states at two moments, in the order of their ids: all that may differ,
    /// or all that there are. It is an error if they are not what the snapshots recorded.
    pub async fn compare_states(
        &mut self,
        from: &Slice,
        to: &Slice,
        all: bool,
        deliver: impl AsyncFnMut(Vec<(ObjectId, State, State)>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let key = from.namespace.key;
        let (one, other) = (from.until.snapshot_id, to.until.snapshot_id);
        let (unlike_other, unlike_one) = match all {
            true => (String::new(), String::new()),
            false => (unlike(one, other), unlike(other, one)),
        };
        let query = format!(
            "select id, case when a.id is null then 0::smallint else inventory.state_of(a.has_stored_data) end,
                    case when b.id is null then 0::smallint else inventory.state_of(b.has_stored_data) end
             from ({}) a full join ({}) b using (id) order by id",
            objects(key, one, &unlike_other),
            objects(key, other, &unlike_one)
        );
        let (mut of_one, mut of_other) = (Unread::of(&from.until), Unread::of(&to.until));
        let row = |[id, old, new, ..]: &Fields<'_>| {
            let (id, old, new) = (id_from(id.unwrap_or_default())?, state(*old)?, state(*new)?);
            let gone = SetDigest::of(&id, old);
            of_one.take(old, gone);
            of_other.take(new, if new == old { gone } else { SetDigest::of(&id, new) });
            Ok(Some((id, old, new)))
        };
        let read = self.read_rows(&query, row, deliver).await?;
        if read.is_continue() {
            match all {
                true => of_one.require_none(from).and_then(|()| of_other.require_none(to))?,
                false => of_one.require_same(&of_other, from, to)?,
            }
        }
        Ok(read)
    }
}

/// The intervals of a namespace that hold a snapshot. All that is put into it is numbers of ours.
fn objects(key: i32, at: i32, unlike: &str) -> String {
    format!(
        "select id, has_stored_data from (
             select id, has_stored_data, from_snapshot, null::int as to_snapshot from inventory.open_interval
             where namespace_key = {key}
             union all
             select id, has_stored_data, from_snapshot, to_snapshot from inventory.closed_interval
             where namespace_key = {key}
         ) i
         where (from_snapshot is null or from_snapshot <= {at}) and (to_snapshot is null or to_snapshot > {at}){unlike}"
    )
}

/// Those of them that do not hold another snapshot too. Written so that the indexes on both ends of intervals serve.
fn unlike(at: i32, other: i32) -> String {
    if other > at {
        format!(" and to_snapshot <= {other}")
    } else {
        format!(" and from_snapshot > {other}")
    }
}
