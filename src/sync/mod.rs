//! The main job: plan which namespaces to walk, walk their pages, compare them with the record, publish.

mod attempt;
mod ending;
mod held;
mod namespace;
mod outcome;
mod pages;
mod patience;
mod plan;
mod progress;
mod retire;
mod run;
mod settings;
mod stop;
mod task;
mod walk;

pub use held::{DecideError, accept, discard};
pub use outcome::{AccountFailure, NamespaceOutcome, Status, Summary};
pub use progress::{Progress, WalkProgress};
pub use retire::retire;
pub use run::sync;
pub use settings::{Account, Breaker, Settings};
pub use stop::{Stop, StopReason};
