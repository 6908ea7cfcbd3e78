//! Simulates the passing of time: changes that are the same on every run, with an exact account of each.

use std::collections::BTreeMap;

use axum::extract::{Query, State as Shared};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::http::{SharedState, lock, whole};
use crate::objects::{Flag, Id, Objects};
use crate::random::{Random, hash};
use crate::state::{Calendar, Namespace, State};

/// The difference between two states of a namespace. An object that was created and removed in between is not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    pub id: String,
    pub name: Option<String>,
    pub created: u64,
    pub removed: u64,
    pub data_gained: u64,
    pub data_lost: u64,
}

/// The result of [`State::pass_time`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Days since the start.
    pub day: u64,
    /// The namespaces whose objects changed.
    pub namespaces: Vec<Change>,
    pub appeared: Vec<String>,
    pub vanished: Vec<String>,
}

/// Percentages of the daily churn, if days of the week differ.
const WEEK: [u64; 7] = [100, 130, 90, 110, 150, 70, 50];

impl State {
    /// Lets days pass. On each day, the objects of namespaces with daily churn change, and namespaces come or go as the
    /// calendar has it.
    pub fn pass_time(&mut self, days: u64) -> Passed {
        let before: BTreeMap<String, BTreeMap<Id, Flag>> = self.changing();
        let listed = self.ids();
        for _ in 0..days {
            self.day += 1;
            let day = self.day;
            let percent = match self.calendar {
                Calendar::Previews => 100,
                Calendar::Planned { .. } => WEEK[(day % 7) as usize],
            };
            for namespace in self.namespaces.iter_mut().filter(|n| n.daily != [0; 3]) {
                churn(namespace, namespace.daily.map(|count| count * percent / 100), day);
            }
            self.namespaces_come_or_go();
        }
        let after = self.ids();
        let changes = self
            .namespaces
            .iter()
            .filter_map(|n| Some(compare(n, before.get(&n.id)?)));
        Passed {
            day: self.day,
            namespaces: changes.filter(Change::is_any).collect(),
            appeared: after.iter().filter(|id| !listed.contains(id)).cloned().collect(),
            vanished: listed.iter().filter(|id| !after.contains(id)).cloned().collect(),
        }
    }

    fn changing(&self) -> BTreeMap<String, BTreeMap<Id, Flag>> {
        let changing = self.namespaces.iter().filter(|n| n.daily != [0; 3]);
        changing.map(|n| (n.id.clone(), n.objects().to_map())).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.namespaces.iter().map(|n| n.id.clone()).collect()
    }

    fn namespaces_come_or_go(&mut self) {
        let day = self.day;
        match &mut self.calendar {
            Calendar::Previews => self.preview_comes_or_goes(day),
            Calendar::Planned { arrivals, departures } => {
                let gone: Vec<_> = departures.iter().filter(|(on, _)| *on == day).collect();
                let is_gone = |n: &Namespace| gone.iter().any(|(_, name)| n.name.as_ref() == Some(name));
                self.namespaces.retain(|namespace| !is_gone(namespace));
                let arrived = arrivals.extract_if(.., |(on, _)| *on == day);
                self.namespaces.extend(arrived.map(|(_, namespace)| namespace));
            }
        }
    }

    fn preview_comes_or_goes(&mut self, day: u64) {
        let Some(oldest) = self.namespaces.iter().position(|n| n.preview.is_some()) else {
            return;
        };
        if day % 2 == 1 {
            self.namespaces.remove(oldest);
            return;
        }
        let account = self.namespaces[oldest].account.clone();
        let objects = Objects::seeded(20 + day as usize, day);
        self.namespaces
            .push(crate::demo::preview(&account, day / 2 + 2, objects));
    }

    /// Removes, adds and flips the given percentages of a namespace's objects. `called` is the namespace's name or id.
    pub fn churn(&mut self, called: &str, created: f64, removed: f64, flipped: f64) -> Option<Change> {
        self.day += 1;
        let day = self.day;
        let is_called = |n: &&mut Namespace| n.id == called || n.name.as_deref() == Some(called);
        let namespace = self.namespaces.iter_mut().find(is_called)?;
        let before = namespace.objects().to_map();
        let share = |percent: f64| (before.len() as f64 * percent / 100.0).round() as u64;
        churn(namespace, [share(created), share(removed), share(flipped)], day);
        Some(compare(namespace, &before))
    }
}

fn churn(namespace: &mut Namespace, [created, removed, flipped]: [u64; 3], day: u64) {
    let mut random = Random::new(hash(namespace.id.as_bytes()) ^ day);
    let objects = namespace.objects_mut();
    for _ in 0..removed {
        if let Some(id) = pick(objects, &mut random, |_| true) {
            objects.remove(&id);
        }
    }
    for _ in 0..flipped {
        if let Some(id) = pick(objects, &mut random, |flag| flag.is_some()) {
            objects.entry(id).and_modify(|flag| *flag = flag.map(|data| !data));
        }
    }
    for _ in 0..created {
        objects.insert(random.id(), Some(random.next().is_multiple_of(2)));
    }
}

/// The first matching object after a random position.
fn pick(objects: &BTreeMap<Id, Flag>, random: &mut Random, fits: impl Fn(&Flag) -> bool) -> Option<Id> {
    let mut around = objects.range(random.id()..).chain(objects);
    around.find(|(_, flag)| fits(flag)).map(|(id, _)| *id)
}

fn compare(namespace: &Namespace, before: &BTreeMap<Id, Flag>) -> Change {
    let after = namespace.objects().to_map();
    let mut change = Change {
        id: namespace.id.clone(),
        name: namespace.name.clone(),
        ..Change::default()
    };
    for (id, flag) in &after {
        match (before.get(id), flag) {
            (None, _) => change.created += 1,
            (Some(Some(false)), Some(true)) => change.data_gained += 1,
            (Some(Some(true)), Some(false)) => change.data_lost += 1,
            (Some(_), _) => {}
        }
    }
    change.removed = before.keys().filter(|id| !after.contains_key(*id)).count() as u64;
    change
}

impl Change {
    const fn is_any(&self) -> bool {
        self.created + self.removed + self.data_gained + self.data_lost > 0
    }
}

#[derive(Deserialize)]
pub(crate) struct PassTime {
    #[serde(default = "one_day")]
    days: u64,
}

const fn one_day() -> u64 {
    1
}

pub(crate) async fn pass_time_request(
    Shared(state): Shared<SharedState>,
    Query(PassTime { days }): Query<PassTime>,
) -> Response {
    let passed = lock(&state).pass_time(days);
    whole(json(&passed))
}

/// Percentages of the namespace's objects.
#[derive(Deserialize)]
pub(crate) struct Churn {
    namespace: String,
    #[serde(default)]
    added: f64,
    #[serde(default)]
    removed: f64,
    #[serde(default)]
    flipped: f64,
}

pub(crate) async fn churn_request(Shared(state): Shared<SharedState>, Query(churn): Query<Churn>) -> Response {
    let change = lock(&state).churn(&churn.namespace, churn.added, churn.removed, churn.flipped);
    whole(match change {
        Some(change) => json(&change),
        None => Answer::error(404, 10066, "Durable Object namespace not found"),
    })
}

fn json(value: &impl Serialize) -> Answer {
    let text = serde_json::to_string(value).expect("plain structs of numbers and texts can be written");
    Answer::json(200, text + "\n")
}
