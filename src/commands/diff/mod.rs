//! `diff FROM TO`: opens both sides, has them compared, and tells what was found.

mod summary;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durable_inventory::cli::{DiffArgs, DiffFormat, FilterArgs, GlobalArgs};
use durable_inventory::config::Settings;
use durable_inventory::diff::{self, Asked, DiffError, Files, Found, Limits, Listing, MomentPair, Owners};
use durable_inventory::diff::{Selected, Selects, Side, Stored};
use durable_inventory::export::{self, ExportError, ExportPlan, Format, Location};
use durable_inventory::model::{canonical_id, is_hex_id};
use durable_inventory::moment::Moment;
use durable_inventory::store::{ReadNamespace, Reader, Slice, Store};
use tracing::warn;

use super::Failure;
use super::export::{blocking, dataset_store, stopped};
use super::filter::Filter;
use super::store::with_store;

/// Whatever goes wrong, scripts are told that nothing was compared.
const TROUBLE: u8 = 2;

pub async fn run(settings: &Settings<'_>, global: &GlobalArgs, args: &DiffArgs) -> Result<u8, Failure> {
    let job = Job { args };
    let compared = match (&args.from, &args.to) {
        (Asked::Place(from), Asked::Place(to)) => job.places(from.clone(), to.clone()).await.map_err(failure),
        (from, to) => {
            let work = async |store: &Store| job.with_record(store, from, to).await.map_err(failure);
            match settings.store() {
                Ok(store) => with_store(store, global, 1, work).await,
                Err(error) => Err(error.into()),
            }
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
    summary::tell(args, global, compared)?;
    Ok(u8::from(args.exit_code && differ))
}

fn failure(error: DiffError) -> Failure {
    let exit_code = match error {
        DiffError::Stopped | DiffError::Export(ExportError::Stopped) => 130,
        _ => TROUBLE,
    };
    Failure::new(error, exit_code)
}

/// What was found, and whose the objects are.
struct Compared {
    owners: Owners,
    found: Found,
    /// Namespaces of which one of the moments has no record.
    unrecorded: usize,
}

impl Compared {
    /// A namespace that only one side speaks of is a difference too, if one that can't be counted.
    fn differ(&self) -> bool {
        self.found.tally.total().changed() > 0
            || self.unrecorded > 0
            || self.found.skipped.iter().any(|skipped| !skipped.not_covered.is_empty())
    }
}

struct Job<'a> {
    args: &'a DiffArgs,
}

impl Job<'_> {
    fn listing(&self) -> Listing {
        match self.args.format.unwrap_or_default() {
            _ if self.args.combined => Listing::Combined,
            _ if self.args.summary => Listing::Nothing,
            DiffFormat::Text => Listing::Text,
            DiffFormat::Csv => Listing::Csv,
            DiffFormat::Jsonl => Listing::Jsonl,
        }
    }

    async fn places(&self, from: Location, to: Location) -> Result<Compared, DiffError> {
        if (&from, &to) == (&Location::Stdout, &Location::Stdout) {
            return Err(DiffError::StdinTwice);
        }
        let (from, to) = (opener(from)?, opener(to)?);
        let (listing, selects) = (self.listing(), selects(&self.args.filter, None));
        blocking(move || {
            let sides = (Side::Files(from()?), Side::Files(to()?));
            let compared = compare(sides, listing, selects, &AtomicBool::new(false))?;
            match compared.owners.none_is_chosen() {
                true => Err(DiffError::NothingSelected),
                false => Ok(compared),
            }
        })
        .await
    }

    async fn with_record(&self, store: &Store, from: &Asked, to: &Asked) -> Result<Compared, DiffError> {
        let mut reader = store.reader().await?;
        match (from, to) {
            (Asked::Moment(from), Asked::Moment(to)) => self.moments(&mut reader, *from, *to).await,
            (Asked::Moment(moment), Asked::Place(place)) => self.mixed(&mut reader, *moment, place, false).await,
            (Asked::Place(place), Asked::Moment(moment)) => self.mixed(&mut reader, *moment, place, true).await,
            // Without a moment there is nothing to ask the record for.
            (Asked::Place(from), Asked::Place(to)) => self.places(from.clone(), to.clone()).await,
        }
    }

    async fn plan(&self, reader: &mut Reader, moment: Moment) -> Result<ExportPlan, DiffError> {
        let filter = Filter::new(&self.args.filter);
        let asked = export::Period {
            since: None,
            until: moment,
        };
        let plan = export::plan(reader, asked, |namespace| chosen(&filter, namespace)).await?;
        for note in &plan.notes {
            warn!("{note}: it is not compared");
        }
        Ok(plan)
    }

    async fn moments(&self, reader: &mut Reader, from: Moment, to: Moment) -> Result<Compared, DiffError> {
        // A snapshot selects its namespace: nothing was asked of the others.
        let of_one = [from, to].iter().any(|moment| matches!(moment, Moment::Snapshot(_)));
        let (from, to) = (self.plan(reader, from).await?, self.plan(reader, to).await?);
        let slices = from.slices.len() + to.slices.len();
        let mut pairs = Vec::new();
        for from in from.slices {
            let whose = |slice: &Slice| (slice.namespace.account_id.clone(), slice.namespace.namespace_id.clone());
            if let Some(to) = to.slices.iter().find(|to| whose(to) == whose(&from)).cloned() {
                pairs.push(MomentPair { from, to });
            }
        }
        if pairs.is_empty() {
            return Err(DiffError::NothingInCommon);
        }
        let unrecorded = if of_one { 0 } else { slices - 2 * pairs.len() };
        let owners = Arc::new(diff::owners_of(&pairs));
        let found = diff::compare_moments(reader, &pairs, owners.clone(), self.listing(), stopped()).await?;
        let owners = Arc::into_inner(owners).ok_or(DiffError::Stopped)?;
        Ok(Compared {
            owners,
            found,
            unrecorded,
        })
    }

    /// `moment_is_to` says on which side the record stands.
    async fn mixed(
        &self,
        reader: &mut Reader,
        moment: Moment,
        place: &Location,
        moment_is_to: bool,
    ) -> Result<Compared, DiffError> {
        let plan = self.plan(reader, moment).await?;
        let known = reader.namespaces().await?;
        let selects = match moment {
            // It selects its namespace, of the file's rows too.
            Moment::Snapshot(_) => Some(only(&plan, known)),
            _ => selects(&self.args.filter, Some(known)),
        };
        let (stored, requests) = Stored::new(moment.to_string(), plan.slices);
        let (open, listing) = (opener(place.clone())?, self.listing());
        let stop = Arc::new(AtomicBool::new(false));
        let work = {
            let stop = stop.clone();
            detached(move || {
                let (file, stored) = (Side::Files(open()?), Side::Stored(stored));
                let sides = if moment_is_to { (file, stored) } else { (stored, file) };
                compare(sides, listing, selects, &stop)
            })
        };
        let compared = tokio::select! {
            // Serving ends when the side that asks is gone.
            ((), compared) = async { tokio::join!(diff::serve(reader, requests), work) } => compared,
            () = stopped() => {
                stop.store(true, Ordering::Relaxed);
                Err(DiffError::Stopped)
            }
        };
        compared
    }
}

