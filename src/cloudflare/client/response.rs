//! One response: received within bounds, its headers passed to the limiter, its status and body turned into a page or
//! an error.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::cloudflare::error::{AttemptError, ErrorKind, RetryDecision};
use crate::cloudflare::limiter::Limiter;
use crate::cloudflare::rate_limit_headers;
use crate::cloudflare::wire::{self, ParseError, Parsed, Parser};
use crate::text::{first_line, shown};

/// The longest body, counted after decompression. A page of 10,000 objects is below 1 MiB.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

/// How much of an error response is read: enough for its reason.
const LARGEST_ERROR_BODY: usize = 64 * 1024;

/// Error codes of malformed credentials, which come with a 400.
const CREDENTIAL_CODES: [u64; 3] = [6003, 6111, 9106];

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
        let redirect = redirect_host(&response);
        let body = if status.is_success() {
            whole_body(&mut response).await?
        } else {
            error_body(&mut response).await
        };
        Ok(Self {
            status,
            content_type,
            redirect,
            retry_after,
            body,
        })
    }

    /// Parses the body of a success; anything else is an error.
    pub(super) fn read<T>(&self, parse: Parser<T>, had_cursor: bool) -> Result<Parsed<T>, AttemptError> {
        if self.status.is_success() {
            return parse(&self.body).map_err(|error| self.parse_error(error));
        }
        Err(self.refused(had_cursor))
    }

    /// Applies `redact` to the body.
    pub(super) fn redacted(self, redact: impl FnOnce(&str) -> String) -> Self {
        let body = redact(&String::from_utf8_lossy(&self.body)).into_bytes();
        Self { body, ..self }
    }

    fn parse_error(&self, error: ParseError) -> AttemptError {
        let (decision, message, detail) = match error {
            ParseError::Unexpected(message) => return AttemptError::wrong(message),
            ParseError::NotJson(detail) => {
                let (described, line) = (self.described(), first_line(&self.body));
                let message = format!("the answer is not JSON: {described}: {line}");
                (RetryDecision::Final(ErrorKind::Wrong), message, detail)
            }
            // If the length of a body is not sent, a broken connection looks like its end.
            ParseError::CutShort(detail) => {
                let message = match self.body.trim_ascii() {
                    [] => format!("the response is empty: {}", self.described()),
                    _ => "the answer was cut short".to_owned(),
                };
                (RetryDecision::NOW, message, detail)
            }
        };
        AttemptError {
            decision,
            message,
            source: Some(detail.into()),
        }
    }

    fn described(&self) -> String {
        format!("HTTP {}, {}", self.status.as_u16(), self.content_type)
    }

    fn refused(&self, had_cursor: bool) -> AttemptError {
        let status = self.status.as_u16();
        if self.status.is_redirection() {
            let host = self.redirect.as_deref().unwrap_or("an unknown host");
            return AttemptError::wrong(format!(
                "HTTP {status} redirects to {host}, which is not followed: check the API base URL"
            ));
        }
        let errors = wire::api_errors(&self.body);
        let codes = errors.iter().flat_map(|errors| &errors.codes);
        let is_about_credentials = codes.into_iter().any(|code| CREDENTIAL_CODES.contains(code));
        let message = match errors {
            Some(errors) => format!("HTTP {status}: {}", errors.text),
            None => format!("{}: {}", self.described(), first_line(&self.body)),
        };
        let decision = match status {
            429 => RetryDecision::Throttled,
            408 | 500..=599 => RetryDecision::Retry {
                not_before: self.retry_after.unwrap_or_default(),
            },
            401 => RetryDecision::Final(ErrorKind::Unauthorized),
            403 => RetryDecision::Final(ErrorKind::Forbidden),
            400 if is_about_credentials => RetryDecision::Final(ErrorKind::Unauthorized),
            400 if had_cursor => RetryDecision::Final(ErrorKind::CursorRefused),
            404 => RetryDecision::Final(ErrorKind::NotFound),
            _ => RetryDecision::Final(ErrorKind::Wrong),
        };
        AttemptError {
            decision,
            message,
            source: None,
        }
    }
}

async fn whole_body(response: &mut Response) -> Result<Vec<u8>, AttemptError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(AttemptError::transport)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(AttemptError::wrong(format!(
                "the answer is larger than {} MiB",
                LARGEST_BODY >> 20
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// As much of an error response as arrives. Its status alone decides what follows, so a broken body is not an error.
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

/// `Retry-After` in seconds or as a date. A date is compared to the server's own clock if it sends one; a past date is
/// ignored.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
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
        for garbage in ["", "-1", "+1", "1.5", "soon"] {
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
