//! Every format, point in time and filter against the truth of the walks.

use cloudflare_simulator::hex;
use durable_inventory::export::Format;
use sqlx::{Connection, PgConnection};

use super::*;

#[tokio::test]
async fn every_format_reads_back_as_what_was_walked_at_every_moment() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (&recorded.first, &recorded.second);
    for (format, extension) in [
        (Format::Csv, "csv"),
        (Format::Parquet, "parquet"),
        (Format::Jsonl, "jsonl"),
    ] {
        let path = folder.path().join(format!("objects.{extension}"));
        let name = path.to_str().unwrap();
        for (moment, truth) in [
            ("latest", &second.truth),
            ("latest~1", &first.truth),
            (first.snapshot.as_str(), &first.truth),
            (second.snapshot.as_str(), &second.truth),
            ("1ms ago", &second.truth),
        ] {
            recorded.exported(&["objects", "--as-of", moment, "--output", name]);
            assert_eq!(&objects(format, &path), truth, "{extension} as of {moment}");
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "nothing beside a file a format: {left:?}");
}

#[tokio::test]
async fn the_extension_chooses_the_format_in_upper_and_lower_case() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [
        ("a.parquet", Format::Parquet),
        ("b.PARQUET", Format::Parquet),
        ("c.ndjson", Format::Jsonl),
        ("d.JsonL", Format::Jsonl),
        ("e.CSV", Format::Csv),
        ("g", Format::Csv),
    ] {
        let path = folder.path().join(name);
        recorded.exported(&["objects", "--output", path.to_str().unwrap()]);
        assert_eq!(objects(format, &path), recorded.second.truth, "{name}");
    }
}

/// The documented views are the contract: an export equals them cell by cell.
#[tokio::test]
async fn exports_say_what_the_views_say() {
    let recorded = recorded().await;
    let mut session = PgConnection::connect_with(&recorded.database.options).await.unwrap();
    let time = |column: &str| {
        format!("coalesce(to_char({column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '')")
    };
    let flag = "coalesce(has_stored_data::text, '')";
    for (table, view, order, columns) in [
        (
            "objects",
            "objects",
            "id",
            vec![
                "account_id".to_owned(),
                "namespace_id".to_owned(),
                "object_id".to_owned(),
                flag.to_owned(),
                time("first_seen_at"),
                time("since"),
                time("last_seen_at"),
            ],
        ),
        (
            "history",
            "object_history",
            "id, valid_from",
            vec![
                "account_id".to_owned(),
                "namespace_id".to_owned(),
                "object_id".to_owned(),
                flag.to_owned(),
                time("valid_from"),
                time("valid_to"),
            ],
        ),
        (
            "changes",
            "changes",
            "snapshot_id, id",
            vec![
                "snapshot_id::text".to_owned(),
                time("at"),
                time("not_before"),
                time("not_after"),
                "account_id".to_owned(),
                "namespace_id".to_owned(),
                "object_id".to_owned(),
                "change".to_owned(),
                "old_state".to_owned(),
                "new_state".to_owned(),
            ],
        ),
    ] {
        let sql = format!(
            "select concat_ws(',', {}) from inventory.{view} order by {order}",
            columns.join(", ")
        );
        let wanted: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut session)
            .await
            .unwrap();
        assert!(!wanted.is_empty());
        let csv = recorded.exported(&[table]);
        let found: Vec<_> = csv.split_terminator("\n").skip(1).collect();
        assert_eq!(found, wanted, "{table}");
        let header: Vec<String> = sqlx::query_scalar(
            "select string_agg(attname, ',' order by attnum) from pg_attribute
             where attrelid = ('inventory.' || $1)::regclass and attnum > 0 and attname <> 'id'",
        )
        .bind(view)
        .fetch_all(&mut session)
        .await
        .unwrap();
        assert_eq!(csv.split("\n").next(), header.first().map(String::as_str), "{table}");
    }
}

#[tokio::test]
async fn filters_and_columns_choose_rows_and_cells() {
    let recorded = recorded().await;
    for (answer, flag) in [("true", Some(true)), ("false", Some(false)), ("unknown", None)] {
        let ids: Vec<_> = recorded
            .second
            .truth
            .iter()
            .filter(|(_, there)| **there == flag)
            .map(|(id, _)| hex(id))
            .collect();
        let found = recorded.exported(&["objects", "--ids-only", "--has-data", answer]);
        assert_eq!(found.lines().collect::<Vec<_>>(), ids, "{answer}");
    }
    let cells = recorded.exported(&["objects", "--columns", "has_stored_data,object_id"]);
    let mut lines = cells.split("\n");
    assert_eq!(lines.next(), Some("has_stored_data,object_id"));
    let (id, flag) = recorded.second.truth.first_key_value().unwrap();
    let flag = flag.map(|flag| flag.to_string()).unwrap_or_default();
    assert_eq!(lines.next(), Some(format!("{flag},{}", hex(id)).as_str()));

    let wrong = recorded.export(&["objects", "--columns", "name"]);
    assert_eq!(wrong.code, Some(2), "{wrong:#?}");
    assert!(wrong.stderr.contains("there is no column \"name\""), "{}", wrong.stderr);
}

