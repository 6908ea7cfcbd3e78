//! `namespaces`: lists the recorded namespaces, or decides about those that vanished.

use durable_inventory::cli::{NamespaceDecision, NamespacesArgs, OutputFormat, SyncArgs};
use durable_inventory::config::Settings;
use durable_inventory::documents::NamespaceLine;
use durable_inventory::model::AccountId;
use durable_inventory::store::NamespaceRecord;
use durable_inventory::sync::{self, MissingVerdict};
use durable_inventory::text::{count, shown, visible};

use super::connections::connect;
use super::filter::Filter;
use super::signals::stopped;
use super::store::{nothing_recorded, nothing_to_show, until, with_record};
use crate::terminal::table::ColumnKind::{Left, Name, Right};
use crate::terminal::table::{Heading, number, table};
use crate::terminal::times::for_people;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>, args: &NamespacesArgs) -> Result<u8, Failure> {
    if let Some(decision) = &args.decision {
        return decide(settings, decision).await;
    }
    let filter = Filter::new(&args.filter);
    let recorded = with_record(settings.store()?, 2, async |store| {
        filter.require_match(store).await?;
        store.namespaces().await.map_err(|error| Failure::new(error, 1))
    });
    let mut rows = recorded.await?.unwrap_or_default();
    rows.retain(|row| filter.selects_record(row));
    let text = match args.output.format() {
        OutputFormat::Json => terminal::json_lines(rows.iter().map(NamespaceLine::from))?,
        OutputFormat::Text if rows.is_empty() => nothing_to_show(),
        OutputFormat::Text => as_text(&rows),
    };
    terminal::out(&text)?;
    Ok(0)
}

const COLUMNS: [Heading; 9] = [
    ("account", Left),
    ("namespace", Left),
    ("name", Name),
    ("script", Name),
    ("class", Name),
    ("objects", Right),
    ("with data", Right),
    ("recorded at", Left),
    ("missing since", Left),
];

/// The name usually has script and class in it. The namespace's id stays, as commands take it.
const GIVE_WAY: [&str; 7] = [
    "script",
    "class",
    "with data",
    "recorded at",
    "account",
    "objects",
    "missing since",
];

/// The account's column is left out if all rows have the same: its 32 digits push the rest off a terminal.
fn as_text(rows: &[NamespaceRecord]) -> String {
    let several = rows.windows(2).any(|two| two[0].account_id != two[1].account_id);
    let first = usize::from(!several);
    table(
        &COLUMNS[first..],
        &GIVE_WAY,
        rows.iter().map(|row| cells(row).split_off(first)),
    )
}

fn cells(row: &NamespaceRecord) -> Vec<String> {
    let newest = row.published;
    let text = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
    vec![
        row.account_id.clone(),
        shown(&row.namespace_id),
        text(&row.name),
        text(&row.script),
        text(&row.class),
        newest.map(|newest| number(newest.objects)).unwrap_or_default(),
        newest.map(|newest| number(newest.with_data)).unwrap_or_default(),
        newest.map(|newest| for_people(newest.recorded_at)).unwrap_or_default(),
        missing(row),
    ]
}

/// A missing namespace without objects was retired; `report` draws the same line.
fn missing(row: &NamespaceRecord) -> String {
    match (row.missing_since, row.published.map_or(0, |newest| newest.objects)) {
        (None, _) => String::new(),
        (Some(_), 0) => "retired".to_owned(),
        (Some(since), _) => for_people(since),
    }
}

async fn decide(settings: &Settings<'_>, decision: &NamespaceDecision) -> Result<u8, Failure> {
    match decision {
        NamespaceDecision::Retire { namespace, account } => retire(settings, namespace, account.as_ref()).await,
        NamespaceDecision::AcceptMissing { namespaces } => accept_missing(settings, namespaces).await,
    }
}

/// Exits 1 if a namespace was not marked.
async fn accept_missing(settings: &Settings<'_>, ids: &[String]) -> Result<u8, Failure> {
    let (config, accounts) = until(&stopped()?, connect(settings, &SyncArgs::default())).await?;
    let accounts: Vec<_> = accounts.into_iter().map(|(account, _)| account).collect();
    let decided = with_record(config.store, 3, async |store| {
        sync::accept_missing(store, &accounts, ids)
            .await
            .map_err(|error| Failure::new(error, 1))
    })
    .await?
    .ok_or_else(nothing_recorded)?;
    let mut text = String::new();
    for (name, verdict) in &decided {
        let name = shown(name);
        text.push_str(&match verdict {
            MissingVerdict::Marked => format!("{name} is marked as missing; its recorded objects are kept\n"),
            MissingVerdict::Listed => format!("{name} is not marked: the account lists it again\n"),
            MissingVerdict::Found => format!("{name} is not marked: it is not listed, but its objects can be read\n"),
            MissingVerdict::Unknown(why) => format!("{name} is not marked: {}\n", visible(why)),
        });
    }
    if decided.is_empty() {
        text.push_str("no namespace is waiting to be marked as missing\n");
    }
    terminal::out(&text)?;
    let is_marked = |(_, verdict): &(String, MissingVerdict)| matches!(verdict, MissingVerdict::Marked);
    Ok(u8::from(!decided.iter().all(is_marked)))
}

async fn retire(settings: &Settings<'_>, namespace: &str, account: Option<&AccountId>) -> Result<u8, Failure> {
    let (name, objects) = with_record(settings.store()?, 3, async |store| {
        sync::retire(store, namespace, account.cloned().as_slice())
            .await
            .map_err(|error| Failure::new(error, 1))
    })
    .await?
    .ok_or_else(nothing_recorded)?;
    terminal::out(&format!(
        "{} is retired; recorded as removed: {}\n",
        shown(&name),
        count(objects, "object")
    ))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use durable_inventory::store::{LeaseNumber, PublishedRecord};
    use time::OffsetDateTime;

    use super::*;

    fn row(account: &str) -> NamespaceRecord {
        NamespaceRecord {
            key: 1,
            lease: LeaseNumber::default(),
            account_id: account.to_owned(),
            namespace_id: "5fd1caff".to_owned(),
            name: None,
            script: None,
            class: None,
            use_sqlite: None,
            preview: None,
            first_seen_at: OffsetDateTime::UNIX_EPOCH,
            missing_since: None,
            published: None,
        }
    }

    #[test]
    fn the_account_is_a_column_only_if_there_are_several() {
        let one = as_text(&[row("a"), row("a")]);
        assert!(one.starts_with("namespace") && one.contains("\n5fd1caff"), "{one}");
        let two = as_text(&[row("a"), row("b")]);
        assert!(two.starts_with("account") && two.contains("\nb "), "{two}");
    }

    #[test]
    fn a_missing_namespace_without_objects_is_retired() {
        let gone = |objects| NamespaceRecord {
            missing_since: Some(OffsetDateTime::UNIX_EPOCH),
            published: Some(PublishedRecord {
                snapshot_id: 1,
                recorded_at: OffsetDateTime::UNIX_EPOCH,
                objects,
                with_data: 0,
                unknown: 0,
                baseline_snapshot: 1,
                recorded_since: OffsetDateTime::UNIX_EPOCH,
                horizon: None,
                horizon_snapshot: None,
            }),
            ..row("a")
        };
        assert_eq!(missing(&gone(0)), "retired");
        assert_eq!(missing(&gone(1)), "1970-01-01 00:00:00Z");
        assert_eq!(missing(&row("a")), "");
    }
}
