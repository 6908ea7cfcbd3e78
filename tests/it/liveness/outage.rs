//! An outage of the whole API for minutes, on a clock that the test moves on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloudflare_simulator::{Answer, Fault, Flag, Request, Simulator, When};
use durable_inventory::cloudflare::{Client, Credentials, Endpoint, Limiter, Pace, RetryPolicy};
use durable_inventory::store::Store;
use durable_inventory::sync::{self, Account, Progress, RemovalGuard, Settings, Shutdown, Status};
use durable_inventory::units::Cursors;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use crate::support::database::fresh_database;
use crate::support::figures::report;
use crate::support::ledger::truth;
use crate::support::program::TOKEN;

const ACCOUNTS: [&str; 3] = [
    "0123456789abcdef0123456789abcdef",
    "1123456789abcdef0123456789abcdef",
    "2123456789abcdef0123456789abcdef",
];
const NAMESPACES: usize = 200;
const CONCURRENCY: usize = 4;
const LIMIT: usize = 10;
/// The API is out of order from this request for objects on.
const FIRST_LOST: usize = 200;
const OUTAGE: Duration = Duration::from_secs(600);
const STEP: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// 503 for all objects, until it is over.
#[derive(Clone, Default)]
struct Outage {
    requests: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Outage {
    fn fault(&self) -> Fault {
        let outage = self.clone();
        Fault::hook(move |_| {
            let number = 1 + outage.requests.fetch_add(1, Ordering::Relaxed);
            let is_lost = number >= FIRST_LOST && !outage.is_over.load(Ordering::Relaxed);
            is_lost.then(|| Answer::html(503))
        })
    }
}

/// Accounts that share a token, and with it a client.
fn accounts(simulator: &Simulator, limiter: &Arc<Limiter>) -> Vec<Account> {
    let credentials = Credentials::Token(TOKEN.into());
    let endpoint = Endpoint::new(simulator.base_url().parse().unwrap(), credentials);
    let client = Client::new(endpoint, limiter.clone(), Arc::default(), RetryPolicy::default());
    let client = Arc::new(client.unwrap());
    let account = |id: &&str| Account {
        id: id.parse().unwrap(),
        client: client.clone(),
        base_url: simulator.base_url(),
        limit: LIMIT as u32,
        selection: Default::default(),
    };
    ACCOUNTS.iter().map(account).collect()
}

/// The requests for objects: those that brought a page, and those that were lost.
fn pages_and_losses(requests: &[Request]) -> (Vec<&Request>, Vec<&Request>) {
    let objects = requests.iter().filter(|request| request.path.ends_with("/objects"));
    objects.partition(|request| request.status == Some(200))
}

/// The number of walks whose last request was lost: they wait until they try again.
fn waiting(requests: &[Request]) -> usize {
    let last: BTreeMap<&str, Option<u16>> = requests
        .iter()
        .map(|request| (request.path.as_str(), request.status))
        .collect();
    last.values().filter(|status| **status == Some(503)).count()
}

/// Moves the clock on whenever nothing but time can help: no request is in flight, and all walks wait. Otherwise the
/// clock runs by itself, so that no time limit of a request or statement ends early. Ends the outage after 10 minutes.
async fn hold_the_clock(simulator: &Simulator, limiter: &Limiter, outage: &Outage, database: &mut PgConnection) -> ! {
    let recorded = "select count(*) from inventory.snapshots where status = 'complete'";
    let mut began = None;
    loop {
        // A statement as long as any other: what the last step set off in the database is done by its end, too.
        let recorded: i64 = sqlx::query_scalar(recorded).fetch_one(&mut *database).await.unwrap();
        let sent = limiter.stats().sent;
        let (answered, waiting) = simulator.with(|state| {
            let requests = &state.traffic.requests;
            let answered = requests.iter().filter(|request| request.status.is_some()).count();
            (answered, waiting(requests))
        });
        if waiting > 0 {
            let began = *began.get_or_insert_with(Instant::now);
            outage.is_over.fetch_or(began.elapsed() >= OUTAGE, Ordering::Relaxed);
        }
        let is_last = waiting + recorded as usize == NAMESPACES;
        if sent == answered as u64 && waiting > 0 && (waiting == CONCURRENCY || is_last) {
            tokio::time::pause();
            tokio::time::advance(STEP).await;
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn an_outage_of_ten_minutes_costs_one_run_ten_minutes() {
    let (simulator, database) = (Simulator::start().await, fresh_database().await);
    for account in ACCOUNTS {
        simulator.add_account(account, TOKEN);
    }
    let outage = Outage::default();
    let mut pages = 0;
    let mut namespaces: Vec<String> = (0..NAMESPACES)
        .map(|n| {
            let namespace = simulator.add_namespace(ACCOUNTS[n % ACCOUNTS.len()], &format!("n{n:03}"));
            simulator.seed(&namespace, n % 3 * LIMIT + 5, n as u64);
            simulator.fault(&namespace, When::Always, outage.fault());
            pages += n % 3 + 1;
            namespace
        })
        .collect();
    let store = Store::connect(database.options.clone(), 3 * CONCURRENCY as u32 + 1)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let limiter = Arc::new(Limiter::new(Pace {
        quota: "1000000/1s".parse().unwrap(),
        share_percent: 100,
        ..Pace::default()
    }));
    let accounts = accounts(&simulator, &limiter);
    let settings = Settings {
        concurrency: CONCURRENCY,
        cursors: Cursors::Exactly(1),
        resume_within: Duration::from_secs(3600),
        retry_for: RetryPolicy::default().budget,
        rebuild: false,
        removal_guard: RemovalGuard {
            max_removed_percent: 30,
            max_removed_floor: 100,
            accept_removals: false,
        },
    };
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let (stop, progress) = (Shutdown::default(), Progress::default());
    let (began, really) = (Instant::now(), std::time::Instant::now());
    let summary = tokio::select! {
        summary = sync::sync(&store, &accounts, &settings, &stop, &progress) => summary.unwrap(),
        never = hold_the_clock(&simulator, &limiter, &outage, &mut session) => never,
    };
    let waited = began.elapsed();
    let advanced = waited.saturating_sub(really.elapsed());

    assert_eq!(summary.namespaces.len(), NAMESPACES);
    for namespace in &summary.namespaces {
        assert_eq!(namespace.status, Status::Complete, "{namespace:#?}");
    }
    let recorded: Vec<(String, String, Flag)> =
        sqlx::query_as("select namespace_id, object_id, has_stored_data from inventory.objects order by 1, 2")
            .fetch_all(&mut session)
            .await
            .unwrap();
    let there = |namespace: &String| {
        let objects = truth(&simulator, namespace).into_iter();
        objects
            .map(|(id, flag)| (namespace.clone(), id, flag))
            .collect::<Vec<_>>()
    };
    namespaces.sort_unstable();
    assert_eq!(recorded, namespaces.iter().flat_map(there).collect::<Vec<_>>());
    let requests = simulator.requests();
    let (served, lost) = pages_and_losses(&requests);
    // No page twice.
    assert_eq!(served.len(), pages);
    // Waits of half a minute to a minute, after shorter ones: at least 0.5, 1, 2, 4, 8 and 16 s.
    let attempts = 6 + (OUTAGE.as_secs() as usize).div_ceil(30);
    assert!(
        (CONCURRENCY * 10..=CONCURRENCY * attempts).contains(&lost.len()),
        "{} requests during the outage",
        lost.len()
    );
    assert!(waited >= OUTAGE, "{waited:?}");
    // What the walks themselves take depends on the machine, and is no wait.
    assert!(advanced < OUTAGE + LONGEST_WAIT + STEP, "{advanced:?} of {waited:?}");
    report(&format!(
        "an outage of {OUTAGE:?} among {NAMESPACES} namespaces: the run took {waited:.0?}, with {} requests lost and {} pages",
        lost.len(),
        served.len()
    ));
    store.close().await;
}
