//! Names shortened in the middle, where they differ least.

use std::collections::{BTreeMap, BTreeSet};

use durable_inventory::model::is_hex_id;
use unicode_width::UnicodeWidthChar;

/// Attempts to tell names apart that a cut made alike. Each splits every group of them.
const ROUNDS: usize = 8;

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Whether a cell stays whole: an id is copied, and a part of one is of no use.
pub fn is_whole(text: &str) -> bool {
    is_hex_id(text)
}

/// Shortens names to a width, in the middle. Names that begin alike are cut elsewhere: their beginning is followed by the
/// place where they differ.
pub fn shortened(names: &[String], to: usize, ellipsis: &str) -> Vec<String> {
    let is_cut = |name: &str| width(name) > to && !is_whole(name);
    let cut = |name: &String| match is_cut(name) {
        true => in_the_middle(name, to, ellipsis),
        false => name.clone(),
    };
    let mut shown: Vec<String> = names.iter().map(cut).collect();
    let beginning = to.saturating_sub(width(ellipsis)).div_ceil(2);
    let mut alike: Vec<String> = names.iter().map(|name| head(name, beginning)).collect();
    for _ in 0..ROUNDS {
        let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, alike) in names.iter().zip(&alike).filter(|(name, _)| is_cut(name)) {
            groups.entry(alike).or_default().insert(name);
        }
        groups.retain(|_, group| group.len() > 1);
        if groups.is_empty() {
            break;
        }
        let same: BTreeMap<&str, usize> = groups
            .values()
            .flat_map(|group| {
                let same = common_prefix(group);
                group.iter().map(move |name| (*name, same))
            })
            .collect();
        for (name, shown) in names.iter().zip(&mut shown) {
            if let Some(same) = same.get(name.as_str()) {
                *shown = around(name, *same, to, ellipsis);
            }
        }
        // Some may still be alike, as all of a group were cut at one place.
        alike.clone_from(&shown);
    }
    shown
}

fn in_the_middle(name: &str, to: usize, ellipsis: &str) -> String {
    let left = to.saturating_sub(width(ellipsis));
    if left < 2 {
        return head(name, to);
    }
    format!("{}{ellipsis}{}", head(name, left.div_ceil(2)), tail(name, left / 2))
}

/// The beginning of a name, and what follows its first `same` characters.
fn around(name: &str, same: usize, to: usize, ellipsis: &str) -> String {
    let left = to.saturating_sub(2 * width(ellipsis));
    if left < 4 {
        return in_the_middle(name, to, ellipsis);
    }
    let beginning = head(name, left / 3);
    let rest: String = name.chars().skip(same.max(beginning.chars().count())).collect();
    let room = left - width(&beginning);
    match width(&rest) <= room + width(ellipsis) {
        true => format!("{beginning}{ellipsis}{}", tail(name, room + width(ellipsis))),
        false => format!("{beginning}{ellipsis}{}{ellipsis}", head(&rest, room)),
    }
}

fn common_prefix(names: &BTreeSet<&str>) -> usize {
    // In their order, the first and the last one differ before any others do.
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return 0;
    };
    first
        .chars()
        .zip(last.chars())
        .take_while(|(one, other)| one == other)
        .count()
}

fn head(text: &str, to: usize) -> String {
    within(text.chars(), to).collect()
}

fn tail(text: &str, to: usize) -> String {
    let reversed: Vec<char> = within(text.chars().rev(), to).collect();
    reversed.into_iter().rev().collect()
}

fn within(chars: impl Iterator<Item = char>, to: usize) -> impl Iterator<Item = char> {
    chars.scan(0, move |used, c| {
        *used += width_of(c);
        (*used <= to).then_some(c)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_cut_in_the_middle() {
        let names = ["chat_Room", "collab-editor-production_DocumentRoomDurableObject"].map(str::to_owned);
        assert_eq!(shortened(&names, 21, "…"), ["chat_Room", "collab-edi…ableObject"]);
        assert_eq!(shortened(&names, 21, "..")[1], "collab-edi..bleObject");
        let id = ["0123456789abcdef0123456789abcdef".to_owned()];
        assert_eq!(shortened(&id, 21, "…"), id, "an id is copied");
    }

    #[test]
    fn names_that_differ_in_the_middle_still_do() {
        let names = ["production", "preview", "staging"].map(|stage| format!("collab-editor-{stage}_DocumentRoom"));
        let other_ends = names.clone().map(|name| format!("{name}-{}", name.len()));
        assert_eq!(shortened(&other_ends, 22, "…")[2], "collab…staging_Docume…");
        assert_eq!(
            shortened(&names, 22, "…"),
            [
                "collab…production_Doc…",
                "collab…preview_Docume…",
                "collab…staging_Docume…"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_name_is_wider_than_the_width(names in prop::collection::vec(".{0,60}", 0..6), to in 1..40usize) {
            for (name, shown) in names.iter().zip(shortened(&names, to, "…")) {
                prop_assert!(width(&shown) <= to || is_whole(name), "{shown:?}");
                prop_assert!(width(name) > to || shown == *name);
            }
        }

        #[test]
        fn names_stay_distinct(names in prop::collection::btree_set("[ab]{30,50}", 1..8)) {
            let names: Vec<_> = names.into_iter().collect();
            let shown: BTreeSet<_> = shortened(&names, 24, "…").into_iter().collect();
            prop_assert_eq!(shown.len(), names.len());
        }
    }
}
