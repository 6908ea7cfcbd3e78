//! What `sync` posts to --notify-url: what needs attention at the end of a run, for people and for programs.

use durable_inventory::documents::NotificationDocument;
use durable_inventory::report::{Attention, Trouble};
use durable_inventory::store::RunOutcome;
use durable_inventory::sync::{NamespaceOutcome, Status, Summary};
use durable_inventory::text::{cut, number, shown, visible};

use crate::terminal::suggested::complete;

/// Discord takes no longer text. It counts in units of UTF-16 at most.
const MOST_TEXT: usize = 2000;

/// The list of a run: what needs attention in the record, as in a report, and what went wrong in the run, which the
/// record does not tell. Namespaces that were missing before the run are no news and left out.
pub fn attention(of_record: Vec<Attention>, summary: Option<&Summary>, failures: &[String]) -> Vec<Attention> {
    let mut list: Vec<_> = failures.iter().map(|why| of_run("run", "", cut(why))).collect();
    let Some(summary) = summary else {
        return list;
    };
    for failure in &summary.failed_accounts {
        list.push(of_run("account", failure.account.as_str(), cut(&failure.error)));
    }
    for doubtful in &summary.doubtful_lists {
        list.push(of_run("account", doubtful.account.as_str(), visible(&doubtful.why)));
    }
    for vanishing in &summary.mass_vanishings {
        list.push(Attention {
            trouble: Trouble::Held,
            ..of_run("account", vanishing.account.as_str(), visible(&vanishing.why))
        });
    }
    let of_this_run: Vec<_> = summary
        .namespaces
        .iter()
        .filter_map(|one| of_namespace(one, summary))
        .collect();
    let same = |one: &Attention, other: &Attention| {
        let key = |entry: &Attention| (entry.trouble, entry.account_id.clone(), entry.namespace_id.clone());
        key(one) == key(other)
    };
    let is_news = |entry: &Attention| match entry.trouble {
        Trouble::Missing => of_this_run.iter().any(|now| same(now, entry)),
        // Why the run failed is said above.
        _ => !entry.namespace_id.is_empty(),
    };
    list.extend(of_record.into_iter().filter(is_news));
    for now in of_this_run {
        if !list.iter().any(|entry| same(entry, &now)) {
            list.push(now);
        }
    }
    list.sort_by_key(|entry| entry.trouble.rank());
    for entry in &mut list {
        entry.why = complete(&entry.why).into_owned();
    }
    list
}

/// A problem of the run as a whole, or of an account.
fn of_run(what: &str, account: &str, why: String) -> Attention {
    Attention {
        trouble: Trouble::Failed,
        account_id: account.to_owned(),
        namespace_id: String::new(),
        label: format!("{what} {account}").trim_end().to_owned(),
        why,
        snapshot_id: None,
    }
}

fn of_namespace(namespace: &NamespaceOutcome, summary: &Summary) -> Option<Attention> {
    let mut vanishings = summary.mass_vanishings.iter();
    let trouble = match namespace.status {
        Status::Complete | Status::Busy => return None,
        // That is said of its account.
        _ if namespace.is_refused => return None,
        Status::Held => Trouble::Held,
        Status::Failed | Status::Interrupted | Status::Superseded => Trouble::Failed,
        Status::Vanished if vanishings.any(|vanishing| vanishing.account == namespace.account) => return None,
        Status::Missing | Status::Vanished => Trouble::Missing,
    };
    Some(Attention {
        trouble,
        account_id: namespace.account.to_string(),
        namespace_id: namespace.namespace.to_string(),
        label: shown(namespace.label()),
        why: cut(namespace.error.as_deref().unwrap_or_default()),
        snapshot_id: namespace.snapshot_id,
    })
}

/// The message about the list.
pub fn document(
    run_id: Option<i64>,
    outcome: RunOutcome,
    exit_code: u8,
    list: &[Attention],
) -> NotificationDocument<'_> {
    let run = run_id.map_or_else(|| "sync".to_owned(), |id| format!("run {id}"));
    let head = format!("durable-inventory {run}: {}, exit code {exit_code}", outcome.as_str());
    NotificationDocument::new(text(head, list), run_id, outcome, exit_code, list)
}

/// A line for each entry, as many as a chat takes.
fn text(head: String, attention: &[Attention]) -> String {
    let mut accounts = attention.iter().filter(|entry| !entry.account_id.is_empty());
    let first = accounts.next();
    let several = accounts.any(|entry| first.is_some_and(|first| first.account_id != entry.account_id));
    let mut text = head;
    for (index, entry) in attention.iter().enumerate() {
        let account = match several && !entry.namespace_id.is_empty() {
            true => format!("{}/", entry.account_id),
            false => String::new(),
        };
        let line = format!("{} {account}{}: {}", entry.trouble.as_str(), entry.label, entry.why);
        let line = format!("\n\u{2022} {}", for_chat(&line));
        let left = attention.len() - index;
        let room_for_rest = if left > 1 { units(&and_more(left - 1)) } else { 0 };
        if units(&text) + units(&line) + room_for_rest > MOST_TEXT {
            text.push_str(&and_more(left));
            break;
        }
        text.push_str(&line);
    }
    text
}

