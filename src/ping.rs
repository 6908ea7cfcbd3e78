//! Notifies a monitor such as healthchecks.io that the job began and how it ended: `URL/start`, then `URL/EXIT_CODE`.
//!
//! A monitor that is slow or down neither delays nor fails the job. Anyone with the URL can report for the job, so it
//! is treated as a secret.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tracing::warn;
use url::Url;

use crate::loopback::may_carry_a_secret;
use crate::text::{chain, is_ambiguous};

const TIMEOUT: Duration = Duration::from_secs(5);
/// The end is worth a retry: a monitor that misses it raises an alarm.
const TRIES_AT_THE_END: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    #[error("not a URL to ping: it must start with https://, or with http:// for a loopback address")]
    Address,
    #[error(
        "a special character in the password or another part is not percent-encoded: write '@' as %40, '/' as %2F, \
         '?' as %3F and '#' as %23"
    )]
    Ambiguous,
    #[error("HTTPS can't be used on this machine: check its CA certificates")]
    Setup,
}

/// The monitor of one job.
pub struct Ping {
    http: reqwest::Client,
    url: Url,
    started: Option<JoinHandle<()>>,
}

impl Ping {
    pub fn new(url: &SecretString) -> Result<Self, PingError> {
        if is_ambiguous(url.expose_secret()) {
            return Err(PingError::Ambiguous);
        }
        let url = Url::parse(url.expose_secret())
            .ok()
            .filter(may_carry_a_secret)
            .ok_or(PingError::Address)?;
        // The TLS library uses the process's default provider; one that is already set is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("durable-inventory/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A retry must not use the connection that failed.
            .http1_only()
            .timeout(TIMEOUT);
        if url.scheme() == "http" {
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(|_| PingError::Setup)?;
        Ok(Self {
            http,
            url,
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
        for left in (0..TRIES_AT_THE_END).rev() {
            match send(self.request(&exit_code.to_string())).await {
                Ok(()) => return,
                Err(why) if left == 0 => warn!("could not ping the end to --ping-url: {why}"),
                Err(_) => {}
            }
        }
    }

    fn request(&self, what: &str) -> reqwest::RequestBuilder {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{what}", self.url.path().trim_end_matches('/')));
        self.http.get(url)
    }
}

async fn send(request: reqwest::RequestBuilder) -> Result<(), String> {
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("it returned {}", answer.status())),
        Err(error) if error.is_timeout() => Err(format!("no response within {} s", TIMEOUT.as_secs())),
        Err(error) => Err(chain(&error.without_url())),
    }
}
