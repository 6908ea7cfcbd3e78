//! Checks that the rows that were read are those that the snapshots recorded. Rows that were deleted, added or changed
//! by hand would otherwise make an answer silently wrong.
//!
//! A snapshot records a number of objects and a digest. Each row that is read is subtracted; nothing may remain.

use std::collections::BTreeMap;

use super::StoreError;
use super::as_of::{Slice, Table};
use super::reader::{ReadNamespace, SnapshotAt};
use crate::digest::{self, SetDigest};
use crate::model::{ObjectId, State};

/// The objects that a snapshot recorded and that have not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread {
    recorded: u64,
    /// Negative if more were read than recorded.
    objects: i64,
    /// `None` if the snapshot's digest has a version that this program does not know.
    digest: Option<SetDigest>,
}

impl Unread {
    pub(super) fn of(snapshot: &SnapshotAt) -> Self {
        Self {
            recorded: snapshot.objects,
            objects: snapshot.objects as i64,
            digest: (snapshot.digest_version == digest::VERSION).then_some(snapshot.digest),
        }
    }

    /// Subtracts an object with the digest `one`.
    pub(super) fn take(&mut self, state: State, one: SetDigest) {
        if state != State::Absent {
            self.objects -= 1;
            self.digest = self.digest.map(|digest| digest.minus(one));
        }
    }

    pub(super) fn require_none(&self, slice: &Slice) -> Result<(), StoreError> {
        if self.objects == 0 && self.digest.is_none_or(|digest| digest == SetDigest::default()) {
            return Ok(());
        }
        let snapshot = slice.until.snapshot_id;
        let found = self.recorded as i64 - self.objects;
        let what = match self.objects {
            0 => format!("its objects differ from those of snapshot {snapshot}"),
            _ => format!(
                "it has {found} objects, but snapshot {snapshot} recorded {}",
                self.recorded
            ),
        };
        Err(altered(&slice.namespace, what))
    }

    /// Fails unless the same remains of two snapshots, of which only the differences were read.
    pub(super) fn require_same(&self, other: &Self, from: &Slice, to: &Slice) -> Result<(), StoreError> {
        let comparable = self.digest.is_some() && other.digest.is_some();
        if self.objects == other.objects && (self.digest == other.digest || !comparable) {
            return Ok(());
        }
        let (from, until) = (from.until.snapshot_id, to.until.snapshot_id);
        let what = format!("the changes between snapshots {from} and {until} are not those that they recorded");
        Err(altered(&to.namespace, what))
    }
}

/// The digest of each snapshot's changes that have not been read yet.
#[derive(Debug, Default)]
struct UnreadChanges(BTreeMap<i32, SetDigest>);

/// The digests that a published snapshot recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    pub(super) snapshot_id: i32,
    pub(super) digest_version: i16,
    pub(super) digest: SetDigest,
    pub(super) changes: SetDigest,
}

impl UnreadChanges {
    /// The changes of those snapshots after `after`; `snapshots` are in order. What was recorded before a repair
    /// (`sync --rebuild`, or the retirement of remaining rows) is known to be incomplete, and is not expected.
    fn of(snapshots: impl IntoIterator<Item = Recorded>, after: Option<i32>) -> Self {
        let mut changes = BTreeMap::new();
        let mut before = None;
        for snapshot in snapshots {
            if snapshot.digest_version != digest::VERSION {
                before = None;
                continue;
            }
            if before.is_some_and(|before: SetDigest| before.plus(snapshot.changes) != snapshot.digest) {
                changes.clear();
            }
            before = Some(snapshot.digest);
            if after.is_none_or(|after| snapshot.snapshot_id > after) {
                changes.insert(snapshot.snapshot_id, snapshot.changes);
            }
        }
        Self(changes)
    }

    /// Subtracts a state that a snapshot ended (digest `gone`) and one that it began (digest `came`).
    fn take(&mut self, snapshot: i32, gone: SetDigest, came: SetDigest) {
        if let Some(left) = self.0.get_mut(&snapshot) {
            *left = left.plus(gone).minus(came);
        }
    }

