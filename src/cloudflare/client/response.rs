//! One response: received within bounds, its headers passed to the limiter, its status and body turned into a page or
//! an error.

use std::io::Read;
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::in_between::{RATE_LIMITED, edge_error, excerpt, sender};
use crate::cloudflare::error::{AttemptError, ErrorKind, RetryDecision};
use crate::cloudflare::health::ApiHealth;
use crate::cloudflare::limiter::Limiter;
use crate::cloudflare::rate_limit_headers;
use crate::cloudflare::wire::{self, ApiErrors, ParseError, Parsed, Parser};
use crate::text::shown;

/// The longest body, counted after decompression. A page of 10,000 objects is below 1 MiB.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

/// How much of an error response is read: enough for its reason.
const LARGEST_ERROR_BODY: usize = 64 * 1024;

/// Error codes of malformed credentials, which come with a 400.
const CREDENTIAL_CODES: [u64; 3] = [6003, 6111, 9106];

/// An unknown email address, or a key that is not that user's.
const WRONG_EMAIL_OR_KEY: u64 = 9103;

/// A token that the API does not know, with status 401: "Invalid API Token". Other services use the code for anything.
const UNKNOWN_TOKEN: u64 = 1000;

/// No access, or none from this address: the message says which.
const NO_ACCESS: u64 = 9109;

/// "Authentication error", with status 401 or 403.
const NOT_AUTHENTICATED: u64 = 10000;

/// The error code of a fault in Cloudflare's own services, sent with any status: "An unknown error has occurred".
/// Source: reports of it that ended without a change by the reporters, such as cloudflare/workers-sdk#4724 and #6553.
const SERVER_CODE: u64 = 10013;

/// Messages of server faults whose codes mean something else in other services: 10001 is an internal error in
/// one service and an invalid parameter in another, and so is 10002 (cloudflare/workers-sdk#10196).
const SERVER_WORDS: [&str; 4] = [
    "unknown error has occurred",
    "workers.api.error.unknown",
    "internal error",
    "internal server error",
];

/// The number of attempts after which responses from elsewhere are final, as long as the API has not responded.
const MOST_NOT_THE_API: u32 = 3;

