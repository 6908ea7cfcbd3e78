//! Parses response bodies into `model` types. Cloudflare's documentation leaves much optional, servers differ, and a
//! wrong page that is taken for a right one removes objects from the record. So an absent cursor is kept apart from a
//! null one, and a value of the wrong type is an error that names its row.

mod structure;
mod value;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use self::structure::{Object, RowList};
use self::value::{Raw, flag, identifier, number, present, quoted, text, tree};
use crate::model::{Cursor, ListedAccount, Namespace, NamespaceId, Next, Observation, Page, StoredData};
use crate::text::shown;

/// What both endpoints put around their rows.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Envelope<'a, T> {
    #[serde(borrow)]
    success: Raw<'a>,
    #[serde(borrow)]
    errors: Raw<'a>,
    #[serde(borrow)]
    messages: Raw<'a>,
    #[serde(default, deserialize_with = "present")]
    result: Option<T>,
    #[serde(borrow)]
    result_info: Option<Object<Info<'a>>>,
}

#[derive(Default, Deserialize)]
struct Info<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    cursor: Raw<'a>,
    #[serde(borrow)]
    cursors: Option<Object<Cursors<'a>>>,
    #[serde(borrow)]
    per_page: Raw<'a>,
    #[serde(borrow)]
    count: Raw<'a>,
    #[serde(borrow)]
    total_count: Raw<'a>,
    #[serde(borrow)]
    total_pages: Raw<'a>,
}

#[derive(Deserialize)]
struct Cursors<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    after: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRow<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    has_stored_data: Raw<'a>,
}

#[derive(Deserialize)]
struct NamespaceRow<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    script: Raw<'a>,
    #[serde(borrow)]
    class: Raw<'a>,
    #[serde(borrow)]
    use_sqlite: Raw<'a>,
    #[serde(borrow, rename = "useSqlite")]
    use_sqlite_in_typings: Raw<'a>,
    #[serde(borrow)]
    preview: Raw<'a>,
}

#[derive(Deserialize)]
struct AccountRow<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
}

/// A body that was understood.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed<T> {
    pub(super) value: T,
    /// The API's `messages`, sanitized for the log.
    pub(super) notices: Option<String>,
}

/// A page of a list in numbered pages.
#[derive(Debug, PartialEq)]
pub(super) struct ListPage<T> {
    pub(super) items: Vec<T>,
    pub(super) unusable: Vec<UnusableRow>,
    /// The result is null instead of a list.
    pub(super) is_null: bool,
    /// The size of the response.
    pub(super) bytes: usize,
    pub(super) numbers: Numbers,
}

/// A row of a list that can't be used.
#[derive(Debug, PartialEq)]
pub(super) struct UnusableRow {
    /// The same for rows of the same text.
    pub(super) fingerprint: u64,
    /// What is wrong with which row.
    pub(super) reason: String,
}

/// The sizes of the page and of the whole list that the response states. Values of another type are ignored.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Numbers {
    pub(super) per_page: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) total_count: Option<u64>,
    pub(super) total_pages: Option<u64>,
}

/// Why a body has no page, sanitized: the parser quotes the body.
#[derive(Debug)]
pub(super) enum ParseError {
    /// Not the API's envelope, so something in between sent it.
    NotTheApi(String),
    /// JSON that stops in the middle.
    CutShort(String),
    /// The API reports a failure.
    Refused(ApiErrors),
    /// The cursors contradict each other.
    Contradictory(String),
    /// The API's envelope, with a different meaning or shape than it should have.
    Unexpected(String),
}

pub(super) type Parser<T> = fn(&[u8]) -> Result<Parsed<T>, ParseError>;

/// The `errors` of a response.
#[derive(Debug, PartialEq)]
pub(super) struct ApiErrors {
    pub(super) text: String,
    /// Codes of the errors and of their `error_chain`.
    pub(super) codes: Vec<u64>,
}

impl Default for ApiErrors {
    fn default() -> Self {
        Self {
            text: "it names no error".to_owned(),
            codes: Vec::new(),
        }
    }
}