    fn require_none(&self, namespace: &ReadNamespace) -> Result<(), StoreError> {
        let mut left = self.0.iter().filter(|(_, left)| **left != SetDigest::default());
        match left.next_back() {
            None => Ok(()),
            Some((snapshot, _)) => Err(altered(
                namespace,
                format!(
                    "the changes of snapshot {snapshot} are not those that it recorded (--since {snapshot} exports \
                     only later ones)"
                ),
            )),
        }
    }
}

/// The recorded rows of a table within a slice that have not been read yet.
#[derive(Debug)]
pub(super) struct UnreadRows {
    /// `None` for changes, which do not list unchanged objects.
    objects: Option<Unread>,
    changes: UnreadChanges,
}

impl UnreadRows {
    /// `recorded`: all published snapshots up to the slice's end, in order.
    pub(super) fn new(table: Table, slice: &Slice, recorded: Vec<Recorded>) -> Self {
        let mut changes = match table {
            Table::Objects => UnreadChanges::default(),
            Table::Changes | Table::History => UnreadChanges::of(recorded, slice.after()),
        };
        if table == Table::Changes {
            // A baseline has no changes.
            changes.0.remove(&slice.namespace.published.baseline_snapshot);
        }
        Self {
            objects: (table != Table::Changes).then(|| Unread::of(&slice.until)),
            changes,
        }
    }

    /// Subtracts an object's state between the snapshot that began it and the one that ended it.
    pub(super) fn interval(&mut self, id: &ObjectId, state: State, from: Option<i32>, to: Option<i32>) {
        let one = SetDigest::of(id, state);
        if let Some(from) = from {
            self.changes.take(from, SetDigest::default(), one);
        }
        match (to, &mut self.objects) {
            (Some(to), _) => self.changes.take(to, one, SetDigest::default()),
            (None, Some(objects)) => objects.take(state, one),
            (None, None) => {}
        }
    }

    pub(super) fn change(&mut self, id: &ObjectId, snapshot: i32, old: State, new: State) {
        self.changes
            .take(snapshot, SetDigest::of(id, old), SetDigest::of(id, new));
    }

    pub(super) fn require_none(&self, slice: &Slice) -> Result<(), StoreError> {
        if let Some(objects) = &self.objects {
            objects.require_none(slice)?;
        }
        self.changes.require_none(&slice.namespace)
    }
}

fn altered(namespace: &ReadNamespace, what: String) -> StoreError {
    StoreError::Altered {
        namespace: namespace.label().to_owned(),
        namespace_id: namespace.namespace_id.clone(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> SetDigest {
        SetDigest::of(&ObjectId::from_bytes([byte; 32]), State::WithData)
    }

    fn recorded(snapshot_id: i32, digest_version: i16, digest: SetDigest, changes: SetDigest) -> Recorded {
        Recorded {
            snapshot_id,
            digest_version,
            digest,
            changes,
        }
    }

    #[test]
    fn changes_before_a_repair_or_of_another_version_are_not_expected() {
        let expected = |snapshots: &[Recorded], after| -> Vec<i32> {
            let unread = UnreadChanges::of(snapshots.iter().copied(), after);
            unread.0.into_keys().collect()
        };
        let (one, two, three) = (digest(1), digest(2), digest(3));
        let version = digest::VERSION;
        let first = recorded(1, version, one, one);
        let second = recorded(4, version, one.plus(two), two);
        assert_eq!(expected(&[first, second], None), [1, 4]);
        assert_eq!(expected(&[first, second], Some(1)), [4]);
        // A walk that was compared with other rows than those of the snapshot before it.
        let repair = recorded(6, version, one.plus(three), one.plus(three));
        let third = recorded(7, version, one, SetDigest::default().minus(three));
        assert_eq!(expected(&[first, second, repair, third], None), [6, 7]);
        let foreign = recorded(5, version + 1, three, three);
        assert_eq!(expected(&[first, foreign, third], None), [1, 7]);
    }
}
