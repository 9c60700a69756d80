use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use nexus_kernel::{
    Commit, Entry, Error, Guard, KeyRange, Op, Page, RestoreStep, Restoring, Result, Revision,
    STAMP_LEN, Scan, ScanDirection, Txn, Value,
};

use super::recent::Recent;

pub(super) type Rows = BTreeMap<Bytes, Value>;

/// All rows, the revision they are at, and what was applied last.
#[derive(Default)]
pub(super) struct State {
    /// Shared with snapshots; copied once when it changes under one.
    rows: Arc<Rows>,
    revision: Revision,
    recent: Recent,
    /// Where a restore ends, and the note of its last step.
    restoring: Option<(Revision, Bytes)>,
}

/// What rows held before a transaction touched them, oldest first.
type Undo = Vec<(Bytes, Option<Value>)>;

impl State {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Value> {
        self.rows.get(key).cloned()
    }

    pub(super) fn scan(&self, scan: &Scan) -> Page {
        page(&self.rows, self.revision, scan)
    }

    pub(super) fn rows(&self) -> Arc<Rows> {
        self.rows.clone()
    }

    /// Refuses while a restore has begun and not ended.
    pub(super) fn check_whole(&self) -> Result<()> {
        match self.restoring {
            Some(_) => Err(Restoring::refusal()),
            None => Ok(()),
        }
    }

    pub(super) fn restoring(&self) -> Option<Restoring> {
        let (revision, note) = self.restoring.clone()?;
        Some(Restoring {
            revision,
            last_key: self.rows.last_key_value().map(|(key, _)| key.clone()),
            note,
        })
    }

    /// Takes a step that was checked.
    pub(super) fn restore(&mut self, step: RestoreStep) {
        match step {
            RestoreStep::Begin { revision, note } => self.restoring = Some((revision, note)),
            RestoreStep::Rows { rows, note } => {
                let rows = rows.into_iter().map(|row| (row.key, row.value));
                Arc::make_mut(&mut self.rows).extend(rows);
                let (_, last) = self.restoring.as_mut().expect("a step is checked first");
                *last = note;
            }
            RestoreStep::Finish => {
                let (revision, _) = self.restoring.take().expect("a step is checked first");
                self.revision = revision;
            }
            RestoreStep::Abandon => *self = Self::default(),
        }
    }

    /// Applies a transaction within limits, whole or not at all.
    pub(super) fn commit(&mut self, txn: &Txn) -> Result<Commit> {
        if let Some(first) = txn.id.and_then(|id| self.recent.revision_of(id)) {
            return Ok(Commit::Applied(first));
        }
        if let Some(guard) = txn.guards.iter().position(|guard| !self.holds(guard)) {
            return Ok(Commit::Conflict { guard });
        }
        let revision = self.revision.next();
        self.apply_all(&txn.ops, revision)?;
        self.revision = revision;
        if let Some(id) = txn.id {
            self.recent.remember(id, revision);
        }
        Ok(Commit::Applied(revision))
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Absent(key) => !self.rows.contains_key(key),
            Guard::Present(key) => self.rows.contains_key(key),
            Guard::RevisionIs(key, revision) => {
                let value = self.rows.get(key);
                value.is_some_and(|value| value.revision == *revision)
            }
            Guard::RangeEmpty(range) => self.rows.range(bounds(range)).next().is_none(),
        }
    }

    fn apply_all(&mut self, ops: &[Op], revision: Revision) -> Result<()> {
        let mut undo = Undo::new();
        for op in ops {
            if let Err(refused) = self.apply(op, revision, &mut undo) {
                self.roll_back(undo);
                return Err(refused);
            }
        }
        Ok(())
    }

    fn apply(&mut self, op: &Op, revision: Revision, undo: &mut Undo) -> Result<()> {
        let set = |bytes| Some(Value { bytes, revision });
        match op {
            Op::Put(key, bytes) => self.write(key.clone(), set(bytes.clone()), undo),
            Op::PutStamped(prefix, bytes) => {
                self.write(stamped(prefix, revision), set(bytes.clone()), undo);
            }
            Op::Delete(key) => self.write(key.clone(), None, undo),
            Op::DeleteRange(range) => {
                let keys = self.rows.range(bounds(range)).map(|(key, _)| key.clone());
                for key in keys.collect::<Vec<_>>() {
                    self.write(key, None, undo);
                }
            }
            Op::Add(key, amount) => {
                let sum = add(self.rows.get(key), key, *amount)?;
                self.write(key.clone(), set(sum), undo);
            }
            Op::Max(key, bytes) => {
                let larger = self.rows.get(key).is_none_or(|now| now.bytes < *bytes);
                if larger {
                    self.write(key.clone(), set(bytes.clone()), undo);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, key: Bytes, value: Option<Value>, undo: &mut Undo) {
        let before = match value {
            Some(value) => Arc::make_mut(&mut self.rows).insert(key.clone(), value),
            None => Arc::make_mut(&mut self.rows).remove(&key),
        };
        undo.push((key, before));
    }

    fn roll_back(&mut self, undo: Undo) {
        let rows = Arc::make_mut(&mut self.rows);
        for (key, before) in undo.into_iter().rev() {
            match before {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
}

/// What a scan answers of some rows.
pub(super) fn page(rows: &Rows, revision: Revision, scan: &Scan) -> Page {
    let rows = rows.range(bounds(&scan.range));
    let (entries, more) = match scan.direction {
        ScanDirection::Forward => take(rows, scan),
        ScanDirection::Backward => take(rows.rev(), scan),
    };
    Page {
        entries,
        more,
        revision,
    }
}

fn bounds(range: &KeyRange) -> Range<Bytes> {
    range.start.clone()..range.end.clone()
}

fn take<'a>(rows: impl Iterator<Item = (&'a Bytes, &'a Value)>, scan: &Scan) -> (Vec<Entry>, bool) {
    let rows = rows.map(|(key, value)| Entry {
        key: key.clone(),
        value: value.clone(),
    });
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for row in rows {
        if !scan.takes_more(entries.len(), bytes) {
            return (entries, true);
        }
        bytes += row.bytes();
        entries.push(row);
    }
    (entries, false)
}

fn stamped(prefix: &[u8], revision: Revision) -> Bytes {
    let mut key = BytesMut::with_capacity(prefix.len() + STAMP_LEN);
    key.put_slice(prefix);
    key.put_u64(revision.0);
    key.freeze()
}

fn add(now: Option<&Value>, key: &[u8], amount: i64) -> Result<Bytes> {
    let now = match now {
        None => 0,
        Some(value) => i64::from_be_bytes((*value.bytes).try_into().map_err(|_| {
            Error::invalid("only an 8-byte counter can be added to; put one there first")
                .with("key", key.escape_ascii())
        })?),
    };
    let sum = now.checked_add(amount).ok_or_else(|| {
        Error::limit("the counter would overflow; nothing was added")
            .with("key", key.escape_ascii())
            .with("value", now)
            .with("amount", amount)
    })?;
    Ok(Bytes::copy_from_slice(&sum.to_be_bytes()))
}
