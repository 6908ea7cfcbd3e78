//! The objects of a JSON text, one after another: in lines, in arrays, or in responses of Cloudflare's API.

use std::io::Read;

use memchr::memchr2;
use serde::Deserialize;

use super::columns::Known;
use super::lines::{Lines, line_ends};
use super::{At, RowError};
use crate::text::shown;

/// How objects are laid out in a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One object per line.
    Lines,
    /// Arrays and objects, one after another, on any number of lines.
    Values,
    /// Responses of the API, one after another. Their objects are in `result`.
    Responses,
}

impl Layout {
    /// `start` is the start of a text that begins with a brace or a bracket. Its first value decides.
    pub fn of(start: &[u8]) -> Self {
        if start.first() == Some(&b'[') {
            return Self::Values;
        }
        let (mut depth, mut at) = (0, 0);
        let (mut is_row, mut is_response, mut spans_lines) = (false, false, false);
        while let Some(byte) = start.get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => break,
                b'}' | b']' => depth -= 1,
                b'\n' | b'\r' => spans_lines = true,
                b'"' => {
                    let Some(length) = text_length(&start[at..]) else { break };
                    let (text, after) = (&start[at..at + length], &start[at + length + 1..]);
                    at += length + 1;
                    if let Some(value) = after.trim_ascii_start().strip_prefix(b":").filter(|_| depth == 1) {
                        let value = value.trim_ascii_start();
                        is_row |= Known::of(&String::from_utf8_lossy(text)).is_some();
                        is_response |= text == b"result" && (value.starts_with(b"[") || value.starts_with(b"null"));
                    }
                }
                _ => {}
            }
        }
        match (is_row, is_response, spans_lines) {
            (false, true, _) => Self::Responses,
            (_, _, true) => Self::Values,
            _ => Self::Lines,
        }
    }
}

/// Returns the length of a JSON text up to its closing quotation mark, after the opening one.
fn text_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
}

/// Finds the elements that should be rows. Commas between values are optional, since nothing depends on them.
pub struct JsonObjects<R> {
    lines: Lines<R>,
    layout: Layout,
    place: Place,
    /// The line in which the current array or response begins.
    begun: At,
    response: Response,
    /// Whether the last response has a cursor for the next page.
    goes_on: bool,
    at: At,
}

/// Where the next value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Array,
    /// Before a key of a response.
    Response,
    /// In the array `result` of a response.
    Result,
}

/// What a response says apart from its objects.
#[derive(Default)]
struct Response {
    failed: bool,
    errors: String,
    cursor: bool,
}

impl<R: Read> JsonObjects<R> {
    pub fn new(layout: Layout, from: R) -> Self {
        Self {
            lines: Lines::new(from),
            layout,
            place: Place::Top,
            begun: At::Line(1),
            response: Response::default(),
            goes_on: false,
            at: At::Line(1),
        }
    }

    /// The line at which the last element begins.
    pub fn at(&self) -> At {
        self.at
    }

    /// Returns the next element: an object, or a text.
    pub fn next(&mut self) -> Result<Option<(At, &[u8])>, RowError> {
        if self.layout == Layout::Lines {
            return self.next_line();
        }
        loop {
            let first = self.first()?;
            let here = self.lines.ahead(0);
            match (self.place, first) {
                (Place::Top, None) if self.goes_on => return Err(RowError::MorePages),
                (Place::Top, None) => return Ok(None),
                (_, None) => return Err(RowError::CutOff(self.begun)),
                (Place::Top, Some(b'[')) => self.enter(Place::Array, here),
                (Place::Top, Some(b'{')) if self.layout == Layout::Responses => {
                    self.enter(Place::Response, here);
                    self.response = Response::default();
                }
                (Place::Array | Place::Response | Place::Result, Some(b',')) => self.skip(1),
                (Place::Array, Some(b']')) => self.leave(Place::Top),
                (Place::Result, Some(b']')) => self.leave(Place::Response),
                (Place::Response, Some(b'}')) => {
                    self.leave(Place::Top);
                    self.end_response()?;
                }
                (Place::Response, Some(b'"')) => self.field()?,
                (Place::Top, Some(b'{')) | (Place::Array | Place::Result, Some(b'{' | b'"')) => {
                    let end = self.value_end()?;
                    self.at = here;
                    let lines = line_ends(self.lines.peek(0..end));
                    let start = self.lines.consume(end, lines);
                    return Ok(Some((here, self.lines.bytes(start..start + end))));
                }
                _ => return Err(RowError::NoObject(here)),
            }
        }
    }

