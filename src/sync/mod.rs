//! The main job: plan which namespaces to walk, walk their pages, compare them with the record, publish.

mod compare;
mod decide;
mod end;
mod feed;
mod namespace;
mod outcome;
mod pages;
mod patience;
mod plan;
mod progress;
mod run;
mod settings;
mod stop;
mod stored;
mod task;
mod walk;

pub use decide::{DecideError, accept, discard, retire};
pub use outcome::{AccountFailure, DoubtfulList, NamespaceOutcome, Status, Summary};
pub use progress::{Progress, WalkProgress};
pub use run::sync;
pub use settings::{Account, Breaker, Settings};
pub use stop::{Stop, StopReason};
