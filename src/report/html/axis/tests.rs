use proptest::prelude::*;
use time::Duration;
use time::macros::date;

use super::*;

const TODAY: Date = date!(2026 - 11 - 24);

/// This many days up to today, of which the last `recorded` have a snapshot.
fn axis(days: usize, recorded: usize) -> Axis {
    let day = |back: usize| Day {
        date: TODAY - Duration::days(back as i64),
        objects: (back < recorded).then_some(5),
        with_data: (back < recorded).then_some(1),
        created: None,
        removed: None,
    };
    let mut report = crate::report::tests::report(&[], &[]);
    report.totals.days = (0..days).rev().map(day).collect();
    Axis::of(&report)
}

#[test]
fn it_begins_with_the_record_and_has_seven_days_at_least() {
    for (days, recorded, expected) in [
        (90, 1, 7),
        (90, 7, 7),
        (90, 8, 8),
        (90, 60, 60),
        (90, 90, 90),
        (2, 1, 2),
        (90, 0, 7),
    ] {
        let axis = axis(days, recorded);
        assert_eq!(
            (axis.days(), axis.recorded()),
            (expected, recorded),
            "{recorded} of {days}"
        );
        assert_eq!(axis.totals.last().unwrap().date, TODAY);
        assert_eq!(axis.cut(&axis_days(days)).len(), expected);
    }
}

fn axis_days(days: usize) -> Vec<Day> {
    let day = |back: usize| Day {
        date: TODAY - Duration::days(back as i64),
        objects: None,
        with_data: None,
        created: None,
        removed: None,
    };
    (0..days).rev().map(day).collect()
}

#[test]
fn a_day_without_namespaces_has_no_objects() {
    let mut report = crate::report::tests::report(&[], &[]);
    report.totals.days = axis_days(9);
    report.totals.days[3].objects = Some(8);
    let axis = Axis::of(&report);
    let objects: Vec<_> = axis.totals.iter().map(|day| day.objects).collect();
    assert_eq!(objects, [None, Some(8), Some(0), Some(0), Some(0), Some(0), Some(0)]);
}

#[test]
fn ticks_are_days_mondays_or_months() {
    let labels = |days: usize| {
        axis(days, days)
            .ticks()
            .into_iter()
            .map(|tick| tick.label)
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(2), ["Nov 23", "Nov 24"]);
    assert_eq!(labels(7), ["Nov 18", "Nov 20", "Nov 22", "Nov 24"]);
    assert_eq!(labels(30), ["Oct 26", "Nov 2", "Nov 9", "Nov 16", "Nov 23"]);
    assert_eq!(labels(60), ["Sep 28", "Oct 12", "Oct 26", "Nov 9", "Nov 23"]);
    assert_eq!(labels(90), ["Sep", "Oct", "Nov"]);
    assert_eq!(labels(400), ["2026", "Apr", "Jul", "Oct"]);
    assert_eq!(labels(1000), ["Jul", "2025", "Jul", "2026", "Jul"]);
    for tick in axis(60, 60).ticks() {
        assert_eq!(by_day(TODAY - Duration::days(59 - tick.day as i64)), tick.label);
    }
}

#[test]
fn numbers_on_axes_are_round_and_short() {
    let rounded = [0, 1, 3, 6, 51, 11, 16, 21, 31, 99, 101, 4_846_141, u64::MAX].map(round_up);
    assert_eq!(rounded, [1, 1, 3, 6, 60, 15, 20, 25, 40, 100, 150, 5_000_000, u64::MAX]);
    assert_eq!(
        [0, 2_500, 10_000, 15_000, 250_000, 1_500_000, 20_000_000, 4_000_000_000].map(compact),
        ["0", "2,500", "10 k", "15 k", "250 k", "1.5 M", "20 M", "4,000 M"]
    );
}

proptest! {
    /// At least half of a scale is used.
    #[test]
    fn a_round_number_is_not_much_more(n in 1u64..1 << 60) {
        let round = round_up(n);
        prop_assert!(round >= n && round <= n.saturating_mul(2));
    }

    #[test]
    fn ticks_always_fit(days in 2usize..=1000) {
        let ticks = axis(days, days).ticks();
        prop_assert!((1..=MOST_TICKS).contains(&ticks.len()), "{ticks:?}");
    }
}
