//! What a fork shows of its origin: names and inodes that have no rows of their own.
//!
//! The state of the origin as of a revision never changes, so what is derived from it here
//! needs no guard but that there still is no row, and may be cached for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Freshness, Guard, Kind, Result, Revision};

use super::parts::{Part, WHITEOUT, is_forked, part_of};
use crate::cache::{CachedDentry, CachedInode};
use crate::keys;
use crate::records::{DentryRecord, InodeRecord, unreadable};
use crate::types::Ino;
use crate::view::{Child, View, next_key};
use crate::zone::Shared;

/// Further names of an inode that are read at a time.
const NAMES_PAGE: usize = 500;

impl<'a> View<'a> {
    /// The part of a fork that an inode belongs to, if this view reaches back to the fork's time.
    pub(crate) async fn part(&self, ino: u64) -> Result<Option<Arc<Part>>> {
        if !is_forked(ino) {
            return Ok(None);
        }
        let part = self.zone.part(part_of(ino)).await?;
        Ok(part.filter(|part| self.at.is_none_or(|at| at >= part.since)))
    }

    /// The state that a fork shows.
    fn origin(&self, part: &Part) -> Self {
        Self {
            zone: self.zone,
            at: Some(part.base()),
            fresh: false,
            regrown: None,
        }
    }

    /// An inode of a fork that has no row.
    pub(crate) async fn shown_inode(&self, ino: u64) -> Result<Option<Arc<CachedInode>>> {
        let Some(part) = self.part(ino).await? else {
            return Ok(None);
        };
        let origin = self.origin(&part);
        let source = part.source_of(ino);
        let Some(found) = Box::pin(origin.inode(source)).await? else {
            return Ok(None);
        };
        let mut record = found.record.clone();
        if ino == part.root() {
            root_record(&mut record, &part);
        } else if record.is_dir() || record.links == 1 {
            let Some(parent) = part.shown(record.parent) else {
                return Ok(None);
            };
            record.parent = parent;
        } else {
            let names = origin.names_below(&part, source, &found.record).await?;
            let Some((parent, name)) = names.first().cloned() else {
                return Ok(None);
            };
            record.links = u32::try_from(names.len()).unwrap_or(u32::MAX);
            (record.parent, record.name) = (parent, name);
        }
        let revision = part.since;
        Ok(Some(Arc::new(CachedInode { record, revision })))
    }

    /// What a name in a directory of a fork leads to that has no row.
    pub(crate) async fn shown_dentry(&self, parent: u64, name: &str) -> Result<CachedDentry> {
        let Some(part) = self.part(parent).await? else {
            return Ok(None);
        };
        let origin = self.origin(&part);
        let found = Box::pin(origin.dentry(part.source_of(parent), name)).await?;
        let shown = found.and_then(|(dentry, _)| shown(&part, dentry));
        Ok(shown.map(|dentry| (dentry, part.since)))
    }

    /// Up to `limit` names of a directory after `after` that a fork shows.
    pub(crate) async fn shown_children(
        &self,
        dir: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Child>, Option<String>)> {
        let Some(part) = self.part(dir).await? else {
            return Ok((Vec::new(), None));
        };
        let origin = self.origin(&part);
        let (mut children, last) =
            Box::pin(origin.children(part.source_of(dir), after, limit)).await?;
        children.retain_mut(|child| match shown(&part, child.dentry) {
            Some(dentry) => {
                child.dentry = dentry;
                true
            }
            None => false,
        });
        Ok((children, last))
    }

    /// The metadata that a fork shows of an inode while it has no rows of its own for it; none if
    /// it has, or is of no fork.
    pub(crate) async fn shown_metadata(&self, ino: u64) -> Result<Option<BTreeMap<String, Bytes>>> {
        let Some(part) = self.part(ino).await? else {
            return Ok(None);
        };
        let own = self.get(&keys::own_metadata(ino)).await?;
        if own.is_some_and(|own| self.at.is_none_or(|at| own.revision <= at)) {
            return Ok(None);
        }
        let origin = self.origin(&part);
        Box::pin(origin.metadata_of(part.source_of(ino)))
            .await
            .map(Some)
    }

    /// Every name of a file with several in this state, the one in its record first.
    pub(crate) async fn names_of(
        &self,
        ino: u64,
        record: &InodeRecord,
    ) -> Result<Vec<(u64, String)>> {
        let first = (record.parent, record.name.clone());
        let mut candidates = self.names_on_record(ino).await?;
        if let Some(part) = self.part(ino).await? {
            let origin = self.origin(&part);
            let source = part.source_of(ino);
            if let Some(found) = Box::pin(origin.inode(source)).await? {
                candidates.extend(origin.names_below(&part, source, &found.record).await?);
            }
        }
        candidates.retain(|name| *name != first);
        candidates.sort();
        candidates.dedup();
        let mut names = Vec::with_capacity(candidates.len() + 1);
        for (parent, name) in std::iter::once(first).chain(candidates) {
            let found = self.dentry(parent, &name).await?;
            if found.is_some_and(|(dentry, _)| dentry.ino == ino) {
                names.push((parent, name));
            }
        }
        Ok(names)
    }

