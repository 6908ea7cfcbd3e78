//! Record, file, record: whatever a namespace holds, no format loses or makes a difference.

use cloudflare_simulator::Simulator;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, simulator, sync};

#[derive(Debug, Clone)]
struct Case {
    objects: BTreeMap<u8, Flag>,
    /// Which object changes, and what it becomes: `None` removes it.
    changed: prop::sample::Index,
    becomes: Option<Flag>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let objects = prop::collection::btree_map(any::<u8>(), any::<Flag>(), 1..40);
    (objects, any::<prop::sample::Index>(), any::<Option<Flag>>()).prop_map(|(objects, changed, becomes)| Case {
        objects,
        changed,
        becomes,
    })
}

#[test]
fn every_format_is_the_record_and_one_changed_cell_is_found() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (simulator, database) = runtime.block_on(async { (simulator().await, fresh_database().await) });
    // Programs are started for each case: few cases, each with every format.
    let config = Config {
        cases: 6,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..Config::default()
    };
    let _inside = runtime.enter();
    let outcome = TestRunner::new(config).run(&any_case(), |case| {
        check(&simulator, &database, &case);
        Ok(())
    });
    drop((simulator, database));
    outcome.unwrap();
}

fn check(simulator: &Simulator, database: &TestDatabase, case: &Case) {
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    // Removes the previous case's namespace too: the same name has the same id, and the list must not have it twice.
    simulator.remove_namespace(&namespace);
    simulator.add_namespace(ACCOUNT, "chat_Room");
    let only = ["--namespace", namespace.as_str()];
    let program = |args: &[&str]| {
        let ended = run(program(simulator, database, &[args, &only].concat()));
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
        ended
    };
    let walk = || {
        let accept = ["--accept-removals"];
        let ended = run(sync(simulator, database, &[&only[..], &accept].concat()));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        simulator.truth(&namespace)
    };
    for (id, flag) in &case.objects {
        simulator.put_object(&namespace, [*id; 32], *flag);
    }
    let before = walk();
    let folder = tempfile::tempdir().unwrap();
    let dataset = folder.path().join("dataset");
    let places = ["a.csv", "a.parquet", "a.jsonl", "dataset/"].map(|name| folder.path().join(name));
    for place in &places {
        program(&["export", "objects", "--output", text(place)]);
    }
    let turned = folder.path().join("turned.csv");
    program(&[
        "export",
        "objects",
        "--columns",
        "has_stored_data,object_id",
        "--output",
        text(&turned),
    ]);
    let places: Vec<_> = places.iter().chain([&turned]).collect();

    let (id, was) = before.iter().nth(case.changed.index(before.len())).unwrap();
    match case.becomes {
        None => simulator.remove_object(&namespace, id),
        // Something else than it was.
        Some(flag) => {
            let other = if flag == *was {
                [None, Some(true), Some(false)].into_iter().find(|f| f != was)
            } else {
                Some(flag)
            };
            simulator.put_object(&namespace, *id, other.unwrap());
        }
    }
    let after = walk();
    assert_ne!(before, after);
    for place in &places {
        let ended = program(&["diff", text(place), "latest~1", "--exit-code"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{place:?}: {ended:#?}"
        );
        let ended = program(&["diff", text(place), "latest", "--exit-code", "--format", "csv"]);
        assert_eq!(ended.code, Some(1), "{place:?}: {ended:#?}");
        assert_eq!(changes(&ended.stdout), expected_changes(&before, &after), "{place:?}");
        let ended = program(&["diff", "latest", text(place), "--combined"]);
        assert_eq!(ended.stdout, combined(&after, &before), "{place:?}");
        // Formats among themselves.
        let ended = program(&["diff", text(place), text(&dataset), "--combined"]);
        assert_eq!(ended.stdout, combined(&before, &before), "{place:?}");
    }
}
