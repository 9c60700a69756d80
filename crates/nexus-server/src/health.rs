//! Whether the node lives, can serve, and how it fares. Needs no key, and tells no secrets.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use nexus_kernel::Error;
use nexus_service_api::Context;
use serde_json::json;

use crate::app::Shared;

/// How long the stores may take to answer before the node counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// The process answers.
async fn health() -> Json<serde_json::Value> {
    Json(json!({
        "status": "healthy",
        "service": "nexus",
        "version": env!("CARGO_PKG_VERSION"),
        "enforce_permissions": true,
        "has_auth": true,
    }))
}

/// The stores answer.
async fn ready(State(shared): State<Shared>) -> Response {
    let files = shared.files(Context::system());
    let answer = tokio::time::timeout(READY_WITHIN, files.revision()).await;
    let late = |_| {
        Err(Error::unavailable(
            "the stores did not answer in time; look at the node's log",
        ))
    };
    match answer.unwrap_or_else(late) {
        Ok(revision) => Json(json!({ "status": "ready", "revision": revision.0 })).into_response(),
        Err(error) => {
            crate::door::log(&error);
            let body = json!({ "status": "not ready", "reason": error.message() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match shared.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
