//! The record in Postgres. All SQL of the program is in this folder.
//!
//! - Connecting: `options`, `encryption`, `session` (one session), `connection` (the pool), `identity` (the same
//!   database as before), `schema` and `owner` (the schema `inventory`), `rights`, `sequences`; `managed_postgres`
//!   runs a server, `psql` opens it.
//! - Writing: `lease` (one writer per namespace), `walk` with its `checkpoint`, `page_writer`, `publish`, `retirement`,
//!   `vanished`, `cleanup`, `runs`, `prune`; `packed_rows` reads the rows that a walk is compared with.
//! - Reading as of a point in time: `reader` finds the snapshot, `as_of` reads its rows by the statements in
//!   `as_of_queries`, `unread` checks that none is missing.
//! - Reading the present: `namespaces`, `listings` (snapshots, the history of an object), `report`, `row_digest`.
//! - Formats: `copy_binary` for COPY, `decode` for columns.

mod as_of;
mod as_of_queries;
mod checkpoint;
mod cleanup;
mod connection;
mod copy_binary;
mod decode;
mod encryption;
mod error;
mod identity;
mod lease;
mod listings;
pub mod managed_postgres;
mod namespaces;
mod options;
mod owner;
mod packed_rows;
mod page_writer;
mod prune;
pub mod psql;
mod publish;
mod reader;
mod report;
mod retirement;
mod rights;
mod row_digest;
mod runs;
mod schema;
mod sequences;
mod session;
mod unread;
mod vanished;
mod walk;

pub use as_of::{Row, Slice, Table};
pub use checkpoint::Checkpoint;
pub use connection::Store;
pub use error::{NOTHING_RECORDED, StoreError};
pub use identity::Difference;
pub use lease::{Lease, LeaseNumber, LockConnection, LockManager};
pub use listings::{FoundSnapshots, IntervalRow, SnapshotRow};
pub use namespaces::{NamespaceRecord, PublishedRecord};
pub use options::{InvalidUrl, connect_options};
pub use page_writer::PageWriter;
pub use prune::{Horizon, OldSnapshot};
pub use publish::{ProvenWalk, PublishError, Unpublished};
pub use reader::{ReadNamespace, Reader, SnapshotAt};
pub use report::{LastRun, PointRow, ReportRow, UnpublishedSnapshots};
pub use runs::RunOutcome;
pub use schema::SchemaState;
pub use vanished::{PresentNamespace, VanishedNamespace};
pub use walk::{Base, Ending, Unproven, Walk};
