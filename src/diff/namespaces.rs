//! The namespaces of both sides: a number for each, and which of them are compared.
//!
//! If both sides name namespaces, ids are compared within them; if one side is a list of ids, by id alone. A side that
//! lists its namespaces (a dataset, a point in time) covers no others: objects that the other side has there are
//! neither created nor removed, they are not compared.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::Entry;
use crate::export::read::{Columns, RowRef};
use crate::model::canonical_id;
use crate::store::Slice;

/// The greatest number of namespaces, and of bytes of their ids, so that they fit into memory beside everything else.
pub const LIMIT: usize = 100_000;
const LIMIT_BYTES: usize = 8 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NamespaceKey {
    /// `None` if the side does not have it.
    pub account_id: Option<Arc<str>>,
    pub namespace_id: Option<Arc<str>>,
}

impl NamespaceKey {
    /// Canonicalizes the ids: other programs write their hex digits in capitals, or pad them with spaces.
    pub fn new(account_id: Option<&str>, namespace_id: Option<&str>) -> Self {
        let id = |text: &str| canonical_id(text).as_ref().into();
        Self {
            account_id: account_id.map(id),
            namespace_id: namespace_id.map(id),
        }
    }
}

/// What a side knows about one of its namespaces before a row is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceInfo {
    pub key: NamespaceKey,
    pub name: Option<String>,
    pub objects: u64,
    /// Version and value; `None` if the rows are not all that the digest covers.
    pub digest: Option<(i16, String)>,
}

impl NamespaceInfo {
    /// The namespace as of the slice's end.
    pub fn of(slice: &Slice) -> Self {
        let (namespace, until) = (&slice.namespace, &slice.until);
        Self {
            key: NamespaceKey::new(Some(&namespace.account_id), Some(&namespace.namespace_id)),
            name: namespace.name.clone(),
            objects: until.objects,
            digest: Some((until.digest_version, hex::encode(until.digest.to_bytes()))),
        }
    }
}

/// Whether --namespace and --account select a namespace, given its account, id and name. Account and name are `None`
/// if the side does not have them.
pub type Selects = Box<dyn Fn(Option<&str>, &str, Option<&str>) -> Selected + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    Yes,
    No,
    /// The options name something that is not known about the namespace.
    Unknown,
}

/// Whether a namespace's rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Compared,
    /// Not selected.
    Excluded,
    /// Not selected, as far as is known: neither the record nor a dataset knows the namespace.
    Unknown,
    /// The other side does not cover the namespace.
    NotCovered,
}

/// The number of a side's rows that were not compared.
#[derive(Debug, Default)]
pub struct Skipped {
    /// By namespace: the other side does not cover it.
    pub not_covered: BTreeMap<u32, u64>,
    /// By namespace: not selected, and not known otherwise.
    pub unknown: BTreeMap<u32, u64>,
}

impl Skipped {
    pub fn add(&mut self, namespace: u32, scope: Scope, rows: u64) {
        match scope {
            Scope::Compared | Scope::Excluded => {}
            Scope::NotCovered => *self.not_covered.entry(namespace).or_default() += rows,
            Scope::Unknown => *self.unknown.entry(namespace).or_default() += rows,
        }
    }
}

impl AddAssign for Skipped {
    fn add_assign(&mut self, other: Self) {
        for (scope, rows) in [(Scope::NotCovered, other.not_covered), (Scope::Unknown, other.unknown)] {
            for (namespace, rows) in rows {
                self.add(namespace, scope, rows);
            }
        }
    }
}

/// The namespaces of both sides, shared by the threads that read them.
pub struct Namespaces {
    by_account: bool,
    by_namespace: bool,
    only_left_names: bool,
    covered: [Option<Covered>; 2],
    selects: Option<Selects>,
    index: Mutex<Index>,
}

/// The namespaces that a side lists, and their ids alone.
struct Covered {
    keys: HashSet<NamespaceKey>,
    ids: HashSet<Arc<str>>,
}

impl Covered {
    fn new(keys: HashSet<NamespaceKey>) -> Self {
        let ids = keys.iter().filter_map(|key| key.namespace_id.clone()).collect();
        Self { keys, ids }
    }
}

