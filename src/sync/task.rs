//! Work in a task of its own.

use tokio_util::task::AbortOnDropHandle;

/// A spawned task that is aborted when this is dropped.
pub(super) struct Task<T>(AbortOnDropHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(work)))
    }

    /// Waits for the result, which can be taken once. A panic of the task resumes here.
    pub(super) async fn result(&mut self) -> T {
        let ended = (&mut self.0).await;
        ended.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
    }
}
