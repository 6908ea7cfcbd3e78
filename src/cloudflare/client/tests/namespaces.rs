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

async fn list_namespaces(answers: Vec<Response>) -> (Result<NamespaceListing, Error>, Vec<String>) {
    let (server, url) = Server::start(answers).await;
    let listing = client(url).list_namespaces(&"acc".parse().unwrap()).await;
    (listing, server.paths())
}

fn ids(listing: Result<NamespaceListing, Error>) -> (Vec<String>, u32) {
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

fn doubt(listing: &Result<NamespaceListing, Error>) -> Option<&str> {
    listing.as_ref().unwrap().doubt.as_deref()
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
                namespaces(&["c"], "{}"),
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
                namespaces(&["a"], r#"{"total_count":3,"total_pages":2}"#),
                namespaces(&["b", "c"], r#"{"total_count":3,"total_pages":2}"#),
            ],
            2,
        ),
    ];
    for (answers, requests) in table {
        let (listing, _) = list_namespaces(answers).await;
        assert_eq!(doubt(&listing), None);
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
            format!(
                r#"{{"success":true,"result":[{{"id":"b"}},{{"id":"a","name":"{name}"}}],"result_info":{{"total_count":2}}}}"#
            ),
        )
    };
    let (listing, _) = list_namespaces(vec![namespaces(&["a"], "{}"), row("old"), row("new")]).await;
    let namespaces = listing.unwrap().namespaces;
    assert_eq!(namespaces[0].name.as_deref(), Some("new"));
    assert_eq!(namespaces.len(), 2);
}

#[tokio::test]
async fn a_list_that_breaks_off_is_doubtful() {
    let (listing, paths) = list_namespaces(vec![namespaces(&["a"], "{}"), refusal(400, 6008, "no")]).await;
    assert!(
        doubt(&listing)
            .is_some_and(|why| why.starts_with("page 2 could not be read: namespaces of account acc: HTTP 400")),
        "{listing:?}"
    );
    assert_eq!((ids(listing), paths.len()), ((vec!["a".to_owned()], 2), 2));
    // Both totals say that there is no such page.
    let full: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let full: Vec<_> = full.iter().map(String::as_str).collect();
    let first = namespaces(&full, r#"{"total_count":100,"total_pages":1}"#);
    let (listing, _) = list_namespaces(vec![first, refusal(400, 1, "no such page")]).await;
    assert_eq!(doubt(&listing), None);

    let (listing, _) = list_namespaces(vec![refusal(403, 9109, "no")]).await;
    let error = listing.unwrap_err();
    assert_eq!((error.kind(), error.requests()), (ErrorKind::Forbidden, 1));
}

#[tokio::test]
async fn a_refused_page_size_is_changed() {
    let refused = || refusal(400, 6008, "per_page is out of range");
    let base = "/client/v4/accounts/acc/workers/durable_objects/namespaces";
    let last = || namespaces(&["a"], r#"{"total_count":1,"total_pages":1}"#);
    for (answers, expected) in [
        (vec![refused(), last()], &["?page=1&per_page=100", ""][..]),
        (
            vec![refused(), refused(), last()],
            &["?page=1&per_page=100", "", "?page=1&per_page=50"],
        ),
        (
            vec![refused(), refused(), refused(), last()],
            &["?page=1&per_page=100", "", "?page=1&per_page=50", "?page=1&per_page=20"],
        ),
    ] {
        let (listing, paths) = list_namespaces(answers).await;
        assert_eq!(doubt(&listing), None);
        assert_eq!(ids(listing), (vec!["a".to_owned()], expected.len() as u32));
        let expected: Vec<_> = expected.iter().map(|query| format!("{base}{query}")).collect();
        assert_eq!(paths, expected);
    }
    // If all are refused, the first refusal says why.
    let all = vec![refusal(400, 1, "first"), refused(), refused(), refused()];
    let (listing, paths) = list_namespaces(all).await;
    let error = listing.unwrap_err();
    assert_eq!((error.kind(), paths.len()), (ErrorKind::Wrong, 4));
    assert!(error.to_string().contains("first"), "{error}");
    // Nothing else is tried after a refusal of the credentials.
    let (listing, paths) = list_namespaces(vec![refused(), refusal(403, 9109, "no")]).await;
    assert!(listing.unwrap_err().to_string().contains("per_page"));
    assert_eq!(paths.len(), 2);
}

/// A namespace created or deleted between two pages makes the numbers of one listing disagree.
#[tokio::test]
async fn a_doubtful_list_is_requested_again() {
    let moving = || {
        vec![
            namespaces(&["a", "b"], r#"{"total_count":2,"count":1}"#),
            namespaces(&[], "{}"),
        ]
    };
    let still = namespaces(&["b", "c"], r#"{"total_count":2,"total_pages":1,"count":2}"#);
    let mut answers = moving();
    answers.push(still);
    let (listing, _) = list_namespaces(answers).await;
    assert_eq!(doubt(&listing), None);
    assert_eq!(
        ids(listing),
        (vec!["b".to_owned(), "c".to_owned()], 3),
        "the second one alone counts"
    );

    let mut answers = moving();
    answers.extend([namespaces(&["c"], r#"{"total_count":2}"#), namespaces(&[], "{}")]);
    let (listing, _) = list_namespaces(answers).await;
    assert_eq!(doubt(&listing), Some("it lists 1, but its total_count is 2"));
    assert_eq!(ids(listing), (["a", "b", "c"].map(str::to_owned).to_vec(), 4));

    let mut answers = moving();
    answers.push(refusal(400, 6008, "no"));
    let (listing, _) = list_namespaces(answers).await;
    assert!(
        doubt(&listing).is_some_and(|why| why.contains("count of page 1")),
        "{listing:?}"
    );
    assert_eq!(ids(listing).1, 3);
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let answers = (0..MOST_LIST_PAGES + 1)
        .map(|n| namespaces(&[&n.to_string()], "{}"))
        .collect();
    let (listing, _) = list_namespaces(answers).await;
    let error = listing.unwrap_err();
    assert_eq!((error.kind(), error.requests()), (ErrorKind::Wrong, MOST_LIST_PAGES));
    assert!(
        error.to_string().contains("the list did not end within 10000 pages"),
        "{error}"
    );
}
