//! The service `Snapshots`.

use nexus_fs::{Expiry, NewSnapshot, Session, SnapshotQuery, SnapshotUpdate};
use nexus_kernel::Timestamp;
use nexus_proto::v1::snapshots_server::Snapshots;
use nexus_proto::v1::*;
use tonic::Request;

use super::convert::cursor;
use super::{Reply, answer};
use crate::app::Shared;
use crate::paging::page_limit;

pub(super) struct SnapshotsDoor(pub(super) Shared);

#[tonic::async_trait]
impl Snapshots for SnapshotsDoor {
    async fn create(&self, request: Request<CreateSnapshotRequest>) -> Reply<Snapshot> {
        let create = |files: Session, ask: CreateSnapshotRequest| async move {
            let new = NewSnapshot {
                name: ask.name,
                description: ask.description,
                tags: ask.tags,
                pinned: ask.pinned,
                expires: ask.expires_ns.map(Timestamp),
            };
            files.create_snapshot(&ask.path, new).await.map(snapshot)
        };
        answer(&self.0, request, create).await
    }

    async fn get(&self, request: Request<GetSnapshotRequest>) -> Reply<Snapshot> {
        let get = |files: Session, ask: GetSnapshotRequest| async move {
            files.snapshot(&ask.name).await.map(snapshot)
        };
        answer(&self.0, request, get).await
    }

    async fn list(&self, request: Request<ListSnapshotsRequest>) -> Reply<ListSnapshotsResponse> {
        let list = |files: Session, ask: ListSnapshotsRequest| async move {
            let query = SnapshotQuery {
                path: ask.path,
                tag: ask.tag,
                limit: page_limit(Some(ask.limit as usize))?,
                cursor: cursor(ask.cursor),
            };
            let page = files.snapshots(query).await?;
            Ok(ListSnapshotsResponse {
                snapshots: page.snapshots.into_iter().map(snapshot).collect(),
                next: page.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, list).await
    }

    async fn update(&self, request: Request<UpdateSnapshotRequest>) -> Reply<Snapshot> {
        let update = |files: Session, ask: UpdateSnapshotRequest| async move {
            let update = SnapshotUpdate {
                description: ask.description,
                tags: ask.tags.map(|all| all.tags),
                pinned: ask.pinned,
                expires: ask.expires_ns.map(|time| match time {
                    0 => Expiry::Never,
                    time => Expiry::At(Timestamp(time)),
                }),
            };
            files.update_snapshot(&ask.name, update).await.map(snapshot)
        };
        answer(&self.0, request, update).await
    }

    async fn delete(&self, request: Request<DeleteSnapshotRequest>) -> Reply<Snapshot> {
        let delete = |files: Session, ask: DeleteSnapshotRequest| async move {
            files.delete_snapshot(&ask.name).await.map(snapshot)
        };
        answer(&self.0, request, delete).await
    }
}

fn snapshot(snapshot: nexus_fs::Snapshot) -> Snapshot {
    Snapshot {
        name: snapshot.name,
        number: snapshot.number,
        directory: snapshot.directory.0,
        path: snapshot.path,
        revision: snapshot.revision.0,
        description: snapshot.description,
        tags: snapshot.tags,
        actor: snapshot.actor,
        time_ns: snapshot.time.0,
        pinned: snapshot.pinned,
        expires_ns: snapshot.expires.map(|time| time.0),
    }
}
