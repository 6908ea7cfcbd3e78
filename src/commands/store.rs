//! The configured store, a private one included: reached for a command, and let go of after it.

use durable_inventory::cli::PsqlArgs;
use durable_inventory::config::{Settings, StoreConfig, StoreLocation};
use durable_inventory::store::private::PrivateServer;
use durable_inventory::store::{self, Store, psql};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tracing::info;

use super::Failure;
use crate::terminal;

/// Where the store is. While this lives, a private server stays up.
pub struct Place {
    pub options: PgConnectOptions,
    private: Option<PrivateServer>,
    migrate: bool,
}

impl Place {
    pub async fn find(config: StoreConfig) -> Result<Self, Failure> {
        let (options, private) = match config.location {
            StoreLocation::Url(url) => {
                let options = store::connect_options(url.expose_secret()).map_err(|error| Failure::new(error, 2))?;
                (options, None)
            }
            StoreLocation::Private(settings) => {
                let server = PrivateServer::join(&settings)
                    .await
                    .map_err(|error| Failure::new(error, 1))?;
                info!(
                    "the record is in the private PostgreSQL in {}",
                    server.data_dir().display()
                );
                (server.connect_options(), Some(server))
            }
        };
        Ok(Self {
            options,
            private,
            migrate: config.migrate,
        })
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
    sessions: u32,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = Place::find(config).await?;
    let done = async {
        let store = open(&place, sessions).await?;
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

async fn open(place: &Place, sessions: u32) -> Result<Store, Failure> {
    let failed = |error| Failure::new(error, 1);
    let store = Store::connect(place.options.clone(), sessions).await.map_err(failed)?;
    if place.migrate {
        store.migrate().await.map_err(failed)?;
    } else {
        store.require_schema().await.map_err(failed)?;
    }
    Ok(store)
}

pub async fn migrate(settings: &Settings<'_>) -> Result<u8, Failure> {
    with_store(settings.store()?, 2, async |_| {
        terminal::out("the schema `inventory` is up to date\n")?;
        Ok(0)
    })
    .await
}

/// The schema is brought up to date first, so that the views are there to be asked.
pub async fn psql(settings: &Settings<'_>, args: &PsqlArgs) -> Result<u8, Failure> {
    let place = Place::find(settings.store()?).await?;
    let of_server = place.private.as_ref().and_then(PrivateServer::psql_dir);
    let beside = settings.global.postgres_bin.as_deref().or(of_server);
    let ended = async {
        if place.private.is_some() {
            open(&place, 1).await?.close().await;
        }
        psql::run_without(&settings.secret_variables(), &place.options, beside, &args.args)
            .await
            .map_err(|error| Failure::new(error, 1))
    }
    .await;
    place.leave().await?;
    ended
}
