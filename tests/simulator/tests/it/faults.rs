use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cloudflare_simulator::{Answer, Fault, Simulator, State, When};
use serde_json::json;

use crate::client::{self, get, page, send, walk};
use crate::{ACCOUNT, service};

fn objects(namespace: &str) -> String {
    format!("/client/v4/accounts/{ACCOUNT}/workers/durable_objects/namespaces/{namespace}/objects")
}

const TOKEN: &str = "Authorization: Bearer token\r\n";

#[tokio::test]
async fn a_rule_hits_the_requests_it_names() {
    let (simulator, namespace) = service().await;
    simulator.fault(&namespace, When::Nth(2), Fault::too_many(Some("2")));
    simulator.fault(&namespace, When::From(4), Fault::Answer(Answer::html(502)));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(page(&simulator, &namespace, None, 10).await.status);
    }
    assert_eq!(statuses, [200, 429, 200, 502, 502]);
    simulator.with_namespace(&namespace, |n| n.faults.clear());
    assert_eq!(page(&simulator, &namespace, None, 10).await.status, 200);

    simulator.list_fault(ACCOUNT, When::First(1), Fault::Answer(Answer::empty_list()));
    assert_eq!(get(&simulator, "").await.json()["result"], json!([]));
    assert_eq!(get(&simulator, "").await.json()["result_info"]["count"], 1);
}

#[tokio::test]
async fn answers_of_any_kind() {
    let (simulator, namespace) = service().await;
    let fault = |fault| simulator.fault(&namespace, When::Nth(1), fault);
    fault(Fault::hook(|request| {
        (request.param("cursor") == Some("odd")).then(|| Answer::json(200, "{"))
    }));
    assert_eq!(page(&simulator, &namespace, Some("odd"), 10).await.body, "{");
    fault(Fault::Answer(Answer::redirect("http://example.com/")));
    assert_eq!(
        page(&simulator, &namespace, None, 10).await.headers["location"],
        "http://example.com/"
    );
    fault(Fault::status(503, "text/plain", "upstream connect error"));
    let reply = page(&simulator, &namespace, None, 10).await;
    assert_eq!((reply.status, reply.body.as_str()), (503, "upstream connect error"));
    fault(Fault::body("[]"));
    assert_eq!(page(&simulator, &namespace, None, 10).await.body, "[]");
    fault(Fault::json(|page| page["result"][3] = json!("odd")));
    let result = page(&simulator, &namespace, None, 10).await.json()["result"].clone();
    assert_eq!((&result[3], result.as_array().unwrap().len()), (&json!("odd"), 10));
}

#[tokio::test]
async fn connections_break_and_stall() {
    let (simulator, namespace) = service().await;
    simulator.fault(&namespace, When::Nth(1), Fault::Reset);
    assert!(send(&simulator, "GET", &objects(&namespace), TOKEN).await.is_err());

    simulator.fault(&namespace, When::Nth(1), Fault::CutBody(100));
    let reply = send(&simulator, "GET", &objects(&namespace), TOKEN).await.unwrap();
    assert_eq!(reply.body.len(), 100);
    assert!(reply.headers["content-length"].parse::<usize>().unwrap() > 50_000);

    let whole = page(&simulator, &namespace, None, 10).await.body;
    let time = Instant::now();
    simulator.fault(
        &namespace,
        When::Nth(1),
        Fault::SlowBody(200, Duration::from_millis(20)),
    );
    assert_eq!(page(&simulator, &namespace, None, 10).await.body, whole);
    assert!(time.elapsed() > Duration::from_millis(80));

    let time = Instant::now();
    simulator.fault(&namespace, When::Nth(1), Fault::Delay(Duration::from_millis(100)));
    simulator.set_latency(Duration::from_millis(50));
    assert_eq!(page(&simulator, &namespace, None, 10).await.body, whole);
    assert!(time.elapsed() > Duration::from_millis(150));
}

