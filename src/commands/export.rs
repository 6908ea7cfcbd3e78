//! `export`: the record as files, and `export verify`: what became of them.

use std::io::IsTerminal;
use std::path::Path;

use durable_inventory::cli::{ExportArgs, ExportCommand, FileFormat, HasData, RowsArgs};
use durable_inventory::config::{Settings, StoreLocation};
use durable_inventory::export::{self, Asked, Dataset, ExportError, FileOutput, Folder, Format, Output, Place, Stdout};
use durable_inventory::export::{SingleFile, Target, Tree, Verified, columns};
use durable_inventory::model::StoredData;
use durable_inventory::moment::Moment;
use durable_inventory::store::{Store, Table};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use durable_inventory::text::shown;

use super::filter::Filter;
use super::signals::stopped;
use super::store::{hold_store, with_store};
use crate::terminal::table::number;
use crate::terminal::times::for_people;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>, args: &ExportArgs) -> Result<u8, Failure> {
    let (table, asked, rows, ids_only) = match &args.what {
        ExportCommand::Objects(args) => (Table::Objects, asked(None, args.as_of), &args.rows, args.ids_only),
        ExportCommand::Changes(args) => (Table::Changes, asked(args.since, args.until), &args.rows, false),
        ExportCommand::History(args) => (Table::History, asked(args.since, args.until), &args.rows, false),
        ExportCommand::Verify(args) => return verify(settings, &args.path).await,
    };
    let format = if ids_only { Format::Ids } else { format(rows) };
    refuse_nonsense(rows, format)?;
    let columns = columns::chosen(table, &rows.columns).map_err(|error| Failure::new(error, 2))?;
    let job = Job {
        table,
        asked,
        rows,
        format,
        columns,
        stopped: stopped()?,
    };
    hold_store(settings.store()?, 1, &job.stopped, async |store| job.run(store).await).await
}

fn asked(since: Option<Moment>, until: Option<Moment>) -> Asked {
    Asked {
        since,
        until: until.unwrap_or(Moment::Latest(0)),
    }
}

/// Said, or told by the file's name; else what is most useful at the place.
fn format(rows: &RowsArgs) -> Format {
    let by_name = |path: &Path| match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => Format::Parquet,
        Some("jsonl" | "ndjson") => Format::Jsonl,
        _ => Format::Csv,
    };
    match (rows.format, &rows.output) {
        (Some(FileFormat::Csv), _) => Format::Csv,
        (Some(FileFormat::Parquet), _) => Format::Parquet,
        (Some(FileFormat::Jsonl), _) => Format::Jsonl,
        (None, Place::File(path)) => by_name(path),
        (None, Place::Stdout) => Format::Csv,
        (None, Place::Folder(_) | Place::Remote(_)) => Format::Parquet,
    }
}

fn refuse_nonsense(rows: &RowsArgs, format: Format) -> Result<(), Failure> {
    let refuse = |message: &str| {
        Err(Failure {
            message: message.to_owned(),
            exit_code: 2,
        })
    };
    match (format, &rows.output) {
        (Format::Ids, Place::Folder(_) | Place::Remote(_)) => {
            refuse("--ids-only writes one list, and a folder is for a dataset: name a file for it")
        }
        (Format::Parquet, Place::Stdout) if std::io::stdout().is_terminal() => {
            refuse("Parquet is not for a terminal: name a file with --output, or pipe it")
        }
        _ => Ok(()),
    }
}

struct Job<'a> {
    table: Table,
    asked: Asked,
    rows: &'a RowsArgs,
    format: Format,
    columns: Vec<columns::Column>,
    stopped: CancellationToken,
}

