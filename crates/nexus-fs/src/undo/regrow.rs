//! Brings back what was cleared away of a deleted tree.
//!
//! A recursive delete is one commit, and the rows below go afterwards ([`purge`](crate::purge)).
//! Before such a delete is undone, what has gone so far is put back where it was, below the
//! directory that is still out of the tree: bounded commits that nobody sees. If the undo then
//! does not happen, or the node ends, the tree is still queued and is cleared away again. Files of
//! which retention has collected since what they were stay away, and are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Guard, Kind, Op, Result, Revision};
use nexus_service_api::Action;
use parking_lot::Mutex;

use super::collect::{DeletedTree, Touched};
use super::engine::busy;
use super::places::{Places, Where};
use super::report::permit_one;
use super::rows::before;
use crate::keys;
use crate::parts::Parts;
use crate::path;
use crate::purge::{BEGUN, PART};
use crate::records::{InodeRecord, kind_of, unreadable};
use crate::retention::collected;
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::{Child, View};
use crate::zone::Shared;

/// Names put back in one commit.
const STEP: usize = 256;
/// Most files that are told to have stayed away.
const LOST_MAX: usize = 10_000;

/// Detached trees that are not to be cleared away now, each with how many say so.
#[derive(Default)]
pub(crate) struct HeldTrees(Mutex<BTreeMap<u64, usize>>);

impl HeldTrees {
    pub(crate) fn contain(&self, top: u64) -> bool {
        self.0.lock().contains_key(&top)
    }
}

/// Keeps a tree from being cleared away until dropped.
pub(super) struct Held {
    zone: Arc<Shared>,
    pub(super) top: u64,
    /// What has not come back with it, by paths from the top.
    pub(super) lost: Vec<String>,
}

impl Held {
    fn new(zone: &Arc<Shared>, top: u64) -> Self {
        *zone.held_trees.0.lock().entry(top).or_default() += 1;
        let zone = Arc::clone(zone);
        let lost = Vec::new();
        Self { zone, top, lost }
    }
}

impl Held {
    /// The paths of what has not come back with the tree, and the tree.
    pub(super) fn lost_paths(&self, touched: &Touched) -> Vec<(u64, String)> {
        touched.below(self.top, self.lost.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.zone.held_trees.0.lock();
        if let Some(count) = held.get_mut(&self.top) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.top);
            }
        }
        drop(held);
        self.zone.purge.notify_one();
    }
}

impl Session {
    /// Makes deleted trees whole again, out of sight. They stay so while what this answers is
    /// kept.
    pub(super) async fn regrow_deleted(
        &self,
        trees: impl Iterator<Item = &DeletedTree>,
    ) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        for tree in trees {
            let mut tree_held = Held::new(&self.zone, tree.top);
            tree_held.lost = self.regrow(*tree).await?;
            held.push(tree_held);
        }
        Ok(held)
    }

    /// Answers what has not come back.
    async fn regrow(&self, tree: DeletedTree) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        let then = View {
            zone: &self.zone,
            at: Some(tree.revision),
            fresh: true,
            regrown: None,
        };
        if then.inode(tree.top).await?.is_none() {
            // It was empty and went at once.
            return Ok(lost);
        }
        let Some(queued) = self.requeue(tree, then).await? else {
            return Ok(lost);
        };
        let mut stack = vec![(tree.top, String::new())];
        while let Some((dir, path)) = stack.pop() {
            let mut after: Option<String> = None;
            loop {
                self.check_goes_on()?;
                let (children, last) = then.children(dir, after.as_deref(), STEP).await?;
                let below = |name: &str| format!("{path}/{name}");
                let missing = self.put_back(dir, &children, then, &queued).await?;
                lost.extend(missing.iter().map(|name| below(name)));
                check_lost(&lost)?;
                let dirs = children.iter().filter(|child| is_dir(child));
                stack.extend(dirs.map(|child| (child.dentry.ino, below(&child.name))));
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        let whole = if lost.is_empty() { Bytes::new() } else { PART };
        self.relaxed(
            |tx| tx.also(Op::Put(queued.clone(), whole.clone())),
            &queued,
        )
        .await?;
        Ok(lost)
    }

    /// Queues a tree anew, so that whoever is clearing it away stops; answers the new entry, or
    /// none if the tree is whole.
    async fn requeue(&self, tree: DeletedTree, then: View<'_>) -> Result<Option<Bytes>> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt.max(1));
            tx.preload([tree.top], []).await?;
            let page = tx.view().scan(keys::purges_of(tree.top), 1).await?;
            let gone = tx.stored_inode(tree.top).is_none();
            match page.entries.into_iter().next() {
                Some(entry) if entry.value.bytes.is_empty() => return Ok(None),
                Some(entry) => {
                    tx.insist(Guard::Present(entry.key.clone()));
                    tx.also(Op::Delete(entry.key));
                }
                // It is in the tree again.
                None if !gone => return Ok(None),
                None => {}
            }
            self.permit_return(tree).await?;
            if gone && !put_back_inode(&mut tx, tree.top, None, then).await? {
                return Err(collected(tree.revision));
            }
            let entry = keys::purge_entry(tree.top);
            tx.also(Op::PutStamped(entry.clone(), BEGUN));
            if let Some(committed) = tx.commit(Durability::Relaxed).await? {
                let stamp = committed.revision.0.to_be_bytes();
                return Ok(Some([&entry[..], &stamp].concat().into()));
            }
        }
        Err(busy())
    }

    /// Nothing is brought back for who may not have it where it was.
    async fn permit_return(&self, tree: DeletedTree) -> Result<()> {
        let at = |at| View {
            zone: &self.zone,
            at,
            fresh: true,
            regrown: None,
        };
        let then = at(Some(before(tree.revision)));
        let Some(inode) = then.inode(tree.top).await? else {
            return Ok(());
        };
        let mut place = Where::Gone;
        for view in [at(None), then] {
            if place.found().is_none() {
                place = Places::now(view).directory(inode.record.parent).await?;
            }
        }
        let Some((parent, above)) = place.found() else {
            return Ok(());
        };
        let path = path::join(parent, &inode.record.name);
        permit_one(self, Action::Create, tree.top, (&path, above)).await
    }

    /// Puts names of a directory back, as many at once as one commit holds; answers those that are
    /// lost.
    async fn put_back(
        &self,
        dir: u64,
        children: &[Child],
        then: View<'_>,
        queued: &Bytes,
    ) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        let mut rest = Parts::new(children);
        while let Some(children) = rest.next() {
            match self.put_some_back(dir, children, then, queued).await {
                Err(error) => rest.smaller(error)?,
                Ok(missing) => {
                    lost.extend(missing);
                    rest.done();
                }
            }
        }
        Ok(lost)
    }

    async fn put_some_back(
        &self,
        dir: u64,
        children: &[Child],
        then: View<'_>,
        queued: &Bytes,
    ) -> Result<Vec<String>> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt.max(1));
            tx.insist(Guard::Present(queued.clone()));
            let names = children.iter().map(|child| (dir, child.name.clone()));
            let inos = children.iter().map(|child| child.dentry.ino);
            tx.preload(inos, names).await?;
            let mut lost = Vec::new();
            for child in children {
                let name = (dir, child.name.clone());
                if tx.stored_name(&name).is_some() {
                    continue;
                }
                if put_back_inode(&mut tx, child.dentry.ino, Some(&name), then).await? {
                    tx.set_name(dir, &child.name, Some(child.dentry)).await?;
                } else {
                    lost.push(child.name.clone());
                }
            }
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(lost);
            }
        }
        Err(busy())
    }

    async fn relaxed(&self, change: impl Fn(&mut Tx<'_>), queued: &Bytes) -> Result<()> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt.max(1));
            tx.insist(Guard::Present(queued.clone()));
            change(&mut tx);
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(());
            }
        }
        Err(busy())
    }
}

