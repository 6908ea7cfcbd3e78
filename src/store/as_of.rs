//! What the record says as of a moment, streamed: one namespace after another, by COPY, as compact rows.
//!
//! The ids of a namespace's published snapshots rise in the order of publication, for each is begun after the one that
//! it is compared with was published. So "by that moment" is a comparison of snapshot ids, without a join.

use std::collections::HashMap;
use std::ops::ControlFlow;

use time::OffsetDateTime;

use super::StoreError;
use super::copy_out::Fields;
use super::decode::{digest_from, id_from, inconsistent};
use super::error::Doing;
use super::moments::{ReadNamespace, Reader, SnapshotAt};
use super::unread::{Recorded, UnreadRows};
use crate::model::{ObjectId, State, StoredData};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Objects,
    Changes,
    History,
}

/// What is asked of one namespace: what was published after `since`, up to `until`. Objects are those of `until`.
#[derive(Debug, Clone)]
pub struct Slice {
    pub namespace: ReadNamespace,
    pub since: Option<SnapshotAt>,
    pub until: SnapshotAt,
}

/// A row of one of the views. Times are microseconds since 1970, as the record has no finer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Object {
        id: ObjectId,
        data: StoredData,
        first_seen_at: i64,
        since: i64,
    },
    Change {
        id: ObjectId,
        snapshot_id: i32,
        at: i64,
        not_before: i64,
        not_after: i64,
        old: State,
        new: State,
    },
    Interval {
        id: ObjectId,
        data: StoredData,
        valid_from: i64,
        valid_to: Option<i64>,
    },
}

impl Slice {
    /// What ended by the horizon was pruned, or is about to be: it would be told in part.
    pub(super) fn after(&self) -> Option<i32> {
        let since = self.since.as_ref().map(|since| since.snapshot_id);
        since.max(self.namespace.horizon_snapshot)
    }
}

impl Row {
    /// Of a change: turns into it.
    fn has(&self, asked: StoredData) -> bool {
        match self {
            Self::Object { data, .. } | Self::Interval { data, .. } => *data == asked,
            Self::Change { new, .. } => *new == asked.into(),
        }
    }

    pub fn id(&self) -> ObjectId {
        match self {
            Self::Object { id, .. } | Self::Change { id, .. } | Self::Interval { id, .. } => *id,
        }
    }
}

impl Reader {
    /// Hands on what the table says, in the order of its ids (changes: of their snapshots, then ids), until there is no
    /// more or `deliver` wants none. It is an error if the rows are not those that the snapshots recorded; what `data`
    /// leaves out is read for that, too.
    pub async fn read(
        &mut self,
        table: Table,
        slice: &Slice,
        data: Option<StoredData>,
        deliver: impl AsyncFnMut(Vec<Row>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (mut times, mut unread) = self.snapshots_of(table, slice).await?;
        let row = |fields: &Fields<'_>| {
            let row = times.row(table, fields, &mut unread)?;
            Ok(data.is_none_or(|data| row.has(data)).then_some(row))
        };
        let read = self.read_rows(&query(table, slice), row, deliver).await?;
        if read.is_continue() {
            unread.require_none(slice)?;
        }
        Ok(read)
    }

