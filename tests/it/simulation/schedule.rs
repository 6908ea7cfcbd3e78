//! A plan derived from a seed: how each namespace is served and, for each run, the changes before it, the faults in it
//! and how it is interrupted.

use cloudflare_simulator::{CursorKey, CursorStyle, Order};
use durable_inventory::units::Cursors;

use super::random::Random;

#[derive(Debug)]
pub struct Schedule {
    pub seed: u64,
    /// Objects change only between walks of their namespace, and no response is false. Everything published must then
    /// equal the service's objects.
    pub still: bool,
    pub namespaces: Vec<Served>,
    pub runs: Vec<PlannedRun>,
}

/// How a namespace is served at first.
#[derive(Debug)]
pub struct Served {
    pub objects: u64,
    pub order: Order,
    pub style: CursorStyle,
    pub key: CursorKey,
    pub totals: bool,
}

#[derive(Debug, Default)]
pub struct PlannedRun {
    /// (namespace, change), before the run.
    pub churn: Vec<(usize, Churn)>,
    /// (namespace, number of its request, fault).
    pub faults: Vec<(usize, u64, Trouble)>,
    /// A fault of the account's namespace list.
    pub list: Option<Trouble>,
    pub interruption: Option<Interruption>,
    /// `--accept-removals`
    pub accept: bool,
    /// `--resume-within` has expired for every interrupted walk.
    pub resume_expired: bool,
    pub cursors: Cursors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Churn {
    Create(u64),
    Remove(u64),
    Flip(u64),
    /// Removed objects come back.
    Return(u64),
    RemoveAll,
    Order(Order),
    /// Cursors of the previous style are no longer accepted.
    Cursors(CursorStyle),
    NamespaceGoes,
    NamespaceReturns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    TooMany,
    TooManyRetryNow,
    TooManyRetryLater,
    Unavailable,
    BadGateway,
    Reset,
    CutBody(usize),
    SlowBody,
    Stalled,
    NotJson,
    WrongShape,
    ErrorsBesideSuccess,
    /// 503 from this request on, so that retries are exhausted.
    Down,
    Forbidden,
    NotFound,
    RefuseCursor,
    IgnoreCursor,
    RepeatCursor,
    CursorCycle,
    CursorsDiffer,
    NoCursorKey,
    EmptyMiddle,
    EmptyEnd,
    Truncated,
    OutOfOrder,
    DuplicateRow,
    WrongCount,
    /// The objects change just before this page is served.
    ChurnInWalk(Churn),
}

impl Trouble {
    /// Whether the fault makes responses false, or inconsistent over the whole walk.
    pub fn lies(self) -> bool {
        matches!(
            self,
            Self::EmptyEnd
                | Self::Truncated
                | Self::NoCursorKey
                | Self::IgnoreCursor
                // A cycle may lead a restarted walk to a position that the previous walk had reached.
                | Self::CursorCycle
                | Self::DuplicateRow
                | Self::ChurnInWalk(_)
        )
    }
}

impl Trouble {
    /// Whether the fault concerns one namespace alone and takes no time, so that it can't excuse another namespace.
    pub fn is_local(self) -> bool {
        matches!(
            self,
            Self::WrongShape
                | Self::ErrorsBesideSuccess
                | Self::Forbidden
                | Self::NotFound
                | Self::RepeatCursor
                | Self::CursorCycle
                | Self::CursorsDiffer
                | Self::OutOfOrder
        )
    }
}

/// Interrupts the run after its future was polled this many times, which may be at any point where it waits.
#[derive(Debug, Clone, Copy)]
pub struct Interruption {
    pub polls: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Signal,
    Deadline,
    /// Drops the future, as if the process had died.
    Drop,
    EndAllSessions,
    EndLockSession,
    EndWorkSessions,
}

impl Schedule {
    pub fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let still = random.one_in(2);
        let namespaces: Vec<_> = (0..random.between(1, 3)).map(|_| Served::new(random)).collect();
        let runs = random.between(2, 5);
        let mut runs: Vec<_> = (0..runs)
            .map(|_| PlannedRun::new(random, namespaces.len(), still))
            .collect();
        // Two undisturbed runs at the end: the record must become correct, and then stay the same.
        for change in [true, false] {
            runs.push(PlannedRun {
                churn: if change {
                    churn(random, namespaces.len())
                } else {
                    Vec::new()
                },
                accept: true,
                ..PlannedRun::default()
            });
        }
        Self {
            seed,
            still,
            namespaces,
            runs,
        }
    }
}

