//! What a caller may know of a commit.

use nexus_kernel::{Kind, Result};
use nexus_service_api::{Action, Target};

use crate::log::{Change, ChangeKind, Record, UNDO};
use crate::session::Session;
use crate::types::Ino;

impl Session {
    /// Whether this caller may know of everything that happens.
    pub(super) async fn sees_all(&self) -> Result<bool> {
        let root = Target {
            path: "/",
            inodes: &[Ino::ROOT.0],
        };
        let authorizer = &self.zone.authorizer;
        if !authorizer.sees_all_below(&self.context, root).await {
            return Ok(false);
        }
        match self.permit(Action::Read, root.path, root.inodes).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The changes of a record as this caller may see them; none if there are none. What an undo has
    /// undone is told only with all of them: those operations may be out of sight as well.
    pub(crate) async fn visible_part(&self, mut record: Record) -> Result<Option<Record>> {
        let mut seen = Vec::with_capacity(record.changes.len());
        let mut is_whole = true;
        for change in record.changes {
            let (kind, moved) = (change.kind, change.old_path.is_some());
            let near = self.near_side(change).await?;
            is_whole &= near
                .as_ref()
                .is_some_and(|near| near.kind == kind && near.old_path.is_some() == moved);
            seen.extend(near);
        }
        record.changes = seen;
        if !is_whole && record.operation.as_deref() == Some(UNDO) {
            record.about.clear();
        }
        Ok(Some(record).filter(|record| !record.changes.is_empty()))
    }

    /// What this caller may know of a change: of a move out of its sight, that the old name went;
    /// of one into it, not where from.
    async fn near_side(&self, mut change: Change) -> Result<Option<Change>> {
        let sees_old = match &change.old_path {
            Some(old) => self.may_know(&change, old).await?,
            None => false,
        };
        let sees_new = self.may_know(&change, &change.path).await?;
        if sees_new {
            change.old_path = change.old_path.filter(|_| sees_old);
            change.old_parent = change.old_parent.filter(|_| sees_old);
            return Ok(Some(change));
        }
        let removed = match change.kind {
            ChangeKind::FileRename => ChangeKind::FileDelete,
            ChangeKind::DirRename => ChangeKind::DirDelete,
            // Something came to be out of sight; where it was taken from nothing changed.
            _ => return Ok(None),
        };
        let old = change.old_path.take().filter(|_| sees_old);
        Ok(old.map(|path| Change {
            kind: removed,
            path,
            parent: change.old_parent.take().unwrap_or(change.parent),
            ..change
        }))
    }

    /// Whether a change at `path` concerns this caller: what it may read and, for it holds that,
    /// a directory on the way there that goes or comes with all below it.
    pub(crate) async fn may_know(&self, change: &Change, path: &str) -> Result<bool> {
        let action = if change.kind.is_of_a_tree() {
            Action::Stat
        } else {
            Action::Read
        };
        match self
            .permit(action, path, &[Ino::ROOT.0, change.ino.0])
            .await
        {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }
}
