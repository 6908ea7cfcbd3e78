//! The views document themselves, and the queries of docs/sql.md return correct results on a record of a service whose
//! every change is known.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cloudflare_simulator::{Flag, Id, Namespace, Simulator, hex};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, bare, run, simulator, sync};

#[tokio::test]
async fn every_view_and_every_column_has_a_comment() {
    let database = fresh_database().await;
    let mut migrate = bare(&["migrate"]);
    migrate.env("DATABASE_URL", database.url());
    assert_eq!(run(migrate).code, Some(0));
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let commented: Vec<(String, bool)> = sqlx::query_as(
        "select c.relname || '.' || a.attname, coalesce(col_description(c.oid, a.attnum) <> '', false)
         from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
         where c.relnamespace = 'inventory'::regnamespace and c.relkind = 'v'
         union all
         select relname, coalesce(obj_description(oid, 'pg_class') <> '', false) from pg_class
         where relnamespace = 'inventory'::regnamespace and relkind = 'v'",
    )
    .fetch_all(&mut session)
    .await
    .unwrap();
    let views = commented.iter().filter(|(name, _)| !name.contains('.')).count();
    assert_eq!(views, 7, "{commented:?}");
    let silent: Vec<_> = commented.iter().filter(|(_, has)| !has).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// The page's queries by number.
fn queries() -> BTreeMap<u32, &'static str> {
    let page = include_str!("../../docs/sql.md");
    let sections = page.split("\n## ").skip(1).filter_map(|section| {
        let (number, _) = section.split_once(". ")?;
        let (_, query) = section.split_once("```sql\n")?;
        Some((number.parse().ok()?, query.split_once("```")?.0))
    });
    sections.collect()
}

type Objects = BTreeMap<Id, Flag>;

/// A namespace's states, one per sync, and the points in time between the syncs: `moments[n]` is after state n was
/// recorded.
struct Lived {
    simulator: Simulator,
    database: TestDatabase,
    chat: String,
    states: Vec<Objects>,
    moments: Vec<String>,
}

const SYNCS: usize = 6;

async fn lived() -> Lived {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut lived = Lived {
        chat: simulator.add_namespace(ACCOUNT, "chat_Room"),
        states: Vec::new(),
        moments: Vec::new(),
        simulator,
        database,
    };
    lived.simulator.seed(&lived.chat, 200, 1);
    for number in 1..=3 {
        lived.add_preview(number);
    }
    for step in 0..SYNCS {
        if step > 0 {
            lived.churn(step);
        }
        if step == 3 {
            lived.simulator.remove_namespace(&preview_id(3));
        }
        lived.record().await;
    }
    lived
}

fn preview(number: u8) -> Namespace {
    let mut preview = Namespace::new(ACCOUNT, &format!("shop_Cart_pr-{number}"));
    preview.script = Some("shop".to_owned());
    preview.class = Some("Cart".to_owned());
    preview.preview = Some(json!({ "slug": format!("pr-{number}") }));
    preview
}

fn preview_id(number: u8) -> String {
    preview(number).id
}

impl Lived {
    fn add_preview(&self, number: u8) {
        let id = self.simulator.add(preview(number));
        self.simulator.seed(&id, 10 * usize::from(number), u64::from(number));
    }

    /// Each object has its own pattern: some are removed, one comes back, some flip once and some at every step. Two
    /// are new.
    fn churn(&self, step: usize) {
        let first = &self.states[0];
        for (index, (id, flag)) in first.iter().enumerate() {
            let turned = flag.map(|flag| flag == step.is_multiple_of(2));
            match index % 20 {
                0 if step == 1 + index / 20 % 5 => self.simulator.remove_object(&self.chat, id),
                1 if step == 2 => self.simulator.remove_object(&self.chat, id),
                1 if step == 4 => self.simulator.put_object(&self.chat, *id, *flag),
                2 => self.simulator.put_object(&self.chat, *id, turned),
                3 if step == 3 => self.simulator.put_object(&self.chat, *id, turned),
                4 if step == 5 => self.simulator.put_object(&self.chat, *id, None),
                _ => {}
            }
        }
        for new in 0..2 {
            self.simulator
                .put_object(&self.chat, [(16 * step + new) as u8; 32], Some(new == 0));
        }
    }