/// Gives an inode one of its names back; if it has none left, all that it was as well. Says whether
/// that is still known.
async fn put_back_inode(
    tx: &mut Tx<'_>,
    ino: u64,
    name: Option<&(u64, String)>,
    then: View<'_>,
) -> Result<bool> {
    let alive = tx.loaded_inode(ino).cloned();
    if let Some(alive) = alive.as_ref().filter(|record| record.links > 0) {
        if let Some((parent, name)) = name {
            tx.inode_mut(ino).await?.links = alive.links + 1;
            tx.set_other_name(ino, *parent, name, true);
        }
        return Ok(true);
    }
    let Some(past) = past_inode(ino, then).await? else {
        return Ok(false);
    };
    let mut record = past.record;
    if record.version > 0 {
        let open = alive.as_ref().map_or(0, |record| record.version);
        let ended = tx.view().last_version(ino).await?;
        record.version = record.version.max(ended).max(open) + 1;
    }
    if let Some(end) = past.end {
        // History holds the content until the commit does.
        tx.insist(Guard::Present(keys::ended_inode(ino, end)));
    }
    if alive.is_some() {
        // It is open, and not without a name any more.
        tx.also(Op::Delete(keys::orphan(ino)));
    }
    record.links = 1;
    if let Some((parent, name)) = name {
        (record.parent, record.name) = (*parent, name.clone());
    }
    tx.create_inode(ino, record);
    for (key, value) in past.metadata {
        tx.set_metadata(ino, &key, Some(value)).await?;
    }
    Ok(true)
}

/// What an inode was at a point, and when that ended.
pub(super) struct PastInode {
    record: InodeRecord,
    end: Option<Revision>,
    metadata: Vec<(String, Bytes)>,
}

/// None if that was collected from history.
pub(super) async fn past_inode(ino: u64, then: View<'_>) -> Result<Option<PastInode>> {
    let read = async {
        let inode = then.inode(ino).await?;
        let inode = inode.ok_or_else(|| unreadable("inode of a deleted name"))?;
        Ok(PastInode {
            record: inode.record.clone(),
            end: then.end_of_state(ino, inode.revision).await?,
            metadata: then.metadata_of(ino).await?.into_iter().collect(),
        })
    };
    let read: Result<PastInode> = read.await;
    match read {
        Ok(past) => Ok(Some(past)),
        Err(error) if error.kind() == Kind::NotFound => {
            let at = then.at.unwrap_or_default();
            then.zone.check_not_collected(at).await.map(|()| None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn check_lost(lost: &[String]) -> Result<()> {
    if lost.len() <= LOST_MAX {
        return Ok(());
    }
    Err(Error::limit(
        "of more than 10000 files in a deleted directory retention has collected what they were; restore \
         what there is, path by path",
    ))
}

pub(super) fn is_dir(child: &Child) -> bool {
    kind_of(child.dentry.kind).ok() == Some(FileKind::Directory)
}