/// What distinguishes the API's envelope from any other body: it is a JSON object whose `success` is true or false.
/// Cloudflare's schema requires the key in every response, and proxies and portals don't imitate it.
#[derive(Deserialize)]
struct Signature<'a> {
    #[serde(rename = "success")]
    _success: bool,
    #[serde(borrow)]
    errors: Raw<'a>,
}

/// One page of a namespace's objects. The caller fills in `requests`, `limit` and `took`.
pub(super) fn objects(body: &[u8]) -> Result<Parsed<Page>, ParseError> {
    let (RowList(rows), info, notices) = open(body)?;
    let value = Page {
        rows: convert(&rows, observation)?,
        next: next(&info)?,
        per_page: number(info.per_page).filter(|n| *n > 0),
        total_count: number(info.total_count),
        count: number(info.count),
        requests: 0,
        limit: 0,
        took: Duration::ZERO,
    };
    Ok(Parsed { value, notices })
}

/// One page of an account's namespaces.
pub(super) fn namespaces(body: &[u8]) -> Result<Parsed<ListPage<Namespace>>, ParseError> {
    list_page(body, namespace)
}

/// The longest id of a namespace, in bytes: percent-encoded, it is part of a folder's name in exports, and file systems
/// have names of at most 255 bytes. Cloudflare's have 32.
const LONGEST_ID: usize = 80;

/// One page of the accounts that the credentials see.
pub(super) fn accounts(body: &[u8]) -> Result<Parsed<ListPage<ListedAccount>>, ParseError> {
    list_page(body, account)
}

fn list_page<T>(body: &[u8], item: impl Fn(&RawValue) -> Result<T, String>) -> Result<Parsed<ListPage<T>>, ParseError> {
    let (list, info, notices) = open::<Option<RowList<&RawValue>>>(body)?;
    let is_null = list.is_none();
    let rows = list.map(|RowList(rows)| rows).unwrap_or_default();
    let (mut items, mut unusable) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        match item(row) {
            Ok(item) => items.push(item),
            Err(reason) => unusable.push(UnusableRow {
                fingerprint: fingerprint(row),
                reason: format!("row {} of {}: {reason}", at + 1, rows.len()),
            }),
        }
    }
    let value = ListPage {
        items,
        unusable,
        is_null,
        bytes: body.len(),
        numbers: Numbers {
            per_page: number(info.per_page).filter(|n| *n > 0),
            count: number(info.count),
            total_count: number(info.total_count),
            total_pages: number(info.total_pages),
        },
    };
    Ok(Parsed { value, notices })
}

/// The API's own errors in a body that came with an error status; `None` if the API did not send it.
pub(super) fn api_errors(body: &[u8]) -> Option<ApiErrors> {
    let signature = signature(body).ok()?;
    Some(complaints(signature.errors).unwrap_or_default())
}

fn signature(body: &[u8]) -> serde_json::Result<Signature<'_>> {
    serde_json::from_slice(body).map(|Object(signature)| signature)
}

fn envelope<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<Envelope<'a, T>> {
    serde_json::from_slice(body).map(|Object(envelope)| envelope)
}

/// Returns the list of rows, the `result_info` and the `messages`, if the envelope reports success.
fn open<'a, L: Deserialize<'a>>(body: &'a [u8]) -> Result<(L, Info<'a>, Option<String>), ParseError> {
    let envelope = envelope::<L>(body).map_err(|error| explain::<L>(body, error))?;
    envelope.check()?;
    let Some(list) = envelope.result else {
        return Err(no_list("absent"));
    };
    let info = envelope.result_info.map(|Object(info)| info).unwrap_or_default();
    Ok((list, info, complaints(envelope.messages).map(|messages| messages.text)))
}

