//! The configured store, a private one included: reached for a command, and let go of after it.

use std::panic::{AssertUnwindSafe, resume_unwind};

use durable_inventory::cli::{GlobalArgs, PsqlArgs};
use durable_inventory::config::{Settings, StoreConfig};
use durable_inventory::store::managed_postgres::{self, ManagedServer};
use durable_inventory::store::{self, Store, psql};
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Failure;
use super::signals::{Signals, stopped};
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

    /// Runs `work`, then leaves the place. That happens after a panic too, which would otherwise leave a private server
    /// running that nobody uses.
    pub async fn during<T>(self, work: impl AsyncFnOnce(&Self) -> Result<T, Failure>) -> Result<T, Failure> {
        let done = AssertUnwindSafe(work(&self)).catch_unwind().await;
        let left = match self.private {
            Some(server) => server.leave().await.map_err(|error| Failure::new(error, 1)),
            None => Ok(()),
        };
        let done = done.unwrap_or_else(|panicked| resume_unwind(panicked))?;
        left?;
        Ok(done)
    }
}

/// Runs `work` on the store until it ends or a signal stops it, and leaves the store.
pub async fn with_store<T>(
    config: StoreConfig,
    global: &GlobalArgs,
    sessions: u32,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let stopped = stopped()?;
    let work = async |store: &Store| until(&stopped, work(store)).await;
    hold_store(config, global, sessions, &stopped, work).await
}

/// Like [`with_store`], for work that handles `stopped` itself because it has something to finish or to clean up.
pub async fn hold_store<T>(
    config: StoreConfig,
    global: &GlobalArgs,
    sessions: u32,
    stopped: &CancellationToken,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = Place::find(config).await?;
    place
        .during(async |place| {
            let store = until(stopped, open(place, global, sessions)).await?;
            let done = work(&store).await;
            // After a signal, a query may still be running, and closing would wait for it.
            stopped.run_until_cancelled(store.close()).await;
            done
        })
        .await
}

/// Runs `work` until it ends, or drops it as soon as a signal stops the program.
pub async fn until<T>(
    stopped: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = stopped.run_until_cancelled(work).await;
    done.unwrap_or_else(|| Err(stopped_by_a_signal()))
}

fn stopped_by_a_signal() -> Failure {
    Failure {
        message: "stopped by a signal".to_owned(),
        exit_code: 130,
    }
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
    let mut signals = Signals::listen().map_err(|error| Failure::new(error, 1))?;
    let place = Place::find(settings.store()?).await?;
    let of_server = place.private.as_ref().and_then(ManagedServer::psql_dir);
    let beside = global.postgres_bin.as_deref().or(of_server).map(ToOwned::to_owned);
    let withheld = settings.secret_variables();
    place
        .during(async |place| {
            let session = async {
                if place.private.is_some() {
                    open(place, global, 1).await?.close().await;
                }
                let ended = psql::run_without(&withheld, &place.options, beside.as_deref(), &args.args).await;
                ended.map_err(|error| Failure::new(error, 1))
            };
            tokio::select! {
                ended = session => ended,
                () = ended_from_outside(&mut signals) => Err(stopped_by_a_signal()),
            }
        })
        .await
}

/// Waits for a signal other than SIGINT, which is psql's own for cancelling a query.
async fn ended_from_outside(signals: &mut Signals) {
    while signals.next().await == SignalKind::interrupt() {}
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_does_not_leave_the_private_server_behind() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        // Root runs the server as another user, who has to get to the data.
        set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let data_dir = folder.path().join("data");
        let pid_file = data_dir.join("postgres/postmaster.pid");
        let config = StoreConfig::Private {
            data_dir: Some(data_dir),
            postgres_bin: None,
            postgres_user: None,
        };
        let place = Place::find(config).await.unwrap();
        assert!(pid_file.exists());
        let panics = place.during(async |_| -> Result<(), Failure> { panic!("a fault of ours") });
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert!(!pid_file.exists());
    }
}
