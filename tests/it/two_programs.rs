//! Two programs on the same accounts. While one walks, the other reports that it is busy. A program that is stopped
//! until it has lost its lock writes nothing more when it continues (the fence).

use std::collections::HashSet;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Answer, Fault, Order, Simulator, When};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

use crate::support::account::outcomes;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::figures::report;
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};
use crate::support::witness::Witness;

const NAMESPACES: [(usize, Order); 2] = [(300, Order::Ascending), (200, Order::Shuffled(3))];

/// The point at which the first program is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While it waits for a page.
    Page,
    /// In the middle of its page's transaction, which stays open.
    Transaction,
    /// The transaction has checked the fence and is about to commit.
    Commit,
    /// Any point.
    Random,
}

const MOMENTS: [Moment; 4] = [Moment::Page, Moment::Transaction, Moment::Commit, Moment::Random];

struct Pair {
    simulator: Simulator,
    database: TestDatabase,
    witness: Witness,
    admin: PgConnection,
}

impl Pair {
    async fn new(seed: u64) -> Self {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let witness = Witness::new(&simulator, seed, &NAMESPACES);
        let mut pair = Self {
            admin: PgConnection::connect_with(&database.options).await.unwrap(),
            simulator,
            database,
            witness,
        };
        pair.in_peace().await;
        pair
    }

    fn command(&self) -> Command {
        sync(&self.simulator, &self.database, &["--limit", "20", "--accept-removals"])
    }

    async fn in_peace(&mut self) {
        let ended = run(self.command());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        self.witness.check_end(&self.simulator, &self.database.options).await;
    }

    /// Starts a program and stops it at this point. It may have ended by then.
    async fn stopped(&mut self, moment: Moment) -> Child {
        let program = match moment {
            Moment::Page => {
                let at = self.witness.random.below(2) as usize;
                let nth = self.witness.random.between(1, 8);
                let hold = self.simulator.hold_at(&self.witness.namespaces[at].id, nth);
                let program = self.command().spawn().unwrap();
                hold.wait_until_held().await;
                signal(&program, Signal::STOP);
                hold.release();
                program
            }
            Moment::Transaction | Moment::Commit => self.stopped_in_transaction(moment).await,
            Moment::Random => {
                let program = self.command().spawn().unwrap();
                let moment = self.witness.random.below(150);
                tokio::time::sleep(Duration::from_millis(moment)).await;
                signal(&program, Signal::STOP);
                program
            }
        };
        until_stopped(&program).await;
        program
    }

    /// The test locks a row that the page's transaction needs until the program is stopped.
    async fn stopped_in_transaction(&mut self, moment: Moment) -> Child {
        let at = self.witness.random.below(2) as usize;
        let id = self.witness.namespaces[at].id.clone();
        let nth = self.witness.random.between(2, 8);
        let hold = self.simulator.hold_at(&id, nth);
        let program = self.command().spawn().unwrap();
        hold.wait_until_held().await;
        let mut blocker = PgConnection::connect_with(&self.database.options).await.unwrap();
        let mut block = blocker.begin().await.unwrap();
        let row = if moment == Moment::Commit {
            "select from inventory.namespace where namespace_id = $1 for update"
        } else {
            "select from inventory.snapshot s join inventory.namespace n using (namespace_key)
             where n.namespace_id = $1 and s.status = 'running' for update of s"
        };
        sqlx::query(row).bind(&id).execute(&mut *block).await.unwrap();
        hold.release();
        let waits = "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'";
        until(async || {
            sqlx::query_scalar::<_, i64>(waits)
                .fetch_one(&mut self.admin)
                .await
                .unwrap()
                > 0
        })
        .await;
        signal(&program, Signal::STOP);
        block.rollback().await.unwrap();
        program
    }

    /// Simulates the server's timeouts: after 60 s it ends an open transaction that blocks the namespace's row, and
    /// after 90 s of silence the lock's session. The second program must end other open transactions.
    async fn let_go(&mut self) -> HashSet<i32> {
        let held = sqlx::query_scalar::<_, i32>(
            "select distinct l.objid::int from pg_locks l
             where l.locktype = 'advisory'
               and l.database = (select oid from pg_database where datname = current_database())",
        )
        .fetch_all(&mut self.admin)
        .await
        .unwrap();
        sqlx::query(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity a
             where datname = current_database() and pid <> pg_backend_pid()
               and exists (
                   select from pg_locks l where l.pid = a.pid
                     and (l.locktype = 'advisory'
                          or (l.relation = 'inventory.namespace'::regclass and l.mode = 'RowShareLock')))",
        )
        .execute(&mut self.admin)
        .await
        .unwrap();
        held.into_iter().collect()
    }

    /// One round: the first program is stopped, its lock is released, the second one does the work, the first one
    /// continues. Returns whether the first had a lock to lose.
    async fn round(&mut self, moment: Moment) -> bool {
        self.witness.churn(&self.simulator, 20);
        let first = self.stopped(moment).await;
        let lost = self.let_go().await;
        self.witness.check(&self.database.options).await;
        let second = run(self.command());
        assert_eq!(second.code, Some(0), "{second:#?}");
        self.witness.check_end(&self.simulator, &self.database.options).await;
        signal(&first, Signal::CONT);
        let first = Ended::from(first.wait_with_output().unwrap());
        let published = self.witness.check(&self.database.options).await;
        if lost.is_empty() {
            return false; // it had not begun or had finished, so it now behaves like any other run
        }
        assert_eq!(published, 0, "a program without its lock published: {first:#?}");
        let statuses = outcomes(&first);
        let unfinished = statuses.iter().filter(|status| *status == "interrupted").count();
        assert!(
            statuses
                .iter()
                .all(|status| status == "interrupted" || status == "complete"),
            "{first:#?}"
        );
        match unfinished {
            0 => assert_eq!(first.code, Some(0), "{first:#?}"),
            _ => assert!(matches!(first.code, Some(1 | 3)), "{first:#?}"),
        }
        if moment != Moment::Random {
            assert!(unfinished > 0, "{first:#?}");
        }
        true
    }
}

