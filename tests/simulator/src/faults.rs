//! Everything that goes wrong between a client and the service, and when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answer::{Answer, Field, Page};
use crate::traffic::Request;

type Hook = Arc<dyn Fn(&Request) -> Option<Answer> + Send + Sync>;
type Edit = Arc<dyn Fn(&Request, &mut Page) + Send + Sync>;
type Rewrite = Arc<dyn Fn(&mut Answer) + Send + Sync>;

/// One thing that goes wrong. Several may hit the same request: the delays add up, the first answer wins, every edit
/// is made, and what happens to the body happens to whatever is answered.
#[derive(Clone)]
pub enum Fault {
    /// This answer instead of the true one.
    Answer(Answer),
    /// The same, where the closure has one.
    Hook(Hook),
    /// Waits before it answers.
    Delay(Duration),
    /// Waits before it answers until a test lets go.
    Hold(Hold),
    /// Closes the connection without an answer.
    Reset,
    /// Closes the connection after so many bytes of the body; `Content-Length` promised all.
    CutBody(usize),
    /// Sends the body in pieces of so many bytes, with a pause before each.
    SlowBody(usize, Duration),
    /// Objects only: 400 with code 10001, where the request has a cursor.
    RefuseCursor,
    /// Objects only: the first page, whatever cursor was sent.
    IgnoreCursor,
    /// Objects only: an empty page in the middle. Its cursor is new and leads on to the same objects.
    EmptyMiddle,
    /// Objects only: changes the page before it is written.
    Edit(Edit),
    /// Changes the answer as it was written, to say what no true page can.
    Rewrite(Rewrite),
}

impl Fault {
    pub fn status(status: u16, content_type: &str, body: &str) -> Self {
        Self::Answer(Answer::new(status, content_type, body.to_owned()))
    }

    pub fn too_many(retry_after: Option<&str>) -> Self {
        Self::Answer(Answer::too_many_requests(retry_after))
    }

    /// Status 200 and this text.
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

    /// Changes an answer's JSON; one that is none stays as it is.
    pub fn json(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::rewrite(move |answer| {
            if let Ok(mut value) = serde_json::from_slice(&answer.body) {
                change(&mut value);
                answer.body = value.to_string().into();
            }
        })
    }

    /// No rows, and the end: all that is left of the namespace is lost.
    pub fn empty_end() -> Self {
        Self::edit(|_, page| {
            page.rows.clear();
            page.count = 0;
            page.set_next("");
        })
    }

    /// The page's rows, and an end that comes too early.
    pub fn truncate() -> Self {
        Self::edit(|_, page| page.set_next(""))
    }

    /// No cursor where there should be one: how a listing looks to a client that reads another key.
    pub fn no_cursor_key() -> Self {
        Self::edit(|_, page| (page.cursor, page.cursors_after) = (Field::Absent, Field::Absent))
    }

    /// Hands out the cursor that it was asked with.
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

    /// Two cursors in the two places.
    pub fn cursors_differ() -> Self {
        Self::edit(|_, page| {
            page.cursor = Field::Text("one".to_owned());
            page.cursors_after = Field::Text("another".to_owned());
        })
    }

    /// The page's rows, from the last to the first.
    pub fn out_of_order() -> Self {
        Self::edit(|_, page| page.rows.reverse())
    }

    pub fn wrong_count() -> Self {
        Self::edit(|_, page| page.count += 1)
    }

    /// `success: true` with an error beside it.
    pub fn success_with_errors() -> Self {
        Self::edit(|_, page| page.errors = vec![json!({ "code": 1000, "message": "message" })])
    }
}

/// Which of the requests to a namespace, or to the list, a fault hits. Numbers count from 1, the next request after
/// the rule was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Nth(u64),
    /// The next so many.
    First(u64),
    /// This one and all after it.
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

/// The faults that wait for the requests to one namespace, or to the list of an account.
#[derive(Default)]
pub struct Plan(Vec<Rule>);

impl Plan {
    pub fn add(&mut self, when: When, fault: Fault) {
        self.0.push(Rule { when, fault, seen: 0 });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Counts a request and says what hits it.
    pub(crate) fn next(&mut self) -> Vec<Fault> {
        let hit = self.0.iter_mut().filter_map(|rule| {
            rule.seen += 1;
            rule.when.hits(rule.seen).then(|| rule.fault.clone())
        });
        hit.collect()
    }
}

/// A known point in a walk: the server stops there until it is released, so that a test can end the client or change
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

    /// Until the request has come. Panics after 30 s, because a test that waits for ever says nothing.
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
        // It fails only without a sender, and one lives in self.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}
