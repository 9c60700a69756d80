//! Answers that go on for as long as somebody reads them.

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use nexus_fs::{Feed, FeedBatch, FeedPosition};
use nexus_kernel::Error;

use super::event;
use crate::app::Shared;
use crate::door;
use crate::rest::problem;

/// The longest silence: proxies cut what is silent for long, some after 15 seconds.
const PULSE: Duration = Duration::from_secs(10);
/// After how long a browser whose connection was lost comes back, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// What is written out, in one protocol.
trait Form: Send + 'static {
    /// Before all else.
    fn opening(&self, at: FeedPosition) -> Bytes;
    fn batch(&self, batch: &FeedBatch, zone: &str) -> Bytes;
    /// In a silence.
    fn pulse(&self, at: FeedPosition) -> Bytes;
    /// After which nothing comes.
    fn error(&self, error: &Error) -> Bytes;
}

/// Server-sent events, as the HTML standard describes them.
struct ServerSent;

/// One JSON object a line.
struct Lines;

impl Form for ServerSent {
    /// An id without data makes no event, and yet says where to come back to.
    fn opening(&self, at: FeedPosition) -> Bytes {
        format!("retry: {RETRY_MS}\nid: {at}\n\n").into()
    }

    fn batch(&self, batch: &FeedBatch, zone: &str) -> Bytes {
        event::server_sent(batch, zone)
    }

    fn pulse(&self, at: FeedPosition) -> Bytes {
        format!(":\nid: {at}\n\n").into()
    }

    fn error(&self, error: &Error) -> Bytes {
        format!("event: error\ndata: {}\n\n", error_json(error)).into()
    }
}

impl Form for Lines {
    fn opening(&self, _: FeedPosition) -> Bytes {
        Bytes::new()
    }

    fn batch(&self, batch: &FeedBatch, zone: &str) -> Bytes {
        event::lines(batch, zone)
    }

    fn pulse(&self, _: FeedPosition) -> Bytes {
        Bytes::from_static(b"\n")
    }

    fn error(&self, error: &Error) -> Bytes {
        format!("{}\n", error_json(error)).into()
    }
}

fn error_json(error: &Error) -> String {
    serde_json::to_string(&problem::Body::of(error)).expect("an error is plain data")
}

/// Server-sent events.
pub(super) fn server_sent(feed: Feed, shared: &Shared) -> Response {
    answer(feed, shared, ServerSent, "text/event-stream")
}

/// One event a line.
pub(super) fn lines(feed: Feed, shared: &Shared) -> Response {
    answer(feed, shared, Lines, "application/x-ndjson")
}

fn answer(feed: Feed, shared: &Shared, form: impl Form, content_type: &'static str) -> Response {
    let closing = shared.app.closing.clone().cancelled_owned();
    let zone = shared.app.zone_id.clone();
    let pieces = pieces(feed, zone, form).take_until(closing);
    let body = Body::from_stream(pieces.map(Ok::<_, Infallible>));
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

/// Each piece is made when the one before it has been sent, so a slow reader holds one in memory.
fn pieces(mut feed: Feed, zone: String, form: impl Form) -> impl Stream<Item = Bytes> + Send {
    stream! {
        let opening = form.opening(feed.position());
        if !opening.is_empty() {
            yield opening;
        }
        loop {
            match feed.next_within(PULSE).await {
                Ok(Some(batch)) => yield form.batch(&batch, &zone),
                Ok(None) => yield form.pulse(feed.position()),
                Err(error) => {
                    door::log(&error);
                    yield form.error(&error);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
