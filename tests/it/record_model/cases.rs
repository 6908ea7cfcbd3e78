//! The states that a namespace may go through, and the ways to serve them.

use std::collections::BTreeSet;

use cloudflare_simulator::{CursorKey, CursorStyle, Flag, Id, Order};
use proptest::prelude::*;

use super::model::State;

/// A history of one to six states.
#[derive(Debug, Clone)]
pub struct Case {
    /// The objects that may exist.
    ids: BTreeSet<Id>,
    steps: Vec<(Step, Way, Option<Prune>)>,
}

/// A prune after a recorded state.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Selects the retention limit among the points in time so far.
    pub moment: prop::sample::Index,
    pub batch: u32,
    /// The deletion at which the prune fails, if it gets that far.
    pub dies_at: Option<i64>,
}

/// Absent, or listed with a flag.
type Listed = Option<Flag>;

#[derive(Debug, Clone)]
enum Step {
    Unchanged,
    /// Some objects change; one that was removed before may come back.
    Churn(Vec<(prop::sample::Index, Listed)>),
    /// Replaces all objects.
    Anew(Vec<Listed>),
    Empty,
}

/// How a state is served.
#[derive(Debug, Clone)]
pub struct Way {
    pub limit: u32,
    pub order: Order,
    pub cursor_style: CursorStyle,
    pub cursor_key: CursorKey,
    pub totals: bool,
    pub duplicates: Duplicates,
    /// The n-th response is an empty page with a cursor.
    pub empty_middle: Option<u64>,
}

/// An object that is listed twice, first with a wrong flag. The later one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    None,
    /// Side by side.
    Adjacent,
    /// A page's last row and the next page's first.
    AcrossPages,
    /// The walk's first row and its last.
    FarApart,
}

impl Case {
    pub fn states(&self) -> Vec<(State, Way, Option<Prune>)> {
        let mut now = State::new();
        let steps = self.steps.iter().map(|(step, way, prune)| {
            self.take(step, &mut now);
            (now.clone(), way.clone(), prune.clone())
        });
        steps.collect()
    }

    fn take(&self, step: &Step, state: &mut State) {
        let ids: Vec<Id> = self.ids.iter().copied().collect();
        let mut turn = |id: &Id, listed: &Listed| match listed {
            Some(flag) => drop(state.insert(*id, *flag)),
            None => drop(state.remove(id)),
        };
        match step {
            Step::Unchanged => {}
            Step::Churn(changes) => changes.iter().for_each(|(at, listed)| turn(at.get(&ids), listed)),
            Step::Anew(all) => ids.iter().zip(all).for_each(|(id, listed)| turn(id, listed)),
            Step::Empty => state.clear(),
        }
    }
}

const MOST_OBJECTS: usize = 60;

pub fn any_case() -> impl Strategy<Value = Case> {
    let ids = prop::collection::btree_set(any_id(), 1..MOST_OBJECTS);
    let first = (prop_oneof![9 => anew(), 1 => Just(Step::Empty)], any_way(), any_prune());
    let more = prop::collection::vec((any_step(), any_way(), any_prune()), 0..6);
    (ids, first, more).prop_map(|(ids, first, more)| Case {
        ids,
        steps: std::iter::once(first).chain(more).collect(),
    })
}

/// Ids spread as in production, including neighbours and both ends of the id space.
fn any_id() -> impl Strategy<Value = Id> {
    let ending = |first: u8, last: u8| {
        let mut id = [first; 32];
        id[31] = last;
        id
    };
    prop_oneof![
        20 => any::<Id>(),
        2 => any::<u8>().prop_map(move |last| ending(0x80, last % 4)),
        1 => any::<u8>().prop_map(move |last| ending(0, last % 3)),
        1 => any::<u8>().prop_map(move |last| ending(0xff, 0xff - last % 3)),
    ]
}

fn listed() -> impl Strategy<Value = Listed> {
    prop_oneof![3 => Just(None), 7 => any::<Flag>().prop_map(Some)]
}

fn anew() -> impl Strategy<Value = Step> {
    prop::collection::vec(listed(), MOST_OBJECTS).prop_map(Step::Anew)
}

fn any_step() -> impl Strategy<Value = Step> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), listed()), 1..20);
    prop_oneof![
        2 => Just(Step::Unchanged),
        12 => changes.prop_map(Step::Churn),
        3 => anew(),
        2 => Just(Step::Empty),
    ]
}

fn any_prune() -> impl Strategy<Value = Option<Prune>> {
    let dies_at = prop::option::weighted(0.4, 1..6_i64);
    let prune = (any::<prop::sample::Index>(), 1..30_u32, dies_at);
    let prune = prune.prop_map(|(moment, batch, dies_at)| Prune { moment, batch, dies_at });
    prop::option::weighted(0.4, prune)
}

fn any_way() -> impl Strategy<Value = Way> {
    let order = prop_oneof![
        6 => Just(Order::Ascending),
        1 => any::<u64>().prop_map(Order::Shuffled),
        1 => (1..MOST_OBJECTS).prop_map(Order::BrokenAt),
    ];
    let cursor_style = prop_oneof![Just(CursorStyle::StartAfter), Just(CursorStyle::Opaque)];
    let cursor_key = prop_oneof![
        Just(CursorKey::ResultInfoCursor),
        Just(CursorKey::CursorsAfter),
        Just(CursorKey::Both),
        Just(CursorKey::NullAtEnd),
        Just(CursorKey::AbsentAtEnd),
    ];
    let duplicates = prop_oneof![
        4 => Just(Duplicates::None),
        1 => Just(Duplicates::Adjacent),
        1 => Just(Duplicates::AcrossPages),
        1 => Just(Duplicates::FarApart),
    ];
    let limit = prop_oneof![4 => 10..20_u32, 1 => 20..80_u32, 1 => Just(10_000)];
    let parts = (
        limit,
        order,
        cursor_style,
        cursor_key,
        any::<bool>(),
        duplicates,
        prop::option::weighted(0.2, 1..6_u64),
    );
    parts.prop_map(
        |(limit, order, cursor_style, cursor_key, totals, duplicates, empty_middle)| {
            Way {
                limit,
                order,
                cursor_style,
                cursor_key,
                totals,
                duplicates,
                empty_middle,
            }
            .provable()
        },
    )
}

impl Way {
    /// Removes combinations whose end the walk could not prove, or that the simulator can't serve correctly.
    fn provable(mut self) -> Self {
        let opaque = self.order != Order::Ascending || self.cursor_style == CursorStyle::Opaque;
        // A full last page without a cursor key can't be proven to be the last: either no request can check what
        // follows it, or the response would begin with rows from before.
        let unprovable = opaque || !matches!(self.duplicates, Duplicates::None);
        if unprovable && self.cursor_key == CursorKey::AbsentAtEnd {
            self.cursor_key = CursorKey::NullAtEnd;
        }
        if !opaque {
            // The simulator's empty page has a constructed id as its cursor, which may skip neighbours.
            self.empty_middle = None;
        }
        self
    }
}