fn and_more(entries: usize) -> String {
    format!("\nand {} more", number(entries as u64))
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Escapes what Slack takes for a mention, a link or an entity, and keeps Discord from taking @everyone for a mention.
fn for_chat(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "@\u{200b}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use durable_inventory::model::Counts;
    use durable_inventory::sync::{AccountFailure, MassVanishing};

    use super::*;

    fn entry(trouble: Trouble, namespace: &str, why: &str) -> Attention {
        Attention {
            trouble,
            account_id: "a".to_owned(),
            namespace_id: namespace.to_owned(),
            label: namespace.to_owned(),
            why: why.to_owned(),
            snapshot_id: None,
        }
    }

    fn summary(statuses: &[(&str, Status)]) -> Summary {
        let namespaces = statuses.iter().map(|(namespace, status)| NamespaceOutcome {
            account: "a".parse().unwrap(),
            namespace: namespace.parse().unwrap(),
            name: None,
            status: *status,
            snapshot_id: None,
            baseline: false,
            counts: Counts::default(),
            pages: 0,
            requests: 0,
            resumed: 0,
            elapsed: Duration::ZERO,
            error: Some("of this run".to_owned()),
            is_refused: false,
        });
        Summary {
            run_id: 7,
            namespaces: namespaces.collect(),
            failed_accounts: Vec::new(),
            doubtful_lists: Vec::new(),
            mass_vanishings: Vec::new(),
            stopped: None,
        }
    }

    fn told(list: &[Attention]) -> Vec<(Trouble, &str, &str)> {
        let entries = list.iter();
        entries
            .map(|entry| (entry.trouble, entry.label.as_str(), entry.why.as_str()))
            .collect()
    }

    #[test]
    fn the_record_and_the_run_are_told_once() {
        let of_record = vec![
            entry(Trouble::Failed, "", "the last run recorded nothing"),
            entry(Trouble::Held, "n1", "of the record"),
            entry(Trouble::Failed, "n2", "of the record"),
            entry(Trouble::Missing, "n3", "of the record"),
            entry(Trouble::Missing, "n4", "missing for weeks"),
        ];
        let mut summary = summary(&[
            ("n1", Status::Held),
            ("n2", Status::Failed),
            ("n3", Status::Missing),
            ("n5", Status::Complete),
            ("n6", Status::Interrupted),
            ("n7", Status::Busy),
        ]);
        summary.failed_accounts.push(AccountFailure {
            account: "b".parse().unwrap(),
            error: "refused\u{1b}".to_owned(),
            is_mistake: false,
        });
        let list = attention(of_record, Some(&summary), &["not exported".to_owned()]);
        assert_eq!(
            told(&list),
            [
                (Trouble::Held, "n1", "of the record"),
                (Trouble::Failed, "run", "not exported"),
                (Trouble::Failed, "account b", "refused\\u{1b}"),
                (Trouble::Failed, "n2", "of the record"),
                (Trouble::Failed, "n6", "of this run"),
                (Trouble::Missing, "n3", "of the record"),
            ]
        );
    }

    #[test]
    fn a_mass_vanishing_is_one_entry() {
        let mut summary = summary(&[("n1", Status::Vanished), ("n2", Status::Vanished)]);
        assert_eq!(attention(Vec::new(), Some(&summary), &[]).len(), 2);
        summary.mass_vanishings.push(MassVanishing {
            account: "a".parse().unwrap(),
            why: "2 of 2 vanished".to_owned(),
        });
        let list = attention(Vec::new(), Some(&summary), &[]);
        assert_eq!(told(&list), [(Trouble::Held, "account a", "2 of 2 vanished")]);
    }

    #[test]
    fn the_text_is_as_long_as_a_chat_takes() {
        for entries in [1, 6, 7, 8, 1_000] {
            let long = "\u{1f41f}".repeat(140);
            let list: Vec<_> = (0..entries).map(|_| entry(Trouble::Stale, "n", &long)).collect();
            let text = text("head".to_owned(), &list);
            assert!(units(&text) <= MOST_TEXT, "{entries}: {}", units(&text));
            let shown = text.matches('\u{2022}').count();
            let rest = entries - shown;
            assert_eq!(text.ends_with(&and_more(rest)), rest > 0, "{entries}: {text}");
            assert!(shown == entries || units(&text) > MOST_TEXT - 300, "{entries}: {shown}");
        }
    }

    #[test]
    fn a_name_mentions_nobody_and_links_nowhere() {
        let list = [entry(
            Trouble::Held,
            "<!channel> @everyone & <@U1|x>",
            "<https://evil|here>",
        )];
        let text = text("head".to_owned(), &list);
        assert_eq!(
            text,
            "head\n\u{2022} held &lt;!channel&gt; @\u{200b}everyone &amp; &lt;@\u{200b}U1|x&gt;: &lt;https://evil|here&gt;"
        );
    }

    #[test]
    fn namespaces_of_several_accounts_are_told_apart() {
        let other = Attention {
            account_id: "b".to_owned(),
            ..entry(Trouble::Held, "n", "why")
        };
        let list = [entry(Trouble::Held, "n", "why"), other];
        assert_eq!(
            text("head".to_owned(), &list),
            "head\n\u{2022} held a/n: why\n\u{2022} held b/n: why"
        );
        assert_eq!(text("head".to_owned(), &list[..1]), "head\n\u{2022} held n: why");
    }
}
