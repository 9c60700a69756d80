//! The transaction ids that make a retry recognisable.
//!
//! In memory a map; on disk one row per flush, its ids and revisions one after another,
//! so that a flush pays for one small row however many ids it carries. The ids of whole
//! flushes are forgotten once enough younger ones are there.

use std::collections::{HashMap, VecDeque};

use nexus_kernel::{Revision, TxnId};
use redb::{ReadableTable, StorageError, Table};

/// How many ids are remembered at least.
const REMEMBERED_MIN: usize = 4096;

const ID_LEN: usize = 16;
const RECORD_LEN: usize = ID_LEN + 8;

/// Ids of applied transactions and their revisions.
#[derive(Default)]
pub(crate) struct Recent {
    revisions: HashMap<TxnId, Revision>,
    flushes: VecDeque<Vec<TxnId>>,
    /// Those that no flush has taken yet.
    fresh: Vec<TxnId>,
}

/// What one flush changes in the table of ids.
pub(crate) struct Ids {
    row: u64,
    records: Vec<u8>,
    /// How many rows of the oldest go.
    forgotten: usize,
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
            recent.end_flush();
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

    /// What the flush of everything up to `newest` has to store; forgets ids that are old
    /// enough.
    pub(crate) fn take_fresh(&mut self, newest: Revision) -> Option<Ids> {
        if self.fresh.is_empty() {
            return None;
        }
        let mut records = Vec::with_capacity(self.fresh.len() * RECORD_LEN);
        for id in &self.fresh {
            records.extend_from_slice(&id.0.to_be_bytes());
            records.extend_from_slice(&self.revisions[id].0.to_be_bytes());
        }
        self.end_flush();
        let mut forgotten = 0;
        while self.oldest_is_dispensable() {
            forgotten += 1;
            for id in self.flushes.pop_front().into_iter().flatten() {
                self.revisions.remove(&id);
            }
        }
        Some(Ids {
            row: newest.0,
            records,
            forgotten,
        })
    }

    fn end_flush(&mut self) {
        self.flushes.push_back(std::mem::take(&mut self.fresh));
    }

    fn oldest_is_dispensable(&self) -> bool {
        let oldest = self.flushes.front().map_or(0, Vec::len);
        oldest > 0 && self.revisions.len() - oldest >= REMEMBERED_MIN
    }
}

impl Ids {
    pub(crate) fn store(
        &self,
        table: &mut Table<'_, u64, &'static [u8]>,
    ) -> Result<(), StorageError> {
        table.insert(self.row, &self.records[..])?;
        for _ in 0..self.forgotten {
            table.pop_first()?;
        }
        Ok(())
    }
}

fn decode(record: &[u8]) -> (TxnId, Revision) {
    let (id, revision) = record.split_at(ID_LEN);
    let id = u128::from_be_bytes(id.try_into().expect("16 bytes were split off"));
    let revision = u64::from_be_bytes(revision.try_into().expect("8 bytes are left"));
    (TxnId(id), Revision(revision))
}
