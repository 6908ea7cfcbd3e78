//! Bodies of answers into `model` types, or into the reason why not. The documents leave much optional, servers differ,
//! and a wrong answer that is taken for a right one removes objects from the record: so what is missing or null is told
//! apart from what is there, and what has the wrong type is an error with the row that has it.

mod loose;
mod small;

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use self::loose::{List, Loose, Object};
use self::small::Small;
use crate::model::{Cursor, Namespace, NamespaceId, Next, ObjectId, Observation, Page, StoredData};
use crate::text::shown;

/// Many more than a person reads.
type Complaints = Small<1_000>;

/// What both endpoints put around their rows.
#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
struct Envelope<'a, R> {
    #[serde(default)]
    success: Small<10>,
    #[serde(default)]
    errors: Complaints,
    #[serde(default)]
    messages: Complaints,
    #[serde(default = "List::missing")]
    result: List<R>,
    #[serde(borrow)]
    result_info: Option<Object<Info<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Info<'a> {
    #[serde(borrow)]
    cursor: Loose<'a>,
    #[serde(borrow)]
    cursors: Option<Object<Cursors<'a>>>,
    #[serde(borrow)]
    per_page: Loose<'a>,
    #[serde(borrow)]
    count: Loose<'a>,
    #[serde(borrow)]
    total_count: Loose<'a>,
    #[serde(borrow)]
    total_pages: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cursors<'a> {
    #[serde(borrow)]
    after: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRow<'a> {
    #[serde(borrow)]
    id: Loose<'a>,
    #[serde(borrow)]
    has_stored_data: Loose<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamespaceRow<'a> {
    #[serde(borrow)]
    id: Loose<'a>,
    #[serde(borrow)]
    name: Loose<'a>,
    #[serde(borrow)]
    script: Loose<'a>,
    #[serde(borrow)]
    class: Loose<'a>,
    #[serde(borrow)]
    use_sqlite: Loose<'a>,
    #[serde(borrow, rename = "useSqlite")]
    use_sqlite_in_typings: Loose<'a>,
    preview: Small<200>,
}

/// A body that was understood.
#[derive(Debug, PartialEq)]
pub(super) struct Read<T> {
    pub(super) value: T,
    /// The API's `messages`, fit to log.
    pub(super) notices: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct NamespacePage {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) numbers: Numbers,
}

/// What the response says about the size of its page and of the whole list. Values of another type are left out.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Numbers {
    pub(super) per_page: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) total_count: Option<u64>,
    pub(super) total_pages: Option<u64>,
}

/// Why a body was not.
#[derive(Debug)]
pub(super) enum Misread {
    NotJson(Detail),
    /// JSON that stops in the middle, or before its first character.
    CutShort(Detail),
    /// JSON that says something else than it should.
    Wrong(String),
    /// JSON of another shape.
    Shape(Detail),
}

/// What the parser complains of. It quotes the body, so it is made fit to show.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Detail(String);

/// The `errors` of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) text: String,
    pub(super) codes: Vec<u64>,
}

/// One page of a namespace's objects. How many requests it took is the caller's to say.
pub(super) fn objects(body: &[u8]) -> Result<Read<Page>, Misread> {
    let envelope = open::<ObjectRow<'_>>(body)?;
    let rows = numbered(&envelope.rows, observation)?;
    let info = envelope.info;
    let page = Page {
        rows,
        next: next(&info).map_err(Misread::Wrong)?,
        per_page: info.per_page.number().filter(|n| *n > 0),
        total_count: info.total_count.number(),
        count: info.count.number(),
        requests: 0,
        took: Duration::ZERO,
    };
    Ok(Read {
        value: page,
        notices: envelope.notices,
    })
}

