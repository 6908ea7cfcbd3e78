//! How the record grows: figures per namespace, their history, and what needs a person's attention.
//!
//! `store` reads the counts of published snapshots, `series` looks them up by time and by day, `figures` computes the
//! report's numbers, `attention` finds problems; `words`, `summary` and `html` format them. Everything but `read` is
//! pure.

mod attention;
mod figures;
pub mod html;
mod previews;
mod series;
pub mod summary;
pub mod words;

pub use self::attention::{Attention, Trouble, by_trouble};
pub use self::figures::{
    Count, CountChange, LatestSnapshot, NamespaceFigures, PERIODS, Presence, ReportOptions, Totals,
};
pub use self::previews::{Previews, ReportEntry};
pub use self::series::{Day, Growth, Series};

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

use self::series::dates_until;
use crate::store::{LastRun, NamespaceRecord, PointRow, Reader, ReportRow, StoreError};

/// How far back the usual growth is looked for: a month before the last snapshot but one, which may be weeks old
/// itself.
const LOOK_BACK: Duration = Duration::days(62);

#[derive(Debug, Clone)]
pub struct Report {
    pub options: ReportOptions,
    pub at: OffsetDateTime,
    /// Namespaces in the record, including those that the report leaves out.
    pub recorded: usize,
    /// Largest first within an account.
    pub namespaces: Vec<NamespaceFigures>,
    /// Totals of the namespaces that are neither missing nor retired.
    pub totals: Totals,
    pub attention: Vec<Attention>,
    pub last_run: Option<LastRun>,
}

impl Report {
    pub fn new(
        options: ReportOptions,
        at: OffsetDateTime,
        recorded: usize,
        rows: &[ReportRow],
        points: &[PointRow],
        last_run: Option<LastRun>,
    ) -> Self {
        let mut by_key: HashMap<i32, Vec<PointRow>> = HashMap::new();
        for point in points {
            by_key.entry(point.key).or_default().push(*point);
        }
        let dates = dates_until(at, options.days);
        let mut attention: Vec<_> = last_run.as_ref().and_then(attention::of_run).into_iter().collect();
        let mut namespaces = Vec::with_capacity(rows.len());
        for row in rows {
            let series = Series::new(by_key.remove(&row.namespace.key).unwrap_or_default());
            let figures = NamespaceFigures::new(&options, at, &row.namespace, &series, series.days(&dates));
            attention::of_namespace(&options, at, row, &figures, &mut attention);
            namespaces.push(figures);
        }
        // The rows are sorted by name; a stable sort keeps that order among equals.
        namespaces.sort_by(|one, other| {
            let size = |figures: &NamespaceFigures| figures.newest.map(|newest| newest.count.objects);
            (one.account_id.cmp(&other.account_id)).then(size(other).cmp(&size(one)))
        });
        attention.sort_by_key(|entry| entry.trouble.rank());
        Self {
            options,
            at,
            recorded,
            totals: Totals::of(&namespaces),
            namespaces,
            attention,
            last_run,
        }
    }

    /// The namespaces that are neither missing nor retired.
    pub fn present(&self) -> impl Iterator<Item = &NamespaceFigures> {
        self.namespaces
            .iter()
            .filter(|figures| figures.presence == Presence::Present)
    }

    /// Whether the report covers several accounts, so that each namespace needs its account beside it.
    pub fn several_accounts(&self) -> bool {
        self.namespaces
            .windows(2)
            .any(|two| two[0].account_id != two[1].account_id)
    }
}

/// Reads a report's rows as of one point in time.
pub async fn read(
    reader: &mut Reader,
    options: ReportOptions,
    selects: impl Fn(&NamespaceRecord) -> bool,
) -> Result<Report, StoreError> {
    let now = reader.now();
    let first_day = dates_until(now, options.days)
        .first()
        .map(|date| date.midnight().assume_utc());
    let since = first_day.map_or(now - LOOK_BACK, |first| first.min(now - LOOK_BACK));
    let mut rows = reader.report_rows().await?;
    let recorded = rows.len();
    // The report includes what was published after the clock was read.
    let at = rows
        .iter()
        .filter_map(|row| Some(row.namespace.published?.recorded_at))
        .fold(now, OffsetDateTime::max);
    rows.retain(|row| selects(&row.namespace));
    let points: Vec<PointRow> = match rows.is_empty() {
        true => Vec::new(),
        false => reader.report_points(since).await?,
    };
    let last_run: Option<LastRun> = reader.last_run().await?;
    Ok(Report::new(options, at, recorded, &rows, &points, last_run))
}

#[cfg(test)]
mod tests;
