//! A run: what `sync` does, from the list of namespaces to the published snapshots.
//!
//! 1. **Plan** (`plan.rs`): list each account's namespaces, record the list, and select those to walk. Namespaces that are
//!    recorded but no longer listed are walked as well, to learn whether they are gone.
//! 2. **Lease** (`leasing.rs`): acquire the lock on one namespace. If another run holds it, the namespace is `busy`.
//! 3. **Walk** (`walk/`): resume the namespace's unfinished walk after its last committed page, or begin one. `pages/`
//!    fetches the pages in order, on one cursor or several; each page is checked before anything is concluded from it.
//! 4. **Diff** (`walk/diff.rs`): merge a page with the recorded rows of the same range of ids. Pages whose ids do not
//!    ascend are spooled first and compared when the database has sorted them.
//! 5. **Stage** (`walk/pipeline.rs`): commit a page's changes together with the checkpoint after it. Readers do not see
//!    them yet. One page is committed while the next is compared and the one after that is fetched.
//! 6. **Prove** ([`Walk::prove`](crate::store::Walk::prove)): the last page was read to a believed end, and every id was
//!    compared. Nothing else can close an interval.
//! 7. **Publish** ([`ProvenWalk::publish`](crate::store::ProvenWalk::publish)): make all changes visible in one
//!    transaction, or hold them back for a person to decide if they would remove much of the namespace.
//!
//! What a walk finds, and what it records:
//!
//! - only the page has the id: `created` (in a first snapshot, the baseline, nothing: the object was there before);
//! - only the record has it: `removed`;
//! - both have it, with different flags: `data_gained`, `data_lost`, `data_known` or `data_unknown`;
//! - both have it with the same flag: nothing, not even a "last seen".
//!
//! A walk that does not come to a proven end removes nothing. `ending::classify` decides what becomes of it: interrupted
//! (the next run resumes it), failed (the next run begins again) or started over at once. A namespace that vanished is
//! `missing`, unless many did at once (`vanished.rs`).
//!
//! A second run resumes what was interrupted and requests no committed page again. It changes nothing if the API lists
//! the same objects. If the first run lost its lease, every later write of it fails, whatever it still finds.

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
pub use held::{DecideError, accept, discard};
pub use outcome::{AccountFailure, DoubtfulList, MassVanishing, NamespaceOutcome, Status, Summary};
pub use progress::{Progress, WalkProgress};
pub use retire::retire;
pub use run::sync;
pub use settings::{Account, RemovalGuard, Settings};
pub use shutdown::{Shutdown, StopReason};
