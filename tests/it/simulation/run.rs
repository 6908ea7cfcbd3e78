//! One run through the library, interrupted as its schedule specifies.

use std::sync::Arc;
use std::time::Duration;

use durable_inventory::cloudflare::{Client, Credentials, Endpoint, Limiter, Pace, RetryPolicy};
use durable_inventory::store::Store;
use durable_inventory::sync::{
    self, Account, Progress, RemovalGuard, Settings, Shutdown, StopReason, Summary, SyncError,
};
use sqlx::{Connection, PgConnection};

use super::model::{MAX_REMOVED_FLOOR, MAX_REMOVED_PERCENT};
use super::schedule::{Interruption, Kind, PlannedRun};
use crate::support::polled::polled;
use crate::support::program::TOKEN;

/// Objects per page: the API's minimum, so that small namespaces have several pages.
pub const LIMIT: u32 = 10;
/// The number of sessions that the program would use for this many parallel walks.
pub const SESSIONS: u32 = 3 * CONCURRENCY as u32 + 1;
const CONCURRENCY: usize = 2;

/// How a run ended.
pub enum Left {
    Ended(Box<Result<Summary, SyncError>>),
    /// The run was dropped, as if its process had died.
    Dropped,
}

/// A worker's own role, which distinguishes its sessions from those of other workers.
pub struct Seat {
    pub role: String,
    pub admin: PgConnection,
}

pub fn account(base_url: &str, account: &str, patient: bool) -> Account {
    let (budget, read_timeout) = if patient {
        (Duration::from_secs(20), Duration::from_secs(20))
    } else {
        (Duration::from_millis(40), Duration::from_millis(150))
    };
    let limiter = Limiter::new(Pace {
        quota: "1000000/1s".parse().unwrap(),
        share_percent: 100,
        pause_without_retry_after: Duration::from_millis(3),
    });
    let retry = RetryPolicy {
        budget,
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(8),
    };
    let endpoint = Endpoint {
        connect_timeout: Duration::from_secs(5),
        read_timeout,
        ..Endpoint::new(base_url.parse().unwrap(), Credentials::Token(TOKEN.into()))
    };
    Account {
        id: account.parse().unwrap(),
        client: Arc::new(Client::new(endpoint, Arc::new(limiter), Arc::default(), retry).unwrap()),
        base_url: base_url.to_owned(),
        limit: LIMIT,
        selection: Default::default(),
    }
}

pub async fn run(store: &Store, account: Account, planned: &PlannedRun, seat: &mut Seat) -> Left {
    let (stop, progress, accounts) = (Shutdown::default(), Progress::default(), [account]);
    let settings = Settings {
        concurrency: CONCURRENCY,
        cursors: planned.cursors,
        resume_within: if planned.resume_expired {
            Duration::ZERO
        } else {
            Duration::from_secs(3600)
        },
        // A lost database ends the walks at once, so that the next run has something to resume.
        retry_for: Duration::ZERO,
        rebuild: false,
        removal_guard: RemovalGuard {
            max_removed_percent: MAX_REMOVED_PERCENT,
            max_removed_floor: MAX_REMOVED_FLOOR,
            accept_removals: planned.accept,
        },
    };
    let mut run = Box::pin(sync::sync(store, &accounts, &settings, &stop, &progress));
    let Some(Interruption { polls, kind }) = planned.interruption else {
        return Left::Ended(Box::new(run.await));
    };
    if let Some(ended) = polled(run.as_mut(), polls).await {
        return Left::Ended(Box::new(ended));
    }
    match kind {
        Kind::Drop => {
            drop(run);
            // Ends the sessions like those of a killed program: nothing that it had sent, such as a commit, is executed
            // later.
            end_sessions(seat, Kind::EndAllSessions).await;
            return Left::Dropped;
        }
        Kind::Signal => stop.stop(StopReason::Signal),
        Kind::Deadline => stop.stop(StopReason::Deadline),
        Kind::EndAllSessions | Kind::EndLockSession | Kind::EndWorkSessions => end_sessions(seat, kind).await,
    }
    Left::Ended(Box::new(run.await))
}

/// Ends the sessions as an administrator or a server restart would, and waits for each.
async fn end_sessions(seat: &mut Seat, kind: Kind) {
    let holds_locks = "exists (select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory')";
    let which = match kind {
        Kind::EndLockSession => holds_locks.to_owned(),
        Kind::EndWorkSessions => format!("not {holds_locks}"),
        _ => "true".to_owned(),
    };
    let sql = format!(
        "select pg_terminate_backend(a.pid, 10000) from pg_stat_activity a
         where a.usename = $1 and a.datname = current_database() and {which}"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&seat.role)
        .execute(&mut seat.admin)
        .await
        .unwrap();
}

/// Waits until the server has noticed that a dropped run's sessions ended. Until then, it may still commit what they
/// had sent.
pub async fn settle(seat: &mut Seat) {
    let left = "select count(*) from pg_stat_activity where usename = $1 and datname = current_database()";
    for _ in 0..30_000 {
        let left: i64 = sqlx::query_scalar(left)
            .bind(&seat.role)
            .fetch_one(&mut seat.admin)
            .await
            .unwrap();
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the sessions of a dropped run stay");
}

impl Seat {
    /// Creates a role, and an administrator's session next to it.
    pub async fn new(options: &sqlx::postgres::PgConnectOptions, role: String) -> Self {
        let mut admin = PgConnection::connect_with(options).await.unwrap();
        // No schedule crashes the server (`kills` does), so commits need not wait for the disk.
        let make = format!(
            "drop role if exists {role}; create role {role} superuser login;
             alter role {role} set synchronous_commit = off"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(make))
            .execute(&mut admin)
            .await
            .unwrap();
        Self { role, admin }
    }

    pub async fn leave(mut self) {
        settle(&mut self).await;
        let drop = format!("drop role {}", self.role);
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
            .execute(&mut self.admin)
            .await
            .unwrap();
    }
}