fn compare(
    (mut from, mut to): (Side, Side),
    listing: Listing,
    selects: Option<Selects>,
    stop: &AtomicBool,
) -> Result<Compared, DiffError> {
    let prepared = diff::prepare([&mut from, &mut to], listing, selects)?;
    let found = diff::compare_sides([&from, &to], &prepared.owners, listing, Limits::default(), stop)?;
    let (owners, found) = prepared.complete(found);
    Ok(Compared {
        owners,
        found,
        unrecorded: 0,
    })
}

/// On a thread that nobody waits for when the program ends: it may be waiting itself, for a terminal's next line.
async fn detached<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, told) = tokio::sync::oneshot::channel();
    let work = move || {
        let ended = std::panic::catch_unwind(AssertUnwindSafe(work));
        // Nobody is told who was told to stop.
        let _told = done.send(ended);
    };
    std::thread::spawn(work);
    match told.await {
        Ok(Ok(done)) => done,
        Ok(Err(panicked)) => std::panic::resume_unwind(panicked),
        Err(_) => std::future::pending().await,
    }
}

/// Opens a side, on a thread that may wait for it.
fn opener(place: Location) -> Result<impl FnOnce() -> Result<Files, DiffError> + Send + 'static, DiffError> {
    // An object store's client belongs to the runtime.
    let (place, inside) = split(place);
    let tree = match &place {
        Location::Folder(_) | Location::Remote(_) => Some(dataset_store(&place)?),
        Location::File(_) | Location::Stdout => None,
    };
    Ok(move || match (tree, inside) {
        (None, _) => Files::file(&place),
        (Some(tree), Some(name)) => Files::file_of(&*tree, &name, format!("{place}{name}")),
        (Some(tree), None) => Files::dataset(tree, place.to_string()),
    })
}

/// A file in an object store, by its name, and where it is.
fn split(place: Location) -> (Location, Option<String>) {
    if let Location::Remote(url) = &place
        && let Some((_, name)) = url.path().rsplit_once('/')
        && Format::by_extension(name).is_some()
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

/// What --namespace and --account say of the rows of files, which know no names: the record knows those of its own, and
/// so does a dataset.
fn selects(args: &FilterArgs, known: Option<Vec<ReadNamespace>>) -> Option<Selects> {
    if args.namespace.is_empty() && args.account.is_empty() {
        return None;
    }
    let args = args.clone();
    Some(Box::new(move |account, namespace, name| {
        let filter = Filter::new(&args);
        if let Some(found) = known.iter().flatten().find(|there| is(there, account, namespace)) {
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

/// A snapshot selects its namespace.
fn only(plan: &ExportPlan, known: Vec<ReadNamespace>) -> Selects {
    let chosen: Vec<_> = plan.slices.iter().map(|slice| slice.namespace.clone()).collect();
    Box::new(move |account, namespace, _| {
        let has = |all: &[ReadNamespace]| all.iter().any(|there| is(there, account, namespace));
        match has(&known) {
            true => selected(has(&chosen)),
            false => Selected::Unknown,
        }
    })
}

fn is(there: &ReadNamespace, account: Option<&str>, namespace: &str) -> bool {
    canonical_id(&there.namespace_id) == namespace
        && account.is_none_or(|account| canonical_id(&there.account_id) == account)
}

fn selected(chosen: bool) -> Selected {
    if chosen { Selected::Yes } else { Selected::No }
}