/// Seconds that this machine's clock is ahead of the `Date` header.
fn clock_ahead_s(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(match now.duration_since(date) {
        Ok(ahead) => ahead.as_secs() as i64,
        Err(behind) => -(behind.duration().as_secs() as i64),
    })
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) struct ApiResponse {
    status: StatusCode,
    content_type: String,
    /// The `CF-RAY` header, by which Cloudflare's support finds the request.
    ray: Option<String>,
    /// Whether the header `cf-mitigated` says that this is a challenge page.
    is_challenge: bool,
    /// The host of a redirect's target.
    redirect: Option<String>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl ApiResponse {
    /// Reads the body. The limiter gets the headers first, so that no other task sends during a 429 while the body
    /// arrives.
    pub(super) async fn receive(mut response: Response, limiter: &Limiter) -> Result<Self, AttemptError> {
        let status = response.status();
        let headers = response.headers();
        let retry_after = retry_after(headers, SystemTime::now());
        limiter.observe(&rate_limit_headers::statuses(headers));
        if let Some(ahead) = clock_ahead_s(headers, SystemTime::now()) {
            limiter.note_clock(ahead);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            limiter.pause(retry_after);
        }
        let content_type = headers.get(CONTENT_TYPE).map_or_else(
            || "no content type".to_owned(),
            |value| shown(&String::from_utf8_lossy(value.as_bytes())),
        );
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let ray = header("cf-ray").filter(|ray| is_ray(ray)).map(str::to_owned);
        let is_challenge = header("cf-mitigated").is_some_and(|value| value.eq_ignore_ascii_case("challenge"));
        // The usual name, gzip, was dealt with already.
        let is_zipped = header(CONTENT_ENCODING.as_str()).is_some_and(|name| name.eq_ignore_ascii_case("x-gzip"));
        let redirect = redirect_host(&response);
        let mut body = if status.is_success() {
            whole_body(&mut response).await?
        } else {
            error_body(&mut response).await
        };
        if is_zipped {
            body = unzipped(&body)?;
        }
        if body.starts_with(BYTE_ORDER_MARK) {
            body.drain(..BYTE_ORDER_MARK.len());
        }
        let received = Self {
            status,
            content_type,
            ray,
            is_challenge,
            redirect,
            retry_after,
            body,
        };
        if status != StatusCode::TOO_MANY_REQUESTS && received.is_rate_limited() {
            limiter.pause(retry_after);
        }
        Ok(received)
    }

    /// Parses the body of a success; anything else is an error.
    pub(super) fn read<T>(
        &self,
        parse: Parser<T>,
        had_cursor: bool,
        health: &ApiHealth,
    ) -> Result<Parsed<T>, AttemptError> {
        let failure = if self.status.is_success() {
            match parse(&self.body) {
                Ok(parsed) => {
                    health.note_envelope();
                    return Ok(parsed);
                }
                Err(failure) => failure,
            }
        } else {
            match wire::api_errors(&self.body) {
                Some(errors) if !self.status.is_redirection() => ParseError::Refused(errors),
                _ => ParseError::NotTheApi(String::new()),
            }
        };
        if !matches!(failure, ParseError::NotTheApi(_) | ParseError::CutShort(_)) {
            health.note_envelope();
        }
        Err(match failure {
            ParseError::NotTheApi(detail) => self.not_the_api(detail),
            // If the length of a body is not sent, a broken connection looks like its end.
            ParseError::CutShort(detail) => AttemptError {
                decision: RetryDecision::NOW,
                message: "the response was cut short".to_owned(),
                source: Some(detail.into()),
            },
            ParseError::Refused(errors) => self.refused(&errors, had_cursor),
            ParseError::Unexpected(message) => AttemptError::wrong(message),
            ParseError::Contradictory(message) => AttemptError {
                decision: RetryDecision::Final(ErrorKind::Contradictory),
                ..AttemptError::wrong(message)
            },
        })
    }

    /// Applies `redact` to the body.
    pub(super) fn redacted(self, redact: impl FnOnce(&str) -> String) -> Self {
        let body = redact(&String::from_utf8_lossy(&self.body)).into_bytes();
        Self { body, ..self }
    }

    fn described(&self) -> String {
        format!("HTTP {}, {}", self.status.as_u16(), self.content_type)
    }

    /// The `CF-RAY` header, to be appended to a message.
    fn ray(&self) -> String {
        self.ray
            .as_deref()
            .map(|ray| format!(", CF-RAY {ray}"))
            .unwrap_or_default()
    }

    /// Whether this is the page of Cloudflare's rate limit. A page of objects is not searched for it.
    fn is_rate_limited(&self) -> bool {
        let may_be = !self.status.is_success() || !self.body.starts_with(b"{");
        may_be && edge_error(&self.body) == Some(RATE_LIMITED)
    }

    /// Something in between responded: a proxy, a firewall, a portal. Its status says little about the API, but one
    /// that stands for a temporary fault is believed, even if the API has not responded yet.
    fn not_the_api(&self, detail: String) -> AttemptError {
        let not_before = self.retry_after.unwrap_or_default();
        let decision = match self.status.as_u16() {
            _ if self.is_rate_limited() => RetryDecision::Throttled,
            429 => RetryDecision::Throttled,
            504 | 524 => RetryDecision::Slow { not_before },
            408 | 500..=599 => RetryDecision::Retry { not_before },
            _ => RetryDecision::NotTheApi {
                not_before,
                attempts: MOST_NOT_THE_API,
                kind: ErrorKind::Exhausted,
            },
        };
        let (status, described, ray) = (self.status.as_u16(), self.described(), self.ray());
        let message = if self.status.is_redirection() {
            let host = self.redirect.as_deref().unwrap_or("an unknown host");
            format!(
                "something in between responded, not the API: HTTP {status} redirects to {host}, which is not followed{ray}"
            )
        } else if self.body.trim_ascii().is_empty() {
            format!("the response is empty: {described}{ray}")
        } else {
            let sender = sender(status, self.is_challenge, &self.body);
            format!("{sender}: {described}: {}{ray}", excerpt(&self.body))
        };
        AttemptError {
            decision,
            message,
            source: (!detail.is_empty()).then(|| detail.into()),
        }
    }

    /// The API refused the request, in its own envelope.
    fn refused(&self, errors: &ApiErrors, had_cursor: bool) -> AttemptError {
        let status = self.status.as_u16();
        let has = |code: &u64| errors.codes.contains(code);
        let text = errors.text.to_ascii_lowercase();
        let is_servers_fault = has(&SERVER_CODE) || SERVER_WORDS.into_iter().any(|words| text.contains(words));
        let is_by_address = has(&NO_ACCESS) && text.contains("location");
        let is_unknown = status == 401 && has(&UNKNOWN_TOKEN);
        let not_before = self.retry_after.unwrap_or_default();
        let is_malformed = CREDENTIAL_CODES.iter().any(has);
        let decision = match status {
            429 => RetryDecision::Throttled,
            504 | 524 => RetryDecision::Slow { not_before },
            408 | 425 | 499 | 500..=599 => RetryDecision::Retry { not_before },
            _ if is_servers_fault => RetryDecision::Retry { not_before },
            401 | 403 => RetryDecision::Refused {
                kind: match status {
                    401 => ErrorKind::Unauthorized,
                    _ => ErrorKind::Forbidden,
                },
                permission: !is_by_address && !is_unknown && !has(&WRONG_EMAIL_OR_KEY) && !is_malformed,
            },
            // The same refusal with the status of a success.
            _ if self.status.is_success() && (has(&NO_ACCESS) || has(&NOT_AUTHENTICATED)) => RetryDecision::Refused {
                kind: match has(&NO_ACCESS) {
                    true => ErrorKind::Forbidden,
                    false => ErrorKind::Unauthorized,
                },
                permission: !is_by_address,
            },
            200..=299 | 400 if is_malformed || (self.status.is_success() && has(&WRONG_EMAIL_OR_KEY)) => {
                RetryDecision::Refused {
                    kind: ErrorKind::Unauthorized,
                    permission: false,
                }
            }
            400 | 410 | 422 if had_cursor => RetryDecision::Final(ErrorKind::CursorRefused),
            404 => RetryDecision::Final(ErrorKind::NotFound),
            _ => RetryDecision::Final(ErrorKind::Wrong),
        };
        let advice = if has(&WRONG_EMAIL_OR_KEY) {
            ": the email address or the API key is wrong; an API token belongs in CLOUDFLARE_API_TOKEN"
        } else if is_by_address {
            ": the token may only be used from other IP addresses: change its client IP address filter"
        } else if is_unknown {
            ": the token is revoked, expired or mistyped"
        } else if is_malformed {
            ": the API can't read the credentials: copy the token or the key again, without quotes or other text"
        } else {
            ""
        };
        let head = match self.status.is_success() {
            true => "the response does not report success (success: false)".to_owned(),
            false => format!("HTTP {status}"),
        };
        AttemptError {
            decision,
            message: format!("{head}: {}{}{advice}", errors.text, self.ray()),
            source: None,
        }
    }
}

/// UTF-8's.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a `CF-RAY` header is one: hex digits, and possibly the code of a data center.
fn is_ray(text: &str) -> bool {
    text.len() <= 40 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Decompresses a body whose `Content-Encoding` is the old name of gzip.
fn unzipped(body: &[u8]) -> Result<Vec<u8>, AttemptError> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(body)
        .take(LARGEST_BODY as u64 + 1)
        .read_to_end(&mut out);
    if out.len() > LARGEST_BODY {
        return Err(too_large());
    }
    match read {
        Ok(_) => Ok(out),
        Err(error) => Err(AttemptError {
            decision: RetryDecision::NOW,
            message: "the response was cut short or is damaged".to_owned(),
            source: Some(Box::new(error)),
        }),
    }
}

fn too_large() -> AttemptError {
    AttemptError::wrong(format!("the response is larger than {} MiB", LARGEST_BODY >> 20))
}

async fn whole_body(response: &mut Response) -> Result<Vec<u8>, AttemptError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(AttemptError::transport)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The part of an error response that arrives. Its status alone decides what follows, so a broken body is not an error.
async fn error_body(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < LARGEST_ERROR_BODY
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(LARGEST_ERROR_BODY);
    body
}

/// The host only: the rest of a redirect's URL may hold a secret.
fn redirect_host(response: &Response) -> Option<String> {
    let target = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = response.url().join(target).ok()?;
    url.host_str().map(shown)
}

/// `Retry-After` in seconds, rounded up, or as a date. A date is compared to the server's own clock if it sends one; a
/// past date is ignored.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if are_digits(whole) && are_digits(fraction) {
        let is_more = u64::from(fraction.bytes().any(|b| b != b'0'));
        let seconds = whole.parse().unwrap_or(u64::MAX).saturating_add(is_more);
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let now = date
        .and_then(|text| httpdate::parse_http_date(text).ok())
        .unwrap_or(now);
    let wait = until.duration_since(now).ok().filter(|wait| !wait.is_zero())?;
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(fields: &[(&'static str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "37")]), Some(37));
        assert_eq!(wait(&[("retry-after", "0")]), Some(0));
        assert_eq!(
            wait(&[("retry-after", "99999999999999999999999")]),
            Some(LONGEST_RETRY_AFTER.as_secs())
        );
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(37));
        assert_eq!(
            wait(&[("retry-after", "Sun, 06 Nov 1994 08:48:37 GMT")]),
            None,
            "a past date is ignored"
        );
        for (fraction, seconds) in [("2.5", 3), ("2.0", 2), ("0.001", 1)] {
            assert_eq!(wait(&[("retry-after", fraction)]), Some(seconds));
        }
        for garbage in ["", "-1", "+1", "1.", ".5", "1.5.5", "1,5", "soon"] {
            assert_eq!(wait(&[("retry-after", garbage)]), None, "{garbage}");
        }
    }

    #[test]
    fn a_date_is_compared_to_the_servers_clock() {
        let fields = [
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("date", "Sun, 06 Nov 1994 08:49:27 GMT"),
        ];
        assert_eq!(wait(&fields), Some(10));
    }
}