impl Job<'_> {
    async fn run(&self, store: &Store) -> Result<u8, Failure> {
        match self.write(store).await {
            Ok(()) => Ok(0),
            Err(error) if error.reader_left() && !matches!(self.rows.output, Place::Remote(_)) => Ok(0),
            Err(error) => {
                // It shows when all was read, and by then much of it was passed on.
                let passed_on = matches!(self.rows.output, Place::Stdout) && error.is_altered();
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
        let mut reader = store.reader().await?;
        let plan = export::plan(&mut reader, self.asked, |namespace| {
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
        let namespaces = plan.slices.len();
        let stopped = self.stopped.cancelled();
        let target = self.target().await?;
        let data = self.rows.has_data.map(stored);
        let written = export::export(&mut reader, self.table, plan, data, target, stopped).await?;
        info!(
            "{} rows of {namespaces} namespaces are in {}",
            number(written.rows),
            self.rows.output
        );
        Ok(())
    }

    async fn target(&self) -> Result<Box<dyn Target>, ExportError> {
        let place = self.rows.output.to_string();
        let output: std::io::Result<Box<dyn Output>> = match &self.rows.output {
            Place::Stdout => Ok(Box::new(Stdout::default())),
            Place::File(path) => FileOutput::create(path).map(|file| Box::new(file) as _),
            Place::Folder(_) | Place::Remote(_) => {
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

/// Who asks for all that is known should hear that it is not all that ever was.
fn warn_of_pruned(plan: &export::Plan) {
    for slice in plan.slices.iter().filter(|slice| slice.since.is_none()) {
        if let Some(horizon) = slice.namespace.published.horizon {
            let (label, horizon) = (shown(slice.namespace.label()), for_people(horizon));
            warn!("namespace {label} is told from {horizon} on: what was before it was pruned");
        }
    }
}

pub fn failure(error: ExportError) -> Failure {
    let exit_code = match error {
        ExportError::Stopped => 130,
        // What was asked for does not fit what is there, and never will: another place or --replace does.
        ExportError::Backwards { .. } | ExportError::Loss(_) | ExportError::NoObjectStores(_) => 2,
        _ => 1,
    };
    Failure::new(error, exit_code)
}

fn stored(answer: HasData) -> StoredData {
    match answer {
        HasData::True => StoredData::With,
        HasData::False => StoredData::Without,
        HasData::Unknown => StoredData::Unknown,
    }
}

/// A dataset at a place, which is made ready for it.
pub async fn dataset(
    place: &Place,
    table: Table,
    format: Format,
    columns: Vec<columns::Column>,
    complete: bool,
    replace: bool,
) -> Result<Dataset, ExportError> {
    let tree = tree(place)?;
    let place = place.to_string();
    blocking(move || Dataset::new(tree, place, table, format, columns, complete, replace)).await
}

pub fn tree(place: &Place) -> Result<Box<dyn Tree>, ExportError> {
    match place {
        #[cfg(feature = "object-store")]
        Place::Remote(url) => match export::RemoteStore::new(url) {
            Ok(store) => Ok(Box::new(store)),
            Err(source) => Err(ExportError::Write {
                place: place.to_string(),
                source,
            }),
        },
        #[cfg(not(feature = "object-store"))]
        Place::Remote(url) => Err(ExportError::NoObjectStores(url.to_string())),
        Place::File(path) | Place::Folder(path) => Ok(Box::new(Folder::new(path))),
        Place::Stdout => Ok(Box::new(Folder::new(Path::new(".")))),
    }
}

/// On a thread that may wait for files and answers.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
}

async fn verify(settings: &Settings<'_>, path: &Place) -> Result<u8, Failure> {
    let tree = tree(path).map_err(failure)?;
    let place = path.to_string();
    let mut verified = blocking(move || export::verify(&*tree, &place))
        .await
        .map_err(failure)?;
    let store = settings.store()?;
    let mut pruned = 0;
    let given = matches!(store.location, StoreLocation::Url(_)) || settings.global.data_dir.is_some();
    if given {
        let more = with_store(store, 1, async |store| {
            let found = export::against_record(store, &verified.manifest).await;
            found.map_err(failure)
        })
        .await?;
        verified.problems.extend(more.problems);
        pruned = more.pruned;
    }
    terminal::out(&report(&verified, given, pruned))?;
    if verified.problems.is_empty() {
        return Ok(0);
    }
    Err(Failure {
        message: format!("the dataset in {path} is not what its manifest says: do not trust it, export it again"),
        exit_code: 1,
    })
}

fn report(verified: &Verified, given: bool, pruned: usize) -> String {
    let mut text: String = verified.problems.iter().map(|problem| format!("{problem}\n")).collect();
    if !verified.problems.is_empty() {
        return text;
    }
    let manifest = &verified.manifest;
    text.push_str(&format!(
        "{} rows of {} namespaces in {} files: sizes, checksums and rows are those of the manifest\n",
        number(verified.rows),
        number(manifest.namespaces.len() as u64),
        number(manifest.files.len() as u64)
    ));
    text.push_str(if verified.digested {
        "the digests are those of the rows\n"
    } else {
        "the digests could not be computed from the rows: they are not whole snapshots with ids and flags\n"
    });
    text.push_str(if given {
        "the snapshots are those of the database\n"
    } else {
        "no database was given to compare with: DATABASE_URL or --data-dir names one\n"
    });
    if pruned > 0 {
        let count = number(pruned as u64);
        text.push_str(&format!(
            "but {count} of them were pruned there, and could not be compared\n"
        ));
    }
    text
}
