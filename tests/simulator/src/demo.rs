//! The demonstration's account, with a namespace of every kind that occurs in practice.

use serde_json::json;

use crate::faults::{Fault, When};
use crate::objects::Objects;
use crate::state::{Account, Calendar, Namespace, State};

pub const ACCOUNT: &str = "00000000000000000000000000000d0d";
pub const TOKEN: &str = "demo-token";

impl State {
    pub fn demo() -> Self {
        let mut state = Self::default();
        let account = Account {
            name: Some("Demonstration".to_owned()),
            credentials: vec![format!("Bearer {TOKEN}")],
            ..Account::default()
        };
        state.accounts.insert(ACCOUNT.to_owned(), account);
        state.namespaces = vec![
            namespace("chat", "ChatRoom", 100_000, [120, 80, 40]),
            namespace("chat", "Archive", 0, [0; 3]),
            // Exactly the API's largest page, so the last page is full.
            namespace("login", "Session", 10_000, [0; 3]),
            impatient(),
            preview(ACCOUNT, 1, Objects::seeded(12, 1)),
            preview(ACCOUNT, 2, Objects::seeded(40, 2)),
        ];
        state
    }

    /// The same account, smaller, for a record with a run on each day of a month.
    pub fn demo_month() -> Self {
        let mut state = Self::demo();
        for namespace in &mut state.namespaces {
            match namespace.class.as_deref() {
                Some("ChatRoom") => namespace.set_objects(Objects::seeded(12_000, 12_000)),
                Some("Session") => namespace.set_objects(Objects::seeded(3_000, 3_000)),
                _ => {}
            }
        }
        state.calendar = Calendar::Planned {
            arrivals: vec![
                (10, preview(ACCOUNT, 3, Objects::seeded(30, 3))),
                (12, namespace("notes", "Document", 300, [90, 5, 20])),
                (26, preview(ACCOUNT, 4, Objects::seeded(44, 4))),
            ],
            departures: vec![(15, "shop_Cart_pr-1".to_owned()), (31, "shop_Cart_pr-2".to_owned())],
        };
        state
    }
}

fn namespace(script: &str, class: &str, count: usize, daily: [u64; 3]) -> Namespace {
    let mut namespace = Namespace::new(ACCOUNT, &format!("{script}_{class}"));
    namespace.script = Some(script.to_owned());
    namespace.class = Some(class.to_owned());
    namespace.daily = daily;
    namespace.set_objects(Objects::seeded(count, count as u64));
    namespace
}

/// A namespace whose first request is rate-limited.
fn impatient() -> Namespace {
    let mut namespace = namespace("game", "Leaderboard", 2_500, [15, 10, 25]);
    namespace.faults.add(When::Nth(1), Fault::too_many(Some("2")));
    namespace
}

/// A preview deployment, which shares the script and class of its parent.
pub(crate) fn preview(account: &str, number: u64, objects: Objects) -> Namespace {
    let slug = format!("pr-{number}");
    let mut namespace = Namespace::new(account, &format!("shop_Cart_{slug}"));
    namespace.script = Some("shop".to_owned());
    namespace.class = Some("Cart".to_owned());
    namespace.preview = Some(json!({ "id": format!("preview-{number}"), "slug": slug, "name": slug }));
    namespace.set_objects(objects);
    namespace
}
