//! Errors of the API: a message for the person who runs the program, and a kind for the code that decides what follows.

use std::fmt;
use std::time::Duration;

use super::route::find;
use crate::model::{AccountId, NamespaceId};
use crate::text::{chain, rounded, shown};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The kind of an [`Error`], on which the caller's next step depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The base URL or the credentials can't be used. Nothing was sent.
    Setup,
    /// 401, or a 400 about the credentials, in the API's envelope. Other requests may be refused too. If the token was
    /// accepted earlier in the run, the request was retried three times first.
    Unauthorized,
    /// 403: the credentials have no access to this resource. Others may still be accessible.
    Forbidden,
    /// 404: the namespace or account does not exist, or this token can't see it.
    NotFound,
    /// 400, 410 or 422 for a request with a cursor.
    CursorRefused,
    /// A transient error lasted longer than the retry budget, or the API never responded in this run and three attempts
    /// brought responses from elsewhere.
    Exhausted,
    /// A page of more than 100 objects took too long three times in a row. A smaller one may work.
    PageTooSlow,
    /// The response contradicts itself, so that no part of it can be used.
    Contradictory,
    /// Any other response that can't be right. A retry would not help.
    Wrong,
}

/// Its text is one line: the subject of the request, what happened, and what to do. Causes are in the chain of sources.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    requests: u32,
    source: Option<Source>,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// HTTP requests sent before giving up.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    pub(super) fn setup(message: impl fmt::Display, source: Option<Source>) -> Self {
        Self {
            kind: ErrorKind::Setup,
            message: format!("the API can't be used: {message}"),
            requests: 0,
            source,
        }
    }

    /// An error of this kind, for tests of its consequences.
    #[cfg(test)]
    pub(crate) fn of_kind(kind: ErrorKind) -> Self {
        Self {
            kind,
            message: String::new(),
            requests: 1,
            source: None,
        }
    }

    /// A contradiction that only shows over several requests.
    pub(super) fn wrong(subject: Subject<'_>, message: impl fmt::Display, requests: u32) -> Self {
        Self {
            kind: ErrorKind::Wrong,
            message: format!("{subject}: {message}"),
            requests,
            source: None,
        }
    }

    /// An attempt that no retry can help.
    pub(super) fn of(kind: ErrorKind, subject: Subject<'_>, attempt: AttemptError, requests: u32) -> Self {
        let advice = match kind {
            ErrorKind::NotFound if matches!(subject, Subject::Objects(..)) => {
                ": it was deleted, or the token can't see it: `durable-inventory check` shows what the token can see"
            }
            ErrorKind::NotFound if matches!(subject, Subject::Accounts) => ": check the API base URL",
            ErrorKind::NotFound => ": check the account id and the API base URL",
            ErrorKind::CursorRefused => ": the listing can't be resumed here",
            _ => "",
        };
        Self {
            kind,
            message: format!("{subject}: {}{advice}", attempt.message),
            requests,
            source: attempt.source,
        }
    }

    /// A refusal of the credentials. `permission` says whether a missing permission may be the reason.
    pub(super) fn refused(
        kind: ErrorKind,
        permission: bool,
        subject: Subject<'_>,
        attempt: AttemptError,
        requests: u32,
    ) -> Self {
        let mut message = format!("{subject}: {}", attempt.message);
        if matches!(subject, Subject::Accounts) {
            // No permission for Workers includes this list.
            if permission {
                message.push_str(": the token may be wrong or expired, or may not list accounts");
            }
        } else if permission {
            message.push_str(
                ": the token needs the permission \"Content Read-Only\" for the Workers product (older tokens: \
                 \"Workers Scripts Read\") in this account",
            );
            message.push_str(match (kind, subject) {
                (ErrorKind::Forbidden, Subject::Objects(..)) => {
                    "; to skip a namespace that it may not read, add the namespace to `exclude` in the configuration file"
                }
                _ => ", and must not have expired",
            });
        }
        Self {
            kind,
            message,
            requests,
            source: attempt.source,
        }
    }

    /// The last of `requests` attempts, all with responses that are not the API's, before the API ever responded.
    pub(super) fn not_the_api(kind: ErrorKind, subject: Subject<'_>, last: AttemptError, requests: u32) -> Self {
        let attempts = match requests {
            1 => "1 attempt".to_owned(),
            n => format!("{n} attempts"),
        };
        Self {
            kind,
            message: format!(
                "{subject}: {}: the API did not respond in {attempts}: check the API base URL, the proxy and the \
                 certificates of this machine",
                last.message
            ),
            requests,
            source: last.source,
        }
    }

    /// The last of `requests` attempts in `elapsed`. `because` is empty, or a clause that begins with a comma.
    pub(super) fn exhausted(
        subject: Subject<'_>,
        last: AttemptError,
        requests: u32,
        elapsed: Duration,
        because: impl fmt::Display,
    ) -> Self {
        let tried = match requests {
            0 => "before the first attempt".to_owned(),
            1 => "after 1 attempt".to_owned(),
            n => format!("after {n} attempts in {}", rounded(elapsed)),
        };
        Self {
            kind: ErrorKind::Exhausted,
            message: format!("{subject}: {}: gave up {tried}{because}: retry later", last.message),
            requests,
            source: last.source,
        }
    }
}

