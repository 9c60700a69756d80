//! Names and metadata by inode number.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Durability, Result};
use nexus_service_api::Action;

use crate::read::stat_of;
use crate::session::Session;
use crate::steps::{ByInode, Child, Step, no_such_key};
use crate::types::{At, Changed, DirEntry, Ino, KeyPresence, NewInode, Replace, Stat};

impl Session {
    /// Makes a file, a directory or a link under a name that is free.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `NotFound` when the directory is gone, `WrongType` when it is none,
    /// `LimitExceeded` for too long a name, `PermissionDenied`.
    pub async fn make_at(
        &self,
        parent: Ino,
        name: &str,
        new: NewInode,
        durability: Durability,
    ) -> Result<Stat> {
        let step = ByInode::Make {
            at: child(parent, name),
            new,
            empty: Arc::new(self.zone.content.nothing()),
        };
        let changed = self.run(Step::ByInode(step), durability).await?;
        Ok(changed.into_stat())
    }

    /// Removes the name of a file or link.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` for a directory, `PermissionDenied`.
    pub async fn unlink_at(
        &self,
        parent: Ino,
        name: &str,
        durability: Durability,
    ) -> Result<Changed> {
        self.remove_at(parent, name, false, durability).await
    }

    /// Removes a directory, which must be empty.
    ///
    /// # Errors
    ///
    /// `NotEmpty`, `WrongType` for a file; as [`unlink_at`](Self::unlink_at).
    pub async fn rmdir_at(
        &self,
        parent: Ino,
        name: &str,
        durability: Durability,
    ) -> Result<Changed> {
        self.remove_at(parent, name, true, durability).await
    }

    async fn remove_at(
        &self,
        parent: Ino,
        name: &str,
        directory: bool,
        durability: Durability,
    ) -> Result<Changed> {
        let step = ByInode::Remove {
            at: child(parent, name),
            directory,
        };
        self.run(Step::ByInode(step), durability).await
    }

    /// Moves a name, as [`rename`](Self::rename).
    ///
    /// # Errors
    ///
    /// As [`rename`](Self::rename).
    pub async fn rename_at(
        &self,
        from: (Ino, &str),
        to: (Ino, &str),
        replace: Replace,
        durability: Durability,
    ) -> Result<Changed> {
        let step = ByInode::Rename {
            from: child(from.0, from.1),
            to: child(to.0, to.1),
            replace,
        };
        self.run(Step::ByInode(step), durability).await
    }

    /// Gives a file or link another name.
    ///
    /// # Errors
    ///
    /// As [`hard_link`](Self::hard_link); `NotFound` for a file that only handles hold.
    pub async fn link_at(
        &self,
        ino: Ino,
        parent: Ino,
        name: &str,
        durability: Durability,
    ) -> Result<Stat> {
        let step = ByInode::Link {
            ino: ino.0,
            at: child(parent, name),
        };
        let changed = self.run(Step::ByInode(step), durability).await?;
        Ok(changed.into_stat())
    }

    /// The directory that holds an inode's first name; the root's is itself.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        let (_, chain) = self.permit_inode(Action::Stat, ino).await?;
        let above = chain.len().saturating_sub(2);
        Ok(Ino(chain[above]))
    }

    /// As [`readdir`](Self::readdir), with the attributes of what is not gone since its name
    /// was read.
    ///
    /// # Errors
    ///
    /// As [`readdir`](Self::readdir).
    pub async fn readdir_plus(
        &self,
        dir: Ino,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DirEntry>> {
        let mut entries = self.readdir(dir, after, limit).await?;
        let inos: Vec<u64> = entries.iter().map(|entry| entry.ino.0).collect();
        let view = self.zone.view(At::Latest).await?;
        let inodes = view.inodes(&inos).await?;
        for (entry, inode) in entries.iter_mut().zip(inodes) {
            entry.stat = match (self.zone.handles.get(entry.ino.0), inode) {
                (Some(file), _) => Some(file.stat(&self.zone).await?),
                (None, Some(inode)) => Some(stat_of(&view, entry.ino.0, &inode).await?),
                (None, None) => None,
            };
        }
        Ok(entries)
    }

    /// A custom metadata value of an inode.
    ///
    /// # Errors
    ///
    /// `NotFound` for a key without a value, `PermissionDenied`.
    pub async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        self.permit_inode(Action::Read, ino).await?;
        let view = self.zone.view(At::Latest).await?;
        let found = view.metadata_value(ino.0, key).await?;
        found.ok_or_else(|| no_such_key(key))
    }

    /// The custom metadata keys of an inode, tags included.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`; whatever the metastore answers.
    pub async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        self.permit_inode(Action::Read, ino).await?;
        let view = self.zone.view(At::Latest).await?;
        let all = view.metadata_of(ino.0).await?;
        Ok(all.into_keys().collect())
    }

    /// Sets a custom metadata value of an inode, or removes it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` or `NotFound` where `must` does not hold; as
    /// [`set_metadata`](Self::set_metadata).
    pub async fn set_metadata_value(
        &self,
        ino: Ino,
        key: &str,
        value: Option<Bytes>,
        must: KeyPresence,
        durability: Durability,
    ) -> Result<Changed> {
        crate::meta::check_no_tag(key)?;
        let step = ByInode::SetMetadata {
            ino: ino.0,
            key: key.to_owned(),
            value,
            must,
        };
        self.run(Step::ByInode(step), durability).await
    }
}

fn child(parent: Ino, name: &str) -> Child {
    Child {
        parent: parent.0,
        name: name.to_owned(),
    }
}
