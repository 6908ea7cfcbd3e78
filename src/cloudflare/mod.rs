//! The Cloudflare API as this program needs it: one page of a listing at a time, at a pace that leaves room for
//! others, retried where a retry can help. What comes out is validated `model` types or an [`Error`] to show a person.

mod base_url;
mod client;
mod error;
#[cfg(test)]
mod fuzz;
mod limiter;
mod listing;
mod quota;
mod retry;
mod wire;

pub use base_url::{BaseUrl, BaseUrlError};
pub use client::{Client, Credentials, Endpoint, Listing};
pub use error::{Error, ErrorKind};
pub use limiter::{Limiter, Pace, Stats};
pub use retry::RetryPolicy;
