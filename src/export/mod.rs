//! The record as files that people and engines read.
//!
//! `plan` tells which snapshots of which namespaces are asked for; `run` streams their rows from the store to a target
//! on a thread of its own: one file (`sink`, `destination`) or a dataset of many with a `manifest` written last.
//! `verify` reads a dataset (`read`) against its manifest.

pub mod columns;
mod dataset;
mod destination;
mod error;
pub mod formula;
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
pub use self::destination::{FileOutput, Folder, InvalidPlace, Output, Place, Stdout, Tree};
pub use self::error::{ExportError, Loss};
pub use self::manifest::Manifest;
pub use self::plan::{Asked, Plan, plan, plan_of_snapshots};
pub use self::run::{Covered, Target, Written, export};
pub use self::single::SingleFile;
pub use self::sink::Format;
pub use self::verify::{InRecord, Verified, against_record, verify};