#[derive(Default)]
struct Index {
    /// Bytes of all ids.
    bytes: usize,
    numbers: HashMap<NamespaceKey, u32>,
    keys: Vec<NamespaceKey>,
    names: HashMap<u32, String>,
}

impl Namespaces {
    /// `covered` holds the namespaces of each side that lists them.
    pub fn new(columns: [Columns; 2], covered: [Option<HashSet<NamespaceKey>>; 2], selects: Option<Selects>) -> Self {
        let [left, right] = columns;
        let by_namespace = left.namespace_id && right.namespace_id;
        Self {
            by_account: by_namespace && left.account_id && right.account_id,
            by_namespace,
            only_left_names: left.namespace_id && !right.namespace_id,
            covered: covered.map(|keys| keys.map(Covered::new)),
            selects,
            index: Mutex::default(),
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // No code that holds the lock can panic half-way through a change.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn by_account(&self) -> bool {
        self.by_account
    }

    /// Whether only the left side has a column for namespaces.
    pub fn only_left_names(&self) -> bool {
        self.only_left_names
    }

    /// Returns the namespace's number, which is new for a new key; `None` beyond `LIMIT`.
    pub fn intern(&self, key: &NamespaceKey) -> Option<u32> {
        let mut index = self.index();
        if let Some(number) = index.numbers.get(key) {
            return Some(*number);
        }
        let number = u32::try_from(index.keys.len()).ok().filter(|n| (*n as usize) < LIMIT)?;
        let ids = [&key.account_id, &key.namespace_id];
        index.bytes += ids.into_iter().flatten().map(|id| id.len()).sum::<usize>();
        if index.bytes > LIMIT_BYTES {
            return None;
        }
        index.numbers.insert(key.clone(), number);
        index.keys.push(key.clone());
        Some(number)
    }

    pub fn set_name(&self, number: u32, name: &str) {
        self.index().names.insert(number, name.to_owned());
    }

    pub fn key(&self, number: u32) -> NamespaceKey {
        self.index().keys.get(number as usize).cloned().unwrap_or_default()
    }

    /// Returns the namespace's name or else its id, if either is known.
    pub fn label(&self, number: u32) -> Option<String> {
        let index = self.index();
        let id = || {
            index
                .keys
                .get(number as usize)?
                .namespace_id
                .as_deref()
                .map(str::to_owned)
        };
        index.names.get(&number).cloned().or_else(id)
    }

    /// Returns the scope of the rows that this side (0 or 1) has in a namespace.
    pub fn scope(&self, side: usize, number: u32) -> Scope {
        let key = self.key(number);
        let name = self.index().names.get(&number).cloned();
        let Some(namespace) = key.namespace_id.as_deref() else {
            return Scope::Compared;
        };
        let account = key.account_id.as_deref();
        match self
            .selects
            .as_ref()
            .map(|selects| selects(account, namespace, name.as_deref()))
        {
            None | Some(Selected::Yes) => {}
            Some(Selected::No) => return Scope::Excluded,
            Some(Selected::Unknown) => return Scope::Unknown,
        }
        let covered = self.covered[1 - side].as_ref().filter(|_| self.by_namespace);
        let is_covered = covered.is_none_or(|covered| match self.by_account && account.is_some() {
            true => covered.keys.contains(&key),
            false => covered.ids.contains(namespace),
        });
        if is_covered { Scope::Compared } else { Scope::NotCovered }
    }

    /// Whether there are namespaces, but --namespace and --account select none of either side.
    pub fn none_selected(&self) -> bool {
        let numbers = 0..self.index().keys.len() as u32;
        let selected =
            |number| (0..2).any(|side| !matches!(self.scope(side, number), Scope::Excluded | Scope::Unknown));
        !numbers.is_empty() && !numbers.into_iter().any(selected)
    }

    /// Returns the parts of a key by which namespaces are ordered.
    fn sort_key<'a>(&self, key: &'a NamespaceKey) -> (Option<&'a str>, Option<&'a str>) {
        (
            key.account_id.as_deref().filter(|_| self.by_account),
            key.namespace_id.as_deref().filter(|_| self.by_namespace),
        )
    }

