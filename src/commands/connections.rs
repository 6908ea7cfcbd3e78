//! Connects the accounts of a command to the API, and finds the account if none is named.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use durable_inventory::cli::SyncArgs;
use durable_inventory::cloudflare::{
    AccountListing, ApiHealth, Client, Credentials, Endpoint, ErrorKind, Limiter, Pace, RetryPolicy,
};
use durable_inventory::config::{ApiAccess, ConfigError, Settings, SyncConfig};
use durable_inventory::model::{AccountId, ListedAccount};
use durable_inventory::sync::Account;
use durable_inventory::text::{chain, shown, visible};
use tracing::{info, warn};

use crate::terminal::Failure;

/// Accounts in one message.
const MOST_SHOWN: usize = 50;

/// What the clients of a command share: those with the same credentials a limiter, because the quota is that of a token,
/// and those with the same base URL its health.
#[derive(Default)]
pub struct Connections {
    limiters: Vec<(Credentials, Arc<Limiter>)>,
    health: HashMap<String, Arc<ApiHealth>>,
}

impl Connections {
    /// The configuration of a command that reads from the API. If it names no account, the accounts that the
    /// credentials see are listed, and a single one is taken.
    pub async fn configuration(&mut self, settings: &Settings<'_>, args: &SyncArgs) -> Result<SyncConfig, Failure> {
        let config = settings.sync(args);
        let access = match &config {
            Err(ConfigError::NoAccount) => Some(settings.api_access(args)),
            _ => None,
        };
        report_dot_env(settings);
        let Some(access) = access else {
            return Ok(config?);
        };
        let account = self.single_account(access?).await?;
        let args = SyncArgs {
            account: vec![account],
            ..args.clone()
        };
        Ok(settings.sync(&args)?)
    }

    async fn single_account(&mut self, access: ApiAccess) -> Result<AccountId, Failure> {
        let (client, _) = self.client(access.endpoint, access.pace, access.retry_for).await?;
        match client.list_accounts().await {
            Ok(listing) => chosen(listing),
            Err(error) => Err(Failure {
                message: format!(
                    "no account is named, and the list of accounts can't be read\n  {}\nif the credentials are right, {NAME_IT}",
                    chain(&error)
                ),
                exit_code: if error.kind() == ErrorKind::Setup { 2 } else { 1 },
            }),
        }
    }

    /// Connects the configured accounts.
    pub async fn accounts(&mut self, config: &SyncConfig) -> Result<Vec<(Account, Arc<Limiter>)>, Failure> {
        let mut accounts = Vec::new();
        for account in &config.accounts {
            let (client, limiter) = self
                .client(account.endpoint.clone(), account.pace, config.run.retry_for)
                .await?;
            let connected = Account {
                id: account.id.clone(),
                client: Arc::new(client),
                base_url: account.endpoint.base_url.to_string(),
                limit: account.limit,
                selection: account.selection.clone(),
            };
            accounts.push((connected, limiter));
        }
        Ok(accounts)
    }

    /// Runs the program that prints the token, if there is one, so that its failure ends the command before anything
    /// else begins.
    async fn client(
        &mut self,
        endpoint: Endpoint,
        pace: Pace,
        retry_for: Duration,
    ) -> Result<(Client, Arc<Limiter>), Failure> {
        let retry = RetryPolicy {
            budget: retry_for,
            ..RetryPolicy::default()
        };
        let credentials = &endpoint.credentials;
        credentials.prepare().await.map_err(|error| Failure::new(error, 2))?;
        let known = self.limiters.iter().find(|(known, _)| known.share_a_quota(credentials));
        let limiter = match known {
            Some((_, limiter)) => limiter.clone(),
            None => {
                let limiter = Arc::new(Limiter::new(pace));
                self.limiters.push((credentials.clone(), limiter.clone()));
                limiter
            }
        };
        let health = self.health.entry(endpoint.base_url.as_str().to_owned()).or_default();
        let endpoint = Endpoint {
            is_attended: std::io::stderr().is_terminal(),
            ..endpoint
        };
        let client = Client::new(endpoint, limiter.clone(), health.clone(), retry);
        Ok((client.map_err(|error| Failure::new(error, 2))?, limiter))
    }
}

/// The configuration of a command, and its accounts with their limiters.
pub async fn connect(
    settings: &Settings<'_>,
    args: &SyncArgs,
) -> Result<(SyncConfig, Vec<(Account, Arc<Limiter>)>), Failure> {
    let mut connections = Connections::default();
    let config = connections.configuration(settings, args).await?;
    let accounts = connections.accounts(&config).await?;
    Ok((config, accounts))
}

fn report_dot_env(settings: &Settings<'_>) {
    let report = settings.dot_env_report();
    for problem in &report.problems {
        warn!("{}", visible(problem));
    }
    if !report.supplied.is_empty() {
        info!(
            "the file .env in the working folder supplies {}",
            report.supplied.join(", ")
        );
    }
}

const NAME_IT: &str = "name the account:\n  CLOUDFLARE_ACCOUNT_ID=ID, or `--account ID` with `sync`";

/// The account of a list that is known to have no other.
fn chosen(listing: AccountListing) -> Result<AccountId, Failure> {
    let AccountListing { accounts, doubt } = listing;
    let problem = match (accounts.as_slice(), doubt) {
        ([account], None) => {
            info!("no account is named: taking {}, the only one that these credentials see", described(account));
            return Ok(account.id.clone());
        }
        ([], None) => {
            "no account is named, and these credentials see none: an API token needs the account among its resources, and \
             the permission \"Account Settings Read\" to list it"
                .to_owned()
        }
        (accounts, None) => format!("no account is named, and these credentials see {}", accounts.len()),
        (_, Some(doubt)) => format!("no account is named, and the list of accounts may be incomplete: {}", visible(&doubt)),
    };
    let shown = accounts
        .iter()
        .take(MOST_SHOWN)
        .map(|account| format!("  {}\n", row(account)));
    let more = match accounts.len().saturating_sub(MOST_SHOWN) {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    };
    Err(Failure {
        message: format!("{problem}\n{}{more}{NAME_IT}", shown.collect::<String>()),
        exit_code: 2,
    })
}

fn described(account: &ListedAccount) -> String {
    match &account.name {
        Some(name) => format!("\"{}\" ({})", shown(name), account.id),
        None => account.id.to_string(),
    }
}

fn row(account: &ListedAccount) -> String {
    let name = account.name.as_deref().map(shown).unwrap_or_default();
    format!("{}  {name}", account.id).trim_end().to_owned()
}
