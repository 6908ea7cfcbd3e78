//! The way to the API: name resolution, the proxy and TLS. Tells a mistake in the settings of this machine, which no
//! retry can mend, from a fault that may pass. Once the API has answered, the settings are known to work: then every
//! fault may pass.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::addresses::Addresses;
use super::base_url::BaseUrl;
use super::error::{AttemptError, ErrorKind, RetryDecision, root_cause};
use super::proxy::{Tunnel, Via};
use crate::text::{chain, shown};

/// How long to wait for a resolver whose servers are silent: a person waits no longer than 10 s for the message.
const LONGEST_LOOKUP: Duration = Duration::from_secs(8);

pub(super) struct Route {
    api: BaseUrl,
    proxy: Option<Via>,
    /// A person sees the message, and can correct a name at once.
    is_attended: bool,
    patience: Duration,
}

impl Route {
    pub(super) fn new(api: BaseUrl, proxy: Option<Via>, is_attended: bool, patience: Duration) -> Self {
        Self {
            api,
            proxy,
            is_attended,
            patience,
        }
    }

    /// Why a request could not be sent, or got no response. `has_responded` says whether the API did in this run.
    pub(super) async fn explain(&self, error: reqwest::Error, has_responded: bool) -> AttemptError {
        let Some(fault) = self.fault(&error).await else {
            let mut attempt = AttemptError::transport(error);
            if let Some(via) = &self.proxy {
                attempt.message = format!("{}, through {via}", attempt.message);
            }
            return attempt;
        };
        let is_final = fault.kind.filter(|_| !has_responded);
        AttemptError {
            decision: is_final.map_or(RetryDecision::NOW, RetryDecision::Final),
            message: fault.message,
            source: Some(root_cause(&error.without_url()).into()),
        }
    }

    /// `None` if nothing is known but that the connection failed.
    async fn fault(&self, error: &reqwest::Error) -> Option<Fault> {
        if !error.is_connect() {
            return None;
        }
        if let Some(Unresolved { host, .. }) = find(error) {
            let kind = Some(ErrorKind::Exhausted).filter(|_| self.is_attended);
            let message = match &self.proxy {
                Some(via) if via.host == *host => format!("the name of {via} does not resolve: check the variable"),
                _ => format!(
                    "the name {} does not resolve: check CLOUDFLARE_API_BASE_URL and this machine's DNS",
                    shown(host)
                ),
            };
            return Some(Fault { kind, message });
        }
        if let Some(via) = &self.proxy
            && let Some(fault) = self.proxy_fault(via, error).await
        {
            return Some(fault);
        }
        speaks_no_tls(error).then(|| {
            Fault::mistake(format!(
                "{} does not speak TLS: check scheme and port of CLOUDFLARE_API_BASE_URL",
                self.api.authority()
            ))
        })
    }

    /// A fault between this machine and the end of the proxy's tunnel. The HTTP client gives no type for these errors,
    /// only their texts.
    async fn proxy_fault(&self, via: &Via, error: &reqwest::Error) -> Option<Fault> {
        let why = chain(error);
        let says = |text: &str| why.contains(text);
        let api = self.api.authority();
        if says("failed to create underlying connection") {
            return Some(match speaks_no_tls(error) {
                true => Fault::mistake(format!("{via} does not speak TLS: begin its URL with http://")),
                false => Fault::passing(format!("no connection to {via}")),
            });
        }
        if says("tunnel error: proxy authorization required")
            || says("credentials not accepted")
            || says("server does not support user/pass authentication")
            || says("server implements authentication incorrectly")
        {
            return Some(Fault::mistake(format!(
                "{via} refuses the connection (it wants other credentials, or none): write USER:PASSWORD@ before the host, \
                 special characters percent-encoded"
            )));
        }
        if says("tunnel error: unsuccessful") {
            return Some(match via.probe(&self.api, self.patience).await {
                Tunnel::Status(status @ 300..500, reason) => Fault::mistake(format!(
                    "{via} refuses a connection to {api}: HTTP {status} {}: allow it there, or add the host to NO_PROXY",
                    shown(&reason)
                )),
                Tunnel::Status(status @ 500.., reason) => {
                    Fault::passing(format!("{via} does not reach {api}: HTTP {status} {}", shown(&reason)))
                }
                Tunnel::NotHttp => Fault::mistake(format!(
                    "{via} does not respond like an HTTP proxy: check the scheme and the port of its URL"
                )),
                Tunnel::Status(..) | Tunnel::Unknown => Fault::passing(format!("{via} does not connect to {api}")),
            });
        }
        let is_before_its_end = says("tunnel error") || says("SOCKS error");
        if !is_before_its_end {
            return None;
        }
        Some(match () {
            () if says("connection not allowed") => Fault::mistake(format!(
                "{via} refuses a connection to {api}: allow it there, or add the host to NO_PROXY"
            )),
            () if says("failed parsing server response") => Fault::mistake(format!(
                "{via} does not respond like a SOCKS proxy: check the scheme and the port of its URL"
            )),
            () => Fault::passing(format!("{via} does not connect to {api}")),
        })
    }
}

struct Fault {
    /// The kind of the final error; `None` for a fault that may pass.
    kind: Option<ErrorKind>,
    message: String,
}

impl Fault {
    fn mistake(message: String) -> Self {
        Self {
            kind: Some(ErrorKind::Setup),
            message,
        }
    }

    fn passing(message: String) -> Self {
        Self { kind: None, message }
    }
}

/// Whether the peer's bytes are not TLS, as from a port for plain http.
fn speaks_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(find(error), Some(rustls::Error::InvalidMessage(_)))
}

/// The first error of this type in the chain, errors that an `io::Error` wraps included.
pub(super) fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // The `source` of an I/O error skips the error that it wraps.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => find(wrapped),
        None => error.source().and_then(find),
    }
}

/// Resolves names by the system's resolver, on a thread that the end of the program does not wait for.
pub(super) struct Resolver {
    addresses: Addresses,
}

impl Resolver {
    pub(super) fn new(addresses: Addresses) -> Self {
        Self { addresses }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (host, addresses) = (name.as_str().to_owned(), self.addresses.clone());
        Box::pin(async move {
            let found = timeout(LONGEST_LOOKUP, look_up(host.clone())).await;
            match found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(found) => Ok(Box::new(addresses.ordered(found).into_iter()) as Addrs),
                Err(source) => Err(Unresolved { host, source }.into()),
            }
        })
    }
}

async fn look_up(host: String) -> io::Result<Vec<SocketAddr>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        let found = (host.as_str(), 0).to_socket_addrs();
        // Nobody waits any more after the timeout.
        let _late = sender.send(found);
    })?;
    let found = receiver.await.map_err(io::Error::other)??;
    Ok(found.collect())
}

/// A host name without an address.
#[derive(Debug)]
struct Unresolved {
    host: String,
    source: io::Error,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not resolve", shown(&self.host))
    }
}

impl std::error::Error for Unresolved {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
