//! Whose objects are: accounts and namespaces as numbers, and which of them are compared.
//!
//! Where both sides say whose an object is, ids are compared within their namespaces; where one side has ids alone,
//! by id alone. A side that knows of which namespaces it speaks (a dataset, a moment) says nothing of the others:
//! objects that the other side has there are neither created nor removed, they are not compared.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::export::read::Columns;
use crate::model::canonical_id;

/// So many fit into memory beside all else.
pub const LIMIT: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Owner {
    /// `None` where the side does not say it.
    pub account_id: Option<Arc<str>>,
    pub namespace_id: Option<Arc<str>>,
}

impl Owner {
    /// Other programs write the digits of an id in capitals, or pad it with spaces.
    pub fn new(account_id: Option<&str>, namespace_id: Option<&str>) -> Self {
        let id = |text: &str| canonical_id(text).as_ref().into();
        Self {
            account_id: account_id.map(id),
            namespace_id: namespace_id.map(id),
        }
    }
}

/// The namespaces of one side, by account and id.
pub type Covered = HashSet<(String, String)>;

/// Whether --namespace and --account choose a namespace, by its account, its id, and what people call it. The account and
/// the name are `None` where the side does not say them.
pub type Selects = Box<dyn Fn(Option<&str>, &str, Option<&str>) -> Selected + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    Yes,
    No,
    /// Not by what is known of the namespace, which is not all that was asked about.
    Unknown,
}

/// What is compared.
#[derive(Default)]
pub struct Scope {
    /// Of each side: the namespaces that it speaks of, where it knows.
    pub covered: [Option<Covered>; 2],
    /// What --namespace and --account choose.
    pub selects: Option<Selects>,
}

/// What becomes of an owner's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Compared,
    /// Not asked for.
    Left,
    /// Not asked for as far as is known: neither the record nor a dataset knows the namespace.
    Unknown,
    /// The other side does not speak of that namespace.
    NotCovered,
}

/// Rows of a side that were not compared.
#[derive(Debug, Default)]
pub struct Skipped {
    /// By owner: the other side does not speak of their namespace.
    pub not_covered: BTreeMap<u32, u64>,
    /// By owner: --namespace and --account do not choose their namespace, which is not known otherwise.
    pub unknown: BTreeMap<u32, u64>,
    /// Those that --namespace and --account leave out.
    pub left: u64,
}

impl Skipped {
    /// Counts rows by what becomes of them.
    pub fn add(&mut self, owner: u32, fate: Fate, rows: u64) {
        match fate {
            Fate::Compared => {}
            Fate::Left => self.left += rows,
            Fate::NotCovered => *self.not_covered.entry(owner).or_default() += rows,
            Fate::Unknown => *self.unknown.entry(owner).or_default() += rows,
        }
    }
}

pub struct Owners {
    by_account: bool,
    by_namespace: bool,
    left_says_more: bool,
    scope: Scope,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Owner, u32>,
    list: Vec<Owner>,
    /// What people call them.
    names: HashMap<u32, String>,
}

