use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use cloudflare_simulator::{DEMO_ACCOUNT, Flag, Id, Simulator, State};
use serde_json::{Value, json};

use crate::client::send;
use crate::service;

async fn demo() -> Simulator {
    Simulator::serve(State::demo(), 0).await.unwrap()
}

async fn post(simulator: &Simulator, path: &str) -> Value {
    send(simulator, "POST", path, "Content-Length: 0\r\n")
        .await
        .unwrap()
        .json()
}

fn everything(simulator: &Simulator) -> BTreeMap<String, BTreeMap<Id, Flag>> {
    simulator.with(|state| {
        state
            .namespaces
            .iter()
            .map(|n| (n.id.clone(), n.objects().to_map()))
            .collect()
    })
}

fn counted(before: &BTreeMap<Id, Flag>, after: &BTreeMap<Id, Flag>) -> [usize; 4] {
    let from_to = |from, to| {
        after
            .iter()
            .filter(|(id, flag)| **flag == to && before.get(*id) == Some(&from))
            .count()
    };
    let created = after.keys().filter(|id| !before.contains_key(*id)).count();
    let removed = before.keys().filter(|id| !after.contains_key(*id)).count();
    [
        created,
        removed,
        from_to(Some(false), Some(true)),
        from_to(Some(true), Some(false)),
    ]
}

#[tokio::test]
async fn passing_time_says_exactly_what_it_changed() {
    let simulator = demo().await;
    for path in ["/control/pass-time", "/control/pass-time?days=7", "/control/pass-time"] {
        let before = everything(&simulator);
        let passed = post(&simulator, path).await;
        let after = everything(&simulator);
        let said: BTreeMap<&str, [usize; 4]> = passed["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| {
                let number = |key: &str| change[key].as_u64().unwrap() as usize;
                (
                    change["id"].as_str().unwrap(),
                    ["created", "removed", "data_gained", "data_lost"].map(number),
                )
            })
            .collect();
        let kept = before
            .iter()
            .filter_map(|(id, objects)| Some((id.as_str(), counted(objects, after.get(id)?))));
        assert_eq!(said, kept.filter(|(_, change)| *change != [0; 4]).collect());
        assert_eq!(said.len(), 2);
        let missing = |from: &BTreeMap<String, _>, other: &BTreeMap<String, _>| -> Vec<String> {
            from.keys().filter(|id| !other.contains_key(*id)).cloned().collect()
        };
        assert_eq!(passed["vanished"], json!(missing(&before, &after)));
        assert_eq!(passed["appeared"], json!(missing(&after, &before)));
    }
}

#[tokio::test]
async fn time_passes_in_the_same_way_every_time() {
    let (one, other) = (demo().await, demo().await);
    let passed = post(&one, "/control/pass-time?days=3").await;
    assert_eq!(post(&other, "/control/pass-time?days=3").await, passed);
    assert_eq!(everything(&one), everything(&other));
    assert_eq!(passed["day"], 3);
}

#[tokio::test]
async fn the_demonstration_has_every_shape() {
    let simulator = demo().await;
    let path = format!("/client/v4/accounts/{DEMO_ACCOUNT}/workers/durable_objects/namespaces");
    let list = send(&simulator, "GET", &path, "Authorization: Bearer demo-token\r\n")
        .await
        .unwrap()
        .json();
    let sizes: Vec<usize> = everything(&simulator).values().map(BTreeMap::len).collect();
    assert_eq!(list["result_info"]["total_count"], sizes.len());
    assert!(
        [0, 12, 40, 2_500, 10_000, 100_000]
            .iter()
            .all(|size| sizes.contains(size))
    );
    assert_eq!(list["result"][4]["preview"]["slug"], "pr-1");
}

#[tokio::test]
async fn churn_is_a_share_of_the_objects() {
    let (simulator, namespace) = service().await;
    let before = simulator.truth(&namespace);
    let path = format!("/control/churn?namespace={namespace}&added=2&removed=1&flipped=4");
    let change = post(&simulator, &path).await;
    assert_eq!(
        (change["created"].clone(), change["removed"].clone()),
        (json!(47), json!(23))
    );
    let [.., gained, lost] = counted(&before, &simulator.truth(&namespace));
    assert_eq!(
        (change["data_gained"].clone(), change["data_lost"].clone()),
        (json!(gained), json!(lost))
    );
    let unknown = send(
        &simulator,
        "POST",
        "/control/churn?namespace=x",
        "Content-Length: 0\r\n",
    )
    .await
    .unwrap();
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_month_has_its_arrivals_and_departures() {
    let simulator = Simulator::serve(State::demo_month(), 0).await.unwrap();
    let came_and_went =
        |passed: &Value| [&passed["appeared"], &passed["vanished"]].map(|ids| ids.as_array().unwrap().len());
    let passed = post(&simulator, "/control/pass-time?days=30").await;
    assert_eq!(came_and_went(&passed), [3, 1]);
    let passed = post(&simulator, "/control/pass-time").await;
    assert_eq!(came_and_went(&passed), [0, 1]);
    assert_eq!(passed["namespaces"].as_array().unwrap().len(), 3);
}

/// A script that is killed closes its end of the pipe, and can do no more than that.
#[test]
fn the_server_ends_with_its_stdin() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_cloudflare-simulator"))
        .args(["--demo", "--until-eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    // Open to the end: the server prints its account, too.
    let mut printed = BufReader::new(server.stdout.take().unwrap());
    printed.read_line(&mut address).unwrap();
    assert!(address.starts_with("listening on "), "{address}");
    assert_eq!(server.try_wait().unwrap(), None);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}
