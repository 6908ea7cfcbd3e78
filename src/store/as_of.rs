//! Reads the record as of a point in time: one namespace after another, streamed by COPY as compact rows.
//!
//! The ids of a namespace's published snapshots rise in the order of publication, for each walk begins after the
//! snapshot that it is compared with was published. So "by that time" is a comparison of snapshot ids, without a join.

use std::collections::HashMap;
use std::ops::ControlFlow;

use time::OffsetDateTime;

use super::StoreError;
use super::as_of_queries::{rows_of, states_of, two_states_of};
use super::copy_binary::Fields;
use super::decode::{digest_from, id_from, inconsistent};
use super::error::Doing;
use super::reader::{ReadNamespace, Reader, SnapshotAt};
use super::unread::{Recorded, Unread, UnreadRows};
use crate::digest::SetDigest;
use crate::model::{ObjectId, Observation, State, StoredData};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Objects,
    Changes,
    History,
}

/// The part of one namespace's record to read: what was published after `since`, up to `until`. Objects are read as of
/// `until`.
#[derive(Debug, Clone)]
pub struct Slice {
    pub namespace: ReadNamespace,
    pub since: Option<SnapshotAt>,
    pub until: SnapshotAt,
}

/// A row of one of the views. Times are microseconds since 1970, the precision of the record.
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
    /// The snapshot after which changes are complete: what ended by the horizon was pruned, or is about to be.
    pub(super) fn after(&self) -> Option<i32> {
        let since = self.since.as_ref().map(|since| since.snapshot_id);
        since.max(self.namespace.published.horizon_snapshot)
    }
}

impl Row {
    /// Whether the object has this flag; after the change, if this is one.
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
    /// Delivers the rows of a table by id (changes: by snapshot, then id), until they end or `deliver` stops. Fails if
    /// the rows are not those that the snapshots recorded; rows that `data` filters out are read for that as well.
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
        let read = self.read_rows(&rows_of(table, slice), row, deliver).await?;
        if read.is_continue() {
            unread.require_none(slice)?;
        }
        Ok(read)
    }

    /// Delivers the objects as of the slice's end by id, until they end or `deliver` stops. Fails if they are not those
    /// that the snapshot recorded.
    pub async fn read_states(
        &mut self,
        slice: &Slice,
        deliver: impl AsyncFnMut(Vec<Observation>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let query = states_of(slice.namespace.key, slice.until.snapshot_id);
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

    /// Delivers the objects of one namespace with their states at the ends of two slices, by id: all of them, or those
    /// that may differ. Fails if they are not what the snapshots recorded.
    pub async fn compare_states(
        &mut self,
        from: &Slice,
        to: &Slice,
        all: bool,
        deliver: impl AsyncFnMut(Vec<(ObjectId, State, State)>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (one, other) = (from.until.snapshot_id, to.until.snapshot_id);
        let query = two_states_of(from.namespace.key, one, other, all);
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
            baseline: slice.namespace.published.baseline_snapshot,
            until: slice.until.snapshot_id,
        };
        Ok((times, UnreadRows::new(table, slice, recorded)))
    }
}

#[derive(Debug, Clone, Copy)]
struct SnapshotTimes {
    recorded_at: i64,
    /// `None` for a baseline, which records no changes.
    not_before: Option<i64>,
    not_after: i64,
}

/// The times of snapshots, held in memory: there are few of them compared with rows.
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
                // A later end was not known by then.
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
