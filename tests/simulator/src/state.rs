//! The service's state: accounts, their credentials, their namespaces and the settings of each.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Field, Page};
use crate::cursor::{CursorStyle, Position, hex};
use crate::faults::{Fault, Plan};
use crate::objects::{Flag, Id, Objects, Order, Row};
use crate::random::{Random, hash};
use crate::traffic::{Request, Traffic};

#[derive(Default)]
pub struct State {
    pub accounts: BTreeMap<String, Account>,
    /// Faults of the list of accounts.
    pub account_faults: Plan,
    /// In the order of the list. Ids are unique across accounts.
    pub namespaces: Vec<Namespace>,
    pub traffic: Traffic,
    /// Delay before every response.
    pub latency: Duration,
    /// Days that have passed.
    pub(crate) day: u64,
    pub(crate) calendar: Calendar,
}

/// What days bring, besides the changes of objects.
#[derive(Default)]
pub(crate) enum Calendar {
    /// The oldest preview is deleted on odd days, and another one is created on even days.
    #[default]
    Previews,
    /// Namespaces appear and, by their names, vanish on certain days, and days of the week differ.
    Planned {
        arrivals: Vec<(u64, Namespace)>,
        departures: Vec<(u64, String)>,
    },
}

#[derive(Default)]
pub struct Account {
    /// What the list of accounts calls it.
    pub name: Option<String>,
    /// `Bearer TOKEN`, or `EMAIL KEY` for the older pair.
    pub credentials: Vec<String>,
    /// What credentials see that are limited to some of the namespaces.
    pub sights: HashMap<String, Sight>,
    /// Lists all namespaces on whichever page was requested, like Cloudflare's local server.
    pub ignores_paging: bool,
    /// Faults of the namespace list.
    pub faults: Plan,
}

/// The view of a token that is limited to some of an account's namespaces.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Ids.
    pub namespaces: Vec<String>,
    /// Whether the list contains the other namespaces, too.
    pub lists_others: bool,
    /// The response to a request for the objects of another namespace.
    pub others: Answer,
}

/// The place of the cursor in `result_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CursorKey {
    /// `cursor`, and `""` on the last page.
    #[default]
    ResultInfoCursor,
    /// `cursors.after`, and `""` on the last page.
    CursorsAfter,
    Both,
    /// `cursor`, and null on the last page.
    NullAtEnd,
    /// `cursor`, and no such key on the last page.
    AbsentAtEnd,
}

pub struct Namespace {
    pub account: String,
    pub id: String,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    pub use_sqlite: Option<bool>,
    pub preview: Option<Value>,
    pub cursor_style: CursorStyle,
    pub cursor_key: CursorKey,
    pub order: Order,
    /// Whether `result_info` contains `per_page` and `total_count`, as documented.
    pub totals: bool,
    pub faults: Plan,
    /// Caches each response by request until the objects change, so that only sending it takes time. Meant for servers
    /// whose other settings stay the same.
    pub keeps_answers: bool,
    /// Objects created, removed and flipped per day.
    pub(crate) daily: [u64; 3],
    objects: Objects,
    arranged: Option<(Order, Vec<Row>)>,
    /// Cached responses by the request's query.
    kept: HashMap<String, Answer>,
    empty_pages: u64,
}

impl Namespace {
    /// An empty namespace in a Worker `worker`, with a class named like the namespace. Its id is derived from account
    /// and name.
    pub fn new(account: &str, name: &str) -> Self {
        let mut random = Random::new(hash(format!("{account}/{name}").as_bytes()));
        Self {
            account: account.to_owned(),
            id: hex(&random.id()[..16]),
            name: Some(name.to_owned()),
            script: Some("worker".to_owned()),
            class: Some(name.to_owned()),
            use_sqlite: Some(true),
            preview: None,
            cursor_style: CursorStyle::default(),
            cursor_key: CursorKey::default(),
            order: Order::default(),
            totals: false,
            faults: Plan::default(),
            keeps_answers: false,
            daily: [0; 3],
            objects: Objects::Stored(BTreeMap::new()),
            arranged: None,
            kept: HashMap::new(),
            empty_pages: 0,
        }
    }

    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    pub fn set_objects(&mut self, objects: Objects) {
        self.forget_answers();
        self.objects = objects;
    }

    /// The objects, for individual changes. Computed objects are stored first.
    pub fn objects_mut(&mut self) -> &mut BTreeMap<Id, Flag> {
        self.forget_answers();
        self.objects.stored()
    }

    fn forget_answers(&mut self) {
        self.arranged = None;
        self.kept.clear();
    }

