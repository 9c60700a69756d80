//! Those who wait until what they have seen is durable: they join the next flush beside the
//! seat, so that relaxed commits go on while they wait.

use std::time::Instant;

use nexus_kernel::{Error, Revision};

use super::Committer;
use crate::queue::{Request, Waiting};

/// A caller of `sync`, and what was visible when it came.
pub(super) struct Syncing {
    visible: Revision,
    waiting: Waiting,
}

impl Committer {
    /// Answers when all that is visible now is durable.
    pub(super) fn wait_for_flush(&mut self, waiting: Waiting) {
        let visible = self.visible;
        self.syncing.push_back(Syncing { visible, waiting });
        self.answer_synced();
        self.flush_for_syncing();
    }

    /// Answers those whose revisions are durable.
    pub(super) fn answer_synced(&mut self) {
        let durable = self.durable;
        while let Some(synced) = self.syncing.pop_front_if(|next| next.visible <= durable) {
            synced.waiting.request.synced(durable);
        }
    }

    /// Lets a flush begin at once if anybody waits for one.
    pub(super) fn flush_for_syncing(&mut self) {
        if !self.syncing.is_empty() {
            self.flush_at = Some(Instant::now());
            self.queue.set_flush_at(self.flush_at);
        }
    }

    /// Tells all who wait for a flush that there will be none.
    pub(super) fn refuse_syncing(&mut self, error: impl Fn() -> Error) {
        for failed in self.syncing.drain(..) {
            failed.waiting.request.refuse(error());
        }
    }
}

impl Request {
    /// Answers a sync. Who no longer waits does not mind.
    fn synced(self, durable: Revision) {
        if let Self::Sync(answer) = self {
            drop(answer.send(Ok(durable)));
        }
    }
}
