//! `psql`: runs psql on the configured store.

use durable_inventory::cli::PsqlArgs;
use durable_inventory::config::Settings;
use durable_inventory::store::managed_postgres::ManagedServer;
use durable_inventory::store::psql;
use tokio::signal::unix::SignalKind;

use super::signals::Signals;
use super::store::{StoreServer, is_new, nothing_recorded, prepare_only, stopped_by_a_signal};
use crate::terminal::Failure;

/// A private store's schema is brought up to date first, so that its views exist.
pub async fn run(settings: &Settings<'_>, args: &PsqlArgs) -> Result<u8, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::new(error, 1))?;
    let store = settings.store()?;
    if is_new(&store) {
        return Err(nothing_recorded());
    }
    let server = StoreServer::find(store).await?;
    let of_server = server.private.as_ref().and_then(ManagedServer::psql_dir);
    let beside = settings
        .global
        .postgres_bin
        .as_deref()
        .or(of_server)
        .map(ToOwned::to_owned);
    let withheld = settings.secret_variables();
    server
        .during(async |server| {
            if server.private.is_some() {
                // Until psql runs, SIGINT is ours.
                let stopped = async {
                    signals.next().await;
                };
                prepare_only(server, stopped).await?;
            }
            let session = async {
                let ended = psql::run_without(&withheld, &server.options, beside.as_deref(), &args.args).await;
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