/// Parses a body that failed to parse once more, to find the reason. An envelope that reports a failure has no rows, so
/// the failure counts for more than their absence.
fn explain<'a, L: Deserialize<'a>>(body: &'a [u8], error: serde_json::Error) -> ParseError {
    if let Err(other) = signature(body) {
        let detail = shown(&other.to_string());
        return match other.is_eof() && body.trim_ascii_start().starts_with(b"{") {
            true => ParseError::CutShort(detail),
            false => ParseError::NotTheApi(detail),
        };
    }
    let (error, rows) = match envelope::<&RawValue>(body) {
        Err(error) => (error, None),
        Ok(envelope) => {
            if let Err(failure) = envelope.check() {
                return failure;
            }
            match envelope.result {
                Some(result) if !result.get().starts_with('[') => return no_list(&quoted(result)),
                result => (error, result),
            }
        }
    };
    let place = place::<Object<Envelope<'_, L>>>(body, rows).unwrap_or_default();
    let detail = shown(&error.to_string());
    ParseError::Unexpected(format!("the response has an unexpected structure: {place}{detail}"))
}

/// The place where parsing fails, as `row 3 of 100: ` or by the path of keys.
fn place<'a, T: Deserialize<'a>>(body: &'a [u8], rows: Raw<'_>) -> Option<String> {
    let parsed = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body));
    let error = parsed.err()?;
    let mut path = error.path().iter().skip(1);
    match path.next() {
        Some(Segment::Seq { index }) => {
            let rows: Vec<IgnoredAny> = serde_json::from_str(rows?.get()).ok()?;
            Some(format!("row {} of {}: ", index + 1, rows.len()))
        }
        _ => error.path().iter().next().map(|_| format!("{}: ", error.path())),
    }
}

impl<T> Envelope<'_, T> {
    fn check(&self) -> Result<(), ParseError> {
        let errors = complaints(self.errors);
        match (self.success.map(RawValue::get), errors) {
            (Some("true"), None) => Ok(()),
            (Some("true"), Some(errors)) => Err(ParseError::Unexpected(format!(
                "the response reports both success and errors: {}",
                errors.text
            ))),
            (Some("false"), errors) => Err(ParseError::Refused(errors.unwrap_or_default())),
            _ => Err(ParseError::NotTheApi(format!(
                "`success` should be true or false, but is {}",
                self.success.map_or_else(|| "absent".to_owned(), quoted)
            ))),
        }
    }
}

fn no_list(found: &str) -> ParseError {
    ParseError::Unexpected(format!("the response's result should be a list, but is {found}"))
}

/// Converts all rows. An error names the row by its number, counted from 1.
fn convert<R, T>(rows: &[R], convert: impl Fn(&R) -> Result<T, String>) -> Result<Vec<T>, ParseError> {
    let converted = rows.iter().enumerate().map(|(at, row)| {
        convert(row).map_err(|reason| ParseError::Unexpected(format!("row {} of {}: {reason}", at + 1, rows.len())))
    });
    converted.collect()
}

fn observation(Object(row): &Object<ObjectRow<'_>>) -> Result<Observation, String> {
    Ok(Observation {
        id: identifier(row.id)?,
        data: StoredData::from(flag("hasStoredData", row.has_stored_data)?),
    })
}

fn fingerprint(row: &RawValue) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.get().hash(&mut hasher);
    hasher.finish()
}

fn object<'a, R: Deserialize<'a>>(row: &'a RawValue) -> Result<R, String> {
    if !row.get().starts_with('{') {
        return Err(format!("it should be an object, but is {}", quoted(row)));
    }
    serde_json::from_str(row.get()).map_err(|error| shown(&error.to_string()))
}

fn account(row: &RawValue) -> Result<ListedAccount, String> {
    let row: AccountRow<'_> = object(row)?;
    Ok(ListedAccount {
        id: identifier(row.id)?,
        name: text("name", row.name)?.map(Cow::into_owned),
    })
}

