//! Authentication and the rate limit.

use std::time::Duration;

use cloudflare_simulator::Quota;
use serde_json::json;

use crate::client::{get, page, send};
use crate::{ACCOUNT, service};

#[tokio::test]
async fn callers_are_refused_as_cloudflare_does() {
    let (simulator, _) = service().await;
    simulator.add_key(ACCOUNT, "a@example.com", "key");
    simulator.add_account("ffffffffffffffffffffffffffffffff", "other");
    let cases = [
        (ACCOUNT, "", 400, 9106),
        (ACCOUNT, "Authorization: token\r\n", 400, 6003),
        (ACCOUNT, "Authorization: Bearer wrong\r\n", 401, 10000),
        (ACCOUNT, "Authorization: Bearer other\r\n", 403, 9109),
        ("not-hex", "Authorization: Bearer token\r\n", 404, 7003),
        (
            "00000000000000000000000000000000",
            "Authorization: Bearer token\r\n",
            403,
            9109,
        ),
        (
            ACCOUNT,
            "X-Auth-Email: a@example.com\r\nX-Auth-Key: wrong\r\n",
            401,
            10000,
        ),
    ];
    for (account, headers, status, code) in cases {
        let path = format!("/client/v4/accounts/{account}/workers/durable_objects/namespaces");
        let reply = send(&simulator, "GET", &path, headers).await.unwrap();
        assert_eq!(
            (reply.status, reply.code()),
            (status, json!(code)),
            "{account} {headers}"
        );
    }
    let path = format!("/client/v4/accounts/{ACCOUNT}/workers/durable_objects/namespaces");
    let pair = "X-Auth-Email: a@example.com\r\nX-Auth-Key: key\r\n";
    assert_eq!(send(&simulator, "GET", &path, pair).await.unwrap().status, 200);
    let reply = get(&simulator, "/nothing/objects").await;
    assert_eq!((reply.status, reply.code()), (404, json!(10066)));
}

#[tokio::test]
async fn the_quota_is_kept_and_every_request_is_recorded() {
    let (simulator, namespace) = service().await;
    let window = Duration::from_secs(1);
    simulator.set_quota(Some(Quota {
        block: Duration::from_secs(2),
        ..Quota::new(3, window)
    }));
    for remaining in [2, 1, 0] {
        let reply = page(&simulator, &namespace, None, 10).await;
        assert_eq!(reply.headers["ratelimit"], format!(r#""default";r={remaining};t=1"#));
        assert_eq!(reply.headers["ratelimit-policy"], r#""default";q=3;w=1"#);
    }
    let reply = page(&simulator, &namespace, None, 10).await;
    assert_eq!((reply.status, reply.code()), (429, json!(971)));
    assert_eq!(reply.headers["retry-after"], "2");
    // The window is free again, but the block is still in force.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(page(&simulator, &namespace, None, 10).await.status, 429);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(page(&simulator, &namespace, None, 10).await.status, 200);

    assert_eq!((simulator.requests().len(), simulator.refused()), (6, 2));
    assert_eq!(simulator.max_in_window(window), 4);
    let first = &simulator.requests()[0];
    assert!(first.path.ends_with(&format!("/{namespace}/objects")));
    assert_eq!((first.method.as_str(), first.query.as_str()), ("GET", "limit=10"));
    assert_eq!(first.authorization.as_deref(), Some("Bearer token"));
}

#[tokio::test]
async fn without_a_block_a_request_is_refused_while_the_window_is_full() {
    let (simulator, namespace) = service().await;
    let quota = Quota {
        block: Duration::ZERO,
        retry_after: false,
        headers: false,
        ..Quota::new(1, Duration::from_millis(500))
    };
    simulator.set_quota(Some(quota));
    assert_eq!(page(&simulator, &namespace, None, 10).await.status, 200);
    let reply = page(&simulator, &namespace, None, 10).await;
    assert_eq!(reply.status, 429);
    assert!(!reply.headers.contains_key("retry-after") && !reply.headers.contains_key("ratelimit"));
    tokio::time::sleep(Duration::from_millis(550)).await;
    assert_eq!(page(&simulator, &namespace, None, 10).await.status, 200);
}
