//! Abandons futures in the middle of their work.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Polls a future until it completes, at most `polls` times.
pub async fn polled<F: Future>(mut future: Pin<&mut F>, polls: u64) -> Option<F::Output> {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
