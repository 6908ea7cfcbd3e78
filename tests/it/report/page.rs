//! The page: its content, the escaping of names, and its behaviour in a real browser.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::history::{Record, days, everything};
use crate::support::program::ACCOUNT;

/// Names that would take effect if they were not escaped.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "</title></style></script><h1>",
    "' onmouseover='alert(3)",
    "a\u{202e}gnp.exe\u{2066}\u{200b}",
    "&lt;b&gt;`x`&#39;",
];

async fn with_hostile_names() -> Record {
    let mut record = everything().await;
    for name in HOSTILE {
        let key = record.namespace(ACCOUNT, name, &days(20, 0, |d| 50 + d, 0.5, 1)).await;
        record.unpublished(key, "failed", name).await;
    }
    // Names in right-to-left scripts are not attacks.
    record
        .namespace(ACCOUNT, "غرفة_דלת", &days(20, 0, |d| 5 + d, 0.5, 1))
        .await;
    record
}

/// The content between a tag and its end. The tag must occur exactly once.
fn only<'a>(page: &'a str, tag: &str) -> &'a str {
    assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "{tag}");
    let (_, after) = page.split_once(&format!("<{tag}>")).unwrap();
    after.split_once(&format!("</{tag}>")).unwrap().0
}

#[tokio::test]
async fn foreign_names_are_words_and_nothing_else() {
    let record = with_hostile_names().await;
    let ended = record.report(&["--html", "-"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    let page = &ended.stdout;
    for tag in ["script", "style", "title", "h1"] {
        only(page, tag);
    }
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    assert!(!page.contains(steers));
    assert!(!page.contains("<img") && !page.contains("<b>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains(r"a\u{202e}gnp.exe"));
    assert!(page.contains("&amp;lt;b&amp;gt;"), "it is told as it is written");
    assert!(page.contains("غرفة_<wbr>דלת"));
}

/// What the script makes charts of has no names in it, and can't end its element.
#[tokio::test]
async fn the_embedded_data_is_numbers_only() {
    let record = with_hostile_names().await;
    let page = record.report(&["--html", "-"]).stdout;
    assert_eq!(page.matches("<data ").count(), 1);
    let (_, data) = page.split_once("<data ").unwrap();
    let (attributes, after) = data.split_once('>').unwrap();
    assert!(after.starts_with("</data>"), "{}", &after[..20]);
    let value = attributes.split_once(" value=\"").unwrap().1.trim_end_matches('"');
    let mut numbers = Vec::new();
    GzDecoder::new(&BASE64_STANDARD.decode(value).unwrap()[..])
        .read_to_end(&mut numbers)
        .unwrap();
    let text = String::from_utf8_lossy(&numbers);
    for name in HOSTILE {
        assert!(!text.contains(name), "{name}");
    }
    let names = page.matches("data-place=").count();
    assert!(names > HOSTILE.len(), "the script takes names from the rows: {names}");
}

#[tokio::test]
async fn the_page_asks_for_nothing_and_allows_its_own_style_and_script_only() {
    let record = with_hostile_names().await;
    let page = record.report(&["--html", "-"]).stdout;
    for way_out in [
        "http://",
        "src=",
        "fetch(",
        "XMLHttpRequest",
        "@import",
        "url(",
        "style=",
        "onclick",
        "innerHTML",
        "eval(",
    ] {
        // The only "src=" is escaped text in an attacker's name.
        let expected = if way_out == "src=" {
            page.matches("&lt;img src=x").count()
        } else {
            0
        };
        assert_eq!(page.matches(way_out).count(), expected, "{way_out}");
    }
    // Links that a person may follow.
    let links = page.matches("https://").count();
    let dashboard = format!("<a class=\"out\" href=\"https://dash.cloudflare.com/{ACCOUNT}/workers/durable-objects");
    assert_eq!(page.matches(&dashboard).count(), links);
    assert!(page.contains(&format!("{dashboard}\" ")), "the account's");
    let cart = format!("{dashboard}/view/{:x}\" ", super::history::id_of("shop_Cart"));
    assert!(page.contains(&cart), "{cart}");
    let allowed = |tag: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(only(&page, tag))));
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        allowed("style"),
        allowed("script")
    );
    assert!(page.contains(&policy), "{policy}");
}

#[tokio::test]
async fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let record = everything().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let path = path.to_str().unwrap();
    fs::write(path, "the last one").unwrap();
    let ended = record.report(&["--html", path]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
    let page = fs::read_to_string(path).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"),
        "{page}"
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o444, 0o444);

    let nowhere = folder.path().join("no-such-folder/report.html");
    let ended = record.report(&["--html", nowhere.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("no-such-folder/report.html could not be written: "),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn the_page_of_an_empty_record_says_what_to_do() {
    let record = Record::new().await;
    let ended = record.report(&["--html", "-"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended.stdout.contains("<code>durable-inventory sync</code>"),
        "{ended:#?}"
    );
    assert!(!ended.stdout.contains("<table"), "{ended:#?}");
}

#[tokio::test]
#[ignore = "needs Node: scripts/test --all"]
async fn it_works_in_chromium_wide_and_narrow_light_and_dark() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: npm ci --prefix tests/browser --ignore-scripts"
    );
    let record = with_hostile_names().await;
    let pages = tempfile::tempdir().unwrap();
    let page = pages.path().join("report.html");
    let ended = record.report(&["--days", "10", "--html", page.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let mut check = Command::new("node");
    check.arg("check.mjs").arg(&page);
    // Accounts of other sizes and ages, for their look.
    for (namespaces, days) in [
        (1, 1),
        (1, 60),
        (12, 1),
        (12, 60),
        (12, 400),
        (300, 1),
        (300, 60),
        (300, 400),
    ] {
        let mut record = Record::new().await;
        record.account_like(namespaces, days).await;
        let page = pages.path().join(format!("{namespaces}x{days}.html"));
        let ended = record.report(&["--days", "400", "--html", page.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        check.arg(page);
    }
    // Set REPORT_SCREENSHOTS to a folder to look at the pages.
    let ended = check.current_dir(&folder).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Elements, as far as the page has them without the script.
fn elements(page: &str) -> usize {
    let starts = page.split('<').skip(1);
    starts
        .filter(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic()))
        .count()
}

#[tokio::test]
async fn three_hundred_namespaces_over_four_hundred_days_are_a_small_page() {
    let mut record = Record::new().await;
    record.account_like(300, 400).await;
    let page = record.report(&["--html", "-", "--days", "400"]).stdout;
    let elements = elements(&page);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(elements < 10_000, "{elements} elements");
    assert_eq!(page.matches("<article").count(), 12);
    assert!(
        page.contains(">246 previews</span> of <bdi>shop_<wbr>Cart</bdi>"),
        "one line"
    );
    assert!(page.contains(">8 namespaces no longer exist</span>"), "one block");
    assert!(page.contains("<h2 id=\"course\">The last 400 days</h2>"));
}

#[tokio::test]
async fn a_first_day_has_no_dashes_and_no_empty_charts() {
    let mut record = Record::new().await;
    record.account_like(12, 1).await;
    let page = record.report(&["--html", "-"]).stdout;
    let (body, _) = page.split_once("<script>").unwrap();
    assert!(
        body.contains("First snapshot today; changes appear after the second day."),
        "{body}"
    );
    let (figures, _) = body.split_once("How to read this").unwrap();
    assert!(!figures.contains('\u{2013}'), "{figures}");
    assert!(!figures.contains("<svg") && !figures.contains("7 days"), "{figures}");

    // On the second day the axis has a week, whatever --days is.
    let mut record = Record::new().await;
    record.account_like(2, 2).await;
    let page = record.report(&["--html", "-"]).stdout;
    assert!(page.contains("The last 7 days"), "{page}");
    assert_eq!(page.matches("<figure").count(), 3);
    assert!(page.contains("<strong>") && !page.contains("First snapshot"), "{page}");
}

#[tokio::test]
async fn what_needs_attention_is_right_below_the_totals() {
    let mut record = Record::new().await;
    record.account_like(1, 9).await;
    let page = record.report(&["--html", "-", "--growth-floor", "100000000"]).stdout;
    assert!(
        page.contains("</section><p class=\"quiet\">Nothing needs attention.</p><section"),
        "{page}"
    );
    assert_eq!(
        page.matches("<figure").count(),
        1,
        "the only namespace's chart is that of all"
    );
    assert!(
        page.contains(&format!("<title>Durable Objects of {ACCOUNT}, ")),
        "{page}"
    );

    let record = everything().await;
    let page = record.report(&["--html", "-"]).stdout;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("<h2 id=\"attention\"") < place("<figure"));
    assert!(
        place("<th scope=\"row\">Total</th>") < place("<h2 id=\"namespaces\"") + 1_500,
        "on top"
    );
    assert!(page.contains("Review <bdi class=\"name\">billing_Ledger</bdi>"));
    assert!(page.contains(
        "<p class=\"do\">Publish it:</p><code class=\"command\">durable-inventory snapshots accept 42</code>"
    ));
    assert!(
        page.contains("1 namespace no longer exists</span> (12 objects)"),
        "{page}"
    );
}

/// The record after years of nightly walks or weeks of hourly ones.
#[tokio::test]
#[ignore = "large: 300,000 snapshots"]
#[expect(
    clippy::print_stderr,
    reason = "whoever runs it wants to see how large and how fast it is"
)]
async fn hundreds_of_namespaces_with_a_thousand_snapshots_each_make_a_page_of_reasonable_size() {
    let mut record = Record::new().await;
    record.many(300, 1_000).await;
    for (what, hours, limit) in [("daily", 24, 600_000), ("hourly", 1, 600_000)] {
        let spread = format!(
            "update inventory.snapshot set recorded_at =
                 now() - (1000 - snapshot_id % 1000) * interval '{hours} hours' - snapshot_id * interval '1 microsecond'"
        );
        record.sql(&spread).await;
        record.sql("vacuum analyze inventory.snapshot").await;
        let begun = Instant::now();
        let page = record.report(&["--html", "-"]).stdout;
        let took = begun.elapsed();
        eprintln!("{what}: {} bytes in {took:.2?}", page.len());
        assert_eq!(page.matches("<article").count(), 12);
        assert!(page.len() < limit, "{what}: {} bytes", page.len());
        assert!(took.as_secs() < 10, "{what}: {took:?}");
    }
}
