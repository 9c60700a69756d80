//! Snapshots.

use nexus_fs::{Expiry, NewSnapshot, SnapshotQuery, SnapshotUpdate};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin::given;
use super::extract::{Files, Json, Name, Query};
use super::model::Time;
use super::problem::{Answer, Body};
use crate::paging::page_limit;

/// A named revision of a directory.
#[derive(Serialize, ToSchema)]
pub(super) struct Snapshot {
    name: String,
    /// Counts the snapshots of the directory, from 1.
    number: u64,
    /// The inode of the directory.
    directory: u64,
    /// Where the directory was then.
    path: String,
    /// The state that it names.
    revision: u64,
    description: String,
    tags: Vec<String>,
    /// Who made it, as `kind:id`.
    actor: String,
    time: Time,
    /// It can neither be deleted nor expire.
    pinned: bool,
    /// When it may go by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
}

impl From<nexus_fs::Snapshot> for Snapshot {
    fn from(snapshot: nexus_fs::Snapshot) -> Self {
        Self {
            name: snapshot.name,
            number: snapshot.number,
            directory: snapshot.directory.0,
            path: snapshot.path,
            revision: snapshot.revision.0,
            description: snapshot.description,
            tags: snapshot.tags,
            actor: snapshot.actor,
            time: Time(snapshot.time),
            pinned: snapshot.pinned,
            expires: snapshot.expires.map(Time),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSnapshot {
    /// The directory.
    path: String,
    /// 1 to 128 bytes, beginning with a letter; made up unless given.
    name: Option<String>,
    #[serde(default)]
    description: String,
    /// At most 64.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    pinned: bool,
    expires: Option<Time>,
}

/// Make a snapshot of a directory.
///
/// It copies nothing, and costs the same for any number of files. Its name is a point in time
/// wherever `at` is.
#[utoipa::path(
    post, path = "/api/v2/snapshots", tag = "snapshots", request_body = CreateSnapshot,
    responses((status = 200, body = Snapshot), (status = "default", body = Body)),
)]
pub(super) async fn create(
    Files(files): Files,
    Json(body): Json<CreateSnapshot>,
) -> Answer<Json<Snapshot>> {
    let new = NewSnapshot {
        name: body.name,
        description: body.description,
        tags: body.tags,
        pinned: body.pinned,
        expires: body.expires.map(|time| time.0),
    };
    Ok(Json(files.create_snapshot(&body.path, new).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SnapshotsQuery {
    /// Of the directory at this path, now or when they were made.
    path: Option<String>,
    tag: Option<String>,
    /// Most snapshots; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of snapshots.
#[derive(Serialize, ToSchema)]
pub(super) struct SnapshotPage {
    snapshots: Vec<Snapshot>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The snapshots, by name.
#[utoipa::path(
    get, path = "/api/v2/snapshots", tag = "snapshots", params(SnapshotsQuery),
    responses((status = 200, body = SnapshotPage), (status = "default", body = Body)),
)]
pub(super) async fn list(
    Files(files): Files,
    Query(query): Query<SnapshotsQuery>,
) -> Answer<Json<SnapshotPage>> {
    let query = SnapshotQuery {
        path: query.path,
        tag: query.tag,
        limit: page_limit(query.limit)?,
        cursor: query.cursor,
    };
    let page = files.snapshots(query).await?;
    Ok(Json(SnapshotPage {
        snapshots: page.snapshots.into_iter().map(Snapshot::from).collect(),
        next: page.next,
    }))
}

/// A snapshot.
#[utoipa::path(
    get, path = "/api/v2/snapshots/{name}", tag = "snapshots",
    params(("name" = String, Path)),
    responses((status = 200, body = Snapshot), (status = "default", body = Body)),
)]
pub(super) async fn get(Files(files): Files, Name(name): Name) -> Answer<Json<Snapshot>> {
    Ok(Json(files.snapshot(&name).await?.into()))
}

/// Changes to a snapshot; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateSnapshot {
    description: Option<String>,
    /// All its tags.
    tags: Option<Vec<String>>,
    pinned: Option<bool>,
    /// `null`: it goes no more by itself.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Time>)]
    expires: Option<Option<Time>>,
}

/// Change what is said of a snapshot.
#[utoipa::path(
    patch, path = "/api/v2/snapshots/{name}", tag = "snapshots",
    params(("name" = String, Path)), request_body = UpdateSnapshot,
    responses((status = 200, body = Snapshot), (status = "default", body = Body)),
)]
pub(super) async fn update(
    Files(files): Files,
    Name(name): Name,
    Json(body): Json<UpdateSnapshot>,
) -> Answer<Json<Snapshot>> {
    let expiry = |time: Option<Time>| time.map_or(Expiry::Never, |time| Expiry::At(time.0));
    let update = SnapshotUpdate {
        description: body.description,
        tags: body.tags,
        pinned: body.pinned,
        expires: body.expires.map(expiry),
    };
    Ok(Json(files.update_snapshot(&name, update).await?.into()))
}

/// Delete a snapshot, which must not be pinned.
#[utoipa::path(
    delete, path = "/api/v2/snapshots/{name}", tag = "snapshots",
    params(("name" = String, Path)),
    responses((status = 200, body = Snapshot), (status = "default", body = Body)),
)]
pub(super) async fn delete(Files(files): Files, Name(name): Name) -> Answer<Json<Snapshot>> {
    Ok(Json(files.delete_snapshot(&name).await?.into()))
}
