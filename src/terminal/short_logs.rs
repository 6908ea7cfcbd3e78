//! Log lines for a person at a terminal: no time, no ids where there is a name, and one line for what became of a
//! namespace.

use std::fmt::{self, Write};

use durable_inventory::model::is_hex_id;
use durable_inventory::sync::OUTCOME;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::look::{Look, Tint};
use super::progress::Screen;
use super::shorten::{shortened, width};
use durable_inventory::text::count;

pub struct ShortLines {
    screen: Screen,
    /// What went wrong with a namespace is shown at the end, so that its line names only the status.
    is_explained_later: bool,
}

impl ShortLines {
    pub fn new(screen: Screen, is_explained_later: bool) -> Self {
        Self {
            screen,
            is_explained_later,
        }
    }
}

impl<S, N> FormatEvent<S, N> for ShortLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (metadata, look) = (event.metadata(), Look::stderr());
        let is_outcome = metadata.target() == OUTCOME;
        let text = match *metadata.level() {
            Level::INFO if is_outcome => outcome(&fields, &look),
            Level::WARN | Level::ERROR if is_outcome && self.is_explained_later => outcome(&fields, &look),
            level => line(level, fields, &self.screen.names(), &look),
        };
        writeln!(writer, "{text}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    namespace: Option<String>,
    name: Option<String>,
    objects: Option<u64>,
    /// The other ones, as text.
    others: String,
}

impl Fields {
    fn label(&self) -> Option<&str> {
        self.name.as_deref().or(self.namespace.as_deref())
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "name" => self.name = Some(value.to_owned()),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "objects" => self.objects = Some(value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "namespace" => write!(self.namespace.get_or_insert_default(), "{value:?}"),
            // The message says which one, if there are several.
            "account" => Ok(()),
            name => {
                let separator = if self.others.is_empty() { "" } else { ", " };
                write!(self.others, "{separator}{name} {value:?}")
            }
        };
    }
}

/// What became of a namespace. The first word of the message is its status.
fn outcome(fields: &Fields, look: &Look) -> String {
    let status = fields.message.split([' ', ':', '.']).next().unwrap_or_default();
    let (mark, what, tint) = match (status, fields.objects) {
        ("complete", objects) => (
            if look.unicode { "✓" } else { "+" },
            count(objects.unwrap_or(0), "object"),
            Some(Tint::Green),
        ),
        _ => ("!", status.to_owned(), Tint::of_status(status)),
    };
    let room = look.width.unwrap_or(usize::MAX).saturating_sub(what.len() + 4);
    let label = shortened(&[fields.label().unwrap_or_default().to_owned()], room, look.ellipsis());
    let what = match status {
        "complete" => what,
        _ => look.tinted(&what, tint),
    };
    format!("{} {}  {what}", look.tinted(mark, tint), label.concat())
}

fn line(level: Level, fields: Fields, names: &[(String, String)], look: &Look) -> String {
    let is_news = level == Level::INFO;
    let level = match level {
        Level::ERROR => look.tinted("error: ", Some(Tint::Red)),
        Level::WARN => look.tinted("warning: ", Some(Tint::Yellow)),
        _ => String::new(),
    };
    let message = named(&fields.message, names);
    let room = look.width.unwrap_or(usize::MAX).saturating_sub(width(&message) + 2);
    let label = match fields.label() {
        // News fits one line if its name can be shortened for it.
        Some(label) if is_news && room >= 12 => shortened(&[label.to_owned()], room, look.ellipsis()).concat() + ": ",
        Some(label) if !message.contains(label) => format!("{label}: "),
        _ => String::new(),
    };
    let objects = fields.objects.map(|objects| count(objects, "object"));
    let others = Some(fields.others).filter(|others| !others.is_empty() && !is_news);
    let details: Vec<String> = objects.into_iter().chain(others).collect();
    let text = match details.is_empty() {
        true => format!("{level}{label}{message}"),
        false => format!("{level}{label}{message} ({})", details.join(", ")),
    };
    look.wrapped(&text, 2)
}

/// A message with the names of namespaces instead of their ids, and without their accounts.
fn named(message: &str, names: &[(String, String)]) -> String {
    let mut text = message.to_owned();
    for (id, name) in names.iter().filter(|(id, name)| id != name) {
        let by_id = format!("namespace {id}");
        while let Some(at) = text.find(&by_id) {
            let mut end = at + by_id.len();
            let account = text[end..].strip_prefix(" in account ").and_then(|rest| rest.get(..32));
            if account.is_some_and(is_hex_id) {
                end += " in account ".len() + 32;
            }
            text.replace_range(at..end, name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look {
        width: Some(60),
        colours: false,
        unicode: true,
    };

    fn fields(message: &str, name: Option<&str>) -> Fields {
        Fields {
            message: message.to_owned(),
            name: name.map(str::to_owned),
            ..Fields::default()
        }
    }

    #[test]
    fn an_outcome_is_one_short_line() {
        let mut complete = fields("complete", Some("chat_Archive"));
        complete.objects = Some(1_234);
        assert_eq!(outcome(&complete, &LOOK), "✓ chat_Archive  1,234 objects");
        let held = fields("held for review. 150 of 250 objects", Some("chat_Room"));
        assert_eq!(outcome(&held, &LOOK), "! chat_Room  held");
        let long = outcome(&fields("failed: why", Some(&"long".repeat(30))), &LOOK);
        assert_eq!(width(&long), 60, "{long}");
        let ascii = Look { unicode: false, ..LOOK };
        assert!(outcome(&complete, &ascii).is_ascii());
    }

    #[test]
    fn names_stand_for_ids() {
        let (id, account) = ("2159e9895d005fa861e0435218d56fe0", "0123456789abcdef0123456789abcdef");
        let names = [(id.to_owned(), "chat_Room".to_owned())];
        let mut fields = fields(
            &format!("objects of namespace {id} in account {account}: no connection: trying again"),
            None,
        );
        fields.others = "attempt 3, wait_s 3.9".to_owned();
        assert_eq!(
            line(Level::WARN, fields, &names, &LOOK),
            "warning: objects of chat_Room: no connection: trying again\n  (attempt 3, wait_s 3.9)"
        );
        let named = line(Level::INFO, self::fields("going on", Some("chat_Room")), &names, &LOOK);
        assert_eq!(named, "chat_Room: going on");
    }
}
