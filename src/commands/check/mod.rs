//! `check`: is everything in place for a sync? One line each, and what to do where it is not. Nothing is changed.

use std::time::Duration;

use durable_inventory::cli::{CheckArgs, SyncArgs};
use durable_inventory::config::{ConfigError, Settings, StoreConfig};
use durable_inventory::store::{Store, private};
use durable_inventory::text::{chain, shown};

use super::Failure;
use super::store::Place;
use super::sync::accounts;
use crate::terminal;

/// What was found, in the order in which it was looked at.
#[derive(Default)]
struct Findings {
    wrong: bool,
}

impl Findings {
    fn right(&mut self, what: &str, detail: &str) -> Result<(), Failure> {
        terminal::out(&format!("ok     {what}: {detail}\n"))
    }

    fn wrong(&mut self, what: &str, why: &str) -> Result<(), Failure> {
        self.wrong = true;
        terminal::out(&format!("WRONG  {what}: {}\n", shown(why)))
    }
}

pub async fn run(settings: &Settings<'_>, args: &CheckArgs) -> Result<u8, Failure> {
    let mut findings = Findings::default();
    api(settings, &mut findings).await?;
    match settings.store() {
        Ok(config) if is_new(&config) => {
            findings.right("database", "no record yet; `durable-inventory sync` makes it")?
        }
        Ok(config) => {
            match Place::find(config).await {
                Ok(place) => {
                    let checked = database(&place, args.deep, &mut findings).await;
                    place.leave().await?;
                    checked?;
                }
                Err(failure) => findings.wrong("database", &failure.to_string())?,
            };
        }
        Err(error) => findings.wrong("configuration", &chain(&error))?,
    }
    Ok(if findings.wrong { 2 } else { 0 })
}

/// A private server without data is not started for a look: that would create it.
fn is_new(config: &StoreConfig) -> bool {
    let StoreConfig::Private {
        data_dir,
        postgres_bin,
        postgres_user,
    } = config
    else {
        return false;
    };
    let settings = private::Settings {
        data_dir: data_dir.clone(),
        postgres_bin: postgres_bin.clone(),
        postgres_user: postgres_user.clone(),
    };
    private::has_data(&settings).is_ok_and(|has_data| !has_data)
}

/// Configuration, token, permission, namespaces and quota: the list of namespaces tells them all.
async fn api(settings: &Settings<'_>, findings: &mut Findings) -> Result<(), Failure> {
    // A person waits: a fault that lasts is a finding.
    let args = SyncArgs {
        retry_for: Some(Duration::from_secs(10)),
        ..SyncArgs::default()
    };
    let config = match settings.sync(&args) {
        Ok(config) => config,
        Err(error) => return configuration(&error, findings),
    };
    findings.right("configuration", &format!("{} account(s)", config.accounts.len()))?;
    for (account, limiter) in accounts(&config)? {
        let what = format!("account {}", account.id);
        match account.client.list_namespaces(&account.id).await {
            Ok(listing) => {
                let selected = listing
                    .namespaces
                    .iter()
                    .filter(|n| account.selection.selects(n))
                    .count();
                let quota = match limiter.stats().remaining {
                    Some(remaining) => format!("{remaining} requests left in the quota's window"),
                    None => "the API does not tell what is left of the quota".to_owned(),
                };
                let listed = listing.namespaces.len();
                findings.right(
                    &what,
                    &format!("the token may read; {selected} of {listed} namespaces; {quota}"),
                )?;
            }
            Err(error) => findings.wrong(&what, &chain(&error))?,
        }
    }
    Ok(())
}

fn configuration(error: &ConfigError, findings: &mut Findings) -> Result<(), Failure> {
    findings.wrong("configuration", &chain(error))
}

async fn database(place: &Place, deep: bool, findings: &mut Findings) -> Result<(), Failure> {
    let store = match Store::connect(place.options.clone(), 2).await {
        Ok(store) => store,
        Err(error) => return findings.wrong("database", &chain(&error)),
    };
    findings.right("database", "reached")?;
    let checked = match store.require_schema().await {
        Ok(()) => {
            findings.right("schema", "as this version knows it")?;
            if deep { digests(&store, findings).await } else { Ok(()) }
        }
        Err(error) => findings.wrong("schema", &chain(&error)),
    };
    store.close().await;
    checked
}

async fn digests(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    match store.namespaces_that_do_not_agree().await {
        Ok(wrong) if wrong.is_empty() => findings.right("record", "every namespace's rows have its snapshot's digest"),
        Ok(wrong) => wrong.iter().try_for_each(|(account, namespace)| {
            let why = format!(
                "its rows are not what its newest snapshot recorded; `durable-inventory sync --account {account} \
                 --rebuild {namespace}` mends it"
            );
            findings.wrong(&format!("namespace {}", shown(namespace)), &why)
        }),
        Err(error) => findings.wrong("record", &chain(&error)),
    }
}
