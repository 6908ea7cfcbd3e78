//! The expected record, computed in the simplest way: one map per snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudflare_simulator::{Flag, Id, hex};
use durable_inventory::digest::SetDigest;
use durable_inventory::model::{ChangeKind, Counts, ObjectId, Observation};
use time::OffsetDateTime;

use super::views::{ChangeRow, ObjectRow};

pub type State = BTreeMap<Id, Flag>;

pub struct Published {
    pub snapshot_id: i64,
    pub recorded_at: OffsetDateTime,
    pub walk: (OffsetDateTime, OffsetDateTime),
    pub state: State,
}

#[derive(Default)]
pub struct Model {
    snapshots: Vec<Published>,
    /// The retention limit: everything before it was pruned.
    horizon: Option<OffsetDateTime>,
}

impl Model {
    pub fn publish(&mut self, snapshot: Published) {
        if let Some(last) = self.snapshots.last() {
            assert!(last.recorded_at < snapshot.recorded_at, "the publish clock stood still");
        }
        self.snapshots.push(snapshot);
    }

    pub fn prune(&mut self, before: OffsetDateTime) {
        if self.snapshots[0].recorded_at <= before {
            self.horizon = self.horizon.max(Some(before));
        }
    }

    pub fn horizon(&self) -> Option<OffsetDateTime> {
        self.horizon
    }

    /// The newest snapshot that was published by the retention limit.
    fn first_left(&self) -> Option<&Published> {
        let horizon = self.horizon?;
        self.snapshots.iter().rev().find(|s| s.recorded_at <= horizon)
    }

    /// The snapshot that was visible at the moment.
    pub fn snapshot_at(&self, moment: OffsetDateTime) -> Option<&Published> {
        self.snapshots.iter().rev().find(|s| s.recorded_at <= moment)
    }

    pub fn snapshots(&self) -> &[Published] {
        &self.snapshots
    }

    pub fn is_pruned(&self, snapshot: &Published) -> bool {
        self.first_left()
            .is_some_and(|first| snapshot.snapshot_id < first.snapshot_id)
    }

    pub fn is_baseline(&self) -> bool {
        self.snapshots.len() == 1
    }

    pub fn base_snapshot(&self) -> Option<i64> {
        let base = self.snapshots.len().checked_sub(2)?;
        Some(self.snapshots[base].snapshot_id)
    }

    pub fn newest_digest(&self) -> SetDigest {
        let mut digest = SetDigest::default();
        for (id, flag) in &self.newest().state {
            digest.add(&Observation {
                id: ObjectId::from_bytes(*id),
                data: (*flag).into(),
            });
        }
        digest
    }

    pub fn newest_counts(&self) -> Counts {
        let snapshot = self.newest();
        let with = |flag: Flag| snapshot.state.values().filter(|f| **f == flag).count() as u64;
        let changes = self.all_changes();
        let made = |change: &str| {
            let made = changes
                .iter()
                .filter(|c| c.snapshot_id == snapshot.snapshot_id && c.change == change);
            made.count() as u64
        };
        Counts {
            with_data: with(Some(true)),
            without_data: with(Some(false)),
            unknown: with(None),
            changes: ChangeKind::ALL
                .iter()
                .map(|kind| (*kind, made(kind.as_str())))
                .collect(),
        }
    }

    /// `inventory.objects`, by id.
    pub fn objects(&self) -> Vec<ObjectRow> {
        self.objects_of(self.newest())
    }

    /// `inventory.objects` as of the time when that snapshot was the newest.
    pub fn objects_of(&self, snapshot: &Published) -> Vec<ObjectRow> {
        let known = self
            .snapshots
            .iter()
            .take_while(|s| s.snapshot_id <= snapshot.snapshot_id);
        let known: Vec<_> = known.collect();
        let rows = snapshot.state.iter().map(|(id, flag)| {
            let first = known.iter().find(|s| s.state.contains_key(id)).unwrap();
            let same = |s: &&&Published| s.state.get(id) == Some(flag);
            let since = known.iter().rev().take_while(same).last().unwrap();
            ObjectRow {
                object_id: hex(id),
                has_stored_data: *flag,
                first_seen_at: first.recorded_at,
                since: since.recorded_at,
                last_seen_at: snapshot.recorded_at,
            }
        });
        rows.collect()
    }