/// One page of an account's namespaces.
pub(super) fn namespaces(body: &[u8]) -> Result<Read<NamespacePage>, Misread> {
    let envelope = open::<NamespaceRow<'_>>(body)?;
    let namespaces = numbered(&envelope.rows, namespace)?;
    let info = envelope.info;
    let numbers = Numbers {
        per_page: info.per_page.number().filter(|n| *n > 0),
        count: info.count.number(),
        total_count: info.total_count.number(),
        total_pages: info.total_pages.number(),
    };
    Ok(Read {
        value: NamespacePage { namespaces, numbers },
        notices: envelope.notices,
    })
}

/// The API's own words in a body that came with an error status.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    let envelope: Object<Envelope<'_, serde::de::IgnoredAny>> = serde_json::from_slice(body).ok()?;
    complaints(&envelope.0.errors.0)
}

struct Opened<'a, R> {
    rows: Vec<R>,
    info: Info<'a>,
    notices: Option<String>,
}

/// Takes the rows out, if all around them says that they are an answer.
fn open<'a, R: Deserialize<'a>>(body: &'a [u8]) -> Result<Opened<'a, R>, Misread> {
    let Object(envelope): Object<Envelope<'a, R>> =
        serde_json::from_slice(body).map_err(|error| misread(body, &error))?;
    let complaints = complaints(&envelope.errors.0);
    if envelope.success.0 != Value::Bool(true) {
        let reason = complaints.map_or_else(|| "it names no error".to_owned(), |c| c.text);
        let success = shown(&envelope.success.0.to_string());
        return Err(Misread::Wrong(format!(
            "the answer does not say that it succeeded (success: {success}): {reason}"
        )));
    }
    if let Some(complaints) = complaints {
        return Err(Misread::Wrong(format!(
            "the answer says that it succeeded, yet has errors: {}",
            complaints.text
        )));
    }
    let rows = match envelope.result {
        List::Rows(rows) => rows,
        List::Other(what) => {
            return Err(Misread::Wrong(format!(
                "the answer's result should be a list, but is {what}"
            )));
        }
    };
    let info = envelope.result_info.map(|Object(info)| info).unwrap_or_default();
    let notices = self::complaints(&envelope.messages.0).map(|messages| messages.text);
    Ok(Opened { rows, info, notices })
}

fn misread(body: &[u8], error: &serde_json::Error) -> Misread {
    let detail = Detail(shown(&error.to_string()));
    if error.is_data() {
        Misread::Shape(detail)
    } else if error.is_eof() && matches!(body.trim_ascii_start().first(), None | Some(b'{')) {
        Misread::CutShort(detail)
    } else {
        Misread::NotJson(detail)
    }
}

/// Converts all rows; the first that can't be is named by its number, from 1, as a person counts.
fn numbered<R, T>(rows: &[R], convert: impl Fn(&R) -> Result<T, String>) -> Result<Vec<T>, Misread> {
    let converted = rows.iter().enumerate().map(|(at, row)| {
        convert(row).map_err(|reason| Misread::Wrong(format!("row {} of {}: {reason}", at + 1, rows.len())))
    });
    converted.collect()
}

fn observation(row: &ObjectRow<'_>) -> Result<Observation, String> {
    let id: ObjectId = identifier(&row.id)?;
    Ok(Observation {
        id,
        data: StoredData::from(flag("hasStoredData", &row.has_stored_data)?),
    })
}

fn namespace(row: &NamespaceRow<'_>) -> Result<Namespace, String> {
    let id: NamespaceId = identifier(&row.id)?;
    let documented = flag("use_sqlite", &row.use_sqlite)?;
    let in_typings = flag("useSqlite", &row.use_sqlite_in_typings)?;
    if let (Some(a), Some(b)) = (documented, in_typings)
        && a != b
    {
        return Err(format!("use_sqlite is {a}, but useSqlite is {b}"));
    }
    Ok(Namespace {
        id,
        name: text("name", &row.name)?,
        script: text("script", &row.script)?,
        class: text("class", &row.class)?,
        use_sqlite: documented.or(in_typings),
        preview: row.preview.0.is_object().then(|| row.preview.0.clone()),
    })
}

fn identifier<T: FromStr>(value: &Loose<'_>) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    match value {
        Loose::Absent | Loose::Null => Err("it has no id".to_owned()),
        Loose::Text(id) => id
            .parse()
            .map_err(|invalid| format!("{invalid}, not {}", value.shown())),
        other => Err(format!("the id should be a text, but is {}", other.shown())),
    }
}

