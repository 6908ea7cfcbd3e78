//! What needs a person's attention, right below the totals.

use maud::{Markup, html};

use super::{dashboard_link, name};
use crate::report::{Attention, NamespaceFigures, Presence, Report, Trouble, by_trouble, words};
use crate::text::{number, shell_word};

pub fn section(report: &Report) -> Markup {
    html! {
        @if report.attention.is_empty() {
            p.quiet { "Nothing needs attention." }
        } @else {
            section aria-labelledby="attention" {
                h2 #attention { "Needs attention" }
                ul.attention {
                    @for (shown, rest) in by_trouble(&report.attention) {
                        @if shown.first().is_some_and(|first| first.trouble == Trouble::Missing) {
                            (missing(report))
                        } @else {
                            @for entry in shown { (trouble(report, entry)) }
                            @if let Some(first) = rest.first() { (more(report, first.trouble, rest)) }
                        }
                    }
                }
            }
        }
    }
}

fn more(report: &Report, of: Trouble, rest: &[Attention]) -> Markup {
    html! {
        li {
            (badge(of))
            details {
                summary { (number(rest.len() as u64)) " more: " (of.as_str()) }
                ul.attention { @for entry in rest { (trouble(report, entry)) } }
            }
        }
    }
}

fn trouble(report: &Report, entry: &Attention) -> Markup {
    let (reason, commands) = advice(&entry.why);
    html! {
        li {
            (badge(entry.trouble))
            div {
                p {
                    @if entry.trouble == Trouble::Held { "Review " }
                    bdi.name { (entry.label) }
                    (dashboard_link(&entry.account_id, &entry.namespace_id))
                    @if report.several_accounts() && !entry.account_id.is_empty() {
                        " " span.muted { "in " bdi { (entry.account_id) } }
                    }
                }
                p.why { (in_code(&reason)) }
                @for (what, command) in commands {
                    p.do { (what) ":" }
                    code.command { (command) }
                }
            }
        }
    }
}

/// All missing namespaces in one block: a pruned set of previews is one fact, not hundreds.
fn missing(report: &Report) -> Markup {
    let missing = || {
        report
            .namespaces
            .iter()
            .filter(|figures| figures.presence == Presence::Missing)
    };
    let (namespaces, objects) = (report.totals.missing, report.totals.missing_objects);
    html! {
        li {
            (badge(Trouble::Missing))
            div {
                p {
                    span.name { (words::namespaces(namespaces)) @if namespaces == 1 { " no longer exists" } @else { " no longer exist" } }
                    " (" (words::objects(objects)) ")"
                }
                p.why { "The account no longer lists "
                    @if namespaces == 1 { "it" } @else { "them" }
                    ", and the object list returns 404. The recorded objects are kept until you retire "
                    @if namespaces == 1 { "it" } @else { "each" } "." }
                details open[namespaces == 1] {
                    summary { "Names and commands" }
                    ul.plain { @for figures in missing() { (gone(report, figures)) } }
                }
            }
        }
    }
}

fn gone(report: &Report, figures: &NamespaceFigures) -> Markup {
    html! {
        li {
            p {
                (name(figures))
                @if report.several_accounts() { " in " bdi { (figures.account_id) } }
                ": " (words::objects(figures.newest.map_or(0, |newest| newest.count.objects)))
                @if let Some(since) = figures.missing_since {
                    ", missing since " span.figure-text { (words::day(since)) }
                }
            }
            code.command { "durable-inventory namespaces retire " (shell_word(&figures.namespace_id)) }
        }
    }
}

pub fn badge(trouble: Trouble) -> Markup {
    let class = match trouble {
        Trouble::Held | Trouble::Failed => "bad",
        Trouble::Stale | Trouble::Missing | Trouble::SuddenGrowth => "warn",
    };
    html! { span class={ "badge " (class) } { (trouble.as_str()) } }
}

/// Splits an explanation into its prose and the commands that it ends with, each with what it does. Snapshots recorded
/// by earlier versions have their advice within a sentence.
fn advice(why: &str) -> (String, Vec<(String, String)>) {
    if let Some((reason, advice)) = why.split_once("; if that is right, run ") {
        let commands = advice.split('`').skip(1).step_by(2).map(str::to_owned);
        let what = ["Publish it", "Drop it"].map(str::to_owned);
        return (sentence(reason), what.into_iter().zip(commands).collect());
    }
    let mut commands = Vec::new();
    let mut rest = why.trim_end_matches('.');
    // From the end: "... Publish it: `command` Drop it: `command`".
    while let Some((before, command)) = rest.strip_suffix('`').and_then(|rest| rest.rsplit_once('`'))
        && let Some(before) = before.trim_end().strip_suffix(':')
    {
        let begins = before.rfind(['`', '.', ';']).map_or(0, |end| end + 1);
        commands.insert(0, (before[begins..].trim().to_owned(), command.to_owned()));
        rest = before[..begins].trim_end();
    }
    match commands.is_empty() {
        true => (sentence(why), commands),
        false => (sentence(rest), commands),
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches([';', ' ']);
    let mut chars = text.chars();
    let capital = chars
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    let stop = if text.is_empty() || text.ends_with(['.', '!', '?', '…']) {
        ""
    } else {
        "."
    };
    format!("{capital}{}{stop}", chars.as_str())
}

/// Turns text in backquotes into code elements.
fn in_code(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_apart_with_what_they_do() {
        let split = |why: &str| {
            let (reason, commands) = advice(why);
            let commands: Vec<_> = commands
                .into_iter()
                .map(|(what, command)| format!("{what}: {command}"))
                .collect();
            format!("{reason} | {}", commands.join(" | "))
        };
        assert_eq!(
            split(
                "held back: 5 of 9 objects of a`b would be removed; if that is right, run `d accept 4`, else `d discard 4`"
            ),
            "Held back: 5 of 9 objects of a`b would be removed. | Publish it: d accept 4 | Drop it: d discard 4"
        );
        assert_eq!(
            split("This snapshot would remove all 9 objects. Publish it: `d accept 4` Drop it: `d discard 4`"),
            "This snapshot would remove all 9 objects. | Publish it: d accept 4 | Drop it: d discard 4"
        );
        assert_eq!(
            split("its log says why, and so does `d check`"),
            "Its log says why, and so does `d check`. | "
        );
        assert_eq!(split(""), " | ");
        assert_eq!(split("`: `"), "`: `. | ");
    }
}
