//! The service `Retention`.

use std::time::Duration;

use nexus_fs::{CompactReport, RetentionLimits, Session};
use nexus_proto::v1::retention_server::Retention;
use nexus_proto::v1::*;
use tonic::Request;

use super::{Reply, answer};
use crate::app::Shared;

pub(super) struct RetentionDoor(pub(super) Shared);

#[tonic::async_trait]
impl Retention for RetentionDoor {
    async fn set(&self, request: Request<SetRetentionRequest>) -> Reply<RetentionPolicy> {
        let set = |files: Session, ask: SetRetentionRequest| async move {
            let limits = RetentionLimits {
                max_age: ask.max_age_ms.map(Duration::from_millis),
                max_versions: ask.max_versions,
            };
            files.set_retention(&ask.pattern, limits).await.map(policy)
        };
        answer(&self.0, request, set).await
    }

    async fn list(&self, request: Request<ListRetentionRequest>) -> Reply<ListRetentionResponse> {
        let list = |files: Session, ListRetentionRequest {}| async move {
            let policies = files.retention().await?.into_iter();
            Ok(ListRetentionResponse {
                policies: policies.map(policy).collect(),
            })
        };
        answer(&self.0, request, list).await
    }

    async fn remove(
        &self,
        request: Request<RemoveRetentionRequest>,
    ) -> Reply<RemoveRetentionResponse> {
        let remove = |files: Session, ask: RemoveRetentionRequest| async move {
            files.remove_retention(&ask.pattern).await?;
            Ok(RemoveRetentionResponse {})
        };
        answer(&self.0, request, remove).await
    }

    async fn run(&self, request: Request<RunRetentionRequest>) -> Reply<RunRetentionResponse> {
        let run = |files: Session, ask: RunRetentionRequest| async move {
            let CompactReport {
                rows,
                versions,
                snapshots,
                oldest_readable,
                dry_run,
            } = files.compact(files.now(), ask.dry_run).await?;
            Ok(RunRetentionResponse {
                rows,
                versions,
                snapshots,
                oldest_readable: oldest_readable.0,
                dry_run,
            })
        };
        answer(&self.0, request, run).await
    }
}

fn policy(policy: nexus_fs::RetentionPolicy) -> RetentionPolicy {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    RetentionPolicy {
        pattern: policy.pattern,
        max_age_ms: policy.limits.max_age.map(millis),
        max_versions: policy.limits.max_versions,
        actor: policy.actor,
        time_ns: policy.time.0,
    }
}