fn flag(name: &str, value: &Loose<'_>) -> Result<Option<bool>, String> {
    match value {
        Loose::Absent | Loose::Null => Ok(None),
        Loose::Bool(flag) => Ok(Some(*flag)),
        other => Err(format!(
            "{name} should be true, false or null, but is {}",
            other.shown()
        )),
    }
}

fn text(name: &str, value: &Loose<'_>) -> Result<Option<String>, String> {
    match value {
        Loose::Absent | Loose::Null => Ok(None),
        Loose::Text(text) => Ok(Some(text.to_string())),
        other => Err(format!("{name} should be a text or null, but is {}", other.shown())),
    }
}

/// The documents and Cloudflare's SDKs disagree on where the cursor stands, so both places are read. To believe one
/// against the other could end a walk early.
fn next(info: &Info<'_>) -> Result<Next, String> {
    let here = position("result_info.cursor", &info.cursor)?;
    let there = match &info.cursors {
        Some(Object(cursors)) => position("result_info.cursors.after", &cursors.after)?,
        None => None,
    };
    let text = match (here, there) {
        (Some(a), Some(b)) if a != b => {
            let (a, b) = (shown(&a), shown(&b));
            return Err(format!(
                "result_info.cursor is \"{a}\", but result_info.cursors.after is \"{b}\""
            ));
        }
        (here, there) => here.or(there),
    };
    Ok(text.map_or(Next::NoCursorKey, |text| {
        Cursor::new(text).map_or(Next::End, Next::Cursor)
    }))
}

/// `None` where the key is absent; null is the same as the empty text.
fn position<'a>(key: &str, value: &'a Loose<'_>) -> Result<Option<Cow<'a, str>>, String> {
    match value {
        Loose::Absent => Ok(None),
        Loose::Null => Ok(Some(Cow::Borrowed(""))),
        Loose::Text(text) => Ok(Some(Cow::Borrowed(text))),
        other => Err(format!("{key} should be a text or null, but is {}", other.shown())),
    }
}

/// `errors` or `messages`, whatever shape they have; nothing where they are empty.
fn complaints(value: &Value) -> Option<Refusal> {
    let all = match value {
        Value::Null => return None,
        Value::Array(all) => all.as_slice(),
        Value::Object(one) if one.is_empty() => return None,
        other => std::slice::from_ref(other),
    };
    if all.is_empty() {
        return None;
    }
    let codes = |complaint: &Value| complaint.get("code").and_then(Value::as_u64);
    let text: Vec<String> = all.iter().map(complaint).collect();
    Some(Refusal {
        text: shown(&text.join("; ")),
        codes: all.iter().filter_map(codes).collect(),
    })
}

fn complaint(value: &Value) -> String {
    let Some(message) = value.get("message").and_then(Value::as_str) else {
        return value.to_string();
    };
    let mut notes = Vec::new();
    notes.extend(
        value
            .get("code")
            .filter(|code| !code.is_null())
            .map(|code| format!("code {code}")),
    );
    notes.extend(
        value
            .pointer("/source/pointer")
            .and_then(Value::as_str)
            .map(|at| format!("at {at}")),
    );
    notes.extend(
        value
            .get("documentation_url")
            .and_then(Value::as_str)
            .map(|url| format!("see {url}")),
    );
    if notes.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", notes.join(", "))
    }
}

#[cfg(test)]
mod tests;
