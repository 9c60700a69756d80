//! Keeps content that is on its way into a commit from being collected.
//!
//! Between the moment a writer stores (or finds) a blob and the commit that refers to it,
//! the blob looks unused. Writers therefore hold the shard of its hash shared from before
//! they look until after they commit; the collector takes the shard exclusively, without
//! waiting, and leaves alone what it cannot get.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::etag::Etag;

const SHARDS: usize = 1024;

pub(crate) struct Pins(Box<[Arc<RwLock<()>>]>);

impl Default for Pins {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

/// The shards a writer holds; released on drop.
#[derive(Default)]
pub(crate) struct Pinned(HashMap<usize, OwnedRwLockReadGuard<()>>);

impl Pins {
    /// Adds the shard of `etag` to those held. Waits only while the collector removes
    /// something of that shard.
    pub(crate) async fn pin(&self, held: &mut Pinned, etag: &Etag) {
        let shard = shard(etag);
        if let Entry::Vacant(place) = held.0.entry(shard) {
            place.insert(Arc::clone(&self.0[shard]).read_owned().await);
        }
    }

    /// Holds everything, so that nothing is collected.
    pub(crate) async fn pin_all(&self) -> Pinned {
        let mut held = Pinned::default();
        for (shard, lock) in self.0.iter().enumerate() {
            held.0.insert(shard, Arc::clone(lock).read_owned().await);
        }
        held
    }

    /// Locks writers of this content out, unless one is at work.
    pub(crate) fn lock(&self, etag: &Etag) -> Option<OwnedRwLockWriteGuard<()>> {
        Arc::clone(&self.0[shard(etag)]).try_write_owned().ok()
    }
}

fn shard(etag: &Etag) -> usize {
    usize::from(u16::from_be_bytes([etag.hash[0], etag.hash[1]])) % SHARDS
}
