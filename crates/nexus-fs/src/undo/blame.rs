//! Who took away what is gone.

use nexus_kernel::{Freshness, KeyRange, Result, Revision, Scan};

use crate::keys;
use crate::path::DEPTH_MAX;
use crate::records::{self, DentryRecord, Ended, InodeRecord};
use crate::types::Ino;
use crate::view::View;

impl View<'_> {
    /// The operation that removed an inode, or a directory above it. Below a deleted directory
    /// rows go without an operation; then it is that of the directory.
    pub(super) async fn removal_of(&self, ino: u64) -> Result<Option<Revision>> {
        let mut here = ino;
        for _ in 0..DEPTH_MAX {
            if here == Ino::ROOT.0 {
                return Ok(None);
            }
            let Some(record) = self.last_state(here).await? else {
                return Ok(None);
            };
            let dentry = self.dentry(record.parent, &record.name).await?;
            let is_there = dentry.is_some_and(|(dentry, _)| dentry.ino == here);
            if !is_there
                && let Some(end) = self.end_of(record.parent, &record.name, here).await?
                && self.get(&keys::log(end)).await?.is_some()
            {
                return Ok(Some(end));
            }
            here = record.parent;
        }
        Ok(None)
    }

    /// What an inode is, or last was.
    pub(super) async fn last_state(&self, ino: u64) -> Result<Option<InodeRecord>> {
        if let Some(inode) = self.inode(ino).await? {
            return Ok(Some(inode.record.clone()));
        }
        let last = self.last_ended(keys::inode_history(ino), 1).await?;
        let Some((_, ended)) = last.into_iter().next() else {
            return Ok(None);
        };
        // Of what was collected, the place is known.
        records::decode(ended.into_known()).map(Some)
    }

    /// The newest version of an inode that has ended; 0 if none is known of.
    pub(super) async fn last_version(&self, ino: u64) -> Result<u64> {
        let last = self.last_ended(keys::inode_history(ino), 1).await?;
        let Some((_, ended)) = last.into_iter().next() else {
            return Ok(0);
        };
        if let Some(version) = ended.collected() {
            return Ok(version);
        }
        let record: InodeRecord = records::decode(ended.into_known())?;
        Ok(record.version)
    }

    /// When the state ended that an inode had at a point of the past, since this revision.
    pub(super) async fn end_of_state(self, ino: u64, since: Revision) -> Result<Option<Revision>> {
        let Some(at) = self.at else { return Ok(None) };
        let page = self.scan(keys::inode_history_after(ino, at), 1).await?;
        let Some(entry) = page.entries.into_iter().next() else {
            return Ok(None);
        };
        let ended: Ended = records::decode(entry.value.bytes)?;
        let end = Revision(keys::last_number(&entry.key));
        Ok(Some(end).filter(|_| ended.since == since.0))
    }

    /// When a name last ceased to name an inode.
    async fn end_of(&self, parent: u64, name: &str, ino: u64) -> Result<Option<Revision>> {
        const LOOK_MAX: usize = 100;
        let prefix = keys::dentry_history(parent, name);
        for (end, ended) in self.last_ended(prefix, LOOK_MAX).await? {
            if ended.collected().is_some() {
                break;
            }
            let dentry: DentryRecord = records::decode(ended.into_state(end)?)?;
            if dentry.ino == ino {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// The last ended states of a row, the newest first.
    async fn last_ended(
        &self,
        prefix: bytes::Bytes,
        limit: usize,
    ) -> Result<Vec<(Revision, Ended)>> {
        let scan = Scan::backward(KeyRange::prefix(prefix), limit);
        let page = self.zone.metastore.scan(scan, Freshness::Linearizable);
        let entries = page.await?.entries.into_iter();
        let ended = entries.map(|entry| {
            let end = Revision(keys::last_number(&entry.key));
            Ok((end, records::decode(entry.value.bytes)?))
        });
        ended.collect()
    }
}
