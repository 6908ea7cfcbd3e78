//! Reaches the configured store for a command, and leaves it afterwards.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::time::Duration;

use backon::BackoffBuilder;
use durable_inventory::config::{StoreConfig, StoreLocation};
use durable_inventory::store::managed_postgres::{self, ManagedServer};
use durable_inventory::store::{self, NOTHING_RECORDED, Store, StoreError};
use durable_inventory::sync::database_waits;
use durable_inventory::text::chain;
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::signals::stopped;
use crate::terminal::Failure;
use crate::terminal::suggested::complete;

/// The server with the record. A private one runs at least until this is left.
pub struct StoreServer {
    pub options: PgConnectOptions,
    pub private: Option<ManagedServer>,
    migrate: bool,
    retry_for: Duration,
}

impl StoreServer {
    pub async fn find(config: StoreConfig) -> Result<Self, Failure> {
        let is_new = is_new(&config);
        let (options, private) = match config.location {
            StoreLocation::Url(url) => {
                let options = store::connect_options(url.expose_secret()).map_err(|error| Failure::new(error, 2))?;
                (options, None)
            }
            StoreLocation::Private(settings) => {
                let server = ManagedServer::join(&settings).await.map_err(|error| {
                    let exit_code = if error.is_configuration() { 2 } else { 1 };
                    Failure::new(error, exit_code)
                })?;
                if is_new {
                    info!("created a private PostgreSQL in {}", server.data_dir().display());
                }
                (server.connect_options(), Some(server))
            }
        };
        Ok(Self {
            options,
            private,
            migrate: config.migrate,
            retry_for: config.retry_for,
        })
    }

    /// Runs `work`, then leaves the server. That happens after a panic too, which would otherwise leave a private
    /// server running that nobody uses.
    pub async fn during<T>(self, work: impl AsyncFnOnce(&Self) -> Result<T, Failure>) -> Result<T, Failure> {
        let done = AssertUnwindSafe(work(&self)).catch_unwind().await;
        let left = match self.private {
            Some(private) => private.leave().await.map_err(|error| Failure::new(error, 1)),
            None => Ok(()),
        };
        let done = done.unwrap_or_else(|panicked| resume_unwind(panicked))?;
        left?;
        Ok(done)
    }
}

/// Whether the private server has no data yet. Finding it would create them.
pub fn is_new(config: &StoreConfig) -> bool {
    match &config.location {
        StoreLocation::Url(_) => false,
        StoreLocation::Private(settings) => managed_postgres::has_data(settings).is_ok_and(|has_data| !has_data),
    }
}

/// The text of a command that has nothing to show.
pub fn nothing_to_show() -> String {
    complete(&format!("{NOTHING_RECORDED}\n")).into_owned()
}

/// The failure of a command that can do nothing without a record.
pub fn nothing_recorded() -> Failure {
    Failure {
        message: NOTHING_RECORDED.to_owned(),
        exit_code: 1,
    }
}

/// Runs `work` on what is recorded, until it ends or a signal stops it. If nothing was ever recorded, creates nothing
/// and returns `None`.
pub async fn with_record<T>(
    config: StoreConfig,
    sessions: u32,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let stopped = stopped()?;
    let work = async |store: &Store| until(&stopped, work(store)).await;
    hold_record(config, sessions, &stopped, work).await
}

/// Like [`with_record`], for work that handles `stopped` itself.
pub async fn hold_record<T>(
    config: StoreConfig,
    sessions: u32,
    stopped: &CancellationToken,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    if is_new(&config) {
        return Ok(None);
    }
    hold(config, sessions, stopped, async |server, store| {
        let blank = async { store.is_blank().await.map_err(|error| Failure::new(error, 1)) };
        if until(stopped, blank).await? {
            return Ok(None);
        }
        until(stopped, prepare(server, store)).await?;
        work(store).await.map(Some)
    })
    .await
}

