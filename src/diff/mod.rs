//! The differences between two lists of objects: two points in time of the record, two files or datasets, or one of
//! each.
//!
//! A thread per side reads it in batches, and the batches are merged in the order of namespace and id (`run`). A side
//! whose ids turn out not to ascend is read again and sorted on disk (`sort`). All lines go to a spool first
//! (`differences`), so that stdout gets either all of them or none. The database compares two of its own snapshots
//! (`snapshots`). Memory does not grow with the number of rows.

mod differences;
mod entry;
mod error;
mod file_side;
mod folder;
mod namespaces;
mod operand;
mod order_check;
mod plan;
mod run;
mod side;
mod snapshot_side;
mod snapshots;
mod sort;
mod tally;

pub use self::differences::{Differences, LineFormat};
pub use self::entry::{Comparison, Entry, Pair};
pub use self::error::{DiffError, Duplicates};
pub use self::file_side::FileSide;
pub use self::namespaces::{NamespaceKey, Namespaces, Selected, Selects, Skipped};
pub use self::operand::{InvalidOperand, Operand};
pub use self::plan::{DiffPlan, plan};
pub use self::run::{Limits, compare_sides};
pub use self::side::Side;
pub use self::snapshot_side::SnapshotSide;
pub use self::snapshots::{SnapshotPair, compare_snapshots, namespaces_of};
pub use self::tally::{DiffCounts, Tally};

#[cfg(test)]
mod tests;
