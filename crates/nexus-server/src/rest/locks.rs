//! Locks.

use std::time::Duration;

use axum::extract::State;
use nexus_fs::{AcquireOptions, LockMode, LockQuery};
use nexus_kernel::Result;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::history::RevisionBody;
use super::model::{Durability, Time};
use super::problem::{Answer, Body};
use crate::app::Shared;
use crate::paging::page_limit;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcquireLock {
    /// A file or directory, `/a/path` or `ino:42`, or a free name, `name:deploy`.
    resource: String,
    /// `exclusive` (default), `shared` or `counting`.
    mode: Option<String>,
    /// Of a counting lock, 1 to 1,000; everybody who uses it at a time says the same number.
    permits: Option<u32>,
    /// How long the lease holds unless it is extended: 1 to 86,400,000.
    ttl_ms: u64,
    /// How long to wait while others hold the lock: up to 3,600,000.
    #[serde(default)]
    wait_ms: u64,
    #[serde(default)]
    durability: Durability,
}

impl AcquireLock {
    fn options(&self) -> Result<AcquireOptions> {
        Ok(AcquireOptions {
            mode: LockMode::named(self.mode.as_deref().unwrap_or("exclusive"), self.permits)?,
            ttl: Duration::from_millis(self.ttl_ms),
            wait: Duration::from_millis(self.wait_ms),
            durability: self.durability.into(),
        })
    }
}

/// A lease that is held.
#[derive(Serialize, ToSchema)]
pub(super) struct Lease {
    /// By a name that renames do not change: `ino:42` or `name:deploy`.
    resource: String,
    /// Where that is now; none for a free name.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The commit that granted it; of one lock, later ones are larger.
    token: u64,
    /// `exclusive`, `shared` or `counting`.
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    /// Whose it is, as `kind:id`.
    holder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    acquired: Time,
    expires: Time,
}

impl From<nexus_fs::Lease> for Lease {
    fn from(lease: nexus_fs::Lease) -> Self {
        Self {
            resource: lease.resource,
            path: lease.path,
            token: lease.token,
            mode: lease.mode.as_str(),
            permits: lease.mode.permits(),
            holder: lease.holder,
            on_behalf_of: lease.on_behalf_of,
            session: lease.session,
            acquired: Time(lease.acquired),
            expires: Time(lease.expires),
        }
    }
}

