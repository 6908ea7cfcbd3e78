//! The objects of a namespace and the order in which they are served. Objects are either stored, for tests that change
//! them one by one, or computed, so that 35,000,000 of them take no memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::random::{Random, hash, mix};

pub type Id = [u8; 32];

/// `None` if the API does not report whether the object holds data.
pub type Flag = Option<bool>;

pub type Row = (Id, Flag);

pub enum Objects {
    Stored(BTreeMap<Id, Flag>),
    Computed(Computed),
}

impl Objects {
    /// `count` objects with random ids.
    pub fn seeded(count: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut objects = BTreeMap::new();
        while objects.len() < count {
            let id = random.id();
            objects.insert(id, flag(random.next()));
        }
        Self::Stored(objects)
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::Stored(objects) => objects.len() as u64,
            Self::Computed(objects) => objects.count,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `limit` objects with greater ids, ascending.
    pub(crate) fn after(&self, after: Option<&Id>, limit: usize) -> Vec<Row> {
        match self {
            Self::Stored(objects) => {
                let start = after.map_or(Bound::Unbounded, Bound::Excluded);
                let range = objects.range::<Id, _>((start, Bound::Unbounded));
                range.take(limit).map(|(id, flag)| (*id, *flag)).collect()
            }
            Self::Computed(objects) => {
                let first = after.map_or(0, |after| objects.index_after(after));
                (first..objects.count).take(limit).map(|i| objects.row(i)).collect()
            }
        }
    }

    pub fn to_map(&self) -> BTreeMap<Id, Flag> {
        match self {
            Self::Stored(objects) => objects.clone(),
            Self::Computed(objects) => (0..objects.count).map(|i| objects.row(i)).collect(),
        }
    }

    /// The objects for modification. Computed objects are stored first.
    pub(crate) fn stored(&mut self) -> &mut BTreeMap<Id, Flag> {
        if let Self::Computed(_) = self {
            *self = Self::Stored(self.to_map());
        }
        match self {
            Self::Stored(objects) => objects,
            Self::Computed(_) => unreachable!("it was stored above"),
        }
    }
}

/// `count` objects, spread evenly over the id space as in production: the first 64 bits of number i are
/// i * 2^64 / count, the other bits and the flag come from a hash of i.
pub struct Computed {
    pub count: u64,
    pub seed: u64,
}

impl Computed {
    fn id(&self, index: u64) -> Id {
        let mut id = Random::new(mix(self.seed) ^ mix(index)).id();
        let prefix = (u128::from(index) << 64) / u128::from(self.count);
        id[..8].copy_from_slice(&(prefix as u64).to_be_bytes());
        id
    }

    fn row(&self, index: u64) -> Row {
        (self.id(index), flag(mix(self.seed.wrapping_add(index))))
    }

    /// The index of the first object with a greater id, estimated from the first 64 bits and then corrected by a step
    /// or two.
    fn index_after(&self, after: &Id) -> u64 {
        let prefix = u64::from_be_bytes(std::array::from_fn(|i| after[i]));
        let estimate = ((u128::from(prefix) * u128::from(self.count)) >> 64) as u64;
        let first = estimate.saturating_sub(1);
        (first..self.count)
            .find(|index| self.id(*index) > *after)
            .unwrap_or(self.count)
    }
}

/// Three in five objects hold data, and one in fifty is unknown.
fn flag(random: u64) -> Flag {
    match random % 50 {
        0 => None,
        n => Some(n <= 30),
    }
}

/// The order in which a namespace is served. Production uses `Ascending`, which is undocumented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Ascending,
    /// By a hash of seed and id. An object keeps its place when others are added or removed.
    Shuffled(u64),
    /// Ascending, except that row n (from 0) has changed places with the row before it.
    BrokenAt(usize),
}

impl Order {
    pub(crate) fn arrange(self, objects: &Objects) -> Vec<Row> {
        let mut rows = objects.after(None, usize::MAX);
        match self {
            Self::Ascending => {}
            Self::Shuffled(seed) => rows.sort_by_cached_key(|(id, _)| shuffle_key(seed, id)),
            Self::BrokenAt(n) if 0 < n && n < rows.len() => rows.swap(n - 1, n),
            Self::BrokenAt(_) => {}
        }
        rows
    }

    /// The index in the ordered rows at which the walk resumes. The object `after` may be gone by now.
    pub(crate) fn position_after(self, rows: &[Row], after: &Id) -> usize {
        if let Self::Shuffled(seed) = self {
            let key = shuffle_key(seed, after);
            return rows.partition_point(|(id, _)| shuffle_key(seed, id) <= key);
        }
        let exact = rows.iter().position(|(id, _)| id == after);
        exact.map_or_else(|| rows.partition_point(|(id, _)| id <= after), |at| at + 1)
    }
}

fn shuffle_key(seed: u64, id: &Id) -> (u64, Id) {
    (mix(seed ^ hash(id)), *id)
}
