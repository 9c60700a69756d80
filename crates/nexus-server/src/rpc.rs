//! JSON-RPC, as clients of the Python Nexus speak it.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};
use nexus_service_api::Rights;
use serde_json::json;

use crate::app::Shared;
use crate::door::ERROR_HEADER;
use crate::rest::{Caller, Name, whole_body};

mod bulk;
mod call;
mod content;
mod envelope;
mod error;
mod history;
mod keys;
mod table;
mod tree;
mod value;
mod workspaces;

use call::Call;
use error::RpcError;

/// The calls, which need a key.
pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/api/nfs/{method}", post(handle))
        .route("/api/auth/whoami", get(whoami))
}

/// What may be called, which needs none.
pub(crate) fn described() -> Router<Shared> {
    Router::new().route("/api/nfs/status", get(status))
}

/// The method a path names; `unknown` if there is none.
pub(crate) fn operation(path: &str) -> &'static str {
    let method = path.strip_prefix("/api/nfs/").and_then(table::find);
    method.map_or("unknown", |method| method.name)
}

async fn status() -> Json<serde_json::Value> {
    Json(json!({
        "status": "running",
        "service": "nexus",
        "version": env!("CARGO_PKG_VERSION"),
        "methods": table::METHODS.iter().map(|method| method.name).collect::<Vec<_>>(),
    }))
}

async fn whoami(Caller(context): Caller) -> Json<serde_json::Value> {
    let principal = &context.principal;
    Json(json!({
        "authenticated": true,
        "subject_type": principal.kind.as_str(),
        "subject_id": principal.id,
        "tenant_id": principal.zone,
        "zone_id": principal.zone,
        "is_admin": principal.rights == Rights::Admin,
        "inherit_permissions": true,
        "user": principal.id,
    }))
}

/// One call: every answer but 304 is HTTP 200 with an envelope, errors too.
async fn handle(
    Name(method): Name,
    State(shared): State<Shared>,
    Caller(context): Caller,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    let body = match whole_body(Request::from_parts(parts, body), &shared).await {
        Ok(body) => body,
        Err(error) => return refusal("null", &RpcError::from(error)),
    };
    let request = match envelope::open(&body, &method) {
        Ok(request) => request,
        Err((id, error)) => return refusal(id, &error),
    };
    let call = Call::new(shared, context, headers);
    match dispatch(&call, &request).await {
        Ok(reply) => answer(request.id, reply),
        Err(error) => refusal(request.id, &error),
    }
}

async fn dispatch(call: &Call, request: &envelope::Request<'_>) -> Result<Reply, RpcError> {
    let method =
        table::find(&request.method).ok_or_else(|| RpcError::no_method(&request.method))?;
    let result = (method.run)(call, request.params).await;
    result.map_err(|error| error.about(request.params))
}

/// What a call answers: JSON, and of a read the etag.
pub(super) struct Reply {
    json: Vec<u8>,
    etag: Option<nexus_fs::Etag>,
    not_modified: bool,
}

fn answer(id: &str, reply: Reply) -> Response {
    let mut response = if reply.not_modified {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        enveloped(envelope::result(id, &reply.json))
    };
    if let Some(etag) = reply.etag {
        let etag = HeaderValue::try_from(format!("\"{etag}\"")).expect("an etag is ASCII");
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

fn enveloped(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// The answer of a server that failed.
pub(crate) fn internal() -> Response {
    refusal("null", &RpcError::internal())
}

fn refusal(id: &str, error: &RpcError) -> Response {
    let mut response = enveloped(envelope::error(id, error));
    response
        .headers_mut()
        .insert(ERROR_HEADER, HeaderValue::from_static(error.kind()));
    response
}
