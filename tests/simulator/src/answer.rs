//! The service's responses: the envelope of both endpoints, its errors, and pages of objects. Pages are serialized by
//! hand because benchmarks read millions of rows.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::cursor::push_hex;
use crate::objects::Row;

/// A complete response, before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// An error in Cloudflare's envelope.
    pub fn error(status: u16, code: u32, message: &str) -> Self {
        Self::errors(status, &json!([{ "code": code, "message": message }]))
    }

    pub fn errors(status: u16, errors: &Value) -> Self {
        let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
        Self::json(status, body.to_string())
    }

    /// The response to a request over the rate limit. In production, `Retry-After` is sometimes absent.
    pub fn too_many_requests(retry_after: Option<&str>) -> Self {
        let answer = Self::error(429, 971, "Please wait and consider throttling your request speed");
        match retry_after {
            Some(value) => answer.header("retry-after", value),
            None => answer,
        }
    }

    /// The response of a proxy whose backend is down.
    pub fn html(status: u16) -> Self {
        let body = format!("<html><head><title>{status}</title></head><body><center>cloudflare</center></body></html>");
        Self::new(status, "text/html; charset=UTF-8", body)
    }

    pub fn redirect(to: &str) -> Self {
        Self::new(302, "text/plain", "").header("location", to)
    }

    /// An empty list from either endpoint, as from a service that lost its data.
    pub fn empty_list() -> Self {
        let info = json!({ "count": 0, "page": 1, "per_page": 20, "total_count": 0, "total_pages": 0 });
        Self::list(&json!([]), &info)
    }

    pub(crate) fn list(result: &Value, info: &Value) -> Self {
        let body = json!({ "success": true, "errors": [], "messages": [], "result": result, "result_info": info });
        Self::json(200, body.to_string())
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One of the two cursor fields in `result_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Absent,
    Null,
    Text(String),
}

impl Field {
    fn push(&self, out: &mut String) {
        match self {
            Self::Absent | Self::Null => out.push_str("null"),
            Self::Text(text) => out.push_str(&Value::from(text.as_str()).to_string()),
        }
    }
}

/// A page of objects before it is serialized. [`Fault::Edit`](crate::Fault::Edit) may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// `result_info.cursor`.
    pub cursor: Field,
    /// `result_info.cursors.after`, the field that the official SDKs read.
    pub cursors_after: Field,
    /// `result_info.count`.
    pub count: usize,
    /// `result_info.per_page` and `result_info.total_count`: documented, but absent from Cloudflare's local server.
    pub totals: Option<(usize, u64)>,
    /// Entries of `errors`, next to `success: true`.
    pub errors: Vec<Value>,
}

impl Page {
    /// The next page's cursor; `None` on the last page.
    pub fn next(&self) -> Option<&str> {
        [&self.cursor, &self.cursors_after]
            .into_iter()
            .find_map(|field| match field {
                Field::Text(text) if !text.is_empty() => Some(text.as_str()),
                _ => None,
            })
    }

    /// Replaces the cursor in every field that has one.
    pub fn set_next(&mut self, cursor: &str) {
        for field in [&mut self.cursor, &mut self.cursors_after] {
            if let Field::Text(text) = field {
                cursor.clone_into(text);
            }
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        const ROW: usize = 102;
        let mut out = String::with_capacity(512 + ROW * self.rows.len());
        out.push_str(r#"{"success":true,"errors":"#);
        out.push_str(&Value::from(self.errors.clone()).to_string());
        out.push_str(r#","messages":[],"result":["#);
        for (i, row) in self.rows.iter().enumerate() {
            out.push_str(if i == 0 { r#"{"id":""# } else { r#",{"id":""# });
            push_row(&mut out, row);
        }
        out.push_str(r#"],"result_info":{"count":"#);
        out.push_str(&self.count.to_string());
        self.push_cursors(&mut out);
        if let Some((per_page, total)) = self.totals {
            let pages = total.div_ceil(per_page.max(1) as u64);
            out.push_str(&format!(
                r#","page":1,"per_page":{per_page},"total_count":{total},"total_pages":{pages}"#
            ));
        }
        out.push_str("}}");
        Answer::json(200, out)
    }

    fn push_cursors(&self, out: &mut String) {
        if self.cursor != Field::Absent {
            out.push_str(r#","cursor":"#);
            self.cursor.push(out);
        }
        if self.cursors_after != Field::Absent {
            out.push_str(r#","cursors":{"after":"#);
            self.cursors_after.push(out);
            out.push('}');
        }
    }
}

/// Both spellings of "unknown", an absent and a null flag, are in use. The id's last bit selects one.
fn push_row(out: &mut String, (id, flag): &Row) {
    push_hex(out, id);
    out.push_str(match flag {
        Some(true) => r#"","hasStoredData":true}"#,
        Some(false) => r#"","hasStoredData":false}"#,
        None if id[31] & 1 == 1 => r#"","hasStoredData":null}"#,
        None => r#""}"#,
    });
}