#[tokio::test]
async fn pages_that_mislead() {
    let (simulator, namespace) = service().await;
    let first = page(&simulator, &namespace, None, 10).await;
    let cursor = first.cursor();
    let fault = |fault| simulator.fault(&namespace, When::Nth(1), fault);

    fault(Fault::RefuseCursor);
    assert_eq!(page(&simulator, &namespace, cursor.as_deref(), 10).await.code(), 10001);
    fault(Fault::IgnoreCursor);
    assert_eq!(
        page(&simulator, &namespace, cursor.as_deref(), 10).await.body,
        first.body
    );
    fault(Fault::repeat_cursor());
    assert_eq!(
        page(&simulator, &namespace, cursor.as_deref(), 10).await.cursor(),
        cursor
    );
    fault(Fault::truncate());
    assert_eq!(
        page(&simulator, &namespace, None, 10).await.json()["result_info"],
        json!({ "count": 10, "cursor": "" })
    );
    fault(Fault::empty_end());
    assert_eq!(
        page(&simulator, &namespace, None, 10).await.json()["result_info"],
        json!({ "count": 0, "cursor": "" })
    );
    fault(Fault::no_cursor_key());
    assert_eq!(
        page(&simulator, &namespace, None, 10).await.json()["result_info"],
        json!({ "count": 10 })
    );
    fault(Fault::cursors_differ());
    let info = page(&simulator, &namespace, None, 10).await.json()["result_info"].clone();
    assert_ne!(info["cursor"], info["cursors"]["after"]);
    fault(Fault::out_of_order());
    assert!(
        page(&simulator, &namespace, None, 10)
            .await
            .rows()
            .is_sorted_by(|a, b| a.0 > b.0)
    );
    fault(Fault::wrong_count());
    assert_eq!(
        page(&simulator, &namespace, None, 10).await.json()["result_info"]["count"],
        11
    );
    fault(Fault::success_with_errors());
    let reply = page(&simulator, &namespace, None, 10).await;
    assert_eq!(
        (reply.json()["success"].clone(), reply.code()),
        (json!(true), json!(1000))
    );
}

#[tokio::test]
async fn empty_pages_in_the_middle_lose_nothing() {
    let (simulator, namespace) = service().await;
    simulator.fault(&namespace, When::First(3), Fault::EmptyMiddle);
    simulator.fault(&namespace, When::Nth(7), Fault::EmptyMiddle);
    let rows = walk(&simulator, &namespace, 500).await;
    assert_eq!(simulator.requests().len(), 9);
    assert_eq!(
        rows.into_iter().collect::<BTreeMap<_, _>>(),
        simulator.truth(&namespace)
    );
    let mut cursors: Vec<_> = simulator
        .requests()
        .iter()
        .map(|r| r.param("cursor").map(str::to_owned))
        .collect();
    cursors.sort();
    cursors.dedup();
    assert_eq!(cursors.len(), 9, "every cursor is new");
}

async fn cursors(simulator: &Simulator, namespace: &str, pages: usize) -> Vec<Option<String>> {
    let mut cursors = Vec::new();
    for _ in 0..pages {
        let cursor = cursors.last().cloned().flatten();
        cursors.push(page(simulator, namespace, cursor.as_deref(), 10).await.cursor());
    }
    cursors
}

#[tokio::test]
async fn cursors_go_round() {
    let (simulator, namespace) = service().await;
    simulator.fault(&namespace, When::Always, Fault::cursor_cycle(3));
    let handed_out = cursors(&simulator, &namespace, 7).await;
    assert_eq!(handed_out[..3], handed_out[3..6]);
    assert_eq!(handed_out[6], handed_out[0]);
    assert_ne!(handed_out[0], handed_out[1]);

    let empty = simulator.add_namespace(ACCOUNT, "empty");
    simulator.fault(&empty, When::Always, Fault::EmptyMiddle);
    simulator.fault(&empty, When::Always, Fault::cursor_cycle(2));
    let handed_out = cursors(&simulator, &empty, 5).await;
    let distinct: std::collections::BTreeSet<_> = handed_out.iter().collect();
    assert_eq!(distinct.len(), 2);
}

#[tokio::test]
async fn a_test_can_stop_the_server_at_a_request() {
    let (simulator, namespace) = service().await;
    let hold = simulator.hold_at(&namespace, 3);
    let walked = async { walk(&simulator, &namespace, 1_000).await.len() };
    let change = async {
        hold.wait_until_held().await;
        assert_eq!(simulator.requests().len(), 3);
        simulator.put_object(&namespace, [255; 32], Some(true));
        hold.release();
    };
    assert_eq!(tokio::join!(walked, change).0, 2_346);
}

#[tokio::test]
async fn a_dropped_simulator_answers_no_more() {
    let (simulator, namespace) = service().await;
    let base_url = simulator.base_url();
    let port = base_url
        .trim_end_matches("/client/v4")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        Simulator::serve(State::default(), port).await.is_err(),
        "the port is in use"
    );

    let hold = simulator.hold_at(&namespace, 1);
    let path = objects(&namespace);
    let held = tokio::spawn(async move { client::send_to(&base_url, "GET", &path, TOKEN).await });
    hold.wait_until_held().await;
    assert_eq!(simulator.requests_to(&namespace)[0].status, None);
    drop(simulator);
    assert!(held.await.unwrap().is_err(), "its connections are closed");

    // A second service on the same port simulates one that comes back.
    let again = async {
        loop {
            match Simulator::serve(State::default(), port).await {
                Ok(simulator) => return simulator,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
    again.add_account(ACCOUNT, "token");
    assert_eq!(page(&again, &namespace, None, 10).await.status, 404);
}
