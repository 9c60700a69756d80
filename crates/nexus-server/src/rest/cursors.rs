//! Durable names for how far consumers of the change feed have come.

use nexus_fs::{CursorName, CursorOwner, FeedCursor, FeedPosition};
use nexus_kernel::Result;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Durability, Time};
use super::problem::{self, Answer};
use crate::paging::page_limit;

/// How far a consumer of the change feed has come.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedCursor)]
pub(super) struct Cursor {
    name: String,
    /// The principal it belongs to, as `kind:id`.
    owner: String,
    /// Everything up to here was acknowledged.
    position: String,
    created: Time,
    /// When it was last moved.
    moved: Time,
}

impl From<FeedCursor> for Cursor {
    fn from(cursor: FeedCursor) -> Self {
        Self {
            name: cursor.name,
            owner: cursor.owner,
            position: cursor.position.to_string(),
            created: Time(cursor.created),
            moved: Time(cursor.moved),
        }
    }
}

/// Which cursor, and where it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeedCursorMove)]
pub(super) struct Move {
    /// Its name, or `OWNER/NAME` for another principal's, which takes admin rights.
    name: String,
    /// A revision, or the id of an event.
    position: String,
    /// Of an acknowledgement.
    #[serde(default)]
    durability: Durability,
}

impl Move {
    fn parsed(&self) -> Result<(CursorName, FeedPosition)> {
        Ok((self.name.parse()?, self.position.parse()?))
    }
}

/// A cursor to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeedCursor)]
pub(super) struct NewCursor {
    /// 1 to 128 letters, digits, dots, dashes and underscores.
    name: String,
    /// Where it is to be; where the feed is now, unless given.
    position: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// Its name, or `OWNER/NAME` for another principal's, which takes admin rights.
    name: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Another principal's, as `kind:id`; takes admin rights.
    owner: Option<String>,
    /// Everybody's; takes admin rights.
    #[serde(default)]
    all: bool,
    /// Most cursors, 1,000 at most.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of cursors.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedCursorPage)]
pub(super) struct Page {
    cursors: Vec<Cursor>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Make a cursor.
#[utoipa::path(
    post, path = "/api/v2/cursors", tag = "feed", request_body = NewCursor,
    responses((status = 200, body = Cursor), (status = "default", body = problem::Body)),
)]
pub(super) async fn create(
    Files(files): Files,
    Json(body): Json<NewCursor>,
) -> Answer<Json<Cursor>> {
    let at = body.position.as_deref().map(str::parse).transpose()?;
    let cursor = files.create_cursor(&body.name.parse()?, at).await?;
    Ok(Json(cursor.into()))
}

/// The caller's cursors, or others'.
#[utoipa::path(
    get, path = "/api/v2/cursors", tag = "feed", params(Listed),
    responses((status = 200, body = Page), (status = "default", body = problem::Body)),
)]
pub(super) async fn list(Files(files): Files, Query(query): Query<Listed>) -> Answer<Json<Page>> {
    let of = match (query.all, query.owner) {
        (true, _) => CursorOwner::Anyone,
        (false, Some(owner)) => CursorOwner::Principal(owner),
        (false, None) => CursorOwner::Caller,
    };
    let limit = page_limit(query.limit)?;
    let page = files.cursors(&of, limit, query.cursor.as_deref()).await?;
    Ok(Json(Page {
        cursors: page.cursors.into_iter().map(Cursor::from).collect(),
        next: page.next,
    }))
}

/// How far a consumer has come.
#[utoipa::path(
    get, path = "/api/v2/cursor", tag = "feed", params(Named),
    responses((status = 200, body = Cursor), (status = "default", body = problem::Body)),
)]
pub(super) async fn get(Files(files): Files, Query(query): Query<Named>) -> Answer<Json<Cursor>> {
    Ok(Json(files.cursor(&query.name.parse()?).await?.into()))
}

/// Forget how far a consumer has come.
#[utoipa::path(
    delete, path = "/api/v2/cursor", tag = "feed", params(Named),
    responses((status = 204), (status = "default", body = problem::Body)),
)]
pub(super) async fn delete(
    Files(files): Files,
    Query(query): Query<Named>,
) -> Answer<http::StatusCode> {
    files.delete_cursor(&query.name.parse()?).await?;
    Ok(http::StatusCode::NO_CONTENT)
}

/// Note that everything up to a position has been handled.
///
/// A cursor that is further already is a conflict.
#[utoipa::path(
    post, path = "/api/v2/cursor/acknowledge", tag = "feed", request_body = Move,
    responses((status = 200, body = Cursor), (status = "default", body = problem::Body)),
)]
pub(super) async fn acknowledge(
    Files(files): Files,
    Json(body): Json<Move>,
) -> Answer<Json<Cursor>> {
    let (name, until) = body.parsed()?;
    let cursor = files
        .acknowledge(&name, until, body.durability.into())
        .await?;
    Ok(Json(cursor.into()))
}

/// Take a cursor back, or forward, to any position whose changes are kept.
#[utoipa::path(
    post, path = "/api/v2/cursor/rewind", tag = "feed", request_body = Move,
    responses((status = 200, body = Cursor), (status = "default", body = problem::Body)),
)]
pub(super) async fn rewind(Files(files): Files, Json(body): Json<Move>) -> Answer<Json<Cursor>> {
    let (name, to) = body.parsed()?;
    Ok(Json(files.rewind_cursor(&name, to).await?.into()))
}
