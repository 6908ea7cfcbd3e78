//! The client of the Cloudflare API: one page of a listing at a time, within the token's share of the quota, with
//! retries of transient errors. It returns validated `model` types, or an [`Error`] to show to a person.

mod addresses;
mod base_url;
mod client;
mod credentials;
mod error;
#[cfg(test)]
mod fuzz;
mod health;
mod limiter;
mod listing;
mod proxy;
mod rate_limit_headers;
mod retry;
mod route;
mod wire;

pub use base_url::{BaseUrl, BaseUrlError};
pub use client::{AccountListing, Client, Endpoint, NamespaceListing};
pub use credentials::{Credentials, PrintedToken};
pub use error::{Error, ErrorKind};
pub use health::ApiHealth;
pub use limiter::{Limiter, Pace, Stats};
pub use proxy::{Proxy, ProxyError};
pub use retry::RetryPolicy;