    async fn record(&mut self) {
        let ended = run(sync(&self.simulator, &self.database, &[]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        self.states.push(self.simulator.truth(&self.chat));
        let mut session = PgConnection::connect_with(&self.database.options).await.unwrap();
        let moment = sqlx::query_scalar("select clock_timestamp()::text")
            .fetch_one(&mut session)
            .await
            .unwrap();
        self.moments.push(moment);
    }

    /// Runs a query of the page with psql, without its limit, and returns the cells of each row.
    fn ask(&self, number: u32, variables: &[(&str, &str)]) -> Vec<Vec<String>> {
        let query = queries()[&number].replace("limit 5;", ";");
        let mut psql = bare(&["--quiet", "psql", "-AtX", "-v", "ON_ERROR_STOP=1"]);
        psql.env("DATABASE_URL", self.database.url());
        for (name, value) in variables {
            psql.args(["-v", &format!("{name}={value}")]);
        }
        let answered = with_input(psql, &query);
        let rows = answered.lines().map(|row| row.split('|').map(str::to_owned).collect());
        rows.collect()
    }

    fn objects_ever(&self) -> BTreeSet<Id> {
        self.states.iter().flat_map(|state| state.keys().copied()).collect()
    }

    /// (step, id, state before, state after) of all changes.
    fn changes(&self) -> Vec<(usize, Id, Option<Flag>, Option<Flag>)> {
        let steps = 1..self.states.len();
        let all = steps.flat_map(|step| self.objects_ever().into_iter().map(move |id| (step, id)));
        let all = all.map(|(step, id)| {
            let state = |step: usize| self.states[step].get(&id).copied();
            (step, id, state(step - 1), state(step))
        });
        all.filter(|(_, _, before, after)| before != after).collect()
    }
}

fn with_input(mut command: Command, input: &str) -> String {
    use std::io::Write;
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn turn(before: Option<Flag>, after: Option<Flag>) -> &'static str {
    match (before, after) {
        (None, _) => "created",
        (_, None) => "removed",
        (_, Some(None)) => "data_unknown",
        (Some(None), _) => "data_known",
        (_, Some(Some(true))) => "data_gained",
        _ => "data_lost",
    }
}

fn cells<const N: usize>(row: [String; N]) -> Vec<String> {
    row.to_vec()
}

#[tokio::test]
async fn the_ten_queries_of_the_page_answer_what_happened() {
    let lived = lived().await;
    assert_eq!(queries().len(), 10);
    counts(&lived);
    changes(&lived);
    moments(&lived);
    namespaces(&lived);
}

fn with_data(objects: &Objects) -> usize {
    objects.values().filter(|flag| **flag == Some(true)).count()
}

fn counts(lived: &Lived) {
    let now = lived.states.last().unwrap();
    let held = lived.ask(1, &[]);
    let chat = held.iter().find(|row| row[0] == "chat_Room").unwrap();
    let without = now.values().filter(|flag| **flag == Some(false)).count();
    let counted = [now.len(), with_data(now), without, now.len() - with_data(now) - without];
    assert_eq!(chat[1..5], counted.map(|count| count.to_string()));
    assert_eq!(held.len(), 3, "the one that vanished is left out: {held:?}");

    let never = now.iter().filter(|(id, flag)| {
        let mut ever = lived.states.iter().filter_map(|state| state.get(*id));
        **flag == Some(false) && ever.all(|flag| *flag == Some(false))
    });
    let found = lived.ask(3, &[]);
    let found = found.iter().find(|row| row[0] == lived.chat).unwrap();
    assert_eq!(found[1], never.count().to_string());
}

fn changes(lived: &Lived) {
    let all = lived.changes();
    let since = 2;
    let gone: Vec<_> = all
        .iter()
        .filter(|(step, _, _, after)| *step > since && after.is_none())
        .map(|(_, id, _, _)| hex(id))
        .collect();
    let found = lived.ask(2, &[("since", &lived.moments[since])]);
    let found: Vec<_> = found.into_iter().map(|row| row[2].clone()).collect();
    assert!(!gone.is_empty());
    assert_eq!(found, gone);

    let mut turns: BTreeMap<Id, usize> = BTreeMap::new();
    for (step, id, before, after) in &all {
        if *step > since && ["data_gained", "data_lost"].contains(&turn(*before, *after)) {
            *turns.entry(*id).or_default() += 1;
        }
    }
    let flapping: BTreeMap<_, _> = turns.iter().filter(|(_, turns)| **turns >= 2).collect();
    let found = lived.ask(4, &[("from", &lived.moments[since])]);
    let found: BTreeMap<_, _> = found.iter().map(|row| (row[1].clone(), row[2].clone())).collect();
    assert!(!flapping.is_empty());
    assert_eq!(
        found,
        flapping
            .iter()
            .map(|(id, turns)| (hex(*id), turns.to_string()))
            .collect()
    );

    let (from, to) = (1, 4);
    let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, _, before, after) in all.iter().filter(|(step, ..)| *step > from && *step <= to) {
        *sums.entry(turn(*before, *after)).or_default() += 1;
    }
    let found = lived.ask(9, &[("from", &lived.moments[from]), ("since", &lived.moments[to])]);
    let found: BTreeMap<_, _> = found
        .iter()
        .map(|row| (row[1].as_str(), row[2].parse().unwrap()))
        .collect();
    assert_eq!(found, sums);

    // All on one day, or on two around midnight.
    let found = lived.ask(5, &[]);
    let sum = |column: usize| found.iter().map(|row| row[column].parse::<i64>().unwrap()).sum::<i64>();
    let (first, now) = (&lived.states[0], lived.states.last().unwrap());
    assert_eq!(
        sum(1),
        all.iter().filter(|(_, _, before, _)| before.is_none()).count() as i64
    );
    assert_eq!(sum(3), now.len() as i64 - first.len() as i64);
    assert_eq!(sum(4), with_data(now) as i64 - with_data(first) as i64);
}

fn moments(lived: &Lived) {
    for (state, moment) in lived.states.iter().zip(&lived.moments) {
        let found = lived.ask(8, &[("at", moment)]);
        let found = found.iter().find(|row| row[0] == lived.chat).unwrap();
        assert_eq!(
            found[1..],
            [state.len(), with_data(state)].map(|count| count.to_string())
        );
    }
    // An object that was removed and came back.
    let (_, returned, ..) = *lived
        .changes()
        .iter()
        .find(|(step, id, before, _)| *step == 4 && before.is_none() && lived.states[0].contains_key(id))
        .unwrap();
    let bytes = format!("\\x{}", hex(&returned));
    let found = lived.ask(7, &[("namespace", &lived.chat), ("object", &bytes)]);
    let flag = lived.states[0][&returned].map_or("", |flag| if flag { "t" } else { "f" });
    let states: Vec<_> = found.iter().map(|row| (row[0].as_str(), row[2].is_empty())).collect();
    assert_eq!(states, [(flag, false), (flag, true)]);
    assert!(found[0][2] < found[1][1], "the gap: {found:?}");
}

fn namespaces(lived: &Lived) {
    let (one, two) = (
        lived.simulator.truth(&preview_id(1)),
        lived.simulator.truth(&preview_id(2)),
    );
    let sums = [one.len() + two.len(), with_data(&one) + with_data(&two)].map(|sum| sum.to_string());
    let [objects, held] = sums;
    let sprawl = ["shop", "Cart", "2", "2"].map(str::to_owned);
    assert_eq!(lived.ask(6, &[]), [[sprawl.to_vec(), cells([objects, held])].concat()]);

    let vanished = lived.ask(10, &[]);
    assert_eq!(vanished.len(), 1);
    assert_eq!(
        (vanished[0][0].as_str(), vanished[0][3].as_str()),
        ("shop_Cart_pr-3", "30")
    );
}

/// A small version of the record on which `benches/record.py` measures the page's queries.
#[tokio::test]
async fn the_benchmarks_record_is_one_that_walks_could_have_left() {
    let database = fresh_database().await;
    let command = |args: &[&str]| {
        let mut command = bare(&[&["--quiet"], args].concat());
        command.env("DATABASE_URL", database.url());
        command
    };
    assert_eq!(run(command(&["migrate"])).code, Some(0));
    let fill = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/record/fill.sql");
    let filled = run(command(&["psql", "-qX", "-v", "objects=20000", "-f", fill]));
    assert_eq!(filled.code, Some(0), "{filled:#?}");
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    // Each snapshot's counts equal the history as of its time, and each change is included in them.
    let wrong: Vec<i64> = sqlx::query_scalar(
        "select s.snapshot_id from inventory.snapshots s
         cross join lateral (
             select count(*) as objects, count(*) filter (where has_stored_data) as with_data
             from inventory.object_history h
             where h.namespace_id = s.namespace_id and valid_from <= s.recorded_at
               and (valid_to is null or valid_to > s.recorded_at)) h
         cross join lateral (
             select count(*) filter (where change = 'created') as created,
                    count(*) filter (where change = 'removed') as removed
             from inventory.changes c where c.snapshot_id = s.snapshot_id) c
         where s.snapshot_id < 400 and
             (s.objects, s.with_data, s.created, s.removed) <> (h.objects, h.with_data, c.created, c.removed)",
    )
    .fetch_all(&mut session)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
    let sizes: (i64, i64) =
        sqlx::query_as("select (select count(*) from inventory.snapshots), (select count(*) from inventory.changes)")
            .fetch_one(&mut session)
            .await
            .unwrap();
    assert_eq!(sizes.0, 31 * 30 - 22);
    assert!(sizes.1 > 5_000, "{sizes:?}");
}
