//! Applies a schedule's events to the simulator, and counts those that took effect.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use cloudflare_simulator::{Fault, Id, Namespace, Simulator, When, parse_id};
use serde_json::json;

use super::coverage::Coverage;
use super::random::Random;
use super::schedule::{Churn, Trouble};
use super::served::Objects;

/// Longer than the runs' read timeout.
const STALL: Duration = Duration::from_millis(250);

/// Removed objects, which may come back.
pub type Graveyard = Arc<Mutex<Vec<Id>>>;

/// The rules for one event at the n-th request to a namespace or to the list. The counting rule comes first, because a
/// response hides the rules after it.
pub fn rules(
    trouble: Trouble,
    n: u64,
    coverage: &Coverage,
    change: impl Fn(Churn) + Send + Sync + 'static,
) -> Vec<(When, Fault)> {
    let when = match trouble {
        Trouble::Down | Trouble::CursorCycle => When::From(n),
        _ => When::Nth(n),
    };
    let (name, coverage) = (name(trouble), coverage.clone());
    let counted = Fault::hook(move |request| {
        if trouble != Trouble::RefuseCursor || request.param("cursor").is_some() {
            coverage.count(format!("fault: {name}"));
        }
        if let Trouble::ChurnInWalk(churn) = trouble {
            change(churn);
        }
        None
    });
    let mut rules = vec![(when, counted)];
    rules.extend(fault(trouble).map(|fault| (when, fault)));
    rules
}

pub fn name(trouble: Trouble) -> String {
    let text = format!("{trouble:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

fn fault(trouble: Trouble) -> Option<Fault> {
    Some(match trouble {
        Trouble::TooMany => Fault::too_many(None),
        Trouble::TooManyRetryNow => Fault::too_many(Some("0")),
        Trouble::TooManyRetryLater => Fault::too_many(Some("1")),
        Trouble::Unavailable | Trouble::Down => Fault::status(503, "text/plain", "upstream is away"),
        Trouble::BadGateway => Fault::Answer(cloudflare_simulator::Answer::html(502)),
        Trouble::Reset => Fault::Reset,
        Trouble::CutBody(bytes) => Fault::CutBody(bytes),
        Trouble::SlowBody => Fault::SlowBody(300, Duration::from_millis(2)),
        Trouble::Stalled => Fault::SlowBody(usize::MAX, STALL),
        Trouble::NotJson => Fault::body("<html>a captive portal</html>"),
        Trouble::WrongShape => Fault::body(r#"{"success":true,"errors":[],"result":{"objects":[]},"result_info":{}}"#),
        Trouble::ErrorsBesideSuccess => Fault::success_with_errors(),
        Trouble::Forbidden => refusal(403, 9109, "Unauthorized to access requested resource"),
        Trouble::NotFound => refusal(404, 10066, "Durable Object namespace not found"),
        Trouble::RefuseCursor => Fault::RefuseCursor,
        Trouble::IgnoreCursor => Fault::IgnoreCursor,
        Trouble::RepeatCursor => Fault::repeat_cursor(),
        Trouble::CursorCycle => Fault::cursor_cycle(2),
        Trouble::CursorsDiffer => Fault::cursors_differ(),
        Trouble::NoCursorKey => Fault::no_cursor_key(),
        Trouble::EmptyMiddle => Fault::EmptyMiddle,
        Trouble::EmptyEnd => Fault::empty_end(),
        Trouble::Truncated => Fault::truncate(),
        Trouble::OutOfOrder => Fault::out_of_order(),
        Trouble::DuplicateRow => duplicates(),
        Trouble::WrongCount => Fault::wrong_count(),
        Trouble::ChurnInWalk(_) => return None,
    })
}

fn refusal(status: u16, code: u32, message: &str) -> Fault {
    let body = json!({ "success": false, "errors": [{ "code": code, "message": message }], "result": null });
    Fault::status(status, "application/json", &body.to_string())
}

/// Repeats the previous page's last row without data, and lists this page's last row with data and then without.
fn duplicates() -> Fault {
    Fault::edit(|request, page| {
        if let Some(before) = request.param("cursor").and_then(parse_id) {
            page.rows.insert(0, (before, Some(false)));
        }
        if let Some((last, flag)) = page.rows.last().copied() {
            page.rows.push((last, flag.map(|flag| !flag)));
        }
        page.count = page.rows.len();
    })
}

/// Changes a namespace of a simulator that may have been dropped.
pub fn changer(
    simulator: &Arc<Simulator>,
    namespace: String,
    graveyard: Graveyard,
    seed: u64,
) -> impl Fn(Churn) + Send + Sync + 'static {
    let simulator: Weak<Simulator> = Arc::downgrade(simulator);
    move |churn| {
        let Some(simulator) = simulator.upgrade() else { return };
        simulator.with(|state| {
            if let Some(namespace) = state.namespace(&namespace) {
                apply(namespace, churn, &graveyard, &mut Random::new(seed));
            }
        });
    }
}

/// Applies a change to a namespace that stays listed.
pub fn apply(namespace: &mut Namespace, churn: Churn, graveyard: &Graveyard, random: &mut Random) {
    match churn {
        Churn::Order(order) => namespace.order = order,
        Churn::Cursors(style) => namespace.cursor_style = style,
        Churn::NamespaceGoes | Churn::NamespaceReturns => {}
        _ => change_objects(namespace.objects_mut(), churn, &mut graveyard.lock().unwrap(), random),
    }
}

fn change_objects(objects: &mut Objects, churn: Churn, graveyard: &mut Vec<Id>, random: &mut Random) {
    let times = match churn {
        Churn::Create(n) | Churn::Remove(n) | Churn::Flip(n) | Churn::Return(n) => n,
        _ => 0,
    };
    if churn == Churn::RemoveAll {
        graveyard.extend(objects.keys());
        objects.clear();
    }
    for _ in 0..times {
        let any = objects
            .keys()
            .nth(random.below(objects.len().max(1) as u64) as usize)
            .copied();
        match (churn, any) {
            (Churn::Create(_), _) => {
                objects.insert(random.id(), random.flag());
            }
            (Churn::Remove(_), Some(id)) => {
                objects.remove(&id);
                graveyard.push(id);
            }
            (Churn::Flip(_), Some(id)) => {
                objects.insert(id, random.flag());
            }
            (Churn::Return(_), _) if !graveyard.is_empty() => {
                let place = random.below(graveyard.len() as u64) as usize;
                objects.insert(graveyard.swap_remove(place), random.flag());
            }
            _ => {}
        }
    }
}
