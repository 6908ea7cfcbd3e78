//! `prune`: drops history before the retention limit, and reports how much that was or would be.

use durable_inventory::cli::{OutputFormat, PruneArgs};
use durable_inventory::config::Settings;
use durable_inventory::documents::PruneDocument;
use durable_inventory::prune::{self, Dropped, Outcome, Pruned, PrunedNamespace};
use durable_inventory::text::{count, shown};
use tracing::warn;

use super::filter::Filter;
use super::store::{nothing_to_show, with_record};
use crate::terminal::look::Look;
use crate::terminal::table::ColumnKind::{Left, Name, Right};
use crate::terminal::table::{Heading, number, table};
use crate::terminal::times::for_people;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>, args: &PruneArgs) -> Result<u8, Failure> {
    let filter = Filter::new(&args.filter);
    let pruned = with_record(settings.store()?, 2, async |store| {
        filter.require_match(store).await?;
        let work = async {
            let asked = prune::Settings {
                before: store.moment_ago(args.older_than).await?,
                dry_run: args.dry_run,
                batch: prune::BATCH,
            };
            prune::prune(store, &asked, |namespace| filter.selects_record(namespace)).await
        };
        work.await.map_err(|error| Failure::new(error, 1))
    });
    let pruned = pruned.await?.unwrap_or_default();
    let text = match args.output.format() {
        OutputFormat::Json => terminal::json(PruneDocument::new(&pruned, args.dry_run))?,
        OutputFormat::Text if pruned.namespaces.is_empty() => nothing_to_show(),
        OutputFormat::Text => as_text(&pruned, args.dry_run),
    };
    terminal::out(&text)?;
    refuse_silence(&pruned)
}

/// Skipping a busy namespace now and then does no harm. Skipping all of them is an error: if every prune coincides with
/// a run, history is never dropped.
fn refuse_silence(pruned: &Pruned) -> Result<u8, Failure> {
    let busy = pruned.namespaces.iter().filter(|n| n.outcome == Outcome::Busy);
    for namespace in busy.clone() {
        warn!(
            "{} is skipped, because a run is syncing it: the next prune will include it",
            shown_label(namespace)
        );
    }
    match busy.count() {
        busy if busy > 0 && busy == pruned.namespaces.len() => Err(Failure {
            message: "nothing was pruned, because a run is syncing every namespace: prune again when it has \
                      finished"
                .to_owned(),
            exit_code: 1,
        }),
        _ => Ok(0),
    }
}

const COLUMNS: [Heading; 5] = [
    ("namespace", Name),
    ("horizon", Left),
    ("intervals", Right),
    ("snapshots", Right),
    ("leftovers", Right),
];

const GIVE_WAY: [&str; 3] = ["leftovers", "snapshots", "intervals"];

fn as_text(pruned: &Pruned, dry_run: bool) -> String {
    let touched = pruned
        .namespaces
        .iter()
        .filter(|n| n.outcome != Outcome::Pruned(Dropped::default()));
    let mut text = match touched.clone().count() {
        0 => String::new(),
        _ => table(&COLUMNS, &GIVE_WAY, touched.map(cells)),
    };
    let sum = |of: fn(&Dropped) -> u64, thing| count(dropped(pruned).map(of).sum(), thing);
    let dropped = format!(
        "{} {}, {}, {} and {}\n",
        if dry_run { "would delete" } else { "deleted" },
        sum(|dropped| dropped.intervals, "interval"),
        sum(|dropped| dropped.snapshots, "snapshot"),
        sum(|dropped| dropped.leftovers, "leftover row"),
        count(pruned.runs, "run")
    );
    text.push_str(&Look::stdout().wrapped(&dropped, 2));
    text
}

fn cells(namespace: &PrunedNamespace) -> Vec<String> {
    let label = shown_label(namespace);
    match namespace.outcome {
        Outcome::Busy => vec![label, "busy".to_owned(), String::new(), String::new(), String::new()],
        Outcome::Pruned(dropped) => vec![
            label,
            dropped
                .horizon
                .map(|horizon| for_people(horizon.at))
                .unwrap_or_default(),
            number(dropped.intervals),
            number(dropped.snapshots),
            number(dropped.leftovers),
        ],
    }
}

fn shown_label(namespace: &PrunedNamespace) -> String {
    shown(namespace.namespace.label())
}

fn dropped(pruned: &Pruned) -> impl Iterator<Item = &Dropped> {
    pruned
        .namespaces
        .iter()
        .filter_map(|namespace| match &namespace.outcome {
            Outcome::Pruned(dropped) => Some(dropped),
            Outcome::Busy => None,
        })
}
