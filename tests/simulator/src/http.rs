//! The endpoints: rate limit, authorization, faults, response.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::stream::{self, Stream, StreamExt};

use crate::answer::Answer;
use crate::control;
use crate::faults::Fault;
use crate::state::State;
use crate::traffic::Request;

pub(crate) type SharedState = Arc<Mutex<State>>;

/// Ignores poisoning: a test's closure that panicked inside the lock fails that test, and the state stays readable for
/// the others.
pub(crate) fn lock(state: &SharedState) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn router(state: SharedState) -> Router {
    const NAMESPACES: &str = "/client/v4/accounts/{account}/workers/durable_objects/namespaces";
    Router::new()
        .route("/client/v4/accounts", get(accounts))
        .route(NAMESPACES, get(list))
        .route(&format!("{NAMESPACES}/{{namespace}}/objects"), get(objects))
        .route("/control/pass-time", post(control::pass_time_request))
        .route("/control/churn", post(control::churn_request))
        .fallback(async || whole(Answer::error(404, 7000, "No route for that URI")))
        .with_state(state)
}

/// What a request is for.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Accounts,
    /// The namespaces of this account.
    Namespaces(&'a str),
    /// The objects of this account and namespace.
    Objects(&'a str, &'a str),
}

async fn accounts(Shared(state): Shared<SharedState>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let request = Request::new(&method, &uri, &headers);
    respond(&state, &request, Subject::Accounts).await
}

async fn list(
    Shared(state): Shared<SharedState>,
    Path(account): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let request = Request::new(&method, &uri, &headers);
    respond(&state, &request, Subject::Namespaces(&account)).await
}

async fn objects(
    Shared(state): Shared<SharedState>,
    Path((account, namespace)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let request = Request::new(&method, &uri, &headers);
    respond(&state, &request, Subject::Objects(&account, &namespace)).await
}

async fn respond(state: &SharedState, request: &Request, subject: Subject<'_>) -> Response {
    let (verdict, latency) = {
        let mut state = lock(state);
        (state.traffic.arrive(request), state.latency)
    };
    pause(latency).await;
    let admitted = match verdict.refusal {
        Some(refusal) => Err(refusal),
        None => faults(&mut lock(state), request, subject),
    };
    let (mut answer, faults) = match admitted {
        Err(refusal) => (refusal, Vec::new()),
        Ok(faults) => {
            wait(&faults).await;
            let answer = planned(&faults, request).unwrap_or_else(|| truth(state, request, subject, &faults));
            (answer, faults)
        }
    };
    for fault in &faults {
        if let Fault::Rewrite(rewrite) = fault {
            rewrite(&mut answer);
        }
    }
    answer.headers.extend(verdict.headers);
    lock(state).traffic.answered(verdict.number, answer.status);
    send(answer, &faults)
}

/// The faults of this request. They apply once the caller is authorized and the namespace exists.
fn faults(state: &mut State, request: &Request, subject: Subject<'_>) -> Result<Vec<Fault>, Answer> {
    state.authenticate(request)?;
    if let Subject::Namespaces(account) | Subject::Objects(account, _) = subject {
        state.authorize(account, request)?;
    }
    let plan = match subject {
        Subject::Accounts => Some(&mut state.account_faults),
        Subject::Namespaces(account) => state.accounts.get_mut(account).map(|account| &mut account.faults),
        Subject::Objects(account, namespace) => {
            state.authorize_objects(account, namespace, request)?;
            state
                .namespace(namespace)
                .filter(|n| n.account == account)
                .map(|n| &mut n.faults)
        }
    };
    plan.map(|plan| plan.next()).ok_or_else(not_found)
}

fn not_found() -> Answer {
    Answer::error(404, 10066, "Durable Object namespace not found")
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

async fn wait(faults: &[Fault]) {
    for fault in faults {
        match fault {
            Fault::Delay(time) => pause(*time).await,
            Fault::Hold(hold) => hold.stop().await,
            _ => {}
        }
    }
}

fn planned(faults: &[Fault], request: &Request) -> Option<Answer> {
    faults.iter().find_map(|fault| match fault {
        Fault::Answer(answer) => Some(answer.clone()),
        Fault::Hook(hook) => hook(request),
        _ => None,
    })
}

/// Looks the namespace up again, because it may have been removed while the request was held.
fn truth(state: &SharedState, request: &Request, subject: Subject<'_>, faults: &[Fault]) -> Answer {
    let mut state = lock(state);
    match subject {
        Subject::Accounts => state.list_accounts(request),
        Subject::Namespaces(account) => state.list(account, request),
        Subject::Objects(_, namespace) => state
            .namespace(namespace)
            .map_or_else(not_found, |n| n.answer(request, faults)),
    }
}

fn send(answer: Answer, faults: &[Fault]) -> Response {
    for fault in faults {
        match fault {
            Fault::Reset => return cut(answer, 0),
            Fault::CutBody(bytes) => return cut(answer, *bytes),
            Fault::SlowBody(bytes, time) => return slow(answer, *bytes, *time),
            _ => {}
        }
    }
    whole(answer)
}

pub(crate) fn whole(mut answer: Answer) -> Response {
    let body = Body::from(std::mem::take(&mut answer.body));
    response(answer, body)
}

/// A failing body makes the server close the connection. If it fails at once, not even the head is sent.
fn cut(answer: Answer, bytes: usize) -> Response {
    let sent = answer.body.slice(..bytes.min(answer.body.len()));
    let failure = stream::once(async move {
        // The preceding bytes must reach the socket first.
        pause(Duration::from_millis(if bytes == 0 { 0 } else { 20 })).await;
        Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let sent = stream::iter((bytes > 0).then_some(Ok(sent)));
    streamed(answer, sent.chain(failure))
}

fn slow(answer: Answer, bytes: usize, time: Duration) -> Response {
    let body = answer.body.clone();
    let bytes = bytes.max(1);
    let starts = stream::iter((0..body.len()).step_by(bytes));
    let pieces = starts.then(move |start| {
        let piece = body.slice(start..body.len().min(start + bytes));
        async move {
            pause(time).await;
            Ok::<_, Infallible>(piece)
        }
    });
    streamed(answer, pieces)
}

fn streamed<E>(mut answer: Answer, body: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let length = answer.body.len().to_string();
    answer = answer.header("content-length", &length);
    response(answer, Body::from_stream(body))
}

fn response(answer: Answer, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
