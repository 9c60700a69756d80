//! Workspaces, forks and merges.

use futures::stream::BoxStream;
use nexus_kernel::{Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, from_status_of_change};
use crate::reads::pages;
use crate::types::changes::Changed;
use crate::types::files::Page;
use crate::types::workspaces::{
    Fork, ForkOptions, MergeChange, MergeConflict, MergeOptions, MergeReport, MergeStrategy,
    NewWorkspace, Workspace,
};

impl Client {
    /// Registers a directory as a workspace. The registration follows it where it moves.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, `NotFound`, `WrongType` for a file, `LimitExceeded`, `InvalidArgument`.
    pub async fn register_workspace(&self, path: &str, new: NewWorkspace) -> Result<Workspace> {
        let request = v1::RegisterWorkspaceRequest {
            path: path.to_owned(),
            name: new.name,
            description: new.description,
            tags: new.tags,
            metadata: new.metadata.into_iter().collect(),
            session: new.session,
            ttl_ms: new
                .ttl
                .map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
        };
        let answer = self.workspaces_service().register(request).await;
        Ok(workspace(
            answer.map_err(from_status_of_change)?.into_inner(),
        ))
    }

    /// Ends the registration of a workspace; the directory stays. Answers what it was.
    ///
    /// # Errors
    ///
    /// `NotFound` for a directory that is not registered.
    pub async fn unregister_workspace(&self, path: &str) -> Result<Workspace> {
        let answer = self.workspaces_service().unregister(of(path)).await;
        Ok(workspace(
            answer.map_err(from_status_of_change)?.into_inner(),
        ))
    }

    /// What is registered of a directory.
    ///
    /// # Errors
    ///
    /// `NotFound` for a directory that is not registered.
    pub async fn workspace(&self, path: &str) -> Result<Workspace> {
        let answer = self.workspaces_service().get(of(path)).await;
        Ok(workspace(answer.map_err(from_status)?.into_inner()))
    }

    /// The workspaces that the caller may see.
    #[must_use]
    pub fn workspaces(&self) -> BoxStream<'static, Result<Workspace>> {
        let client = self.clone();
        pages(None, move |cursor| {
            let client = client.clone();
            async move {
                let request = v1::ListWorkspacesRequest {
                    limit: 0,
                    cursor: cursor.unwrap_or_default(),
                };
                let answer = client.workspaces_service().list(request).await;
                let answer = answer.map_err(from_status)?.into_inner();
                Ok(Page {
                    items: answer.workspaces.into_iter().map(workspace).collect(),
                    next: convert::cursor(answer.next),
                })
            }
        })
    }

    /// Makes `to` a fork of the directory `from`. Content is not copied, and the size of the
    /// directory does not matter.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists`, `WrongType` for a file.
    pub async fn fork(&self, from: &str, to: &str, options: ForkOptions) -> Result<Changed> {
        let request = v1::ForkRequest {
            from: from.to_owned(),
            to: to.to_owned(),
            parents: options.parents,
            durability: convert::durability(options.durability),
        };
        let answer = self.workspaces_service().fork(request).await;
        convert::changed(answer.map_err(from_status_of_change)?.into_inner())
    }

    /// The forks that the caller may see: of one directory, or all.
    #[must_use]
    pub fn forks(&self, of: Option<String>) -> BoxStream<'static, Result<Fork>> {
        let client = self.clone();
        pages(None, move |cursor| {
            let (client, of) = (client.clone(), of.clone());
            async move {
                let request = v1::ListForksRequest {
                    of,
                    limit: 0,
                    cursor: cursor.unwrap_or_default(),
                };
                let answer = client.workspaces_service().list_forks(request).await;
                let answer = answer.map_err(from_status)?.into_inner();
                Ok(Page {
                    items: answer.forks.into_iter().map(fork).collect(),
                    next: convert::cursor(answer.next),
                })
            }
        })
    }

    /// Merges what changed in a fork into the directory that it is of, in one commit or not at
    /// all: with a conflict that the strategy does not decide, nothing is changed.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no fork or is not related, `NotFound`, `LimitExceeded`.
    pub async fn merge(&self, fork: &str, options: MergeOptions) -> Result<MergeReport> {
        let strategy = match options.strategy {
            MergeStrategy::Report => v1::MergeStrategy::Report,
            MergeStrategy::Markers => v1::MergeStrategy::Markers,
            MergeStrategy::Ours => v1::MergeStrategy::Ours,
            MergeStrategy::Theirs => v1::MergeStrategy::Theirs,
        };
        let request = v1::MergeRequest {
            fork: fork.to_owned(),
            into: options.into,
            strategy: strategy.into(),
            dry_run: options.dry_run,
            durability: convert::durability(options.durability),
        };
        let answer = self.workspaces_service().merge(request).await;
        Ok(report(answer.map_err(from_status_of_change)?.into_inner()))
    }
}

fn of(path: &str) -> v1::WorkspaceRequest {
    v1::WorkspaceRequest {
        path: path.to_owned(),
    }
}

fn workspace(wire: v1::Workspace) -> Workspace {
    Workspace {
        path: wire.path,
        ino: wire.ino,
        name: wire.name,
        description: wire.description,
        tags: wire.tags,
        metadata: wire.metadata.into_iter().collect(),
        session: wire.session,
        created_by: wire.created_by,
        created: Timestamp(wire.created_ns),
        expires: wire.expires_ns.map(Timestamp),
    }
}

fn fork(wire: v1::ForkInfo) -> Fork {
    Fork {
        path: wire.path,
        ino: wire.ino,
        origin: wire.origin,
        origin_path: wire.origin_path,
        base: Revision(wire.base),
        revision: Revision(wire.revision),
        created_by: wire.created_by,
        created: Timestamp(wire.created_ns),
    }
}

fn report(wire: v1::MergeResponse) -> MergeReport {
    let changes = wire.changes.into_iter().map(|change| MergeChange {
        kind: change.kind,
        path: change.path,
        old_path: change.old_path,
    });
    let conflicts = wire.conflicts.into_iter().map(|conflict| MergeConflict {
        kind: conflict.kind,
        path: conflict.path,
        resolved: conflict.resolved,
    });
    MergeReport {
        fork: wire.fork,
        into: wire.into,
        base: Revision(wire.base),
        merged: Revision(wire.merged),
        revision: wire.revision.map(Revision),
        applied: wire.applied,
        changes: changes.collect(),
        conflicts: conflicts.collect(),
    }
}