fn signal(program: &Child, signal: Signal) {
    kill_process(Pid::from_child(program), signal).unwrap();
}

/// Signals are delivered asynchronously.
async fn until_stopped(program: &Child) {
    let stat = format!("/proc/{}/stat", program.id());
    until(async || {
        let stat = std::fs::read_to_string(&stat).unwrap();
        let state = stat.rsplit(") ").next().unwrap().chars().next();
        matches!(state, Some('T' | 'Z')) // or it has ended
    })
    .await;
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "what was waited for did not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn rounds(rounds: u64) -> (u64, u64) {
    let mut pair = Pair::new(number("TWO_PROGRAMS_SEED", 1)).await;
    let (mut lost, mut random) = (0, 0);
    for round in 0..rounds {
        let moment = MOMENTS[round as usize % MOMENTS.len()];
        let had_lock = pair.round(moment).await;
        assert!(had_lock || moment == Moment::Random, "{moment:?}: it held no lock");
        lost += u64::from(had_lock);
        random += u64::from(had_lock && moment == Moment::Random);
    }
    (lost, random)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test]
async fn a_program_that_lost_its_lock_writes_nothing_more() {
    rounds(8).await;
}

#[tokio::test]
#[ignore = "large: many rounds"]
async fn programs_that_lost_their_lock_write_nothing_more() {
    let (count, begun) = (number("ROUNDS", 40), Instant::now());
    let (lost, random) = rounds(count).await;
    report(&format!(
        "{count} rounds in {:?}: the stopped program held a lock in {lost}, {random} of them at a random moment",
        begun.elapsed()
    ));
}

#[tokio::test]
#[ignore = "large: waits for the 90 s after which a silent program's lock is let go"]
async fn a_silent_programs_lock_is_let_go_after_90_seconds() {
    let mut pair = Pair::new(9).await;
    pair.witness.churn(&pair.simulator, 20);
    let first = pair.stopped(Moment::Commit).await;
    let stopped = Instant::now();
    let mut second = run(pair.command());
    let is_busy = |ended: &Ended| outcomes(ended).iter().any(|status| status == "busy");
    assert!(is_busy(&second), "{second:#?}");
    while is_busy(&second) {
        assert!(stopped.elapsed() < Duration::from_secs(150), "the lock is never let go");
        tokio::time::sleep(Duration::from_secs(1)).await;
        second = run(pair.command());
    }
    let waited = stopped.elapsed();
    assert_eq!(second.code, Some(0), "{second:#?}");
    assert!(waited > Duration::from_secs(60), "{waited:?}");
    pair.witness.check_end(&pair.simulator, &pair.database.options).await;
    signal(&first, Signal::CONT);
    let first = Ended::from(first.wait_with_output().unwrap());
    assert!(matches!(first.code, Some(1 | 3)), "{first:#?}");
    assert_eq!(pair.witness.check(&pair.database.options).await, 0);
    report(&format!("the lock was let go after {waited:?}"));
}

#[tokio::test]
async fn at_once_each_walk_is_one_programs_and_the_other_is_busy() {
    let mut pair = Pair::new(2).await;
    let mut busy = 0;
    for _ in 0..8 {
        pair.witness.churn(&pair.simulator, 20);
        let programs = [pair.command().spawn().unwrap(), pair.command().spawn().unwrap()];
        for program in programs {
            let ended = Ended::from(program.wait_with_output().unwrap());
            assert!(matches!(ended.code, Some(0 | 4)), "{ended:#?}");
            busy += outcomes(&ended).iter().filter(|status| *status == "busy").count();
        }
        pair.witness.check_end(&pair.simulator, &pair.database.options).await;
    }
    assert!(busy > 0, "they never met");
}

/// The first program receives a 404 for a namespace. By then the namespace is back, and another program has walked it.
#[tokio::test]
async fn a_program_that_lost_its_lock_marks_nothing_as_missing() {
    let mut pair = Pair::new(3).await;
    let id = pair.witness.namespaces[0].id.clone();
    let listed = Answer::json(
        200,
        r#"{"success":true,"errors":[],"messages":[],"result":[],"result_info":{"count":0,"total_pages":1}}"#,
    );
    pair.simulator.list_fault(ACCOUNT, When::Nth(1), Fault::Answer(listed));
    pair.simulator
        .fault(&id, When::Nth(1), Fault::Answer(Answer::error(404, 10066, "not found")));
    let hold = pair.simulator.hold_at(&id, 1);
    let first = pair.command().spawn().unwrap();
    hold.wait_until_held().await;
    signal(&first, Signal::STOP);
    until_stopped(&first).await;
    pair.let_go().await;
    pair.in_peace().await;
    hold.release();
    signal(&first, Signal::CONT);
    let first = Ended::from(first.wait_with_output().unwrap());
    let told = [
        "another run took over the namespace's lock",
        "another run took over this namespace",
    ];
    assert!(told.iter().any(|why| first.stderr.contains(why)), "{first:#?}");
    let missing = "select count(*) from inventory.namespaces where missing_since is not null";
    let missing: i64 = sqlx::query_scalar(missing).fetch_one(&mut pair.admin).await.unwrap();
    assert_eq!(missing, 0);
}
