//! How far the walks of a run are, for whoever shows it. Walks write, the display reads whenever it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{NamespaceId, ObjectId};

/// All walks of a run, in the order in which they began.
#[derive(Debug, Default)]
pub struct Progress {
    walks: Mutex<Vec<Arc<WalkProgress>>>,
}

/// One walk.
#[derive(Debug)]
pub struct WalkProgress {
    pub namespace_id: NamespaceId,
    /// Shown to a person.
    pub label: String,
    objects: AtomicU64,
    pages: AtomicU64,
    /// The leading 64 bits of the last id. Ids are spread uniformly, so this tells the fraction done.
    position: AtomicU64,
    ended: AtomicU64,
}

impl Progress {
    pub fn begin(&self, namespace_id: &NamespaceId, label: &str) -> Arc<WalkProgress> {
        let walk = Arc::new(WalkProgress {
            namespace_id: namespace_id.clone(),
            label: label.to_owned(),
            objects: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            position: AtomicU64::new(0),
            ended: AtomicU64::new(0),
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
    pub(super) fn reached(&self, pages: u64, objects: u64, last: Option<&ObjectId>) {
        self.pages.store(pages, Ordering::Relaxed);
        self.objects.store(objects, Ordering::Relaxed);
        let position = last.map_or(0, |id| {
            id.as_bytes()
                .iter()
                .take(8)
                .fold(0, |position, byte| position << 8 | u64::from(*byte))
        });
        self.position.store(position, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.store(1, Ordering::Relaxed);
    }

    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    pub fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed) == 1
    }

    /// 0 to 1; an estimate that holds where ids ascend.
    pub fn fraction(&self) -> f64 {
        self.position.load(Ordering::Relaxed) as f64 / u64::MAX as f64
    }
}
