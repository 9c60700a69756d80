//! Deleted trees as they will be once they are made whole again, for who only looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nexus_kernel::{Kind, Result, Revision};
use parking_lot::Mutex;

use super::collect::{DeletedTree, Name};
use super::regrow::{check_lost, is_dir, past_inode};
use crate::cache::{CachedDentry, CachedInode};
use crate::keys;
use crate::path::DEPTH_MAX;
use crate::session::Session;
use crate::types::At;
use crate::view::View;

/// Names read at a time.
const PAGE: usize = 1_000;

/// Trees of which some has been cleared away, shown as they were when they were deleted.
#[derive(Default)]
pub(crate) struct Regrown {
    trees: Vec<DeletedTree>,
    /// What would not come back with each: paths from the top.
    pub(super) lost: Vec<(u64, Vec<String>)>,
    /// Names that files would have again beside others.
    names: BTreeMap<u64, Vec<Name>>,
    /// In which of the trees directories are, by when it was deleted.
    known: Mutex<HashMap<u64, Option<Revision>>>,
}

impl Regrown {
    /// The names in these trees of a file that is there under another one.
    pub(super) fn names_of(&self, ino: u64) -> &[Name] {
        self.names.get(&ino).map_or(&[], Vec::as_slice)
    }

    /// A file as it is there, with its names in these trees.
    pub(crate) fn with_names(&self, ino: u64, found: Arc<CachedInode>) -> Arc<CachedInode> {
        let names = self.names_of(ino).len();
        if names == 0 {
            return found;
        }
        let mut record = found.record.clone();
        let more = u32::try_from(names).unwrap_or(u32::MAX);
        record.links = record.links.saturating_add(more);
        let revision = found.revision;
        Arc::new(CachedInode { record, revision })
    }

    pub(crate) async fn dentry(
        &self,
        view: View<'_>,
        parent: u64,
        name: &str,
    ) -> Result<CachedDentry> {
        match self.then(view, parent).await? {
            Some(then) => Box::pin(then.dentry(parent, name)).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn inode(&self, view: View<'_>, ino: u64) -> Result<Option<Arc<CachedInode>>> {
        let found = self.inode_then(view, ino).await?;
        Ok(found.map(|(inode, _)| inode))
    }

    /// An inode that is gone and is shown as it was, and when that was.
    pub(super) async fn inode_then(
        &self,
        view: View<'_>,
        ino: u64,
    ) -> Result<Option<(Arc<CachedInode>, Revision)>> {
        for tree in &self.trees {
            let then = as_deleted(view, tree.revision);
            let Some(inode) = known_inode(then, ino).await? else {
                continue;
            };
            let is_there = match inode.record.is_dir() {
                true => self.then(view, ino).await?,
                false => self.then(view, inode.record.parent).await?,
            };
            if is_there.is_some() {
                return Ok(Some((inode, tree.revision)));
            }
        }
        Ok(None)
    }

    /// The state in which a directory is shown, if it is in one of the trees.
    pub(crate) async fn then<'v>(&self, view: View<'v>, dir: u64) -> Result<Option<View<'v>>> {
        let known = self.known.lock().get(&dir).copied();
        let found = match known {
            Some(known) => known,
            None => self.look_for(view, dir).await?,
        };
        self.known.lock().insert(dir, found);
        Ok(found.map(|revision| as_deleted(view, revision)))
    }

    async fn look_for(&self, view: View<'_>, dir: u64) -> Result<Option<Revision>> {
        for tree in &self.trees {
            let then = as_deleted(view, tree.revision);
            let mut here = dir;
            for _ in 0..DEPTH_MAX {
                if here == tree.top {
                    return Ok(Some(tree.revision));
                }
                here = match known_inode(then, here).await? {
                    Some(inode) if inode.record.is_dir() => inode.record.parent,
                    _ => break,
                };
            }
        }
        Ok(None)
    }
}

fn as_deleted(view: View<'_>, revision: Revision) -> View<'_> {
    View {
        at: Some(revision),
        regrown: None,
        ..view
    }
}

/// None also if what it was has been collected.
async fn known_inode(then: View<'_>, ino: u64) -> Result<Option<Arc<CachedInode>>> {
    match Box::pin(then.inode(ino)).await {
        Err(error) if error.kind() == Kind::NotFound => {
            let at = then.at.unwrap_or_default();
            then.zone.check_not_collected(at).await.map(|()| None)
        }
        found => found,
    }
}

impl Session {
    /// Those of these trees that an undo would have to make whole.
    pub(super) async fn as_regrown(&self, trees: &[DeletedTree]) -> Result<Regrown> {
        let view = self.zone.view(At::Latest).await?;
        let mut regrown = Regrown::default();
        for tree in trees {
            let page = view.scan(keys::purges_of(tree.top), 1).await?;
            let is_whole = match page.entries.first() {
                Some(entry) => entry.value.bytes.is_empty(),
                None => view.get(&keys::inode(tree.top)).await?.is_some(),
            };
            if !is_whole
                && as_deleted(view, tree.revision)
                    .inode(tree.top)
                    .await?
                    .is_some()
            {
                regrown.trees.push(*tree);
                let lost = self.look_through(*tree, &mut regrown.names).await?;
                regrown.lost.push((tree.top, lost));
            }
        }
        Ok(regrown)
    }

    /// What would not come back with a tree; and further names of files that are there.
    async fn look_through(
        &self,
        tree: DeletedTree,
        names: &mut BTreeMap<u64, Vec<Name>>,
    ) -> Result<Vec<String>> {
        let now = View {
            fresh: true,
            ..self.zone.view(At::Latest).await?
        };
        let then = as_deleted(now, tree.revision);
        let mut lost = Vec::new();
        let mut stack = vec![(tree.top, String::new())];
        while let Some((dir, path)) = stack.pop() {
            let mut after: Option<String> = None;
            loop {
                self.check_goes_on()?;
                let (children, last) = then.children(dir, after.as_deref(), PAGE).await?;
                for child in children {
                    let below = format!("{path}/{}", child.name);
                    let ino = child.dentry.ino;
                    if is_dir(&child) {
                        stack.push((ino, below));
                        continue;
                    }
                    if now.dentry(dir, &child.name).await?.is_some() {
                        continue;
                    }
                    let inode = now.inode(ino).await?;
                    if inode.is_some_and(|inode| inode.record.links > 0) {
                        names.entry(ino).or_default().push((dir, child.name));
                    } else if past_inode(ino, then).await?.is_none() {
                        lost.push(below);
                        check_lost(&lost)?;
                    }
                }
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        Ok(lost)
    }
}
