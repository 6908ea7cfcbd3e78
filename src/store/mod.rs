//! The record in Postgres. All SQL of the program lives in this folder.

mod as_of;
mod clear;
mod connect;
mod copy;
mod copy_out;
mod decide;
mod error;
mod lock;
mod moments;
mod namespaces;
pub mod private;
mod prune;
pub mod psql;
mod publish;
mod range;
mod read;
mod report;
mod runs;
mod snapshots;
mod staging;
mod states;
mod unread;

pub use as_of::{Row, Slice, Table};
pub use connect::{SchemaState, Store};
pub use decide::Found;
pub use error::StoreError;
pub use lock::{Fence, LockSession, Locks};
pub use moments::{ReadNamespace, Reader, SnapshotAt};
pub use namespaces::{NamedNamespace, RecordedNamespace};
pub use prune::{Horizon, OldSnapshot};
pub use publish::{ProvenWalk, Published};
pub use read::{FoundSnapshots, IntervalRow, NamespaceRow, SnapshotRow};
pub use report::{LastRun, PointRow, ReportRow};
pub use runs::RunOutcome;
pub use snapshots::{Abandoned, Base, Checkpoint, Walk};
pub use staging::PageTransaction;
