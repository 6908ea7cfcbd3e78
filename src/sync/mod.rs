//! A run: what `sync` does, from the list of namespaces to the published snapshots.
//!
//! 1. **Plan** (`plan.rs`): list each account's namespaces, record the list, and select those to walk. Recorded
//!    namespaces that have just left the list are walked too, to find out whether they are gone.
//! 2. **Lease** (`leasing.rs`): acquire the lock on one namespace. If another run holds it, the namespace is `busy`.
//! 3. **Walk** (`walk/`): resume the namespace's unfinished walk after its last committed page, or begin one. `pages/`
//!    fetches the pages in order, on one cursor or several, and each page is validated before it is used.
//! 4. **Diff** (`walk/diff.rs`): merge a page with the recorded rows in the same range of ids. If ids are out of order,
//!    pages go to a spool table first, which the database sorts before the comparison.
//! 5. **Stage** (`walk/pipeline.rs`): commit a page's changes together with the checkpoint after it. Readers do not see
//!    them yet. One page is committed while the next is compared and the one after that is fetched.
//! 6. **Prove** ([`Walk::prove`](crate::store::Walk::prove)): the list of objects provably ended, and every recorded id
//!    was compared. Without this proof no object is recorded as removed or changed. (A retirement is the exception: a
//!    person orders it.)
//! 7. **Publish** ([`ProvenWalk::publish`](crate::store::ProvenWalk::publish)): make all changes visible in one
//!    transaction. If they would remove too much of the namespace, hold them until a person accepts or discards them.
//!
//! An object's history is a row of intervals, each with one flag: it holds data, it does not, or that is unknown. A
//! page opens and closes intervals by what it says about an id:
//!
//! - only the page has the id: `created` (except in the first snapshot, the baseline: those objects may be older, so no
//!   change is recorded);
//! - only the record has it: `removed`;
//! - both have it, with different flags: `data_gained`, `data_lost`, `data_known` (it was unknown before) or
//!   `data_unknown`;
//! - both have it with the same flag: nothing is written. There is no "last seen" column.
//!
//! When something fails:
//!
//! - **the network or the API**: the request is retried for `--retry-for`. After that the walk is `interrupted`.
//! - **the database**: the run waits for it for `--retry-for` and resumes the walk after its last committed page.
//! - **the walk itself**: `ending::classify` decides whether it is interrupted (the next run resumes it), failed (the
//!   next run begins again), or started over at once. A namespace that vanished is `missing`, unless many did at once
//!   (`vanished.rs`). None of these removes an object.
//!
//! A second run resumes what was interrupted and does not request committed pages again, unless the walk can't be
//! resumed ([`Walk::open`](crate::store::Walk::open) lists the reasons). If the API lists the same objects with the
//! same flags, it publishes a snapshot without changes. Two runs at the same time share the namespaces; once one of
//! them takes a namespace over, every write of the other for it fails.

mod accept_missing;
mod attempt;
mod credentials;
mod end_walk;
mod ending;
mod held;
mod leasing;
mod namespace;
mod outcome;
mod pages;
mod plan;
mod progress;
mod publication;
mod relisting;
mod retire;
mod retry_database;
mod run;
mod settings;
mod shutdown;
mod task;
mod vanished;
mod walk;

pub use accept_missing::{MissingVerdict, accept_missing};
pub use held::{DecideError, Decision, decide, held, held_of};
pub use outcome::{AccountFailure, DoubtfulList, MassVanishing, NamespaceOutcome, Status, Summary};
pub use progress::{PlannedWalk, Progress, WalkProgress};
pub use retire::retire;
pub use retry_database::{SyncError, database_waits};
pub use run::sync;
pub use settings::{Account, RemovalGuard, Settings};
pub use shutdown::{Shutdown, StopReason};

/// Target of the log lines about what became of a namespace. Their first word is its status.
pub const OUTCOME: &str = "durable_inventory::sync::outcome";
/// Target of other log lines that the summary repeats.
pub const SUMMARIZED: &str = "durable_inventory::sync::summarized";
