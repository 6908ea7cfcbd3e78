//! The text for people, from the real program through a pipe.

use super::history::{Record, days, everything};
use crate::support::program::{ACCOUNT, Ended};

/// Replaces what depends on the time of the test: dates, and ages with their padding.
const FILTERS: [(&str, &str); 6] = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "[moment]"),
    (r"\d{4}-\d\d-\d\d", "[date]"),
    (r" +\d+ (?:s|min|h|d)  ", "  [age]  "),
    (r" +–  ·", "  –  ·"),
    (r"last snapshot +age", "last snapshot  age"),
    (r"(\d|–) {18,}", "$1  "),
];

fn is_like(name: &str, ended: &Ended) {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    insta::with_settings!({ filters => FILTERS, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, ended.stdout);
    });
}

#[tokio::test]
async fn a_table_totals_and_what_needs_attention() {
    let record = everything().await;
    is_like("report", &record.report(&["--stale-after", "3d"]));
    is_like("report", &record.report(&["--stale-after", "3d", "--days", "2"]));
    is_like(
        "report_selected",
        &record.report(&[
            "--namespace",
            "shop_*",
            "--namespace",
            "game_*",
            "--growth-factor",
            "1000",
        ]),
    );
}

#[tokio::test]
async fn an_empty_record_is_no_error_and_says_what_to_do() {
    let mut record = Record::new().await;
    is_like("report_empty", &record.report(&[]));
    record.namespace(ACCOUNT, "chat_Room", &days(1, 0, |_| 5, 0.5, 0)).await;
    let ended = record.report(&["--namespace", "other_*"]);
    let said = "error: no recorded namespace matches other_*; `durable-inventory namespaces` lists what is recorded\n";
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(2), "", said)
    );
}

#[tokio::test]
async fn namespaces_of_several_accounts_are_told_apart() {
    let mut record = Record::new().await;
    record.account("another").await;
    for account in [ACCOUNT, "another"] {
        record
            .namespace(account, "chat_Room", &days(9, 0, |d| 10 + d, 0.5, 0))
            .await;
    }
    is_like("report_accounts", &record.report(&[]));
    let ended = record.report(&["--account", "another", "--output", "json"]);
    assert_eq!(ended.json()["namespaces"].as_array().unwrap().len(), 1, "{ended:#?}");
}

#[tokio::test]
async fn the_previews_of_a_class_are_one_line() {
    let mut record = Record::new().await;
    record
        .namespace(ACCOUNT, "chat_Room", &days(9, 0, |_| 50, 0.5, 0))
        .await;
    for number in 0..254 {
        record
            .namespace(ACCOUNT, &format!("shop_Cart_pr-{number}"), &days(2, 0, |_| 2, 0.5, 0))
            .await;
    }
    record
        .sql("update inventory.namespace set class = 'Cart', preview = '{}' where script = 'shop'")
        .await;
    let text = record.report(&[]).stdout;
    let rows: Vec<Vec<_>> = text
        .lines()
        .map(|line| line.split_whitespace().take(4).collect())
        .collect();
    assert_eq!(rows[1], ["shop_Cart", "(254", "previews)", "508"], "{text}");
    assert_eq!(rows[2][..2], ["chat_Room", "50"], "{text}");
    assert_eq!(rows[3][..2], ["total", "558"], "{text}");
}

#[tokio::test]
async fn many_of_a_kind_are_not_told_one_by_one() {
    let mut record = Record::new().await;
    for number in 0..12 {
        record
            .namespace(ACCOUNT, &format!("a_{number:02}"), &days(9, 4, |_| 5, 0.5, 0))
            .await;
    }
    let text = record.report(&[]).stdout;
    assert_eq!(text.matches("stale    a_").count(), 10, "{text}");
    assert!(text.contains("stale    and 2 more\n"), "{text}");
    let page = record.report(&["--html", "-"]).stdout;
    assert!(page.contains("<summary>2 more: stale</summary>"), "{page}");
    assert_eq!(page.matches("<p class=\"why\">").count(), 12);
    assert_eq!(
        record.report(&["--output", "json"]).json()["attention"]
            .as_array()
            .unwrap()
            .len(),
        12
    );
}

#[tokio::test]
async fn wrong_usage_is_2_and_says_why() {
    let record = Record::new().await;
    for (args, said) in [
        (&["--growth-factor", "0.5"][..], "a number from 1"),
        (&["--growth-factor", "NaN"], "a number from 1"),
        (&["--days", "1"], "2..=1000"),
        (&["--html", "s3://bucket/report.html"], "can only be written to a file"),
        (&["--html", "/tmp"], "can only be written to a file"),
        (&["--html", "-", "--output", "json"], "cannot be used with"),
    ] {
        let ended = record.report(args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ended:#?}"
        );
        assert!(ended.stderr.contains(said), "{args:?}: {ended:#?}");
    }
}
