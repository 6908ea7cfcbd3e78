//! The list of namespaces, page by page.

use super::server::refusal;
use super::*;

fn namespaces(ids: &[&str], info: &str) -> Response {
    let rows: Vec<_> = ids.iter().map(|id| serde_json::json!({"id": id})).collect();
    let rows = serde_json::json!(rows);
    reply(
        200,
        format!(r#"{{"success":true,"result":{rows},"result_info":{info}}}"#),
    )
}

async fn list_namespaces(answers: Vec<Response>) -> (Result<Listing, Error>, Vec<String>) {
    let (server, url) = Server::start(answers).await;
    let listing = client(url).list_namespaces(&"acc".parse().unwrap()).await;
    (listing, server.paths())
}

fn ids(listing: Result<Listing, Error>) -> (Vec<String>, u32) {
    let listing = listing.unwrap();
    (
        listing
            .namespaces
            .iter()
            .map(|namespace| namespace.id.to_string())
            .collect(),
        listing.requests,
    )
}

#[tokio::test]
async fn namespaces_are_listed_to_their_end() {
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    // An empty page; a page with nothing new, from a server that ignores paging; the last page by its own account.
    let table = [
        (
            vec![
                namespaces(&["a", "b"], "{}"),
                reply(500, ""),
                namespaces(&["b", "c"], "{}"),
                namespaces(&[], "null"),
            ],
            4,
        ),
        (
            vec![
                namespaces(&["a", "b", "c"], r#"{"count":3}"#),
                namespaces(&["a", "b", "c"], r#"{"count":3}"#),
            ],
            2,
        ),
        (
            vec![
                namespaces(&["a"], r#"{"total_pages":2}"#),
                namespaces(&["b", "c"], r#"{"total_pages":2}"#),
            ],
            2,
        ),
    ];
    for (answers, requests) in table {
        let (listing, _) = list_namespaces(answers).await;
        assert_eq!(ids(listing), (owned(&["a", "b", "c"]), requests));
    }
    let (listing, paths) = list_namespaces(vec![namespaces(&[], "{}")]).await;
    assert_eq!(ids(listing), (vec![], 1));
    assert_eq!(
        paths,
        ["/client/v4/accounts/acc/workers/durable_objects/namespaces?page=1&per_page=100"]
    );
}

#[tokio::test]
async fn a_later_row_of_a_namespace_counts() {
    let row = |name| {
        reply(
            200,
            format!(r#"{{"success":true,"result":[{{"id":"b"}},{{"id":"a","name":"{name}"}}]}}"#),
        )
    };
    let (listing, _) = list_namespaces(vec![namespaces(&["a"], "{}"), row("old"), row("new")]).await;
    let namespaces = listing.unwrap().namespaces;
    assert_eq!(namespaces[0].name.as_deref(), Some("new"));
    assert_eq!(namespaces.len(), 2);
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list() {
    let (listing, _) = list_namespaces(vec![namespaces(&["a"], "{}"), refusal(403, 9109, "no")]).await;
    let error = listing.unwrap_err();
    assert_eq!((error.kind(), error.requests()), (ErrorKind::Forbidden, 2));
    assert!(
        error.to_string().starts_with("namespaces of account acc: HTTP 403: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let answers = (0..MOST_NAMESPACE_PAGES + 1)
        .map(|n| namespaces(&[&n.to_string()], "{}"))
        .collect();
    let (listing, _) = list_namespaces(answers).await;
    let error = listing.unwrap_err();
    assert_eq!(
        (error.kind(), error.requests()),
        (ErrorKind::Wrong, MOST_NAMESPACE_PAGES)
    );
    assert!(
        error.to_string().contains("the list did not end within 10000 pages"),
        "{error}"
    );
}
