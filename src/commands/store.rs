//! The configured store, a private one included: reached for a command, and let go of after it.

use durable_inventory::cli::{GlobalArgs, PsqlArgs};
use durable_inventory::config::{Settings, StoreConfig};
use durable_inventory::store::managed_postgres::{self, ManagedServer};
use durable_inventory::store::{self, Store, psql};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tracing::info;

use super::Failure;
use crate::terminal;

/// Where the store is. While this lives, a private server stays up.
pub struct Place {
    pub options: PgConnectOptions,
    private: Option<ManagedServer>,
}

impl Place {
    pub async fn find(config: StoreConfig) -> Result<Self, Failure> {
        match config {
            StoreConfig::Url(url) => {
                let options = store::connect_options(url.expose_secret()).map_err(|error| Failure::new(error, 2))?;
                Ok(Self { options, private: None })
            }
            StoreConfig::Private {
                data_dir,
                postgres_bin,
                postgres_user,
            } => {
                let asked = managed_postgres::Settings {
                    data_dir,
                    postgres_bin,
                    postgres_user,
                };
                let server = ManagedServer::join(&asked)
                    .await
                    .map_err(|error| Failure::new(error, 1))?;
                info!(
                    "the record is in the private PostgreSQL in {}",
                    server.data_dir().display()
                );
                Ok(Self {
                    options: server.connect_options(),
                    private: Some(server),
                })
            }
        }
    }

    pub async fn leave(self) -> Result<(), Failure> {
        match self.private {
            Some(server) => server.leave().await.map_err(|error| Failure::new(error, 1)),
            None => Ok(()),
        }
    }
}

/// Runs `work` on the store, and leaves the store whatever came of it.
pub async fn with_store<T>(
    config: StoreConfig,
    global: &GlobalArgs,
    sessions: u32,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = Place::find(config).await?;
    let done = async {
        let store = open(&place, global, sessions).await?;
        let done = work(&store).await;
        store.close().await;
        done
    }
    .await;
    let left = place.leave().await;
    let done = done?;
    left?;
    Ok(done)
}

async fn open(place: &Place, global: &GlobalArgs, sessions: u32) -> Result<Store, Failure> {
    let failed = |error| Failure::new(error, 1);
    let store = Store::connect(place.options.clone(), sessions).await.map_err(failed)?;
    if global.no_migrate {
        store.require_schema().await.map_err(failed)?;
    } else {
        store.migrate().await.map_err(failed)?;
    }
    Ok(store)
}

pub async fn migrate(settings: &Settings<'_>, global: &GlobalArgs) -> Result<u8, Failure> {
    with_store(settings.store()?, global, 2, async |_| {
        terminal::out("the schema `inventory` is up to date\n")?;
        Ok(0)
    })
    .await
}

/// The schema is brought up to date first, so that the views are there to be asked.
pub async fn psql(settings: &Settings<'_>, global: &GlobalArgs, args: &PsqlArgs) -> Result<u8, Failure> {
    let place = Place::find(settings.store()?).await?;
    let of_server = place.private.as_ref().and_then(ManagedServer::psql_dir);
    let beside = global.postgres_bin.as_deref().or(of_server);
    let ended = async {
        if place.private.is_some() {
            open(&place, global, 1).await?.close().await;
        }
        psql::run_without(&settings.secret_variables(), &place.options, beside, &args.args)
            .await
            .map_err(|error| Failure::new(error, 1))
    }
    .await;
    place.leave().await?;
    ended
}
