//! Which operations are undone, and by which commit.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_kernel::{Freshness, Guard, Op, Result, Revision, Value};

use super::collect::Operations;
use crate::keys;
use crate::log::{Record, UNDO};
use crate::session::Session;
use crate::tx::Tx;

impl Session {
    /// Which of these are undone already, and by which commit.
    pub(super) async fn marks(
        &self,
        revisions: impl Iterator<Item = &Revision>,
    ) -> Result<BTreeMap<Revision, Revision>> {
        let revisions: Vec<Revision> = revisions.copied().collect();
        let keys: Vec<Bytes> = revisions.iter().map(|r| keys::undo_mark(*r)).collect();
        let mut marks = BTreeMap::new();
        let metastore = &self.zone.metastore;
        let items_max = metastore.limits().txn_items_max;
        for (revisions, keys) in revisions.chunks(items_max).zip(keys.chunks(items_max)) {
            let found = metastore.get_many(keys, Freshness::Linearizable).await?;
            let found = revisions.iter().zip(found);
            marks.extend(found.filter_map(|(of, mark)| Some((*of, marked_by(&mark?)))));
        }
        Ok(marks)
    }
}

/// The commit that undid an operation: a mark says so itself where it was written again.
fn marked_by(mark: &Value) -> Revision {
    match mark.bytes.is_empty() {
        true => mark.revision,
        false => Revision(keys::last_number(&mark.bytes)),
    }
}

fn without_changes(record: Record) -> Record {
    Record {
        changes: Vec::new(),
        ..record
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq)]
enum Becomes {
    /// Undone by this commit.
    Undone,
    /// Undone by an undo that stands again.
    UndoneAgain(Revision),
    /// What had undone it is undone.
    Standing,
}

impl Tx<'_> {
    /// Remembers what this commit undoes, in the commit: who undoes the same at the same time
    /// must not. What an undo had undone that is undone itself stands again, and so on.
    pub(super) async fn mark_undone(
        &mut self,
        operations: &Operations,
        wholly: bool,
    ) -> Result<()> {
        let mut all: BTreeMap<Revision, Becomes> = BTreeMap::new();
        let mut work: Vec<(Record, bool)> = Vec::new();
        for (revision, record) in &operations.records {
            all.insert(*revision, Becomes::Undone);
            work.push((record.with_changes(Vec::new()), false));
        }
        while let Some((record, stands)) = work.pop() {
            // What undid only some of it has marked none of it.
            if record.operation.as_deref() != Some(UNDO) || record.partly {
                continue;
            }
            let about: Vec<Revision> = record.about.clone();
            let about = about.into_iter().filter(|of| !all.contains_key(of));
            let about: Vec<Revision> = about.collect();
            let marks = self.session.marks(about.iter()).await?;
            let by_it = |of: &Revision| marks.get(of) == Some(&record.revision);
            let turned = about.into_iter().filter(|of| by_it(of) != stands);
            let turned: Vec<Revision> = turned.collect();
            let becomes = match stands {
                true => Becomes::UndoneAgain(record.revision),
                false => Becomes::Standing,
            };
            all.extend(turned.iter().map(|of| (*of, becomes)));
            let heads = self.session.of_records(&turned, without_changes).await?;
            work.extend(heads.into_values().map(|record| (record, !stands)));
        }
        if !wholly {
            self.leaves_some();
        }
        self.write_marks(&all, wholly).await
    }

    async fn write_marks(&mut self, all: &BTreeMap<Revision, Becomes>, wholly: bool) -> Result<()> {
        let keys: Vec<Bytes> = all.keys().map(|of| keys::undo_mark(*of)).collect();
        let rows = self.get_many(&keys).await?;
        let mut absent: Vec<Revision> = Vec::new();
        for ((key, row), of) in keys.iter().zip(&rows).zip(all.keys()) {
            match row {
                // Who undoes what wrote a mark changes rows that it changed, and all of these are
                // insisted on; of a part of them, not all are.
                Some(_) if wholly => {}
                Some(row) => self.insist(Guard::RevisionIs(key.clone(), row.revision)),
                None => absent.push(*of),
            }
        }
        // One guard for operations that follow each other, as those of a run mostly do.
        for run in absent.chunk_by(|one, other| one.next() == *other) {
            let range = keys::undo_marks(run[0], run[run.len() - 1]);
            self.insist(Guard::RangeEmpty(range));
        }
        for (key, becomes) in keys.into_iter().zip(all.values()) {
            match becomes {
                // Some of it still stands.
                Becomes::Undone | Becomes::UndoneAgain(_) if !wholly => {}
                Becomes::Undone => self.also(Op::Put(key, Bytes::new())),
                Becomes::UndoneAgain(by) => {
                    let by = Bytes::copy_from_slice(&by.0.to_be_bytes());
                    self.also(Op::Put(key, by));
                }
                Becomes::Standing => self.also(Op::Delete(key)),
            }
        }
        Ok(())
    }
}