/// The state at one point in time plus the changes since then equals the state at another.
#[tokio::test]
async fn changes_lead_from_one_moment_to_the_other() {
    let recorded = recorded().await;
    let mut state = recorded.first.truth.clone();
    let changes = recorded.exported(&["changes", "--since", "latest~1", "--format", "jsonl"]);
    for line in changes.lines() {
        let change: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut id = [0; 32];
        hex::decode_to_slice(change["object_id"].as_str().unwrap(), &mut id).unwrap();
        match change["new_state"].as_str().unwrap() {
            "absent" => state.remove(&id),
            "with_data" => state.insert(id, Some(true)),
            "without_data" => state.insert(id, Some(false)),
            _ => state.insert(id, None),
        };
    }
    assert_eq!(state, recorded.second.truth);
    assert_eq!(
        recorded.exported(&["changes", "--since", &recorded.first.snapshot, "--format", "jsonl"]),
        changes
    );
    let none = recorded.exported(&["changes", "--since", "latest"]);
    assert_eq!(none.lines().count(), 1, "a header, and nothing since: {none}");
    let backwards = recorded.export(&["changes", "--since", "latest", "--until", "latest~1"]);
    assert_eq!(backwards.code, Some(2), "{backwards:#?}");
}

/// Information from after `--until` is not exported: an interval that ended later is open.
#[tokio::test]
async fn history_is_told_as_it_was_known() {
    let recorded = recorded().await;
    let then = recorded.exported(&["history", "--until", "latest~1", "--format", "jsonl"]);
    assert_eq!(then.lines().count(), recorded.first.truth.len());
    assert!(then.lines().all(|line| line.contains("\"valid_to\":null")), "{then}");
    let now = recorded.exported(&["history", "--format", "jsonl"]);
    assert!(now.lines().any(|line| !line.contains("\"valid_to\":null")));
}

