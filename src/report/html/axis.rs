//! The axes of the charts: days from the first recorded one, and round numbers.

use time::{Date, Month, Weekday};

use crate::report::{Day, Report};
use crate::text::number;

/// Fewer days would be a few wide steps, which look like a long time.
const FEWEST_DAYS: usize = 7;
/// The number of labels that fit below the smallest chart.
const MOST_TICKS: usize = 6;

/// The days that all charts of a page have in common: those of the report, without the ones before the first snapshot.
pub struct Axis {
    skipped: usize,
    /// The sums of all namespaces on these days.
    pub totals: Vec<Day>,
}

/// A label below a chart, in the middle of a day.
#[derive(Debug, PartialEq, Eq)]
pub struct Tick {
    pub day: usize,
    pub label: String,
}

impl Axis {
    pub fn of(report: &Report) -> Self {
        let days = &report.totals.days;
        let recorded = days.iter().position(|day| day.objects.is_some()).unwrap_or(days.len());
        let skipped = recorded.min(days.len().saturating_sub(FEWEST_DAYS));
        let mut totals = days[skipped..].to_vec();
        // Nothing is left on days on which all namespaces are missing.
        for day in totals.iter_mut().skip(recorded - skipped) {
            day.objects.get_or_insert(0);
            day.with_data.get_or_insert(0);
        }
        Self { skipped, totals }
    }

    pub fn cut<'a>(&self, days: &'a [Day]) -> &'a [Day] {
        days.get(self.skipped..).unwrap_or_default()
    }

    pub const fn days(&self) -> usize {
        self.totals.len()
    }

    /// Recorded days, without those before the first snapshot.
    pub fn recorded(&self) -> usize {
        self.totals.iter().filter(|day| day.objects.is_some()).count()
    }

    /// Days, Mondays or first days of a month, as few as fit.
    pub fn ticks(&self) -> Vec<Tick> {
        let within = |ticks: &Vec<Tick>| ticks.len() <= MOST_TICKS;
        let daily = [1, 2]
            .into_iter()
            .map(|step| self.pick(|back, _| back % step == 0, by_day));
        let weekly = [1, 2].into_iter().map(|step| {
            self.pick(
                |back, date| date.weekday() == Weekday::Monday && back / 7 % step == 0,
                by_day,
            )
        });
        let monthly = [1, 2, 3, 6, 12].into_iter().map(|step| {
            self.pick(
                |_, date| date.day() == 1 && (u8::from(date.month()) - 1) % step == 0,
                by_month,
            )
        });
        daily.chain(weekly).chain(monthly).find(within).unwrap_or_default()
    }

    fn pick(&self, wanted: impl Fn(usize, Date) -> bool, label: fn(Date) -> String) -> Vec<Tick> {
        let days = self.totals.iter().enumerate();
        days.filter(|(index, day)| wanted(self.days() - 1 - index, day.date))
            .map(|(day, of)| Tick {
                day,
                label: label(of.date),
            })
            .collect()
    }
}

fn by_day(date: Date) -> String {
    format!("{} {}", short(date.month()), date.day())
}

fn by_month(date: Date) -> String {
    match date.month() {
        Month::January => date.year().to_string(),
        month => short(month).to_owned(),
    }
}

fn short(month: Month) -> &'static str {
    [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][usize::from(u8::from(month)) - 1]
}

/// The smallest round number that is at least `n`: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten, but whole.
pub fn round_up(n: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        let found = [10, 15, 20, 25, 30, 40, 50, 60, 80]
            .into_iter()
            .map(|tenths| u128::from(unit) * tenths)
            .find(|tens| tens % 10 == 0 && tens / 10 >= u128::from(n));
        if let Some(tens) = found {
            return u64::try_from(tens / 10).unwrap_or(u64::MAX);
        }
        match unit.checked_mul(10) {
            Some(next) => unit = next,
            None => return u64::MAX,
        }
    }
}

/// A round number in few characters: 2,500, 20 k, 1.5 M.
pub fn compact(n: u64) -> String {
    let (unit, name) = match n {
        ..10_000 => return number(n),
        10_000..1_000_000 => (1_000, "k"),
        _ => (1_000_000, "M"),
    };
    let tenths = n / (unit / 10) % 10;
    match tenths {
        0 => format!("{} {name}", number(n / unit)),
        _ => format!("{}.{tenths} {name}", number(n / unit)),
    }
}

#[cfg(test)]
mod tests;
