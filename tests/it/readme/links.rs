//! Links inside the checkout lead somewhere.

use std::path::Path;

use super::markdown::{Page, pages, root};

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &Page) -> Vec<String> {
    let headings = page.prose().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

fn targets(page: &Page) -> Vec<&str> {
    let links = page.prose().flat_map(|line| line.split("](").skip(1));
    links.map(|rest| rest.split(')').next().unwrap()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut tried = 0;
    let mut all = pages();
    all.extend(["CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md"].map(Page::read));
    for page in &all {
        for target in targets(page) {
            if target.starts_with("https://") {
                continue;
            }
            let (path, heading) = target
                .split_once('#')
                .map_or((target, None), |(path, heading)| (path, Some(heading)));
            let here = Path::new(&page.path);
            let file = match path {
                "" => here.to_owned(),
                path => here.parent().unwrap().join(path),
            };
            assert!(root().join(&file).exists(), "{}: {target}", page.path);
            if let Some(heading) = heading {
                let there = anchors(&Page::read(file.to_str().unwrap()));
                assert!(
                    there.iter().any(|anchor| anchor == heading),
                    "{}: {target}: {there:?}",
                    page.path
                );
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}
