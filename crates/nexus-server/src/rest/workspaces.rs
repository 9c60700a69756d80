//! Workspaces, forks and merges.

use std::collections::BTreeMap;
use std::time::Duration;

use nexus_fs::{ForkOptions, MergeOptions, NewWorkspace};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Changed, Durability, Time};
use super::problem::{Answer, Body};
use crate::paging::page_limit;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterWorkspace {
    /// A directory. The registration follows it where it moves.
    path: String,
    name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// The run of an agent that it is for.
    session: Option<String>,
    /// The registration ends by itself after so long, at most 366 days; never unless given.
    ttl_ms: Option<u64>,
}

/// A registered directory.
#[derive(Serialize, ToSchema)]
pub(super) struct Workspace {
    path: String,
    ino: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    tags: Vec<String>,
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// As `kind:id`.
    created_by: String,
    created: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
}

impl From<nexus_fs::Workspace> for Workspace {
    fn from(workspace: nexus_fs::Workspace) -> Self {
        Self {
            path: workspace.path,
            ino: workspace.directory.0,
            name: workspace.name,
            description: workspace.description,
            tags: workspace.tags,
            metadata: workspace.metadata,
            session: workspace.session,
            created_by: workspace.created_by,
            created: Time(workspace.created),
            expires: workspace.expires.map(Time),
        }
    }
}

