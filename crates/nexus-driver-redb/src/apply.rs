//! Guards and operations on an open redb transaction.

use bytes::Bytes;
use nexus_kernel::{Commit, Error, Guard, KeyRange, Op, Result, Revision, Txn};
use redb::{ReadableTable, StorageError, Table};

use crate::layout;

/// The answer to one transaction: it applied, met a conflict, or was refused.
pub(crate) type Verdict = Result<Commit>;

/// The rows as a group sees and changes them.
pub(crate) struct Rows<'txn> {
    table: Table<'txn, &'static [u8], &'static [u8]>,
    /// What rows held before the current transaction, oldest first, when it might have to
    /// be taken back.
    undo: Option<Vec<(Bytes, Option<Vec<u8>>)>>,
    /// Where values are put together.
    row: Vec<u8>,
}

impl<'txn> Rows<'txn> {
    pub(crate) fn new(table: Table<'txn, &'static [u8], &'static [u8]>) -> Self {
        Self {
            table,
            undo: None,
            row: Vec::new(),
        }
    }

    /// Applies a transaction as `revision`, whole or not at all.
    pub(crate) fn commit(
        &mut self,
        txn: &Txn,
        revision: Revision,
    ) -> Result<Verdict, StorageError> {
        for (guard, condition) in txn.guards.iter().enumerate() {
            if !self.holds(condition)? {
                return Ok(Ok(Commit::Conflict { guard }));
            }
        }
        self.undo = may_be_refused(txn).then(Vec::new);
        for op in &txn.ops {
            if let Err(refused) = self.apply(op, revision)? {
                self.roll_back()?;
                return Ok(Err(refused));
            }
        }
        Ok(Ok(Commit::Applied(revision)))
    }

    fn holds(&self, guard: &Guard) -> Result<bool, StorageError> {
        Ok(match guard {
            Guard::Absent(key) => self.table.get(&key[..])?.is_none(),
            Guard::Present(key) => self.table.get(&key[..])?.is_some(),
            Guard::RevisionIs(key, revision) => {
                let row = self.table.get(&key[..])?;
                row.is_some_and(|row| written_at(row.value()) == Some(*revision))
            }
            Guard::RangeEmpty(range) => self
                .table
                .range(bounds(range))?
                .next()
                .transpose()?
                .is_none(),
        })
    }

    fn apply(&mut self, op: &Op, revision: Revision) -> Result<Result<()>, StorageError> {
        match op {
            Op::Put(key, bytes) => self.put(key, revision, bytes)?,
            Op::PutStamped(prefix, bytes) => {
                let key = [prefix, &revision.0.to_be_bytes()[..]].concat().into();
                self.put(&key, revision, bytes)?;
            }
            Op::Delete(key) => self.delete(key)?,
            Op::DeleteRange(range) => self.delete_range(range)?,
            Op::Add(key, amount) => return self.add(key, revision, *amount),
            Op::Max(key, bytes) => self.max(key, revision, bytes)?,
        }
        Ok(Ok(()))
    }

    fn put(&mut self, key: &Bytes, revision: Revision, bytes: &[u8]) -> Result<(), StorageError> {
        layout::encode(&mut self.row, revision, bytes);
        let before = self.table.insert(&key[..], &self.row[..])?;
        if let Some(undo) = &mut self.undo {
            undo.push((key.clone(), before.map(|row| row.value().to_vec())));
        }
        Ok(())
    }

    fn delete(&mut self, key: &Bytes) -> Result<(), StorageError> {
        let before = self.table.remove(&key[..])?;
        if let Some(undo) = &mut self.undo {
            undo.push((key.clone(), before.map(|row| row.value().to_vec())));
        }
        Ok(())
    }

    fn delete_range(&mut self, range: &KeyRange) -> Result<(), StorageError> {
        let undo = &mut self.undo;
        self.table.retain_in(bounds(range), |key, row| {
            if let Some(undo) = undo {
                undo.push((Bytes::copy_from_slice(key), Some(row.to_vec())));
            }
            false
        })
    }

    fn add(
        &mut self,
        key: &Bytes,
        revision: Revision,
        amount: i64,
    ) -> Result<Result<()>, StorageError> {
        let now = match self.table.get(&key[..])? {
            None => Some(0),
            Some(row) => counter(row.value()),
        };
        match sum(key, now, amount) {
            Ok(sum) => self.put(key, revision, &sum.to_be_bytes()).map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn max(&mut self, key: &Bytes, revision: Revision, bytes: &[u8]) -> Result<(), StorageError> {
        let row = self.table.get(&key[..])?;
        let smaller = |row: &[u8]| layout::split(row).is_none_or(|(_, now)| now < bytes);
        if row.is_none_or(|row| smaller(row.value())) {
            self.put(key, revision, bytes)?;
        }
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), StorageError> {
        for (key, before) in self.undo.take().into_iter().flatten().rev() {
            match before {
                Some(row) => self.table.insert(&key[..], &row[..])?,
                None => self.table.remove(&key[..])?,
            };
        }
        Ok(())
    }
}

/// Only additions can fail once the guards hold, and only they cost an undo list.
fn may_be_refused(txn: &Txn) -> bool {
    txn.ops.iter().any(|op| matches!(op, Op::Add(..)))
}

pub(crate) fn bounds(range: &KeyRange) -> std::ops::Range<&[u8]> {
    &range.start[..]..&range.end[..]
}

fn written_at(row: &[u8]) -> Option<Revision> {
    layout::split(row).map(|(revision, _)| revision)
}

fn counter(row: &[u8]) -> Option<i64> {
    let (_, bytes) = layout::split(row)?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

fn sum(key: &[u8], now: Option<i64>, amount: i64) -> Result<i64> {
    let now = now.ok_or_else(|| {
        Error::invalid("only an 8-byte counter can be added to; put one there first")
            .with("key", key.escape_ascii())
    })?;
    now.checked_add(amount).ok_or_else(|| {
        Error::limit("the counter would overflow; nothing was added")
            .with("key", key.escape_ascii())
            .with("value", now)
            .with("amount", amount)
    })
}
