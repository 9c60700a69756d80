//! Around every request: an id, a span for the log, a count, and a net under panics.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use http::{HeaderValue, Method};
use nexus_kernel::Result;
use tracing::Instrument;

use crate::app::Shared;
use crate::auth::named;
use crate::door::{Door, ERROR_HEADER};
use crate::{grpc, rpc};

const REQUEST_ID: &str = "x-request-id";

/// The request's name in logs, operation records and the answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

pub(crate) async fn observe(
    State(shared): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let door = Door::of(request.uri().path());
    let operation = operation(door, &request);
    let (id, refusal) = match request_id(&shared, &request) {
        Ok(id) => (id, None),
        Err(error) => (fresh_id(&shared), Some(error)),
    };
    let span = tracing::info_span!("request", id = %id, door = door.as_str(), %operation);
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let answer = async {
        match refusal {
            Some(error) => door.refuse(error),
            None => caught(door, next.run(request)).await,
        }
    };
    let mut response = answer.instrument(span.clone()).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let outcome = outcome(&response);
    let elapsed = started.elapsed();
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(
        || tracing::debug!(%outcome, status = response.status().as_u16(), micros, "done"),
    );
    shared.metrics.request(door, operation, outcome, elapsed);
    response
}

fn request_id(shared: &Shared, request: &Request) -> Result<Arc<str>> {
    let given = named(request.headers(), REQUEST_ID)?;
    Ok(given.map_or_else(|| fresh_id(shared), Arc::from))
}

fn fresh_id(shared: &Shared) -> Arc<str> {
    format!("{:032x}", shared.app.entropy.id()).into()
}

/// A handler that panics answers that it failed and takes nobody else down.
async fn caught(door: Door, answer: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(message, "a handler panicked");
            door.failed()
        }
    }
}

/// What the request asks for, out of a bounded set of names.
fn operation(door: Door, request: &Request) -> Cow<'static, str> {
    let path = request.uri().path();
    match door {
        Door::Grpc => grpc::operation(path).into(),
        Door::JsonRpc => rpc::operation(path).into(),
        Door::Rest | Door::Plain => match request.extensions().get::<MatchedPath>() {
            Some(matched) => format!("{} {}", known(request.method()), matched.as_str()).into(),
            None => "unknown".into(),
        },
    }
}

fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::PUT
        | Method::POST
        | Method::DELETE
        | Method::PATCH => method.as_str(),
        _ => "OTHER",
    }
}

/// `ok`, or the kind of the error that the door answered.
fn outcome(response: &Response) -> Cow<'static, str> {
    let kind = response
        .headers()
        .get(ERROR_HEADER)
        .and_then(|value| value.to_str().ok());
    match kind {
        Some(kind) => kind.to_owned().into(),
        None if response.status().is_client_error() => "refused".into(),
        None => "ok".into(),
    }
}