    /// Returns each namespace's rank, equal for those that are not compared separately.
    pub fn ranks(&self) -> Vec<u32> {
        let index = self.index();
        let key = |number: usize| self.sort_key(&index.keys[number]);
        let mut order: Vec<_> = (0..index.keys.len()).collect();
        order.sort_by_key(|number| key(*number));
        let mut ranks = vec![0; order.len()];
        for pair in order.windows(2) {
            ranks[pair[1]] = ranks[pair[0]] + u32::from(key(pair[0]) != key(pair[1]));
        }
        ranks
    }

    pub fn order(&self) -> NamespaceOrder<'_> {
        NamespaceOrder {
            namespaces: self,
            last: (0, 0, Ordering::Equal),
        }
    }
}

/// Compares entries by namespace and id. It remembers the last two namespaces, which are usually the next two as well.
pub struct NamespaceOrder<'a> {
    namespaces: &'a Namespaces,
    last: (u32, u32, Ordering),
}

impl NamespaceOrder<'_> {
    pub fn compare(&mut self, one: &Entry, other: &Entry) -> Ordering {
        self.compare_namespaces(one.namespace, other.namespace)
            .then_with(|| one.id.cmp(&other.id))
    }

    fn compare_namespaces(&mut self, one: u32, other: u32) -> Ordering {
        if one == other {
            return Ordering::Equal;
        }
        if (self.last.0, self.last.1) != (one, other) {
            let index = self.namespaces.index();
            let key = |number: u32| self.namespaces.sort_key(&index.keys[number as usize]);
            self.last = (one, other, key(one).cmp(&key(other)));
        }
        self.last.2
    }
}

/// Finds the namespaces of a file's rows. It remembers the last one, which is usually the next one as well.
pub(super) struct RowNamespaces<'a> {
    side: usize,
    namespaces: &'a Namespaces,
    /// Stands in for what rows lack.
    default: NamespaceKey,
    account_id: Option<Vec<u8>>,
    namespace_id: Option<Vec<u8>>,
    last: Option<(u32, Scope)>,
    /// By number, of the namespaces that were found.
    scopes: HashMap<u32, Scope>,
}

/// Why a row can't be compared.
pub(super) enum RowProblem {
    NoValue { column: &'static str },
    TooManyNamespaces,
}

impl<'a> RowNamespaces<'a> {
    pub(super) fn new(side: usize, namespaces: &'a Namespaces, default: NamespaceKey) -> Self {
        Self {
            side,
            namespaces,
            default,
            account_id: None,
            namespace_id: None,
            last: None,
            scopes: HashMap::new(),
        }
    }

    pub(super) fn find(&mut self, row: &RowRef<'_>) -> Result<(u32, Scope), RowProblem> {
        if let Some(last) = self.last
            && row.account_id == self.account_id.as_deref()
            && row.namespace_id == self.namespace_id.as_deref()
        {
            return Ok(last);
        }
        let [account, namespace] = [row.account_id, row.namespace_id].map(|cell| cell.map(String::from_utf8_lossy));
        let key = NamespaceKey::new(account.as_deref(), namespace.as_deref());
        let key = NamespaceKey {
            account_id: key.account_id.or_else(|| self.default.account_id.clone()),
            namespace_id: key.namespace_id.or_else(|| self.default.namespace_id.clone()),
        };
        if self.namespaces.by_namespace && key.namespace_id.is_none() {
            return Err(RowProblem::NoValue { column: "namespace_id" });
        }
        if self.namespaces.by_account && key.account_id.is_none() {
            return Err(RowProblem::NoValue { column: "account_id" });
        }
        let number = self.namespaces.intern(&key).ok_or(RowProblem::TooManyNamespaces)?;
        let scope = *self
            .scopes
            .entry(number)
            .or_insert_with(|| self.namespaces.scope(self.side, number));
        let found = (number, scope);
        self.account_id = row.account_id.map(<[u8]>::to_vec);
        self.namespace_id = row.namespace_id.map(<[u8]>::to_vec);
        self.last = Some(found);
        Ok(found)
    }
}
