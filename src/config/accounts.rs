//! Which accounts a run walks, and with what: the file's, or the one that the environment or an option names.

use url::Url;

use super::environment::Environment;
use super::error::{ConfigError, Place};
use super::file::{Account, ConfigFile};
use super::{AccountConfig, CredentialsConfig, base_url};
use crate::cli::SyncArgs;
use crate::model::AccountId;
use crate::select::{Pattern, Selection};
use crate::units::Quota;

pub(super) fn resolve(
    file: &ConfigFile,
    environment: &Environment<'_>,
    args: &SyncArgs,
) -> Result<Vec<AccountConfig>, ConfigError> {
    let base_url = api_base_url(file, environment)?;
    let configured = |id| configure(id, file, environment, args, &base_url);
    wanted(file, environment, &args.account)?
        .into_iter()
        .map(configured)
        .collect()
}

/// Options select among the file's accounts. The variable does too, but may name an account that the file lacks:
/// it is often set for other programs as well, and then comes with credentials.
fn wanted(
    file: &ConfigFile,
    environment: &Environment<'_>,
    options: &[AccountId],
) -> Result<Vec<AccountId>, ConfigError> {
    let listed = || file.table.accounts.iter().map(Account::id);
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
    const VARIABLE: &str = "CLOUDFLARE_ACCOUNT_ID";
    let parsed = environment.text(VARIABLE)?.map(|text| text.parse()).transpose();
    parsed.map_err(|source| ConfigError::MalformedAccount {
        place: Place::variable(VARIABLE),
        source,
    })
}

fn configure(
    account: AccountId,
    file: &ConfigFile,
    environment: &Environment<'_>,
    args: &SyncArgs,
    base_url: &Url,
) -> Result<AccountConfig, ConfigError> {
    let own = file.account(&account);
    let quota = args
        .quota
        .or(own.and_then(|own| own.quota).or(file.table.quota).map(|text| text.0));
    let quota = quota.unwrap_or(Quota::CLOUDFLARE);
    let quota_share = args
        .quota_share
        .or(own.and_then(|own| own.quota_share))
        .or(file.table.quota_share)
        .unwrap_or(80);
    if quota.share(quota_share) == 0 {
        let share = quota_share;
        return Err(ConfigError::NothingLeft { account, quota, share });
    }
    Ok(AccountConfig {
        credentials: credentials(&account, own, file, environment)?,
        account,
        base_url: base_url.clone(),
        quota,
        quota_share,
        limit: args
            .limit
            .or(own.and_then(|own| own.limit))
            .or(file.table.limit)
            .unwrap_or(10_000),
        selection: selection(
            own,
            if args.rebuild.is_empty() {
                &args.namespace
            } else {
                &args.rebuild
            },
        ),
    })
}

/// The options take the place of the file's `namespaces`; its `exclude` stays.
fn selection(own: Option<&Account>, options: &[Pattern]) -> Selection {
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
    own: Option<&Account>,
    file: &ConfigFile,
    environment: &Environment<'_>,
) -> Result<CredentialsConfig, ConfigError> {
    if let Some(own) = own
        && let Some(credentials) = file_credentials(own, file, environment)?
    {
        return Ok(credentials);
    }
    environment_credentials(environment)?.ok_or_else(|| ConfigError::NoCredentials {
        account: account.clone(),
    })
}

/// A file is written on purpose, so what contradicts itself in it is an error, where the environment has an order.
fn file_credentials(
    own: &Account,
    file: &ConfigFile,
    environment: &Environment<'_>,
) -> Result<Option<CredentialsConfig>, ConfigError> {
    let email = own
        .email
        .as_ref()
        .map(|email| (file.place("accounts.email", email.span()), email.as_ref()));
    match (file.api_token(own)?, email, file.api_key(own)?) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => token
            .read(environment)?
            .into_token()
            .map(CredentialsConfig::Token)
            .map(Some),
        (None, Some((place, email)), Some(key)) => {
            let email = checked_email(place, email.clone())?;
            let key = key.read(environment)?.into_token()?;
            Ok(Some(CredentialsConfig::Key { email, key }))
        }
        (Some(token), email, key) => Err(ConfigError::BothGiven {
            place: token.place(),
            other: email
                .map(|_| "email")
                .or(key.map(|_| "an API key"))
                .unwrap_or_default()
                .to_owned(),
        }),
        (None, Some((place, _)), None) => Err(ConfigError::HalfAPair {
            place,
            missing: "api_key_file or api_key_env",
        }),
        (None, None, Some(key)) => Err(ConfigError::HalfAPair {
            place: key.place(),
            missing: "email",
        }),
    }
}

/// A token is preferred; half a pair beside one is none of our business.
fn environment_credentials(environment: &Environment<'_>) -> Result<Option<CredentialsConfig>, ConfigError> {
    const EMAIL: &str = "CLOUDFLARE_EMAIL";
    const KEY: &str = "CLOUDFLARE_API_KEY";
    if let Some(token) = environment.secret("CLOUDFLARE_API_TOKEN")? {
        return token.into_token().map(CredentialsConfig::Token).map(Some);
    }
    match (environment.text(EMAIL)?, environment.secret(KEY)?) {
        (None, None) => Ok(None),
        (Some(email), Some(key)) => Ok(Some(CredentialsConfig::Key {
            email: checked_email(Place::variable(EMAIL), email)?,
            key: key.into_token()?,
        })),
        (Some(_), None) => Err(ConfigError::HalfAPair {
            place: Place::variable(EMAIL),
            missing: KEY,
        }),
        (None, Some(key)) => Err(ConfigError::HalfAPair {
            place: key.place(),
            missing: EMAIL,
        }),
    }
}

fn checked_email(place: Place, email: String) -> Result<String, ConfigError> {
    match email.contains('@') && email.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(email),
        false => Err(ConfigError::MalformedEmail { place }),
    }
}

fn api_base_url(file: &ConfigFile, environment: &Environment<'_>) -> Result<Url, ConfigError> {
    const VARIABLE: &str = "CLOUDFLARE_API_BASE_URL";
    let variable = || Place::variable(VARIABLE);
    match (environment.text(VARIABLE)?, &file.table.base_url) {
        (Some(text), _) => base_url::parse(variable(), &text),
        (None, Some(text)) => base_url::parse(file.place("base_url", text.span()), text.as_ref()),
        (None, None) => base_url::parse(variable(), base_url::DEFAULT),
    }
}