/// The listing that a request is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Accounts,
    Namespaces(&'a AccountId),
    Objects(&'a AccountId, &'a NamespaceId),
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts => f.write_str("list of accounts"),
            Self::Namespaces(account) => write!(f, "namespaces of account {account}"),
            Self::Objects(account, namespace) => {
                write!(
                    f,
                    "objects of namespace {} in account {account}",
                    shown(namespace.as_str())
                )
            }
        }
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub(super) struct AttemptError {
    pub(super) decision: RetryDecision,
    pub(super) message: String,
    pub(super) source: Option<Source>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// Another attempt may succeed, but not earlier than this.
    Retry {
        not_before: Duration,
    },
    /// The same, after a timeout or a gateway's: if the page is large, a smaller one may be faster.
    Slow {
        not_before: Duration,
    },
    /// Something in between responded, not the API. As long as the API did not respond in this run, the base URL or the
    /// proxy may be wrong, and the error is final after this many attempts. Otherwise it is transient.
    NotTheApi {
        not_before: Duration,
        attempts: u32,
        kind: ErrorKind,
    },
    /// The API refused the credentials. If it accepted them earlier in the run, a few more attempts are worth it.
    Refused {
        kind: ErrorKind,
        permission: bool,
    },
    /// The credentials were refused, and there are others now.
    Renewed,
    /// 429: the limiter keeps the pause.
    Throttled,
    Final(ErrorKind),
}

impl RetryDecision {
    pub(super) const NOW: Self = Self::Retry {
        not_before: Duration::ZERO,
    };
    pub(super) const TIMEOUT: Self = Self::Slow {
        not_before: Duration::ZERO,
    };
}

impl AttemptError {
    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Self {
            decision: RetryDecision::Final(ErrorKind::Wrong),
            message: message.into(),
            source: None,
        }
    }

    /// Credentials that can't be used.
    pub(super) fn setup(error: Error) -> Self {
        Self {
            decision: RetryDecision::Final(ErrorKind::Setup),
            ..Self::wrong(error.message)
        }
    }

    /// Whether the API refused the credentials as such.
    pub(super) fn is_unauthorized(&self) -> bool {
        let kind = ErrorKind::Unauthorized;
        matches!(self.decision, RetryDecision::Refused { kind: found, .. } if found == kind)
    }

    /// A transport error. Only the host of the URL is shown: the subject says the rest.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let wrong = RetryDecision::Final(ErrorKind::Wrong);
        let (message, decision) = if error.is_timeout() && error.is_connect() {
            ("the API did not respond in time", RetryDecision::NOW)
        } else if error.is_timeout() {
            ("the API did not respond in time", RetryDecision::TIMEOUT)
        } else if is_untrusted(&error) {
            // In the middle of a run it may be a captive portal's.
            let decision = RetryDecision::NotTheApi {
                not_before: Duration::ZERO,
                attempts: 1,
                kind: ErrorKind::Wrong,
            };
            (
                "the certificate of the API is not trusted here (if a proxy inspects TLS, SSL_CERT_FILE has to name its CA)",
                decision,
            )
        } else if error.is_connect() {
            ("cannot connect to the API", RetryDecision::NOW)
        } else if error.is_builder() {
            ("the request can't be built", wrong)
        } else if error.is_body() || error.is_decode() {
            ("the response was cut short or is damaged", RetryDecision::NOW)
        } else {
            ("the connection to the API broke", RetryDecision::NOW)
        };
        let host = error.url().filter(|_| error.is_connect()).and_then(|url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!(" ({}{port})", url.host_str()?))
        });
        Self {
            decision,
            message: format!("{message}{}", host.unwrap_or_default()),
            source: Some(root_cause(&error.without_url()).into()),
        }
    }

    /// Applies `redact` to the message and to the text of all causes.
    pub(super) fn redacted(self, redact: impl Fn(&str) -> String) -> Self {
        Self {
            message: redact(&self.message),
            source: self.source.map(|source| redact(&chain(source.as_ref())).into()),
            ..self
        }
    }

    /// Its cause, for the log.
    pub(super) fn cause(&self) -> Option<String> {
        Some(root_cause(self.source.as_deref()?))
    }
}

/// The innermost cause, sanitized: the outer ones say little more than "no connection", each in other words.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    shown(&cause.to_string())
}

/// Whether the certificate was the problem, which no retry can change.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(find(error), Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_untrusted_certificate_is_found_in_its_wrapping() {
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, certificate));
        assert!(is_untrusted(&wrapped));
        assert!(!is_untrusted(&io::Error::other(rustls::Error::HandshakeNotComplete)));
        assert!(!is_untrusted(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }

    #[test]
    fn the_log_gets_the_innermost_cause() {
        let inner = Error::wrong(Subject::Namespaces(&"a".parse().unwrap()), "in\nside", 0);
        let outer = Error {
            source: Some(Box::new(inner)),
            ..Error::setup("outside", None)
        };
        let attempt = AttemptError {
            source: Some(Box::new(outer)),
            ..AttemptError::wrong("all")
        };
        assert_eq!(attempt.cause().unwrap(), "namespaces of account a: in\\u{a}side");
        assert_eq!(AttemptError::wrong("all").cause(), None);
    }
}
