//! The service `Workspaces`.

use std::time::Duration;

use nexus_fs::{ForkOptions, MergeOptions, NewWorkspace, Session};
use nexus_kernel::Result;
use nexus_proto::v1::workspaces_server::Workspaces;
use nexus_proto::v1::*;
use tonic::Request;

use super::convert::{changed, cursor, durability, unknown};
use super::{Reply, answer};
use crate::app::Shared;
use crate::paging::page_limit;

pub(super) struct WorkspacesDoor(pub(super) Shared);

#[tonic::async_trait]
impl Workspaces for WorkspacesDoor {
    async fn register(&self, request: Request<RegisterWorkspaceRequest>) -> Reply<Workspace> {
        let register = |files: Session, ask: RegisterWorkspaceRequest| async move {
            let new = NewWorkspace {
                name: ask.name,
                description: ask.description,
                tags: ask.tags,
                metadata: ask.metadata.into_iter().collect(),
                session: ask.session,
                ttl: ask.ttl_ms.map(Duration::from_millis),
            };
            files
                .register_workspace(&ask.path, new)
                .await
                .map(workspace)
        };
        answer(&self.0, request, register).await
    }

    async fn unregister(&self, request: Request<WorkspaceRequest>) -> Reply<Workspace> {
        let unregister = |files: Session, ask: WorkspaceRequest| async move {
            files.unregister_workspace(&ask.path).await.map(workspace)
        };
        answer(&self.0, request, unregister).await
    }

    async fn get(&self, request: Request<WorkspaceRequest>) -> Reply<Workspace> {
        let get = |files: Session, ask: WorkspaceRequest| async move {
            files.workspace(&ask.path).await.map(workspace)
        };
        answer(&self.0, request, get).await
    }

    async fn list(&self, request: Request<ListWorkspacesRequest>) -> Reply<ListWorkspacesResponse> {
        let list = |files: Session, ask: ListWorkspacesRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let after = cursor(ask.cursor);
            let page = files.workspaces(limit, after.as_deref()).await?;
            Ok(ListWorkspacesResponse {
                workspaces: page.items.into_iter().map(workspace).collect(),
                next: page.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, list).await
    }

    async fn fork(&self, request: Request<ForkRequest>) -> Reply<Changed> {
        let fork = |files: Session, ask: ForkRequest| async move {
            let options = ForkOptions {
                parents: ask.parents,
                durability: durability(ask.durability)?,
            };
            files.fork(&ask.from, &ask.to, options).await.map(changed)
        };
        answer(&self.0, request, fork).await
    }

    async fn list_forks(&self, request: Request<ListForksRequest>) -> Reply<ListForksResponse> {
        let list = |files: Session, ask: ListForksRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let after = cursor(ask.cursor);
            let page = files.forks(ask.of.as_deref(), limit, after.as_deref());
            let page = page.await?;
            Ok(ListForksResponse {
                forks: page.items.into_iter().map(fork_info).collect(),
                next: page.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, list).await
    }

    async fn merge(&self, request: Request<MergeRequest>) -> Reply<MergeResponse> {
        let merge = |files: Session, ask: MergeRequest| async move {
            let options = MergeOptions {
                strategy: strategy(ask.strategy)?,
                dry_run: ask.dry_run,
                into: ask.into,
                durability: durability(ask.durability)?,
            };
            files.merge(&ask.fork, options).await.map(report)
        };
        answer(&self.0, request, merge).await
    }
}

fn strategy(wire: i32) -> Result<nexus_fs::MergeStrategy> {
    match MergeStrategy::try_from(wire) {
        Ok(MergeStrategy::Unspecified | MergeStrategy::Report) => {
            Ok(nexus_fs::MergeStrategy::Report)
        }
        Ok(MergeStrategy::Markers) => Ok(nexus_fs::MergeStrategy::Markers),
        Ok(MergeStrategy::Ours) => Ok(nexus_fs::MergeStrategy::Ours),
        Ok(MergeStrategy::Theirs) => Ok(nexus_fs::MergeStrategy::Theirs),
        Err(_) => Err(unknown("strategy", wire)),
    }
}

fn workspace(workspace: nexus_fs::Workspace) -> Workspace {
    Workspace {
        path: workspace.path,
        ino: workspace.directory.0,
        name: workspace.name,
        description: workspace.description,
        tags: workspace.tags,
        metadata: workspace.metadata.into_iter().collect(),
        session: workspace.session,
        created_by: workspace.created_by,
        created_ns: workspace.created.0,
        expires_ns: workspace.expires.map(|time| time.0),
    }
}

fn fork_info(fork: nexus_fs::Fork) -> ForkInfo {
    ForkInfo {
        path: fork.path,
        ino: fork.directory.0,
        origin: fork.origin.0,
        origin_path: fork.origin_path,
        base: fork.base.0,
        revision: fork.revision.0,
        created_by: fork.created_by,
        created_ns: fork.created.0,
    }
}

fn report(report: nexus_fs::MergeReport) -> MergeResponse {
    let changes = report.changes.into_iter().map(|change| MergeChange {
        kind: change.kind.as_str().to_owned(),
        path: change.path,
        old_path: change.old_path,
    });
    let conflicts = report.conflicts.into_iter().map(|conflict| MergeConflict {
        kind: conflict.kind.as_str().to_owned(),
        path: conflict.path,
        resolved: conflict.resolved,
    });
    MergeResponse {
        fork: report.fork,
        into: report.into,
        base: report.base.0,
        merged: report.merged.0,
        revision: report.revision.map(|revision| revision.0),
        applied: report.applied,
        changes: changes.collect(),
        conflicts: conflicts.collect(),
    }
}
