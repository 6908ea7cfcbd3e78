//! Errors in the configuration. Each message is one line with the origin, the problem and the remedy; causes are in the
//! chain of sources.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::cloudflare::{BaseUrlError, ProxyError};
use crate::model::{AccountId, InvalidAccountId};
use crate::text::shell_word;
use crate::units::Quota;

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Option(&'static str),
    Variable(String),
    /// An empty key stands for the whole line.
    File {
        file: PathBuf,
        line: usize,
        key: String,
    },
}

impl Origin {
    pub fn variable(name: impl Into<String>) -> Self {
        Self::Variable(name.into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) => f.write_str(name),
            Self::Variable(name) => f.write_str(name),
            Self::File { file, line, key } => {
                write!(f, "{}:{line}", file.display())?;
                if key.is_empty() { Ok(()) } else { write!(f, ": {key}") }
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{origin}: cannot read {what}: check that it exists and that this user may read it")]
    Unreadable {
        origin: Origin,
        what: String,
        source: io::Error,
    },
    #[error("{origin}: {problem}")]
    File { origin: Origin, problem: String },
    #[error("{origin}: the value is not UTF-8 text: set it again")]
    NotText { origin: Origin },
    #[error("{origin}: {other} is set too: remove one of the two")]
    BothGiven { origin: Origin, other: String },
    #[error("{origin}: set, but empty: unset it, or name a file")]
    EmptyVariable { origin: Origin },
    #[error("{origin}: the file that it names is empty: write the secret into it")]
    EmptySecret { origin: Origin },
    #[error(
        "{origin}: expected the path of a file, but this looks like the secret itself: write the secret into a file"
    )]
    SecretForName { origin: Origin },
    #[error("{origin}: {what} is {form}, not UTF-8 text: write the file again as UTF-8, without a byte order mark")]
    NotUtf8 {
        origin: Origin,
        what: String,
        form: &'static str,
    },
    #[error("{origin}: a token or key has only letters, digits, '-' and '_', but this value {what}")]
    MalformedSecret { origin: Origin, what: &'static str },
    #[error("{origin}: not an email address: it needs an '@', and no white space or quotation marks")]
    MalformedEmail { origin: Origin },
    #[error("{origin}: not the URL of a PostgreSQL database: it must start with postgres:// and be one line")]
    MalformedDatabaseUrl { origin: Origin },
    #[error(
        "{origin}: a special character in the password or another part is not percent-encoded: write '@' as %40, '/' \
         as %2F, '?' as %3F and '#' as %23"
    )]
    AmbiguousUrl { origin: Origin },
    #[error("{origin}: expected a path, not a URL: write the URL into a file, and give the path of that file")]
    AddressForPath { origin: Origin },
    #[error("{origin}: {variable} is not set or empty: set it, or change the name here")]
    VariableNotSet { origin: Origin, variable: String },
    #[error("{origin}: {missing} is not set: set it too, or use a token instead of both")]
    HalfAPair { origin: Origin, missing: &'static str },
    #[error("{origin}: a quotation mark is not closed")]
    UnclosedQuote { origin: Origin },
    #[error("{origin}: names no program: write the program and its arguments, such as wrangler auth token --json")]
    NoProgram { origin: Origin },
    #[error(
        "{origin}: not run, because other users can change {}, and so choose the program that runs: run `chmod go-w {}`",
        file.display(),
        shell_word(&file.to_string_lossy())
    )]
    CommandOfOthers { origin: Origin, file: PathBuf },
    #[error(
        "{}no credentials: set CLOUDFLARE_API_TOKEN or, for example, CLOUDFLARE_API_TOKEN_FILE=/run/secrets/cloudflare-token",
        of(account)
    )]
    NoCredentials { account: Option<AccountId> },
    /// The accounts that the credentials see have to be listed.
    #[error(
        "no account: set CLOUDFLARE_ACCOUNT_ID, for example CLOUDFLARE_ACCOUNT_ID=023e105f4ecef8ad9ca31a8372d0c353"
    )]
    NoAccount,
    #[error("--account: {account} is not in {}, which lists {known}", file.display())]
    AccountNotInFile {
        account: AccountId,
        file: PathBuf,
        known: String,
    },
    #[error("{origin}: not the id of an account: copy it from the dashboard's address, or from Account home")]
    MalformedAccount { origin: Origin, source: InvalidAccountId },
    #[error(
        "{origin}: not the id of an account at Cloudflare, which has 32 hex digits: copy it from the dashboard's address, or from \
         Account home"
    )]
    NotCloudflaresAccount { origin: Origin },
    #[error("{origin}: {account} is already defined in line {first}: merge the two tables")]
    AccountTwice {
        origin: Origin,
        account: AccountId,
        first: usize,
    },
    #[error("{origin}: {problem}")]
    Proxy { origin: Origin, problem: ProxyError },
    #[error(
        "{origin}: {what} has no CA certificate that can be used: it takes PEM, which has -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate { origin: Origin, what: String },
    #[error("{origin}: {problem}")]
    BaseUrl { origin: Origin, problem: BaseUrlError },
    #[error(
        "{}{share}% of the quota {quota} is less than one request: raise the quota or the quota share",
        of(account)
    )]
    NothingLeft {
        account: Option<AccountId>,
        quota: Quota,
        share: u8,
    },
}

/// The beginning of a message, if it is about one account.
fn of(account: &Option<AccountId>) -> String {
    account
        .as_ref()
        .map_or_else(String::new, |account| format!("account {account}: "))
}
