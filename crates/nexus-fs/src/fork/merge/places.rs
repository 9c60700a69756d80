//! Where in the target things of the fork belong.

use std::collections::HashMap;

use nexus_kernel::Result;

use super::sides::Sides;
use crate::path;
use crate::records::{DentryRecord, kind_of};
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::View;

/// A directory of the target, as it is before the merge.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub path: String,
    pub is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    There(u64),
    /// The merge makes it, from this one of the fork.
    New(u64),
}

/// A name in a directory of the target, and what it points to.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub directory: Directory,
    pub name: String,
    pub found: Option<DentryRecord>,
}

impl Spot {
    /// The path, as it is before the merge.
    pub(super) fn path(&self) -> String {
        path::join(&self.directory.path, &self.name)
    }
}

/// The directories of the target by the inodes that they have in the fork, as far as they were
/// looked for.
#[derive(Default)]
pub(super) struct Places(HashMap<u64, Option<Directory>>);

impl Places {
    /// Notes a directory that is going to be made.
    pub(super) fn made(&mut self, ino: u64, path: String) {
        let is = Is::New(ino);
        self.0.insert(ino, Some(Directory { path, is }));
    }

    /// The directory of the target for one of the fork: the one it comes from, wherever it is, or
    /// the one that has its name now.
    pub(super) async fn directory(
        &mut self,
        tx: &mut Tx<'_>,
        sides: &Sides<'_>,
        ino: u64,
    ) -> Result<Option<Directory>> {
        // Up to one that is known, and down again.
        let mut above = Vec::new();
        let mut here = ino;
        let mut found = loop {
            if let Some(known) = self.0.get(&here) {
                break known.clone();
            }
            if let Some(found) = by_inode(tx, sides, here).await? {
                let found = Some(found);
                self.0.insert(here, found.clone());
                break found;
            }
            let Some(record) = record_in_fork(sides, here).await? else {
                break None;
            };
            above.push((here, record.1));
            here = record.0;
        };
        while let Some((ino, name)) = above.pop() {
            found = match found {
                Some(parent) => by_name(tx, &parent, &name).await?,
                None => None,
            };
            self.0.insert(ino, found.clone());
        }
        Ok(found)
    }

    /// The name of the target for a name in a directory of the fork; none if there is no such
    /// directory.
    pub(super) async fn spot(
        &mut self,
        tx: &mut Tx<'_>,
        sides: &Sides<'_>,
        (parent, name): (u64, &str),
    ) -> Result<Option<Spot>> {
        let Some(parent) = self.directory(tx, sides, parent).await? else {
            return Ok(None);
        };
        let found = match parent.is {
            Is::There(ino) => tx.name(ino, name).await?,
            Is::New(_) => None,
        };
        Ok(Some(Spot {
            directory: parent,
            name: name.to_owned(),
            found,
        }))
    }
}

/// The inode of the target that one of the fork comes from, by where it is in the target now.
pub(super) async fn by_inode(
    tx: &mut Tx<'_>,
    sides: &Sides<'_>,
    ino: u64,
) -> Result<Option<Directory>> {
    let Some(ino) = sides.counterpart(ino).await? else {
        return Ok(None);
    };
    let Some((path, chain)) = tx.view().path_of(ino).await? else {
        return Ok(None);
    };
    let within = chain.contains(&sides.target.ino);
    let is = Is::There(ino);
    Ok(within.then_some(Directory { path, is }))
}

async fn by_name(tx: &mut Tx<'_>, parent: &Directory, name: &str) -> Result<Option<Directory>> {
    let Is::There(ino) = parent.is else {
        return Ok(None);
    };
    let found = tx.name(ino, name).await?;
    let directory = found.filter(|found| kind_of(found.kind).ok() == Some(FileKind::Directory));
    Ok(directory.map(|found| Directory {
        path: path::join(&parent.path, name),
        is: Is::There(found.ino),
    }))
}

/// The directory and name of a directory of the fork, as it was or else as it is.
async fn record_in_fork(sides: &Sides<'_>, ino: u64) -> Result<Option<(u64, String)>> {
    if ino == sides.root() {
        return Ok(None);
    }
    for view in [sides.before(), sides.theirs()] {
        if let Some(inode) = view.inode(ino).await? {
            let record = &inode.record;
            return Ok(Some((record.parent, record.name.clone())));
        }
    }
    Ok(None)
}

/// The directory and name of a file of the fork in a state: by a path below the fork as it is
/// called now, if it has that, or else the first that it is known by.
pub(super) async fn name_in_fork(
    sides: &Sides<'_>,
    view: &View<'_>,
    path: &str,
    ino: u64,
) -> Result<Option<(u64, String)>> {
    let below = path.strip_prefix(&*sides.fork_path).unwrap_or_default();
    let (directory, last) = path::split(below).unzip();
    let mut parent = Some(sides.root());
    for name in path::names(directory.unwrap_or_default()) {
        parent = match parent {
            Some(parent) => view.dentry(parent, name).await?.map(|(found, _)| found.ino),
            None => None,
        };
    }
    if let (Some(parent), Some(name)) = (parent, last) {
        let found = view.dentry(parent, name).await?;
        if found.is_some_and(|(found, _)| found.ino == ino) {
            return Ok(Some((parent, name.to_owned())));
        }
    }
    let inode = view.inode(ino).await?;
    Ok(inode.map(|inode| (inode.record.parent, inode.record.name.clone())))
}
