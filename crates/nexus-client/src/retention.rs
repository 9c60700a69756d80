//! Retention: how much of history is kept, and where. Needs a key with admin rights.

use std::time::Duration;

use nexus_kernel::{Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::error::{from_status, from_status_of_change};
use crate::types::snapshots::{CompactReport, RetentionLimits, RetentionPolicy};

impl Client {
    /// Sets how much history the paths that match a glob keep.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, `LimitExceeded`, `PermissionDenied`.
    pub async fn set_retention(
        &self,
        pattern: &str,
        limits: RetentionLimits,
    ) -> Result<RetentionPolicy> {
        let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let request = v1::SetRetentionRequest {
            pattern: pattern.to_owned(),
            max_age_ms: limits.max_age.map(millis),
            max_versions: limits.max_versions,
        };
        let answer = self.retention_service().set(request).await;
        Ok(policy(answer.map_err(from_status_of_change)?.into_inner()))
    }

    /// How much history is kept where, by pattern.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`.
    pub async fn retention(&self) -> Result<Vec<RetentionPolicy>> {
        let request = v1::ListRetentionRequest {};
        let answer = self.retention_service().list(request).await;
        let policies = answer.map_err(from_status)?.into_inner().policies;
        Ok(policies.into_iter().map(policy).collect())
    }

    /// Removes a policy. What was collected stays collected.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn remove_retention(&self, pattern: &str) -> Result<()> {
        let pattern = pattern.to_owned();
        let request = v1::RemoveRetentionRequest { pattern };
        let answer = self.retention_service().remove(request).await;
        answer.map(drop).map_err(from_status_of_change)
    }

    /// Collects history to the end, or tells what would go.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `LimitExceeded` for a dry run over too much.
    pub async fn run_retention(&self, dry_run: bool) -> Result<CompactReport> {
        let request = v1::RunRetentionRequest { dry_run };
        let answer = self.retention_service().run(request).await;
        let report = answer.map_err(from_status_of_change)?.into_inner();
        Ok(CompactReport {
            rows: report.rows,
            versions: report.versions,
            snapshots: report.snapshots,
            oldest_readable: Revision(report.oldest_readable),
            dry_run: report.dry_run,
        })
    }
}

fn policy(wire: v1::RetentionPolicy) -> RetentionPolicy {
    RetentionPolicy {
        pattern: wire.pattern,
        limits: RetentionLimits {
            max_age: wire.max_age_ms.map(Duration::from_millis),
            max_versions: wire.max_versions,
        },
        actor: wire.actor,
        time: Timestamp(wire.time_ns),
    }
}
