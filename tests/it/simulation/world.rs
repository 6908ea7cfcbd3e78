//! Plays a schedule: a simulator that serves it, the runs that walk it, and the model that the record is compared with
//! after each run.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use cloudflare_simulator::{Namespace, Objects as Served, Simulator, When};
use durable_inventory::store::Store;
use durable_inventory::sync::Status;
use sqlx::postgres::PgConnectOptions;

use super::coverage::Coverage;
use super::liveness::{check_independence, check_lists, check_requests, is_unprovable};
use super::model::Model;
use super::outcomes::{check_outcomes, has_walked};
use super::random::Random;
use super::record::{self, Record, Snapshot};
use super::run::{Left, SESSIONS, Seat, account, run, settle};
use super::schedule::{Churn, Kind, PlannedRun, Schedule};
use super::served::Log;
use super::trouble::{Graveyard, apply, changer, rules};
use crate::support::program::TOKEN;

/// One namespace, as it is served and as it should be recorded.
struct Watched {
    id: String,
    log: Log,
    model: Model,
    graveyard: Graveyard,
    /// The namespace while it is not listed.
    gone: Option<Namespace>,
    /// Whether the current walk has seen one consistent state. If so, the published snapshot must equal the service's
    /// objects.
    undisturbed: bool,
}

pub struct World<'a> {
    schedule: &'a Schedule,
    simulator: Arc<Simulator>,
    options: PgConnectOptions,
    account: String,
    namespaces: Vec<Watched>,
    coverage: &'a Coverage,
    store: Option<Store>,
    random: Random,
}

impl<'a> World<'a> {
    pub fn new(
        schedule: &'a Schedule,
        simulator: Arc<Simulator>,
        options: PgConnectOptions,
        coverage: &'a Coverage,
    ) -> Self {
        let account = format!("schedule-{}", schedule.seed);
        simulator.add_account(&account, TOKEN);
        let mut random = Random::new(schedule.seed ^ 0x5eed);
        let namespaces = (0..schedule.namespaces.len())
            .map(|number| watch(schedule, number, &account, &simulator, &mut random))
            .collect();
        Self {
            schedule,
            simulator,
            options,
            account,
            namespaces,
            coverage,
            store: None,
            random,
        }
    }

    pub async fn play(mut self, seat: &mut Seat) -> anyhow::Result<()> {
        let played = self.play_runs(seat).await;
        // The hooks in the namespaces hold references to what they watch.
        self.simulator.with(|state| {
            state.namespaces.retain(|namespace| namespace.account != self.account);
            state.accounts.remove(&self.account);
        });
        drop(self.store.take());
        played
    }

    async fn play_runs(&mut self, seat: &mut Seat) -> anyhow::Result<()> {
        let runs = self.schedule.runs.len();
        for (number, planned) in self.schedule.runs.iter().enumerate() {
            let played = self.play_run(planned, runs - number, seat).await;
            played.with_context(|| format!("run {number}"))?;
        }
        Ok(())
    }

    /// `runs_left` runs are left, this one included. The last two have no faults.
    async fn play_run(&mut self, planned: &PlannedRun, runs_left: usize, seat: &mut Seat) -> anyhow::Result<()> {
        let before = record::snapshots(&mut seat.admin, &self.account).await?;
        self.prepare(planned, &before);
        let store = self.store().await?;
        let local = planned.faults.iter().all(|(.., trouble)| trouble.is_local());
        let patient = local && planned.list.is_none();
        let account = account(&self.simulator.base_url(), &self.account, patient);
        let left = run(&store, account, planned, seat).await;
        drop(store);
        let orderly = self.note(&left, planned, seat).await;
        let after = record::snapshots(&mut seat.admin, &self.account).await?;
        self.check_resumption(&before, &after)?;
        self.check_snapshots(&after, planned)?;
        let record = record::read(&mut seat.admin, &self.account).await?;
        self.check_record(&record)?;
        if let (Left::Ended(ended), true) = (&left, orderly) {
            check_outcomes(ended, &after)?;
            let mut leaked = record::leaked(&mut seat.admin, &self.account).await?;
            // If this run did not walk a namespace, an earlier run's rows remain until the next run that does.
            leaked.retain(|(namespace, ..)| has_walked(ended, namespace));
            ensure!(
                leaked.is_empty(),
                "rows are left (snapshot, status, staged, spooled): {leaked:?}"
            );
        }
        if let Left::Ended(ended) = &left
            && let (true, None, Ok(summary)) = (patient, planned.interruption, ended.as_ref())
        {
            for (at, watched) in self.namespaces.iter().enumerate() {
                let is_faulty = planned.faults.iter().any(|(of, ..)| *of == at);
                let unprovable = || self.simulator.with_namespace(&watched.id, |n| is_unprovable(n));
                if watched.gone.is_none() && !is_faulty && !unprovable() {
                    check_independence(&summary.namespaces, &watched.id)?;
                    self.coverage.count("namespaces beside faulty ones");
                }
            }
        }
        if runs_left == 2 {
            check_lists(&self.simulator, &self.account)?;
            for watched in self.namespaces.iter().filter(|watched| watched.gone.is_none()) {
                let (session, id) = (&mut seat.admin, &watched.id);
                let checked = check_requests(session, &self.simulator, id, &before, &after, self.coverage).await;
                checked.with_context(|| id.clone())?;
            }
        }
        if runs_left == 1 {
            self.check_end(&left)?;
        }
        Ok(())
    }

