//! Where inodes are, or were when they went: what policies go by.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use nexus_kernel::{Freshness, Kind, Result, Scan};

use super::rows::Row;
use crate::keys;
use crate::path;
use crate::records::InodeRecord;
use crate::types::{At, Ino};
use crate::zone::Shared;

/// Directories kept in mind.
const DIRECTORIES_MAX: usize = 10_000;

/// Paths by the first names of inodes, as their newest records tell them. A directory that is
/// gone, or detached and still to be cleared away, is where it was last.
#[derive(Default)]
pub(super) struct Places {
    /// None for one that leads nowhere.
    directories: HashMap<u64, Option<String>>,
    /// Where they were, as of the last directory that moved before.
    topology: u64,
}

impl Places {
    /// Looks for directories anew if one has moved.
    pub(super) fn forget_moved(&mut self, zone: &Shared) {
        let topology = zone.topology.load(Ordering::Acquire);
        if topology != self.topology {
            self.directories.clear();
            self.topology = topology;
        }
    }

    /// Where an inode with this record is; none if nobody knows any more.
    pub(super) async fn path(
        &mut self,
        zone: &Shared,
        record: &InodeRecord,
    ) -> Result<Option<String>> {
        let directory = self.directory(zone, record.parent).await?;
        Ok(directory.map(|directory| path::join(&directory, &record.name)))
    }

    /// Where an inode is that is known by its number only.
    pub(super) async fn path_of(&mut self, zone: &Shared, ino: u64) -> Result<Option<String>> {
        match newest_record(zone, ino).await? {
            Some(_) if ino == Ino::ROOT.0 => Ok(Some("/".into())),
            Some(record) => self.path(zone, &record).await,
            None => Ok(None),
        }
    }

    async fn directory(&mut self, zone: &Shared, ino: u64) -> Result<Option<String>> {
        let mut below: Vec<(u64, String)> = Vec::new();
        let mut here = ino;
        let mut top = loop {
            if here == Ino::ROOT.0 {
                break Some("/".to_owned());
            }
            if let Some(known) = self.directories.get(&here) {
                break known.clone();
            }
            let record = newest_record(zone, here).await?;
            let Some(record) = record.filter(|_| below.len() <= path::DEPTH_MAX) else {
                break None;
            };
            below.push((here, record.name));
            here = record.parent;
        };
        if self.directories.len() + below.len() > DIRECTORIES_MAX {
            self.directories.clear();
        }
        for (ino, name) in below.into_iter().rev() {
            top = top.map(|above| path::join(&above, &name));
            self.directories.insert(ino, top.clone());
        }
        Ok(top)
    }
}

/// The record of an inode, or the last one that history has of it.
pub(super) async fn newest_record(zone: &Shared, ino: u64) -> Result<Option<InodeRecord>> {
    let view = zone.view(At::Latest).await?;
    match view.inode(ino).await {
        Ok(Some(inode)) => return Ok(Some(inode.record.clone())),
        Ok(None) => {}
        // A fork that has gone showed it, and what it was of is collected: nobody knows any more.
        Err(error) if error.kind() == Kind::NotFound => {}
        Err(error) => return Err(error),
    }
    let last = last_row(zone, ino).await?;
    Ok(last.and_then(|row| row.record))
}

/// The newest row of the history of an inode.
pub(super) async fn last_row(zone: &Shared, ino: u64) -> Result<Option<Row>> {
    let scan = Scan::backward(keys::inode_history_of(ino), 1);
    let page = zone.metastore.scan(scan, Freshness::Linearizable).await?;
    page.entries
        .into_iter()
        .next()
        .map(Row::of_inode)
        .transpose()
}
