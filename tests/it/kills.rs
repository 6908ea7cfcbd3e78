//! Kills the real program, and crashes its database, at random times. Each time the next run resumes, and the record is
//! exact (promises 2, 3 and 4).
//!
//! `KILLS` and `SERVER_STOPS` set the number of attacks in the large tests. `KILLS_SEED` determines their times.

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Order, Simulator};
use durable_inventory::store::managed_postgres::ManagedServer;
use rustix::process::{Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::support::database::{fresh_database, url};
use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync_to};
use crate::support::witness::{Witness, until_sessions_are_gone};

/// A long walk of small pages, one that is spooled, and one page with a slow publication.
const NAMESPACES: [(usize, Order); 3] = [
    (600, Order::Ascending),
    (400, Order::Shuffled(7)),
    (90, Order::BrokenAt(50)),
];

/// Longer than a server takes to restart.
const PATIENT: &str = "20s";

struct Attacked {
    simulator: Simulator,
    witness: Witness,
    /// The number of hits by the state in which each walk was left.
    hits: BTreeMap<&'static str, u64>,
    /// The duration of an undisturbed run.
    usual: Duration,
}

impl Attacked {
    async fn new() -> Self {
        let simulator = simulator().await;
        let seed = number("KILLS_SEED", 1);
        let witness = Witness::new(&simulator, seed, &NAMESPACES);
        Self {
            simulator,
            witness,
            hits: BTreeMap::new(),
            usual: Duration::ZERO,
        }
    }

    /// Small pages give many points of interruption between them; large ones give publication a larger share.
    fn command(&mut self, options: &PgConnectOptions, retry_for: &str) -> Command {
        let limit = if self.witness.random.one_in(3) { "1000" } else { "20" };
        sync_to(
            &self.simulator,
            &url(options),
            &["--limit", limit, "--accept-removals", "--retry-for", retry_for],
        )
    }

    /// The first run finishes the interrupted walk, some of whose pages were served before the objects changed. After
    /// the second one, the record equals the service's objects.
    async fn in_peace(&mut self, options: &PgConnectOptions) {
        let begun = Instant::now();
        let finishing = run(self.command(options, PATIENT));
        self.usual = begun.elapsed();
        self.witness.check(options).await;
        let fresh = run(self.command(options, PATIENT));
        assert!(
            finishing.code == Some(0) && fresh.code == Some(0),
            "{finishing:#?} {fresh:#?}"
        );
        self.witness.check_end(&self.simulator, options).await;
    }

    /// Starts a run and waits for a random time within its usual duration.
    async fn until_a_moment(&mut self, options: &PgConnectOptions, retry_for: &str) -> Child {
        self.witness.churn(&self.simulator, 30);
        let program = self.command(options, retry_for).spawn().unwrap();
        let moment = self.witness.random.below(self.usual.as_micros() as u64);
        tokio::time::sleep(Duration::from_micros(moment)).await;
        program
    }

    async fn note(&mut self, options: &PgConnectOptions, run_before: i64) {
        let mut session = PgConnection::connect_with(options).await.unwrap();
        let left: Vec<(String,)> = sqlx::query_as(
            "select case
                 when s.status in ('running', 'interrupted') and s.walked
                     and (s.spooled is null or s.compared_to = decode(repeat('ff', 32), 'hex'))
                     then 'between the end of a walk and its publication'
                 when s.status in ('running', 'interrupted') and s.walked then 'while a spool was compared'
                 when s.status in ('running', 'interrupted') and s.pages > 0 then 'between two pages'
                 when s.status in ('running', 'interrupted') then 'before the first page'
                 when exists (select from inventory.staged_change c where c.snapshot_id = s.snapshot_id)
                     then 'after a publication, before its leftovers were cleared'
                 else 'after a walk' end
             from inventory.snapshot s where s.run_id > $1",
        )
        .bind(run_before)
        .fetch_all(&mut session)
        .await
        .unwrap();
        session.close().await.unwrap();
        if left.is_empty() {
            *self.hits.entry("before any walk").or_default() += 1;
        }
        for (place,) in left {
            *self.hits.entry(place.leak()).or_default() += 1;
        }
    }

    /// Continues beyond the requested number while no attack has hit a walk, because a run may end sooner than usual.
    fn is_wanted(&self, attacks: u64, asked: u64) -> bool {
        attacks < asked || (self.unfinished() == 0 && attacks < 10 * asked)
    }

    fn unfinished(&self) -> u64 {
        self.hits
            .iter()
            .filter(|(place, _)| !place.starts_with("after"))
            .map(|(_, n)| n)
            .sum()
    }
}

