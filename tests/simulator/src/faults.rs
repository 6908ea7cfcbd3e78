//! Faults between a client and the service, and the requests that they hit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answer::{Answer, Field, Page};
use crate::traffic::Request;

type Hook = Arc<dyn Fn(&Request) -> Option<Answer> + Send + Sync>;
type Edit = Arc<dyn Fn(&Request, &mut Page) + Send + Sync>;
type Rewrite = Arc<dyn Fn(&mut Answer) + Send + Sync>;

/// One fault. Several faults may hit the same request: delays add up, the first response wins, every edit is applied,
/// and faults of the body apply to whatever is sent.
#[derive(Clone)]
pub enum Fault {
    /// Sends this response instead of the real one.
    Answer(Answer),
    /// Sends the closure's response, if it returns one.
    Hook(Hook),
    /// Delays the response.
    Delay(Duration),
    /// Delays the response until a test releases it.
    Hold(Hold),
    /// Closes the connection without a response.
    Reset,
    /// Closes the connection after this many bytes of the body, although `Content-Length` announced all of it.
    CutBody(usize),
    /// Sends the body in pieces of this many bytes, with a pause before each.
    SlowBody(usize, Duration),
    /// Object list only: 400 with code 10001, if the request has a cursor.
    RefuseCursor,
    /// Object list only: serves the first page, whatever cursor was sent.
    IgnoreCursor,
    /// Object list only: an empty page in the middle. Its cursor is new and leads to the same objects.
    EmptyMiddle,
    /// Object list only: changes the page before it is serialized.
    Edit(Edit),
    /// Changes the serialized response, to produce what no genuine page contains.
    Rewrite(Rewrite),
}

impl Fault {
    pub fn status(status: u16, content_type: &str, body: &str) -> Self {
        Self::Answer(Answer::new(status, content_type, body.to_owned()))
    }

    pub fn too_many(retry_after: Option<&str>) -> Self {
        Self::Answer(Answer::too_many_requests(retry_after))
    }

    /// Status 200 with this text.
    pub fn body(text: &str) -> Self {
        Self::Answer(Answer::json(200, text.to_owned()))
    }

    pub fn hook(hook: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::Hook(Arc::new(hook))
    }

    pub fn edit(edit: impl Fn(&Request, &mut Page) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(edit))
    }

    pub fn rewrite(rewrite: impl Fn(&mut Answer) + Send + Sync + 'static) -> Self {
        Self::Rewrite(Arc::new(rewrite))
    }

    /// Changes the JSON of a response. A response that is not JSON stays as it is.
    pub fn json(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::rewrite(move |answer| {
            if let Ok(mut value) = serde_json::from_slice(&answer.body) {
                change(&mut value);
                answer.body = value.to_string().into();
            }
        })
    }

    /// An empty last page: the remaining objects are lost.
    pub fn empty_end() -> Self {
        Self::edit(|_, page| {
            page.rows.clear();
            page.count = 0;
            page.set_next("");
        })
    }

    /// Serves the page's rows as the last page, too early.
    pub fn truncate() -> Self {
        Self::edit(|_, page| page.set_next(""))
    }

    /// Removes the cursor from a page that should have one. A client that reads another key sees the same.
    pub fn no_cursor_key() -> Self {
        Self::edit(|_, page| (page.cursor, page.cursors_after) = (Field::Absent, Field::Absent))
    }

    /// Returns the cursor of the request again.
    pub fn repeat_cursor() -> Self {
        Self::edit(|request, page| {
            if let Some(cursor) = request.param("cursor") {
                page.set_next(cursor);
            }
        })
    }

    /// Hands out `length` cursors, then the first of them again.
    pub fn cursor_cycle(length: usize) -> Self {
        let handed_out = Mutex::new(Vec::<String>::new());
        Self::edit(move |_, page| {
            let mut cycle = handed_out.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(next) = page.next().map(str::to_owned) else {
                return;
            };
            if cycle.contains(&next) {
                return;
            }
            if cycle.len() < length {
                cycle.push(next);
            } else if let Some(first) = cycle.first() {
                page.set_next(first);
            }
        })
    }

    /// Puts different cursors into the two fields.
    pub fn cursors_differ() -> Self {
        Self::edit(|_, page| {
            page.cursor = Field::Text("one".to_owned());
            page.cursors_after = Field::Text("another".to_owned());
        })
    }

    /// Reverses the page's rows.
    pub fn out_of_order() -> Self {
        Self::edit(|_, page| page.rows.reverse())
    }

    pub fn wrong_count() -> Self {
        Self::edit(|_, page| page.count += 1)
    }

    /// `success: true` next to an error.
    pub fn success_with_errors() -> Self {
        Self::edit(|_, page| page.errors = vec![json!({ "code": 1000, "message": "message" })])
    }
}

/// The requests to a namespace, or to the list, that a fault hits. Numbers count from 1, which is the first request
/// after the rule was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Nth(u64),
    /// The next `n` requests.
    First(u64),
    /// The n-th request and all after it.
    From(u64),
    Always,
}

impl When {
    const fn hits(self, number: u64) -> bool {
        match self {
            Self::Nth(n) => number == n,
            Self::First(n) => number <= n,
            Self::From(n) => number >= n,
            Self::Always => true,
        }
    }
}

struct Rule {
    when: When,
    fault: Fault,
    seen: u64,
}

/// The pending faults of one namespace, or of an account's namespace list.
#[derive(Default)]
pub struct Plan(Vec<Rule>);

impl Plan {
    pub fn add(&mut self, when: When, fault: Fault) {
        self.0.push(Rule { when, fault, seen: 0 });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a request and returns the faults that hit it.
    pub(crate) fn next(&mut self) -> Vec<Fault> {
        let hit = self.0.iter_mut().filter_map(|rule| {
            rule.seen += 1;
            rule.when.hits(rule.seen).then(|| rule.fault.clone())
        });
        hit.collect()
    }
}

/// A known point in a walk. The server waits there until it is released, so that a test can kill the client or change
/// the namespace in between.
#[derive(Clone)]
pub struct Hold {
    held: watch::Sender<bool>,
    released: watch::Sender<bool>,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self {
            held: watch::Sender::new(false),
            released: watch::Sender::new(false),
        }
    }

    /// Waits for the request to arrive. Panics after 30 s, because a test that waits forever explains nothing.
    pub async fn wait_until_held(&self) {
        let mut held = self.held.subscribe();
        tokio::time::timeout(Duration::from_secs(30), held.wait_for(|held| *held))
            .await
            .expect("the request to be held came within 30 s")
            .expect("the sender lives in self");
    }

    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(crate) async fn stop(&self) {
        self.held.send_replace(true);
        // This can only fail without a sender, and `self` holds one.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}
