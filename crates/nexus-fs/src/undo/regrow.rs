//! Brings back what was cleared away of a deleted tree.
//!
//! A recursive delete is one commit, and the rows below go afterwards ([`purge`](crate::purge)).
//! Before such a delete is undone, what has gone so far is put back where it was, below the
//! directory that is still out of the tree: bounded commits that nobody sees. If the undo then
//! does not happen, or the node ends, the tree is still queued and is cleared away again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Durability, Guard, Op, Result};
use nexus_service_api::Action;
use parking_lot::Mutex;

use super::collect::DeletedTree;
use super::engine::busy;
use super::places::{Places, Where};
use super::report::permit_one;
use super::rows::before;
use crate::keys;
use crate::path;
use crate::purge::BEGUN;
use crate::records::{kind_of, unreadable};
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::{Child, View};
use crate::zone::Shared;

/// Names put back in one commit.
const STEP: usize = 256;

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
}

impl Held {
    fn new(zone: &Arc<Shared>, top: u64) -> Self {
        *zone.held_trees.0.lock().entry(top).or_default() += 1;
        let zone = Arc::clone(zone);
        Self { zone, top }
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
            held.push(Held::new(&self.zone, tree.top));
            self.regrow(*tree).await?;
        }
        Ok(held)
    }

    async fn regrow(&self, tree: DeletedTree) -> Result<()> {
        let then = View {
            zone: &self.zone,
            at: Some(tree.revision),
            fresh: true,
        };
        if then.inode(tree.top).await?.is_none() {
            // It was empty and went at once.
            return Ok(());
        }
        let Some(queued) = self.requeue(tree, then).await? else {
            return Ok(());
        };
        let mut stack = vec![tree.top];
        while let Some(dir) = stack.pop() {
            let mut after: Option<String> = None;
            loop {
                self.check_goes_on()?;
                let (children, last) = then.children(dir, after.as_deref(), STEP).await?;
                self.put_back(dir, &children, then, &queued).await?;
                let dirs = children.iter().filter(|child| is_dir(child));
                stack.extend(dirs.map(|child| child.dentry.ino));
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        self.relaxed(|tx| tx.also(Op::Put(queued.clone(), Bytes::new())), &queued)
            .await
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
            if gone {
                put_back_inode(&mut tx, tree.top, None, then).await?;
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

    async fn put_back(
        &self,
        dir: u64,
        children: &[Child],
        then: View<'_>,
        queued: &Bytes,
    ) -> Result<()> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt.max(1));
            tx.insist(Guard::Present(queued.clone()));
            let names = children.iter().map(|child| (dir, child.name.clone()));
            let inos = children.iter().map(|child| child.dentry.ino);
            tx.preload(inos, names).await?;
            for child in children {
                let name = (dir, child.name.clone());
                if tx.stored_name(&name).is_none() {
                    tx.set_name(dir, &child.name, Some(child.dentry)).await?;
                    put_back_inode(&mut tx, child.dentry.ino, Some(&name), then).await?;
                }
            }
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(());
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

/// Gives an inode one of its names back; if it has none left, all that it was as well.
async fn put_back_inode(
    tx: &mut Tx<'_>,
    ino: u64,
    name: Option<&(u64, String)>,
    then: View<'_>,
) -> Result<()> {
    let alive = tx.loaded_inode(ino).cloned();
    if let Some(alive) = alive.filter(|record| record.links > 0) {
        if let Some((parent, name)) = name {
            tx.inode_mut(ino).await?.links = alive.links + 1;
            tx.set_other_name(ino, *parent, name, true);
        }
        return Ok(());
    }
    let past = then.inode(ino).await?;
    let mut record = past
        .ok_or_else(|| unreadable("inode of a deleted name"))?
        .record
        .clone();
    let ended = tx.view().last_version(ino).await?;
    if record.version > 0 {
        record.version = ended.map_or(record.version, |(_, version)| version) + 1;
    }
    if let Some((end, _)) = ended {
        tx.insist(Guard::Present(keys::ended_inode(ino, end)));
    }
    record.links = 1;
    if let Some((parent, name)) = name {
        (record.parent, record.name) = (*parent, name.clone());
    }
    tx.create_inode(ino, record);
    for (key, value) in then.metadata_of(ino).await? {
        tx.set_metadata(ino, &key, Some(value)).await?;
    }
    Ok(())
}

fn is_dir(child: &Child) -> bool {
    kind_of(child.dentry.kind).ok() == Some(FileKind::Directory)
}
