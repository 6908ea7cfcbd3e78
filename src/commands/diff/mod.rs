//! `diff FROM TO`: opens both sides, compares them, and prints the differences.

mod summary;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use durable_inventory::cli::{DiffArgs, DiffFormat, FilterArgs};
use durable_inventory::config::Settings;
use durable_inventory::diff::{self, DiffError, Differences, FileSide, Limits, LineFormat, Namespaces, Operand};
use durable_inventory::diff::{Selected, Selects, Side, SnapshotPair, SnapshotSide};
use durable_inventory::export::{self, ExportError, ExportPlan, Format, Location};
use durable_inventory::model::{canonical_id, is_hex_id};
use durable_inventory::moment::Moment;
use durable_inventory::store::{ReadNamespace, Reader, Slice, Store};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::export::{check_network, dataset_store};
use super::filter::Filter;
use super::signals::stopped;
use super::store::{hold_record, nothing_recorded, until};
use crate::terminal::Failure;

/// The exit code of every error but a signal.
const TROUBLE: u8 = 2;

pub async fn run(settings: &Settings<'_>, args: &DiffArgs) -> Result<u8, Failure> {
    for operand in [&args.from, &args.to] {
        if let Operand::Place(place) = operand {
            check_network(settings, place)?;
        }
    }
    let job = Job {
        args,
        stopped: stopped()?,
    };
    let compared = match (&args.from, &args.to) {
        (Operand::Place(from), Operand::Place(to)) => job.places(from.clone(), to.clone()).await.map_err(failure),
        (from, to) => {
            let work = async |store: &Store| {
                until(&job.stopped, Filter::new(&args.filter).require_match(store)).await?;
                job.with_record(store, from, to).await.map_err(failure)
            };
            let compared = match settings.store() {
                Ok(store) => hold_record(store, 1, &job.stopped, work).await,
                Err(error) => Err(error.into()),
            };
            compared.and_then(|compared| compared.ok_or_else(nothing_recorded))
        }
    };
    let compared = compared.map_err(|failure| match failure.exit_code {
        130 => failure,
        _ => Failure {
            exit_code: TROUBLE,
            ..failure
        },
    })?;
    let differ = compared.differ();
    summary::print(args, settings.global, compared)?;
    Ok(u8::from(args.exit_code && differ))
}

fn failure(error: DiffError) -> Failure {
    let exit_code = match error {
        DiffError::Stopped | DiffError::Export(ExportError::Stopped) => 130,
        _ => TROUBLE,
    };
    Failure::new(error, exit_code)
}

/// The differences, and the namespaces that they are in.
struct Compared {
    namespaces: Namespaces,
    found: Differences,
    /// The number of namespaces that are recorded at one of the two points in time only.
    unrecorded: usize,
}

impl Compared {
    /// A namespace that only one side covers is a difference too, even though it is not counted.
    fn differ(&self) -> bool {
        self.found.tally.total().changed() > 0
            || self.unrecorded > 0
            || self.found.skipped.iter().any(|skipped| !skipped.not_covered.is_empty())
    }
}

struct Job<'a> {
    args: &'a DiffArgs,
    stopped: CancellationToken,
}