    fn listed(&self) -> Value {
        let mut row = Map::new();
        row.insert("id".to_owned(), json!(self.id));
        row.insert("script".to_owned(), json!(self.script));
        let optional = [
            ("name", json!(self.name)),
            ("class", json!(self.class)),
            ("use_sqlite", json!(self.use_sqlite)),
        ];
        let preview = [("preview", json!(self.preview))];
        for (key, value) in optional.into_iter().chain(preview) {
            if !value.is_null() {
                row.insert(key.to_owned(), value);
            }
        }
        Value::from(row)
    }

    fn style(&self) -> CursorStyle {
        match self.order {
            Order::Ascending => self.cursor_style,
            Order::Shuffled(_) | Order::BrokenAt(_) => CursorStyle::Opaque,
        }
    }

    pub(crate) fn answer(&mut self, request: &Request, faults: &[Fault]) -> Answer {
        if let Some(answer) = self.kept.get(&request.query).filter(|_| faults.is_empty()) {
            return answer.clone();
        }
        let answer = match self.page(request, faults) {
            Ok(page) => page.answer(),
            Err(refusal) => refusal,
        };
        if self.keeps_answers && faults.is_empty() {
            self.kept.insert(request.query.clone(), answer.clone());
        }
        answer
    }

    fn page(&mut self, request: &Request, faults: &[Fault]) -> Result<Page, Answer> {
        let limit = match request.param("limit").map_or(Ok(1000), str::parse::<usize>) {
            Ok(limit @ 10..=10_000) => limit,
            _ => return Err(Answer::error(400, 10001, "limit must be between 10 and 10000")),
        };
        let has = |wanted: fn(&Fault) -> bool| faults.iter().any(wanted);
        let after = match request.param("cursor") {
            None => None,
            Some(_) if has(|f| matches!(f, Fault::RefuseCursor)) => return Err(bad_cursor()),
            Some(_) if has(|f| matches!(f, Fault::IgnoreCursor)) => None,
            Some(text) => self.style().read(&self.id, text).ok_or_else(bad_cursor)?.after,
        };
        let mut page = if has(|f| matches!(f, Fault::EmptyMiddle)) {
            self.empty_page(after)
        } else {
            self.true_page(after, limit)
        };
        page.totals = self.totals.then(|| (limit, self.objects.len()));
        for fault in faults {
            if let Fault::Edit(edit) = fault {
                edit(request, &mut page);
            }
        }
        Ok(page)
    }

    fn true_page(&mut self, after: Option<Id>, limit: usize) -> Page {
        // One row more than the page serves shows whether this is the last page.
        let mut rows = self.rows(after, limit + 1);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(|(id, _)| *id);
        self.with_cursor(
            rows,
            last.map(|id| Position {
                after: Some(id),
                salt: 0,
            }),
        )
    }

    fn empty_page(&mut self, after: Option<Id>) -> Page {
        self.empty_pages += 1;
        let salt = self.empty_pages;
        self.with_cursor(Vec::new(), Some(Position { after, salt }))
    }

    fn rows(&mut self, after: Option<Id>, limit: usize) -> Vec<Row> {
        if self.order == Order::Ascending {
            return self.objects.after(after.as_ref(), limit);
        }
        if self.arranged.as_ref().is_none_or(|(order, _)| *order != self.order) {
            self.arranged = Some((self.order, self.order.arrange(&self.objects)));
        }
        let rows = self.arranged.as_ref().map_or(&[][..], |(_, rows)| rows);
        let start = after.map_or(0, |after| self.order.position_after(rows, &after));
        rows[start..].iter().take(limit).copied().collect()
    }

    fn with_cursor(&self, rows: Vec<Row>, next: Option<Position>) -> Page {
        let text = next.map(|position| self.style().write(&self.id, position));
        let field = match (self.cursor_key, text) {
            (_, Some(text)) => Field::Text(text),
            (CursorKey::NullAtEnd, None) => Field::Null,
            (CursorKey::AbsentAtEnd, None) => Field::Absent,
            (_, None) => Field::Text(String::new()),
        };
        let (cursor, cursors_after) = match self.cursor_key {
            CursorKey::CursorsAfter => (Field::Absent, field),
            CursorKey::Both => (field.clone(), field),
            _ => (field, Field::Absent),
        };
        let count = rows.len();
        Page {
            rows,
            cursor,
            cursors_after,
            count,
            totals: None,
            errors: Vec::new(),
        }
    }
}

fn bad_cursor() -> Answer {
    Answer::error(400, 10001, "Invalid cursor")
}

