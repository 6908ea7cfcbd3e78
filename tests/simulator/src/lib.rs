//! A simulator of Cloudflare's two Durable Object listings, and of the list of accounts. Tests walk it instead of the real service, and the
//! demonstration serves it. It is not part of the shipped program.
//!
//! A [`Simulator`] runs on threads of its own, so that a test may block while it waits for a child process.
//!
//! ```
//! # use cloudflare_simulator::{CursorStyle, Fault, Simulator, When};
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let simulator = Simulator::start().await;
//! simulator.add_account("0123456789abcdef0123456789abcdef", "token");
//! let chat = simulator.add_namespace("0123456789abcdef0123456789abcdef", "chat");
//! simulator.seed(&chat, 25_000, 1);
//! simulator.with_namespace(&chat, |chat| chat.cursor_style = CursorStyle::Opaque);
//! simulator.fault(&chat, When::Nth(2), Fault::Reset);
//! let hold = simulator.hold_at(&chat, 3);
//! // Here the client walks `simulator.base_url()`. At its third request to `chat`, `hold.wait_until_held()` returns,
//! // and `hold.release()` lets the request proceed.
//! assert_eq!(simulator.truth(&chat).len(), 25_000);
//! # }
//! ```

mod answer;
mod control;
mod cursor;
mod demo;
mod faults;
mod http;
mod objects;
mod random;
mod state;
mod traffic;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use answer::{Answer, Field, Page};
pub use control::{Change, Passed};
pub use cursor::{CursorStyle, hex, parse_id};
pub use demo::{ACCOUNT as DEMO_ACCOUNT, TOKEN as DEMO_TOKEN};
pub use faults::{Fault, Hold, Plan, When};
pub use objects::{Computed, Flag, Id, Objects, Order, Row};
pub use state::{Account, CursorKey, Namespace, Sight, State};
pub use traffic::{Quota, Request, Traffic};

/// A running service. Dropping it stops the service and closes its connections.
pub struct Simulator {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    _threads: Threads,
}

impl Simulator {
    /// Starts an empty service on a free port.
    pub async fn start() -> Self {
        Self::serve(State::default(), 0)
            .await
            .expect("a free port of the loopback address can be bound")
    }

