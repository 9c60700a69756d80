//! Events over a WebSocket (RFC 6455).

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use http::HeaderMap;
use nexus_fs::{Feed, FeedBatch};
use nexus_kernel::{Error, Kind, Result};
use tokio::time::{Instant, timeout};

use super::event::Page;
use super::{EventsParams, open};
use crate::app::Shared;
use crate::door;
use crate::rest::extract::{Files, Query};
use crate::rest::problem::{self, Answer};

/// How often the other side is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(10);
/// A side that has not answered for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long one message may take to be sent.
const SEND_MAX: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// What a client has to say is short.
const INCOMING_BYTES_MAX: usize = 4 << 10;
/// Most bytes that wait to be sent. One message is made when the one before it has been sent, so
/// more never gathers.
const OUTGOING_BYTES_MAX: usize = 64 << 20;
/// Most bytes in the reason of a close (RFC 6455, section 5.5).
const REASON_BYTES_MAX: usize = 123;

/// What happens in the zone, as messages over a WebSocket.
///
/// Takes the parameters of `/api/v2/events` but `wait` and `limit`. Each message is a page as that
/// answers it. The node asks every 10 seconds whether the client is there, and closes with the
/// reason when the key ends, when the node does, and when the client takes nothing for 30 seconds.
#[utoipa::path(
    get, path = "/api/v2/events/ws", tag = "feed", params(EventsParams),
    responses((status = 101), (status = "default", body = problem::Body)),
)]
pub(in crate::rest) async fn events_ws(
    Files(files): Files,
    State(shared): State<Shared>,
    Query(params): Query<EventsParams>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    let upgrade = upgrade.map_err(|rejection| {
        Error::invalid("this address is a WebSocket; upgrade to it over HTTP/1.1")
            .with("problem", rejection.body_text())
    })?;
    if params.wait.is_some() || params.limit.is_some() {
        return Err(Error::invalid("wait and limit are for pages; leave them out").into());
    }
    let feed = open(&files, params, &headers).await?;
    let upgrade = upgrade
        .max_message_size(INCOMING_BYTES_MAX)
        .max_write_buffer_size(OUTGOING_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, feed, shared)))
}

/// Why a conversation ends.
enum End {
    /// The other side is gone.
    Gone,
    TooSlow,
    NodeEnds,
    Failed(Error),
}

async fn serve(mut socket: WebSocket, feed: Feed, shared: Shared) {
    let end = converse(&mut socket, feed, &shared).await;
    if let Some(frame) = goodbye(&end) {
        // Who does not take it is cut off.
        let _ = timeout(CLOSE_MAX, socket.send(Message::Close(Some(frame)))).await;
    }
}

async fn converse(socket: &mut WebSocket, mut feed: Feed, shared: &Shared) -> End {
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        let message = tokio::select! {
            biased;
            () = shared.app.closing.cancelled() => return End::NodeEnds,
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            _ = ping.tick() => match heard.elapsed() > SILENCE_MAX {
                true => return End::Gone,
                false => Message::Ping(bytes::Bytes::new()),
            },
            batch = feed.next() => match batch {
                Ok(batch) => text(&batch, &shared.app.zone_id),
                Err(error) => return End::Failed(error),
            },
        };
        match timeout(SEND_MAX, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone,
            Err(_) => return End::TooSlow,
        }
    }
}

fn text(batch: &FeedBatch, zone: &str) -> Message {
    let page = Page::whole(batch, zone).into_bytes();
    Message::Text(Utf8Bytes::try_from(page).expect("JSON is UTF-8"))
}

fn goodbye(end: &End) -> Option<CloseFrame> {
    let (code, reason): (u16, Cow<'_, str>) = match end {
        End::Gone => return None,
        End::TooSlow => (
            close_code::POLICY,
            "events were not taken for 30 seconds; come back with `after`".into(),
        ),
        End::NodeEnds => (
            close_code::AWAY,
            "the node ends; come back with `after`".into(),
        ),
        End::Failed(error) => {
            door::log(error);
            let code = match error.kind() {
                Kind::Unavailable | Kind::Corrupt => close_code::ERROR,
                _ => close_code::POLICY,
            };
            (code, format!("{}: {error}", error.kind().as_str()).into())
        }
    };
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    Some(CloseFrame {
        code,
        reason: reason[..end].into(),
    })
}
