//! The log of requests, and the rate limit that follows from it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use axum::extract::Query;
use axum::http::{HeaderMap, Method, Uri};

use crate::answer::Answer;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub query: String,
    /// The `Authorization` header, or `EMAIL KEY` for the older pair.
    pub authorization: Option<String>,
    /// The status of the response. `None` until there is one: while the request is held, or after its client left.
    pub status: Option<u16>,
    params: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let header = |name| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let pair = || Some(format!("{} {}", header("x-auth-email")?, header("x-auth-key")?));
        Self {
            at: Instant::now(),
            method: method.to_string(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            authorization: header("authorization").or_else(pair),
            status: None,
            params: Query::try_from_uri(uri).map(|Query(params)| params).unwrap_or_default(),
        }
    }

    /// A decoded query parameter. An empty one counts as absent.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// An enforced rate limit: after more than `requests` requests in any `window`, every request is refused for `block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub requests: usize,
    pub window: Duration,
    /// Zero refuses requests only while the window is full.
    pub block: Duration,
    /// Whether a 429 has a `Retry-After` header.
    pub retry_after: bool,
    /// Whether responses have `Ratelimit` and `Ratelimit-Policy` headers.
    pub headers: bool,
}

impl Quota {
    /// The documented limit: headers, `Retry-After`, and a block as long as the window.
    pub const fn new(requests: usize, window: Duration) -> Self {
        Self {
            requests,
            window,
            block: window,
            retry_after: true,
            headers: true,
        }
    }
}

#[derive(Default)]
struct Caller {
    admitted: VecDeque<Instant>,
    blocked_until: Option<Instant>,
}

/// The log of all requests, and the state of the rate limit, which counts per token.
#[derive(Default)]
pub struct Traffic {
    pub quota: Option<Quota>,
    pub requests: Vec<Request>,
    callers: BTreeMap<String, Caller>,
}

/// The rate limiter's verdict on a request: its place in the log, headers for its response, and the response itself if
/// it was refused.
#[derive(Default)]
pub(crate) struct Verdict {
    pub number: usize,
    pub headers: Vec<(String, String)>,
    pub refusal: Option<Answer>,
}

impl Traffic {
    pub(crate) fn arrive(&mut self, request: &Request) -> Verdict {
        let number = self.requests.len();
        self.requests.push(request.clone());
        let Some(quota) = self.quota else {
            return Verdict {
                number,
                ..Verdict::default()
            };
        };
        let caller = request.authorization.clone().unwrap_or_default();
        let caller = self.callers.entry(caller).or_default();
        let wait = caller.admit(&quota, request.at);
        Verdict {
            number,
            headers: caller.headers(&quota, request.at),
            refusal: wait.map(|wait| {
                let seconds = whole_seconds(wait).to_string();
                Answer::too_many_requests(quota.retry_after.then_some(&seconds))
            }),
        }
    }

    pub(crate) fn answered(&mut self, number: usize, status: u16) {
        if let Some(request) = self.requests.get_mut(number) {
            request.status = Some(status);
        }
    }

    /// The largest number of requests from one caller, including refused ones, in any time span of this length.
    pub fn max_in_window(&self, window: Duration) -> usize {
        let mut times: BTreeMap<&Option<String>, VecDeque<Instant>> = BTreeMap::new();
        let mut most = 0;
        for request in &self.requests {
            let recent = times.entry(&request.authorization).or_default();
            forget(recent, request.at, window);
            recent.push_back(request.at);
            most = most.max(recent.len());
        }
        most
    }
}

impl Caller {
    /// Returns `None` to admit the request, or the time until the next one is allowed.
    fn admit(&mut self, quota: &Quota, now: Instant) -> Option<Duration> {
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Some(until - now);
        }
        forget(&mut self.admitted, now, quota.window);
        if self.admitted.len() < quota.requests {
            self.admitted.push_back(now);
            return None;
        }
        self.blocked_until = Some(now + quota.block);
        Some(quota.block.max(self.until_reset(quota, now)))
    }

    fn until_reset(&self, quota: &Quota, now: Instant) -> Duration {
        let oldest = self.admitted.front();
        oldest.map_or(Duration::ZERO, |oldest| {
            (*oldest + quota.window).saturating_duration_since(now)
        })
    }

    fn headers(&self, quota: &Quota, now: Instant) -> Vec<(String, String)> {
        if !quota.headers {
            return Vec::new();
        }
        let remaining = quota.requests.saturating_sub(self.admitted.len());
        let reset = whole_seconds(self.until_reset(quota, now));
        let window = whole_seconds(quota.window);
        vec![
            ("ratelimit".to_owned(), format!(r#""default";r={remaining};t={reset}"#)),
            (
                "ratelimit-policy".to_owned(),
                format!(r#""default";q={};w={window}"#, quota.requests),
            ),
        ]
    }
}

fn forget(times: &mut VecDeque<Instant>, now: Instant, window: Duration) {
    while times
        .front()
        .is_some_and(|oldest| now.saturating_duration_since(*oldest) >= window)
    {
        times.pop_front();
    }
}

fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
