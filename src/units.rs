//! Parses durations such as `15m` and quotas such as `1200/300s`, and defines the valid ranges of numbers, for both the
//! command line and the configuration file.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Objects per page; the API refuses other sizes.
pub const LIMIT: RangeInclusive<i64> = 10..=10_000;
/// Namespaces walked in parallel.
pub const CONCURRENCY: RangeInclusive<i64> = 1..=64;
/// Percentage of a quota. At zero, no request would ever be sent.
pub const QUOTA_SHARE: RangeInclusive<i64> = 1..=100;
/// Percentage of a namespace's objects.
pub const PERCENT: RangeInclusive<i64> = 0..=100;

/// A hundred years: adding it to a clock, or subtracting it, cannot overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    #[error("a duration has one or more numbers with units (ms, s, m, h, d or w), such as 15m, 1h30m or 180d")]
    Shape,
    #[error("a duration needs a unit (ms, s, m, h, d or w), such as 300s")]
    NoUnit,
    #[error("a duration must be longer than zero")]
    Zero,
    #[error("a duration is at most 36500d")]
    TooLong,
}

/// Parses a duration of whole milliseconds, which must be longer than zero.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    // humantime's `M` is months, and too close to `m`.
    if text.contains('M') {
        return Err(InvalidDuration::Shape);
    }
    let duration = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => InvalidDuration::NoUnit,
        // humantime also reports an overflow for a fraction of a nanosecond.
        humantime::DurationError::NumberOverflow if !text.contains('.') => InvalidDuration::TooLong,
        _ => InvalidDuration::Shape,
    })?;
    match duration {
        Duration::ZERO => Err(InvalidDuration::Zero),
        long if long > LONGEST => Err(InvalidDuration::TooLong),
        fine if fine.subsec_nanos() % 1_000_000 != 0 => Err(InvalidDuration::Shape),
        duration => Ok(duration),
    }
}

/// How many cursors read the pages of one namespace in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cursors {
    /// Chosen by response time and quota.
    #[default]
    Auto,
    /// 1 to 32. A small namespace is always read on one.
    Exactly(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto` or a number from 1 to 32")]
pub struct InvalidCursors;

impl FromStr for Cursors {
    type Err = InvalidCursors;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(number @ 1..=32) => Ok(Self::Exactly(number)),
            _ => Err(InvalidCursors),
        }
    }
}

/// At most `requests` requests in any sliding window of length `window`. Neither is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub requests: u32,
    pub window: Duration,
}

impl Quota {
    /// Cloudflare's limit per user: 1,200 requests in five minutes.
    pub const CLOUDFLARE: Self = Self {
        requests: 1_200,
        window: Duration::from_secs(300),
    };

    /// Requests in this share of the quota, rounded down so that the share is never exceeded.
    pub fn share(&self, percent: u8) -> u64 {
        u64::from(self.requests) * u64::from(percent) / 100
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, window } = self;
        match window.subsec_nanos() {
            0 => write!(f, "{requests}/{}s", window.as_secs()),
            _ => write!(f, "{requests}/{}ms", window.as_millis()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuota {
    #[error("a quota is a number of requests and a window, such as 1200/300s")]
    Shape,
    #[error("a quota has from 1 to 4294967295 requests, such as 1200/300s")]
    Requests,
    #[error("the quota's window: {0}")]
    Window(InvalidDuration),
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (requests, window) = text.split_once('/').ok_or(InvalidQuota::Shape)?;
        if requests.is_empty() || !requests.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidQuota::Shape);
        }
        let requests = match requests.parse() {
            Ok(0) | Err(_) => return Err(InvalidQuota::Requests),
            Ok(requests) => requests,
        };
        let window = parse_duration(window).map_err(InvalidQuota::Window)?;
        Ok(Self { requests, window })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_that_people_write() {
        for (text, seconds) in [
            ("300s", 300),
            ("15m", 900),
            ("36h", 129_600),
            ("180d", 15_552_000),
            ("1000ms", 1),
            ("2w", 1_209_600),
            ("1h30m", 5_400),
            ("1.5h", 5_400),
            ("15 min", 900),
            ("36500d", 3_153_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn durations_that_are_refused() {
        use InvalidDuration::{NoUnit, Shape, TooLong, Zero};
        let cases = [
            ("", Shape),
            ("s", Shape),
            ("-5s", Shape),
            ("+5s", Shape),
            ("15M", Shape),
            ("15x", Shape),
            ("15m and more", Shape),
            ("1,5h", Shape),
            ("1.s", Shape),
            ("0.5ns", Shape),
            ("1500us", Shape),
            ("1h30", NoUnit),
            ("٣s", Shape),
            ("300", NoUnit),
            ("0s", Zero),
            ("36501d", TooLong),
            ("18446744073709551615d", TooLong),
            ("99999999999999999999s", TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn quotas_that_are_refused() {
        for text in [
            "",
            "1200",
            "/300s",
            "1200/",
            "1200/300",
            "0/300s",
            "-1/300s",
            "+1/1s",
            "4294967296/1s",
            "1/0s",
            "a/1s",
        ] {
            assert!(text.parse::<Quota>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn cloudflares_quota_as_people_write_it() {
        assert_eq!("1200/300s".parse(), Ok(Quota::CLOUDFLARE));
        assert_eq!("1200/5m".parse(), Ok(Quota::CLOUDFLARE));
        assert_eq!(Quota::CLOUDFLARE.to_string(), "1200/300s");
        assert_eq!(Quota::CLOUDFLARE.share(80), 960);
    }

    proptest! {
        #[test]
        fn durations_mean_what_they_say(number in 1u64..=36_500, unit in 0usize..5) {
            let (name, milliseconds) = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)][unit];
            prop_assert_eq!(parse_duration(&format!("{number}{name}")), Ok(Duration::from_millis(number * milliseconds)));
        }

        #[test]
        fn quotas_survive_being_written_and_read(requests in 1u32.., window in 1u64..=3_153_600_000_000) {
            let quota = Quota { requests, window: Duration::from_millis(window) };
            prop_assert_eq!(quota.to_string().parse(), Ok(quota));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*|[0-9]{0,25}(ms|s|d)?|[0-9]{0,12}/[0-9]{0,25}[smhd]") {
            let _ = parse_duration(&text);
            let _ = text.parse::<Quota>();
        }
    }
}
