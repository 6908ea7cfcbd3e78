use std::collections::BTreeMap;

use cloudflare_simulator::{Computed, CursorKey, CursorStyle, Namespace, Objects, Order, Simulator, hex};
use serde_json::json;

use crate::client::{get, page, walk};
use crate::{ACCOUNT, service};

async fn walk_is_true(simulator: &Simulator, namespace: &str, limit: usize) {
    let rows = walk(simulator, namespace, limit).await;
    let truth = simulator.truth(namespace);
    assert_eq!(rows.len(), truth.len());
    assert_eq!(rows.into_iter().collect::<BTreeMap<_, _>>(), truth);
}

#[tokio::test]
async fn every_style_of_cursor_leads_through_all_objects() {
    let (simulator, namespace) = service().await;
    let orders = [Order::Ascending, Order::Shuffled(3), Order::BrokenAt(500)];
    let keys = [
        CursorKey::ResultInfoCursor,
        CursorKey::CursorsAfter,
        CursorKey::Both,
        CursorKey::NullAtEnd,
        CursorKey::AbsentAtEnd,
    ];
    for style in [CursorStyle::StartAfter, CursorStyle::Opaque] {
        for order in orders {
            for key in keys {
                simulator.with_namespace(&namespace, |n| {
                    (n.cursor_style, n.order, n.cursor_key) = (style, order, key)
                });
                walk_is_true(&simulator, &namespace, 500).await;
            }
        }
    }
}

#[tokio::test]
async fn the_order_is_what_it_says() {
    let (simulator, namespace) = service().await;
    assert!(walk(&simulator, &namespace, 100).await.is_sorted_by_key(|row| row.0));

    simulator.with_namespace(&namespace, |n| n.order = Order::BrokenAt(100));
    let rows = walk(&simulator, &namespace, 100).await;
    let falls: Vec<usize> = (1..rows.len()).filter(|i| rows[*i] < rows[i - 1]).collect();
    assert_eq!(falls, [100]);

    simulator.with_namespace(&namespace, |n| n.order = Order::Shuffled(1));
    let rows = walk(&simulator, &namespace, 100).await;
    assert!((1..rows.len()).filter(|i| rows[*i] < rows[i - 1]).count() > 1_000);
}

#[tokio::test]
async fn the_end_is_written_in_every_way() {
    let (simulator, namespace) = service().await;
    simulator.seed(&namespace, 100, 1);
    let ends = [
        (CursorKey::ResultInfoCursor, json!({ "count": 100, "cursor": "" })),
        (
            CursorKey::CursorsAfter,
            json!({ "count": 100, "cursors": { "after": "" } }),
        ),
        (
            CursorKey::Both,
            json!({ "count": 100, "cursor": "", "cursors": { "after": "" } }),
        ),
        (CursorKey::NullAtEnd, json!({ "count": 100, "cursor": null })),
        (CursorKey::AbsentAtEnd, json!({ "count": 100 })),
    ];
    for (key, info) in ends {
        simulator.with_namespace(&namespace, |n| n.cursor_key = key);
        // A full page that is also the last one.
        assert_eq!(
            page(&simulator, &namespace, None, 100).await.json()["result_info"],
            info
        );
    }
    simulator.with_namespace(&namespace, |n| {
        (n.cursor_key, n.totals) = (CursorKey::AbsentAtEnd, true)
    });
    let info = json!({ "count": 100, "page": 1, "per_page": 100, "total_count": 100, "total_pages": 1 });
    assert_eq!(
        page(&simulator, &namespace, None, 100).await.json()["result_info"],
        info
    );
}

#[tokio::test]
async fn a_cursor_outlives_its_object_and_a_strange_one_is_refused() {
    let (simulator, namespace) = service().await;
    let cursor = page(&simulator, &namespace, None, 10).await.cursor().unwrap();
    let next = page(&simulator, &namespace, Some(&cursor), 10).await.body;
    let id = cloudflare_simulator::parse_id(&cursor).unwrap();
    simulator.remove_object(&namespace, &id);
    assert_eq!(page(&simulator, &namespace, Some(&cursor), 10).await.body, next);
    assert_eq!(page(&simulator, &namespace, Some("strange"), 10).await.code(), 10001);

    simulator.with_namespace(&namespace, |n| n.cursor_style = CursorStyle::Opaque);
    let reply = page(&simulator, &namespace, Some(&hex(&id)), 10).await;
    assert_eq!((reply.status, reply.code()), (400, json!(10001)));
    // A signed cursor of another namespace.
    let other = simulator.add_namespace(ACCOUNT, "other");
    simulator.with_namespace(&other, |n| n.cursor_style = CursorStyle::Opaque);
    simulator.seed(&other, 100, 1);
    let cursor = page(&simulator, &other, None, 10).await.cursor().unwrap();
    assert_eq!(page(&simulator, &namespace, Some(&cursor), 10).await.status, 400);
}

#[tokio::test]
async fn computed_objects_are_paged_like_stored_ones() {
    let (simulator, namespace) = service().await;
    for count in [0, 1, 9, 10, 11, 12_345] {
        simulator.with_namespace(&namespace, |n| {
            n.set_objects(Objects::Computed(Computed { count, seed: 5 }))
        });
        walk_is_true(&simulator, &namespace, 10.max(count as usize / 7)).await;
    }
    // Finding the start of any page takes the same short time in a very large namespace.
    let count = 35_000_000;
    simulator.with_namespace(&namespace, |n| {
        n.set_objects(Objects::Computed(Computed { count, seed: 5 }))
    });
    let middle = format!("80{}", "0".repeat(62));
    let reply = page(&simulator, &namespace, Some(&middle), 10_000).await;
    assert_eq!(reply.rows().len(), 10_000);
    assert!(reply.rows().is_sorted_by_key(|row| row.0));
    assert!(hex(&reply.rows()[0].0).starts_with("800000"));
}

#[tokio::test]
async fn limits_of_a_page() {
    let (simulator, namespace) = service().await;
    for (limit, status) in [("9", 400), ("10", 200), ("10000", 200), ("10001", 400), ("x", 400)] {
        let reply = get(&simulator, &format!("/{namespace}/objects?limit={limit}")).await;
        assert_eq!(reply.status, status, "{limit}");
    }
    let rows = get(&simulator, &format!("/{namespace}/objects")).await.rows();
    assert_eq!(rows.len(), 1_000);
}

#[tokio::test]
async fn namespaces_are_listed_in_pages_or_all_at_once() {
    let (simulator, _) = service().await;
    for n in 0..24 {
        simulator.add_namespace(ACCOUNT, &format!("n{n}"));
    }
    let mut bare = Namespace::new(ACCOUNT, "bare");
    (bare.name, bare.script, bare.class) = (None, None, None);
    simulator.add(bare);
    let reply = get(&simulator, "?page=2").await.json();
    let info = json!({ "count": 6, "page": 2, "per_page": 20, "total_count": 26, "total_pages": 2 });
    assert_eq!(reply["result_info"], info);
    assert_eq!(reply["result"][0]["name"], "n19");
    let bare = reply["result"][5].as_object().unwrap();
    assert_eq!(bare.keys().collect::<Vec<_>>(), ["id", "script", "use_sqlite"]);

    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().ignores_paging = true);
    let reply = get(&simulator, "?page=2").await.json();
    assert_eq!(reply["result_info"], json!({ "count": 26 }));
    assert_eq!(reply["result"].as_array().unwrap().len(), 26);
}
