//! Promises 2, 3, 4 and 7 against a model. Seeded schedules of churn, faults and interruptions are played through the
//! library against a real PostgreSQL. After every run the whole record, as of every point in time so far, must equal
//! the pages that the published walks received.
//!
//! `SIMULATION_SCHEDULES` is the number of schedules in the large test. `SIMULATION_SEED` selects the schedule that
//! `one` replays.

pub mod coverage;
mod liveness;
pub mod model;
mod outcomes;
pub mod random;
pub mod record;
pub mod run;
pub mod schedule;
pub mod served;
pub mod trouble;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cloudflare_simulator::Simulator;
use durable_inventory::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use self::coverage::Coverage;
use self::run::Seat;
use self::schedule::Schedule;
use self::world::World;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::figures::report;

const WORKERS: u64 = 6;

/// Every event that a schedule can contain, by its name in `Coverage`.
const ALL: [&str; 57] = [
    "a namespace goes",
    "a namespace returns",
    "churn: Create",
    "churn: Remove",
    "churn: RemoveAll",
    "churn: Flip",
    "churn: Return",
    "churn: Order",
    "churn: Cursors",
    "fault: TooMany",
    "fault: TooManyRetryNow",
    "fault: TooManyRetryLater",
    "fault: Unavailable",
    "fault: BadGateway",
    "fault: Reset",
    "fault: CutBody",
    "fault: SlowBody",
    "fault: Stalled",
    "fault: NotJson",
    "fault: WrongShape",
    "fault: ErrorsBesideSuccess",
    "fault: Down",
    "fault: Forbidden",
    "fault: NotFound",
    "fault: RefuseCursor",
    "fault: IgnoreCursor",
    "fault: RepeatCursor",
    "fault: CursorCycle",
    "fault: CursorsDiffer",
    "fault: NoCursorKey",
    "fault: EmptyMiddle",
    "fault: EmptyEnd",
    "fault: Truncated",
    "fault: OutOfOrder",
    "fault: DuplicateRow",
    "fault: WrongCount",
    "fault: ChurnInWalk",
    "interruption: Drop",
    "interruption: Signal",
    "interruption: Deadline",
    "interruption: EndAllSessions",
    "interruption: EndLockSession",
    "interruption: EndWorkSessions",
    "outcome: complete",
    "outcome: held",
    "outcome: interrupted",
    "outcome: failed",
    "outcome: missing",
    "walks resumed",
    "walks resumed once faults had stopped",
    "namespaces beside faulty ones",
    "finished walks that must equal the service's truth",
    "finished walks that must equal the pages served",
    "snapshots: superseded",
    "snapshots: resume-within exceeded",
    "snapshots: started over after a refused cursor",
    "snapshots: started over for want of order",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_equals_the_model_after_every_run() {
    let coverage = simulate(0..100).await;
    // A lower number would mean that the schedules end before anything happens.
    assert!(coverage.of("outcome: complete") > 300, "{coverage}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "large: thousands of schedules"]
async fn the_record_equals_the_model_over_thousands_of_schedules() {
    let schedules = number("SIMULATION_SCHEDULES").unwrap_or(1_000);
    let from = number("SIMULATION_FROM").unwrap_or(10_000);
    let begun = Instant::now();
    let coverage = simulate(from..from + schedules).await;
    report(&format!("{schedules} schedules in {:?}\n{coverage}", begun.elapsed()));
    for what in ALL {
        assert!(coverage.of(what) > 0, "nothing tested: {what}\n{coverage}");
    }
}

/// A walk was resumed after the API's order of ids had changed. It failed where it could start over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_that_have_failed_before() {
    simulate(102_584..102_585).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "large: plays the schedule of SIMULATION_SEED again"]
async fn one() {
    if let Some(seed) = number("SIMULATION_SEED") {
        simulate(seed..seed + 1).await;
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

async fn simulate(seeds: std::ops::Range<u64>) -> Coverage {
    // Runs one test at a time, because two would exceed the server's 100 connections.
    static ALONE: Mutex<()> = Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let database = fresh_database().await;
    let store = Store::connect(database.options.clone(), 1).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let (coverage, next) = (Coverage::default(), Arc::new(AtomicU64::new(seeds.start)));
    let workers: Vec<_> = (0..WORKERS.min(seeds.end - seeds.start))
        .map(|worker| {
            let (options, next, coverage) = (database.options.clone(), next.clone(), coverage.clone());
            let runtime = Handle::current();
            // Each worker has its own thread, because a run is not `Send`.
            tokio::task::spawn_blocking(move || runtime.block_on(work(worker, options, next, seeds.end, coverage)))
        })
        .collect();
    let mut failures = Vec::new();
    for worker in workers {
        failures.extend(worker.await.unwrap().err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    count_snapshots(&database, &coverage).await;
    coverage
}

async fn work(
    worker: u64,
    options: sqlx::postgres::PgConnectOptions,
    next: Arc<AtomicU64>,
    end: u64,
    coverage: Coverage,
) -> Result<(), String> {
    let role = format!("{}_worker_{worker}", options.get_database().unwrap());
    let mut seat = Seat::new(&options, role.clone()).await;
    let simulator = Arc::new(Simulator::start().await);
    let mut clock = Clock::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        let schedule = Schedule::new(seed);
        let world = World::new(&schedule, simulator.clone(), options.clone().username(&role), &coverage);
        let played = match world.play(&mut seat).await {
            Ok(()) => clock.check(&mut seat.admin).await,
            Err(error) => Err(format!("{error:#}")),
        };
        played.map_err(|error| {
            next.store(end, Ordering::Relaxed);
            format!(
                "schedule {seed}: {error}\nagain: SIMULATION_SEED={seed} cargo test --test it simulation::one -- \
                 --ignored\n{schedule:#?}"
            )
        })?;
        coverage.count("schedules");
    }
    seat.leave().await;
    Ok(())
}

/// Checks that recorded_at increases in commit order. Otherwise a snapshot would become visible at a time that has
/// passed, and change earlier results about that time.
#[derive(Default)]
struct Clock {
    newest: Option<time::OffsetDateTime>,
    until: i64,
}

impl Clock {
    async fn check(&mut self, session: &mut PgConnection) -> Result<(), String> {
        let (until, count, newest): (i64, i64, Option<time::OffsetDateTime>) = sqlx::query_as(
            "select count(*) filter (where recorded_at <= $1), count(*), max(recorded_at)
             from inventory.snapshots where status = 'complete'",
        )
        .bind(self.newest)
        .fetch_one(session)
        .await
        .map_err(|error| error.to_string())?;
        if until != self.until {
            return Err(format!(
                "{} snapshots came to be visible in the past",
                until - self.until
            ));
        }
        (self.newest, self.until) = (newest, count);
        Ok(())
    }
}

async fn count_snapshots(database: &TestDatabase, coverage: &Coverage) {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let kinds = [
        ("superseded", "status = 'superseded'"),
        ("resume-within exceeded", "error like '%--resume-within%'"),
        (
            "started over after a refused cursor",
            "error like '%does not resume at the checkpoint%starting over'",
        ),
        (
            "started over for want of order",
            "error like '%do not ascend%starting over'",
        ),
        ("published", "status = 'complete'"),
        ("published after a resumption", "status = 'complete' and resumed > 0"),
        ("all", "true"),
    ];
    for (name, condition) in kinds {
        let sql = format!("select count(*) from inventory.snapshots where {condition}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut session)
            .await
            .unwrap();
        coverage.add(format!("snapshots: {name}"), count as u64);
    }
}
