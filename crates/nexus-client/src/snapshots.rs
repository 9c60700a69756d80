//! Snapshots: named revisions of a directory.

use futures::stream::BoxStream;
use nexus_kernel::{Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, from_status_of_change};
use crate::reads::pages;
use crate::types::files::Page;
use crate::types::snapshots::{NewSnapshot, Snapshot, SnapshotQuery, SnapshotUpdate};

impl Client {
    /// Makes a snapshot of a directory, durably. Its cost does not depend on what the directory
    /// holds.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` for a name that is taken, `InvalidArgument` for one that is none;
    /// `NotFound`, `WrongType`, `PermissionDenied`, `LimitExceeded`.
    pub async fn create_snapshot(&self, path: &str, new: NewSnapshot) -> Result<Snapshot> {
        let request = v1::CreateSnapshotRequest {
            path: path.to_owned(),
            name: new.name,
            description: new.description,
            tags: new.tags,
            pinned: new.pinned,
            expires_ns: new.expires.map(|time| time.0),
        };
        let answer = self.snapshots_service().create(request).await;
        Ok(snapshot(
            answer.map_err(from_status_of_change)?.into_inner(),
        ))
    }

    /// A snapshot.
    ///
    /// # Errors
    ///
    /// `NotFound`, also for one of a directory that may not be read.
    pub async fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let name = name.to_owned();
        let request = v1::GetSnapshotRequest { name };
        let answer = self.snapshots_service().get(request).await;
        Ok(snapshot(answer.map_err(from_status)?.into_inner()))
    }

    /// The snapshots whose directories may be read, by name.
    #[must_use]
    pub fn snapshots(&self, query: SnapshotQuery) -> BoxStream<'static, Result<Snapshot>> {
        let client = self.clone();
        pages(None, move |cursor| {
            let (client, query) = (client.clone(), query.clone());
            async move {
                let request = v1::ListSnapshotsRequest {
                    path: query.path,
                    tag: query.tag,
                    limit: 0,
                    cursor: cursor.unwrap_or_default(),
                };
                let answer = client.snapshots_service().list(request).await;
                let v1::ListSnapshotsResponse { snapshots, next } =
                    answer.map_err(from_status)?.into_inner();
                Ok(Page {
                    items: snapshots.into_iter().map(snapshot).collect(),
                    next: convert::cursor(next),
                })
            }
        })
    }

    /// Changes what is said of a snapshot; the state that it names stays.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot) and [`create_snapshot`](Self::create_snapshot).
    pub async fn update_snapshot(&self, name: &str, update: SnapshotUpdate) -> Result<Snapshot> {
        let request = v1::UpdateSnapshotRequest {
            name: name.to_owned(),
            description: update.description,
            tags: update.tags.map(|tags| v1::SnapshotTags { tags }),
            pinned: update.pinned,
            expires_ns: update.expires.map(|time| time.map_or(0, |time| time.0)),
        };
        let answer = self.snapshots_service().update(request).await;
        Ok(snapshot(
            answer.map_err(from_status_of_change)?.into_inner(),
        ))
    }

    /// Deletes a snapshot; answers what it was.
    ///
    /// # Errors
    ///
    /// `Conflict` while it is pinned; as [`snapshot`](Self::snapshot).
    pub async fn delete_snapshot(&self, name: &str) -> Result<Snapshot> {
        let name = name.to_owned();
        let request = v1::DeleteSnapshotRequest { name };
        let answer = self.snapshots_service().delete(request).await;
        Ok(snapshot(
            answer.map_err(from_status_of_change)?.into_inner(),
        ))
    }
}

fn snapshot(wire: v1::Snapshot) -> Snapshot {
    Snapshot {
        name: wire.name,
        number: wire.number,
        directory: wire.directory,
        path: wire.path,
        revision: Revision(wire.revision),
        description: wire.description,
        tags: wire.tags,
        actor: wire.actor,
        time: Timestamp(wire.time_ns),
        pinned: wire.pinned,
        expires: wire.expires_ns.map(Timestamp),
    }
}