    /// Starts a service with this state. Port 0 selects a free one.
    pub async fn serve(state: State, port: u16) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(state));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()?;
        let router = http::router(Arc::clone(&state));
        let bound = runtime.spawn(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            // Without TCP_NODELAY, a response may wait up to 40 ms for an acknowledgement, and benchmarks would measure
            // that.
            let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
            tokio::spawn(async move { axum::serve(listener, router).await });
            io::Result::Ok(address)
        });
        let threads = Threads(Some(runtime));
        let address = bound.await.map_err(io::Error::other).flatten()?;
        Ok(Self {
            state,
            address,
            _threads: threads,
        })
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    /// Reads or changes the state between two requests.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut http::lock(&self.state))
    }

    /// Reads or changes one namespace, which must exist.
    pub fn with_namespace<T>(&self, id: &str, change: impl FnOnce(&mut Namespace) -> T) -> T {
        self.with(|state| change(state.namespace(id).expect("the test knows its namespaces")))
    }

    /// Lets a token read an account, and creates the account if it is new.
    pub fn add_account(&self, account: &str, token: &str) {
        self.add_credential(account, format!("Bearer {token}"));
    }

    /// Names an account in the list of accounts.
    pub fn name_account(&self, account: &str, name: &str) {
        self.with(|state| state.accounts.entry(account.to_owned()).or_default().name = Some(name.to_owned()));
    }

    /// Limits a token of the account to some of its namespaces.
    pub fn limit_token(&self, account: &str, token: &str, sight: Sight) {
        self.with(|state| {
            let account = state.accounts.entry(account.to_owned()).or_default();
            account.sights.insert(format!("Bearer {token}"), sight);
        });
    }

    /// Lets the older pair of email and key read an account.
    pub fn add_key(&self, account: &str, email: &str, key: &str) {
        self.add_credential(account, format!("{email} {key}"));
    }

    fn add_credential(&self, account: &str, credential: String) {
        self.with(|state| {
            state
                .accounts
                .entry(account.to_owned())
                .or_default()
                .credentials
                .push(credential)
        });
    }

    /// Adds an empty namespace and returns its id.
    pub fn add_namespace(&self, account: &str, name: &str) -> String {
        self.add(Namespace::new(account, name))
    }

    pub fn add(&self, namespace: Namespace) -> String {
        let id = namespace.id.clone();
        self.with(|state| state.namespaces.push(namespace));
        id
    }

    /// Removes a namespace from the list; its objects respond with 404.
    pub fn remove_namespace(&self, id: &str) {
        self.with(|state| state.namespaces.retain(|namespace| namespace.id != id));
    }

    pub fn put_object(&self, namespace: &str, id: Id, flag: Flag) {
        self.with_namespace(namespace, |n| n.objects_mut().insert(id, flag));
    }

    pub fn remove_object(&self, namespace: &str, id: &Id) {
        self.with_namespace(namespace, |n| n.objects_mut().remove(id));
    }

    /// Replaces a namespace's objects with `count` others that have random ids and flags of all three kinds.
    pub fn seed(&self, namespace: &str, count: usize, seed: u64) {
        self.with_namespace(namespace, |n| n.set_objects(Objects::seeded(count, seed)));
    }

    /// The objects that a perfect walk would find now.
    pub fn truth(&self, namespace: &str) -> BTreeMap<Id, Flag> {
        self.with_namespace(namespace, |n| n.objects().to_map())
    }

    /// Adds a fault to a namespace's object list.
    pub fn fault(&self, namespace: &str, when: When, fault: Fault) {
        self.with_namespace(namespace, |n| n.faults.add(when, fault));
    }

    /// Adds a fault to an account's namespace list.
    pub fn list_fault(&self, account: &str, when: When, fault: Fault) {
        self.with(|state| {
            state
                .accounts
                .entry(account.to_owned())
                .or_default()
                .faults
                .add(when, fault)
        });
    }

    /// Adds a fault to the list of accounts.
    pub fn accounts_fault(&self, when: When, fault: Fault) {
        self.with(|state| state.account_faults.add(when, fault));
    }

    /// Holds the n-th request to a namespace from now, counted from 1, until the test releases it.
    pub fn hold_at(&self, namespace: &str, n: u64) -> Hold {
        let hold = Hold::new();
        self.fault(namespace, When::Nth(n), Fault::Hold(hold.clone()));
        hold
    }

    pub fn set_quota(&self, quota: Option<Quota>) {
        self.with(|state| state.traffic.quota = quota);
    }

    pub fn set_latency(&self, latency: Duration) {
        self.with(|state| state.latency = latency);
    }

    /// All requests to the two endpoints since the start.
    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| state.traffic.requests.clone())
    }

    /// The requests to one namespace's object list.
    pub fn requests_to(&self, namespace: &str) -> Vec<Request> {
        let end = format!("/{namespace}/objects");
        let mut requests = self.requests();
        requests.retain(|request| request.path.ends_with(&end));
        requests
    }

    /// See [`Traffic::max_in_window`].
    pub fn max_in_window(&self, window: Duration) -> usize {
        self.with(|state| state.traffic.max_in_window(window))
    }

    /// The number of 429 responses, from the quota or from faults.
    pub fn refused(&self) -> usize {
        let refused = |request: &&Request| request.status == Some(429);
        self.with(|state| state.traffic.requests.iter().filter(refused).count())
    }
}

/// The service's own threads.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping a runtime blocks, which is not allowed inside a test's own runtime.
            runtime.shutdown_background();
        }
    }
}
