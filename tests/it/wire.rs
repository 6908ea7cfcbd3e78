//! Odd API responses and their required result: either the record is as correct as without them, or it stays unchanged
//! and the error says why. Every case starts with a record, and the objects have changed since.

mod bodies;
mod credentials;
mod cursors;
mod doubtful_lists;
mod lists;
mod order;
mod outage;
mod resume;
mod transport;

use std::process::Child;

use cloudflare_simulator::{CursorKey, CursorStyle, Flag, Id, Order, Page, Simulator, hex};
use serde_json::Value;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};

/// 250 objects are two full pages and a short one.
const LIMIT: &[&str] = &["--limit", "100"];
/// Number of parallel programs. Most cases wait more than they compute.
const AT_ONCE: usize = 4;

struct Case {
    name: &'static str,
    objects: usize,
    args: &'static [&'static str],
    odd: fn(&Simulator, &str),
    expected: Expected,
    /// Text that the log must contain.
    logged: &'static str,
    requests: Option<u64>,
}

enum Expected {
    /// Published, and equal to the truth.
    Right,
    /// Nothing is recorded: exit code, status, and parts of the error.
    Not(i32, &'static str, &'static [&'static str]),
}

fn case(name: &'static str, odd: fn(&Simulator, &str)) -> Case {
    Case {
        name,
        objects: 250,
        args: &[],
        odd,
        expected: Expected::Right,
        logged: "",
        requests: None,
    }
}

impl Case {
    const fn objects(mut self, objects: usize) -> Self {
        self.objects = objects;
        self
    }

    const fn args(mut self, args: &'static [&'static str]) -> Self {
        self.args = args;
        self
    }

    const fn fails(mut self, error: &'static [&'static str]) -> Self {
        self.expected = Expected::Not(1, "failed", error);
        self
    }

    const fn ends_interrupted(mut self, error: &'static [&'static str]) -> Self {
        self.expected = Expected::Not(1, "interrupted", error);
        self
    }

    const fn ends_held(mut self, error: &'static [&'static str]) -> Self {
        self.expected = Expected::Not(5, "held", error);
        self
    }

    const fn logs(mut self, logged: &'static str) -> Self {
        self.logged = logged;
        self
    }

    /// The number of HTTP requests in the walk under test.
    const fn in_requests(mut self, requests: u64) -> Self {
        self.requests = Some(requests);
        self
    }
}

/// A case with its namespace and the record before it.
struct Row {
    case: Case,
    namespace: String,
    before: Vec<String>,
}

/// Runs all cases, then reports every failure.
async fn check(cases: impl IntoIterator<Item = Case>) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut rows: Vec<Row> = Vec::new();
    for (n, case) in cases.into_iter().enumerate() {
        let namespace = simulator.add_namespace(ACCOUNT, case.name);
        simulator.seed(&namespace, case.objects, n as u64);
        rows.push(Row {
            case,
            namespace,
            before: Vec::new(),
        });
    }
    let baseline = run(sync(&simulator, &database, LIMIT));
    assert_eq!(baseline.code, Some(0), "{baseline:#?}");

    let mut wrong = Vec::new();
    for group in rows.chunks_mut(AT_ONCE) {
        let mut children = Vec::new();
        for row in &mut *group {
            move_on(&simulator, &row.namespace);
            row.before = everything(&database, &row.namespace).await;
            (row.case.odd)(&simulator, &row.namespace);
            children.push(start(&simulator, &database, row));
        }
        for (row, child) in group.iter().zip(children) {
            let ended: Ended = child.wait_with_output().unwrap().into();
            if let Err(what) = row.judge(&simulator, &database, &ended).await {
                wrong.push(format!("{}: {what}: {ended:#?}", row.case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Removes one object, adds one and changes one.
fn move_on(simulator: &Simulator, namespace: &str) {
    let truth = simulator.truth(namespace);
    let mut some = truth.iter().step_by(truth.len() / 4).skip(1);
    let (gone, (changed, flag)) = (some.next().unwrap().0, some.next().unwrap());
    simulator.remove_object(namespace, gone);
    simulator.put_object(namespace, [0xab; 32], Some(true));
    simulator.put_object(namespace, *changed, Some(*flag != Some(true)));
}

fn start(simulator: &Simulator, database: &TestDatabase, row: &Row) -> Child {
    let limit = if row.case.args.contains(&"--limit") { &[] } else { LIMIT };
    let args = [limit, &["--namespace", &row.namespace], row.case.args].concat();
    sync(simulator, database, &args).spawn().unwrap()
}

/// Whether the namespace is recorded as one whose walks must be spooled.
async fn is_unordered(database: &TestDatabase, namespace: &str) -> bool {
    let sql = "select unordered::text from inventory.namespace where namespace_id = $1";
    texts(database, sql, namespace).await == ["true"]
}

/// A page with only this row, which was listed before, and with a new cursor.
fn only(page: &mut Page, (mut id, flag): (Id, Flag)) {
    page.rows = vec![(id, flag)];
    id[31] = id[31].wrapping_add(1);
    page.set_next(&hex(&id));
}

/// Restores the API's normal behaviour.
fn recover(simulator: &Simulator, namespace: &str) {
    simulator.with_namespace(namespace, |n| {
        n.faults.clear();
        n.order = Order::default();
        n.cursor_style = CursorStyle::default();
        n.cursor_key = CursorKey::default();
    });
}

impl Row {
    async fn judge(&self, simulator: &Simulator, database: &TestDatabase, ended: &Ended) -> Result<(), String> {
        let (code, status, error) = match &self.case.expected {
            Expected::Right => (0, "complete", &[][..]),
            Expected::Not(code, status, error) => (*code, *status, *error),
        };
        equal("exit code", &ended.code, &Some(code))?;
        let told = &ended.json()["namespaces"][0];
        equal("status", &told["status"], &Value::from(status))?;
        let recorded = statuses(database, &self.namespace).await.pop();
        equal("recorded status", &recorded.as_deref(), &Some(status))?;
        for part in error {
            let error = told["error"].as_str().unwrap_or_default();
            true_that(error.contains(part), &format!("the error lacks {part:?}"))?;
            true_that(!error.contains('\n'), "the error is one line")?;
        }
        true_that(
            ended.stderr.contains(self.case.logged),
            &format!("the log lacks {:?}", self.case.logged),
        )?;
        if let Some(requests) = self.case.requests {
            equal("requests", &told["requests"], &Value::from(requests))?;
        }
        if status == "complete" {
            return self.is_right(simulator, database).await;
        }
        let after = everything(database, &self.namespace).await;
        true_that(after == self.before, "something was recorded")?;
        self.recovers(simulator, database).await
    }

    /// Asserts that the next run succeeds after a failure.
    async fn recovers(&self, simulator: &Simulator, database: &TestDatabase) -> Result<(), String> {
        recover(simulator, &self.namespace);
        let next: Ended = start(simulator, database, self).wait_with_output().unwrap().into();
        true_that(next.code == Some(0), &format!("the next run fails: {next:#?}"))?;
        self.is_right(simulator, database).await
    }

    async fn is_right(&self, simulator: &Simulator, database: &TestDatabase) -> Result<(), String> {
        let recorded = objects(database, &self.namespace).await;
        true_that(
            recorded == truth(simulator, &self.namespace),
            "the record is not the truth",
        )
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, expected: &T) -> Result<(), String> {
    true_that(is == expected, &format!("{what} is {is:?}, not {expected:?}"))
}

fn true_that(holds: bool, else_say: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(else_say.to_owned()) }
}
