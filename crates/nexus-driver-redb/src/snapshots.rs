//! States that stay while somebody reads them.
//!
//! They lie with what readers see and go with it when the store is closed, so that a snapshot that
//! somebody forgot does not keep the file open. A state of the file is a read transaction of redb:
//! its pages are not written again until it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use nexus_kernel::{Error, Limits, MetastoreSnapshot, Page, Result, Revision, Scan};
use parking_lot::Mutex;

use crate::error;
use crate::layers::Shared;
use crate::queue::Queue;
use crate::reading::Part;

/// The states that are held, by their places.
#[derive(Default)]
pub(crate) struct Snapshots(Mutex<BTreeMap<u64, Arc<Part>>>);

impl Snapshots {
    /// Keeps a state; answers its place and its revision.
    pub(crate) fn add(&self, state: Part, most: usize) -> Result<(u64, Revision)> {
        let mut held = self.0.lock();
        if held.len() >= most {
            return Err(Error::limit(
                "too many snapshots are held; end another export or backup first",
            )
            .with("most", most));
        }
        let place = held.last_key_value().map_or(0, |(last, _)| last + 1);
        let revision = state.revision();
        held.insert(place, Arc::new(state));
        Ok((place, revision))
    }

    fn get(&self, place: u64) -> Option<Arc<Part>> {
        self.0.lock().get(&place).cloned()
    }

    fn remove(&self, place: u64) {
        self.0.lock().remove(&place);
    }
}

/// One of them.
pub(crate) struct RedbSnapshot {
    view: Shared,
    queue: Arc<Queue>,
    place: u64,
    revision: Revision,
}

impl RedbSnapshot {
    pub(crate) fn new((view, queue): (Shared, Arc<Queue>), place: u64, revision: Revision) -> Self {
        Self {
            view,
            queue,
            place,
            revision,
        }
    }

    fn state(&self) -> Result<Arc<Part>> {
        let view = self.view.read();
        let state = view
            .as_ref()
            .and_then(|view| view.snapshots.get(self.place));
        state.ok_or_else(|| self.queue.why_closed())
    }
}

impl Drop for RedbSnapshot {
    fn drop(&mut self) {
        if let Some(view) = self.view.read().as_ref() {
            view.snapshots.remove(self.place);
        }
    }
}

#[async_trait]
impl MetastoreSnapshot for RedbSnapshot {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        Limits::STANDARD.check_scan(&scan)?;
        self.state()?.page(&scan).map_err(error::storage)
    }
}
