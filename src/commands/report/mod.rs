//! `report`: growth of the record, and what needs attention.

mod text;

use std::io::{self, Write};

use durable_inventory::cli::{OutputFormat, ReportArgs};
use durable_inventory::config::Settings;
use durable_inventory::documents::ReportDocument;
use durable_inventory::export::{FileOutput, Location};
use durable_inventory::report::{self, Report, ReportOptions, html};
use durable_inventory::store::NamespaceRecord;
use time::OffsetDateTime;
use tracing::info;

use super::filter::Filter;
use super::store::{nothing_to_show, with_record};
use crate::terminal::suggested::complete;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>, args: &ReportArgs) -> Result<u8, Failure> {
    let in_terminal = args.html.is_none() && args.output.format() == OutputFormat::Text;
    let options = ReportOptions {
        growth_factor: args.growth_factor,
        growth_floor: args.growth_floor,
        stale_after: args.stale_after,
        days: if in_terminal { text::TREND } else { args.days },
    };
    let filter = Filter::new(&args.filter);
    let recorded = with_record(settings.store()?, 1, async |store| {
        filter.require_match(store).await?;
        let failed = |error| Failure::new(error, 1);
        let mut reader = store.reader().await.map_err(failed)?;
        let selects = |namespace: &NamespaceRecord| filter.selects_record(namespace);
        report::read(&mut reader, options, selects).await.map_err(failed)
    });
    let nothing = || Report::new(options, OffsetDateTime::now_utc(), 0, &[], &[], None);
    let mut report = recorded.await?.unwrap_or_else(nothing);
    for entry in &mut report.attention {
        entry.why = complete(&entry.why).into_owned();
    }
    match &args.html {
        Some(place) => page(&report, place)?,
        None => {
            let text = match args.output.format() {
                OutputFormat::Json => terminal::json(ReportDocument::from(&report))?,
                OutputFormat::Text if report.namespaces.is_empty() => nothing_to_show(),
                OutputFormat::Text => text::text(&report),
            };
            terminal::out(&text)?;
        }
    }
    Ok(0)
}

fn page(report: &Report, place: &Location) -> Result<(), Failure> {
    let page = html::page(report);
    let Location::File(path) = place else {
        return terminal::out(&page);
    };
    let written = || -> io::Result<()> {
        let mut file = FileOutput::create(path)?;
        file.write_all(page.as_bytes())?;
        file.commit()
    };
    written().map_err(|error| Failure {
        message: format!("{place} could not be written: {error}"),
        exit_code: 1,
    })?;
    info!("wrote the report to {place}");
    Ok(())
}
