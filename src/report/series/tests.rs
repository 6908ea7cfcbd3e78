use proptest::prelude::*;
use time::macros::{date, datetime};

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

fn point(at: OffsetDateTime, objects: i64) -> PointRow {
    PointRow {
        key: 0,
        at,
        objects,
        with_data: objects / 2,
        created: 3,
        removed: 1,
        baseline: false,
    }
}

/// One snapshot per pair of days ago and objects; the first is a baseline.
fn series(past: &[(i64, i64)]) -> Series {
    let points = past.iter().enumerate().map(|(index, (days_ago, objects))| PointRow {
        baseline: index == 0,
        ..point(NOW - Duration::days(*days_ago), *objects)
    });
    Series::new(points.collect())
}

#[test]
fn a_moment_has_the_newest_snapshot_that_was_published_by_then() {
    let series = series(&[(3, 10), (1, 20)]);
    let at = |moment| series.as_of(moment).map(|point| point.objects);
    assert_eq!(
        at(NOW - Duration::days(3) - Duration::MICROSECOND),
        None,
        "before the baseline"
    );
    assert_eq!(at(NOW - Duration::days(3)), Some(10));
    assert_eq!(at(NOW - Duration::days(1) - Duration::MICROSECOND), Some(10));
    assert_eq!(at(NOW - Duration::days(1)), Some(20));
    assert_eq!(at(NOW), Some(20));
}

#[test]
fn days_are_utc_and_have_the_counts_at_their_end() {
    let before_midnight = datetime!(2026-11-22 23:59:59 UTC);
    let points = vec![
        PointRow {
            baseline: true,
            ..point(before_midnight, 10)
        },
        // 01:30 two hours east is still the day before in UTC.
        point(datetime!(2026-11-24 01:30 +2), 12),
        point(datetime!(2026-11-23 08:00 UTC), 11),
        point(datetime!(2026-11-25 06:00 UTC), 13),
    ];
    let dates = [
        date!(2026 - 11 - 21),
        date!(2026 - 11 - 22),
        date!(2026 - 11 - 23),
        date!(2026 - 11 - 24),
        date!(2026 - 11 - 25),
    ];
    let days = Series::new(points).days(&dates);
    let said: Vec<_> = days.iter().map(|day| (day.objects, day.created, day.removed)).collect();
    assert_eq!(
        said,
        [
            (None, None, None),
            (Some(10), None, None), // a baseline creates nothing
            (Some(12), Some(6), Some(2)),
            (Some(12), Some(0), Some(0)), // no snapshot: as it was
            (Some(13), Some(3), Some(1)),
        ]
    );
}

#[test]
fn growth_is_compared_with_the_days_before() {
    // Ten a day for a fortnight, then a hundred.
    let mut past: Vec<(i64, i64)> = (1..=15).rev().map(|ago| (ago, 1_000 - 10 * ago)).collect();
    past.push((0, 1_090));
    let growth = series(&past).growth(NOW).unwrap();
    assert_eq!((growth.latest, growth.usual), (100.0, 10.0));
}

#[test]
fn days_of_shrinking_are_days_without_growth() {
    let past: Vec<(i64, i64)> = (0..=10).rev().map(|ago| (ago, 100 + 10 * (ago % 2))).collect();
    let growth = series(&past).growth(NOW).unwrap();
    assert_eq!(growth.latest, -10.0);
    assert!((growth.usual - 5.0).abs() < 1.0, "{growth:?}");
}

#[test]
fn a_weekly_sync_is_not_sudden_growth() {
    let past: Vec<(i64, i64)> = (0..=5).rev().map(|weeks| (weeks * 7, 10_000 - 700 * weeks)).collect();
    let growth = series(&past).growth(NOW).unwrap();
    assert_eq!(growth.latest, 100.0);
    assert!((growth.usual - 100.0).abs() < 5.0, "{growth:?}");
}

#[test]
fn a_short_record_has_nothing_usual() {
    let past = |days: i64| (0..=days).rev().map(|ago| (ago, 10)).collect::<Vec<_>>();
    assert_eq!(series(&past(7)).growth(NOW), None, "six days before the last");
    assert!(series(&past(8)).growth(NOW).is_some());
    assert_eq!(series(&[]).growth(NOW), None);
    assert_eq!(series(&[(0, 5)]).growth(NOW), None);
}

#[test]
fn dates_end_with_todays() {
    assert_eq!(
        dates_until(datetime!(2026-03-01 00:00 UTC), 2),
        [date!(2026 - 02 - 28), date!(2026 - 03 - 01)]
    );
}

fn any_points() -> impl Strategy<Value = Vec<PointRow>> {
    let any_point =
        (0i64..40 * 86_400, 0i64..1_000, 0i64..9, 0i64..9).prop_map(|(ago, objects, created, removed)| PointRow {
            key: 0,
            at: NOW - Duration::seconds(ago),
            objects,
            with_data: objects / 3,
            created,
            removed,
            baseline: false,
        });
    proptest::collection::vec(any_point, 0..40).prop_map(|mut points| {
        points.sort_by_key(|point| point.at);
        points.dedup_by_key(|point| point.at);
        if let Some(first) = points.first_mut() {
            *first = PointRow {
                baseline: true,
                created: 0,
                removed: 0,
                ..*first
            };
        }
        points
    })
}

proptest! {
    /// Compares with a linear scan.
    #[test]
    fn a_moment_is_found_as_a_scan_would_find_it(points in any_points(), ago in 0i64..45 * 86_400) {
        let moment = NOW - Duration::seconds(ago);
        let found = points.iter().rfind(|point| point.at <= moment).copied();
        prop_assert_eq!(Series::new(points).as_of(moment).copied(), found);
    }

    /// Every created or removed object counts in exactly one day.
    #[test]
    fn the_days_add_up_to_the_snapshots(points in any_points()) {
        let series = Series::new(points.clone());
        let days = series.days(&dates_until(NOW, 50));
        let sum = |of: fn(&Day) -> Option<u64>| days.iter().filter_map(of).sum::<u64>();
        prop_assert_eq!(sum(|day| day.created), points.iter().map(|point| point.created).sum::<i64>() as u64);
        prop_assert_eq!(sum(|day| day.removed), points.iter().map(|point| point.removed).sum::<i64>() as u64);
        for day in &days {
            let end = day.date.next_day().unwrap().midnight().assume_utc() - Duration::NANOSECOND;
            prop_assert_eq!(day.objects, series.as_of(end).map(|point| point.objects as u64));
        }
        prop_assert_eq!(days.last().unwrap().objects, points.last().map(|point| point.objects as u64));
    }

    /// Only the newest point before the report's first day matters.
    #[test]
    fn what_is_older_than_the_window_does_not_matter(points in any_points(), days in 1u16..40) {
        let dates = dates_until(NOW, days);
        let since = dates[0].midnight().assume_utc();
        let before = points.iter().rposition(|point| point.at <= since);
        let read = points[before.unwrap_or(0)..].to_vec();
        prop_assert_eq!(Series::new(read).days(&dates), Series::new(points).days(&dates));
    }

    #[test]
    fn growth_is_finite_and_the_usual_is_never_below_zero(points in any_points()) {
        if let Some(growth) = Series::new(points).growth(NOW) {
            prop_assert!(growth.latest.is_finite() && growth.usual >= 0.0);
        }
    }
}