#[tokio::test]
async fn a_moment_before_the_record_is_an_error_for_one_and_a_note_for_several() {
    let recorded = recorded().await;
    for args in [
        ["objects", "--as-of", "2020-01-01"],
        ["objects", "--as-of", "latest~2"],
        ["changes", "--since", "2020-01-01"],
        ["history", "--until", "2020-01-01"],
    ] {
        let ended = recorded.export(&[&args[..], &["--namespace", &recorded.namespace]].concat());
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{args:?}: {ended:#?}"
        );
        let told = match args.contains(&"latest~2") {
            true => "namespace chat_Room has fewer than 3 snapshots, so none is latest~2",
            false => "namespace chat_Room was not recorded at 2020-01-01",
        };
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
    let younger = recorded.simulator.add_namespace(ACCOUNT, "young_Room");
    recorded.simulator.seed(&younger, 20, 2);
    walk(&recorded.simulator, &recorded.database, &younger);

    let ended = recorded.export(&["objects", "--as-of", "latest~1"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stdout.lines().count(), recorded.second.truth.len() + 1);
    assert!(
        ended
            .stderr
            .contains("namespace young_Room has fewer than 2 snapshots, so none is latest~1"),
        "{}",
        ended.stderr
    );
    let nobody = recorded.export(&["objects", "--namespace", "no_such_*"]);
    assert_eq!(nobody.code, Some(2), "{nobody:#?}");
    assert!(nobody.stderr.contains("no recorded namespace"), "{}", nobody.stderr);
}

#[tokio::test]
async fn moments_that_are_none_are_refused() {
    let recorded = recorded().await;
    let future = recorded.export(&["objects", "--as-of", "2999-01-01"]);
    assert_eq!(future.code, Some(1), "{future:#?}");
    assert!(future.stderr.contains("is in the future"), "{}", future.stderr);
    let nothing = recorded.export(&["objects", "--as-of", "999"]);
    assert!(nothing.stderr.contains("snapshot 999"), "{}", nothing.stderr);
    let words = recorded.export(&["objects", "--as-of", "yesterday"]);
    assert_eq!(words.code, Some(2), "{words:#?}");
    let namespace = recorded.simulator.add_namespace(ACCOUNT, "other_Room");
    let other = walk(&recorded.simulator, &recorded.database, &namespace).snapshot;
    let other = recorded.export(&["objects", "--as-of", &other, "--namespace", "chat_*"]);
    assert_eq!(other.code, Some(1), "{other:#?}");
    assert!(
        other.stderr.contains("belongs to a namespace that is not selected"),
        "{}",
        other.stderr
    );
}

/// Spreadsheets open CSV, which is guarded. Formats that engines read are never altered, because joins need the exact
/// ids.
#[tokio::test]
async fn ids_that_look_like_formulas_are_guarded_in_csv_alone() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut namespace = cloudflare_simulator::Namespace::new(ACCOUNT, "=cmd_Room");
    namespace.id = "=1+1, \"quoted\"".to_owned();
    let namespace = simulator.add(namespace);
    simulator.seed(&namespace, 1, 1);
    walk(&simulator, &database, &namespace);
    let csv = run(program(
        &simulator,
        &database,
        &["export", "objects", "--columns", "namespace_id"],
    ));
    assert_eq!(csv.stdout, "namespace_id\n\"'=1+1, \"\"quoted\"\"\"\n");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let ended = run(program(&simulator, &database, &["export", "objects", "--output", to]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let place = format!("account_id={ACCOUNT}/namespace_id=%3D1%2B1%2C%20%22quoted%22/snapshot=1/part-0000.parquet");
    assert!(folder.path().join(place).is_file());
}

/// A publication in its last statements has already read the clock, but is not visible yet.
#[tokio::test]
async fn a_reader_waits_for_a_publication_in_its_last_statements() {
    let recorded = recorded().await;
    let mut publisher = PgConnection::connect_with(&recorded.database.options).await.unwrap();
    let mut publication = publisher.begin().await.unwrap();
    // `publish` takes this lock before it reads the clock.
    sqlx::query("select pg_advisory_xact_lock(1684631158, 0)")
        .execute(&mut *publication)
        .await
        .unwrap();
    let mut export = program(&recorded.simulator, &recorded.database, &["export", "objects"]);
    let mut export = export.spawn().unwrap();
    let mut watcher = PgConnection::connect_with(&recorded.database.options).await.unwrap();
    loop {
        let waiting: bool = sqlx::query_scalar(
            "select exists (select from pg_locks l join pg_database d on d.oid = l.database
             where d.datname = current_database() and locktype = 'advisory' and not granted)",
        )
        .fetch_one(&mut watcher)
        .await
        .unwrap();
        assert_eq!(export.try_wait().unwrap(), None, "it did not wait");
        if waiting {
            break;
        }
    }
    publication.commit().await.unwrap();
    assert!(export.wait_with_output().unwrap().status.success());
}

/// An export needs no privilege beyond reading.
#[tokio::test]
async fn a_role_that_may_only_read_can_export() {
    let recorded = recorded().await;
    let mut owner = PgConnection::connect_with(&recorded.database.options).await.unwrap();
    let role = format!("reader_{}", recorded.database.options.get_database().unwrap());
    let sql = format!(
        "create role {role} login; grant usage on schema inventory to {role};
         grant select on all tables in schema inventory to {role}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut owner)
        .await
        .unwrap();
    let url = recorded.database.url_as(&role);
    let mut export = program(
        &recorded.simulator,
        &recorded.database,
        &["export", "objects", "--no-migrate"],
    );
    export.env("DATABASE_URL", url);
    let ended = run(export);
    let sql = format!("drop owned by {role}; drop role {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut owner)
        .await
        .unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stdout.lines().count(), recorded.second.truth.len() + 1);
}

/// A server may return any text as a namespace's id.
#[tokio::test]
async fn an_id_that_is_a_formula_comes_back_from_csv() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let formula = "=HYPERLINK(1)";
    let mut namespace = cloudflare_simulator::Namespace::new(ACCOUNT, "chat_Room");
    namespace.id = formula.to_owned();
    let namespace = simulator.add(namespace);
    simulator.seed(&namespace, 3, 1);
    walk(&simulator, &database, &namespace);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("dataset/");
    let place = place.to_str().unwrap();
    let export = ["export", "objects", "--format", "csv", "--output"];
    let to_stdout = run(program(&simulator, &database, &[&export[..], &["-"]].concat()));
    assert!(
        to_stdout.stdout.contains(&format!("{ACCOUNT},'{formula},")),
        "{to_stdout:#?}"
    );
    for args in [
        &[&export[..], &[place]].concat()[..],
        &["export", "verify", place],
        &["diff", place, "latest", "--exit-code"],
    ] {
        let ended = run(program(&simulator, &database, args));
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
    }
}
