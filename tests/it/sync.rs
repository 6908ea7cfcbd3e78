//! The main job, through the program: pages become an exact record.

use cloudflare_simulator::{Order, hex};
use sqlx::{Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::truth;
use crate::support::program::{ACCOUNT, run, simulator, sync};

/// The current objects in the documented view: (object_id, has_stored_data), ascending.
async fn objects(database: &TestDatabase, namespace: &str) -> Vec<(String, Option<bool>)> {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query_as("select object_id, has_stored_data from inventory.objects where namespace_id = $1 order by id")
        .bind(namespace)
        .fetch_all(&mut session)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_second_run_records_what_changed() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&namespace, 250, 1);
    let truth = || -> Vec<_> {
        simulator
            .truth(&namespace)
            .into_iter()
            .map(|(id, flag)| (hex(&id), flag))
            .collect()
    };

    let first = run(sync(&simulator, &database, &["--limit", "100"]));
    assert_eq!(first.code, Some(0), "{first:#?}");
    let told = &first.json()["namespaces"][0];
    assert_eq!((told["objects"].as_u64(), told["pages"].as_u64()), (Some(250), Some(3)));
    assert_eq!(told["created"], 0, "a baseline creates nothing");
    assert_eq!(objects(&database, &namespace).await, truth());

    let gone = *simulator.truth(&namespace).keys().nth(100).unwrap();
    simulator.remove_object(&namespace, &gone);
    simulator.put_object(&namespace, [0xab; 32], None);
    let second = run(sync(&simulator, &database, &["--limit", "100"]));
    assert_eq!(second.code, Some(0), "{second:#?}");
    let told = &second.json()["namespaces"][0];
    assert_eq!((told["created"].as_u64(), told["removed"].as_u64()), (Some(1), Some(1)));
    assert_eq!(objects(&database, &namespace).await, truth());
}

/// The record has more rows in one page's range than are held in memory at once. The objects on both sides of the first
/// part's boundary stay.
#[tokio::test]
async fn a_gap_of_many_objects_is_compared_in_parts() {
    for order in [Order::Ascending, Order::Shuffled(7)] {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
        simulator.seed(&namespace, 20_500, 1);
        simulator.with_namespace(&namespace, |namespace| namespace.order = order);
        assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
        let ids: Vec<_> = simulator.truth(&namespace).into_keys().collect();
        for (n, id) in ids.iter().enumerate() {
            if !matches!(n, 0 | 9_999 | 10_000 | 19_999 | 20_000) {
                simulator.remove_object(&namespace, id);
            }
        }
        let ended = run(sync(&simulator, &database, &["--accept-removals"]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let told = &ended.json()["namespaces"][0];
        assert_eq!(
            (&told["created"], &told["removed"]),
            (&0.into(), &20_495.into()),
            "{told}"
        );
        assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    }
}
