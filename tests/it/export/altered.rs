//! Rows that were removed, added or changed by hand, or that row security hides. No output is incomplete or wrong
//! without an error.

use std::fs;

use cloudflare_simulator::hex;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::*;
use crate::support::program::bare;

async fn execute(database: &TestDatabase, sql: &str) {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
}

/// Asserts that all three outputs of an export fail with the same message and leave nothing that looks complete.
fn every_output_fails(recorded: &Recorded, args: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (file, dataset) = (folder.path().join("rows.csv"), folder.path().join("set/"));
    fs::write(&file, "before").unwrap();
    let mut outputs = vec!["-", file.to_str().unwrap(), dataset.to_str().unwrap()];
    if args.contains(&"--ids-only") {
        outputs.pop(); // --ids-only writes one list, not a dataset
    }
    for output in outputs {
        let ended = recorded.export(&[args, &["--output", output]].concat());
        assert_eq!(ended.code, Some(1), "{args:?} to {output}: {ended:#?}");
        for told in ["chat_Room", "changed by something else"] {
            assert!(ended.stderr.contains(told), "{args:?} to {output}: {ended:#?}");
        }
        let warned = ended.stderr.contains("do not use what was written to stdout");
        assert_eq!(warned, output == "-", "{ended:#?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    assert_eq!(broken::files(folder.path()), ["rows.csv"]);
}

const OBJECTS: [&[&str]; 6] = [
    &["objects"],
    &["objects", "--ids-only"],
    &["objects", "--format", "jsonl"],
    &["objects", "--has-data", "true"],
    &["objects", "--has-data", "unknown", "--columns", "object_id"],
    &["history"],
];

/// (name, edit, whether `changes` detects it, too). Each edit is applied to a fresh record.
const EDITS: [(&str, &str, bool); 5] = [
    (
        "objects removed",
        "delete from inventory.open_interval where id in
             (select id from inventory.open_interval where from_snapshot is null order by id desc limit 3)",
        false,
    ),
    (
        "the newest object removed",
        "delete from inventory.open_interval where id = decode(repeat('ab', 32), 'hex')",
        true,
    ),
    (
        "a flag changed",
        "update inventory.open_interval set has_stored_data = not has_stored_data where id =
             (select id from inventory.open_interval where has_stored_data order by id desc limit 1)",
        false,
    ),
    (
        "an object added",
        "insert into inventory.open_interval (namespace_key, id)
         select namespace_key, decode(repeat('cd', 32), 'hex') from inventory.namespace",
        false,
    ),
    (
        // The count stays the same.
        "one object for another",
        "update inventory.open_interval set id = decode(repeat('cd', 32), 'hex') where id =
             (select id from inventory.open_interval where from_snapshot is null and has_stored_data
              order by id desc limit 1)",
        false,
    ),
];

#[tokio::test]
async fn what_was_changed_by_hand_is_in_no_output() {
    for (what, edit, shows) in EDITS {
        let recorded = recorded().await;
        execute(&recorded.database, edit).await;
        for args in OBJECTS {
            every_output_fails(&recorded, args);
        }
        let changes = recorded.export(&["changes"]);
        assert_eq!(changes.code, Some(i32::from(shows)), "{what}: {changes:#?}");
        // The record is one side of a comparison.
        let folder = tempfile::tempdir().unwrap();
        let ids = folder.path().join("ids.txt");
        let lines = recorded.second.truth.keys().map(|id| hex(id) + "\n");
        fs::write(&ids, lines.collect::<String>()).unwrap();
        let ids = ids.to_str().unwrap();
        for sides in [["latest", ids], [ids, "latest"]] {
            let ended = run(program(
                &recorded.simulator,
                &recorded.database,
                &[&["diff"][..], &sides, &["--exit-code"]].concat(),
            ));
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{what}: {ended:#?}");
            assert!(ended.stderr.contains("changed by something else"), "{what}: {ended:#?}");
        }
    }
}

/// Ended intervals appear in the history, in the changes, and in earlier points in time.
#[tokio::test]
async fn intervals_that_ended_are_missed_too() {
    let recorded = recorded().await;
    let edit = "delete from inventory.closed_interval where id =
                    (select id from inventory.closed_interval where next_state = 0 order by id limit 1)";
    execute(&recorded.database, edit).await;
    for args in [
        &["objects", "--as-of", "latest~1"][..],
        &["history"],
        &["history", "--has-data", "true"],
        &["changes"],
        &["changes", "--since", "latest~1"],
        &["changes", "--has-data", "unknown"],
    ] {
        every_output_fails(&recorded, args);
    }
    for more in [&[][..], &["--combined"], &["--summary"]] {
        let args = [&["diff", "latest~1", "latest"], more].concat();
        let ended = run(program(&recorded.simulator, &recorded.database, &args));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{more:?}: {ended:#?}"
        );
        assert!(ended.stderr.contains("changed by something else"), "{ended:#?}");
    }
    // The present is unchanged.
    recorded.exported(&["objects"]);
    recorded.exported(&["history", "--since", "latest"]);
}

/// A comparison of two points in time reads only what differs; a list of everything needs all rows.
#[tokio::test]
async fn two_moments_are_held_against_what_they_recorded() {
    let recorded = recorded().await;
    let edit = "delete from inventory.open_interval where id =
                    (select id from inventory.open_interval where from_snapshot is null order by id desc limit 1)";
    execute(&recorded.database, edit).await;
    let compare = |more: &[&str]| {
        let args = [&["diff", "latest~1", "latest"], more].concat();
        run(program(&recorded.simulator, &recorded.database, &args))
    };
    let whole = compare(&["--combined"]);
    assert_eq!((whole.code, whole.stdout.as_str()), (Some(2), ""), "{whole:#?}");
    // The missing row would be the same at both points in time.
    assert_eq!(compare(&[]).code, Some(0));
    execute(
        &recorded.database,
        "delete from inventory.open_interval where id = decode(repeat('ab', 32), 'hex')",
    )
    .await;
    let changed = compare(&[]);
    assert_eq!((changed.code, changed.stdout.as_str()), (Some(2), ""), "{changed:#?}");
}

/// `sync --rebuild` repairs the present. The history before it keeps the edit, and later exports report it.
#[tokio::test]
async fn a_record_that_was_mended_is_exported_again() {
    let recorded = recorded().await;
    execute(&recorded.database, EDITS[0].1).await;
    execute(&recorded.database, EDITS[1].1).await;
    let mended = run(sync(
        &recorded.simulator,
        &recorded.database,
        &["--rebuild", &recorded.namespace],
    ));
    assert_eq!(mended.code, Some(0), "{mended:#?}");
    walk(&recorded.simulator, &recorded.database, &recorded.namespace);
    for args in [
        &["objects"][..],
        &["objects", "--has-data", "false"],
        &["history"],
        &["changes"],
    ] {
        recorded.exported(args);
    }
    let before = recorded.export(&["objects", "--as-of", &recorded.second.snapshot]);
    assert_eq!(before.code, Some(1), "{before:#?}");
    // A later edit is detected, too.
    let edit = "delete from inventory.open_interval where id = decode(repeat('ab', 32), 'hex')";
    execute(&recorded.database, edit).await;
    for args in [&["history"], &["changes"], &["objects"]] {
        every_output_fails(&recorded, args);
    }
}

/// Row security hides rows without an error, unless the session turns that off.
#[tokio::test]
async fn rows_that_row_security_hides_are_not_taken_for_absent() {
    let recorded = recorded().await;
    let role = format!("{}_hidden", recorded.database.options.get_database().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (ids, out) = (folder.path().join("ids.txt"), folder.path().join("out.csv"));
    let (id, _) = recorded.second.truth.last_key_value().unwrap();
    fs::write(&ids, hex(id) + "\n").unwrap();
    let (id, ids, out) = (hex(id), ids.to_str().unwrap(), out.to_str().unwrap());
    let grants = format!(
        "create role {role} login; grant usage on schema inventory to {role};
         grant select, insert, update, delete on all tables in schema inventory to {role}"
    );
    execute(&recorded.database, &grants).await;
    let url = recorded.database.url_as(&role);
    let as_role = |args: &[&str]| {
        let mut command = bare(&[&["--no-migrate"], args].concat());
        command.env("DATABASE_URL", &url);
        run(command)
    };
    assert_eq!(as_role(&["export", "objects", "--output", out]).code, Some(0));
    fs::remove_file(out).unwrap();
    let commands: [(&str, &[&str], i32); 9] = [
        ("namespace", &["namespaces"], 1),
        ("open_interval", &["export", "objects"], 1),
        ("open_interval", &["export", "objects", "--output", out], 1),
        ("open_interval", &["export", "history"], 1),
        ("closed_interval", &["export", "changes"], 1),
        ("open_interval", &["diff", ids, "latest"], 2),
        ("closed_interval", &["diff", "latest~1", "latest"], 2),
        ("open_interval", &["history", &id], 1),
        ("snapshot", &["report"], 1),
    ];
    for (table, args, code) in commands {
        execute(
            &recorded.database,
            &format!("alter table inventory.{table} enable row level security"),
        )
        .await;
        let ended = as_role(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:#?}");
        for told in [table, "row-level security", "BYPASSRLS"] {
            assert!(ended.stderr.contains(told), "{args:?}: {}", ended.stderr);
        }
        assert!(!fs::exists(out).unwrap());
        let check = as_role(&["check"]);
        let told = format!("WRONG  rights: row security hides rows of inventory.{table} from this role");
        assert!(check.stdout.contains(&told), "{check:#?}");
        execute(
            &recorded.database,
            &format!("alter table inventory.{table} disable row level security"),
        )
        .await;
    }
    execute(&recorded.database, &format!("drop owned by {role}; drop role {role}")).await;
}