impl State {
    pub fn namespace(&mut self, id: &str) -> Option<&mut Namespace> {
        self.namespaces.iter_mut().find(|namespace| namespace.id == id)
    }

    /// Refuses a malformed header, then an unknown caller, as Cloudflare does.
    pub(crate) fn authenticate(&self, request: &Request) -> Result<(), Answer> {
        let Some(authorization) = &request.authorization else {
            return Err(Answer::error(
                400,
                9106,
                "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
            ));
        };
        if !authorization.contains(' ') || authorization.ends_with(' ') {
            return Err(malformed_header());
        }
        match self.accounts.values().any(|account| account.knows(request)) {
            true => Ok(()),
            false => Err(Answer::error(401, 10000, "Authentication error")),
        }
    }

    /// Refuses an authenticated caller without a permission in the account.
    pub(crate) fn authorize(&self, account: &str, request: &Request) -> Result<(), Answer> {
        match self.accounts.get(account) {
            Some(account) if account.knows(request) => Ok(()),
            None if !is_hex_id(account) => Err(no_route(account)),
            _ => Err(Answer::error(403, 9109, "Unauthorized to access requested resource")),
        }
    }

    fn sight(&self, account: &str, request: &Request) -> Option<&Sight> {
        self.accounts.get(account)?.sights.get(request.authorization.as_ref()?)
    }

    /// Refuses the objects of a namespace that a limited token does not see.
    pub(crate) fn authorize_objects(&self, account: &str, namespace: &str, request: &Request) -> Result<(), Answer> {
        match self.sight(account, request) {
            Some(sight) if !sight.namespaces.iter().any(|seen| seen == namespace) => Err(sight.others.clone()),
            _ => Ok(()),
        }
    }

    pub(crate) fn list(&self, account: &str, request: &Request) -> Answer {
        let sight = self.sight(account, request).filter(|sight| !sight.lists_others);
        let is_listed = |id: &String| sight.is_none_or(|sight| sight.namespaces.contains(id));
        let rows = self.namespaces.iter().filter(|namespace| namespace.account == account);
        let rows = rows.filter(|namespace| is_listed(&namespace.id));
        let rows: Vec<Value> = rows.map(Namespace::listed).collect();
        if self.accounts.get(account).is_some_and(|account| account.ignores_paging) {
            return Answer::list(&json!(rows), &json!({ "count": rows.len() }));
        }
        paged(&rows, request, 1..=1000)
    }

    /// The accounts of the caller. Pages have at most 50 rows, as documented.
    pub(crate) fn list_accounts(&self, request: &Request) -> Answer {
        let seen = self.accounts.iter().filter(|(_, account)| account.knows(request));
        let row = |(id, account): (&String, &Account)| json!({ "id": id, "name": account.name, "type": "standard" });
        paged(&seen.map(row).collect::<Vec<_>>(), request, 5..=50)
    }
}

impl Account {
    fn knows(&self, request: &Request) -> bool {
        request
            .authorization
            .as_ref()
            .is_some_and(|authorization| self.credentials.contains(authorization))
    }
}

/// One page of these rows.
fn paged(rows: &[Value], request: &Request, sizes: RangeInclusive<usize>) -> Answer {
    let number = |name, default, range: RangeInclusive<usize>| {
        let number = request.param(name).map_or(Ok(default), str::parse::<usize>);
        let number = number.ok().filter(|number| range.contains(number));
        number.ok_or_else(|| Answer::error(400, 10001, &format!("{name} is out of range")))
    };
    let (page, per_page) = match (number("page", 1, 1..=1000), number("per_page", 20, sizes)) {
        (Ok(page), Ok(per_page)) => (page, per_page),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let result: Vec<&Value> = rows.iter().skip((page - 1) * per_page).take(per_page).collect();
    let info = json!({
        "count": result.len(), "page": page, "per_page": per_page,
        "total_count": rows.len(), "total_pages": rows.len().div_ceil(per_page),
    });
    Answer::list(&json!(result), &info)
}

fn malformed_header() -> Answer {
    let chain = json!([{ "code": 6111, "message": "Invalid format for Authorization header" }]);
    let error = json!([{ "code": 6003, "message": "Invalid request headers", "error_chain": chain }]);
    Answer::errors(400, &error)
}

fn no_route(account: &str) -> Answer {
    let message = format!("Could not route to /accounts/{account}, perhaps your object identifier is invalid?");
    let errors = json!([{ "code": 7003, "message": message }, { "code": 7000, "message": "No route for that URI" }]);
    Answer::errors(404, &errors)
}

fn is_hex_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit())
}
