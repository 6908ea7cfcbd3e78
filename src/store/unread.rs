//! Whether the rows that were read are those that the snapshots recorded. Rows that were removed, added or changed by other
//! means than this program would otherwise make an answer wrong without a word.
//!
//! What was recorded is a number and a digest. Each row that is read is taken off; nothing may be left.

use std::collections::BTreeMap;

use super::StoreError;
use super::as_of::{Slice, Table};
use super::reader::{ReadNamespace, SnapshotAt};
use crate::digest::{self, SetDigest};
use crate::model::{ObjectId, State};

/// The objects that a snapshot recorded and that were not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread {
    recorded: u64,
    /// Less than none where more were read than recorded.
    objects: i64,
    /// `None` where the snapshot's digest is of a version that this program does not know.
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

    /// Takes an object off, whose digest is `one`.
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
            0 => format!("its objects are not those that snapshot {snapshot} recorded"),
            _ => format!(
                "it has {found} objects, and snapshot {snapshot} recorded {}",
                self.recorded
            ),
        };
        Err(altered(&slice.namespace, what))
    }

    /// Of two snapshots, as much has to be left where only what differs was read.
    pub(super) fn require_same(&self, other: &Self, from: &Slice, to: &Slice) -> Result<(), StoreError> {
        let comparable = self.digest.is_some() && other.digest.is_some();
        if self.objects == other.objects && (self.digest == other.digest || !comparable) {
            return Ok(());
        }
        let (from, until) = (from.until.snapshot_id, to.until.snapshot_id);
        let what = format!("what differs between the snapshots {from} and {until} is not what they recorded");
        Err(altered(&to.namespace, what))
    }
}

/// The digests of the snapshots' changes, each less what was read of it.
#[derive(Debug, Default)]
struct UnreadChanges(BTreeMap<i32, SetDigest>);

/// What a published snapshot recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    pub(super) snapshot_id: i32,
    pub(super) digest_version: i16,
    pub(super) digest: SetDigest,
    pub(super) changes: SetDigest,
}

impl UnreadChanges {
    /// Of a namespace's snapshots in their order, those after one. What was recorded before the record was mended
    /// (`sync --rebuild`, or a retirement of what was left) is known to be incomplete, and expected no more.
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

    /// Takes off what a snapshot ended, whose digest is `gone`, and what it began.
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
                    "the changes of snapshot {snapshot} are not those that it recorded (--since {snapshot} asks for what \
                     came after it)"
                ),
            )),
        }
    }
}

/// What a slice's rows of a table must be.
#[derive(Debug)]
pub(super) struct UnreadRows {
    /// `None` of changes, which do not say what did not change.
    objects: Option<Unread>,
    changes: UnreadChanges,
}

impl UnreadRows {
    /// `recorded` are all published snapshots up to the slice's end, in their order.
    pub(super) fn new(table: Table, slice: &Slice, recorded: Vec<Recorded>) -> Self {
        let mut changes = match table {
            Table::Objects => UnreadChanges::default(),
            Table::Changes | Table::History => UnreadChanges::of(recorded, slice.after()),
        };
        if table == Table::Changes {
            // What it found is no change.
            changes.0.remove(&slice.namespace.published.baseline_snapshot);
        }
        Self {
            objects: (table != Table::Changes).then(|| Unread::of(&slice.until)),
            changes,
        }
    }

    /// Takes off an object's state from a snapshot on, until another ended it.
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
    fn what_was_mended_or_is_of_another_version_is_not_expected() {
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
        // It was compared with rows that were not those of the one before.
        let mending = recorded(6, version, one.plus(three), one.plus(three));
        let third = recorded(7, version, one, SetDigest::default().minus(three));
        assert_eq!(expected(&[first, second, mending, third], None), [6, 7]);
        let foreign = recorded(5, version + 1, three, three);
        assert_eq!(expected(&[first, foreign, third], None), [1, 7]);
    }
}
