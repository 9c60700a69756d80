//! The service `Feed`, and what `Files.Watch` asks for.

use nexus_fs::{CursorName, CursorOwner, FeedCursor, FeedQuery, FeedStart, Session};
use nexus_kernel::{Error, Result, Revision};
use nexus_proto::v1::feed_server::Feed;
use nexus_proto::v1::*;
use tonic::Request;

use super::convert::{self, durability};
use super::{Reply, answer};
use crate::app::Shared;
use crate::paging::page_limit;

pub(super) struct FeedDoor(pub(super) Shared);

#[tonic::async_trait]
impl Feed for FeedDoor {
    async fn create_cursor(&self, request: Request<CreateCursorRequest>) -> Reply<Cursor> {
        let create = |files: Session, ask: CreateCursorRequest| async move {
            let at = ask.position.map(position);
            files
                .create_cursor(&ask.name.parse()?, at)
                .await
                .map(cursor)
        };
        answer(&self.0, request, create).await
    }

    async fn get_cursor(&self, request: Request<GetCursorRequest>) -> Reply<Cursor> {
        let get = |files: Session, ask: GetCursorRequest| async move {
            files.cursor(&ask.name.parse()?).await.map(cursor)
        };
        answer(&self.0, request, get).await
    }

    async fn list_cursors(&self, request: Request<ListCursorsRequest>) -> Reply<CursorPage> {
        let list = |files: Session, ask: ListCursorsRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let after = convert::cursor(ask.cursor);
            let of = match (ask.all, ask.owner) {
                (true, _) => CursorOwner::Anyone,
                (false, Some(owner)) => CursorOwner::Principal(owner),
                (false, None) => CursorOwner::Caller,
            };
            let page = files.cursors(&of, limit, after.as_deref()).await?;
            Ok(CursorPage {
                cursors: page.cursors.into_iter().map(cursor).collect(),
                next: page.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, list).await
    }

    async fn delete_cursor(
        &self,
        request: Request<DeleteCursorRequest>,
    ) -> Reply<DeleteCursorResponse> {
        let delete = |files: Session, ask: DeleteCursorRequest| async move {
            files.delete_cursor(&ask.name.parse()?).await?;
            Ok(DeleteCursorResponse {})
        };
        answer(&self.0, request, delete).await
    }

    async fn acknowledge(&self, request: Request<AcknowledgeRequest>) -> Reply<Cursor> {
        let acknowledge = |files: Session, ask: AcknowledgeRequest| async move {
            let name: CursorName = ask.name.parse()?;
            let (until, durability) = (given(ask.position)?, durability(ask.durability)?);
            files
                .acknowledge(&name, until, durability)
                .await
                .map(cursor)
        };
        answer(&self.0, request, acknowledge).await
    }

    async fn rewind_cursor(&self, request: Request<RewindCursorRequest>) -> Reply<Cursor> {
        let rewind = |files: Session, ask: RewindCursorRequest| async move {
            let (name, to) = (ask.name.parse()?, given(ask.position)?);
            files.rewind_cursor(&name, to).await.map(cursor)
        };
        answer(&self.0, request, rewind).await
    }
}

/// What a watch asks for.
pub(super) fn query(ask: WatchRequest) -> Result<FeedQuery> {
    let start = match (ask.after, ask.after_sequence, ask.cursor) {
        (None, None, None) => FeedStart::Now,
        (Some(after), sequence, None) => FeedStart::After(nexus_fs::FeedPosition {
            revision: Revision(after),
            sequence,
        }),
        (None, None, Some(name)) => FeedStart::Cursor(name.parse()?),
        (Some(_), _, Some(_)) => {
            return Err(Error::invalid(
                "a watch begins after a revision or at a cursor; leave one of them out",
            ));
        }
        (None, Some(_), _) => {
            return Err(Error::invalid(
                "after_sequence names a change of the revision `after`; give that revision too",
            ));
        }
    };
    Ok(FeedQuery {
        patterns: ask.patterns,
        kinds: convert::asked_change_kinds(&ask.kinds)?,
        actor: ask.actor,
        session: ask.session,
        zone: ask.zone,
        start,
        durable: ask.durable,
    })
}

fn position(position: FeedPosition) -> nexus_fs::FeedPosition {
    nexus_fs::FeedPosition {
        revision: Revision(position.revision),
        sequence: position.sequence,
    }
}

fn given(asked: Option<FeedPosition>) -> Result<nexus_fs::FeedPosition> {
    let missing = || Error::invalid("say up to which position of the feed");
    asked.map(position).ok_or_else(missing)
}

fn cursor(cursor: FeedCursor) -> Cursor {
    Cursor {
        name: cursor.name,
        owner: cursor.owner,
        position: Some(FeedPosition {
            revision: cursor.position.revision.0,
            sequence: cursor.position.sequence,
        }),
        created_ns: cursor.created.0,
        moved_ns: cursor.moved.0,
    }
}