fn namespace(row: &RawValue) -> Result<Namespace, String> {
    let row: NamespaceRow<'_> = object(row)?;
    let id: NamespaceId = identifier(row.id)?;
    if matches!(id.as_str(), "." | "..") {
        return Err(format!("its id {} can't be used in a URL", id.as_str()));
    }
    if id.as_str().len() > LONGEST_ID {
        return Err(format!("its id {id} is longer than {LONGEST_ID} bytes"));
    }
    let documented = flag("use_sqlite", row.use_sqlite)?;
    let in_typings = flag("useSqlite", row.use_sqlite_in_typings)?;
    if let (Some(a), Some(b)) = (documented, in_typings)
        && a != b
    {
        return Err(format!("use_sqlite is {a}, but useSqlite is {b}"));
    }
    let text = |name, value| Ok::<_, String>(text(name, value)?.map(Cow::into_owned));
    let preview = row.preview.map(tree).transpose();
    Ok(Namespace {
        id,
        name: text("name", row.name)?,
        script: text("script", row.script)?,
        class: text("class", row.class)?,
        use_sqlite: documented.or(in_typings),
        preview: preview
            .map_err(|reason| format!("preview can't be read: {reason}"))?
            .filter(Value::is_object),
    })
}

/// The documents and Cloudflare's SDKs disagree on where the cursor stands, so both places are read. To believe one
/// against the other could end a walk early.
fn next(info: &Info<'_>) -> Result<Next, ParseError> {
    let position = |key, value| position(key, value).map_err(ParseError::Unexpected);
    let here = position("result_info.cursor", info.cursor)?;
    let there = info.cursors.as_ref().and_then(|Object(cursors)| cursors.after);
    let there = position("result_info.cursors.after", there)?;
    if let (Some(a), Some(b)) = (&here, &there)
        && a != b
    {
        let (a, b) = (shown(a), shown(b));
        return Err(ParseError::Contradictory(format!(
            "result_info.cursor is \"{a}\", but result_info.cursors.after is \"{b}\""
        )));
    }
    Ok(here.or(there).map_or(Next::NoCursorKey, |text| {
        Cursor::new(text).map_or(Next::End, Next::Cursor)
    }))
}

/// `None` for an absent key; null is the same as the empty text.
fn position<'a>(key: &str, value: Raw<'a>) -> Result<Option<Cow<'a, str>>, String> {
    let text = text(key, value)?;
    Ok(value.map(|_| text.unwrap_or_default()))
}

/// `errors` or `messages`, whatever shape they have; `None` if they are empty.
fn complaints(value: Raw<'_>) -> Option<ApiErrors> {
    let all = match tree(value?) {
        Ok(Value::Array(all)) => all,
        Ok(Value::Object(one)) if one.is_empty() => Vec::new(),
        Ok(one) => vec![one],
        Err(reason) => vec![serde_json::json!({ "message": reason })],
    };
    let mut codes = Vec::new();
    let text: Vec<String> = all.iter().map(|one| complaint(one, &mut codes)).collect();
    (!all.is_empty()).then(|| ApiErrors {
        text: shown(&text.join("; ")),
        codes,
    })
}

/// An error with its `error_chain`, which has the reasons. Adds their codes.
fn complaint(value: &Value, codes: &mut Vec<u64>) -> String {
    codes.extend(value.get("code").and_then(Value::as_u64));
    let Some(message) = value.get("message").and_then(Value::as_str) else {
        return value.to_string();
    };
    let code = value.get("code").filter(|code| !code.is_null());
    let pointer = value.pointer("/source/pointer").and_then(Value::as_str);
    let url = value.get("documentation_url").and_then(Value::as_str);
    let notes = [
        code.map(|code| format!("code {code}")),
        pointer.map(|pointer| format!("at {pointer}")),
        url.map(|url| format!("see {url}")),
    ];
    let notes: Vec<_> = notes.into_iter().flatten().collect();
    let mut text = match notes.is_empty() {
        true => message.to_owned(),
        false => format!("{message} ({})", notes.join(", ")),
    };
    for reason in value.get("error_chain").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(": ");
        text.push_str(&complaint(reason, codes));
    }
    text
}

#[cfg(test)]
mod tests;