    /// Returns the next line that is not empty.
    fn next_line(&mut self) -> Result<Option<(At, &[u8])>, RowError> {
        loop {
            let Some(line) = self.lines.next_line()? else {
                return Ok(None);
            };
            self.at = self.lines.at();
            match self.lines.bytes(line.clone()).trim_ascii().first() {
                None => {}
                // serde would accept an array in place of an object.
                Some(b'{') => return Ok(Some((self.at, self.lines.bytes(line)))),
                Some(_) => return Err(RowError::NoObject(self.at)),
            }
        }
    }

    /// Consumes spaces and line ends, and returns the byte after them.
    fn first(&mut self) -> Result<Option<u8>, RowError> {
        loop {
            match self.lines.byte(0)? {
                Some(b' ' | b'\t') => {
                    self.lines.consume(1, 0);
                }
                Some(b'\n' | b'\r') => {
                    let end = self.lines.after_line_end(0)?;
                    self.lines.consume(end, 1);
                }
                other => return Ok(other),
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.lines.consume(bytes, 0);
    }

    fn enter(&mut self, place: Place, at: At) {
        self.skip(1);
        self.place = place;
        self.begun = at;
    }

    fn leave(&mut self, place: Place) {
        self.skip(1);
        self.place = place;
    }

    /// Consumes a key of a response and its value, or only the bracket at the start of `result`.
    fn field(&mut self) -> Result<(), RowError> {
        let here = self.lines.ahead(0);
        let end = self.value_end()?;
        let key = self.lines.peek(1..end - 1).to_vec();
        self.skip(end);
        if self.first()? != Some(b':') {
            return Err(RowError::NoObject(here));
        }
        self.skip(1);
        let first = self.first()?;
        if (key.as_slice(), first) == (b"result", Some(b'[')) {
            self.skip(1);
            self.place = Place::Result;
            return Ok(());
        }
        let end = self.value_end()?;
        let value = self.lines.peek(0..end);
        match key.as_slice() {
            b"success" => self.response.failed = value != b"true",
            b"errors" => self.response.errors = messages(value),
            b"result_info" => self.response.cursor = has_cursor(value),
            _ => {}
        }
        let lines = line_ends(value);
        self.lines.consume(end, lines);
        Ok(())
    }

    fn end_response(&mut self) -> Result<(), RowError> {
        if self.response.failed {
            return Err(RowError::ApiError {
                at: self.begun,
                reason: std::mem::take(&mut self.response.errors),
            });
        }
        self.goes_on = self.response.cursor;
        Ok(())
    }

    /// Returns the length of the next value. Its content is not checked.
    fn value_end(&mut self) -> Result<usize, RowError> {
        let (mut at, mut depth) = (0, 0u32);
        loop {
            let is_edge = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']');
            let is_scalar_end = |byte: &u8| is_edge(byte) || byte.is_ascii_whitespace() || *byte == b',';
            at = match depth {
                0 => self.lines.find(at, |bytes| bytes.iter().position(is_scalar_end))?,
                _ => self.lines.find(at, |bytes| bytes.iter().position(is_edge))?,
            };
            match self.lines.byte(at)? {
                None if depth == 0 && at > 0 => return Ok(at),
                None => return Err(RowError::CutOff(self.lines.ahead(0))),
                Some(b'"') => {
                    at = self.text_end(at + 1)? + 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    at += 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                Some(_) if at > 0 => return Ok(at),
                Some(_) => return Err(RowError::NoObject(self.lines.ahead(0))),
            }
        }
    }

    /// Returns the position of the quotation mark that closes a text.
    fn text_end(&mut self, start: usize) -> Result<usize, RowError> {
        let mut at = start;
        loop {
            at = self.lines.find(at, |bytes| memchr2(b'"', b'\\', bytes))?;
            match self.lines.byte(at)? {
                None => return Err(RowError::CutOff(self.lines.ahead(0))),
                Some(b'"') => return Ok(at),
                Some(_) if self.lines.byte(at + 1)?.is_none() => return Err(RowError::CutOff(self.lines.ahead(0))),
                Some(_) => at += 2,
            }
        }
    }
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// The messages of an error response, for the end of a sentence.
fn messages(errors: &[u8]) -> String {
    let errors: Vec<Message> = serde_json::from_slice(errors).unwrap_or_default();
    let messages: Vec<_> = errors.iter().take(3).map(|error| shown(&error.message)).collect();
    match messages.is_empty() {
        true => String::new(),
        false => format!(": {}", messages.join("; ")),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PageInfo {
    cursor: Option<String>,
    cursors: Option<Cursors>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cursors {
    after: Option<String>,
}

fn has_cursor(info: &[u8]) -> bool {
    let info: PageInfo = serde_json::from_slice(info).unwrap_or_default();
    let cursor = info.cursor.or(info.cursors.and_then(|cursors| cursors.after));
    cursor.is_some_and(|cursor| !cursor.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<(String, String)>, RowError> {
        let mut objects = JsonObjects::new(Layout::of(text.as_bytes()), text.as_bytes());
        let mut all = Vec::new();
        while let Some((at, element)) = objects.next()? {
            all.push((at.to_string(), String::from_utf8_lossy(element).into_owned()));
        }
        Ok(all)
    }

    #[test]
    fn the_first_value_decides_the_layout() {
        for (text, layout) in [
            ("{\"id\":1,\"result\":[1]}\n", Layout::Lines),
            ("{\"x\":{\"result\":[]}}", Layout::Lines),
            ("{\"result\":\"ok\"}", Layout::Lines),
            ("{}\n{\n", Layout::Lines),
            ("{\"a\":\"}\n", Layout::Lines),
            ("{\n\"id\":1}", Layout::Values),
            ("[", Layout::Values),
            ("{\"success\":true,\"result\" : [\n{\"id\":1}]}", Layout::Responses),
            ("{\"errors\":[{\"id\":1}],\"result\":null}", Layout::Responses),
        ] {
            assert_eq!(Layout::of(text.as_bytes()), layout, "{text}");
        }
    }

    #[test]
    fn elements_are_found_with_their_lines() {
        let found = elements("[{\"a\":\"]}\\\"\"},\n\n \"x\" , {\"b\":\n[1]}]\r\n[]\n{\"c\":{}}").unwrap();
        let expected = [
            ("line 1", "{\"a\":\"]}\\\"\"}"),
            ("line 3", "\"x\""),
            ("line 3", "{\"b\":\n[1]}"),
            ("line 6", "{\"c\":{}}"),
        ];
        assert_eq!(found, expected.map(|(at, text)| (at.to_owned(), text.to_owned())));
        let response = |more: &str| format!("{{\"result\":[{{\"id\":1}},{{}}],\"success\":true{more}}}\n");
        let last = response(",\"result_info\":{\"cursor\":\"\",\"count\":2}");
        let first = response(",\"result_info\":{\"cursor\":\"abc\"}");
        assert_eq!(elements(&format!("{first}{last}")).unwrap().len(), 4);
        assert!(matches!(elements(&first), Err(RowError::MorePages)));
        assert!(matches!(
            elements(&response(",\"result_info\":{\"cursors\":{\"after\":\"x\"}}")),
            Err(RowError::MorePages)
        ));
        let refusal = "{\"success\":false,\"errors\":[{\"code\":1,\"message\":\"no\"}],\"result\":null}";
        assert_eq!(
            elements(refusal).unwrap_err().to_string(),
            "the response that begins in line 1 is an error of the API: no"
        );
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for text in [
            "[",
            "[\n{\"a\":1}",
            "[{\"a\":",
            "{\n\"a\":\"",
            "{\"result\":[{}]",
            "{\"result\":[",
            "[\"a\\",
        ] {
            assert!(
                matches!(elements(text), Err(RowError::CutOff(_))),
                "{text}: {:?}",
                elements(text)
            );
        }
        for text in ["[1]", "[[{}]]", "[]x", "[}", "{\"result\":[}"] {
            assert!(
                matches!(elements(text), Err(RowError::NoObject(_))),
                "{text}: {:?}",
                elements(text)
            );
        }
    }
}
