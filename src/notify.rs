//! Notifies other services of a run: a monitor such as healthchecks.io that the job began and how it ended (`URL/start`,
//! then `URL/EXIT_CODE`), and a chat of what needs attention.
//!
//! A service that is slow or down neither delays the job for long nor fails it. Anyone with a URL can speak for the job,
//! so it is treated as a secret.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tracing::warn;
use url::Url;

use crate::loopback::may_carry_a_secret;
use crate::text::{chain, is_ambiguous};

const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE_BEFORE_RETRY: Duration = Duration::from_secs(1);
/// The end is worth a retry: a monitor that misses it raises an alarm.
const TRIES_AT_THE_END: u32 = 2;
const TRIES_TO_POST: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("not a URL to notify: it must start with https://, or with http:// for a loopback address")]
    Address,
    #[error(
        "a special character in the password or another part is not percent-encoded: write '@' as %40, '/' as %2F, \
         '?' as %3F and '#' as %23"
    )]
    Ambiguous,
    #[error("HTTPS can't be used on this machine: check its CA certificates")]
    Setup,
}

/// A service's address, and a client for it.
struct Service {
    http: Client,
    url: Url,
}

impl Service {
    fn new(url: &SecretString) -> Result<Self, AddressError> {
        if is_ambiguous(url.expose_secret()) {
            return Err(AddressError::Ambiguous);
        }
        let url = Url::parse(url.expose_secret())
            .ok()
            .filter(may_carry_a_secret)
            .ok_or(AddressError::Address)?;
        // The TLS library uses the process's default provider; one that is already set is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder()
            .user_agent(concat!("durable-inventory/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A retry must not use the connection that failed.
            .http1_only()
            .timeout(TIMEOUT);
        if url.scheme() == "http" {
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|_| AddressError::Setup)?;
        Ok(Self { http, url })
    }
}

/// The monitor of one job.
pub struct Ping {
    service: Service,
    started: Option<JoinHandle<()>>,
}

impl Ping {
    pub fn new(url: &SecretString) -> Result<Self, AddressError> {
        Ok(Self {
            service: Service::new(url)?,
            started: None,
        })
    }

    /// Sends the notification without waiting for the response.
    pub fn start(&mut self) {
        let request = self.request("start");
        self.started = Some(tokio::spawn(async move {
            if let Err(why) = send(request).await {
                warn!("could not ping the start to --ping-url: {why}");
            }
        }));
    }

    /// Sends the notification, and waits up to the timeout for each response.
    pub async fn end(mut self, exit_code: u8) {
        if let Some(started) = self.started.take() {
            // The monitor must get the two in order. This waits up to the timeout.
            let _sent = started.await;
        }
        let exit_code = exit_code.to_string();
        if let Err(why) = deliver(TRIES_AT_THE_END, || self.request(&exit_code)).await {
            warn!("could not ping the end to --ping-url: {why}");
        }
    }

    fn request(&self, what: &str) -> RequestBuilder {
        let Service { http, url } = &self.service;
        let path = format!("{}/{what}", url.path().trim_end_matches('/'));
        let mut url = url.clone();
        url.set_path(&path);
        http.get(url)
    }
}

/// A chat or another service that takes a JSON document.
pub struct Webhook(Service);

impl Webhook {
    pub fn new(url: &SecretString) -> Result<Self, AddressError> {
        Service::new(url).map(Self)
    }

    /// Posts the document, and waits up to the timeout for each response.
    pub async fn post(&self, json: &str) {
        let Service { http, url } = &self.0;
        let request = || {
            let request = http.post(url.clone());
            request.header(CONTENT_TYPE, "application/json").body(json.to_owned())
        };
        if let Err(why) = deliver(TRIES_TO_POST, request).await {
            warn!("could not post what needs attention to --notify-url: {why}");
        }
    }
}

async fn deliver(tries: u32, request: impl Fn() -> RequestBuilder) -> Result<(), String> {
    for _ in 1..tries {
        if send(request()).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE_BEFORE_RETRY).await;
    }
    send(request()).await
}

async fn send(request: RequestBuilder) -> Result<(), String> {
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("it returned {}", answer.status())),
        Err(error) if error.is_timeout() => Err(format!("no response within {} s", TIMEOUT.as_secs())),
        Err(error) => Err(chain(&error.without_url())),
    }
}
