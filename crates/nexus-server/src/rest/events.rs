//! The change feed: pages to wait for, server-sent events, lines, and a WebSocket.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use nexus_fs::{Feed, FeedPosition, FeedQuery, FeedStart, Session};
use nexus_kernel::{Error, Result};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Files, Query};
use super::history::accepts;
use super::problem::{self, Answer};
use crate::app::Shared;
use crate::paging::page_limit;

mod event;
mod stream;
mod ws;

use event::Page;
pub(super) use ws::{__path_events_ws, events_ws};

/// Longest time that a page is waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsParams {
    /// An absolute glob, which the path or the old path has to match. Of several, put commas
    /// between and braces around them.
    pattern: Option<String>,
    /// One or more of `file_write`, `file_delete` and so on, with commas between.
    kind: Option<String>,
    /// Only by this principal, as `kind:id`.
    actor: Option<String>,
    /// Only of this run of an agent.
    session: Option<String>,
    /// Refused unless it is the zone of the key.
    zone: Option<String>,
    /// Begin after this position: a revision, or the id of an event, like `42.0`. From now unless
    /// given.
    after: Option<String>,
    /// Begin where this cursor is; then leave `after` out.
    cursor: Option<String>,
    /// Tell only what is durable.
    #[serde(default)]
    durable: bool,
    /// Of a page: how long to wait until there is something, up to `60s`.
    wait: Option<String>,
    /// Of a page: most events; 1,000 unless given.
    limit: Option<usize>,
}

/// What happens in the zone, one event for each change, in order and without a gap.
///
/// Answers a page of what came after a position, and waits for it for as long as `wait` says; ask
/// on with its `next` as `after`. To those who accept `text/event-stream` it sends events as they
/// happen; an event's id is its position, so that a browser that comes back goes on where it was.
/// To those who accept `application/x-ndjson` it sends one event a line, and an empty line in every
/// silence.
#[utoipa::path(
    get, path = "/api/v2/events", tag = "feed", params(EventsParams),
    responses((status = 200, body = event::PageBody<'static>), (status = "default", body = problem::Body)),
)]
pub(super) async fn events(
    Files(files): Files,
    State(shared): State<Shared>,
    Query(params): Query<EventsParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    let wait = params.wait.as_deref().map(parse_wait).transpose()?;
    let limit = page_limit(params.limit)?;
    let feed = open(&files, params, &headers).await?;
    if accepts(&headers, "text/event-stream") {
        return Ok(stream::server_sent(feed, &shared));
    }
    if accepts(&headers, "application/x-ndjson") {
        return Ok(stream::lines(feed, &shared));
    }
    let page = page(feed, wait.unwrap_or_default(), limit, &shared).await?;
    Ok(page.into_response())
}

/// The next events, or none when none came in time or the node ends.
async fn page(mut feed: Feed, wait: Duration, limit: usize, shared: &Shared) -> Result<Page> {
    let next = feed.next_within(wait);
    let batch = match shared.app.closing.run_until_cancelled(next).await {
        Some(batch) => batch?,
        None => None,
    };
    let zone = &shared.app.zone_id;
    Ok(match batch {
        Some(batch) => Page::of(&batch, limit, zone),
        None => Page::empty(feed.position()),
    })
}

async fn open(files: &Session, params: EventsParams, headers: &HeaderMap) -> Result<Feed> {
    let start = match (last_seen(headers)?, params.after, params.cursor) {
        (Some(seen), _, _) => FeedStart::After(seen),
        (None, Some(_), Some(_)) => {
            return Err(Error::invalid(
                "events begin after a position or at a cursor; leave one of them out",
            ));
        }
        (None, Some(after), None) => FeedStart::After(after.parse()?),
        (None, None, Some(cursor)) => FeedStart::Cursor(cursor.parse()?),
        (None, None, None) => FeedStart::Now,
    };
    let kinds = params.kind.iter().flat_map(|kinds| kinds.split(','));
    let query = FeedQuery {
        patterns: params.pattern.into_iter().collect(),
        kinds: kinds.map(str::parse).collect::<Result<_>>()?,
        actor: params.actor,
        session: params.session,
        zone: params.zone,
        start,
        durable: params.durable,
    };
    files.feed(query).await
}

/// Where a reader of events was; an empty `Last-Event-ID` says that it has seen none.
fn last_seen(headers: &HeaderMap) -> Result<Option<FeedPosition>> {
    let Some(value) = headers.get("last-event-id").filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    text.parse()
        .map(Some)
        .map_err(|error: Error| error.with("header", "last-event-id"))
}

fn parse_wait(text: &str) -> Result<Duration> {
    let (digits, millis) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1000),
    };
    let count: Option<u64> = digits.parse().ok();
    let wait = count.and_then(|count| count.checked_mul(millis));
    wait.map(Duration::from_millis)
        .filter(|wait| *wait <= WAIT_MAX)
        .ok_or_else(|| {
            Error::invalid("wait is a time from 0s to 60s, like 30s or 500ms")
                .with("wait", text.escape_debug())
        })
}

#[cfg(test)]
mod tests;