/// Ask for a lease.
///
/// Who waits is served in the order of asking; a request that is broken off leaves the queue. A
/// change that carries the header `x-nexus-fence: TOKEN RESOURCE`, percent-encoded, up to 8 times,
/// is refused with `conflict` unless those leases are held when it is committed.
#[utoipa::path(
    post, path = "/api/v2/locks", tag = "locks", request_body = AcquireLock,
    responses((status = 200, body = Lease), (status = "default", body = Body)),
)]
pub(super) async fn acquire(
    Files(files): Files,
    State(shared): State<Shared>,
    Json(body): Json<AcquireLock>,
) -> Answer<Json<Lease>> {
    let granted = files.acquire_lock(&body.resource, body.options()?);
    Ok(Json(shared.until_closing(granted).await?.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendLock {
    resource: String,
    token: u64,
    /// From now on: 1 to 86,400,000. A lease is never shortened.
    ttl_ms: u64,
    #[serde(default)]
    durability: Durability,
}

/// Let a lease hold for longer.
#[utoipa::path(
    post, path = "/api/v2/locks/extend", tag = "locks", request_body = ExtendLock,
    responses((status = 200, body = Lease), (status = "default", body = Body)),
)]
pub(super) async fn extend(
    Files(files): Files,
    Json(body): Json<ExtendLock>,
) -> Answer<Json<Lease>> {
    let ttl = Duration::from_millis(body.ttl_ms);
    let extended = files.extend_lock(&body.resource, body.token, ttl, body.durability.into());
    Ok(Json(extended.await?.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseLock {
    resource: String,
    token: u64,
    #[serde(default)]
    durability: Durability,
}

/// Give a lease up.
#[utoipa::path(
    post, path = "/api/v2/locks/release", tag = "locks", request_body = ReleaseLock,
    responses((status = 200, body = RevisionBody), (status = "default", body = Body)),
)]
pub(super) async fn release(
    Files(files): Files,
    Json(body): Json<ReleaseLock>,
) -> Answer<Json<RevisionBody>> {
    let released = files.release_lock(&body.resource, body.token, body.durability.into());
    Ok(Json(released.await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InspectLock {
    resource: String,
}

/// A lock that somebody holds or waits for.
#[derive(Serialize, ToSchema)]
pub(super) struct LockState {
    /// `ino:42` or `name:deploy`.
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// In the order of their tokens.
    leases: Vec<Lease>,
    /// First come first.
    waiters: Vec<LockWaiter>,
}

/// Somebody who waits for a lease.
#[derive(Serialize, ToSchema)]
struct LockWaiter {
    /// As `kind:id`.
    holder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permits: Option<u32>,
    since: Time,
}

impl From<nexus_fs::LockState> for LockState {
    fn from(state: nexus_fs::LockState) -> Self {
        Self {
            resource: state.resource,
            path: state.path,
            leases: state.leases.into_iter().map(Lease::from).collect(),
            waiters: state.waiters.into_iter().map(LockWaiter::from).collect(),
        }
    }
}

impl From<nexus_fs::Waiter> for LockWaiter {
    fn from(waiter: nexus_fs::Waiter) -> Self {
        Self {
            holder: waiter.holder,
            on_behalf_of: waiter.on_behalf_of,
            session: waiter.session,
            mode: waiter.mode.as_str(),
            permits: waiter.mode.permits(),
            since: Time(waiter.since),
        }
    }
}

/// Who holds a lock and who waits for it.
#[utoipa::path(
    get, path = "/api/v2/locks/state", tag = "locks", params(InspectLock),
    responses((status = 200, body = LockState), (status = "default", body = Body)),
)]
pub(super) async fn inspect(
    Files(files): Files,
    Query(query): Query<InspectLock>,
) -> Answer<Json<LockState>> {
    Ok(Json(files.inspect_lock(&query.resource).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListLocks {
    /// Those on this path and below it.
    path_prefix: Option<String>,
    /// Those that somebody, as `kind:id`, holds or waits for.
    holder: Option<String>,
    /// Most locks; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of locks.
#[derive(Serialize, ToSchema)]
pub(super) struct LockPage {
    locks: Vec<LockState>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The locks that somebody holds or waits for.
#[utoipa::path(
    get, path = "/api/v2/locks", tag = "locks", params(ListLocks),
    responses((status = 200, body = LockPage), (status = "default", body = Body)),
)]
pub(super) async fn list(
    Files(files): Files,
    Query(query): Query<ListLocks>,
) -> Answer<Json<LockPage>> {
    let query = LockQuery {
        path_prefix: query.path_prefix,
        holder: query.holder,
        limit: page_limit(query.limit)?,
        cursor: query.cursor,
    };
    let page = files.list_locks(query).await?;
    Ok(Json(LockPage {
        locks: page.locks.into_iter().map(LockState::from).collect(),
        next: page.next,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForceUnlock {
    resource: String,
    /// One lease; all unless given.
    token: Option<u64>,
}

/// What a forced unlock did.
#[derive(Serialize, ToSchema)]
pub(super) struct Forced {
    /// Under which it is in the log.
    revision: u64,
    /// The leases that ended.
    leases: Vec<Lease>,
}

/// End leases whoever holds them.
///
/// Those of others take admin rights. It is on record in the log.
#[utoipa::path(
    post, path = "/api/v2/locks/force-unlock", tag = "locks", request_body = ForceUnlock,
    responses((status = 200, body = Forced), (status = "default", body = Body)),
)]
pub(super) async fn force_unlock(
    Files(files): Files,
    Json(body): Json<ForceUnlock>,
) -> Answer<Json<Forced>> {
    let forced = files.force_unlock(&body.resource, body.token).await?;
    Ok(Json(Forced {
        revision: forced.revision.0,
        leases: forced.leases.into_iter().map(Lease::from).collect(),
    }))
}
