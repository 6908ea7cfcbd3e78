//! Futures that are left in the midst of their work.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Drives a future until it ends, or was polled so many times.
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
