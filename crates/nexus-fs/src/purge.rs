//! Clearing away trees that a recursive delete has detached.
//!
//! A recursive delete is one commit: it takes the top of the tree out of the namespace and
//! queues the tree here. The rows below are removed afterwards, a bounded number at a time,
//! each step a commit of its own that keeps history as any delete does. A stop in between
//! loses nothing: the queue is in the metastore.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Guard, Op, Result};
use nexus_service_api::Context;
use tokio::time::timeout;

use crate::fork::{is_forked, part_of};
use crate::keys;
use crate::parts::Parts;
use crate::records::kind_of;
use crate::session::Session;
use crate::steps::{ATTEMPTS_MAX, clear_metadata, unlink};
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::{Child, View, next_key};
use crate::zone::Shared;

/// Names removed in one commit.
const STEP: usize = 256;
/// What the entry of a tree in the queue holds once something of it is gone.
pub(crate) const BEGUN: Bytes = Bytes::from_static(b"begun");

/// What it holds when all was brought back that history still has, which was not all.
pub(crate) const PART: Bytes = Bytes::from_static(b"part");

/// When what failed is tried again: doubled each time, up to the longest.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Clears the queue whenever there is something in it, for as long as the zone is served.
pub(crate) async fn run(zone: Arc<Shared>) {
    let session = Session {
        zone,
        context: Context::system(),
    };
    let mut wait = RETRY_AFTER;
    loop {
        match session.clear_queue().await {
            Ok(()) => {
                wait = RETRY_AFTER;
                session.zone.purge.notified().await;
            }
            Err(error) => {
                tracing::warn!(
                    ?error,
                    "clearing a deleted tree away failed; it stays queued"
                );
                // Whichever comes first, time or another tree: then all are tried.
                _ = timeout(wait, session.zone.purge.notified()).await;
                wait = (wait * 2).min(RETRY_AFTER_MAX);
            }
        }
    }
}

impl Session {
    /// Clears every queued tree away that can be; answers the first failure.
    async fn clear_queue(&self) -> Result<()> {
        let view = self.zone.view(crate::At::Latest).await?;
        let mut range = keys::purge_queue();
        let mut outcome = Ok(());
        loop {
            let page = view.scan(range.clone(), 1).await?;
            let Some(entry) = page.entries.into_iter().next() else {
                return outcome;
            };
            range.start = next_key(&entry.key);
            let cleared = self.clear_queued(entry.key).await;
            outcome = outcome.and(cleared);
        }
    }

    async fn clear_queued(&self, queued: Bytes) -> Result<()> {
        let top = keys::purged(&queued);
        match self.clear_tree(top, &queued).await? {
            Cleared::Yes => self.commit_clear(&queued, || Work::Done { top }).await,
            Cleared::TakenBack => Ok(Cleared::TakenBack),
        }
        .map(drop)
    }

    /// Removes everything below a detached directory, deepest first. What a fork shows without a
    /// row has none to remove.
    async fn clear_tree(&self, top: u64, queued: &Bytes) -> Result<Cleared> {
        let mut stack = vec![Level::new(top, String::new(), top)];
        while let Some(level) = stack.last_mut() {
            if self.zone.held_trees.contain(top) {
                // It is queued for when that is over.
                return Ok(Cleared::TakenBack);
            }
            if level.is_read {
                let level = stack.pop().expect("just looked at");
                if self.clear_directory(&level, top, queued).await? == Cleared::TakenBack {
                    return Ok(Cleared::TakenBack);
                }
                continue;
            }
            let dir = level.dir;
            let view = self.zone.view(crate::At::Latest).await?;
            let (children, last) = view.children(dir, level.after.as_deref(), STEP).await?;
            let is_dir =
                |child: &Child| kind_of(child.dentry.kind).ok() == Some(FileKind::Directory);
            let (dirs, files): (Vec<_>, Vec<_>) = children.into_iter().partition(is_dir);
            // What was removed is not met again, but what a fork shows is.
            level.is_read = last.is_none() && (dirs.is_empty() || is_forked(dir));
            level.after = last.filter(|_| is_forked(dir));
            let files = self.to_remove(&view, dir, files).await?;
            if self.clear_files(dir, &files, queued).await? == Cleared::TakenBack {
                return Ok(Cleared::TakenBack);
            }
            let below = dirs.into_iter();
            stack.extend(below.map(|child| Level::new(dir, child.name, child.dentry.ino)));
        }
        Ok(Cleared::Yes)
    }

    /// Removes files, as many at once as one commit holds.
    async fn clear_files(&self, dir: u64, files: &[Child], queued: &Bytes) -> Result<Cleared> {
        let mut rest = Parts::new(files);
        while let Some(files) = rest.next() {
            let work = || Work::Files {
                dir,
                files: files.to_vec(),
            };
            match self.commit_clear(queued, work).await {
                Err(error) => rest.smaller(error)?,
                Ok(Cleared::TakenBack) => return Ok(Cleared::TakenBack),
                Ok(Cleared::Yes) => rest.done(),
            }
        }
        Ok(Cleared::Yes)
    }

