//! What was: versions and the log.

use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::ACCEPT;
use nexus_fs::{ChangeKind, LogQuery};
use nexus_kernel::{Error, Result, Revision};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Changed, Durability, Time};
use super::ndjson::ndjson;
use super::problem::{self, Answer};
use crate::paging::page_limit;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionsQuery {
    path: String,
    /// Most versions; 1,000 unless given.
    limit: Option<usize>,
    /// Only versions before this one: the last of the page before.
    before: Option<u64>,
}

/// A past or present content of a file.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    /// From 1.
    version: u64,
    etag: String,
    size: u64,
    /// The commit that made it.
    revision: u64,
    created: Time,
    /// As `kind:id`.
    author: String,
    /// Whether it is today's.
    current: bool,
}

impl From<nexus_fs::Version> for Version {
    fn from(version: nexus_fs::Version) -> Self {
        Self {
            version: version.version,
            etag: version.etag.to_string(),
            size: version.size,
            revision: version.revision.0,
            created: Time(version.created),
            author: version.author,
            current: version.current,
        }
    }
}

/// The contents a file has had, newest first.
#[utoipa::path(
    get, path = "/api/v2/versions", tag = "history", params(VersionsQuery),
    responses((status = 200, body = Vec<Version>), (status = "default", body = problem::Body)),
)]
pub(super) async fn versions(
    Files(files): Files,
    Query(query): Query<VersionsQuery>,
) -> Answer<Json<Vec<Version>>> {
    let versions = files
        .versions(&query.path, page_limit(query.limit)?, query.before)
        .await?;
    Ok(Json(versions.into_iter().map(Version::from).collect()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    path: String,
    version: u64,
    #[serde(default)]
    durability: Durability,
}

/// Make an earlier content the newest version.
#[utoipa::path(
    post, path = "/api/v2/rollback", tag = "history", request_body = Rollback,
    responses((status = 200, body = Changed), (status = "default", body = problem::Body)),
)]
pub(super) async fn rollback(Files(files): Files, Json(body): Json<Rollback>) -> Answer<Changed> {
    let durability = body.durability.into();
    Ok(files
        .rollback(&body.path, body.version, durability)
        .await?
        .into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParams {
    path_prefix: Option<String>,
    /// As `kind:id`.
    actor: Option<String>,
    /// For this principal, as `kind:id`.
    on_behalf_of: Option<String>,
    /// With the key of this public id.
    key_id: Option<String>,
    /// By this program.
    program: Option<String>,
    /// One or more of `file_write`, `file_delete` and so on, with commas between.
    kind: Option<String>,
    session: Option<String>,
    request_id: Option<String>,
    /// What the commit was as a whole: `undo`, `restore`, `merge`.
    operation: Option<String>,
    /// After this point, as `at` of a read.
    since: Option<String>,
    /// Up to and with this point.
    until: Option<String>,
    #[serde(default)]
    newest_first: bool,
    /// Most commits; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One commit: who did what, when.
#[derive(Serialize, ToSchema)]
pub(super) struct Record {
    revision: u64,
    time: Time,
    /// As `kind:id`.
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    /// The public id of the key it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The name of the program that asked, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What the commit was as a whole, where that is more than its changes: `undo`, `restore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The revisions that such an operation is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    about: Vec<u64>,
    changes: Vec<Change>,
}

/// One thing that a commit did.
#[derive(Serialize, ToSchema)]
struct Change {
    /// `file_write`, `file_delete` and so on.
    kind: &'static str,
    path: String,
    /// Of a rename or copy: where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<String>,
    ino: u64,
    /// `file`, `directory` or `symlink`.
    file_kind: &'static str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<EndedLease>,
    /// What it is about besides the path: the name of the snapshot or workspace, the pattern of the
    /// policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

/// A lease that was taken from its holder.
#[derive(Serialize, ToSchema)]
struct EndedLease {
    token: u64,
    /// As `kind:id`.
    holder: String,
}

impl From<nexus_fs::Record> for Record {
    fn from(record: nexus_fs::Record) -> Self {
        Self {
            revision: record.revision.0,
            time: Time(record.time),
            actor: record.actor,
            on_behalf_of: record.on_behalf_of,
            key_id: record.key_id,
            session: record.session,
            program: record.program,
            request_id: record.request_id,
            operation: record.operation,
            about: record
                .about
                .into_iter()
                .map(|revision| revision.0)
                .collect(),
            changes: record.changes.into_iter().map(Change::from).collect(),
        }
    }
}

impl From<nexus_fs::Change> for Change {
    fn from(change: nexus_fs::Change) -> Self {
        Self {
            kind: change.kind.as_str(),
            path: change.path,
            old_path: change.old_path,
            ino: change.ino.0,
            file_kind: change.file_kind.as_str(),
            version: change.version,
            etag: change.etag.map(|etag| etag.to_string()),
            size: change.size,
            lease: change.lease.map(|lease| EndedLease {
                token: lease.token,
                holder: lease.holder,
            }),
            subject: change.subject,
        }
    }
}

/// A page of commits.
#[derive(Serialize, ToSchema)]
pub(super) struct LogPage {
    records: Vec<Record>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The same for the page before; none before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

/// The zone's commits, filtered.
///
/// A page of them; or to those who accept `application/x-ndjson` all of them, one a line.
#[utoipa::path(
    get, path = "/api/v2/log", tag = "history", params(LogParams),
    responses((status = 200, body = LogPage), (status = "default", body = problem::Body)),
)]
pub(super) async fn log(
    Files(files): Files,
    Query(query): Query<LogParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    let query = query.try_into()?;
    if accepts(&headers, "application/x-ndjson") {
        let records = files.log_stream(query).map_ok(Record::from).boxed();
        return Ok(ndjson(records).await?);
    }
    let page = files.log(query).await?;
    let records = page.records.into_iter().map(Record::from).collect();
    let page = LogPage {
        records,
        next: page.next,
        previous: page.previous,
    };
    Ok(Json(page).into_response())
}

fn asked_kinds(kinds: Option<&str>) -> Result<Vec<ChangeKind>> {
    let kinds = kinds.into_iter().flat_map(|kinds| kinds.split(','));
    kinds.map(str::parse).collect()
}

impl TryFrom<LogParams> for LogQuery {
    type Error = Error;

    fn try_from(query: LogParams) -> Result<Self> {
        Ok(Self {
            path_prefix: query.path_prefix,
            actor: query.actor,
            kinds: asked_kinds(query.kind.as_deref())?,
            on_behalf_of: query.on_behalf_of,
            key_id: query.key_id,
            program: query.program,
            session: query.session,
            request_id: query.request_id,
            operation: query.operation,
            since: query.since.as_deref().map(str::parse).transpose()?,
            until: query.until.as_deref().map(str::parse).transpose()?,
            newest_first: query.newest_first,
            limit: page_limit(query.limit)?,
            cursor: query.cursor,
        })
    }
}

pub(super) fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains(content_type))
}

/// A revision.
#[derive(Serialize, ToSchema)]
pub(super) struct RevisionBody {
    revision: u64,
}

impl From<Revision> for RevisionBody {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.0,
        }
    }
}

/// The newest revision.
#[utoipa::path(
    get, path = "/api/v2/revision", tag = "history",
    responses((status = 200, body = RevisionBody), (status = "default", body = problem::Body)),
)]
pub(super) async fn revision(Files(files): Files) -> Answer<Json<RevisionBody>> {
    Ok(Json(RevisionBody {
        revision: files.revision().await?.0,
    }))
}

/// Make everything acknowledged so far durable.
#[utoipa::path(
    post, path = "/api/v2/sync", tag = "change",
    responses((status = 200, body = RevisionBody), (status = "default", body = problem::Body)),
)]
pub(super) async fn sync(Files(files): Files) -> Answer<Json<RevisionBody>> {
    Ok(Json(RevisionBody {
        revision: files.sync().await?.0,
    }))
}
