//! Events as they are written out.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use nexus_fs::{Change, FeedBatch, FeedPosition, Record};
use serde::Serialize;
use utoipa::ToSchema;

use crate::rest::model::Time;

/// About how many bytes an event has, written out.
const EVENT_BYTES: usize = 384;

/// One change of the zone.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Event<'a> {
    /// `file_write`, `file_delete`, `file_rename`, `dir_create` and so on.
    r#type: &'static str,
    path: &'a str,
    /// Of a rename or copy: where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<&'a str>,
    zone: &'a str,
    /// The commit.
    revision: u64,
    /// The change's place in its commit, from 0.
    sequence: u32,
    /// The content after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    size: u64,
    version: u64,
    /// What it is about besides the path: the name of the snapshot or workspace, the pattern of the
    /// policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    /// As `kind:id`.
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    time: Time,
}

impl<'a> Event<'a> {
    fn new(record: &'a Record, change: &'a Change, zone: &'a str) -> Self {
        Self {
            r#type: change.kind.as_str(),
            path: &change.path,
            old_path: change.old_path.as_deref(),
            zone,
            revision: record.revision.0,
            sequence: change.sequence,
            etag: change.etag.map(|etag| etag.to_string()),
            size: change.size,
            version: change.version,
            subject: change.subject.as_deref(),
            actor: &record.actor,
            on_behalf_of: record.on_behalf_of.as_deref(),
            session: record.session.as_deref(),
            time: Time(record.time),
        }
    }

    fn id(&self) -> FeedPosition {
        FeedPosition::within(nexus_kernel::Revision(self.revision), self.sequence)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("an event is plain data");
    }
}

/// The events of a batch.
fn events<'a>(records: &'a [Record], zone: &'a str) -> impl Iterator<Item = Event<'a>> {
    records.iter().flat_map(move |record| {
        let event = move |change| Event::new(record, change, zone);
        record.changes.iter().map(event)
    })
}

fn count(records: &[Record]) -> usize {
    records.iter().map(|record| record.changes.len()).sum()
}

fn buffer(records: &[Record]) -> Vec<u8> {
    Vec::with_capacity(count(records) * EVENT_BYTES)
}

/// The events of a batch as one piece of a stream of server-sent events.
pub(super) fn server_sent(batch: &FeedBatch, zone: &str) -> Bytes {
    struct ServerSent(Bytes);
    let make = |records: &[Record]| {
        let mut out = buffer(records);
        for event in events(records, zone) {
            out.extend_from_slice(format!("id: {}\ndata: ", event.id()).as_bytes());
            event.write_to(&mut out);
            out.extend_from_slice(b"\n\n");
        }
        ServerSent(out.into())
    };
    batch.derived(make).0.clone()
}

/// The events of a batch, one a line.
pub(super) fn lines(batch: &FeedBatch, zone: &str) -> Bytes {
    struct Lines(Bytes);
    let make = |records: &[Record]| {
        let mut out = buffer(records);
        for event in events(records, zone) {
            event.write_to(&mut out);
            out.push(b'\n');
        }
        Lines(out.into())
    };
    batch.derived(make).0.clone()
}

/// The next events, and where to go on.
#[derive(Serialize, ToSchema)]
#[schema(as = EventPage)]
pub(in crate::rest) struct PageBody<'a> {
    events: Vec<Event<'a>>,
    /// Give this as `after` for what comes next.
    #[schema(value_type = String)]
    next: String,
}

/// A [`PageBody`], written out.
#[derive(Clone)]
pub(super) struct Page(Bytes);

impl Page {
    /// The first events of a batch.
    pub(super) fn of(batch: &FeedBatch, limit: usize, zone: &str) -> Self {
        if count(batch.records()) <= limit {
            return Self::whole(batch, zone);
        }
        let events: Vec<_> = events(batch.records(), zone).take(limit).collect();
        let next = events.last().expect("a limit is not 0").id();
        Self::written(events, next)
    }

    /// All events of a batch.
    pub(super) fn whole(batch: &FeedBatch, zone: &str) -> Self {
        let next = batch.position();
        let make = |records: &[Record]| Self::written(events(records, zone).collect(), next);
        (*batch.derived(make)).clone()
    }

    pub(super) fn empty(next: FeedPosition) -> Self {
        Self::written(Vec::new(), next)
    }

    fn written(events: Vec<Event<'_>>, next: FeedPosition) -> Self {
        let body = PageBody {
            events,
            next: next.to_string(),
        };
        let json = serde_json::to_vec(&body).expect("a page of events is plain data");
        Self(json.into())
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
