//! The command `export`, with `export verify`.

use std::io::IsTerminal;
use std::path::Path;

use durable_inventory::cli::{ExportArgs, ExportCommand, RowsArgs};
use durable_inventory::config::{Settings, StoreLocation};
use durable_inventory::export::columns::{self, ExportColumn};
use durable_inventory::export::{self, AtomicOutput, Dataset, DatasetStore, ExportError, FileOutput, Folder, Format};
use durable_inventory::export::{Location, MissingRows, Period, SingleFile, Stdout, Target, Verified};
use durable_inventory::moment::Moment;
use durable_inventory::store::{Store, Table};
use durable_inventory::text::{count, shown};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::filter::Filter;
use super::signals::stopped;
use super::store::{hold_record, nothing_recorded, until, with_record};
use crate::terminal::table::number;
use crate::terminal::times::for_people;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>, args: &ExportArgs) -> Result<u8, Failure> {
    let (table, period, rows, ids_only) = match &args.what {
        ExportCommand::Objects(args) => (Table::Objects, period(None, args.as_of), &args.rows, args.ids_only),
        ExportCommand::Changes(args) => (Table::Changes, period(args.since, args.until), &args.rows, false),
        ExportCommand::History(args) => (Table::History, period(args.since, args.until), &args.rows, false),
        ExportCommand::Verify(args) => return verify(settings, &args.path).await,
    };
    check_network(settings, &rows.output)?;
    let format = if ids_only { Format::Ids } else { format(rows)? };
    check_format_fits(rows, format)?;
    let columns = columns::chosen(table, &rows.columns).map_err(|error| Failure::new(error, 2))?;
    let job = Job {
        table,
        period,
        rows,
        format,
        columns,
        stopped: stopped()?,
    };
    let exported = hold_record(settings.store()?, 1, &job.stopped, async |store| job.run(store).await);
    exported.await?.ok_or_else(nothing_recorded)
}

fn period(since: Option<Moment>, until: Option<Moment>) -> Period {
    Period {
        since,
        until: until.unwrap_or(Moment::Latest(0)),
    }
}

/// The format of `--format`, else that of the file's extension, else the usual one of the location.
fn format(rows: &RowsArgs) -> Result<Format, Failure> {
    if let Some(format) = rows.format() {
        return Ok(format);
    }
    let format = match &rows.output {
        Location::File(path) => Format::of_file_name(&path.to_string_lossy()).map(|found| found.unwrap_or(Format::Csv)),
        Location::Remote(_) => rows.output.require_folder_name().map(|()| Format::DATASET),
        Location::Folder(_) => Ok(Format::DATASET),
        Location::Stdout => Ok(Format::Csv),
    };
    format.map_err(|error| Failure::new(error, 2))
}

fn check_format_fits(rows: &RowsArgs, format: Format) -> Result<(), Failure> {
    let refuse = |message: &str| {
        Err(Failure {
            message: message.to_owned(),
            exit_code: 2,
        })
    };
    match (format, &rows.output) {
        (Format::Ids, Location::Folder(_) | Location::Remote(_)) => {
            refuse("--ids-only writes one file, but a folder or URL is for a dataset: name a file")
        }
        (Format::Parquet, Location::Stdout) if std::io::stdout().is_terminal() => {
            refuse("cannot write Parquet to a terminal: name a file with --output, or pipe it")
        }
        _ => Ok(()),
    }
}

struct Job<'a> {
    table: Table,
    period: Period,
    rows: &'a RowsArgs,
    format: Format,
    columns: Vec<ExportColumn>,
    stopped: CancellationToken,
}

impl Job<'_> {
    async fn run(&self, store: &Store) -> Result<u8, Failure> {
        until(&self.stopped, Filter::new(&self.rows.filter).require_match(store)).await?;
        match self.write(store).await {
            Ok(()) => Ok(0),
            Err(error) if error.reader_left() && !matches!(self.rows.output, Location::Remote(_)) => Ok(0),
            Err(error) => {
                // Altered rows are noticed after the last one, when stdout has most of them already.
                let passed_on = matches!(self.rows.output, Location::Stdout) && error.is_altered();
                let mut failed = failure(error);
                if passed_on {
                    failed.message.push_str("; do not use what was written to stdout");
                }
                Err(failed)
            }
        }
    }

    async fn write(&self, store: &Store) -> Result<(), ExportError> {
        let filter = Filter::new(&self.rows.filter);
        let reader = self.stopped.run_until_cancelled(store.reader()).await;
        let mut reader = reader.ok_or(ExportError::Stopped)??;
        let plan = export::plan(&mut reader, self.period, |namespace| {
            filter.selects(
                &namespace.account_id,
                &namespace.namespace_id,
                namespace.name.as_deref(),
            )
        });
        let planned = self.stopped.run_until_cancelled(plan).await;
        let plan = planned.ok_or(ExportError::Stopped)??;
        for note in &plan.notes {
            warn!("{note}");
        }
        if self.table != Table::Objects {
            warn_of_pruned(&plan);
        }
        let namespaces = plan.slices.len() as u64;
        let stopped = self.stopped.cancelled();
        let target = self.target().await?;
        let exported = export::export(&mut reader, self.table, plan, self.rows.has_data, target, stopped).await?;
        info!(
            "wrote {} of {} to {}{}",
            count(exported.rows, "row"),
            count(namespaces, "namespace"),
            self.rows.output,
            of_missing(exported.of_missing)
        );
        Ok(())
    }

    async fn target(&self) -> Result<Box<dyn Target>, ExportError> {
        let place = self.rows.output.to_string();
        let output: std::io::Result<Box<dyn AtomicOutput>> = match &self.rows.output {
            Location::Stdout => Ok(Box::<Stdout>::default()),
            Location::File(path) => FileOutput::create(path).map(|file| Box::new(file) as _),
            Location::Folder(_) | Location::Remote(_) => {
                let complete = self.rows.has_data.is_none();
                let columns = self.columns.clone();
                let (output, replace) = (&self.rows.output, self.rows.replace);
                let dataset = dataset(output, self.table, self.format, columns, complete, replace).await?;
                return Ok(Box::new(dataset));
            }
        };
        Ok(Box::new(SingleFile::new(self.format, &self.columns, place, output)?))
    }
}