/// Register a directory as a workspace.
#[utoipa::path(
    post, path = "/api/v2/workspaces", tag = "workspaces", request_body = RegisterWorkspace,
    responses((status = 200, body = Workspace), (status = "default", body = Body)),
)]
pub(super) async fn register(
    Files(files): Files,
    Json(body): Json<RegisterWorkspace>,
) -> Answer<Json<Workspace>> {
    let new = NewWorkspace {
        name: body.name,
        description: body.description,
        tags: body.tags,
        metadata: body.metadata,
        session: body.session,
        ttl: body.ttl_ms.map(Duration::from_millis),
    };
    Ok(Json(
        files.register_workspace(&body.path, new).await?.into(),
    ))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnregisterWorkspace {
    path: String,
}

/// End the registration of a workspace.
///
/// The directory stays.
#[utoipa::path(
    post, path = "/api/v2/workspaces/unregister", tag = "workspaces",
    request_body = UnregisterWorkspace,
    responses((status = 200, body = Workspace), (status = "default", body = Body)),
)]
pub(super) async fn unregister(
    Files(files): Files,
    Json(body): Json<UnregisterWorkspace>,
) -> Answer<Json<Workspace>> {
    Ok(Json(files.unregister_workspace(&body.path).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfWorkspace {
    path: String,
}

/// What is registered of a directory.
#[utoipa::path(
    get, path = "/api/v2/workspaces/info", tag = "workspaces", params(OfWorkspace),
    responses((status = 200, body = Workspace), (status = "default", body = Body)),
)]
pub(super) async fn info(
    Files(files): Files,
    Query(query): Query<OfWorkspace>,
) -> Answer<Json<Workspace>> {
    Ok(Json(files.workspace(&query.path).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListWorkspaces {
    /// Most workspaces; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of workspaces.
#[derive(Serialize, ToSchema)]
pub(super) struct WorkspacePage {
    workspaces: Vec<Workspace>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The workspaces that the caller may see.
#[utoipa::path(
    get, path = "/api/v2/workspaces", tag = "workspaces", params(ListWorkspaces),
    responses((status = 200, body = WorkspacePage), (status = "default", body = Body)),
)]
pub(super) async fn list(
    Files(files): Files,
    Query(query): Query<ListWorkspaces>,
) -> Answer<Json<WorkspacePage>> {
    let limit = page_limit(query.limit)?;
    let page = files.workspaces(limit, query.cursor.as_deref()).await?;
    Ok(Json(WorkspacePage {
        workspaces: page.items.into_iter().map(Workspace::from).collect(),
        next: page.next,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MakeFork {
    /// A directory.
    from: String,
    /// Where the fork is made.
    to: String,
    /// Make missing parents of the fork.
    #[serde(default)]
    parents: bool,
    #[serde(default)]
    durability: Durability,
}

/// Fork a directory.
///
/// All that is below it now is at the other path, too, to be changed without either hearing of
/// the other. Content is not copied, and the size of the directory does not matter.
#[utoipa::path(
    post, path = "/api/v2/forks", tag = "workspaces", request_body = MakeFork,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn fork(Files(files): Files, Json(body): Json<MakeFork>) -> Answer<Changed> {
    let options = ForkOptions {
        parents: body.parents,
        durability: body.durability.into(),
    };
    Ok(files.fork(&body.from, &body.to, options).await?.into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListForks {
    /// Those of this directory.
    of: Option<String>,
    /// Most forks; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A fork that is in the tree.
#[derive(Serialize, ToSchema)]
pub(super) struct Fork {
    path: String,
    ino: u64,
    /// The directory that it is of.
    origin: u64,
    /// Where that is; none if it has gone, or is out of the caller's sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_path: Option<String>,
    /// The state of the origin that it is of.
    base: u64,
    /// The commit that made it.
    revision: u64,
    /// As `kind:id`.
    created_by: String,
    created: Time,
}

/// A page of forks.
#[derive(Serialize, ToSchema)]
pub(super) struct ForkPage {
    forks: Vec<Fork>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The forks that the caller may see.
#[utoipa::path(
    get, path = "/api/v2/forks", tag = "workspaces", params(ListForks),
    responses((status = 200, body = ForkPage), (status = "default", body = Body)),
)]
pub(super) async fn forks(
    Files(files): Files,
    Query(query): Query<ListForks>,
) -> Answer<Json<ForkPage>> {
    let limit = page_limit(query.limit)?;
    let page = files.forks(query.of.as_deref(), limit, query.cursor.as_deref());
    let page = page.await?;
    let forks = page.items.into_iter().map(|fork| Fork {
        path: fork.path,
        ino: fork.directory.0,
        origin: fork.origin.0,
        origin_path: fork.origin_path,
        base: fork.base.0,
        revision: fork.revision.0,
        created_by: fork.created_by,
        created: Time(fork.created),
    });
    Ok(Json(ForkPage {
        forks: forks.collect(),
        next: page.next,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    /// The fork.
    fork: String,
    /// Another fork of the same directory; the directory itself unless given.
    into: Option<String>,
    /// Where both sides changed the same: `report` (default; then nothing is merged), `markers`,
    /// `ours` or `theirs`.
    strategy: Option<String>,
    /// Tell what would be done, and do nothing.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    durability: Durability,
}

/// What a merge did, or would do.
#[derive(Serialize, ToSchema)]
pub(super) struct Merged {
    fork: String,
    into: String,
    /// The state of the fork that changes are counted from.
    base: u64,
    /// The state of the fork that was merged.
    merged: u64,
    /// The commit; none if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Whether all is merged.
    applied: bool,
    changes: Vec<MergeChange>,
    conflicts: Vec<MergeConflict>,
}

/// One change that a merge makes in the target.
#[derive(Serialize, ToSchema)]
struct MergeChange {
    /// `added`, `taken`, `merged`, `marked`, `renamed`, `removed`, `attributes` or `metadata`.
    kind: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<String>,
}

/// Where both sides changed the same.
#[derive(Serialize, ToSchema)]
struct MergeConflict {
    /// `content`, `removed`, `changed`, `added`, `renamed`, `kind`, `attributes` or `metadata`.
    kind: &'static str,
    path: String,
    /// Whether the strategy decided it.
    resolved: bool,
}

/// Merge a fork.
///
/// What changed in it since it was made, or last merged, comes into the directory that it is of,
/// in one commit or not at all.
#[utoipa::path(
    post, path = "/api/v2/merge", tag = "workspaces", request_body = Merge,
    responses((status = 200, body = Merged), (status = "default", body = Body)),
)]
pub(super) async fn merge(Files(files): Files, Json(body): Json<Merge>) -> Answer<Json<Merged>> {
    let options = MergeOptions {
        strategy: body.strategy.as_deref().unwrap_or("report").parse()?,
        dry_run: body.dry_run,
        into: body.into,
        durability: body.durability.into(),
    };
    let report = files.merge(&body.fork, options).await?;
    let changes = report.changes.into_iter().map(|change| MergeChange {
        kind: change.kind.as_str(),
        path: change.path,
        old_path: change.old_path,
    });
    let conflicts = report.conflicts.into_iter().map(|conflict| MergeConflict {
        kind: conflict.kind.as_str(),
        path: conflict.path,
        resolved: conflict.resolved,
    });
    Ok(Json(Merged {
        fork: report.fork,
        into: report.into,
        base: report.base.0,
        merged: report.merged.0,
        revision: report.revision.map(|revision| revision.0),
        applied: report.applied,
        changes: changes.collect(),
        conflicts: conflicts.collect(),
    }))
}
