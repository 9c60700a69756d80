//! The inode-level interface that a mount stands on.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_kernel::{Durability, Op, Result};
use nexus_service_api::Context;
use parking_lot::Mutex;

use crate::keys;
use crate::session::Session;
use crate::steps::clear_metadata;
use crate::tx::Tx;
use crate::zone::Shared;

/// How many handles each inode has open in this process.
#[derive(Default)]
pub(crate) struct OpenInodes(Mutex<HashMap<u64, usize>>);

impl OpenInodes {
    pub(crate) fn is_open(&self, ino: u64) -> bool {
        self.0.lock().contains_key(&ino)
    }

    pub(crate) fn opened(&self, ino: u64) {
        *self.0.lock().entry(ino).or_default() += 1;
    }

    /// Says whether this was the last handle.
    pub(crate) fn closed(&self, ino: u64) -> bool {
        let mut open = self.0.lock();
        let Some(count) = open.get_mut(&ino) else {
            return false;
        };
        *count -= 1;
        let last = *count == 0;
        if last {
            open.remove(&ino);
        }
        last
    }
}

/// Removes the inodes that lost their last name while open, in a process that then ended.
pub(crate) async fn remove_orphans(zone: &Arc<Shared>) -> Result<()> {
    let session = Session {
        zone: Arc::clone(zone),
        context: Context::system(),
    };
    let view = zone.view(crate::At::Latest).await?;
    loop {
        let page = view.scan(keys::all_orphans(), 500).await?;
        for entry in &page.entries {
            session.remove_orphan(keys::last_number(&entry.key)).await?;
        }
        if !page.more {
            return Ok(());
        }
    }
}

impl Session {
    /// Removes an inode without a name.
    async fn remove_orphan(&self, ino: u64) -> Result<()> {
        let mut attempt = 0;
        loop {
            let mut tx = Tx::begin(self, attempt);
            clear_metadata(&mut tx, ino).await?;
            tx.remove_inode(ino).await?;
            tx.also(Op::Delete(keys::orphan(ino)));
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(());
            }
            attempt += 1;
        }
    }
}
