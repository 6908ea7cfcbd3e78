//! How far the walks of a run are. The plan and the walks write it; the display and the outcomes read it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::NamespaceId;
use crate::store::{Checkpoint, Walk};
use crate::text::shown;

/// All walks of a run, in the order in which they began.
#[derive(Debug, Default)]
pub struct Progress {
    planned: Mutex<Vec<PlannedWalk>>,
    walks: Mutex<Vec<Arc<WalkProgress>>>,
}

/// A namespace that the run is going to walk, or has begun to.
#[derive(Debug, Clone)]
pub struct PlannedWalk {
    pub namespace_id: NamespaceId,
    /// The objects in its newest published snapshot.
    pub recorded: Option<u64>,
}

/// One namespace's walk.
#[derive(Debug)]
pub struct WalkProgress {
    pub namespace_id: NamespaceId,
    /// The name to show.
    pub label: String,
    reached: Mutex<Option<Reached>>,
    ended: AtomicBool,
}

/// What a walk has committed.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    pub(super) snapshot_id: i32,
    pub(super) baseline: bool,
    pub(super) checkpoint: Checkpoint,
}

impl Progress {
    pub(super) fn plan(&self, planned: impl Iterator<Item = PlannedWalk>) {
        let mut all = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(planned);
    }

    /// All namespaces of the accounts whose lists were read so far.
    pub fn planned(&self) -> Vec<PlannedWalk> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn begin(&self, namespace_id: &NamespaceId, label: &str) -> Arc<WalkProgress> {
        let walk = Arc::new(WalkProgress {
            namespace_id: namespace_id.clone(),
            label: label.to_owned(),
            reached: Mutex::new(None),
            ended: AtomicBool::new(false),
        });
        self.walks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(walk.clone());
        walk
    }

    pub fn walks(&self) -> Vec<Arc<WalkProgress>> {
        self.walks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl WalkProgress {
    /// The label, safe for a log.
    pub(super) fn name(&self) -> String {
        shown(&self.label)
    }

    pub(super) fn reached(&self, walk: &Walk) {
        *self.lock() = Some(Reached {
            snapshot_id: walk.snapshot_id(),
            baseline: walk.base().is_none(),
            checkpoint: walk.checkpoint().clone(),
        });
    }

    /// `None` before the walk was opened.
    pub(super) fn last_reached(&self) -> Option<Reached> {
        self.lock().clone()
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Objects that were spooled or compared.
    pub fn objects(&self) -> u64 {
        self.of_checkpoint(|checkpoint| checkpoint.spooled_rows.unwrap_or(checkpoint.counts.objects()))
    }

    pub fn pages(&self) -> u64 {
        self.of_checkpoint(|checkpoint| checkpoint.pages)
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The fraction of the walk that is done, 0 to 1. Ids are spread uniformly in what was seen of the API, so the
    /// leading bits of the last id estimate it; where ids do not ascend, it stays at 0.
    pub fn fraction(&self) -> f64 {
        let position = self.of_checkpoint(|checkpoint| {
            let pending = checkpoint.pending_row.map(|row| row.id);
            pending
                .or(checkpoint.compared_through)
                .map_or(0, |id| id.leading_bits())
        });
        position as f64 / u64::MAX as f64
    }

    fn of_checkpoint(&self, figure: impl FnOnce(&Checkpoint) -> u64) -> u64 {
        self.lock().as_ref().map_or(0, |reached| figure(&reached.checkpoint))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reached>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
