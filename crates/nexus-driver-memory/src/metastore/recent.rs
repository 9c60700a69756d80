use std::collections::{HashMap, VecDeque};

use nexus_kernel::{Revision, TxnId};

/// How many applied transactions are remembered by id.
const REMEMBERED_MAX: usize = 4096;

/// The transactions applied last that had an id, and their revisions.
#[derive(Default)]
pub(super) struct Recent {
    revisions: HashMap<TxnId, Revision>,
    oldest_first: VecDeque<TxnId>,
}

impl Recent {
    pub(super) fn revision_of(&self, id: TxnId) -> Option<Revision> {
        self.revisions.get(&id).copied()
    }

    pub(super) fn remember(&mut self, id: TxnId, revision: Revision) {
        if self.oldest_first.len() == REMEMBERED_MAX {
            let oldest = self.oldest_first.pop_front();
            self.revisions.remove(&oldest.expect("the table is full"));
        }
        self.oldest_first.push_back(id);
        self.revisions.insert(id, revision);
    }
}
