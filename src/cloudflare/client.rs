//! The listings, one page per call. The client sends the credentials to nobody but the API: plain http is limited
//! to this machine, redirects are not followed, and a secret in a response is redacted before the response is quoted.

mod in_between;
mod response;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use url::Url;

use self::response::ApiResponse;
use super::addresses::Addresses;
use super::base_url::BaseUrl;
use super::credentials::{Credentials, Sent};
use super::error::{AttemptError, Error, ErrorKind, RetryDecision, Subject};
use super::health::ApiHealth;
use super::limiter::Limiter;
use super::listing::{ACCOUNTS_PER_PAGE, Listed, PER_PAGE, PagedList};
use super::proxy::Proxy;
use super::retry::{self, Request, RetryPolicy};
use super::route::{Resolver, Route};
use super::wire::{self, ListPage, Parsed, Parser};
use crate::model::{AccountId, Cursor, ListedAccount, Namespace, NamespaceId, Page, SMALLEST_PAGE};
use crate::text::chain;

/// Servers and firewalls close connections that stay idle for longer.
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// The time limit of a whole response, as a multiple of the read timeout: ten minutes by default. Without it, a body
/// that arrives byte by byte would never end.
const READS_PER_RESPONSE: u32 = 10;

/// A list with more numbered pages than this is taken for an endless one.
const MOST_LIST_PAGES: u32 = 10_000;
/// The most bytes of a list, all pages together: a hundred times what the largest known account has.
const LARGEST_LIST: usize = 64 * 1024 * 1024;

/// The API's address, credentials and timeouts.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub base_url: BaseUrl,
    pub credentials: Credentials,
    pub connect_timeout: Duration,
    /// Applies to each read: a body that keeps arriving may take ten times as long.
    pub read_timeout: Duration,
    /// Only https goes through it. `None`: as the system's settings have it.
    pub proxy: Option<Proxy>,
    /// Whether a person sees the messages. A name that does not resolve is then not retried: the person can correct it.
    pub is_attended: bool,
}

impl Endpoint {
    /// An endpoint with timeouts that suit a batch job.
    pub fn new(base_url: BaseUrl, credentials: Credentials) -> Self {
        Self {
            base_url,
            credentials,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            proxy: None,
            is_attended: false,
        }
    }
}

/// The namespaces of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceListing {
    /// In the order in which they were first listed, each id once.
    pub namespaces: Vec<Namespace>,
    /// Why there may be more; `None` if the list is known to be complete.
    pub doubt: Option<String>,
    /// The API sent null instead of a list, and nothing is listed.
    pub is_null: bool,
    /// HTTP requests sent, including retries.
    pub requests: u32,
}

impl NamespaceListing {
    /// Why an account of which something is recorded may have more than is listed. A null may be what it sends for
    /// nothing, but does not prove that something is gone.
    pub fn doubt_for_recorded(&self) -> Option<String> {
        let null = || self.is_null.then(|| "its result is null, not a list".to_owned());
        self.doubt.clone().or_else(null)
    }
}

/// The accounts that the credentials see.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountListing {
    /// In the order in which they were first listed, each id once.
    pub accounts: Vec<ListedAccount>,
    /// Why there may be more; `None` if the list is known to be complete.
    pub doubt: Option<String>,
}

/// A list that was read to its end, once or twice.
struct Listing<T: Listed> {
    list: PagedList<T>,
    doubt: Option<String>,
    requests: u32,
}

/// A parsed page and its cost.
struct Fetched<T> {
    value: T,
    /// HTTP requests sent, including retries.
    requests: u32,
    /// The duration of the last attempt.
    took: Duration,
}

/// Fetches one page per call. Share one client: it owns the connection pool.
pub struct Client {
    http: reqwest::Client,
    addresses: Addresses,
    route: Route,
    base_url: BaseUrl,
    credentials: Credentials,
    longest_response: Duration,
    limiter: Arc<Limiter>,
    health: Arc<ApiHealth>,
    retry: RetryPolicy,
    /// The place in [`PER_PAGE`] of the page size that the API accepts.
    per_page: AtomicUsize,
    /// The same in [`ACCOUNTS_PER_PAGE`].
    accounts_per_page: AtomicUsize,
}

