//! The content of responses: rows, the envelope, and bodies that don't come from Cloudflare.

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use serde_json::{Value, json};

use super::{Case, case, check};

/// Changes the JSON of page 2.
fn page_2(simulator: &Simulator, namespace: &str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    simulator.fault(namespace, When::Nth(2), Fault::json(change));
}

/// Replaces a field of row 3 on page 2.
fn row_3(simulator: &Simulator, namespace: &str, key: &'static str, value: Value) {
    page_2(simulator, namespace, move |page| {
        page["result"][2][key] = value.clone();
    });
}

fn answer(simulator: &Simulator, namespace: &str, answer: Answer) {
    simulator.fault(namespace, When::Nth(2), Fault::Answer(answer));
}

/// Nothing is dropped silently: the error names the namespace, the page and the row.
fn wrong_row(name: &'static str, odd: fn(&Simulator, &str), error: &'static [&'static str]) -> Case {
    case(name, odd).ends_interrupted(error)
}

#[tokio::test]
async fn rows_are_right_or_an_error() {
    check([
        case("upper-case ids", |s, n| {
            let change = |page: &mut Value| {
                for row in page["result"].as_array_mut().unwrap() {
                    row["id"] = row["id"].as_str().unwrap().to_uppercase().into();
                }
            };
            s.fault(n, When::Always, Fault::json(change));
        })
        .in_requests(3),
        case("names, as Cloudflare's local server has", |s, n| {
            let change = |page: &mut Value| {
                for row in page["result"].as_array_mut().unwrap() {
                    row["name"] = json!("a name");
                }
            };
            s.fault(n, When::Always, Fault::json(change));
        })
        .in_requests(3),
        case("no flag at all", |s, n| {
            let change = |page: &mut Value| {
                for row in page["result"].as_array_mut().unwrap() {
                    row.as_object_mut().unwrap().remove("hasStoredData");
                }
            };
            s.fault(n, When::Always, Fault::json(change));
        })
        .ends_held(&["turn to unknown", "snapshots accept"]),
        wrong_row(
            "flag is a text",
            |s, n| row_3(s, n, "hasStoredData", json!("yes")),
            &[
                "page 2",
                "objects of namespace",
                "row 3 of 100",
                "hasStoredData should be true, false or null, but is \"yes\"",
            ],
        ),
        wrong_row(
            "flag is a number",
            |s, n| row_3(s, n, "hasStoredData", json!(1)),
            &["page 2", "row 3 of 100", "but is 1"],
        ),
        wrong_row(
            "id is null",
            |s, n| row_3(s, n, "id", Value::Null),
            &["page 2", "objects of namespace", "row 3 of 100: it has no id"],
        ),
        wrong_row(
            "id is missing",
            |s, n| {
                page_2(s, n, |page| {
                    page["result"][2].as_object_mut().unwrap().remove("id");
                })
            },
            &["page 2", "objects of namespace", "row 3 of 100: it has no id"],
        ),
        wrong_row(
            "id is short",
            |s, n| row_3(s, n, "id", json!("fe7803")),
            &["page 2", "row 3 of 100", "64 hex digits", "fe7803"],
        ),
        wrong_row(
            "id is no hex",
            |s, n| row_3(s, n, "id", json!("z".repeat(64))),
            &["page 2", "row 3 of 100", "64 hex digits"],
        ),
        wrong_row(
            "id is a number",
            |s, n| row_3(s, n, "id", json!(7)),
            &["page 2", "row 3 of 100", "should be a text"],
        ),
        wrong_row(
            "row is a text",
            |s, n| page_2(s, n, |page| page["result"][2] = json!("row")),
            &["page 2", "objects of namespace"],
        ),
        wrong_row(
            "row is null",
            |s, n| page_2(s, n, |page| page["result"][2] = Value::Null),
            &["page 2", "objects of namespace"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_envelope_that_contradicts_itself_is_an_error() {
    check([
        case("result is null", |s, n| {
            page_2(s, n, |page| page["result"] = Value::Null)
        })
        .ends_interrupted(&["page 2", "result should be a list, but is null"]),
        case("result is an object", |s, n| {
            page_2(s, n, |page| page["result"] = json!({"objects": []}))
        })
        .ends_interrupted(&["page 2", "result should be a list"]),
        case("no result", |s, n| {
            page_2(s, n, |page| {
                page.as_object_mut().unwrap().remove("result");
            })
        })
        .ends_interrupted(&["page 2", "result should be a list"]),
        case("no success", |s, n| {
            page_2(s, n, |page| {
                page.as_object_mut().unwrap().remove("success");
            })
        })
        .ends_interrupted(&["page 2", "does not say that it succeeded"]),
        case("success is false", |s, n| {
            page_2(s, n, |page| {
                page["success"] = false.into();
                page["errors"] = json!([{
                    "code": 7003, "message": "No route", "documentation_url": "https://example.com/doc",
                    "source": { "pointer": "/cursor" },
                }]);
            })
        })
        .ends_interrupted(&[
            "page 2",
            "success: false",
            "No route (code 7003, at /cursor, see https://example.com/doc)",
        ]),
        case("errors beside success", |s, n| {
            s.fault(n, When::Nth(2), Fault::success_with_errors())
        })
        .ends_interrupted(&["page 2", "yet has errors: message (code 1000)"]),
        case("messages", |s, n| {
            page_2(s, n, |page| {
                page["messages"] = json!([{"code": 42, "message": "moving soon"}])
            })
        })
        .logs("the API says: moving soon (code 42)"),
        case("count is wrong", |s, n| s.fault(n, When::Nth(2), Fault::wrong_count()))
            .logs("count fits neither the page nor the running total"),
        case("count is the running total", |s, n| {
            page_2(s, n, |page| page["result_info"]["count"] = json!(200))
        }),
        case("cursor is a number", |s, n| {
            page_2(s, n, |page| page["result_info"]["cursor"] = json!(200))
        })
        .ends_interrupted(&["page 2", "result_info.cursor should be a text or null, but is 200"]),
        case("no result_info on a full page", |s, n| {
            page_2(s, n, |page| {
                page.as_object_mut().unwrap().remove("result_info");
            })
        })
        .fails(&["page 2", "the cursor is not where it was expected"]),
        case("no result_info on the last page", |s, n| {
            let change = |page: &mut Value| {
                page.as_object_mut().unwrap().remove("result_info");
            };
            s.fault(n, When::Nth(3), Fault::json(change));
        })
        .in_requests(3),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_quoted() {
    check([
        case("HTML", |s, n| answer(s, n, Answer::html(200))).ends_interrupted(&[
            "page 2",
            "objects of namespace",
            "not JSON: HTTP 200, text/html; charset=UTF-8: \"<html>",
        ]),
        case("plain text", |s, n| {
            answer(s, n, Answer::new(200, "text/plain", "upstream error\nat line 2"))
        })
        .ends_interrupted(&["not JSON: HTTP 200, text/plain: \"upstream error\""]),
        case("a list", |s, n| answer(s, n, Answer::json(200, "[]"))).ends_interrupted(&["page 2", "unexpected shape"]),
        case("redirect", |s, n| {
            answer(s, n, Answer::redirect("https://example.com/?token=x"))
        })
        .ends_interrupted(&["page 2", "HTTP 302 redirects to example.com, which is not followed"]),
        case("proxy for a while", |s, n| {
            s.fault(n, When::Nth(2), Fault::Answer(Answer::html(502)))
        })
        .in_requests(4)
        .logs("HTTP 502, text/html; charset=UTF-8: \"<html>"),
        case("proxy for ever", |s, n| {
            s.fault(n, When::From(2), Fault::Answer(Answer::html(502)))
        })
        .args(&["--retry-for", "2s"])
        .ends_interrupted(&[
            "page 2",
            "HTTP 502, text/html; charset=UTF-8: \"<html>",
            "gave up after",
            "try again later",
        ]),
        case("not found, though listed", |s, n| {
            answer(s, n, Answer::new(404, "text/plain", "no such route"))
        })
        .ends_interrupted(&["page 2", "HTTP 404, text/plain: \"no such route\""]),
        case("teapot", |s, n| answer(s, n, Answer::error(418, 1, "short and stout")))
            .ends_interrupted(&["page 2", "HTTP 418: short and stout (code 1)"]),
    ])
    .await;
}
