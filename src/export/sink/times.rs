//! Moments as text. A column repeats the few moments at which snapshots were recorded, so the last one is kept.

use std::io::Write;

use time::OffsetDateTime;

/// Writes one column's moments.
#[derive(Default)]
pub struct TimeText {
    last: Option<i64>,
    text: Vec<u8>,
}

impl TimeText {
    /// RFC 3339 in UTC, always to the microsecond: texts then sort as their moments do.
    pub fn of(&mut self, micros: i64) -> &[u8] {
        if self.last != Some(micros) {
            self.last = Some(micros);
            self.text = text(micros);
        }
        &self.text
    }
}

fn text(micros: i64) -> Vec<u8> {
    let mut text = Vec::with_capacity(27);
    // Every moment that a database can hold and a calendar can name; the record has no others.
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micro) = at.to_hms_micro();
    let month = u8::from(month);
    // A Vec takes all that is written to it.
    let _written = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_one_shape() {
        let mut times = TimeText::default();
        assert_eq!(times.of(0), b"1970-01-01T00:00:00.000000Z");
        assert_eq!(times.of(1_793_514_600_000_001), b"2026-11-01T06:30:00.000001Z");
        assert_eq!(times.of(-1), b"1969-12-31T23:59:59.999999Z");
    }
}