    /// The open store, or a new one as another process would open it.
    async fn store(&mut self) -> anyhow::Result<Store> {
        if self.random.one_in(4) {
            self.store = None;
        }
        if self.store.is_none() {
            self.store = Some(Store::connect(self.options.clone(), SESSIONS).await?);
        }
        self.store.clone().context("it was opened above")
    }

    /// Applies the changes before the run and plans its faults.
    fn prepare(&mut self, planned: &PlannedRun, before: &[Snapshot]) {
        for (at, watched) in self.namespaces.iter_mut().enumerate() {
            let unfinished = before.iter().any(|s| s.namespace == watched.id && s.is_unfinished());
            watched.undisturbed |= !unfinished;
            for (_, churn) in planned.churn.iter().filter(|(of, _)| *of == at) {
                if unfinished && self.schedule.still {
                    continue;
                }
                watched.undisturbed &= !unfinished;
                watched.change(*churn, &self.simulator, &mut self.random, self.coverage);
            }
            let faults = planned.faults.iter().filter(|(of, ..)| *of == at);
            let mut plan = Vec::new();
            for (_, n, trouble) in faults {
                watched.undisturbed &= !trouble.lies();
                let graveyard = watched.graveyard.clone();
                let change = changer(&self.simulator, watched.id.clone(), graveyard, self.random.next());
                plan.extend(rules(*trouble, *n, self.coverage, change));
            }
            plan.push((When::Always, watched.log.fault()));
            self.simulator.with(|state| {
                let Some(namespace) = state.namespace(&watched.id) else {
                    return;
                };
                namespace.faults.clear();
                plan.into_iter()
                    .for_each(|(when, fault)| namespace.faults.add(when, fault));
            });
        }
        self.simulator.with(|state| {
            state.traffic.requests.clear();
            let Some(account) = state.accounts.get_mut(&self.account) else {
                return;
            };
            account.faults.clear();
            if let Some(trouble) = planned.list {
                let rules = rules(trouble, 1, self.coverage, |_| {});
                rules
                    .into_iter()
                    .for_each(|(when, fault)| account.faults.add(when, fault));
            }
        });
    }

    /// Returns whether the run ended by itself, with all its sessions.
    async fn note(&mut self, left: &Left, planned: &PlannedRun, seat: &mut Seat) -> bool {
        self.coverage.count("runs");
        match (left, planned.interruption.map(|interruption| interruption.kind)) {
            (Left::Dropped, _) => {
                self.store = None;
                settle(seat).await;
                self.coverage.count("interruption: Drop");
                false
            }
            (Left::Ended(ended), kind) => {
                if let Ok(summary) = ended.as_ref() {
                    for outcome in &summary.namespaces {
                        self.coverage.count(format!("outcome: {}", outcome.status.as_str()));
                    }
                }
                if let Some(kind) = kind {
                    self.coverage.count(format!("interruption: {kind:?}"));
                }
                matches!(kind, None | Some(Kind::Signal | Kind::Deadline | Kind::Drop))
            }
        }
    }

    /// A resumed walk first requests the page after its last committed one, or none (promise 4).
    fn check_resumption(&self, before: &[Snapshot], after: &[Snapshot]) -> anyhow::Result<()> {
        for old in before.iter().filter(|snapshot| snapshot.is_unfinished()) {
            let Some(new) = after.iter().find(|new| new.id == old.id) else {
                bail!("snapshot {} is gone", old.id)
            };
            if new.resumed == old.resumed {
                continue;
            }
            self.coverage.count("walks resumed");
            let requests = self.simulator.requests_to(&old.namespace);
            let restarted = after
                .iter()
                .any(|other| other.namespace == old.namespace && other.id > old.id);
            let first = requests.first().map(|request| request.param("cursor"));
            ensure!(
                !old.walked || first.is_none() || restarted,
                "a walk that had all its pages asked for more"
            );
            ensure!(
                old.walked || first.is_none_or(|cursor| cursor == old.cursor.as_deref()),
                "resumed at {first:?}, not at {:?}",
                old.cursor
            );
        }
        Ok(())
    }