    /// The files among these that have rows, or names or handles elsewhere that have to hear of it.
    async fn to_remove(&self, view: &View<'_>, dir: u64, files: Vec<Child>) -> Result<Vec<Child>> {
        if !is_forked(dir) {
            return Ok(files);
        }
        let inos: Vec<u64> = files.iter().map(|child| child.dentry.ino).collect();
        let inodes = view.inodes(&inos).await?;
        let mut kept = Vec::new();
        for (child, inode) in files.into_iter().zip(inodes) {
            let ino = child.dentry.ino;
            let Some(inode) = inode else { continue };
            let only_shown = view.is_shown(ino, inode.revision).await?;
            if !only_shown || inode.record.links > 1 || self.zone.handles.is_open(ino) {
                kept.push(child);
            }
        }
        Ok(kept)
    }

    /// Removes a directory below which nothing is left.
    async fn clear_directory(&self, level: &Level, top: u64, queued: &Bytes) -> Result<Cleared> {
        let Level {
            parent, dir, name, ..
        } = level;
        if *dir != top && self.has_rows(*parent, *dir).await? {
            let work = || Work::Directory {
                parent: *parent,
                name: name.clone(),
                dir: *dir,
            };
            if self.commit_clear(queued, work).await? == Cleared::TakenBack {
                return Ok(Cleared::TakenBack);
            }
        }
        Ok(Cleared::Yes)
    }

    /// Whether a directory or its name is more than what a fork shows.
    async fn has_rows(&self, parent: u64, dir: u64) -> Result<bool> {
        if !is_forked(parent) || part_of(parent) != part_of(dir) {
            return Ok(true);
        }
        let view = self.zone.view(crate::At::Latest).await?;
        let Some(inode) = view.inode(dir).await? else {
            return Ok(false);
        };
        Ok(!view.is_shown(dir, inode.revision).await?)
    }

    /// Clears some of a tree, as long as that is queued.
    async fn commit_clear(&self, queued: &Bytes, work: impl Fn() -> Work) -> Result<Cleared> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            if tx.view().get(queued).await?.is_none() {
                return Ok(Cleared::TakenBack);
            }
            tx.insist(Guard::Present(queued.clone()));
            clear(&mut tx, work(), queued).await?;
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(Cleared::Yes);
            }
        }
        Err(Error::conflict(
            "others kept changing files of a deleted tree first; it is tried again later",
        ))
    }
}

/// A directory that is being cleared.
struct Level {
    parent: u64,
    name: String,
    dir: u64,
    /// Where its next page begins.
    after: Option<String>,
    /// All in it has been looked at.
    is_read: bool,
}

impl Level {
    fn new(parent: u64, name: String, dir: u64) -> Self {
        Self {
            parent,
            name,
            dir,
            after: None,
            is_read: false,
        }
    }
}

enum Work {
    Files { dir: u64, files: Vec<Child> },
    Directory { parent: u64, name: String, dir: u64 },
    Done { top: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cleared {
    Yes,
    /// Somebody undoes the delete.
    TakenBack,
}

async fn clear(tx: &mut Tx<'_>, work: Work, queued: &Bytes) -> Result<()> {
    tx.also(match work {
        Work::Done { .. } => Op::Delete(queued.clone()),
        _ => Op::Put(queued.clone(), BEGUN),
    });
    match work {
        Work::Files { dir, files } => {
            for Child { name, .. } in files {
                if let Some(dentry) = tx.name(dir, &name).await? {
                    unlink(tx, dir, &name, dentry).await?;
                }
            }
        }
        Work::Directory { parent, name, dir } => {
            must_be_clear(tx, dir);
            tx.set_name(parent, &name, None).await?;
            clear_metadata(tx, dir).await?;
            tx.remove_inode(dir).await?;
            if is_forked(dir) && part_of(parent) != part_of(dir) {
                let name = keys::border(part_of(dir), parent, &name);
                tx.release_fork(part_of(dir), &name).await?;
            }
        }
        Work::Done { top } => {
            must_be_clear(tx, top);
            clear_metadata(tx, top).await?;
            tx.remove_inode(top).await?;
            if is_forked(top) {
                tx.release_fork(part_of(top), queued).await?;
            }
        }
    }
    Ok(())
}

/// Insists that nothing is left in a directory. What a fork shows of one that is out of the tree
/// stays, and nobody gets there.
fn must_be_clear(tx: &mut Tx<'_>, dir: u64) {
    if !is_forked(dir) {
        tx.must_be_empty(dir);
    }
}
