//! Watches what a simulator serves and what the record makes of it, while the real program is killed, stopped or run
//! twice. At every point the record must equal the model of `simulation`.

use std::time::{Duration, Instant};

use cloudflare_simulator::{Order, Simulator, When};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::program::ACCOUNT;
use crate::simulation::model::Model;
use crate::simulation::random::Random;
use crate::simulation::record;
use crate::simulation::served::Log;

pub struct Watched {
    pub id: String,
    log: Log,
    model: Model,
}

pub struct Witness {
    pub namespaces: Vec<Watched>,
    pub random: Random,
}

impl Witness {
    /// Adds namespaces of these sizes and orders.
    pub fn new(simulator: &Simulator, seed: u64, namespaces: &[(usize, Order)]) -> Self {
        let watch = |(number, (objects, order)): (usize, &(usize, Order))| {
            let id = simulator.add_namespace(ACCOUNT, &format!("watched{number}"));
            simulator.seed(&id, *objects, seed + number as u64);
            simulator.with_namespace(&id, |namespace| namespace.order = *order);
            let (log, model) = (Log::default(), Model::default());
            simulator.fault(&id, When::Always, log.fault());
            Watched { id, log, model }
        };
        Self {
            namespaces: namespaces.iter().enumerate().map(watch).collect(),
            random: Random::new(seed),
        }
    }

    /// Removes, adds and changes objects at random, so that each namespace's size fluctuates around its initial one.
    pub fn churn(&mut self, simulator: &Simulator, percent: u64) {
        for watched in &self.namespaces {
            churn(simulator, &watched.id, &mut self.random, percent);
        }
    }

    /// Notes every new publication and compares the whole record with the model. Returns the number of new
    /// publications.
    pub async fn check(&mut self, options: &PgConnectOptions) -> usize {
        let mut session = PgConnection::connect_with(options).await.unwrap();
        let snapshots = record::snapshots(&mut session, ACCOUNT).await.unwrap();
        let said = record::read(&mut session, ACCOUNT).await.unwrap();
        session.close().await.unwrap();
        let mut published = 0;
        for Watched { id, log, model } in &mut self.namespaces {
            let new = snapshots
                .iter()
                .filter(|snapshot| snapshot.namespace == *id && snapshot.status == "complete");
            for snapshot in new {
                if !model.is_known(snapshot.id) {
                    model.publish(snapshot, log.walked().unwrap(), true).unwrap();
                    published += 1;
                }
            }
            let unfinished = snapshots.iter().filter(|s| s.namespace == *id && s.is_unfinished());
            assert!(unfinished.count() <= 1);
            let present = said.present.get(id).cloned().unwrap_or_default();
            let intervals = said.intervals.get(id).map_or(&[][..], Vec::as_slice);
            model.check_history(intervals, &present).unwrap();
            model
                .check_changes(said.changes.get(id).map_or(&[][..], Vec::as_slice))
                .unwrap();
        }
        published
    }

    /// Checks the state after an undisturbed run: the record equals the service's objects, and nothing is left over.
    pub async fn check_end(&mut self, simulator: &Simulator, options: &PgConnectOptions) {
        self.check(options).await;
        for watched in &self.namespaces {
            assert_eq!(watched.model.newest(), Some(&simulator.truth(&watched.id)));
        }
        let mut session = PgConnection::connect_with(options).await.unwrap();
        let leaked = record::leaked(&mut session, ACCOUNT).await.unwrap();
        assert!(leaked.is_empty(), "{leaked:?}");
        session.close().await.unwrap();
    }
}

/// Removes and adds fewer than `percent` percent of a namespace's objects each, and changes half as many.
pub fn churn(simulator: &Simulator, namespace: &str, random: &mut Random, percent: u64) {
    simulator.with_namespace(namespace, |namespace| {
        let objects = namespace.objects_mut();
        let (removed, created) = (random.below(percent), random.below(percent));
        let size = objects.len() as u64;
        let ids: Vec<_> = objects.keys().copied().collect();
        for id in ids {
            match random.below(100) {
                n if n < removed => drop(objects.remove(&id)),
                n if n < removed + percent / 2 => drop(objects.insert(id, random.flag())),
                _ => {}
            }
        }
        for _ in 0..(size * created / 100).max(1) {
            objects.insert(random.id(), random.flag());
        }
    });
}

/// Waits until the server has noticed that the program's sessions ended. Until then, it may still commit what they had
/// sent.
pub async fn until_sessions_are_gone(options: &PgConnectOptions) {
    let left = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name like 'durable-inventory %'";
    let mut session = PgConnection::connect_with(options).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while sqlx::query_scalar::<_, i64>(left)
        .fetch_one(&mut session)
        .await
        .unwrap()
        > 0
    {
        assert!(Instant::now() < deadline, "the sessions of a killed program stay");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    session.close().await.unwrap();
}
