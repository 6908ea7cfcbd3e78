//! Checks what a sync needs of the database: that it can be written to, its schema, the rights of the role, and whether
//! the record is of the configured API.

use durable_inventory::config::{StoreConfig, SyncConfig};
use durable_inventory::store::{SchemaState, Store};
use durable_inventory::text::{chain, shell_word, shown, visible};
use tokio_util::sync::CancellationToken;

use super::Findings;
use crate::commands::store::{StoreServer, is_new, leave, until};
use crate::terminal::Failure;

/// Returns how far this machine's clock is ahead of the database's.
pub async fn look(
    config: StoreConfig,
    sync: Option<&SyncConfig>,
    deep: bool,
    stopped: &CancellationToken,
    findings: &mut Findings,
) -> Result<Option<f64>, Failure> {
    if is_new(&config) {
        let detail = "nothing recorded yet: the first sync will create a private PostgreSQL";
        findings.right("database", detail)?;
        findings.right("migrations", "the first sync will apply them")?;
        return Ok(None);
    }
    match StoreServer::find(config).await {
        Ok(server) => {
            server
                .during(async |server| reached(server, sync, deep, stopped, findings).await)
                .await
        }
        Err(failure) => {
            findings.wrong("database", &failure.to_string())?;
            Ok(None)
        }
    }
}

async fn reached(
    server: &StoreServer,
    sync: Option<&SyncConfig>,
    deep: bool,
    stopped: &CancellationToken,
    findings: &mut Findings,
) -> Result<Option<f64>, Failure> {
    let connected = until(stopped, async { Ok(Store::connect(server.options.clone(), 2).await) });
    let store = match connected.await? {
        Ok(store) => store,
        Err(error) => {
            findings.wrong("database", &chain(&error))?;
            findings.skipped("migrations", "the database can't be reached")?;
            return Ok(None);
        }
    };
    let checked = async {
        writable(server, &store, findings).await?;
        migrations(&store, sync, deep, findings).await?;
        Ok(store.clock_ahead_s().await.ok())
    };
    let checked = until(stopped, checked).await;
    leave(store, stopped).await;
    checked
}

/// Checks that the database takes what a sync writes.
async fn writable(server: &StoreServer, store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    let reached = match &server.private {
        Some(private) => format!("reached: the private PostgreSQL in {}", private.data_dir().display()),
        None => "reached".to_owned(),
    };
    match store.require_writable().await {
        Ok(()) => findings.right("database", &visible(&reached))?,
        Err(error) => findings.wrong("database", &chain(&error))?,
    }
    match store.narrow_encoding().await {
        Ok(None) => Ok(()),
        Ok(Some(encoding)) => {
            let why = format!(
                "its encoding is {encoding}: a name with a character that this encoding lacks can't be recorded, and \
                 its account would not be synced; use a database with `encoding 'UTF8'`"
            );
            findings.doubtful("database", &why)
        }
        Err(error) => findings.wrong("database", &chain(&error)),
    }
}

async fn migrations(
    store: &Store,
    sync: Option<&SyncConfig>,
    deep: bool,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let detail = match store.schema_state().await {
        Ok(SchemaState::Current) => {
            findings.right("migrations", "up to date")?;
            rights(store, findings).await?;
            origin(store, sync, findings).await?;
            return if deep { digests(store, findings).await } else { Ok(()) };
        }
        Ok(SchemaState::Behind) => "the next sync will update the schema",
        Ok(SchemaState::Missing) => "the first sync will create the schema `inventory`",
        Err(error) => {
            findings.wrong("migrations", &chain(&error))?;
            return if error.is_missing_right() {
                grants(store, findings).await
            } else {
                Ok(())
            };
        }
    };
    findings.right("migrations", detail)
}

/// Checks that this role may write what a sync writes, and that row security hides nothing from it.
async fn rights(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    match store.tables_with_hidden_rows().await {
        Ok(tables) if tables.is_empty() => {}
        Ok(tables) => {
            let why = format!(
                "row security hides rows of {} from this role: use a role with BYPASSRLS, or the owner of the tables",
                tables.join(", ")
            );
            findings.wrong("rights", &why)?;
        }
        Err(error) => findings.wrong("rights", &chain(&error))?,
    }
    grants(store, findings).await
}

async fn grants(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    match store.missing_grants().await {
        Ok(grants) if grants.is_empty() => Ok(()),
        Ok(grants) => {
            let why = format!(
                "this role lacks rights that a sync needs: as the owner of the schema, run `{}`",
                grants.join("; ")
            );
            findings.wrong("rights", &why)
        }
        Err(error) => findings.wrong("rights", &chain(&error)),
    }
}

/// Checks that the record of each account comes from the configured API: a sync refuses any other.
async fn origin(store: &Store, sync: Option<&SyncConfig>, findings: &mut Findings) -> Result<(), Failure> {
    for account in sync.iter().flat_map(|config| &config.accounts) {
        if let Err(error) = store.require_api(&account.id, account.endpoint.base_url.as_str()).await {
            findings.wrong("record", &chain(&error))?;
        }
    }
    Ok(())
}

async fn digests(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    match store.namespaces_with_wrong_digest().await {
        Ok(wrong) if wrong.is_empty() => {
            findings.right("record", "the rows of every namespace match its latest snapshot")
        }
        Ok(wrong) => wrong.iter().try_for_each(|(account, namespace)| {
            let why = format!(
                "its rows differ from its latest snapshot: repair them with `durable-inventory sync --account {} \
                 --rebuild {}`",
                shell_word(account),
                shell_word(namespace)
            );
            findings.wrong(&format!("namespace {}", shown(namespace)), &why)
        }),
        Err(error) => findings.wrong("record", &chain(&error)),
    }
}