impl Job<'_> {
    fn line_format(&self) -> LineFormat {
        match self.args.format() {
            _ if self.args.combined => LineFormat::Combined,
            _ if self.args.summary => LineFormat::Nothing,
            DiffFormat::Text => LineFormat::Text,
            DiffFormat::Csv => LineFormat::Csv,
            DiffFormat::Jsonl => LineFormat::Jsonl,
        }
    }

    async fn places(&self, from: Location, to: Location) -> Result<Compared, DiffError> {
        if (&from, &to) == (&Location::Stdout, &Location::Stdout) {
            return Err(DiffError::StdinTwice);
        }
        let (from, to) = (opener(from)?, opener(to)?);
        let (format, selects) = (self.line_format(), selects(&self.args.filter, None));
        self.until_stopped(move || {
            let sides = (Side::Files(from()?), Side::Files(to()?));
            let compared = compare(sides, format, selects)?;
            match compared.namespaces.none_selected() {
                true => Err(DiffError::NothingSelected),
                false => Ok(compared),
            }
        })
        .await
    }

    async fn with_record(&self, store: &Store, from: &Operand, to: &Operand) -> Result<Compared, DiffError> {
        let compared = async {
            let reader = store.reader().await?;
            match (from, to) {
                (Operand::Moment(from), Operand::Moment(to)) => self.moments(reader, *from, *to).await,
                (Operand::Moment(moment), Operand::Place(place)) => self.mixed(reader, *moment, place, false).await,
                (Operand::Place(place), Operand::Moment(moment)) => self.mixed(reader, *moment, place, true).await,
                (Operand::Place(from), Operand::Place(to)) => self.places(from.clone(), to.clone()).await,
            }
        };
        let compared = self.stopped.run_until_cancelled(compared).await;
        compared.unwrap_or(Err(DiffError::Stopped))
    }

    async fn plan(&self, reader: &mut Reader, moment: Moment) -> Result<ExportPlan, DiffError> {
        let filter = Filter::new(&self.args.filter);
        let asked = export::Period {
            since: None,
            until: moment,
        };
        let plan = export::plan(reader, asked, |namespace| chosen(&filter, namespace)).await?;
        for note in &plan.notes {
            warn!("{note}, so it is not compared");
        }
        Ok(plan)
    }

    async fn moments(&self, mut reader: Reader, from: Moment, to: Moment) -> Result<Compared, DiffError> {
        // A snapshot's id selects its namespace, so the others are not missing from the other side.
        let of_one = [from, to].iter().any(|moment| matches!(moment, Moment::Snapshot(_)));
        let (from, to) = (self.plan(&mut reader, from).await?, self.plan(&mut reader, to).await?);
        let slices = from.slices.len() + to.slices.len();
        let mut pairs = Vec::new();
        for from in from.slices {
            let ids = |slice: &Slice| (slice.namespace.account_id.clone(), slice.namespace.namespace_id.clone());
            if let Some(to) = to.slices.iter().find(|to| ids(to) == ids(&from)).cloned() {
                pairs.push(SnapshotPair { from, to });
            }
        }
        if pairs.is_empty() {
            return Err(DiffError::NothingInCommon);
        }
        let unrecorded = if of_one { 0 } else { slices - 2 * pairs.len() };
        let (format, runtime) = (self.line_format(), Handle::current());
        self.until_stopped(move || {
            let namespaces = diff::namespaces_of(&pairs);
            let found = diff::compare_snapshots(&mut reader, &runtime, &pairs, &namespaces, format)?;
            Ok(Compared {
                namespaces,
                found,
                unrecorded,
            })
        })
        .await
    }

    /// Compares the record with files; `moment_is_to` says which side the record is.
    async fn mixed(
        &self,
        mut reader: Reader,
        moment: Moment,
        place: &Location,
        moment_is_to: bool,
    ) -> Result<Compared, DiffError> {
        let plan = self.plan(&mut reader, moment).await?;
        let known = reader.namespaces().await?;
        let selects = match moment {
            // A snapshot's id selects its namespace, among the file's rows too.
            Moment::Snapshot(_) => Some(only(&plan, known)),
            _ => selects(&self.args.filter, Some(known)),
        };
        let snapshots = Side::Snapshots(SnapshotSide::new(moment.to_string(), plan.slices, reader));
        let (open, format) = (opener(place.clone())?, self.line_format());
        self.until_stopped(move || {
            let files = Side::Files(open()?);
            let sides = if moment_is_to {
                (files, snapshots)
            } else {
                (snapshots, files)
            };
            compare(sides, format, selects)
        })
        .await
    }

    /// Runs `work` on a thread of its own until a signal asks to stop. The program's end does not wait for the thread,
    /// which may be waiting for a terminal's next line.
    async fn until_stopped<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, DiffError> + Send + 'static,
    ) -> Result<T, DiffError> {
        let (done, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(work));
            // The receiver is gone after a signal.
            let _sent = done.send(ended);
        });
        match self.stopped.run_until_cancelled(ended).await {
            Some(Ok(ended)) => ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)),
            _ => Err(DiffError::Stopped),
        }
    }
}

