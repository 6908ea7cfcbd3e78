use proptest::prelude::*;
use time::macros::date;

use super::*;

fn day(index: usize, counts: Option<(u64, u64)>, moved: Option<(u64, u64)>) -> Day {
    Day {
        date: date!(2026 - 11 - 01) + time::Duration::days(index as i64),
        objects: counts.map(|counts| counts.0),
        with_data: counts.map(|counts| counts.1),
        created: moved.map(|moved| moved.0),
        removed: moved.map(|moved| moved.1),
    }
}

fn axis(days: &[Day]) -> Axis {
    let mut report = crate::report::tests::report(&[], &[]);
    report.totals.days = days.to_vec();
    Axis::of(&report)
}

#[test]
fn pictures_are_drawn_from_the_first_recorded_day() {
    let days = [
        day(0, None, None),
        day(1, Some((50, 0)), None),
        day(2, Some((100, 25)), Some((60, 10))),
        day(3, Some((100, 25)), Some((0, 0))),
    ];
    assert_eq!(line(&days, 100, |day| day.objects), "M1 100l1-100 1 0");
    assert_eq!(area(&days, 100), "M1 100l1-100 1 0V200H1z");
    assert_eq!(bars(&days, 60, true), "M2 18v-18");
    assert_eq!(bars(&days, 60, false), "M2 18v3");
    let busy = [
        day(0, Some((9, 0)), Some((3, 1))),
        day(1, Some((9, 0)), Some((0, 1))),
        day(2, Some((9, 0)), Some((1, 3))),
    ];
    assert_eq!(bars(&busy, 3, true), "M0 18v-18m2 18v-6");
    assert_eq!(bars(&busy, 3, false), "M0 18v6m1-6v6m1-6v18");
    assert_eq!((top(&days), moved_top(&days)), (100, 60));
    assert_eq!(
        course("chat_Room", &days),
        "chat_Room: from 50 objects with 0 holding data on 2026-11-02 to 100 objects with 25 holding data on 2026-11-04"
    );
    assert_eq!(
        churned("chat_Room", &days),
        "chat_Room: 60 created and 10 removed in 4 days"
    );
}

#[test]
fn the_scales_have_round_numbers() {
    let days = [
        day(0, Some((9_692_282, 5)), None),
        day(1, Some((9_000_000, 5)), Some((1_900, 31_000))),
    ];
    let page = figure(3, "a", &axis(&days), &days, 96).into_string();
    for label in ["10 M", "5 M", "0", "+40 k", "\u{2212}40 k", "Nov 1", "Nov 2"] {
        assert!(page.contains(&format!(">{label}</text>")), "{label}: {page}");
    }
    assert!(page.contains(r#"data-series="3""#), "{page}");
}

#[test]
fn a_lone_day_is_a_dot() {
    let days = [day(0, None, None), day(1, Some((50, 20)), None)];
    let figure = |days: &[Day]| figure(0, "a", &axis(days), days, 96).into_string();
    for page in [figure(&days), spark(&days).into_string()] {
        assert!(page.contains(r#"<path class="dot objects" d="M1 "#), "{page}");
        assert!(!page.contains(r#"class="line objects"#), "{page}");
    }
    let two = [days[0], days[1], day(2, Some((50, 20)), None)];
    assert!(!figure(&two).contains("dot"));
}

#[test]
fn nothing_recorded_is_an_empty_picture() {
    let days = [day(0, None, None), day(1, None, None)];
    assert_eq!(line(&days, 2, |day| day.objects), "");
    assert_eq!(area(&days, 2), "");
    assert_eq!(course("a", &days), "a: nothing is recorded in these days");
    assert_eq!(changed(&days).count(), 0);
}

/// Days as the record gives them: nothing before the baseline, whose day has no changes.
fn any_days() -> impl Strategy<Value = Vec<Day>> {
    let any = (0u64..4, 0u64..3, 0u64..3, 0u64..3);
    (0usize..5, proptest::collection::vec(any, 1..30)).prop_map(|(unrecorded, counts)| {
        let before = (0..unrecorded).map(|index| day(index, None, None));
        let after = counts
            .iter()
            .enumerate()
            .map(|(index, (objects, with_data, created, removed))| {
                let moved = (index > 0).then_some((*created, *removed));
                day(unrecorded + index, Some((*objects, *with_data)), moved)
            });
        before.chain(after).collect()
    })
}

proptest! {
    /// Reads the table as its caption says: a missing day is like the one before, without changes.
    #[test]
    fn every_day_follows_from_the_table(days in any_days()) {
        let shown: Vec<_> = changed(&days).collect();
        let mut last: Option<Day> = None;
        for day in &days {
            let here = shown.iter().find(|shown| shown.date == day.date).map(|shown| **shown);
            let read = here.or(last.map(|last| Day { date: day.date, created: Some(0), removed: Some(0), ..last }));
            let unrecorded = Day { date: day.date, objects: None, with_data: None, created: None, removed: None };
            prop_assert_eq!(read.unwrap_or(unrecorded), *day);
            last = read;
        }
    }

    #[test]
    fn no_line_leaves_its_picture(counts in proptest::collection::vec(0u64.., 1..40)) {
        let days: Vec<_> = counts.iter().enumerate().map(|(index, n)| day(index, Some((*n, *n)), Some((*n, *n)))).collect();
        let path = line(&days, top(&days), |day| day.objects);
        let (begin, steps) = path[1..].split_once('l').unwrap_or((&path[1..], ""));
        let mut y: i64 = begin.split(' ').nth(1).unwrap().parse().unwrap();
        let steps = steps.replace('-', " -");
        for step in std::iter::once("0").chain(steps.split_whitespace().skip(1).step_by(2)) {
            y += step.parse::<i64>().unwrap();
            prop_assert!((0..=HEIGHT as i64).contains(&y), "{path}");
        }
    }
}