    async fn snapshots_of(&mut self, table: Table, slice: &Slice) -> Result<(Times, UnreadRows), StoreError> {
        let rows = sqlx::query!(
            "select s.snapshot_id, s.recorded_at as \"recorded_at!\", s.finished_at as \"finished_at!\",
                    base.started_at as \"not_before?\", s.digest, s.change_digest, s.digest_version
             from inventory.snapshot s
             left join inventory.snapshot base on base.snapshot_id = s.base_snapshot
             where s.namespace_key = $1 and s.status = 'complete' and s.snapshot_id <= $2
             order by s.snapshot_id",
            slice.namespace.key,
            slice.until.snapshot_id
        )
        .fetch_all(&mut self.session)
        .await
        .doing("read the snapshots of a namespace")?;
        let recorded: Vec<_> = rows
            .iter()
            .map(|row| {
                Ok(Recorded {
                    snapshot_id: row.snapshot_id,
                    digest_version: row.digest_version,
                    digest: digest_from(&row.digest)?,
                    changes: digest_from(&row.change_digest)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        let all = rows.into_iter().map(|row| {
            let times = SnapshotTimes {
                recorded_at: micros(row.recorded_at),
                not_before: row.not_before.map(micros),
                not_after: micros(row.finished_at),
            };
            (row.snapshot_id, times)
        });
        let times = Times {
            all: all.collect(),
            last: None,
            baseline: slice.namespace.baseline_snapshot,
            until: slice.until.snapshot_id,
        };
        Ok((times, UnreadRows::new(table, slice, recorded)))
    }
}

/// All that is put into it is numbers of ours.
fn query(table: Table, slice: &Slice) -> String {
    let key = slice.namespace.key;
    let until = slice.until.snapshot_id;
    let since = slice.after();
    // `from` is null for what the baseline found.
    let open = format!(
        "inventory.open_interval where namespace_key = {key} and (from_snapshot is null or from_snapshot <= {until})"
    );
    let closed = format!(
        "inventory.closed_interval where namespace_key = {key} and (from_snapshot is null or from_snapshot <= {until})"
    );
    match table {
        Table::Objects => format!(
            "select id, has_stored_data, first_snapshot, from_snapshot from (
                 select id, has_stored_data, first_snapshot, from_snapshot from {open}
                 union all
                 select id, has_stored_data, first_snapshot, from_snapshot from {closed} and to_snapshot > {until}
             ) i order by id"
        ),
        Table::History => {
            let after = since
                .map(|since| format!(" and to_snapshot > {since}"))
                .unwrap_or_default();
            format!(
                "select id, has_stored_data, from_snapshot, to_snapshot from (
                     select id, has_stored_data, from_snapshot, null::int as to_snapshot from {open}
                     union all
                     select id, has_stored_data, from_snapshot, to_snapshot from {closed}{after}
                 ) i order by id, to_snapshot"
            )
        }
        Table::Changes => {
            let after = since
                .map(|since| format!(" and from_snapshot > {since}"))
                .unwrap_or_default();
            let ended_after = since
                .map(|since| format!(" and to_snapshot > {since}"))
                .unwrap_or_default();
            let begun = |interval: &str| {
                format!(
                    "select o.id, o.from_snapshot, 0::smallint, inventory.state_of(o.has_stored_data)
                     from inventory.{interval} o
                     where o.namespace_key = {key} and o.from_snapshot <= {until}{after} and not exists (
                         select from inventory.closed_interval e
                         where e.namespace_key = {key} and e.id = o.id and e.to_snapshot = o.from_snapshot)"
                )
            };
            format!(
                "select id, snapshot_id, old_state, new_state from (
                     select id, to_snapshot as snapshot_id, inventory.state_of(has_stored_data) as old_state,
                            next_state as new_state
                     from inventory.closed_interval
                     where namespace_key = {key} and to_snapshot <= {until}{ended_after}
                     union all {} union all {}
                 ) c order by snapshot_id, id",
                begun("open_interval"),
                begun("closed_interval")
            )
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct SnapshotTimes {
    recorded_at: i64,
    /// `None` for a baseline, which changes nothing.
    not_before: Option<i64>,
    not_after: i64,
}

/// Turns snapshots into the moments that they stand for: there are few of them beside the rows.
struct Times {
    all: HashMap<i32, SnapshotTimes>,
    last: Option<(i32, SnapshotTimes)>,
    baseline: i32,
    until: i32,
}

impl Times {
    fn row(
        &mut self,
        table: Table,
        [id, one, two, three]: &Fields<'_>,
        unread: &mut UnreadRows,
    ) -> Result<Row, StoreError> {
        let id = id_from(id.unwrap_or_default())?;
        Ok(match table {
            Table::Objects => {
                let data = stored(*one);
                unread.interval(&id, data.into(), None, None);
                Row::Object {
                    id,
                    data,
                    first_seen_at: self.recorded_at(int(*two)?)?,
                    since: self.recorded_at(int(*three)?)?,
                }
            }
            Table::History => {
                let data = stored(*one);
                let from = int(*two)?.unwrap_or(self.baseline);
                // An end that came later was not known by then.
                let to = int(*three)?.filter(|ended| *ended <= self.until);
                unread.interval(&id, data.into(), Some(from), to);
                Row::Interval {
                    id,
                    data,
                    valid_from: self.recorded_at(Some(from))?,
                    valid_to: match to {
                        Some(ended) => Some(self.recorded_at(Some(ended))?),
                        None => None,
                    },
                }
            }
            Table::Changes => {
                let snapshot_id = int(*one)?.unwrap_or_default();
                let (old, new) = (state(*two)?, state(*three)?);
                unread.change(&id, snapshot_id, old, new);
                let times = self.of(snapshot_id)?;
                Row::Change {
                    id,
                    snapshot_id,
                    at: times.recorded_at,
                    not_before: times
                        .not_before
                        .ok_or_else(|| inconsistent("a baseline that changes something"))?,
                    not_after: times.not_after,
                    old,
                    new,
                }
            }
        })
    }

    fn recorded_at(&mut self, snapshot: Option<i32>) -> Result<i64, StoreError> {
        Ok(self.of(snapshot.unwrap_or(self.baseline))?.recorded_at)
    }

    fn of(&mut self, snapshot: i32) -> Result<SnapshotTimes, StoreError> {
        if let Some((id, times)) = self.last
            && id == snapshot
        {
            return Ok(times);
        }
        let times = *self
            .all
            .get(&snapshot)
            .ok_or_else(|| inconsistent("an interval of a snapshot that was never published"))?;
        self.last = Some((snapshot, times));
        Ok(times)
    }
}

fn micros(moment: OffsetDateTime) -> i64 {
    (moment.unix_timestamp_nanos() / 1000) as i64
}

pub(super) fn stored(flag: Option<&[u8]>) -> StoredData {
    flag.map(|flag| flag == [1]).into()
}

fn int(field: Option<&[u8]>) -> Result<Option<i32>, StoreError> {
    let Some(bytes) = field else { return Ok(None) };
    let bytes = bytes
        .try_into()
        .map_err(|_| inconsistent("a number of another length"))?;
    Ok(Some(i32::from_be_bytes(bytes)))
}

pub(super) fn state(field: Option<&[u8]>) -> Result<State, StoreError> {
    match field {
        Some([0, 0]) => Ok(State::Absent),
        Some([0, 1]) => Ok(State::Unknown),
        Some([0, 2]) => Ok(State::WithoutData),
        Some([0, 3]) => Ok(State::WithData),
        _ => Err(inconsistent("a state that has no name")),
    }
}
