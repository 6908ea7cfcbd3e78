//! Resolves which accounts a run walks, and each one's credentials, pace and namespaces.

use super::AccountConfig;
use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::file::{AccountTable, ConfigFile};
use crate::cli::SyncArgs;
use crate::cloudflare::{BaseUrl, Credentials, Endpoint, Pace, Proxy};
use crate::model::{AccountId, is_hex_id};
use crate::select::{Pattern, Selection};

const ACCOUNT_VARIABLE: &str = "CLOUDFLARE_ACCOUNT_ID";

pub(super) fn resolve(
    file: &ConfigFile,
    environment: &Environment<'_>,
    args: &SyncArgs,
) -> Result<Vec<AccountConfig>, ConfigError> {
    let base_url = api_base_url(file, environment)?;
    let mut proxy = None;
    if base_url.is_https() {
        proxy = environment.proxy()?;
        environment.check_ca_certificates()?;
    }
    let configured = |id| configure(id, file, environment, args, &base_url, &proxy);
    let wanted = wanted(file, environment, &args.account)?;
    // Other APIs, such as a simulator, may have ids of another form.
    let is_foreign = |id: &&AccountId| base_url.is_cloudflare() && !is_hex_id(id.as_str());
    if let Some(foreign) = wanted.iter().find(is_foreign) {
        let origin = match file.account(foreign) {
            _ if !args.account.is_empty() => Origin::Option("--account"),
            _ if variable_account(environment)?.is_some() => Origin::variable(ACCOUNT_VARIABLE),
            Some(own) => file.origin("accounts.id", own.id_span()),
            None => Origin::variable(ACCOUNT_VARIABLE),
        };
        return Err(ConfigError::NotCloudflaresAccount { origin });
    }
    wanted.into_iter().map(configured).collect()
}

/// Options select among the file's accounts. The variable may also name an account that the file lacks: it is often set
/// for other programs too, together with credentials.
fn wanted(
    file: &ConfigFile,
    environment: &Environment<'_>,
    options: &[AccountId],
) -> Result<Vec<AccountId>, ConfigError> {
    let listed = || file.table.accounts.iter().map(AccountTable::id);
    if !options.is_empty() {
        let unknown = |id: &&AccountId| listed().next().is_some() && file.account(id).is_none();
        if let Some(account) = options.iter().find(unknown) {
            return Err(ConfigError::AccountNotInFile {
                account: account.clone(),
                file: file.path.clone(),
                known: listed().map(AccountId::as_str).collect::<Vec<_>>().join(", "),
            });
        }
        let mut wanted: Vec<AccountId> = Vec::new();
        for id in options {
            if !wanted.contains(id) {
                wanted.push(id.clone());
            }
        }
        return Ok(wanted);
    }
    if let Some(id) = variable_account(environment)? {
        return Ok(vec![id]);
    }
    let all: Vec<_> = listed().cloned().collect();
    if all.is_empty() {
        Err(ConfigError::NoAccount)
    } else {
        Ok(all)
    }
}

fn variable_account(environment: &Environment<'_>) -> Result<Option<AccountId>, ConfigError> {
    let parsed = environment.text(ACCOUNT_VARIABLE)?.map(|text| text.parse()).transpose();
    parsed.map_err(|source| ConfigError::MalformedAccount {
        origin: Origin::variable(ACCOUNT_VARIABLE),
        source,
    })
}

fn configure(
    account: AccountId,
    file: &ConfigFile,
    environment: &Environment<'_>,
    args: &SyncArgs,
    base_url: &BaseUrl,
    proxy: &Option<Proxy>,
) -> Result<AccountConfig, ConfigError> {
    let own = file.account(&account);
    let default = Pace::default();
    let pace = Pace {
        quota: args
            .quota
            .or(own.and_then(|own| own.quota).or(file.table.quota).map(|text| text.0))
            .unwrap_or(default.quota),
        share_percent: args
            .quota_share
            .or(own.and_then(|own| own.quota_share))
            .or(file.table.quota_share)
            .unwrap_or(default.share_percent),
        pause_without_retry_after: args
            .pause_without_retry_after
            .or(file.table.pause_without_retry_after)
            .unwrap_or(default.pause_without_retry_after),
    };
    if pace.quota.share(pace.share_percent) == 0 {
        return Err(ConfigError::NothingLeft {
            account,
            quota: pace.quota,
            share: pace.share_percent,
        });
    }
    let mut endpoint = Endpoint::new(
        base_url.clone(),
        credentials(&account, own, file, environment, base_url)?,
    );
    endpoint.proxy = proxy.clone();
    endpoint.read_timeout = args.read_timeout.unwrap_or(endpoint.read_timeout);
    endpoint.connect_timeout = args.connect_timeout.unwrap_or(endpoint.connect_timeout);
    let patterns = match args.rebuild.as_slice() {
        [] => &args.namespace,
        rebuilt => rebuilt,
    };
    Ok(AccountConfig {
        id: account,
        endpoint,
        pace,
        limit: args
            .limit
            .or(own.and_then(|own| own.limit))
            .or(file.table.limit)
            .unwrap_or(10_000),
        selection: selection(own, patterns),
    })
}

