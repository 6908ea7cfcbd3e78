//! The expected record of one namespace: every published version, as a plain map.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use cloudflare_simulator::{Flag, Id};
use durable_inventory::digest::SetDigest;
use durable_inventory::model::{ObjectId, Observation};
use time::OffsetDateTime;

use super::record::{Changed, Interval, Snapshot};
use super::served::Objects;

pub const MAX_REMOVED_PERCENT: u8 = 30;
pub const MAX_REMOVED_FLOOR: u64 = 10;

#[derive(Debug)]
struct Version {
    snapshot: i64,
    at: OffsetDateTime,
    objects: Objects,
}

#[derive(Debug, Default)]
pub struct Model {
    versions: Vec<Version>,
    held: BTreeSet<i64>,
}

/// created, removed, data_gained, data_lost, data_known, data_unknown
type Tally = [i64; 6];

impl Model {
    pub fn newest(&self) -> Option<&Objects> {
        self.versions.last().map(|version| &version.objects)
    }

    pub fn is_known(&self, snapshot: i64) -> bool {
        self.held.contains(&snapshot) || self.versions.iter().any(|version| version.snapshot == snapshot)
    }

    /// Adds a published snapshot with these objects.
    pub fn publish(&mut self, snapshot: &Snapshot, objects: Objects, accepted: bool) -> anyhow::Result<()> {
        let at = snapshot.recorded_at.context("published, yet without recorded_at")?;
        let before = self.versions.last();
        ensure!(
            before.is_none_or(|before| before.at < at),
            "recorded_at does not increase"
        );
        ensure!(
            snapshot.base == before.map(|before| before.snapshot),
            "its base is {:?}",
            snapshot.base
        );
        self.check_numbers(snapshot, &objects)?;
        ensure!(
            accepted || !self.is_mass_removal(&objects),
            "a mass removal was published"
        );
        self.versions.push(Version {
            snapshot: snapshot.id,
            at,
            objects,
        });
        Ok(())
    }

    pub fn hold(&mut self, snapshot: &Snapshot, objects: &Objects) -> anyhow::Result<()> {
        self.check_numbers(snapshot, objects)?;
        ensure!(self.is_mass_removal(objects), "held, though it is no mass removal");
        self.held.insert(snapshot.id);
        Ok(())
    }

    fn check_numbers(&self, snapshot: &Snapshot, objects: &Objects) -> anyhow::Result<()> {
        ensure!(
            snapshot.digest.as_deref() == Some(&digest(objects)),
            "another digest than the model's"
        );
        ensure!(
            snapshot.objects == objects.len() as i64,
            "another number of objects than the model's"
        );
        let tally = match self.newest() {
            Some(before) => tally(before, objects),
            None => Tally::default(), // a baseline has no changes
        };
        ensure!(
            snapshot.changes == tally,
            "counts {:?}, the model {tally:?}",
            snapshot.changes
        );
        Ok(())
    }

    fn is_mass_removal(&self, objects: &Objects) -> bool {
        let Some(before) = self.newest() else { return false };
        let [_, removed, .., unknown] = tally(before, objects);
        let size = before.len() as u64;
        size >= MAX_REMOVED_FLOOR && (removed + unknown) as u64 * 100 > size * u64::from(MAX_REMOVED_PERCENT)
    }

    /// Compares the record with the model as of every point in time so far.
    pub fn check_history(&self, intervals: &[Interval], present: &Objects) -> anyhow::Result<()> {
        let none = Objects::new();
        ensure!(
            present == self.newest().unwrap_or(&none),
            "the present differs from the newest version"
        );
        ensure!(
            !self.versions.is_empty() || intervals.is_empty(),
            "an unpublished baseline is visible"
        );
        for version in &self.versions {
            let mut then = Objects::new();
            for interval in intervals.iter().filter(|interval| interval.holds_at(version.at)) {
                let twice = then.insert(interval.id, interval.flag).is_some();
                ensure!(!twice, "two intervals of one object at one moment");
            }
            ensure!(
                then == version.objects,
                "as of snapshot {} the record says something else",
                version.snapshot
            );
        }
        Ok(())
    }

    pub fn check_changes(&self, changes: &[Changed]) -> anyhow::Result<()> {
        let expected: BTreeMap<(i64, Id), (&str, &str)> = self
            .versions
            .windows(2)
            .flat_map(|pair| {
                let ids: BTreeSet<_> = pair[0].objects.keys().chain(pair[1].objects.keys()).copied().collect();
                ids.into_iter().map(|id| {
                    let states = (state(pair[0].objects.get(&id)), state(pair[1].objects.get(&id)));
                    ((pair[1].snapshot, id), states)
                })
            })
            .filter(|(_, (old, new))| old != new)
            .collect();
        let found: BTreeMap<_, _> = changes
            .iter()
            .map(|change| ((change.snapshot, change.id), (change.old.as_str(), change.new.as_str())))
            .collect();
        ensure!(found.len() == changes.len(), "a change is told twice");
        ensure!(found == expected, "the changes are not those between the versions");
        Ok(())
    }
}

fn state(flag: Option<&Flag>) -> &'static str {
    match flag {
        None => "absent",
        Some(None) => "unknown",
        Some(Some(false)) => "without_data",
        Some(Some(true)) => "with_data",
    }
}

fn tally(before: &Objects, after: &Objects) -> Tally {
    let mut tally = Tally::default();
    let removed = before.keys().filter(|id| !after.contains_key(*id)).count();
    tally[1] = removed as i64;
    for (id, flag) in after {
        let place = match (before.get(id), flag) {
            (None, _) => 0,
            (Some(old), new) if old == new => continue,
            (Some(_), None) => 5,
            (Some(None), _) => 4,
            (Some(_), Some(true)) => 2,
            (Some(_), Some(false)) => 3,
        };
        tally[place] += 1;
    }
    tally
}

fn digest(objects: &Objects) -> String {
    let mut digest = SetDigest::default();
    for (id, flag) in objects {
        digest.add(&Observation {
            id: ObjectId::from_bytes(*id),
            data: (*flag).into(),
        });
    }
    hex::encode(digest.to_bytes())
}