fn compare(
    (mut from, mut to): (Side, Side),
    format: LineFormat,
    selects: Option<Selects>,
) -> Result<Compared, DiffError> {
    let plan = diff::plan([&mut from, &mut to], format, selects)?;
    let found = diff::compare_sides([&from, &to], &plan.namespaces, format, Limits::default())?;
    let (namespaces, found) = plan.complete(found);
    Ok(Compared {
        namespaces,
        found,
        unrecorded: 0,
    })
}

/// Returns a function that opens a side. It blocks.
fn opener(place: Location) -> Result<impl FnOnce() -> Result<FileSide, DiffError> + Send + 'static, DiffError> {
    // An object store's client has to be made in the runtime.
    let (place, inside) = split(place);
    let tree = match &place {
        Location::Folder(_) | Location::Remote(_) => Some(dataset_store(&place)?),
        Location::File(_) | Location::Stdout => None,
    };
    Ok(move || match (tree, inside) {
        (None, _) => FileSide::file(&place),
        (Some(tree), Some(name)) => FileSide::file_of(&*tree, &name, format!("{place}{name}")),
        (Some(tree), None) => FileSide::folder(tree, place.to_string()),
    })
}

/// Splits the URL of a file in an object store into folder and name.
fn split(place: Location) -> (Location, Option<String>) {
    if let Location::Remote(url) = &place
        && let Some((_, name)) = url.path().rsplit_once('/')
        && Format::is_of_a_list(name)
        && let Ok(above) = url.join(".")
    {
        return (Location::Remote(above), Some(name.to_owned()));
    }
    (place, None)
}

fn chosen(filter: &Filter<'_>, namespace: &ReadNamespace) -> bool {
    filter.selects(
        &namespace.account_id,
        &namespace.namespace_id,
        namespace.name.as_deref(),
    )
}

/// Returns how --namespace and --account select rows of files, which have no names: the names are those of the record
/// or of a dataset.
fn selects(args: &FilterArgs, known: Option<Vec<ReadNamespace>>) -> Option<Selects> {
    if args.namespace.is_empty() && args.account.is_empty() {
        return None;
    }
    let args = args.clone();
    let known = known.map(Recorded::new);
    Some(Box::new(move |account, namespace, name| {
        let filter = Filter::new(&args);
        if let Some(found) = known.as_ref().and_then(|known| known.find(account, namespace)) {
            return selected(chosen(&filter, found));
        }
        let by_ids_alone = args.namespace.iter().all(|pattern| is_hex_id(&pattern.to_string()))
            && (args.account.is_empty() || account.is_some());
        match filter.selects(account.unwrap_or_default(), namespace, name) {
            false if name.is_none() && (known.is_some() || !by_ids_alone) => Selected::Unknown,
            chosen => selected(chosen),
        }
    }))
}

/// Selects the namespaces of the plan: a snapshot's id selects its namespace.
fn only(plan: &ExportPlan, known: Vec<ReadNamespace>) -> Selects {
    let chosen = Recorded::new(plan.slices.iter().map(|slice| slice.namespace.clone()).collect());
    let known = Recorded::new(known);
    Box::new(move |account, namespace, _| match known.find(account, namespace) {
        Some(_) => selected(chosen.find(account, namespace).is_some()),
        None => Selected::Unknown,
    })
}

/// Namespaces by their ids.
struct Recorded(HashMap<String, Vec<ReadNamespace>>);

impl Recorded {
    fn new(namespaces: Vec<ReadNamespace>) -> Self {
        let mut by_id: HashMap<_, Vec<_>> = HashMap::new();
        for namespace in namespaces {
            let id = canonical_id(&namespace.namespace_id).into_owned();
            by_id.entry(id).or_default().push(namespace);
        }
        Self(by_id)
    }

    fn find(&self, account: Option<&str>, namespace: &str) -> Option<&ReadNamespace> {
        let is = |there: &&ReadNamespace| account.is_none_or(|account| canonical_id(&there.account_id) == account);
        self.0.get(namespace)?.iter().find(is)
    }
}

fn selected(chosen: bool) -> Selected {
    if chosen { Selected::Yes } else { Selected::No }
}