/// Patterns from options replace the file's `namespaces`, not its `exclude`.
fn selection(own: Option<&AccountTable>, options: &[Pattern]) -> Selection {
    let Some(own) = own else {
        return Selection {
            include: options.to_vec(),
            exclude: Vec::new(),
        };
    };
    let include = match options {
        [] => own.namespaces.iter().map(|table| table.0.clone()).collect(),
        options => options.to_vec(),
    };
    let exclude = own.exclude.iter().map(|table| table.0.clone()).collect();
    Selection { include, exclude }
}

fn credentials(
    account: &AccountId,
    own: Option<&AccountTable>,
    file: &ConfigFile,
    environment: &Environment<'_>,
    api: &BaseUrl,
) -> Result<Credentials, ConfigError> {
    if let Some(own) = own
        && let Some(credentials) = file_credentials(own, file, environment, api)?
    {
        return Ok(credentials);
    }
    environment_credentials(environment, api)?.ok_or_else(|| ConfigError::NoCredentials {
        account: account.clone(),
    })
}

/// Contradictions are errors here, unlike in the environment, because a file is written for this program alone.
fn file_credentials(
    own: &AccountTable,
    file: &ConfigFile,
    environment: &Environment<'_>,
    api: &BaseUrl,
) -> Result<Option<Credentials>, ConfigError> {
    let email = own
        .email
        .as_ref()
        .map(|email| (file.origin("accounts.email", email.span()), email.as_ref()));
    match (file.api_token(own)?, email, file.api_key(own)?) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => token
            .read(environment)?
            .into_token(api)
            .map(Credentials::Token)
            .map(Some),
        (None, Some((origin, email)), Some(key)) => {
            let email = checked_email(origin, email.clone())?;
            let key = key.read(environment)?.into_token(api)?;
            Ok(Some(Credentials::Key { email, key }))
        }
        (Some(token), email, key) => Err(ConfigError::BothGiven {
            origin: token.origin(),
            other: email
                .map(|_| "email")
                .or(key.map(|_| "an API key"))
                .unwrap_or_default()
                .to_owned(),
        }),
        (None, Some((origin, _)), None) => Err(ConfigError::HalfAPair {
            origin,
            missing: "api_key_file or api_key_env",
        }),
        (None, None, Some(key)) => Err(ConfigError::HalfAPair {
            origin: key.origin(),
            missing: "email",
        }),
    }
}

/// Prefers a token, and then ignores an incomplete pair beside it: it may be meant for another program.
fn environment_credentials(environment: &Environment<'_>, api: &BaseUrl) -> Result<Option<Credentials>, ConfigError> {
    const EMAIL: &str = "CLOUDFLARE_EMAIL";
    const KEY: &str = "CLOUDFLARE_API_KEY";
    if let Some(token) = environment.secret("CLOUDFLARE_API_TOKEN")? {
        return token.into_token(api).map(Credentials::Token).map(Some);
    }
    match (environment.text(EMAIL)?, environment.secret(KEY)?) {
        (None, None) => Ok(None),
        (Some(email), Some(key)) => Ok(Some(Credentials::Key {
            email: checked_email(Origin::variable(EMAIL), email)?,
            key: key.into_token(api)?,
        })),
        (Some(_), None) => Err(ConfigError::HalfAPair {
            origin: Origin::variable(EMAIL),
            missing: KEY,
        }),
        (None, Some(key)) => Err(ConfigError::HalfAPair {
            origin: key.origin(),
            missing: EMAIL,
        }),
    }
}

fn checked_email(origin: Origin, email: String) -> Result<String, ConfigError> {
    let is_quoted = email.contains(['"', '\\']) || email.starts_with('\'');
    match email.contains('@') && email.bytes().all(|b| b.is_ascii_graphic()) && !is_quoted {
        true => Ok(email),
        false => Err(ConfigError::MalformedEmail { origin }),
    }
}

fn api_base_url(file: &ConfigFile, environment: &Environment<'_>) -> Result<BaseUrl, ConfigError> {
    const VARIABLE: &str = "CLOUDFLARE_API_BASE_URL";
    let (origin, text) = match (environment.text(VARIABLE)?, &file.table.base_url) {
        (Some(text), _) => (Origin::variable(VARIABLE), text),
        (None, Some(text)) => (file.origin("base_url", text.span()), text.as_ref().clone()),
        (None, None) => return Ok(BaseUrl::default()),
    };
    text.parse().map_err(|problem| ConfigError::BaseUrl { origin, problem })
}
