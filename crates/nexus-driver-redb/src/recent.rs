//! The transaction ids that make a retry recognisable.
//!
//! In memory a map; on disk one row per group, its ids and revisions one after another,
//! so that a group pays for one small row however many ids it carries. Whole groups are
//! forgotten once enough younger ids are there.

use std::collections::{HashMap, VecDeque};

use nexus_kernel::{Revision, TxnId};
use redb::{ReadableTable, StorageError, Table};

/// How many ids are remembered at least.
const REMEMBERED_MIN: usize = 4096;

const ID_LEN: usize = 16;
const RECORD_LEN: usize = ID_LEN + 8;

type RecentTable<'txn> = Table<'txn, u64, &'static [u8]>;

/// Ids of applied transactions and their revisions.
#[derive(Default)]
pub(crate) struct Recent {
    revisions: HashMap<TxnId, Revision>,
    groups: VecDeque<Vec<TxnId>>,
    /// Those of the group that is being committed.
    fresh: Vec<TxnId>,
}

impl Recent {
    pub(crate) fn load(
        table: &impl ReadableTable<u64, &'static [u8]>,
    ) -> Result<Self, StorageError> {
        let mut recent = Self::default();
        for row in table.iter()? {
            let (_, records) = row?;
            for record in records.value().chunks_exact(RECORD_LEN) {
                let (id, revision) = decode(record);
                recent.remember(id, revision);
            }
            recent.end_group();
        }
        Ok(recent)
    }

    pub(crate) fn revision_of(&self, id: TxnId) -> Option<Revision> {
        self.revisions.get(&id).copied()
    }

    pub(crate) fn remember(&mut self, id: TxnId, revision: Revision) {
        self.revisions.insert(id, revision);
        self.fresh.push(id);
    }

    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Stores the ids of this group, and forgets groups that are old enough.
    pub(crate) fn store(&mut self, table: &mut RecentTable<'_>) -> Result<(), StorageError> {
        let mut records = Vec::with_capacity(self.fresh.len() * RECORD_LEN);
        for id in &self.fresh {
            records.extend_from_slice(&id.0.to_be_bytes());
            records.extend_from_slice(&self.revisions[id].0.to_be_bytes());
        }
        table.insert(self.revisions[&self.fresh[0]].0, &records[..])?;
        self.end_group();
        while self.oldest_is_dispensable() {
            table.pop_first()?;
            for id in self.groups.pop_front().into_iter().flatten() {
                self.revisions.remove(&id);
            }
        }
        Ok(())
    }

    fn end_group(&mut self) {
        self.groups.push_back(std::mem::take(&mut self.fresh));
    }

    fn oldest_is_dispensable(&self) -> bool {
        let oldest = self.groups.front().map_or(0, Vec::len);
        oldest > 0 && self.revisions.len() - oldest >= REMEMBERED_MIN
    }
}

fn decode(record: &[u8]) -> (TxnId, Revision) {
    let (id, revision) = record.split_at(ID_LEN);
    let id = u128::from_be_bytes(id.try_into().expect("16 bytes were split off"));
    let revision = u64::from_be_bytes(revision.try_into().expect("8 bytes are left"));
    (TxnId(id), Revision(revision))
}
