//! `migrate`: brings the schema up to date.

use durable_inventory::config::Settings;

use super::store::with_store;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>) -> Result<u8, Failure> {
    with_store(settings.store()?, 2, async |_| {
        terminal::out("the schema `inventory` is up to date\n")?;
        Ok(0)
    })
    .await
}
