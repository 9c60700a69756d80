//! Answers that stream: one JSON value a line.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream, Stream};
use http::header::CONTENT_TYPE;
use nexus_kernel::Result;
use serde::Serialize;

use super::problem;
use crate::door;

/// Streams the items, once there is a first one: a failure before it is an ordinary error.
pub(super) async fn ndjson<T: Serialize + Send + 'static>(
    mut items: BoxStream<'static, Result<T>>,
) -> Result<Response> {
    let first = items.next().await.transpose()?;
    Ok(ndjson_at_once(stream::iter(first.map(Ok)).chain(items)))
}

/// Streams the items. A failure is the last line, in the form of every error.
fn ndjson_at_once<T: Serialize + Send + 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
) -> Response {
    answer(items.map(line))
}

fn answer(lines: impl Stream<Item = serde_json::Result<Bytes>> + Send + 'static) -> Response {
    let body = Body::from_stream(lines);
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn line<T: Serialize>(item: Result<T>) -> serde_json::Result<Bytes> {
    let mut line = match &item {
        Ok(value) => serde_json::to_vec(value)?,
        Err(error) => {
            door::log(error);
            serde_json::to_vec(&problem::Body::of(error))?
        }
    };
    line.push(b'\n');
    Ok(line.into())
}
