//! All doors on one port.

use axum::response::Response;
use axum::{Router, middleware};
use http::header::{ACCEPT_RANGES, CONTENT_TYPE};
use http::{Method, StatusCode};
use nexus_kernel::Error;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::{App, Shared};
use crate::auth::require_key;
use crate::observe::observe;
use crate::rest::Problem;
use crate::{grpc, health, rest, rpc};

/// Everything the node serves.
///
/// It is a service of HTTP/1.1 and HTTP/2 requests; [`serve`](crate::serve) runs it on a
/// listener with limits on connections.
pub fn router(app: App) -> Router {
    routes(Shared::new(app))
}

pub(crate) fn routes(shared: Shared) -> Router {
    let (rest, described) = rest::router();
    let keyed = Router::new()
        .merge(rest)
        .merge(rpc::router())
        .layer(json_compression())
        .merge(grpc::router(&shared))
        .layer(middleware::from_fn_with_state(shared.clone(), require_key));
    Router::new()
        .merge(keyed)
        .merge(health::router())
        .merge(described)
        .merge(rpc::described())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(RequestBodyTimeoutLayer::new(shared.app.limits.silence_max))
        .layer(middleware::from_fn_with_state(shared.clone(), observe))
        .with_state(shared)
}

async fn unknown(uri: http::Uri) -> Problem {
    Problem(
        Error::not_found("there is nothing at this address; see /api/v2/openapi.json")
            .with("address", uri.path()),
    )
}

async fn wrong_method(method: Method) -> Response {
    let error = Error::unsupported("this address takes other methods; see /api/v2/openapi.json");
    Problem(error.with("method", method)).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// JSON answers are compressed for those who ask; file contents, which offer ranges, and
/// streams go as they are.
fn json_compression() -> CompressionLayer<And<SizeAbove, JsonOnly>> {
    CompressionLayer::new()
        .gzip(true)
        .compress_when(SizeAbove::new(1024).and(JsonOnly))
}

#[derive(Clone, Copy)]
struct JsonOnly;

impl Predicate for JsonOnly {
    fn should_compress<B>(&self, response: &http::Response<B>) -> bool
    where
        B: axum::body::HttpBody,
    {
        let content_type = response.headers().get(CONTENT_TYPE);
        let is_json = content_type.is_some_and(|value| value == "application/json");
        is_json && !response.headers().contains_key(ACCEPT_RANGES)
    }
}
