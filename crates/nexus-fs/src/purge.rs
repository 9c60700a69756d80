//! Clearing away trees that a recursive delete has detached.
//!
//! A recursive delete is one commit: it takes the top of the tree out of the namespace and
//! queues the tree here. The rows below are removed afterwards, a bounded number at a time,
//! each step a commit of its own that keeps history as any delete does. A stop in between
//! loses nothing: the queue is in the metastore.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Op, Result};
use nexus_service_api::Context;
use tokio::time::timeout;

use crate::keys;
use crate::records::kind_of;
use crate::session::Session;
use crate::steps::{ATTEMPTS_MAX, clear_metadata, unlink};
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::{Child, next_key};
use crate::zone::Shared;

/// Names removed in one commit.
const STEP: usize = 256;

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
        let top = queued.get(1..).and_then(|key| key.first_chunk::<8>());
        let top = top.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.clear_tree(top).await?;
        self.commit_clear(|| Work::Done {
            top,
            queued: queued.clone(),
        })
        .await
    }

    /// Removes everything below a detached directory, deepest first.
    async fn clear_tree(&self, top: u64) -> Result<()> {
        let mut stack = vec![(top, String::new(), top)];
        while let Some((parent, name, dir)) = stack.last().cloned() {
            let view = self.zone.view(crate::At::Latest).await?;
            let (children, last) = view.children(dir, None, STEP).await?;
            let is_dir =
                |child: &Child| kind_of(child.dentry.kind).ok() == Some(FileKind::Directory);
            let (dirs, files): (Vec<_>, Vec<_>) = children.into_iter().partition(is_dir);
            if !files.is_empty() {
                self.commit_clear(|| Work::Files {
                    dir,
                    files: files.clone(),
                })
                .await?;
            }
            if dirs.is_empty() && last.is_none() {
                stack.pop();
                if dir != top {
                    self.commit_clear(|| Work::Directory {
                        parent,
                        name: name.clone(),
                        dir,
                    })
                    .await?;
                }
            }
            stack.extend(
                dirs.into_iter()
                    .map(|child| (dir, child.name, child.dentry.ino)),
            );
        }
        Ok(())
    }

    async fn commit_clear(&self, work: impl Fn() -> Work) -> Result<()> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            clear(&mut tx, work()).await?;
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::conflict(
            "others kept changing files of a deleted tree first; it is tried again later",
        ))
    }
}

enum Work {
    Files { dir: u64, files: Vec<Child> },
    Directory { parent: u64, name: String, dir: u64 },
    Done { top: u64, queued: Bytes },
}

async fn clear(tx: &mut Tx<'_>, work: Work) -> Result<()> {
    match work {
        Work::Files { dir, files } => {
            for Child { name, .. } in files {
                if let Some(dentry) = tx.name(dir, &name).await? {
                    unlink(tx, dir, &name, dentry).await?;
                }
            }
        }
        Work::Directory { parent, name, dir } => {
            tx.must_be_empty(dir);
            tx.set_name(parent, &name, None).await?;
            clear_metadata(tx, dir).await?;
            tx.remove_inode(dir).await?;
        }
        Work::Done { top, queued } => {
            tx.must_be_empty(top);
            clear_metadata(tx, top).await?;
            tx.remove_inode(top).await?;
            tx.also(Op::Delete(queued));
        }
    }
    Ok(())
}
