//! One answer: received within bounds, its headers told to the limiter, and its status and body judged.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::cloudflare::error::{ErrorKind, Fault, Verdict};
use crate::cloudflare::limiter::Limiter;
use crate::cloudflare::quota;
use crate::cloudflare::wire::{self, Misread, Read};
use crate::text::{first_line, shown};

/// A page of 10,000 objects is below 1 MiB. It is counted after decompression, so a small body can't swell without end.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

/// Enough for the reason of a refusal; the rest of an error page is not read.
const LARGEST_REASON: usize = 64 * 1024;

/// Complaints of the credentials' form, which come with a 400.
const CREDENTIAL_CODES: [u64; 3] = [6003, 6111, 9106];

/// Whole seconds, as `Date` has them.
fn clock_ahead_s(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(match now.duration_since(date) {
        Ok(ahead) => ahead.as_secs() as i64,
        Err(behind) => -(behind.duration().as_secs() as i64),
    })
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) struct Answer {
    status: StatusCode,
    content_type: String,
    /// The host that a redirect points to.
    redirect: Option<String>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// Takes an answer in. The limiter hears of the headers first: while the body comes in, other tasks must not go on
    /// sending into a 429.
    pub(super) async fn receive(mut response: Response, limiter: &Limiter) -> Result<Self, Fault> {
        let status = response.status();
        let headers = response.headers();
        let retry_after = retry_after(headers, SystemTime::now());
        limiter.observe(&quota::standings(headers));
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
            reason(&mut response).await
        };
        Ok(Self {
            status,
            content_type,
            redirect,
            retry_after,
            body,
        })
    }

    /// What the answer says, or what is wrong with it.
    pub(super) fn read<T>(
        &self,
        parse: fn(&[u8]) -> Result<Read<T>, Misread>,
        had_cursor: bool,
    ) -> Result<Read<T>, Fault> {
        if self.status.is_success() {
            return parse(&self.body).map_err(|misread| self.misread(misread));
        }
        Err(self.refused(had_cursor))
    }

    /// The same answer with another body.
    pub(super) fn with_body(self, change: impl FnOnce(&str) -> String) -> Self {
        let body = change(&String::from_utf8_lossy(&self.body)).into_bytes();
        Self { body, ..self }
    }

    fn misread(&self, misread: Misread) -> Fault {
        let status = self.status.as_u16();
        match misread {
            Misread::Wrong(message) => Fault::wrong(message),
            Misread::Shape(detail) => Fault {
                source: Some(Box::new(detail)),
                ..Fault::wrong("the answer has an unexpected shape".to_owned())
            },
            Misread::NotJson(detail) => {
                let line = first_line(&self.body);
                let message = format!("the answer is not JSON: HTTP {status}, {}: {line}", self.content_type);
                Fault {
                    source: Some(Box::new(detail)),
                    ..Fault::wrong(message)
                }
            }
            // Where the length of a body is not told, a broken connection looks like the end of it.
            Misread::CutShort(detail) => Fault {
                verdict: Verdict::Retry {
                    not_before: Duration::ZERO,
                },
                message: match self.body.trim_ascii() {
                    [] => format!("the response is empty: HTTP {status}, {}", self.content_type),
                    _ => "the answer was cut short".to_owned(),
                },
                source: Some(Box::new(detail)),
            },
        }
    }

    fn refused(&self, had_cursor: bool) -> Fault {
        let status = self.status.as_u16();
        if self.status.is_redirection() {
            let host = self.redirect.as_deref().unwrap_or("an unknown host");
            return Fault::wrong(format!(
                "HTTP {status} redirects to {host}, which is not followed: check the API base URL"
            ));
        }
        let refusal = wire::refusal(&self.body);
        let is_about_credentials = refusal
            .as_ref()
            .is_some_and(|refusal| refusal.codes.iter().any(|code| CREDENTIAL_CODES.contains(code)));
        let message = match refusal {
            Some(refusal) => format!("HTTP {status}: {}", refusal.text),
            None => format!("HTTP {status}, {}: {}", self.content_type, first_line(&self.body)),
        };
        let verdict = match status {
            429 => Verdict::Throttled,
            408 | 500..=599 => Verdict::Retry {
                not_before: self.retry_after.unwrap_or_default(),
            },
            401 => Verdict::Final(ErrorKind::Unauthorized),
            403 => Verdict::Final(ErrorKind::Forbidden),
            400 if is_about_credentials => Verdict::Final(ErrorKind::Unauthorized),
            400 if had_cursor => Verdict::Final(ErrorKind::CursorRefused),
            404 => Verdict::Final(ErrorKind::NotFound),
            _ => Verdict::Final(ErrorKind::Wrong),
        };
        Fault {
            verdict,
            message,
            source: None,
        }
    }
}

async fn whole_body(response: &mut Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Fault::transport)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(Fault::wrong(format!(
                "the answer is larger than {} MiB",
                LARGEST_BODY >> 20
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// As much of a refusal's body as comes. The status alone decides what follows, so no fault of the body does.
async fn reason(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < LARGEST_REASON
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(LARGEST_REASON);
    body
}

/// The host alone: the rest of a redirect may hold a secret.
fn redirect_host(response: &Response) -> Option<String> {
    let target = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = response.url().join(target).ok()?;
    url.host_str().map(shown)
}

/// Seconds or a date. A date is compared to the server's own clock where it tells it; one that is past tells nothing.
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
            "a past date tells nothing"
        );
        for garbage in ["", "-1", "+1", "1.5", "soon"] {
            assert_eq!(wait(&[("retry-after", garbage)]), None, "{garbage}");
        }
    }

    #[test]
    fn a_date_is_measured_by_the_servers_clock() {
        let fields = [
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("date", "Sun, 06 Nov 1994 08:49:27 GMT"),
        ];
        assert_eq!(wait(&fields), Some(10));
    }
}
