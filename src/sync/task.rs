//! Work on another core.

use tokio_util::task::AbortOnDropHandle;

/// Goes on while nobody waits for it, and ends with its owner.
pub(super) struct Task<T>(AbortOnDropHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(work)))
    }

    /// What came of it; to be asked until it is there. A panic in it goes on here.
    pub(super) async fn result(&mut self) -> T {
        let ended = (&mut self.0).await;
        ended.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
    }
}