impl Served {
    fn new(random: &mut Random) -> Self {
        let order = match random.below(6) {
            0 => Order::Shuffled(random.next()),
            1 => Order::BrokenAt(random.between(1, 40) as usize),
            _ => Order::Ascending,
        };
        let keys = [
            CursorKey::ResultInfoCursor,
            CursorKey::CursorsAfter,
            CursorKey::Both,
            CursorKey::NullAtEnd,
            CursorKey::AbsentAtEnd,
        ];
        Self {
            objects: match random.below(8) {
                0 => 0,
                1 => random.between(1, 12),
                2 => 10 * random.between(1, 6),
                _ => random.between(10, 65),
            },
            order,
            style: *random.pick(&[CursorStyle::StartAfter, CursorStyle::Opaque]),
            key: *random.pick(&keys),
            totals: random.one_in(3),
        }
    }
}

impl PlannedRun {
    fn new(random: &mut Random, namespaces: usize, still: bool) -> Self {
        let faults = (0..random.below(4)).map(|_| {
            let at = random.below(namespaces as u64) as usize;
            (at, random.between(1, 7), trouble(random, still))
        });
        let faults = faults.collect();
        Self {
            faults,
            churn: churn(random, namespaces),
            list: random.one_in(12).then(|| {
                *random.pick(&[
                    Trouble::Unavailable,
                    Trouble::Down,
                    Trouble::NotJson,
                    Trouble::Forbidden,
                    Trouble::Reset,
                ])
            }),
            interruption: random.one_in(2).then(|| Interruption::new(random)),
            accept: random.one_in(4),
            // The model follows a single chain of pages. The module `cursors` tests several.
            cursors: Cursors::Exactly(1),
            resume_expired: random.one_in(10),
        }
    }
}

impl Interruption {
    fn new(random: &mut Random) -> Self {
        let kinds = [
            Kind::Drop,
            Kind::Drop,
            Kind::Drop,
            Kind::Signal,
            Kind::Deadline,
            Kind::EndAllSessions,
            Kind::EndLockSession,
            Kind::EndWorkSessions,
        ];
        let most = *random.pick(&[30, 80, 160]);
        Self {
            polls: random.between(1, most),
            kind: *random.pick(&kinds),
        }
    }
}

fn churn(random: &mut Random, namespaces: usize) -> Vec<(usize, Churn)> {
    (0..random.below(5))
        .map(|_| {
            let at = random.below(namespaces as u64) as usize;
            (at, one_churn(random))
        })
        .collect()
}

fn one_churn(random: &mut Random) -> Churn {
    match random.below(24) {
        0 => Churn::RemoveAll,
        1 => Churn::Order(Order::Shuffled(random.next())),
        2 => Churn::Order(Order::BrokenAt(random.between(1, 40) as usize)),
        3 => Churn::Order(Order::Ascending),
        4 => Churn::Cursors(CursorStyle::Opaque),
        5 => Churn::Cursors(CursorStyle::StartAfter),
        6 | 7 => Churn::NamespaceGoes,
        8..=10 => Churn::NamespaceReturns,
        _ => object_churn(random),
    }
}

fn object_churn(random: &mut Random) -> Churn {
    let n = random.between(1, 12);
    *random.pick(&[
        Churn::Create(n),
        Churn::Create(n),
        Churn::Remove(n),
        Churn::Flip(n),
        Churn::Return(n),
    ])
}

fn trouble(random: &mut Random, still: bool) -> Trouble {
    loop {
        let trouble = any_trouble(random);
        if !(still && trouble.lies()) {
            return trouble;
        }
    }
}

fn any_trouble(random: &mut Random) -> Trouble {
    match random.below(34) {
        0 => Trouble::TooMany,
        1 => Trouble::TooManyRetryNow,
        2 => Trouble::TooManyRetryLater,
        3 => Trouble::Unavailable,
        4 => Trouble::BadGateway,
        5 => Trouble::Reset,
        6 => Trouble::CutBody(random.between(1, 1500) as usize),
        7 => Trouble::SlowBody,
        8 => Trouble::Stalled,
        9 => Trouble::NotJson,
        10 => Trouble::WrongShape,
        11 => Trouble::ErrorsBesideSuccess,
        12 | 13 => Trouble::Down,
        14 => Trouble::Forbidden,
        15 => Trouble::NotFound,
        16 | 17 => Trouble::RefuseCursor,
        18 => Trouble::IgnoreCursor,
        19 => Trouble::RepeatCursor,
        20 => Trouble::CursorCycle,
        21 => Trouble::CursorsDiffer,
        22 => Trouble::NoCursorKey,
        23 => Trouble::EmptyMiddle,
        24 => Trouble::EmptyEnd,
        25 => Trouble::Truncated,
        26 => Trouble::OutOfOrder,
        27 => Trouble::DuplicateRow,
        28 => Trouble::WrongCount,
        29 => Trouble::ChurnInWalk(Churn::Order(Order::Shuffled(random.next()))),
        _ => Trouble::ChurnInWalk(object_churn(random)),
    }
}
