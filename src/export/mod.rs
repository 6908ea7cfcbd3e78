//! Exports of the record to files.
//!
//! `plan` chooses the snapshots, and `run` streams their rows from the store to a target on a thread of its own:
//! `single` is one file, `dataset` a folder of files with a `manifest`. `sink` encodes rows and `destination` stores
//! the bytes. `read` reads such files back, for `verify` and for `diff`.

pub mod columns;
pub mod csv_injection;
mod dataset;
mod destination;
mod error;
mod format;
pub mod manifest;
mod plan;
pub mod read;
mod run;
mod single;
mod sink;
mod verify;

pub use self::dataset::Dataset;
#[cfg(feature = "object-store")]
pub use self::destination::RemoteStore;
pub use self::destination::{AtomicOutput, DatasetStore, FileOutput, Folder, InvalidLocation, Location, Stdout};
pub use self::error::{ExportError, Loss};
pub use self::format::{Format, MisleadingName};
pub use self::manifest::Manifest;
pub use self::plan::{ExportPlan, Period, plan, plan_of_snapshots};
pub use self::run::{CoveredNamespaces, Exported, MissingRows, Target, export};
pub use self::single::SingleFile;
pub use self::verify::{RecordCheck, Verified, against_record, verify};
