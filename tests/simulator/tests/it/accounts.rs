use cloudflare_simulator::Simulator;
use serde_json::json;

use crate::ACCOUNT;
use crate::client::{Reply, send};

async fn accounts(simulator: &Simulator, token: &str, query: &str) -> Reply {
    let path = format!("/client/v4/accounts{query}");
    let header = format!("Authorization: Bearer {token}\r\n");
    send(simulator, "GET", &path, &header).await.unwrap()
}

#[tokio::test]
async fn accounts_are_listed_per_token_and_in_pages() {
    let simulator = Simulator::start().await;
    simulator.add_account(ACCOUNT, "token");
    simulator.name_account(ACCOUNT, "Mine");
    let reply = accounts(&simulator, "token", "").await.json();
    assert_eq!(
        reply["result"],
        json!([{ "id": ACCOUNT, "name": "Mine", "type": "standard" }])
    );
    for n in 0..60 {
        simulator.add_account(&format!("{n:032x}"), "another");
    }
    let reply = accounts(&simulator, "another", "?page=2&per_page=50").await.json();
    assert_eq!(reply["result"].as_array().unwrap().len(), 10);
    assert_eq!(reply["result_info"]["total_count"], 60);
    assert_eq!(accounts(&simulator, "token", "?per_page=51").await.status, 400);
    assert_eq!(accounts(&simulator, "unknown", "").await.status, 401);
    assert_eq!(
        send(&simulator, "GET", "/client/v4/accounts", "").await.unwrap().status,
        400
    );
}
