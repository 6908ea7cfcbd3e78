//! A point in time of the record, as written on the command line: a time, a date, how long ago, the newest snapshot or
//! one before it, or a snapshot's id. Parsing needs no clock; the store resolves which snapshots are meant.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::times::for_programs;
use crate::units::{InvalidDuration, parse_duration};

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const LATEST: &str = "latest";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Everything published by then.
    At(OffsetDateTime),
    /// This long before the database's current time.
    Ago(Duration),
    /// In each namespace, this many published snapshots before the newest one.
    Latest(u32),
    /// One published snapshot, which also selects its namespace.
    Snapshot(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoment {
    #[error(
        "a point in time is a time such as 2026-11-01T06:30:00Z, a date such as 2026-11-01 (00:00 UTC), '7d ago', \
         latest, \
         latest~1 or a snapshot's id"
    )]
    Shape,
    #[error("expected a number of snapshots after 'latest~', such as latest~1")]
    Back,
    #[error(transparent)]
    Ago(InvalidDuration),
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == LATEST {
            return Ok(Self::Latest(0));
        }
        if let Some(back) = text.strip_prefix(LATEST) {
            let back = back.strip_prefix('~').ok_or(InvalidMoment::Shape)?;
            let digits = !back.is_empty() && back.bytes().all(|byte| byte.is_ascii_digit());
            let back = digits.then(|| back.parse().ok()).flatten();
            return back.map(Self::Latest).ok_or(InvalidMoment::Back);
        }
        if let Some(duration) = text
            .strip_suffix("ago")
            .filter(|text| text.ends_with(char::is_whitespace))
        {
            return parse_duration(duration.trim_end())
                .map(Self::Ago)
                .map_err(InvalidMoment::Ago);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Snapshot).map_err(|_| InvalidMoment::Shape);
        }
        if let Ok(date) = Date::parse(text, DATE) {
            return Ok(Self::At(date.midnight().assume_utc()));
        }
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|at| Self::At(at.to_offset(UtcOffset::UTC)))
            .map_err(|_| InvalidMoment::Shape)
    }
}

/// Formats the moment so that it parses back as the same one.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => f.write_str(&for_programs(*at)),
            Self::Ago(duration) => match (duration.as_secs(), duration.subsec_millis()) {
                (seconds, 0) if seconds.is_multiple_of(86_400) => write!(f, "{}d ago", seconds / 86_400),
                (seconds, 0) if seconds.is_multiple_of(3_600) => write!(f, "{}h ago", seconds / 3_600),
                (seconds, 0) => write!(f, "{seconds}s ago"),
                _ => write!(f, "{}ms ago", duration.as_millis()),
            },
            Self::Latest(0) => f.write_str(LATEST),
            Self::Latest(back) => write!(f, "{LATEST}~{back}"),
            Self::Snapshot(id) => write!(f, "{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_people_write() {
        for (text, moment) in [
            ("2026-11-01", Moment::At(datetime!(2026-11-01 0:00 UTC))),
            ("2026-11-01T06:30:00Z", Moment::At(datetime!(2026-11-01 6:30 UTC))),
            (
                "2026-11-01T06:30:00.25+02:00",
                Moment::At(datetime!(2026-11-01 4:30:00.25 UTC)),
            ),
            ("7d ago", Moment::Ago(Duration::from_secs(7 * 86_400))),
            (" 90s  ago", Moment::Ago(Duration::from_secs(90))),
            ("latest", Moment::Latest(0)),
            ("latest~12", Moment::Latest(12)),
            ("42", Moment::Snapshot(42)),
        ] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment() {
        for (text, error) in [
            ("", InvalidMoment::Shape),
            ("yesterday", InvalidMoment::Shape),
            ("2026-13-01", InvalidMoment::Shape),
            ("2026-11-01 06:30", InvalidMoment::Shape),
            ("latest-1", InvalidMoment::Shape),
            ("-1", InvalidMoment::Shape),
            ("99999999999", InvalidMoment::Shape),
            ("7dago", InvalidMoment::Shape),
            ("latest~", InvalidMoment::Back),
            ("latest~+1", InvalidMoment::Back),
            ("7 ago", InvalidMoment::Ago(InvalidDuration::NoUnit)),
            ("0s ago", InvalidMoment::Ago(InvalidDuration::Zero)),
        ] {
            assert_eq!(text.parse::<Moment>(), Err(error), "{text}");
        }
    }

    fn moment() -> impl Strategy<Value = Moment> {
        prop_oneof![
            // The years 0001 to 9999, in the microseconds of the record.
            (-62_135_596_800_000_000i64..253_402_300_800_000_000).prop_map(|micros| {
                let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000);
                Moment::At(at.unwrap())
            }),
            (1u64..3_153_600_000_000).prop_map(|ms| Moment::Ago(Duration::from_millis(ms))),
            any::<u32>().prop_map(Moment::Latest),
            (0..=i32::MAX).prop_map(Moment::Snapshot),
        ]
    }

    proptest! {
        #[test]
        fn every_moment_reads_back(moment in moment()) {
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
        }

        #[test]
        fn no_text_brings_the_reader_down(text in ".{0,40}") {
            let _read = text.parse::<Moment>();
        }
    }
}
