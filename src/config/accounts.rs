//! Resolves which accounts a run walks, and each one's credentials, pace and namespaces.

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::file::{AccountTable, ConfigFile};
use super::secret::GivenSecret;
use super::{AccountConfig, Settings};
use crate::cli::SyncArgs;
use crate::cloudflare::{BaseUrl, Credentials, Endpoint, Pace, Proxy};
use crate::model::{AccountId, is_hex_id};
use crate::select::{Pattern, Selection};

const ACCOUNT_VARIABLE: &str = "CLOUDFLARE_ACCOUNT_ID";

pub(super) fn resolve(settings: &Settings<'_>, args: &SyncArgs) -> Result<Vec<AccountConfig>, ConfigError> {
    let Settings { file, environment, .. } = settings;
    let api = Api::new(settings, args)?;
    let wanted = wanted(settings, &args.account)?;
    // Other APIs, such as a simulator, may have ids of another form.
    let is_foreign = |id: &&AccountId| api.base_url.is_cloudflare() && !is_hex_id(id.as_str());
    if let Some(foreign) = wanted.iter().find(is_foreign) {
        let origin = match file.account(foreign) {
            _ if !args.account.is_empty() => Origin::Option("--account"),
            _ if variable_account(environment)?.is_some() => Origin::variable(ACCOUNT_VARIABLE),
            Some(own) => file.origin("accounts.id", own.id_span()),
            None => settings
                .dot_env()
                .take(ACCOUNT_VARIABLE)
                .map_or_else(|| Origin::variable(ACCOUNT_VARIABLE), |(origin, _)| origin),
        };
        return Err(ConfigError::NotCloudflaresAccount { origin });
    }
    wanted.into_iter().map(|id| api.account(id)).collect()
}

/// What reaches the API with the credentials of the environment, whatever the account.
pub(super) fn access(settings: &Settings<'_>, args: &SyncArgs) -> Result<(Endpoint, Pace), ConfigError> {
    let api = Api::new(settings, args)?;
    let pace = api.pace(None)?;
    let credentials = environment_credentials(settings, &api.base_url)?;
    let credentials = credentials.ok_or(ConfigError::NoCredentials { account: None })?;
    Ok((api.endpoint(credentials), pace))
}

/// Options select among the file's accounts. The variable may also name an account that the file lacks: it is often set
/// for other programs too, together with credentials. `.env` names one only if the file has none.
fn wanted(settings: &Settings<'_>, options: &[AccountId]) -> Result<Vec<AccountId>, ConfigError> {
    let Settings { file, environment, .. } = settings;
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
    if !all.is_empty() {
        return Ok(all);
    }
    match settings.dot_env().take(ACCOUNT_VARIABLE) {
        Some((origin, text)) => parsed_account(origin, &text).map(|id| vec![id]),
        None => Err(ConfigError::NoAccount),
    }
}

fn variable_account(environment: &Environment<'_>) -> Result<Option<AccountId>, ConfigError> {
    let text = environment.text(ACCOUNT_VARIABLE)?;
    text.map(|text| parsed_account(Origin::variable(ACCOUNT_VARIABLE), &text))
        .transpose()
}

fn parsed_account(origin: Origin, text: &str) -> Result<AccountId, ConfigError> {
    text.parse()
        .map_err(|source| ConfigError::MalformedAccount { origin, source })
}

/// What is the same for all accounts.
struct Api<'a> {
    settings: &'a Settings<'a>,
    args: &'a SyncArgs,
    base_url: BaseUrl,
    proxy: Option<Proxy>,
}

impl<'a> Api<'a> {
    fn new(settings: &'a Settings<'a>, args: &'a SyncArgs) -> Result<Self, ConfigError> {
        let Settings { file, environment, .. } = settings;
        let base_url = api_base_url(file, environment)?;
        let mut proxy = None;
        if base_url.is_https() {
            proxy = environment.proxy()?;
            environment.check_ca_certificates()?;
        }
        Ok(Self {
            settings,
            args,
            base_url,
            proxy,
        })
    }