async fn last_run(options: &PgConnectOptions) -> i64 {
    let mut session = PgConnection::connect_with(options).await.unwrap();
    let last = sqlx::query_scalar("select coalesce(max(run_id), 0) from inventory.run");
    let last = last.fetch_one(&mut session).await.unwrap();
    session.close().await.unwrap();
    last
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[expect(clippy::print_stdout, reason = "the figures of a large test are its result")]
fn report(what: &str, attacked: &Attacked, begun: Instant) {
    println!("{what} in {:?}, walks left: {:#?}", begun.elapsed(), attacked.hits);
}

async fn kill_programs(kills: u64) -> Attacked {
    let database = fresh_database().await;
    let mut attacked = Attacked::new().await;
    attacked.in_peace(&database.options).await;
    let mut kill = 0;
    while attacked.is_wanted(kill, kills) {
        let run_before = last_run(&database.options).await;
        let mut program = attacked.until_a_moment(&database.options, PATIENT).await;
        program.kill().unwrap();
        program.wait().unwrap();
        until_sessions_are_gone(&database.options).await;
        attacked.note(&database.options, run_before).await;
        attacked.witness.check(&database.options).await;
        if kill % 10 == 9 {
            attacked.in_peace(&database.options).await;
        }
        kill += 1;
    }
    attacked.in_peace(&database.options).await;
    attacked
}

#[tokio::test]
async fn killed_programs_leave_an_exact_record() {
    let attacked = kill_programs(15).await;
    assert!(attacked.unfinished() > 0, "{:?}", attacked.hits);
}

#[tokio::test]
#[ignore = "large: hundreds of kills"]
async fn hundreds_of_killed_programs_leave_an_exact_record() {
    let begun = Instant::now();
    let kills = number("KILLS", 100);
    let attacked = kill_programs(kills).await;
    report(&format!("{kills} kills"), &attacked, begun);
    for place in ["between two pages", "between the end of a walk and its publication"] {
        assert!(
            attacked.hits.contains_key(place),
            "{place} was never hit: {:?}",
            attacked.hits
        );
    }
}

/// Stops the server without warning, as a crash would, and starts it again.
async fn crash(data: &Data, server: ManagedServer) -> ManagedServer {
    let postmaster = data.server_pid();
    drop(server);
    kill_process(postmaster, Signal::QUIT).unwrap();
    data.join().await
}

async fn stop_servers(stops: u64) -> (Attacked, i64) {
    let data = Data::new();
    let mut server = data.join().await;
    let options = server.connect_options();
    let mut attacked = Attacked::new().await;
    attacked.in_peace(&options).await;
    let mut stop = 0;
    while attacked.is_wanted(stop, stops) {
        let run_before = last_run(&options).await;
        // Every other run waits for the server and continues by itself.
        let retry_for = if stop % 2 == 0 { "1ms" } else { PATIENT };
        let program = attacked.until_a_moment(&options, retry_for).await;
        server = crash(&data, server).await;
        let ended = Ended::from(program.wait_with_output().unwrap());
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:#?}");
        until_sessions_are_gone(&options).await;
        attacked.note(&options, run_before).await;
        attacked.witness.check(&options).await;
        if stop % 10 == 9 {
            attacked.in_peace(&options).await;
        }
        stop += 1;
    }
    attacked.in_peace(&options).await;
    let mut session = PgConnection::connect_with(&options).await.unwrap();
    let emptied = "select count(*) from inventory.snapshots where error like '%emptied its spool%'";
    let emptied = sqlx::query_scalar(emptied).fetch_one(&mut session).await.unwrap();
    session.close().await.unwrap();
    server.leave().await.unwrap();
    (attacked, emptied)
}

#[tokio::test]
async fn stopped_servers_leave_an_exact_record() {
    let (attacked, _) = stop_servers(5).await;
    assert!(attacked.unfinished() > 0, "{:?}", attacked.hits);
}

#[tokio::test]
#[ignore = "large: a hundred crashes of the server"]
async fn a_hundred_stopped_servers_leave_an_exact_record() {
    let begun = Instant::now();
    let stops = number("SERVER_STOPS", 50);
    let (attacked, emptied) = stop_servers(stops).await;
    report(
        &format!("{stops} server stops, {emptied} spools emptied"),
        &attacked,
        begun,
    );
    assert!(
        emptied > 0 && attacked.hits.contains_key("between two pages"),
        "{:?}",
        attacked.hits
    );
}

#[tokio::test]
async fn a_spool_that_a_crash_empties_in_mid_walk_is_noticed_by_the_walk_itself() {
    let data = Data::new();
    let server = data.join().await;
    let options = server.connect_options();
    let simulator = simulator().await;
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 1_000, 1);
    simulator.with_namespace(&namespace, |n| n.order = Order::Shuffled(7));
    let sync = || sync_to(&simulator, &url(&options), &["--limit", "100", "--retry-for", PATIENT]);
    assert_eq!(sync().status().unwrap().code(), Some(0));
    // The spool loses less than the removal_guard's threshold, so nothing else would prevent a wrong publication.
    let hold = simulator.hold_at(&namespace, 3);
    let program = sync().spawn().unwrap();
    hold.wait_until_held().await;
    let server = crash(&data, server).await;
    hold.release();
    let ended = Ended::from(program.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let told = &ended.json()["namespaces"][0];
    assert_eq!(
        (told["objects"].as_u64(), told["removed"].as_u64()),
        (Some(1_000), Some(0)),
        "{ended:#?}"
    );
    server.leave().await.unwrap();
}