impl Owners {
    /// For sides with these columns. A side that is empty has them all.
    pub fn new(columns: [Columns; 2], scope: Scope) -> Self {
        let [left, right] = columns;
        let by_namespace = left.namespace_id && right.namespace_id;
        Self {
            by_account: by_namespace && left.account_id && right.account_id,
            by_namespace,
            left_says_more: left.namespace_id && !right.namespace_id,
            scope,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing that panics is done under it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn by_namespace(&self) -> bool {
        self.by_namespace
    }

    pub fn by_account(&self) -> bool {
        self.by_account
    }

    /// Only the left side says whose an object is.
    pub fn left_says_more(&self) -> bool {
        self.left_says_more
    }

    /// `None` where there are too many.
    pub fn number(&self, owner: &Owner) -> Option<u32> {
        let mut known = self.known();
        if let Some(number) = known.numbers.get(owner) {
            return Some(*number);
        }
        let number = u32::try_from(known.list.len()).ok().filter(|n| (*n as usize) < LIMIT)?;
        known.numbers.insert(owner.clone(), number);
        known.list.push(owner.clone());
        Some(number)
    }

    pub fn name(&self, owner: u32, name: &str) {
        self.known().names.insert(owner, name.to_owned());
    }

    pub fn owner(&self, number: u32) -> Owner {
        self.known().list.get(number as usize).cloned().unwrap_or_default()
    }

    /// As people call it: the namespace's name where it is known, else its id.
    pub fn label(&self, number: u32) -> Option<String> {
        let known = self.known();
        let name = known.names.get(&number).cloned();
        name.or_else(|| {
            known
                .list
                .get(number as usize)?
                .namespace_id
                .as_deref()
                .map(str::to_owned)
        })
    }

    /// Of rows that this side (0 or 1) has.
    pub fn fate(&self, side: usize, number: u32) -> Fate {
        let (owner, name) = {
            let known = self.known();
            let owner = known.list.get(number as usize).cloned().unwrap_or_default();
            (owner, known.names.get(&number).cloned())
        };
        let account = owner.account_id.as_deref();
        let Some(namespace) = owner.namespace_id.as_deref() else {
            return Fate::Compared;
        };
        let selects = |selects: &Selects| selects(account, namespace, name.as_deref());
        match self.scope.selects.as_ref().map(selects) {
            None | Some(Selected::Yes) => {}
            Some(Selected::No) => return Fate::Left,
            Some(Selected::Unknown) => return Fate::Unknown,
        }
        let other = self.scope.covered[1 - side].as_ref().filter(|_| self.by_namespace);
        let covered = other.is_none_or(|covered| match (self.by_account, account) {
            (true, Some(account)) => covered.contains(&(account.to_owned(), namespace.to_owned())),
            _ => covered.iter().any(|(_, there)| there == namespace),
        });
        if covered { Fate::Compared } else { Fate::NotCovered }
    }

    /// Whether --namespace and --account choose no namespace of either side.
    pub fn none_is_chosen(&self) -> bool {
        let numbers = 0..self.known().list.len() as u32;
        let is_left = |number: u32| [0, 1].map(|side| matches!(self.fate(side, number), Fate::Left | Fate::Unknown));
        !numbers.is_empty() && numbers.map(is_left).all(|sides| sides == [true, true])
    }

    fn key<'a>(&self, owner: &'a Owner) -> (Option<&'a str>, Option<&'a str>) {
        (
            owner.account_id.as_deref().filter(|_| self.by_account),
            owner.namespace_id.as_deref().filter(|_| self.by_namespace),
        )
    }

    /// Each owner's place in the order of owners, equal for those that are not told apart.
    pub fn ranks(&self) -> Vec<u32> {
        let known = self.known();
        let mut order: Vec<_> = (0..known.list.len()).collect();
        order.sort_by_key(|number| self.key(&known.list[*number]));
        let mut ranks = vec![0; order.len()];
        for pair in order.windows(2) {
            let differ = self.key(&known.list[pair[0]]) != self.key(&known.list[pair[1]]);
            ranks[pair[1]] = ranks[pair[0]] + u32::from(differ);
        }
        ranks
    }

    pub fn order(&self) -> OwnerOrder<'_> {
        OwnerOrder {
            owners: self,
            last: (0, 0, Ordering::Equal),
        }
    }
}

/// Compares owners; the same two are compared again and again.
pub struct OwnerOrder<'a> {
    owners: &'a Owners,
    last: (u32, u32, Ordering),
}

impl OwnerOrder<'_> {
    pub fn compare(&mut self, one: u32, other: u32) -> Ordering {
        if one == other {
            return Ordering::Equal;
        }
        if (self.last.0, self.last.1) != (one, other) {
            let known = self.owners.known();
            let (left, right) = (&known.list[one as usize], &known.list[other as usize]);
            self.last = (one, other, self.owners.key(left).cmp(&self.owners.key(right)));
        }
        self.last.2
    }
}
