//! Seeded walks on several cursors through churn, faults and interruptions. Every range of a published record must have
//! been served, and if nothing changed during the walk, the record must equal the truth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cloudflare_simulator::{CursorKey, Fault, Flag, Id, Namespace, Objects as Stored, Simulator, When, parse_id};
use durable_inventory::store::Store;
use durable_inventory::units::Cursors;

use crate::simulation::coverage::Coverage;
use crate::simulation::random::Random;
use crate::simulation::record;
use crate::simulation::run::{Left, SESSIONS, Seat, account, run, settle};
use crate::simulation::schedule::{Churn, Interruption, Kind, PlannedRun, Trouble};
use crate::simulation::served::Objects;
use crate::simulation::trouble::{Graveyard, apply, changer, rules};
use crate::support::database::fresh_database;
use crate::support::program::TOKEN;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_was_served() {
    play(0..12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "large: hundreds of schedules"]
async fn what_is_published_was_served_in_many_more_cases() {
    let many = std::env::var("CURSORS_SCHEDULES").map_or(150, |text| text.parse().unwrap());
    play(1_000..1_000 + many).await;
}

/// A page as it was sent.
struct Sent {
    /// Exclusive lower bound of the ids.
    after: Option<Id>,
    rows: BTreeMap<Id, Flag>,
    /// Inclusive upper bound of the ids; `None` on the last page.
    to: Option<Id>,
}

type Log = Arc<Mutex<Vec<Sent>>>;

async fn play(seeds: std::ops::Range<u64>) {
    let database = fresh_database().await;
    let store = Store::connect(database.options.clone(), 1).await.unwrap();
    store.migrate().await.unwrap();
    let role = format!("{}_cursors", database.options.get_database().unwrap());
    let mut seat = Seat::new(&database.options, role.clone()).await;
    let simulator = Arc::new(Simulator::start().await);
    let (mut published, mut resumed) = (0, 0);
    for seed in seeds {
        let mut world = World::new(seed, simulator.clone());
        let options = database.options.clone().username(&role);
        for number in 0..world.random.between(3, 6) {
            let store = Store::connect(options.clone(), SESSIONS).await.unwrap();
            world.run(&store, &mut seat, number).await;
            store.close().await;
        }
        published += world.published;
        resumed += world.resumed;
    }
    seat.leave().await;
    assert!(published > 10, "only {published} walks were published");
    assert!(resumed > 0, "only {resumed} walks were resumed");
}

struct World {
    seed: u64,
    random: Random,
    simulator: Arc<Simulator>,
    account: String,
    namespace: String,
    log: Log,
    graveyard: Graveyard,
    newest: Option<i64>,
    /// Whether no object has changed since the current walk began.
    undisturbed: bool,
    published: usize,
    resumed: usize,
}

impl World {
    fn new(seed: u64, simulator: Arc<Simulator>) -> Self {
        let mut random = Random::new(seed ^ 0xc0_5025);
        let account = format!("cursors-{seed}");
        simulator.add_account(&account, TOKEN);
        let mut namespace = Namespace::new(&account, "room");
        namespace.cursor_key = *random.pick(&[
            CursorKey::ResultInfoCursor,
            CursorKey::CursorsAfter,
            CursorKey::NullAtEnd,
        ]);
        namespace.set_objects(Stored::seeded(random.between(230, 500) as usize, random.next()));
        Self {
            seed,
            namespace: simulator.add(namespace),
            random,
            simulator,
            account,
            log: Log::default(),
            graveyard: Graveyard::default(),
            newest: None,
            undisturbed: true,
            published: 0,
            resumed: 0,
        }
    }

    async fn run(&mut self, store: &Store, seat: &mut Seat, number: u64) {
        let before = record::snapshots(&mut seat.admin, &self.account).await.unwrap();
        let unfinished = before.iter().any(record::Snapshot::is_unfinished);
        if !unfinished {
            self.undisturbed = true;
            self.log.lock().unwrap().clear();
        }
        if self.random.one_in(2) {
            self.undisturbed &= !unfinished;
            for churn in [Churn::Create(9), Churn::Remove(9), Churn::Flip(5), Churn::Return(3)] {
                self.simulator.with_namespace(&self.namespace, |namespace| {
                    apply(namespace, churn, &self.graveyard, &mut self.random);
                });
            }
        }
        self.plan_faults();
        let planned = PlannedRun {
            accept: true,
            cursors: Cursors::Exactly(self.random.between(2, 6) as u16),
            interruption: self.random.one_in(2).then(|| Interruption {
                polls: self.random.between(1, 400),
                kind: *self.random.pick(&[Kind::Drop, Kind::Signal, Kind::EndLockSession]),
            }),
            ..PlannedRun::default()
        };
        let account = account(&self.simulator.base_url(), &self.account, false);
        if let Left::Dropped = run(store, account, &planned, seat).await {
            settle(seat).await;
        }
        self.check(seat, number).await;
    }

    fn plan_faults(&mut self) {
        let log = self.log.clone();
        let sent = Fault::edit(move |request, page| {
            let after = request.param("cursor").and_then(parse_id);
            // The walk refuses a page with rows at or below its cursor. To a walk that sorts them, rows out of order
            // are acceptable.
            if page.rows.iter().all(|row| after.is_none_or(|after| row.0 > after)) {
                log.lock().unwrap().push(Sent {
                    after,
                    rows: page.rows.iter().copied().collect(),
                    to: match page.next() {
                        Some(_) => Some(page.rows.iter().map(|row| row.0).max().or(after).unwrap_or_default()),
                        None => None,
                    },
                });
            }
        });
        let coverage = Coverage::default();
        let mut plan = Vec::new();
        for _ in 0..self.random.below(4) {
            let trouble = match self.random.below(12) {
                0 => Trouble::TooManyRetryNow,
                1 => Trouble::Unavailable,
                2 => Trouble::Reset,
                3 => Trouble::CutBody(700),
                4 => Trouble::RefuseCursor,
                5 => Trouble::IgnoreCursor,
                6 => Trouble::OutOfOrder,
                7 => Trouble::RepeatCursor,
                8 => Trouble::WrongCount,
                9 => Trouble::ChurnInWalk(Churn::Create(4)),
                10 => Trouble::ChurnInWalk(Churn::Remove(4)),
                _ => Trouble::ChurnInWalk(Churn::Flip(4)),
            };
            self.undisturbed &= !matches!(trouble, Trouble::ChurnInWalk(_));
            let graveyard = self.graveyard.clone();
            let change = changer(&self.simulator, self.namespace.clone(), graveyard, self.random.next());
            plan.extend(rules(trouble, self.random.between(1, 60), &coverage, change));
        }
        plan.push((When::Always, sent));
        self.simulator.with_namespace(&self.namespace, |namespace| {
            namespace.faults.clear();
            plan.into_iter()
                .for_each(|(when, fault)| namespace.faults.add(when, fault));
        });
    }

    async fn check(&mut self, seat: &mut Seat, number: u64) {
        let what = format!("seed {}, run {number}", self.seed);
        let snapshots = record::snapshots(&mut seat.admin, &self.account).await.unwrap();
        let newest = snapshots.iter().rfind(|snapshot| snapshot.status == "complete");
        let Some(newest) = newest.filter(|newest| Some(newest.id) != self.newest) else {
            return;
        };
        self.newest = Some(newest.id);
        self.published += 1;
        self.resumed += usize::from(newest.resumed > 0);
        let record = record::read(&mut seat.admin, &self.account).await.unwrap();
        let present = record.present.get(&self.namespace).cloned().unwrap_or_default();
        if self.undisturbed {
            let truth = self.simulator.truth(&self.namespace);
            assert!(present == truth, "{what}: the record is not what the service holds");
        }
        assert_eq!(explained(&present, &self.log.lock().unwrap()), Ok(()), "{what}");
    }
}

/// Checks that the ids can be split into ranges such that, for each range, one page listed exactly what is recorded.
/// Greedily choosing the page that explains the most from the current position is optimal.
fn explained(present: &Objects, sent: &[Sent]) -> Result<(), String> {
    let mut from = Some([0; 32]); // the smallest id that is not explained yet
    while let Some(at) = from {
        let ends = sent.iter().filter(|page| page.after.is_none_or(|after| after < at));
        let best = ends
            .map(|page| explains(page, present, at))
            .max_by_key(|end| end.unwrap_or([0xff; 32]));
        match best {
            Some(end) if end.is_none_or(|end| end > at) => from = end,
            _ => return Err(format!("no page said what is recorded from {at:02x?} on")),
        }
    }
    Ok(())
}

/// The first id from `at` on for which the page differs from the record or has no information; `None` if there is none.
fn explains(page: &Sent, present: &Objects, at: Id) -> Option<Id> {
    let (mut said, mut recorded) = (page.rows.range(at..), present.range(at..));
    let beyond = page.to.and_then(successor);
    loop {
        let (said, recorded) = (said.next(), recorded.next());
        if page.to.is_some() && said.is_none() {
            return beyond;
        }
        if said == recorded {
            said?;
            continue;
        }
        let first = [said, recorded].into_iter().flatten().map(|(id, _)| *id).min();
        return first;
    }
}

fn successor(mut id: Id) -> Option<Id> {
    for byte in id.iter_mut().rev() {
        let (more, carry) = byte.overflowing_add(1);
        *byte = more;
        if !carry {
            return Some(id);
        }
    }
    None
}
