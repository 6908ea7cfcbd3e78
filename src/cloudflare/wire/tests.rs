use proptest::prelude::*;

use super::*;
use crate::model::ObjectId;

const ID: &str = "fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8";

fn body(rest: &str) -> String {
    format!(r#"{{"success":true,"errors":[],"messages":[],{rest}}}"#)
}

fn page(rest: &str) -> Page {
    objects(body(rest).as_bytes()).unwrap().value
}

fn row(rest: &str) -> String {
    body(&format!(r#""result":[{{"id":"{ID}","hasStoredData":true}},{rest}]"#))
}

fn words(error: ParseError) -> String {
    match error {
        ParseError::Unexpected(message) => message,
        ParseError::Contradictory(message) => format!("contradictory: {message}"),
        ParseError::Refused(errors) => format!("refused: {}", errors.text),
        ParseError::NotTheApi(detail) => format!("not the API: {detail}"),
        ParseError::CutShort(detail) => format!("cut short: {detail}"),
    }
}

fn refused(body: &str) -> String {
    words(objects(body.as_bytes()).unwrap_err())
}

fn assert_refused(body: &str, expected: &str) {
    let words = refused(body);
    assert!(words.contains(expected), "{body}\n  {words}\n  {expected}");
}

#[test]
fn the_documented_response_is_read() {
    let documented = br#"{"errors":[],"messages":[],"success":true,
        "result":[{"id":"fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8","hasStoredData":true}],
        "result_info":{"count":1,"cursor":"AAAA...","page":1,"per_page":20,"total_count":2000,"total_pages":100}}"#;
    let expected = Page {
        rows: vec![Observation {
            id: ID.parse().unwrap(),
            data: StoredData::With,
        }],
        next: Next::Cursor(Cursor::new("AAAA...").unwrap()),
        per_page: Some(20),
        total_count: Some(2000),
        count: Some(1),
        requests: 0,
        limit: 0,
        took: std::time::Duration::ZERO,
    };
    assert_eq!(
        objects(documented).unwrap(),
        Parsed {
            value: expected,
            notices: None
        }
    );
}

#[test]
fn unknown_is_neither_with_nor_without() {
    let rows = [
        "",
        r#","hasStoredData":null"#,
        r#","hasStoredData":false"#,
        r#","hasStoredData":true,"name":"x""#,
    ];
    let rows = rows.map(|rest| format!(r#"{{"id":"{ID}"{rest}}}"#)).join(",");
    let data: Vec<_> = page(&format!(r#""result":[{rows}]"#))
        .rows
        .iter()
        .map(|row| row.data)
        .collect();
    assert_eq!(
        data,
        [
            StoredData::Unknown,
            StoredData::Unknown,
            StoredData::Without,
            StoredData::With
        ]
    );
}

#[test]
fn escapes_and_upper_case_in_an_id_are_read() {
    let id = ID.to_uppercase().replacen('F', "\\u0046", 1);
    assert_eq!(
        page(&format!(r#""result":[{{"i\u0064":"{id}"}}]"#)).rows[0]
            .id
            .to_string(),
        ID
    );
}

#[test]
fn an_end_differs_from_a_missing_cursor() {
    let cursor = |text: &str| Next::Cursor(Cursor::new(text).unwrap());
    let table = [
        ("", Next::NoCursorKey),
        (r#","result_info":null"#, Next::NoCursorKey),
        (r#","result_info":{}"#, Next::NoCursorKey),
        (r#","result_info":{"count":3}"#, Next::NoCursorKey),
        (r#","result_info":{"cursors":null}"#, Next::NoCursorKey),
        (r#","result_info":{"cursors":{}}"#, Next::NoCursorKey),
        (r#","result_info":{"cursors":{"before":"x"}}"#, Next::NoCursorKey),
        (r#","result_info":{"cursor":""}"#, Next::End),
        (r#","result_info":{"cursor":null}"#, Next::End),
        (r#","result_info":{"cursors":{"after":""}}"#, Next::End),
        (r#","result_info":{"cursors":{"after":null}}"#, Next::End),
        (r#","result_info":{"cursor":"","cursors":{"after":null}}"#, Next::End),
        (r#","result_info":{"cursor":"a"}"#, cursor("a")),
        (r#","result_info":{"cursors":{"after":"a"}}"#, cursor("a")),
        (r#","result_info":{"cursor":"a","cursors":{}}"#, cursor("a")),
        (r#","result_info":{"cursor":"a","cursors":{"after":"a"}}"#, cursor("a")),
        (r#","result_info":{"cursor":"\u00e4\n"}"#, cursor("ä\n")),
    ];
    for (info, next) in table {
        assert_eq!(page(&format!(r#""result":[]{info}"#)).next, next, "{info}");
    }
}

#[test]
fn two_cursors_must_agree() {
    for (a, b) in [
        ("\"a\"", "\"b\""),
        ("\"a\"", "null"),
        ("\"\"", "\"b\""),
        ("null", "\"b\""),
    ] {
        let info = format!(r#""result":[],"result_info":{{"cursor":{a},"cursors":{{"after":{b}}}}}"#);
        let words = refused(&body(&info));
        assert!(
            words.starts_with("contradictory: ") && words.contains("but result_info.cursors.after is"),
            "{words}"
        );
    }
}

#[test]
fn counts_of_another_type_are_ignored() {
    let read = page(r#""result":[],"result_info":{"per_page":0,"count":"1","total_count":-1}"#);
    assert_eq!((read.per_page, read.count, read.total_count), (None, None, None));
}

#[test]
fn odd_responses_are_refused_with_a_reason() {
    let nine = "9".repeat(64);
    let table = [
        (body(r#""result":null"#), "result should be a list, but is null"),
        (body(r#""result":{}"#), "result should be a list, but is an object"),
        (body(r#""result":"x""#), "result should be a list, but is \"x\""),
        (body(r#""result":7"#), "result should be a list, but is 7"),
        (body(r#""result_info":{}"#), "result should be a list, but is absent"),
        (r#"{"result":[]}"#.into(), "not the API: `success` should be true or false, but is absent"),
        (r#"{"success":"true","errors":[],"result":[]}"#.into(), "not the API: `success` should be true or false, but is \"true\""),
        (
            r#"{"success":false,"errors":[{"code":10001,"message":"bad\u001b[2J","documentation_url":"https://d","source":{"pointer":"/limit"}},{"code":1}],"result":null}"#.into(),
            "bad\\u{1b}[2J (code 10001, at /limit, see https://d); {\"code\":1}",
        ),
        (r#"{"success":false,"errors":[{"code":1,"message":"m"}],"result":{"a":[1]}}"#.into(), "m (code 1)"),
        (r#"{"success":true,"errors":[{"code":1,"message":"m"}],"result":[]}"#.into(), "both success and errors: m (code 1)"),
        (r#"{"success":true,"errors":"odd","result":[]}"#.into(), "both success and errors: \"odd\""),
        (row("{}"), "row 2 of 2: it has no id"),
        (row(r#"{"id":null}"#), "row 2 of 2: it has no id"),
        (row(r#"{"id":""}"#), "row 2 of 2: an object id is 64 hex digits, not \"\""),
        (row(r#"{"id":"ab\ncd"}"#), "an object id is 64 hex digits, not \"ab\\u{a}cd\""),
        (row(&format!(r#"{{"id":{nine}}}"#)), "the id should be a text, but is 9"),
        (row(&format!(r#"{{"id":["{ID}"]}}"#)), "the id should be a text, but is a list"),
        (row(&format!(r#"{{"id":"{ID}","hasStoredData":"true"}}"#)), "row 2 of 2: hasStoredData should be true, false or null, but is \"true\""),
        (row(&format!(r#"{{"id":"{ID}","hasStoredData":1}}"#)), "but is 1"),
        (row(&format!(r#"{{"id":"{ID}","hasStoredData":{{}}}}"#)), "but is an object"),
        (row(&format!(r#"{{"id":"{ID}","id":"{ID}"}}"#)), "unexpected structure: row 2 of 2: duplicate field 'id'"),
        (row(&format!(r#"["{ID}",true]"#)), "structure: row 2 of 2: invalid type: sequence, expected an object"),
        (row("null"), "structure: row 2 of 2: invalid type: null, expected an object"),
        (row("{},null,{}"), "structure: row 3 of 4: invalid type: null, expected an object"),
        (row(r#"{"id":"\ud800"}"#), "row 2 of 2: the id should be a text, but is a text with an invalid escape"),
        (body(r#""result":[],"result_info":{"cursor":7}"#), "result_info.cursor should be a text or null, but is 7"),
        (body(r#""result":[],"result_info":{"cursors":{"after":[]}}"#), "result_info.cursors.after should be a text or null, but is a list"),
        (body(r#""result":[],"result_info":[]"#), "structure: result_info: invalid type: sequence, expected an object"),
        (body(r#""result":[],"result_info":{"cursor":"a","cursor":""}"#), "structure: result_info: duplicate field 'cursor'"),
        (body(r#""result":null"#).replacen("\"success\":true", "\"success\":false", 1), "refused: it names no error"),
        (format!(r#"{{"success":true,"errors":{}1{},"result":[]}}"#, "[".repeat(200), "]".repeat(200)), "both success and errors: recursion limit exceeded"),
        (format!(r#"{{"result":[1],{}"#, r#""success":true,"x":"#), "cut short: EOF"),
        ("[]".into(), "not the API: invalid type: sequence, expected an object"),
        ("null".into(), "not the API: "),
        (r#"{"message":"no"}"#.into(), "not the API: "),
        (r#"{"success":null,"result":[{}]}"#.into(), "not the API: "),
        (r#"{"success":1,"result":null}"#.into(), "not the API: "),
        ("".into(), "not the API: EOF"),
        (" \r\n\t".into(), "not the API: EOF"),
        ("\u{feff}".into(), "not the API: "),
        ("\"".into(), "not the API: EOF"),
        ("<html>".into(), "not the API: expected value"),
        ("Not found".into(), "not the API: "),
        (format!("{} x", body(r#""result":[]"#)), "not the API: trailing characters"),
        (row("{}")[..100].into(), "cut short: EOF"),
    ];
    for (body, expected) in table {
        assert_refused(&body, expected);
    }
}

#[test]
fn quotes_are_short_and_sanitized() {
    let long = "x\u{1b}\u{202e}".repeat(10_000);
    let long = serde_json::to_string(&long).unwrap();
    let bodies = [
        row(&format!(r#"{{"id":{long}}}"#)),
        row(&long),
        body(&format!(r#""result":[],"result_info":{long}"#)),
        body(&format!(
            r#""result":[],"result_info":{{"cursor":{long},"cursors":{{"after":""}}}}"#
        )),
        format!(r#"{{"success":{long}}}"#),
        format!(r#"{{"errors":[{{"message":{long}}}]}}"#),
        format!(r#"{{"errors":[{{"code":{long}}}]}}"#),
    ];
    for body in bodies {
        let words = refused(&body);
        assert!(
            words.len() < 3_500 && !words.contains(['\u{1b}', '\u{202e}']),
            "{words}"
        );
    }
}

#[test]
fn messages_are_kept_for_the_log() {
    let read = objects(br#"{"success":true,"errors":null,"messages":[{"code":2,"message":"soon\ngone"}],"result":[]}"#);
    assert_eq!(read.unwrap().notices.unwrap(), "soon\\u{a}gone (code 2)");
}

#[test]
fn errors_are_read_from_envelopes_only() {
    let rate = br#"{"success":false,"errors":[{"code":971,"message":"Please wait"}],"messages":[],"result":null}"#;
    assert_eq!(
        api_errors(rate),
        Some(ApiErrors {
            text: "Please wait (code 971)".into(),
            codes: vec![971]
        })
    );
    for other in [
        "",
        "<html>",
        "[]",
        r#"{"errors":[{"code":1,"message":"m"}]}"#,
        r#"{"success":"false","errors":[{"code":1,"message":"m"}]}"#,
        r#"{"error":"x"}"#,
    ] {
        assert_eq!(api_errors(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn the_reasons_of_an_error_are_read() {
    let body = br#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":[
        {"code":6111,"message":"Invalid format for Authorization header","error_chain":[{"message":"too\nlong"}]},{"code":7}]}]}"#;
    let expected = ApiErrors {
        text:
            "Invalid request headers (code 6003): Invalid format for Authorization header (code 6111): too\\u{a}long: \
               {\"code\":7}"
                .into(),
        codes: vec![6003, 6111, 7],
    };
    assert_eq!(api_errors(body), Some(expected));
    assert_eq!(
        api_errors(br#"{"success":false,"errors":[]}"#),
        Some(ApiErrors::default())
    );
}

fn one_namespace(row: &str) -> Result<Namespace, String> {
    let body = body(&format!(r#""result":[{row}],"result_info":{{"total_pages":2}}"#));
    let mut page = namespaces(body.as_bytes()).map_err(words)?.value;
    match page.unusable.pop() {
        Some(unusable) => Err(unusable.reason),
        None => Ok(page.items.remove(0)),
    }
}

#[test]
fn namespaces_may_lack_everything_but_the_id() {
    let bare = Namespace {
        id: "worker-Class".parse().unwrap(),
        name: None,
        script: None,
        class: None,
        use_sqlite: None,
        preview: None,
    };
    assert_eq!(one_namespace(r#"{"id":"worker-Class"}"#), Ok(bare.clone()));
    let nulls = r#"{"id":"worker-Class","name":null,"script":null,"class":null,"use_sqlite":null,"useSqlite":null,"preview":null}"#;
    assert_eq!(one_namespace(nulls), Ok(bare.clone()));
    let full = Namespace {
        name: Some("n".into()),
        script: Some("s".into()),
        class: Some("c".into()),
        use_sqlite: Some(true),
        preview: Some(serde_json::json!({"id": "p", "slug": "q"})),
        ..bare
    };
    for key in ["use_sqlite", "useSqlite"] {
        let row = format!(
            r#"{{"id":"worker-Class","name":"n","script":"s","class":"c","{key}":true,"environment":"e","preview":{{"id":"p","slug":"q"}}}}"#
        );
        assert_eq!(one_namespace(&row), Ok(full.clone()));
    }
}

#[test]
fn odd_namespaces_are_refused() {
    let table = [
        (r#"{"name":"x"}"#, "row 1 of 1: it has no id"),
        (r#"{"id":""}"#, "a namespace id is a non-empty text"),
        (r#"{"id":"a\u0000"}"#, "not \"a\\u{0}\""),
        (r#"{"id":1}"#, "the id should be a text, but is 1"),
        ("[]", "it should be an object, but is a list"),
        ("null", "row 1 of 1: it should be an object, but is null"),
        (r#"{"id":"a","id":"b"}"#, "duplicate field 'id'"),
        (r#"{"id":"a","name":1}"#, "name should be a text or null, but is 1"),
        (
            r#"{"id":"a","script":{}}"#,
            "script should be a text or null, but is an object",
        ),
        (
            r#"{"id":"a","class":[]}"#,
            "class should be a text or null, but is a list",
        ),
        (
            r#"{"id":"a","use_sqlite":"yes"}"#,
            "use_sqlite should be true, false or null, but is \"yes\"",
        ),
        (
            r#"{"id":"a","use_sqlite":true,"useSqlite":false}"#,
            "use_sqlite is true, but useSqlite is false",
        ),
    ];
    for (row, expected) in table {
        let words = one_namespace(row).unwrap_err();
        assert!(words.contains(expected), "{row}: {words}");
    }
}

#[test]
fn a_row_that_can_not_be_used_leaves_the_others() {
    let rows = r#""result":[{"name":"x"},{"id":"a"},7,{"id":"b"},{"name":"x"}]"#;
    let page = namespaces(body(rows).as_bytes()).unwrap().value;
    let ids: Vec<_> = page.items.iter().map(|namespace| namespace.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    let reasons: Vec<_> = page.unusable.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "row 1 of 5: it has no id",
            "row 3 of 5: it should be an object, but is 7",
            "row 5 of 5: it has no id"
        ]
    );
    assert_eq!(page.unusable[0].fingerprint, page.unusable[2].fingerprint);
    assert_ne!(page.unusable[0].fingerprint, page.unusable[1].fingerprint);
}

#[test]
fn an_account_has_an_id_and_perhaps_a_name() {
    let rows =
        r#""result":[{"id":"a","name":"A"},{"id":"b","name":null,"type":"x"},{"id":"../c"},{"id":"d","name":1}]"#;
    let page = accounts(body(rows).as_bytes()).unwrap().value;
    let found: Vec<_> = page
        .items
        .iter()
        .map(|one| (one.id.as_str(), one.name.as_deref()))
        .collect();
    assert_eq!(found, [("a", Some("A")), ("b", None)]);
    let reasons: Vec<_> = page.unusable.iter().map(|row| row.reason.as_str()).collect();
    assert!(
        reasons[0].starts_with("row 3 of 4: an account id is 1 to 32"),
        "{reasons:?}"
    );
    assert!(reasons[1].starts_with("row 4 of 4: name should be"), "{reasons:?}");
}

#[test]
fn only_the_namespace_list_may_be_null() {
    let null = body(r#""result":null"#);
    let page = namespaces(null.as_bytes()).unwrap().value;
    assert!(page.is_null && page.items.is_empty());
    for other in [body(r#""result":{}"#), body(r#""result_info":{}"#)] {
        assert!(words(namespaces(other.as_bytes()).unwrap_err()).contains("should be a list"));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        let _ = objects(&bytes);
        let _ = namespaces(&bytes);
        let _ = api_errors(&bytes);
    }

    /// A valid page with one byte changed, or its end cut off.
    #[test]
    fn no_damage_makes_it_panic(at in 0..400_usize, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = row(&format!(r#"{{"id":"{ID}","hasStoredData":null}}"#)).into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let _ = namespaces(&bytes);
        if let Ok(read) = objects(&bytes) {
            prop_assert_eq!(read.value.rows.len(), 2);
        }
    }

    #[test]
    fn every_page_is_read_as_it_was_written(rows in prop::collection::vec((any::<[u8; 32]>(), any::<Option<bool>>()), 0..50)) {
        let written: Vec<_> = rows
            .iter()
            .map(|(id, flag)| serde_json::json!({"hasStoredData": flag, "id": ObjectId::from_bytes(*id).to_string()}))
            .collect();
        let body = serde_json::json!({"result": written, "success": true}).to_string();
        let read = objects(body.as_bytes()).unwrap().value;
        let expected: Vec<_> = rows.iter().map(|(id, flag)| Observation { id: ObjectId::from_bytes(*id), data: (*flag).into() }).collect();
        prop_assert_eq!(read.rows, expected);
    }
}

#[test]
fn a_body_can_not_fill_the_memory() {
    let rows = |count: usize| vec!["{}"; count].join(",");
    assert_refused(
        &body(&format!(r#""result":[{}]"#, rows(20_001))),
        "more than 20000 rows",
    );
    let most = objects(body(&format!(r#""result":[{}]"#, rows(20_000))).as_bytes());
    assert!(words(most.unwrap_err()).contains("row 1 of 20000"), "read to its end");
    let zeros = vec!["0"; 10_000].join(",");
    let too_long = "bytes, more than the 16384 that are read";
    assert_refused(&format!(r#"{{"success":[{zeros}],"result":[]}}"#), "but is a list");
    let errors = format!(r#"{{"success":true,"errors":[{zeros}],"result":[]}}"#);
    assert_refused(&errors, &format!("both success and errors: 20001 {too_long}"));
    let messages = format!(r#"{{"success":true,"messages":[{zeros}],"result":[]}}"#);
    let notices = objects(messages.as_bytes()).unwrap().notices.unwrap();
    assert!(notices.contains(too_long), "{notices}");
    let preview = one_namespace(&format!(r#"{{"id":"a","preview":[{zeros}]}}"#)).unwrap_err();
    assert_eq!(preview, format!("row 1 of 1: preview can't be read: 20001 {too_long}"));
}
