//! What can go wrong with a request, in words for the person who runs the program, and in kinds for the code that must
//! decide what follows.

use std::fmt;
use std::time::Duration;

use super::limiter::LongPause;
use crate::model::{AccountId, NamespaceId};
use crate::text::{chain, shown};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What a caller does next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The base URL or the credentials can't be used. Nothing was sent.
    Setup,
    /// 401, or a 400 that complains of the credentials: whatever they ask for may be refused.
    Unauthorized,
    /// 403: these credentials may not have this, which says nothing of anything else.
    Forbidden,
    /// 404: no such namespace or account, or none that this token sees.
    NotFound,
    /// 400 in answer to a request that carried a cursor.
    CursorRefused,
    /// A fault that may pass did not pass within the retry budget.
    Exhausted,
    /// Any other answer that can't be right. Asking again would not help.
    Wrong,
}

/// Shown, it is one line: of what the request asked, what happened, and what to do. Causes are in the chain of
/// sources.
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

    /// HTTP requests that were sent in vain.
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

    /// An error of a kind, to test what follows from it.
    #[cfg(test)]
    pub(crate) fn of_kind(kind: ErrorKind) -> Self {
        Self {
            kind,
            message: String::new(),
            requests: 1,
            source: None,
        }
    }

    /// A wrong answer that only shows over several requests.
    pub(super) fn wrong(subject: Subject<'_>, message: impl fmt::Display, requests: u32) -> Self {
        Self {
            kind: ErrorKind::Wrong,
            message: format!("{subject}: {message}"),
            requests,
            source: None,
        }
    }

    pub(super) fn of(kind: ErrorKind, subject: Subject<'_>, fault: Fault, requests: u32) -> Self {
        let advice = match kind {
            ErrorKind::Forbidden if matches!(subject, Subject::Objects(..)) => {
                ": the token needs the permission \"Workers Scripts Read\" for this account; to skip a namespace that it \
                 may not read, add the namespace to `exclude` in the configuration file"
            }
            ErrorKind::Unauthorized | ErrorKind::Forbidden => {
                ": the token needs the permission \"Workers Scripts Read\" for this account, and must not have expired"
            }
            ErrorKind::NotFound => ": check the account, the namespace and the API base URL",
            ErrorKind::CursorRefused => ": the listing can't go on from here and must start over",
            ErrorKind::Setup | ErrorKind::Exhausted | ErrorKind::Wrong => "",
        };
        let message = format!("{subject}: {}{advice}", fault.message);
        Self {
            kind,
            message,
            requests,
            source: fault.source,
        }
    }

    pub(super) fn exhausted(
        subject: Subject<'_>,
        fault: Fault,
        requests: u32,
        elapsed: Duration,
        wait: Duration,
    ) -> Self {
        let tried = Tried { requests, elapsed };
        let message = format!(
            "{subject}: {}: gave up {tried}, as the next wait of {:.1} s goes beyond the retry budget: try again later",
            fault.message,
            wait.as_secs_f64()
        );
        Self {
            kind: ErrorKind::Exhausted,
            message,
            requests,
            source: fault.source,
        }
    }

    pub(super) fn paused(subject: Subject<'_>, pause: LongPause, requests: u32, elapsed: Duration) -> Self {
        let tried = Tried { requests, elapsed };
        let message = format!(
            "{subject}: the API asked this token to pause: gave up {tried}, as the {:.0} s that are left go beyond the \
             retry budget: try again later",
            pause.left.as_secs_f64()
        );
        Self {
            kind: ErrorKind::Exhausted,
            message,
            requests,
            source: None,
        }
    }
}

/// How much was tried before giving up.
struct Tried {
    requests: u32,
    elapsed: Duration,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.requests {
            0 => write!(f, "before the first attempt"),
            1 => write!(f, "after 1 attempt in {:.1} s", self.elapsed.as_secs_f64()),
            n => write!(f, "after {n} attempts in {:.1} s", self.elapsed.as_secs_f64()),
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Namespaces(&'a AccountId),
    Objects(&'a AccountId, &'a NamespaceId),
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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

/// What is wrong with one attempt.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) verdict: Verdict,
    pub(super) message: String,
    pub(super) source: Option<Source>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another attempt may go well, but not earlier than this.
    Retry {
        not_before: Duration,
    },
    /// 429: the limiter was told, and knows how long.
    Throttled,
    Final(ErrorKind),
}

impl Fault {
    pub(super) fn wrong(message: String) -> Self {
        Self {
            verdict: Verdict::Final(ErrorKind::Wrong),
            message,
            source: None,
        }
    }

    /// A fault of the transport. Of the URL only the host is told: the rest says nothing that the subject does not.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let host = error.url().and_then(|url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{}{port}", url.host_str()?))
        });
        let (message, may_pass) = if error.is_timeout() {
            ("the API did not answer in time", true)
        } else if is_untrusted(&error) {
            ("the certificate of the API is not trusted here", false)
        } else if error.is_connect() {
            ("no connection to the API", true)
        } else if error.is_builder() {
            ("the request can't be built", false)
        } else if error.is_body() || error.is_decode() {
            ("the answer was cut short or is damaged", true)
        } else {
            ("the connection to the API broke", true)
        };
        let verdict = if may_pass {
            Verdict::Retry {
                not_before: Duration::ZERO,
            }
        } else {
            Verdict::Final(ErrorKind::Wrong)
        };
        Self {
            verdict,
            message: match host.filter(|_| error.is_connect()) {
                Some(host) => format!("{message} ({host})"),
                None => message.to_owned(),
            },
            source: Some(Box::new(error.without_url())),
        }
    }

    /// The same fault, its text and that of its cause changed.
    pub(super) fn retold(self, change: impl Fn(&str) -> String) -> Self {
        let retold = |source: Box<dyn std::error::Error + Send + Sync>| Told(change(&chain(source.as_ref())));
        Self {
            message: change(&self.message),
            source: self.source.map(|source| Box::new(retold(source)) as _),
            ..self
        }
    }

    /// The innermost cause, for the log: "no connection" alone does not help to get one.
    pub(super) fn root_cause(&self) -> Option<String> {
        let mut cause: &dyn std::error::Error = self.source.as_deref()?;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Some(shown(&cause.to_string()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// A connection fails for want of trust in the certificate, which no waiting brings about.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error tells the sources of what it wraps, but not what it wraps.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(wrapped) => is_untrusted(wrapped),
        None => error.source().is_some_and(is_untrusted),
    }
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
        let fault = Fault {
            source: Some(Box::new(outer)),
            ..Fault::wrong("all".to_owned())
        };
        assert_eq!(fault.root_cause().unwrap(), "namespaces of account a: in\\u{a}side");
        assert_eq!(Fault::wrong("all".to_owned()).root_cause(), None);
    }
}
