//! The page: its content, the escaping of names, and its behaviour in a real browser.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine};
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

#[tokio::test]
async fn the_page_asks_for_nothing_and_allows_its_own_style_and_script_only() {
    let record = with_hostile_names().await;
    let page = record.report(&["--html", "-"]).stdout;
    for way_out in [
        "http://",
        "https://",
        "src=",
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
    check.arg("check.mjs").arg(&page).current_dir(&folder);
    // Set REPORT_SCREENSHOTS to a folder to look at the pages.
    check.args(std::env::var_os("REPORT_SCREENSHOTS"));
    let ended = check.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
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
    for (what, hours, limit) in [("daily", 24, 5_000_000), ("hourly", 1, 3_000_000)] {
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
        assert_eq!(page.matches("<article").count(), 300);
        assert!(page.len() < limit, "{what}: {} bytes", page.len());
        assert!(took.as_secs() < 10, "{what}: {took:?}");
    }
}