    /// The names of a file of the origin, which this is a state of, that lie below what a fork
    /// is of, as the fork has them.
    async fn names_below(
        &self,
        part: &Part,
        ino: u64,
        record: &InodeRecord,
    ) -> Result<Vec<(u64, String)>> {
        let mut names = Vec::new();
        for (parent, name) in Box::pin(self.names_of(ino, record)).await? {
            if self.is_below(parent, part.record.origin).await?
                && let Some(parent) = part.shown(parent)
            {
                names.push((parent, name));
            }
        }
        Ok(names)
    }

    /// Whether a directory is another one, or in the tree below it.
    pub(crate) async fn is_below(&self, dir: u64, top: u64) -> Result<bool> {
        let mut here = dir;
        for _ in 0..=crate::path::DEPTH_MAX {
            if here == top {
                return Ok(true);
            }
            match self.directory_above(here).await? {
                Some(above) => here = above,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// The directory that a directory is in; none for the root, and for one that was deleted and is
    /// still to be cleared away.
    pub(crate) async fn directory_above(&self, dir: u64) -> Result<Option<u64>> {
        if dir == Ino::ROOT.0 {
            return Ok(None);
        }
        let Some(inode) = Box::pin(self.inode(dir)).await? else {
            return Ok(None);
        };
        let InodeRecord { parent, name, .. } = &inode.record;
        let named = self.dentry(*parent, name).await?;
        let leads_here = named.is_some_and(|(dentry, _)| dentry.ino == dir);
        Ok(leads_here.then_some(*parent))
    }

    /// Where names of an inode beyond its first are, or have been.
    async fn names_on_record(&self, ino: u64) -> Result<Vec<(u64, String)>> {
        let mut names = Vec::new();
        for (range, parse) in [
            (
                keys::extra_names(ino),
                keys::parse_extra_name as fn(&[u8]) -> Option<(u64, &str)>,
            ),
            (keys::former_names(ino), |key| {
                keys::parse_former_name(key).map(|(_, parent, name)| (parent, name))
            }),
        ] {
            let mut range = range;
            loop {
                let page = self.scan(range.clone(), NAMES_PAGE).await?;
                for entry in &page.entries {
                    let name = parse(&entry.key);
                    let (parent, name) = name.ok_or_else(|| unreadable("name of an inode"))?;
                    names.push((parent, name.to_owned()));
                }
                match page.entries.last().filter(|_| page.more) {
                    Some(last) => range.start = next_key(&last.key),
                    None => break,
                }
            }
        }
        Ok(names)
    }

    /// Where the history of an inode of a fork goes on: the inode of the origin, and its state
    /// when it was forked.
    pub(crate) async fn history_before_fork(
        &self,
        ino: u64,
    ) -> Result<Option<(u64, Arc<CachedInode>)>> {
        let Some(part) = self.part(ino).await? else {
            return Ok(None);
        };
        let source = part.source_of(ino);
        match self.origin(&part).inode(source).await {
            Ok(found) => Ok(found.map(|inode| (source, inode))),
            // When the fork has gone, and this file left it before, its past may have gone too.
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a revision of an inode or name of a fork is that of the fork itself: it has no row.
    pub(crate) async fn is_shown(&self, ino: u64, revision: Revision) -> Result<bool> {
        let part = self.part(ino).await?;
        Ok(part.is_some_and(|part| part.since == revision))
    }
}

impl Shared {
    /// A guard that an inode, which was found, has not gone.
    pub(crate) async fn still_there(&self, ino: u64) -> Result<Guard> {
        let key = keys::inode(ino);
        if !is_forked(ino) {
            return Ok(Guard::Present(key));
        }
        // Gone, it would have a row all the same.
        let row = self.metastore.get(&key, Freshness::Linearizable).await?;
        Ok(match row {
            Some(row) if row.bytes != WHITEOUT => Guard::RevisionIs(key, row.revision),
            // With a whiteout this does not hold, and shall not.
            _ => Guard::Absent(key),
        })
    }
}

fn shown(part: &Part, dentry: DentryRecord) -> Option<DentryRecord> {
    let ino = part.shown(dentry.ino)?;
    Some(DentryRecord { ino, ..dentry })
}

/// What the top of a fork has of its own: its place, whose it is, and since when.
fn root_record(record: &mut InodeRecord, part: &Part) {
    let made = &part.record;
    (record.parent, record.name) = (made.parent, made.name.clone());
    record.changed = made.time;
    record.owner.clone_from(&made.owner);
}
