//! How the record grows: figures a namespace, their course over time, and what needs a person's attention.
//!
//! `store` gives the counts of published snapshots; `series` answers what they say of a moment or a day; `figures` puts
//! a report together, `attention` tells what is not as it should be; `words` and `html` make it fit to read. All but
//! `read` is pure: the same counts at the same moment give the same report.

mod attention;
mod figures;
pub mod html;
mod series;
pub mod words;

pub use self::attention::{Attention, Trouble, by_trouble};
pub use self::figures::{Asked, Change, Count, NamespaceFigures, Newest, PERIODS, Presence, Report, Totals};
pub use self::series::{Day, Growth, Point, Series};

use time::{Duration, OffsetDateTime};

use self::series::dates_until;
use crate::store::{LastRun, NamespaceRecord, PointRow, Reader, StoreError};

/// Behind the moment of the report, for what is usual: a month of days before the newest snapshot but one, which may be
/// some weeks old itself.
const LOOK_BACK: Duration = Duration::days(62);

/// All that a report is made of, as of one moment.
pub async fn read(
    reader: &mut Reader,
    asked: Asked,
    selects: impl Fn(&NamespaceRecord) -> bool,
) -> Result<Report, StoreError> {
    let now = reader.now();
    let first_day = dates_until(now, asked.days)
        .first()
        .map(|date| date.midnight().assume_utc());
    let since = first_day.map_or(now - LOOK_BACK, |first| first.min(now - LOOK_BACK));
    let mut rows = reader.report_rows().await?;
    let recorded = rows.len();
    // What was published between the look at the clock and the look at the record is in the report, too.
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
    Ok(Report::new(asked, at, recorded, &rows, &points, last_run))
}
