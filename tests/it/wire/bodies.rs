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
        .ends_held(&["to unknown", "snapshots accept"]),
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
        .ends_interrupted(&["page 2", "both success and errors: message (code 1000)"]),
        case("messages", |s, n| {
            page_2(s, n, |page| {
                page["messages"] = json!([{"code": 42, "message": "moving soon"}])
            })
        })
        .logs("the API says: moving soon (code 42)"),
        case("count is wrong", |s, n| s.fault(n, When::Nth(2), Fault::wrong_count()))
            .logs("count matches neither the page nor the running total"),
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
        .fails(&["page 2", "no cursor in the expected place"]),
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

/// Page 2 comes from something in between, once.
fn passes(name: &'static str, odd: fn(&Simulator, &str)) -> Case {
    case(name, odd).in_requests(4).logs("retrying")
}

/// Whatever its status, it says nothing about the walk: the run completes in one go.
#[tokio::test]
async fn a_response_from_elsewhere_is_retried_and_quoted() {
    check([
        passes("HTML", |s, n| answer(s, n, Answer::html(200)))
            .logs("something in between responded, not the API: HTTP 200, text/html; charset=UTF-8: \"200\""),
        passes("plain text", |s, n| {
            answer(s, n, Answer::new(200, "text/plain", "upstream error\nat line 2"))
        })
        .logs("not the API: HTTP 200, text/plain: \"upstream error\""),
        passes("a list", |s, n| answer(s, n, Answer::json(200, "[]"))),
        passes("another JSON", |s, n| {
            answer(s, n, Answer::json(200, r#"{"message":"no Route matched"}"#))
        })
        .logs("not the API: HTTP 200, application/json: \"no Route matched\""),
        passes("no success", |s, n| {
            page_2(s, n, |page| {
                page.as_object_mut().unwrap().remove("success");
            })
        }),
        passes("redirect", |s, n| {
            answer(s, n, Answer::redirect("https://example.com/?token=x"))
        })
        .logs("not the API: HTTP 302 redirects to example.com, which is not followed"),
        passes("firewall", |s, n| {
            let page = "<!DOCTYPE html>\n<html><title>Attention Required! | Cloudflare</title><h1>Sorry, you have been blocked</h1>";
            answer(s, n, Answer::new(403, "text/html", page).header("cf-ray", "8f1e2d3c4b5a6978-FRA"));
        })
        .logs("a firewall or proxy responded, not the API: HTTP 403, text/html: \"Attention Required! | Cloudflare\", \
               CF-RAY 8f1e2d3c4b5a6978-FRA: retrying"),
        passes("challenge", |s, n| {
            let page = Answer::new(403, "text/html", "<title>Just a moment...</title>");
            answer(s, n, page.header("cf-mitigated", "challenge"));
        })
        .logs("a firewall requires a browser check"),
        passes("signature", |s, n| answer(s, n, Answer::new(403, "text/plain", "error code: 1010")))
            .logs("blocks this program by its signature (error 1010)"),
        passes("rate limit", |s, n| {
            answer(s, n, Answer::new(403, "text/plain", "error code: 1015").header("retry-after", "1.5"));
        })
        .logs("Cloudflare's rate limit responded (error 1015)"),
        passes("401 text", |s, n| answer(s, n, Answer::new(401, "text/plain", "Unauthorized"))),
        passes("404 text", |s, n| answer(s, n, Answer::new(404, "text/plain", "404 page not found")))
            .logs("HTTP 404, text/plain: \"404 page not found\""),
        passes("410 HTML", |s, n| answer(s, n, Answer::html(410))),
        passes("425", |s, n| answer(s, n, Answer::new(425, "text/plain", ""))),
        passes("499", |s, n| answer(s, n, Answer::new(499, "text/plain", ""))),
        passes("520", |s, n| answer(s, n, Answer::html(520))).logs("HTTP 520, text/html; charset=UTF-8: \"520\""),
        passes("proxy for a while", |s, n| answer(s, n, Answer::html(502)))
            .logs("HTTP 502, text/html; charset=UTF-8: \"502\""),
        case("proxy for ever", |s, n| {
            s.fault(n, When::From(2), Fault::Answer(Answer::html(502)))
        })
        .args(&["--retry-for", "2s"])
        .ends_interrupted(&[
            "page 2",
            "HTTP 502, text/html; charset=UTF-8: \"502\"",
            "gave up after",
            "retry later",
        ]),
        case("portal for ever", |s, n| {
            s.fault(n, When::From(2), Fault::Answer(Answer::html(200)))
        })
        .args(&["--retry-for", "2s"])
        .ends_interrupted(&["page 2", "not the API", "gave up after", "retry later"]),
        case("teapot", |s, n| answer(s, n, Answer::error(418, 1, "short and stout")))
            .ends_interrupted(&["page 2", "HTTP 418: short and stout (code 1)"]),
    ])
    .await;
}

/// The API's own faults, and refusals of a token that it had accepted.
#[tokio::test]
async fn the_apis_own_troubles_pass_too() {
    check([
        passes("unknown error, 200", |s, n| {
            answer(s, n, Answer::error(200, 10013, "An unknown error has occurred"))
        })
        .logs("An unknown error has occurred (code 10013)"),
        passes("unknown error, 400", |s, n| {
            answer(s, n, Answer::error(400, 10013, "workers.api.error.unknown"))
        }),
        passes("unknown error, 404", |s, n| {
            answer(s, n, Answer::error(404, 10002, "An unknown error has occurred."))
        }),
        passes("401", |s, n| {
            answer(s, n, Answer::error(401, 10000, "Authentication error"))
        }),
        passes("403", |s, n| {
            answer(s, n, Answer::error(403, 10000, "Authentication error"))
        }),
        case("403 three times", |s, n| {
            let refused = Fault::Answer(Answer::error(403, 10000, "Authentication error"));
            for number in 2..5 {
                s.fault(n, When::Nth(number), refused.clone());
            }
        })
        .in_requests(6),
        passes("byte order mark", |s, n| {
            s.fault(
                n,
                When::Nth(2),
                Fault::rewrite(|page| {
                    page.body = [b"\xef\xbb\xbf", page.body.as_ref()].concat().into();
                }),
            );
            s.fault(n, When::Nth(3), Fault::Answer(Answer::html(503)));
        }),
    ])
    .await;
}