impl Client {
    /// Clients of one token share its `limiter`, and clients of one base URL its `health`.
    pub fn new(
        endpoint: Endpoint,
        limiter: Arc<Limiter>,
        health: Arc<ApiHealth>,
        retry: RetryPolicy,
    ) -> Result<Self, Error> {
        // rustls uses a process-wide provider. If one is installed already, it is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        endpoint.credentials.check()?;
        let addresses = Addresses::default();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("durable-inventory/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // reqwest's own retries would bypass the limiter.
            .retry(reqwest::retry::never())
            .connect_timeout(endpoint.connect_timeout)
            .dns_resolver(Arc::new(Resolver::new(addresses.clone())))
            .read_timeout(endpoint.read_timeout)
            // A retry needs a new connection. Over HTTP/1.1 a timeout closes the connection; an HTTP/2 connection with
            // a silent peer would be used for every retry.
            .http1_only()
            // The idle connections of the pool may be dead for the same reason. When a request times out, all
            // connections that were idle when it was sent have been dropped.
            .pool_idle_timeout(endpoint.read_timeout.min(LONGEST_IDLE));
        let via = match &endpoint.proxy {
            Some(proxy) => proxy.on_the_way_to(&endpoint.base_url),
            None => None,
        };
        match &via {
            Some(via) => http = http.proxy(reqwest::Proxy::https(via.as_url().clone()).map_err(unusable)?),
            None if endpoint.proxy.is_some() => http = http.no_proxy(),
            None => {}
        }
        if endpoint.base_url.as_url().scheme() == "http" {
            // A proxy would send the secret off this machine unencrypted. Without TLS, no CA certificates are needed.
            http = http.no_proxy().tls_certs_only([]);
        }
        let http = http.build().map_err(unusable)?;
        let (attended, patience) = (endpoint.is_attended, endpoint.connect_timeout);
        Ok(Self {
            http,
            addresses,
            route: Route::new(endpoint.base_url.clone(), via, attended, patience),
            base_url: endpoint.base_url,
            credentials: endpoint.credentials,
            longest_response: endpoint.read_timeout.saturating_mul(READS_PER_RESPONSE),
            limiter,
            health,
            retry,
            per_page: AtomicUsize::new(0),
            accounts_per_page: AtomicUsize::new(0),
        })
    }

    /// Lists every namespace of the account.
    pub async fn list_namespaces(&self, account: &AccountId) -> Result<NamespaceListing, Error> {
        let listing = self.list(Subject::Namespaces(account), wire::namespaces).await?;
        Ok(NamespaceListing {
            is_null: listing.list.is_null(),
            namespaces: listing.list.into_items(),
            doubt: listing.doubt,
            requests: listing.requests,
        })
    }

    /// Lists every account that the credentials see.
    pub async fn list_accounts(&self) -> Result<AccountListing, Error> {
        let listing = self.list(Subject::Accounts, wire::accounts).await?;
        Ok(AccountListing {
            accounts: listing.list.into_items(),
            doubt: listing.doubt,
        })
    }

    /// Reads a whole list. An item created or deleted between two pages makes the numbers of one listing disagree, so a
    /// doubtful list is requested a second time; if that is doubtful too, both are merged.
    async fn list<T: Listed>(&self, subject: Subject<'_>, parse: Parser<ListPage<T>>) -> Result<Listing<T>, Error> {
        let (mut list, mut requests) = self.list_once(subject, parse).await?;
        let mut doubt = list.doubt();
        if doubt.is_some() && !list.has_broken_off() {
            match self.list_once(subject, parse).await {
                Ok((again, more)) => {
                    requests += more;
                    doubt = again.doubt();
                    if doubt.is_none() {
                        list = again;
                    } else {
                        again.into_items().into_iter().for_each(|item| list.merge(item));
                    }
                }
                Err(error) => requests += error.requests(),
            }
        }
        Ok(Listing { list, doubt, requests })
    }

    /// Returns the number of requests, too. If the first page is refused, the page size may be why, so others are
    /// tried. If all are, the first error is returned.
    async fn list_once<T: Listed>(
        &self,
        subject: Subject<'_>,
        parse: Parser<ListPage<T>>,
    ) -> Result<(PagedList<T>, u32), Error> {
        let (sizes, accepted) = match subject {
            Subject::Accounts => (&ACCOUNTS_PER_PAGE[..], &self.accounts_per_page),
            _ => (&PER_PAGE[..], &self.per_page),
        };
        let (mut refusal, mut refused) = (None, 0);
        for (place, per_page) in sizes.iter().enumerate().skip(accepted.load(Ordering::Relaxed)) {
            let mut list = PagedList::of(*per_page);
            match self.read_list(subject, parse, &mut list).await {
                Ok(requests) => {
                    accepted.store(place, Ordering::Relaxed);
                    return Ok((list, requests + refused));
                }
                Err(error) if error.kind() == ErrorKind::Wrong && list.has_no_page() => {
                    refused += error.requests();
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(refusal.unwrap_or(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::wrong(subject, "no page size is accepted", refused)))
    }

    /// Reads the list to its end and returns the number of requests. An error on a later page keeps the pages before
    /// it.
    async fn read_list<T: Listed>(
        &self,
        subject: Subject<'_>,
        parse: Parser<ListPage<T>>,
        list: &mut PagedList<T>,
    ) -> Result<u32, Error> {
        let (mut requests, mut bytes) = (0, 0);
        while let Some((page, per_page)) = list.next() {
            if page > MOST_LIST_PAGES {
                let message = format!("the list did not end within {MOST_LIST_PAGES} pages");
                return Err(Error::wrong(subject, message, requests));
            }
            let url = self.list_url(subject, page, per_page)?;
            match self.get(self.request(subject), &url, false, parse).await {
                Ok(fetched) => {
                    requests += fetched.requests;
                    bytes += fetched.value.bytes;
                    if bytes > LARGEST_LIST {
                        let message = format!("the list is larger than {} MiB", LARGEST_LIST >> 20);
                        return Err(Error::wrong(subject, message, requests));
                    }
                    list.add(fetched.value);
                }
                Err(error) if list.has_no_page() => return Err(error),
                Err(error) => {
                    requests += error.requests();
                    list.break_off(page, chain(&error));
                }
            }
        }
        Ok(requests)
    }

    /// Checks that the API still accepts the credentials: one request for the namespace list, without a retry.
    pub async fn try_credentials(&self, account: &AccountId) -> Result<(), Error> {
        let subject = Subject::Namespaces(account);
        let url = self.list_url(subject, 1, PER_PAGE[self.per_page.load(Ordering::Relaxed)])?;
        let once = RetryPolicy {
            budget: Duration::ZERO,
            ..self.retry
        };
        let request = Request {
            policy: &once,
            ..self.request(subject)
        };
        self.get(request, &url, false, wire::namespaces).await?;
        Ok(())
    }

    /// Fetches a page of at most `limit` objects, after `cursor` or from the start. If `limit` is above 100 and the API
    /// is too slow for the page three times in a row, the error is [`ErrorKind::PageTooSlow`].
    pub async fn list_objects(
        &self,
        account: &AccountId,
        namespace: &NamespaceId,
        limit: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page, Error> {
        let subject = Subject::Objects(account, namespace);
        if matches!(namespace.as_str(), "." | "..") {
            return Err(Error::wrong(subject, "this id can't be used in a URL", 0));
        }
        let mut url = self.url(subject)?;
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor.as_str());
        }
        let request = Request {
            may_shrink: limit > SMALLEST_PAGE,
            ..self.request(subject)
        };
        let fetched = self.get(request, &url, cursor.is_some(), wire::objects).await?;
        Ok(Page {
            requests: fetched.requests,
            limit,
            took: fetched.took,
            ..fetched.value
        })
    }

    /// Requests per second that the token's share of the quota allows.
    pub fn pace(&self) -> f64 {
        self.limiter.pace()
    }

    fn list_url(&self, subject: Subject<'_>, page: u32, per_page: Option<u32>) -> Result<Url, Error> {
        let mut url = self.url(subject)?;
        // The first page of the server's own size needs no parameter, so a server that refuses both can still be read.
        if page > 1 || per_page.is_some() {
            url.query_pairs_mut().append_pair("page", &page.to_string());
        }
        if let Some(per_page) = per_page {
            url.query_pairs_mut().append_pair("per_page", &per_page.to_string());
        }
        Ok(url)
    }

    fn url(&self, subject: Subject<'_>) -> Result<Url, Error> {
        let mut url = self.base_url.as_url().clone();
        {
            let mut path = url
                .path_segments_mut()
                .map_err(|()| Error::setup("the base URL can't have a path", None))?;
            path.pop_if_empty().push("accounts");
            if let Subject::Namespaces(account) | Subject::Objects(account, _) = subject {
                path.extend([account.as_str(), "workers", "durable_objects", "namespaces"]);
            }
            if let Subject::Objects(_, namespace) = subject {
                path.extend([namespace.as_str(), "objects"]);
            }
        }
        Ok(url)
    }

    fn request<'a>(&'a self, subject: Subject<'a>) -> Request<'a> {
        Request {
            policy: &self.retry,
            limiter: &self.limiter,
            health: &self.health,
            subject,
            may_shrink: false,
            by_token: self.credentials.are_a_token(),
        }
    }

    async fn get<T>(
        &self,
        request: Request<'_>,
        url: &Url,
        has_cursor: bool,
        parse: Parser<T>,
    ) -> Result<Fetched<T>, Error> {
        let subject = request.subject;
        let is_renewed = AtomicBool::new(false);
        let ((parsed, took), requests) = retry::run(request, || async {
            let sent = self.credentials.current().await.map_err(AttemptError::setup)?;
            let started = Instant::now();
            match self.try_once(url.clone(), &sent, has_cursor, parse).await {
                Ok(parsed) => {
                    self.credentials.note_accepted(&sent);
                    Ok((parsed, started.elapsed()))
                }
                Err(mut failed) => {
                    self.addresses.note_failure();
                    if failed.is_unauthorized()
                        && !is_renewed.swap(true, Ordering::Relaxed)
                        && self.credentials.renew(&sent).await
                    {
                        failed.decision = RetryDecision::Renewed;
                    }
                    Err(failed)
                }
            }
        })
        .await?;
        if let Some(notices) = parsed.notices {
            tracing::info!("{subject}: the API says: {notices}");
        }
        Ok(Fetched {
            value: parsed.value,
            requests,
            took,
        })
    }

    async fn try_once<T>(
        &self,
        url: Url,
        sent: &Sent,
        has_cursor: bool,
        parse: Parser<T>,
    ) -> Result<Parsed<T>, AttemptError> {
        let receive = async {
            let response = match self.http.get(url).headers(sent.headers.clone()).send().await {
                Ok(response) => response,
                Err(error) => return Err(self.route.explain(error, self.health.has_responded()).await),
            };
            ApiResponse::receive(response, &self.limiter).await
        };
        // The connection of a response that is dropped before its end is closed. Boxed, because it is large and every
        // walk has one within its own future.
        let received = tokio::time::timeout(self.longest_response, Box::pin(receive)).await;
        let response = received.unwrap_or_else(|_| Err(self.too_long()))?;
        let redact = |text: &str| without(text, sent.secret.expose_secret());
        match response.read(parse, has_cursor, &self.health) {
            Ok(parsed) if parsed.notices.is_none() => Ok(parsed),
            // Parts of the response will be shown, so parse it again without the secret: a text that was cut first
            // could end in half a secret. Headers and JSON escapes can spell it as well, so what is shown is redacted
            // too.
            _ => match response.redacted(redact).read(parse, has_cursor, &self.health) {
                Ok(parsed) => Ok(Parsed {
                    notices: parsed.notices.as_deref().map(redact),
                    ..parsed
                }),
                Err(error) => Err(error.redacted(redact)),
            },
        }
    }

    fn too_long(&self) -> AttemptError {
        let seconds = self.longest_response.as_secs_f64();
        AttemptError {
            decision: RetryDecision::TIMEOUT,
            ..AttemptError::wrong(format!("the response did not end within {seconds:.0} s"))
        }
    }
}

fn unusable(error: reqwest::Error) -> Error {
    Error::setup(
        "HTTPS can't be used on this machine: check its CA certificates",
        Some(Box::new(error)),
    )
}

/// Replaces the secret, ignoring ASCII case: host names, for example, come back in lower case.
fn without(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    let (lower, wanted) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let (mut out, mut kept) = (String::new(), 0);
    for (at, found) in lower.match_indices(&wanted) {
        out.push_str(&text[kept..at]);
        out.push_str("[redacted]");
        kept = at + found.len();
    }
    out.push_str(&text[kept..]);
    out
}

#[cfg(test)]
mod tests;
