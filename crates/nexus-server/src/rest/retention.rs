//! Retention.

use std::time::Duration;

use nexus_fs::RetentionLimits;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::Time;
use super::problem::{Answer, Body};

/// How much of the history of some files is kept.
#[derive(Serialize, ToSchema)]
pub(super) struct RetentionPolicy {
    /// An absolute glob.
    pattern: String,
    /// States that ended longer ago go.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_ms: Option<u64>,
    /// Versions of a file beyond so many of the newest go, today's included.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<u64>,
    /// Who set it, as `kind:id`.
    actor: String,
    time: Time,
}

impl From<nexus_fs::RetentionPolicy> for RetentionPolicy {
    fn from(policy: nexus_fs::RetentionPolicy) -> Self {
        let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self {
            pattern: policy.pattern,
            max_age_ms: policy.limits.max_age.map(millis),
            max_versions: policy.limits.max_versions,
            actor: policy.actor,
            time: Time(policy.time),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRetention {
    /// An absolute glob; `/**` for the zone.
    pattern: String,
    /// 1,000 to 3,153,600,000,000.
    max_age_ms: Option<u64>,
    /// At least 1.
    max_versions: Option<u64>,
}

/// Set how much history some paths keep.
///
/// Without an age or a number of versions everything is kept. Of several policies that match a path
/// the most specific one holds; where none does, everything is kept.
#[utoipa::path(
    put, path = "/api/v2/retention", tag = "retention", request_body = SetRetention,
    responses((status = 200, body = RetentionPolicy), (status = "default", body = Body)),
)]
pub(super) async fn set(
    Files(files): Files,
    Json(body): Json<SetRetention>,
) -> Answer<Json<RetentionPolicy>> {
    let limits = RetentionLimits {
        max_age: body.max_age_ms.map(Duration::from_millis),
        max_versions: body.max_versions,
    };
    Ok(Json(
        files.set_retention(&body.pattern, limits).await?.into(),
    ))
}

/// How much history is kept where.
#[utoipa::path(
    get, path = "/api/v2/retention", tag = "retention",
    responses((status = 200, body = Vec<RetentionPolicy>), (status = "default", body = Body)),
)]
pub(super) async fn list(Files(files): Files) -> Answer<Json<Vec<RetentionPolicy>>> {
    let policies = files.retention().await?.into_iter();
    Ok(Json(policies.map(RetentionPolicy::from).collect()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveRetention {
    /// As it was set.
    pattern: String,
}

/// Remove a policy. What was collected stays collected.
#[utoipa::path(
    delete, path = "/api/v2/retention", tag = "retention", params(RemoveRetention),
    responses((status = 200, body = Vec<RetentionPolicy>), (status = "default", body = Body)),
)]
pub(super) async fn remove(
    Files(files): Files,
    Query(query): Query<RemoveRetention>,
) -> Answer<Json<Vec<RetentionPolicy>>> {
    files.remove_retention(&query.pattern).await?;
    list(Files(files)).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunRetention {
    /// Change nothing, just count.
    #[serde(default)]
    dry_run: bool,
}

/// What a collection of history removed, or would.
#[derive(Serialize, ToSchema)]
pub(super) struct CompactReport {
    /// Rows of history and of the log.
    rows: u64,
    /// Versions of files that can no longer be read.
    versions: u64,
    /// Snapshots that have expired.
    snapshots: u64,
    /// 0 while all revisions are readable.
    oldest_readable: u64,
    dry_run: bool,
}

/// Collect history now.
#[utoipa::path(
    post, path = "/api/v2/retention/run", tag = "retention", params(RunRetention),
    responses((status = 200, body = CompactReport), (status = "default", body = Body)),
)]
pub(super) async fn run(
    Files(files): Files,
    Query(query): Query<RunRetention>,
) -> Answer<Json<CompactReport>> {
    let nexus_fs::CompactReport {
        rows,
        versions,
        snapshots,
        oldest_readable,
        dry_run,
    } = files.compact(files.now(), query.dry_run).await?;
    Ok(Json(CompactReport {
        rows,
        versions,
        snapshots,
        oldest_readable: oldest_readable.0,
        dry_run,
    }))
}
