//! What can be wrong with a configuration: one line each, which says where, what, and what to do. Causes stay in the
//! chain.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::base_url::BaseUrlProblem;
use crate::model::{AccountId, InvalidAccountId};
use crate::units::Quota;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Option(&'static str),
    Variable(String),
    /// The key is empty where the whole line is meant.
    File {
        file: PathBuf,
        line: usize,
        key: String,
    },
}

impl Place {
    pub fn variable(name: impl Into<String>) -> Self {
        Self::Variable(name.into())
    }
}

impl fmt::Display for Place {
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
    #[error("{place}: cannot read {what}: check that it is there and that this user may read it")]
    Unreadable {
        place: Place,
        what: String,
        source: io::Error,
    },
    #[error("{place}: {problem}")]
    File { place: Place, problem: String },
    #[error("{place}: the value is not UTF-8 text: set it again")]
    NotText { place: Place },
    #[error("{place}: {other} is given too: leave one of the two out")]
    BothGiven { place: Place, other: String },
    #[error("{place}: the file that it names is empty: write the secret into it")]
    EmptySecret { place: Place },
    #[error("{place}: names a file, but looks like the secret itself: write that into a file of its own")]
    SecretForName { place: Place },
    #[error(
        "{place}: the secret holds white space, control characters or characters beyond ASCII, which none does: check what was pasted"
    )]
    MalformedSecret { place: Place },
    #[error("{place}: not an e-mail address: it has an '@' and no white space")]
    MalformedEmail { place: Place },
    #[error("{place}: not the URL of a PostgreSQL database: it starts with postgres:// and is one line")]
    MalformedDatabaseUrl { place: Place },
    #[error(
        "{place}: a character of the password, or of another part, is taken for the URL's own: write '@' as %40, '/' as %2F, \
         '?' as %3F and '#' as %23"
    )]
    AmbiguousUrl { place: Place },
    #[error("{place}: not a path, but an address: write it into a file, and name that")]
    AddressForPath { place: Place },
    #[error("{place}: {variable} is not set or empty: set it, or change the name here")]
    VariableNotSet { place: Place, variable: String },
    #[error("{place}: is given without {missing}: add that, or use a token in place of both")]
    HalfAPair { place: Place, missing: &'static str },
    #[error(
        "account {account}: no credentials: set CLOUDFLARE_API_TOKEN or, for example, CLOUDFLARE_API_TOKEN_FILE=/run/secrets/cloudflare-token"
    )]
    NoCredentials { account: AccountId },
    #[error(
        "no account: set CLOUDFLARE_ACCOUNT_ID, for example CLOUDFLARE_ACCOUNT_ID=023e105f4ecef8ad9ca31a8372d0c353, or name a file with [[accounts]] by --config"
    )]
    NoAccount,
    #[error("--account: {account} is not in {}: that lists {known}", file.display())]
    AccountNotInFile {
        account: AccountId,
        file: PathBuf,
        known: String,
    },
    #[error("{place}: not the id of an account: copy it from the dashboard's address, or from Account home")]
    MalformedAccount { place: Place, source: InvalidAccountId },
    #[error("{place}: {account} stands in line {first} already: put both tables into one")]
    AccountTwice {
        place: Place,
        account: AccountId,
        first: usize,
    },
    #[error("{place}: {problem}")]
    BaseUrl { place: Place, problem: BaseUrlProblem },
    #[error(
        "account {account}: {share} % of the quota {quota} is less than one request: raise the quota or the quota share"
    )]
    NothingLeft {
        account: AccountId,
        quota: Quota,
        share: u8,
    },
}
