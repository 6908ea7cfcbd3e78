//! Promise 9: once faults stop, the next run records everything, and requests little more than the pages that are left.
//! No namespace waits for another one's fault.

use std::sync::Arc;

use anyhow::{Context, ensure};
use cloudflare_simulator::{CursorKey, Namespace, Simulator};
use durable_inventory::sync::{NamespaceOutcome, Status};
use sqlx::PgConnection;

use super::coverage::Coverage;
use super::record::Snapshot;
use super::run::LIMIT;

/// Requests for a namespace besides its pages.
const SPARE: u64 = 5;
/// The whole list and one more page of it, twice.
const MOST_LISTS: usize = 4;

/// The only reasons for which a walk may begin again instead of being resumed. Each is written by the program.
const MAY_BEGIN_AGAIN: [&str; 8] = [
    "the end can't be proven",
    "the API's ids do not ascend",
    "does not resume at the checkpoint",
    "a crash of the database emptied",
    "--resume-within",
    "a newer snapshot was published",
    "was resumed in two runs",
    "another version of the program",
];

/// A full last page without a cursor can't be proven to be the last if it has fewer than a hundred rows.
pub fn is_unprovable(namespace: &Namespace) -> bool {
    let objects = namespace.objects().len();
    namespace.cursor_key == CursorKey::AbsentAtEnd && objects > 0 && objects.is_multiple_of(u64::from(LIMIT))
}

/// Checks the first run without faults: what it requested, and which committed pages it requested again.
pub async fn check_requests(
    session: &mut PgConnection,
    simulator: &Arc<Simulator>,
    namespace: &str,
    before: &[Snapshot],
    after: &[Snapshot],
    coverage: &Coverage,
) -> anyhow::Result<()> {
    let newest = before.iter().map(|snapshot| snapshot.id).max().unwrap_or(0);
    let begun = after
        .iter()
        .filter(|s| s.namespace == namespace && s.id > newest)
        .count() as u64;
    let unfinished = before.iter().find(|s| s.namespace == namespace && s.is_unfinished());
    let mut committed = 0;
    if let Some(old) = unfinished {
        let (resumed, pages, error): (i64, i64, Option<String>) =
            sqlx::query_as("select resumed, pages, error from inventory.snapshots where snapshot_id = $1")
                .bind(old.id)
                .fetch_one(&mut *session)
                .await?;
        if resumed > old.resumed {
            coverage.count("walks resumed once faults had stopped");
            committed = old.pages as u64;
        }
        let is_over = pages == old.pages && begun > 0;
        let why = error.unwrap_or_default();
        ensure!(
            !is_over || MAY_BEGIN_AGAIN.iter().any(|reason| why.contains(reason)),
            "committed pages are requested again, because: {why:?}"
        );
    }
    // An unfinished walk may have been resumed before another one began.
    let walks = begun + u64::from(unfinished.is_some());
    let pages = simulator.with_namespace(namespace, |n| n.objects().len()) / u64::from(LIMIT) + 1;
    let sent = simulator.requests_to(namespace).len() as u64;
    // A walk may have committed more pages than there are by now.
    let most = (walks.max(1) * pages).saturating_sub(committed) + SPARE;
    ensure!(
        sent <= most,
        "{sent} requests where {most} are enough: {pages} pages, {committed} of them committed, {walks} walks"
    );
    Ok(())
}

pub fn check_lists(simulator: &Simulator, account: &str) -> anyhow::Result<()> {
    let list = format!("/accounts/{account}/workers/durable_objects/namespaces");
    let lists = simulator
        .requests()
        .iter()
        .filter(|request| request.path.ends_with(&list))
        .count();
    ensure!(lists <= MOST_LISTS, "{lists} requests for the namespace list");
    Ok(())
}

/// A namespace that nothing went wrong with is recorded, whatever happens to the others.
pub fn check_independence(outcomes: &[NamespaceOutcome], namespace: &str) -> anyhow::Result<()> {
    let outcome = outcomes.iter().find(|outcome| outcome.namespace.as_str() == namespace);
    let outcome = outcome.with_context(|| format!("{namespace} has no outcome"))?;
    let status = outcome.status;
    ensure!(
        matches!(status, Status::Complete | Status::Held),
        "{namespace} is {status:?} because of other namespaces' faults: {:?}",
        outcome.error
    );
    Ok(())
}
