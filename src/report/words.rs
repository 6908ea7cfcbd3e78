//! Formats a report's figures, for the terminal and the page.

use time::{Duration, OffsetDateTime, UtcOffset};

use super::series::Day;
use crate::text::{count, number, rounded};

/// Stands for a value that is unknown or does not apply.
pub const NONE: &str = "\u{2013}";

/// Adds a sign and thousands separators; `minus` is the negative sign.
pub fn signed(n: i64, minus: char) -> String {
    match n {
        0 => "0".to_owned(),
        1.. => format!("+{}", number(n.unsigned_abs())),
        _ => format!("{minus}{}", number(n.unsigned_abs())),
    }
}

/// Rounds to a tenth, but never to 0 or 100 from anything else.
pub fn percent(share: f64) -> String {
    let tenths = (share * 10.0).round();
    let tenths = match share {
        0.0 | 100.0 => tenths,
        _ => tenths.clamp(1.0, 999.0),
    };
    format!("{:.1}%", tenths / 10.0)
}

/// Rounds to a whole number, or to a tenth below 10.
pub fn decimal(n: f64) -> String {
    match n {
        ..10.0 => format!("{n:.1}").trim_end_matches(".0").to_owned(),
        _ => number(n.round() as u64),
    }
}

/// Rounds down to the largest unit that fits.
pub fn age(age: Duration) -> String {
    rounded(age.try_into().unwrap_or_default())
}

/// Shows a duration in the largest unit that divides it.
pub fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if duration.subsec_millis() > 0 => format!("{} ms", duration.as_millis()),
        _ if seconds.is_multiple_of(86_400) => format!("{} d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

pub fn day(moment: OffsetDateTime) -> String {
    moment.to_offset(UtcOffset::UTC).date().to_string()
}

pub fn namespaces(n: usize) -> String {
    count(n as u64, "namespace")
}

pub fn objects(n: u64) -> String {
    count(n, "object")
}

pub fn period(days: u16) -> String {
    match days {
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

pub(super) fn stay(n: u64) -> String {
    match n {
        1 => "its object stays".to_owned(),
        _ => format!("its {} stay", objects(n)),
    }
}

/// The characters of a sparkline from the lowest to the highest, and the one of a day on which nothing is recorded.
pub struct Spark {
    pub bars: [char; 8],
    pub nothing: char,
}

pub const SPARK: Spark = Spark {
    bars: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    nothing: '·',
};
/// For a terminal or a mail that shows ASCII only.
pub const ASCII_SPARK: Spark = Spark {
    bars: ['_', '_', '-', '-', '=', '=', '#', '#'],
    nothing: '.',
};

/// The objects per day as one character each, scaled from the fewest to the most.
pub fn sparkline(days: &[Day], spark: &Spark) -> String {
    let bars = spark.bars;
    let known = || days.iter().filter_map(|day| day.objects);
    let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let bar = |objects: u64| match most - least {
        0 => bars[3],
        range => bars[((objects - least) as f64 / range as f64 * 7.0).round() as usize],
    };
    days.iter().map(|day| day.objects.map_or(spark.nothing, bar)).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 1_234, -1].map(|n| signed(n, '-')), ["0", "+1,234", "-1"]);
        assert_eq!(
            [0.0, 100.0, 99.99, 0.001, 59.85].map(percent),
            ["0.0%", "100.0%", "99.9%", "0.1%", "59.9%"]
        );
        assert_eq!([0.0, 0.25, 3.0, 1234.5].map(decimal), ["0", "0.2", "3", "1,235"]);
        assert_eq!(
            [-5, 59, 60, 3_599, 3_600, 172_799, 172_800].map(|seconds| age(Duration::seconds(seconds))),
            ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]
        );
        let durations = [1_500, 90_000, 5_400_000, 129_600_000, 172_800_000].map(std::time::Duration::from_millis);
        assert_eq!(durations.map(duration), ["1500 ms", "90 s", "90 min", "36 h", "2 d"]);
        assert_eq!(day(datetime!(2026-11-24 23:30 -2)), "2026-11-25");
    }

    #[test]
    fn a_sparkline_spans_from_the_fewest_to_the_most() {
        let days = |objects: &[Option<u64>]| {
            let day = |objects: &Option<u64>| Day {
                date: date!(2026 - 11 - 24),
                objects: *objects,
                with_data: None,
                created: None,
                removed: None,
            };
            objects.iter().map(day).collect::<Vec<_>>()
        };
        assert_eq!(sparkline(&days(&[None, Some(10), Some(17), Some(13)]), &SPARK), "·▁█▄");
        assert_eq!(sparkline(&days(&[Some(5), Some(5)]), &SPARK), "▄▄");
        assert_eq!(sparkline(&days(&[None]), &SPARK), "·");
        assert_eq!(sparkline(&days(&[Some(0), Some(u64::MAX)]), &SPARK), "▁█");
        assert_eq!(
            sparkline(&days(&[None, Some(0), Some(4), Some(7)]), &ASCII_SPARK),
            "._=#"
        );
    }
}