/// Runs `work` on the store until it ends or a signal stops it, and leaves the store.
pub async fn with_store<T>(
    config: StoreConfig,
    sessions: u32,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let stopped = stopped()?;
    let work = async |store: &Store| until(&stopped, work(store)).await;
    hold_store(config, sessions, &stopped, work).await
}

/// Like [`with_store`], for work that handles `stopped` itself because it has something to finish or to clean up.
pub async fn hold_store<T>(
    config: StoreConfig,
    sessions: u32,
    stopped: &CancellationToken,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    hold(config, sessions, stopped, async |server, store| {
        until(stopped, prepare(server, store)).await?;
        work(store).await
    })
    .await
}

/// Connects to the store, which may lack its schema, and leaves it after `work`.
async fn hold<T>(
    config: StoreConfig,
    sessions: u32,
    stopped: &CancellationToken,
    work: impl AsyncFnOnce(&StoreServer, &Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let server = StoreServer::find(config).await?;
    server
        .during(async |server| {
            let store = until(stopped, connect(server, sessions)).await?;
            let done = work(server, &store).await;
            leave(store, stopped).await;
            done
        })
        .await
}

/// Closes the store. After a stop, a statement that was dropped may still be running: it is ended, as waiting for it
/// may take minutes.
pub async fn leave(store: Store, stopped: &CancellationToken) {
    match stopped.is_cancelled() {
        true => store.end_sessions().await,
        false => store.close().await,
    }
}

/// Runs `work` until it ends, or drops it as soon as a signal stops the program.
pub async fn until<T>(
    stopped: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = stopped.run_until_cancelled(work).await;
    done.unwrap_or_else(|| Err(stopped_by_a_signal()))
}

pub fn stopped_by_a_signal() -> Failure {
    Failure {
        message: "stopped by a signal".to_owned(),
        exit_code: 130,
    }
}

async fn connect(server: &StoreServer, sessions: u32) -> Result<Store, Failure> {
    let store = patiently(server, async || Store::connect(server.options.clone(), sessions).await).await?;
    Ok(store.on_server(server.private.as_ref().map(ManagedServer::process)))
}

/// Makes sure that the schema is up to date.
async fn prepare(server: &StoreServer, store: &Store) -> Result<(), Failure> {
    let prepare = async || match server.migrate {
        true => store.migrate().await,
        false => store.require_schema().await,
    };
    patiently(server, prepare).await
}

/// Retries while the server has no session left or is starting. Any other error is final: until the database has been
/// reached once, it is more likely a mistake than an outage.
async fn patiently<T>(server: &StoreServer, attempt: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, Failure> {
    let mut waits = database_waits(server.retry_for).build();
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let wait = waits.next().filter(|_| error.is_momentary_refusal());
        let Some(wait) = wait else {
            return Err(Failure::new(error, 1));
        };
        warn!(wait_s = wait.as_secs_f64(), "{}; retrying", chain(&error));
        tokio::time::sleep(wait).await;
    }
}

/// Brings the schema up to date and keeps no session.
pub async fn prepare_only(server: &StoreServer, stopped: impl Future<Output = ()>) -> Result<(), Failure> {
    let mut stopped = pin!(stopped);
    let store = tokio::select! {
        connected = connect(server, 1) => connected?,
        () = &mut stopped => return Err(stopped_by_a_signal()),
    };
    tokio::select! {
        prepared = prepare(server, &store) => {
            store.close().await;
            prepared
        }
        () = stopped => {
            store.end_sessions().await;
            Err(stopped_by_a_signal())
        }
    }
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
        let config = StoreConfig {
            location: StoreLocation::Private(managed_postgres::Settings {
                data_dir: Some(data_dir),
                ..managed_postgres::Settings::default()
            }),
            migrate: true,
            retry_for: Duration::ZERO,
        };
        let server = StoreServer::find(config).await.unwrap();
        assert!(pid_file.exists());
        let panics = server.during(async |_| -> Result<(), Failure> { panic!("a fault of ours") });
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert!(!pid_file.exists());
    }
}