/// What an export has and a report does not count.
fn of_missing(MissingRows { rows, namespaces }: MissingRows) -> String {
    match namespaces {
        0 => String::new(),
        1 => format!(
            "; {} of them are of a missing namespace, which `report` does not count",
            number(rows)
        ),
        _ => format!(
            "; {} of them are of {} missing namespaces, which `report` does not count",
            number(rows),
            number(namespaces as u64)
        ),
    }
}

/// Warns if an export of the whole record lacks its beginning.
fn warn_of_pruned(plan: &export::ExportPlan) {
    for slice in plan.slices.iter().filter(|slice| slice.since.is_none()) {
        if let Some(horizon) = slice.namespace.published.horizon {
            let (label, horizon) = (shown(slice.namespace.label()), for_people(horizon));
            warn!("namespace {label} begins at {horizon}: its history before that was pruned");
        }
    }
}

pub fn failure(error: ExportError) -> Failure {
    let exit_code = match error {
        ExportError::Stopped => 130,
        // A retry can't succeed, but other arguments can.
        ExportError::Backwards { .. } | ExportError::Loss(_) | ExportError::NoObjectStores(_) => 2,
        _ => 1,
    };
    Failure::new(error, exit_code)
}

/// Refuses mistakes in the proxy and the CA certificates on the way to an object store.
pub fn check_network(settings: &Settings<'_>, place: &Location) -> Result<(), Failure> {
    match place {
        Location::Remote(_) => Ok(settings.check_network()?),
        Location::Stdout | Location::File(_) | Location::Folder(_) => Ok(()),
    }
}

/// Opens a dataset for writing, and creates its folder if it is missing.
pub async fn dataset(
    place: &Location,
    table: Table,
    format: Format,
    columns: Vec<ExportColumn>,
    complete: bool,
    replace: bool,
) -> Result<Dataset, ExportError> {
    let store = dataset_store(place)?;
    let place = place.to_string();
    blocking(move || Dataset::new(store, place, table, format, columns, complete, replace)).await
}

pub fn dataset_store(place: &Location) -> Result<Box<dyn DatasetStore>, ExportError> {
    match place {
        #[cfg(feature = "object-store")]
        Location::Remote(url) => {
            let store = export::RemoteStore::new(url).map_err(ExportError::write(url.as_str()))?;
            Ok(Box::new(store))
        }
        #[cfg(not(feature = "object-store"))]
        Location::Remote(url) => Err(ExportError::NoObjectStores(url.to_string())),
        Location::File(path) | Location::Folder(path) => Ok(Box::new(Folder::new(path))),
        Location::Stdout => Ok(Box::new(Folder::new(Path::new(".")))),
    }
}

/// Runs `work` on a thread that may block.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
}

async fn verify(settings: &Settings<'_>, path: &Location) -> Result<u8, Failure> {
    check_network(settings, path)?;
    let dataset = dataset_store(path).map_err(failure)?;
    let place = path.to_string();
    let mut verified = blocking(move || export::verify(&*dataset, &place))
        .await
        .map_err(failure)?;
    let store = settings.store()?;
    let mut pruned = 0;
    let has_database = matches!(store.location, StoreLocation::Url(_)) || settings.global.data_dir.is_some();
    if has_database {
        let more = with_record(store, 1, async |store| {
            let check = export::against_record(store, &verified.manifest).await;
            check.map_err(failure)
        })
        .await?
        .ok_or_else(nothing_recorded)?;
        verified.problems.extend(more.problems);
        pruned = more.pruned;
    }
    terminal::out(&report(&verified, has_database, pruned))?;
    if verified.problems.is_empty() {
        return Ok(0);
    }
    Err(Failure {
        message: format!("the dataset in {path} does not match its manifest: export it again"),
        exit_code: 1,
    })
}

fn report(verified: &Verified, has_database: bool, pruned: usize) -> String {
    let mut text: String = verified.problems.iter().map(|problem| format!("{problem}\n")).collect();
    if !verified.problems.is_empty() {
        return text;
    }
    let manifest = &verified.manifest;
    text.push_str(&format!(
        "{} of {} in {}: sizes, checksums and rows match the manifest\n",
        count(verified.rows, "row"),
        count(manifest.namespaces.len() as u64, "namespace"),
        count(manifest.files.len() as u64, "file")
    ));
    text.push_str(if verified.digested {
        "the digests match the rows\n"
    } else {
        "the digests were not checked: the rows are not whole snapshots with ids and flags\n"
    });
    text.push_str(if has_database {
        "the snapshots match the database\n"
    } else {
        "not compared with a database: name one with DATABASE_URL or --data-dir\n"
    });
    if pruned > 0 {
        text.push_str(&format!(
            "not compared, because its history was pruned from the database: {}\n",
            count(pruned as u64, "snapshot")
        ));
    }
    text
}
