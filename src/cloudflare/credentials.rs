//! The credentials of an account, and the headers that carry them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::Error;
use crate::text::visible;
use crate::token_command::{TokenCommand, TokenCommandError};

/// API credentials.
#[derive(Clone)]
pub enum Credentials {
    Token(SecretString),
    /// The older pair of `X-Auth-Email` and `X-Auth-Key`.
    Key {
        email: String,
        key: SecretString,
    },
    /// A token that a program prints.
    Printed(Arc<PrintedToken>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(..)",
            Self::Key { .. } => "Key { .. }",
            Self::Printed(_) => "Printed(..)",
        })
    }
}

/// What one request carries.
pub(super) struct Sent {
    pub(super) headers: HeaderMap,
    pub(super) secret: SecretString,
    /// Which token of a program it is.
    generation: u64,
}

impl Credentials {
    /// Runs the program that prints the token, if it has not run yet.
    pub async fn prepare(&self) -> Result<(), TokenCommandError> {
        match self {
            Self::Printed(printed) => printed.current().await.map(drop),
            Self::Token(_) | Self::Key { .. } => Ok(()),
        }
    }

    /// Whether both are limited by the same quota.
    pub fn share_a_quota(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) | (Self::Key { key: one, .. }, Self::Key { key: other, .. }) => {
                one.expose_secret() == other.expose_secret()
            }
            (Self::Printed(one), Self::Printed(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Whether they are a token, which has permissions of its own.
    pub(super) fn are_a_token(&self) -> bool {
        matches!(self, Self::Token(_) | Self::Printed(_))
    }

    /// What the next request carries.
    pub(super) async fn current(&self) -> Result<Sent, Error> {
        let (headers, secret, generation) = match self {
            Self::Token(token) => (headers_of_token(token)?, token.clone(), 0),
            Self::Key { email, key } => (headers_of_key(email, key)?, key.clone(), 0),
            Self::Printed(printed) => {
                let (token, generation) = printed.current().await.map_err(|error| Error::setup(error, None))?;
                (headers_of_token(&token)?, token, generation)
            }
        };
        Ok(Sent {
            headers,
            secret,
            generation,
        })
    }

    /// Fails if a header can't carry them. A token that is not printed yet is not checked.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Token(token) => headers_of_token(token).map(drop),
            Self::Key { email, key } => headers_of_key(email, key).map(drop),
            Self::Printed(_) => Ok(()),
        }
    }

    /// Returns whether there is another token than the one that the API refused, if need be after running the program
    /// again.
    pub(super) async fn renew(&self, refused: &Sent) -> bool {
        match self {
            Self::Printed(printed) => printed.renew(refused.generation).await,
            Self::Token(_) | Self::Key { .. } => false,
        }
    }

    pub(super) fn note_accepted(&self, sent: &Sent) {
        if let Self::Printed(printed) = self {
            printed.note_accepted(sent.generation);
        }
    }
}

fn headers_of_token(token: &SecretString) -> Result<HeaderMap, Error> {
    let bearer = format!("Bearer {}", token.expose_secret());
    Ok(headers([(AUTHORIZATION.as_str(), header(&bearer, "the API token")?)]))
}

fn headers_of_key(email: &str, key: &SecretString) -> Result<HeaderMap, Error> {
    Ok(headers([
        ("x-auth-email", header(email, "the e-mail address")?),
        ("x-auth-key", header(key.expose_secret(), "the API key")?),
    ]))
}

fn headers<const N: usize>(secrets: [(&'static str, HeaderValue); N]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in secrets {
        headers.insert(name, value);
    }
    headers
}

fn header(text: &str, what: &str) -> Result<HeaderValue, Error> {
    let unfit = |_| Error::setup(format!("{what} has characters that a header can't carry"), None);
    let mut value = HeaderValue::from_str(text).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

/// How long to wait before the program runs again, if it had no other token. A refusal may be about one resource only.
const AFTER_A_VAIN_RUN: Duration = Duration::from_secs(60);

/// A token that a program prints. The program runs again when the API refuses the token, which may have expired: once,
/// until the API accepts a request again. All clients that use the token share it.
pub struct PrintedToken {
    command: TokenCommand,
    /// Locked while the program runs: requests wait for the next token.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<SecretString>,
    /// Counts the tokens.
    generation: u64,
    /// The program ran because of a refusal, and no request was accepted since then.
    renewed: bool,
    vain_run: Option<Instant>,
}

impl PrintedToken {
    pub fn new(command: TokenCommand) -> Self {
        Self {
            command,
            state: Mutex::default(),
        }
    }

    async fn current(&self) -> Result<(SecretString, u64), TokenCommandError> {
        let mut state = self.state.lock().await;
        let token = match &state.token {
            Some(token) => token.clone(),
            None => state.token.insert(self.command.run().await?).clone(),
        };
        Ok((token, state.generation))
    }

    async fn renew(&self, refused: u64) -> bool {
        let mut state = self.state.lock().await;
        if state.generation != refused {
            return true;
        }
        if state.renewed || state.vain_run.is_some_and(|at| at.elapsed() < AFTER_A_VAIN_RUN) {
            return false;
        }
        state.renewed = true;
        let printed = self.command.run().await;
        let origin = &self.command.origin;
        match printed {
            Ok(token) if state.token.as_ref().map(ExposeSecret::expose_secret) != Some(token.expose_secret()) => {
                tracing::info!("{origin}: the API refused the token, and the program printed another one");
                state.token = Some(token);
                state.generation += 1;
                return true;
            }
            Ok(_) => tracing::warn!("{origin}: the API refused the token, and the program printed the same one again"),
            Err(error) => tracing::warn!("the API refused the token: {}", visible(&error.to_string())),
        }
        state.vain_run = Some(Instant::now());
        false
    }

    fn note_accepted(&self, generation: u64) {
        // While the program runs, its token is the one that counts.
        if let Ok(mut state) = self.state.try_lock()
            && state.generation == generation
        {
            state.renewed = false;
        }
    }
}