    fn check_snapshots(&mut self, snapshots: &[Snapshot], planned: &PlannedRun) -> anyhow::Result<()> {
        for watched in &mut self.namespaces {
            let of = |status: fn(&Snapshot) -> bool| {
                snapshots
                    .iter()
                    .filter(move |s| status(s))
                    .filter(|s| s.namespace == watched.id)
            };
            ensure!(of(|s| s.status == "held").count() <= 1, "two are held");
            ensure!(of(Snapshot::is_unfinished).count() <= 1, "two walks are under way");
            ensure!(
                of(|s| (s.status == "complete") != s.recorded_at.is_some()).count() == 0,
                "recorded_at and status disagree"
            );
            let finished = of(|s| matches!(s.status.as_str(), "complete" | "held"));
            let new: Vec<_> = finished.filter(|s| !watched.model.is_known(s.id)).cloned().collect();
            ensure!(new.len() <= 1, "one run finished two walks of a namespace");
            for snapshot in new {
                let finished = watched.finish(&snapshot, planned.accept, &self.simulator, self.coverage);
                finished.with_context(|| format!("snapshot {}", snapshot.id))?;
            }
        }
        Ok(())
    }

    fn check_record(&self, record: &Record) -> anyhow::Result<()> {
        for watched in &self.namespaces {
            let (none, nothing) = (Vec::new(), Vec::new());
            let present = record.present.get(&watched.id).cloned().unwrap_or_default();
            let intervals = record.intervals.get(&watched.id).unwrap_or(&none);
            watched.model.check_history(intervals, &present)?;
            watched
                .model
                .check_changes(record.changes.get(&watched.id).unwrap_or(&nothing))?;
        }
        Ok(())
    }

    /// Checks that after two undisturbed runs the record equals the service's objects.
    fn check_end(&self, left: &Left) -> anyhow::Result<()> {
        let Left::Ended(ended) = left else {
            bail!("nothing interrupted it")
        };
        let summary = ended.as_ref().as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        for watched in &self.namespaces {
            let status = summary
                .namespaces
                .iter()
                .find(|n| n.namespace.as_str() == watched.id)
                .map(|n| n.status);
            if watched.gone.is_some() {
                ensure!(
                    matches!(status, None | Some(Status::Missing | Status::Vanished)),
                    "{status:?}, yet it is gone"
                );
                continue;
            }
            let unprovable = self.simulator.with_namespace(&watched.id, |n| is_unprovable(n));
            if unprovable && status == Some(Status::Interrupted) {
                self.coverage.count("an end that can't be proven");
                continue;
            }
            ensure!(status == Some(Status::Complete), "{status:?} though nothing went wrong");
            let truth = self.simulator.truth(&watched.id);
            ensure!(
                watched.model.newest() == Some(&truth),
                "the record is not what the service holds"
            );
        }
        Ok(())
    }
}

impl Watched {
    fn change(&mut self, churn: Churn, simulator: &Simulator, random: &mut Random, coverage: &Coverage) {
        match (churn, self.gone.take()) {
            (Churn::NamespaceGoes, None) => {
                coverage.count("a namespace goes");
                self.gone = simulator.with(|state| {
                    let place = state.namespaces.iter().position(|namespace| namespace.id == self.id)?;
                    Some(state.namespaces.remove(place))
                });
            }
            (Churn::NamespaceReturns, Some(namespace)) => {
                coverage.count("a namespace returns");
                simulator.add(namespace);
            }
            (_, None) if churn != Churn::NamespaceReturns => {
                coverage.count(format!("churn: {}", format!("{churn:?}").split('(').next().unwrap()));
                simulator.with_namespace(&self.id, |namespace| apply(namespace, churn, &self.graveyard, random));
            }
            (_, gone) => self.gone = gone,
        }
    }

    /// Ends a walk: the model takes over the objects that the walk received, and decides whether it had to be held.
    fn finish(
        &mut self,
        snapshot: &Snapshot,
        accept: bool,
        simulator: &Simulator,
        coverage: &Coverage,
    ) -> anyhow::Result<()> {
        let walked = self.log.walked()?;
        if self.undisturbed && self.gone.is_none() {
            coverage.count("finished walks that must equal the service's truth");
            ensure!(walked == simulator.truth(&self.id), "the walk was told another truth");
        } else {
            coverage.count("finished walks that must equal the pages served");
        }
        if snapshot.status == "held" {
            return self.model.hold(snapshot, &walked);
        }
        self.model.publish(snapshot, walked, accept)
    }
}

fn namespace_id(seed: u64, number: usize) -> String {
    format!("namespace-{seed}-{number}")
}

fn watch(schedule: &Schedule, number: usize, account: &str, simulator: &Simulator, random: &mut Random) -> Watched {
    let served = &schedule.namespaces[number];
    let mut namespace = Namespace::new(account, &format!("n{number}"));
    namespace.id = namespace_id(schedule.seed, number);
    namespace.order = served.order;
    namespace.cursor_style = served.style;
    namespace.cursor_key = served.key;
    namespace.totals = served.totals;
    namespace.set_objects(Served::seeded(served.objects as usize, random.next()));
    Watched {
        id: simulator.add(namespace),
        log: Log::default(),
        model: Model::default(),
        graveyard: Graveyard::default(),
        gone: None,
        undisturbed: true,
    }
}