    fn account(&self, account: AccountId) -> Result<AccountConfig, ConfigError> {
        let (file, args) = (&self.settings.file, self.args);
        let own = file.account(&account);
        let pace = self.pace(Some(&account))?;
        let endpoint = self.endpoint(credentials(&account, own, self.settings, &self.base_url)?);
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

    fn pace(&self, account: Option<&AccountId>) -> Result<Pace, ConfigError> {
        let (file, args) = (&self.settings.file, self.args);
        let own = account.and_then(|account| file.account(account));
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
        match pace.quota.share(pace.share_percent) {
            0 => Err(ConfigError::NothingLeft {
                account: account.cloned(),
                quota: pace.quota,
                share: pace.share_percent,
            }),
            _ => Ok(pace),
        }
    }

    fn endpoint(&self, credentials: Credentials) -> Endpoint {
        let mut endpoint = Endpoint::new(self.base_url.clone(), credentials);
        endpoint.proxy = self.proxy.clone();
        endpoint.read_timeout = self.args.read_timeout.unwrap_or(endpoint.read_timeout);
        endpoint.connect_timeout = self.args.connect_timeout.unwrap_or(endpoint.connect_timeout);
        endpoint
    }
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
    settings: &Settings<'_>,
    api: &BaseUrl,
) -> Result<Credentials, ConfigError> {
    if let Some(own) = own
        && let Some(credentials) = file_credentials(own, settings, api)?
    {
        return Ok(credentials);
    }
    environment_credentials(settings, api)?.ok_or_else(|| ConfigError::NoCredentials {
        account: Some(account.clone()),
    })
}

/// Contradictions are errors here, unlike in the environment, because a file is written for this program alone.
fn file_credentials(
    own: &AccountTable,
    settings: &Settings<'_>,
    api: &BaseUrl,
) -> Result<Option<Credentials>, ConfigError> {
    let Settings { file, environment, .. } = settings;
    let email = own
        .email
        .as_ref()
        .map(|email| (file.origin("accounts.email", email.span()), email.as_ref()));
    let token = file.api_token(own)?;
    if let Some(command) = file.token_command(own)? {
        let others = [
            token.map(|_| "a file or variable with a token"),
            email.map(|_| "email"),
            file.api_key(own)?.map(|_| "an API key"),
        ];
        return match others.into_iter().flatten().next() {
            Some(other) => Err(ConfigError::BothGiven {
                origin: command.origin,
                other: other.to_owned(),
            }),
            None => Ok(Some(Credentials::Printed(settings.printed_token(command)))),
        };
    }
    match (token, email, file.api_key(own)?) {
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

/// Prefers a token, and then ignores an incomplete pair beside it: it may be meant for another program. `.env` is read
/// only if the environment has neither a token nor a whole pair.
fn environment_credentials(settings: &Settings<'_>, api: &BaseUrl) -> Result<Option<Credentials>, ConfigError> {
    const TOKEN: &str = "CLOUDFLARE_API_TOKEN";
    const EMAIL: &str = "CLOUDFLARE_EMAIL";
    const KEY: &str = "CLOUDFLARE_API_KEY";
    let environment = &settings.environment;
    let by_file = environment
        .path("CLOUDFLARE_API_TOKEN_FILE")
        .map(|_| "CLOUDFLARE_API_TOKEN_FILE");
    match (
        environment.command()?,
        environment.text(TOKEN)?.map(|_| TOKEN).or(by_file),
    ) {
        (None, None) => {}
        (Some(command), None) => return Ok(Some(Credentials::Printed(settings.printed_token(command)))),
        (Some(command), Some(other)) => {
            return Err(ConfigError::BothGiven {
                origin: command.origin,
                other: other.to_owned(),
            });
        }
        (None, Some(_)) => {
            let token = environment.secret(TOKEN)?;
            return token
                .map(|token| token.into_token(api).map(Credentials::Token))
                .transpose();
        }
    }
    let mut email = environment.text(EMAIL)?.map(|email| (Origin::variable(EMAIL), email));
    let mut key = environment.secret(KEY)?;
    if email.is_none() || key.is_none() {
        let dot_env = settings.dot_env();
        let secret = |name| {
            dot_env
                .take(name)
                .map(|(origin, value)| GivenSecret::new(origin, value))
        };
        if let Some(token) = secret(TOKEN) {
            return token.into_token(api).map(Credentials::Token).map(Some);
        }
        email = email.or_else(|| dot_env.take(EMAIL));
        key = key.or_else(|| secret(KEY));
    }
    match (email, key) {
        (None, None) => Ok(None),
        (Some((origin, email)), Some(key)) => Ok(Some(Credentials::Key {
            email: checked_email(origin, email)?,
            key: key.into_token(api)?,
        })),
        (Some((origin, _)), None) => Err(ConfigError::HalfAPair { origin, missing: KEY }),
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
