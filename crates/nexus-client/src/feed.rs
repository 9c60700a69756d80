//! What happens, as it happens.

use futures::stream::BoxStream;
use nexus_kernel::{Durability, Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, from_status_of_change, misunderstood};
use crate::reads::{items, pages};
use crate::types::feed::{Cursor, CursorOwner, FeedPosition, WatchQuery, WatchStart};
use crate::types::files::Page;
use crate::types::history::Record;

/// Cursors asked for at once.
const CURSORS_PAGE: u32 = 500;

impl Client {
    /// The zone's commits as they happen, without a gap. Ends only with an error; go on after the
    /// last that came.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a pattern that is none and for a position that is still to come,
    /// `NotFound` for a cursor that there is not and for a position whose changes are kept no
    /// longer, `LimitExceeded` when as many feeds are open as may be.
    pub async fn watch(&self, query: WatchQuery) -> Result<BoxStream<'static, Result<Record>>> {
        let (after, cursor) = match query.start {
            WatchStart::Now => (None, None),
            WatchStart::After(position) => (Some(position), None),
            WatchStart::Cursor(name) => (None, Some(name)),
        };
        let kinds = query.kinds.into_iter().map(|kind| kind.to_wire().into());
        let request = v1::WatchRequest {
            patterns: query.patterns,
            after: after.map(|position| position.revision.0),
            after_sequence: after.and_then(|position| position.sequence),
            cursor,
            kinds: kinds.collect(),
            actor: query.actor,
            session: query.session,
            zone: None,
            durable: query.durable,
        };
        let answer = self.files().watch(request).await.map_err(from_status)?;
        Ok(items(answer.into_inner(), convert::record))
    }

    /// Makes a cursor at a position, or where the feed is now. It is named `NAME`, or
    /// `OWNER/NAME` for another principal's, which takes admin rights.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when there is one, `LimitExceeded` when the owner has as many as it may.
    pub async fn create_cursor(&self, name: &str, at: Option<FeedPosition>) -> Result<Cursor> {
        let request = v1::CreateCursorRequest {
            name: name.to_owned(),
            position: at.map(to_wire),
        };
        let answer = self.feed().create_cursor(request).await;
        cursor(answer.map_err(from_status_of_change)?.into_inner())
    }

    /// How far a consumer has come.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such cursor.
    pub async fn cursor(&self, name: &str) -> Result<Cursor> {
        let request = v1::GetCursorRequest {
            name: name.to_owned(),
        };
        let answer = self.feed().get_cursor(request).await;
        cursor(answer.map_err(from_status)?.into_inner())
    }

    /// Cursors, by owner and name.
    #[must_use]
    pub fn cursors(&self, of: CursorOwner) -> BoxStream<'static, Result<Cursor>> {
        let client = self.clone();
        let (owner, all) = match of {
            CursorOwner::Caller => (None, false),
            CursorOwner::Principal(owner) => (Some(owner), false),
            CursorOwner::Anyone => (None, true),
        };
        pages(None, move |after: Option<String>| {
            let client = client.clone();
            let request = v1::ListCursorsRequest {
                owner: owner.clone(),
                all,
                limit: CURSORS_PAGE,
                cursor: after.unwrap_or_default(),
            };
            async move {
                let answer = client.feed().list_cursors(request).await;
                let page = answer.map_err(from_status)?.into_inner();
                let items = page.cursors.into_iter().map(cursor);
                Ok(Page {
                    items: items.collect::<Result<_>>()?,
                    next: convert::cursor(page.next),
                })
            }
        })
    }

    /// Notes that everything up to a position has been handled.
    ///
    /// # Errors
    ///
    /// `Conflict` when the cursor is further than that, `NotFound` if there is none.
    pub async fn acknowledge(
        &self,
        name: &str,
        until: FeedPosition,
        durability: Durability,
    ) -> Result<Cursor> {
        let request = v1::AcknowledgeRequest {
            name: name.to_owned(),
            position: Some(to_wire(until)),
            durability: convert::durability(durability),
        };
        let answer = self.feed().acknowledge(request).await;
        cursor(answer.map_err(from_status_of_change)?.into_inner())
    }

    /// Takes a cursor back, or forward, to any position whose changes are kept.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such cursor, or the changes are kept no longer.
    pub async fn rewind_cursor(&self, name: &str, to: FeedPosition) -> Result<Cursor> {
        let request = v1::RewindCursorRequest {
            name: name.to_owned(),
            position: Some(to_wire(to)),
        };
        let answer = self.feed().rewind_cursor(request).await;
        cursor(answer.map_err(from_status_of_change)?.into_inner())
    }

    /// Forgets how far a consumer has come.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such cursor.
    pub async fn delete_cursor(&self, name: &str) -> Result<()> {
        let request = v1::DeleteCursorRequest {
            name: name.to_owned(),
        };
        let answer = self.feed().delete_cursor(request).await;
        answer.map(drop).map_err(from_status_of_change)
    }
}

fn to_wire(position: FeedPosition) -> v1::FeedPosition {
    v1::FeedPosition {
        revision: position.revision.0,
        sequence: position.sequence,
    }
}

fn cursor(wire: v1::Cursor) -> Result<Cursor> {
    let position = wire
        .position
        .ok_or_else(|| misunderstood("a cursor without its place"))?;
    Ok(Cursor {
        name: wire.name,
        owner: wire.owner,
        position: FeedPosition {
            revision: Revision(position.revision),
            sequence: position.sequence,
        },
        created: Timestamp(wire.created_ns),
        moved: Timestamp(wire.moved_ns),
    })
}
