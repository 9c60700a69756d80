//! Guards and operations of a transaction over the layers of the store.

use bytes::Bytes;
use nexus_kernel::{Commit, Error, Guard, Op, Result, Revision, ScanDirection, Txn, Value};

use redb::StorageError;

use crate::layers::Layers;
use crate::memtable::Memtable;

/// The answer to one transaction: it applied, met a conflict, or was refused.
pub(crate) type Verdict = Result<Commit>;

/// What a transaction comes to.
pub(crate) enum Evaluated {
    Applies(Memtable),
    /// It met a conflict or was refused.
    Rejected(Verdict),
}

/// Evaluates a transaction as `revision` over what the store holds before it.
///
/// # Errors
///
/// When the store cannot be read.
pub(crate) fn evaluate(
    txn: &Txn,
    revision: Revision,
    before: Layers<'_>,
) -> Result<Evaluated, StorageError> {
    for (guard, condition) in txn.guards.iter().enumerate() {
        if !holds(condition, before)? {
            return Ok(Evaluated::Rejected(Ok(Commit::Conflict { guard })));
        }
    }
    let mut overlay = Overlay {
        changes: Memtable::default(),
        before,
        revision,
    };
    for op in &txn.ops {
        if let Err(refused) = overlay.apply(op)? {
            return Ok(Evaluated::Rejected(Err(refused)));
        }
    }
    Ok(Evaluated::Applies(overlay.changes))
}

fn holds(guard: &Guard, before: Layers<'_>) -> Result<bool, StorageError> {
    match guard {
        Guard::Absent(key) => before.look(key, |row| row.is_none()),
        Guard::Present(key) => before.look(key, |row| row.is_some()),
        Guard::RevisionIs(key, revision) => {
            before.look(key, |row| row.is_some_and(|(at, _)| at == *revision))
        }
        Guard::RangeEmpty(range) => {
            let mut rows = before.rows(range, ScanDirection::Forward)?;
            Ok(rows.next()?.is_none())
        }
    }
}

/// The changes of a transaction over the state before it.
struct Overlay<'a> {
    changes: Memtable,
    before: Layers<'a>,
    revision: Revision,
}

impl Overlay<'_> {
    fn apply(&mut self, op: &Op) -> Result<Result<()>, StorageError> {
        match op {
            Op::Put(key, bytes) => self.put(key, bytes.clone()),
            Op::PutStamped(prefix, bytes) => {
                let key = [prefix, &self.revision.0.to_be_bytes()[..]].concat();
                self.put(&key.into(), bytes.clone());
            }
            Op::Delete(key) => self.changes.set(key.clone(), None),
            Op::DeleteRange(range) => self.changes.remove_range(range),
            Op::Add(key, amount) => return self.add(key, *amount),
            Op::Max(key, bytes) => {
                if self.look(key, |row| row.is_none_or(|(_, now)| now < bytes))? {
                    self.put(key, bytes.clone());
                }
            }
        }
        Ok(Ok(()))
    }

    fn put(&mut self, key: &Bytes, bytes: Bytes) {
        let revision = self.revision;
        let value = Value { bytes, revision };
        self.changes.set(key.clone(), Some(value));
    }

    fn add(&mut self, key: &Bytes, amount: i64) -> Result<Result<()>, StorageError> {
        let now = self.look(key, |row| row.map_or(Some(0), |(_, now)| counter(now)))?;
        Ok(sum(key, now, amount).map(|sum| {
            let sum = Bytes::copy_from_slice(&sum.to_be_bytes());
            self.put(key, sum);
        }))
    }

    fn look<T>(
        &self,
        key: &[u8],
        see: impl FnOnce(Option<(Revision, &[u8])>) -> T,
    ) -> Result<T, StorageError> {
        match self.changes.get(key) {
            Some(value) => Ok(see(value.map(|value| (value.revision, &value.bytes[..])))),
            None => self.before.look(key, see),
        }
    }
}

fn counter(bytes: &[u8]) -> Option<i64> {
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