    /// The points in time that can be queried.
    pub fn moments(&self) -> Vec<OffsetDateTime> {
        let mut moments = self.all_moments();
        moments.retain(|moment| self.horizon.is_none_or(|horizon| *moment >= horizon));
        moments.extend(self.horizon);
        moments
    }

    /// Every point in time at which a result may change, just before and after it, and between two of them.
    pub fn all_moments(&self) -> Vec<OffsetDateTime> {
        let tick = Duration::from_micros(1);
        let at = self.snapshots.iter().map(|s| s.recorded_at);
        let around = at.clone().flat_map(|at| [at - tick, at, at + tick]);
        let between = at.clone().zip(at.skip(1)).map(|(one, next)| {
            // The database stores whole microseconds.
            let half = (next - one).whole_microseconds() / 2;
            one + Duration::from_micros(half as u64)
        });
        let far = self.newest().recorded_at + Duration::from_secs(3600);
        around.chain(between).chain([far]).collect()
    }

    /// (number of the moment, object, flag), ascending.
    pub fn as_of(&self, moments: &[OffsetDateTime]) -> Vec<(i64, String, Flag)> {
        let mut rows = Vec::new();
        for (number, moment) in (1..).zip(moments) {
            let visible = self.snapshots.iter().rev().find(|s| s.recorded_at <= *moment);
            let objects = visible.into_iter().flat_map(|s| &s.state);
            rows.extend(objects.map(|(id, flag)| (number, hex(id), *flag)));
        }
        rows
    }

    /// `inventory.changes`, by snapshot and id. Baselines and pruned snapshots have none.
    pub fn changes(&self) -> Vec<ChangeRow> {
        let first = self.first_left().map_or(0, |first| first.snapshot_id);
        let mut changes = self.all_changes();
        changes.retain(|change| change.snapshot_id > first);
        changes
    }

    fn all_changes(&self) -> Vec<ChangeRow> {
        let pairs = self.snapshots.iter().zip(self.snapshots.iter().skip(1));
        pairs
            .flat_map(|(base, snapshot)| changes_between(base, snapshot))
            .collect()
    }

    fn newest(&self) -> &Published {
        self.snapshots.last().unwrap()
    }
}

fn changes_between(base: &Published, snapshot: &Published) -> Vec<ChangeRow> {
    let ids: BTreeSet<_> = base.state.keys().chain(snapshot.state.keys()).collect();
    let changes = ids.into_iter().filter_map(|id| {
        let (old, new) = (base.state.get(id), snapshot.state.get(id));
        (old != new).then(|| ChangeRow {
            snapshot_id: snapshot.snapshot_id,
            at: snapshot.recorded_at,
            not_before: base.walk.0,
            not_after: snapshot.walk.1,
            object_id: hex(id),
            change: change_name(old, new).to_owned(),
            old_state: state_name(old).to_owned(),
            new_state: state_name(new).to_owned(),
        })
    });
    changes.collect()
}

fn state_name(flag: Option<&Flag>) -> &'static str {
    match flag {
        None => "absent",
        Some(None) => "unknown",
        Some(Some(false)) => "without_data",
        Some(Some(true)) => "with_data",
    }
}

fn change_name(old: Option<&Flag>, new: Option<&Flag>) -> &'static str {
    match (old, new) {
        (None, _) => "created",
        (_, None) => "removed",
        (Some(Some(false)), Some(Some(true))) => "data_gained",
        (Some(Some(true)), Some(Some(false))) => "data_lost",
        (Some(None), _) => "data_known",
        (_, Some(None)) => "data_unknown",
        _ => unreachable!("the states differ"),
    }
}
