//! What a call may carry, checked the same way by every driver.

use crate::{
    Entry, Error, Guard, KeyRange, Limits, Op, RESTORE_NOTE_BYTES_MAX, RestoreStep, Restoring,
    Result, Revision, STAMP_LEN, Scan, Txn,
};

impl Limits {
    /// Checks one key.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when it is too long.
    pub fn check_key(&self, key: &[u8]) -> Result<()> {
        at_most("key bytes", key.len(), self.key_bytes_max)
    }

    /// Checks the keys of one `get_many`.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when there are too many or one is too long.
    pub fn check_keys(&self, keys: &[impl AsRef<[u8]>]) -> Result<()> {
        at_most("keys in one call", keys.len(), self.txn_items_max)?;
        keys.iter().try_for_each(|key| self.check_key(key.as_ref()))
    }

    /// Checks a range: both ends are keys, and in order. Equal ends make an empty range.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for an end too long, `InvalidArgument` for ends out of order.
    pub fn check_range(&self, range: &KeyRange) -> Result<()> {
        self.check_key(&range.start)?;
        self.check_key(&range.end)?;
        if range.start > range.end {
            return Err(Error::invalid(
                "a range must not start after its end; swap the two",
            ));
        }
        Ok(())
    }

    /// Checks a scan.
    ///
    /// # Errors
    ///
    /// As [`check_range`](Self::check_range); `InvalidArgument` for a limit of 0,
    /// `LimitExceeded` for too large a one.
    pub fn check_scan(&self, scan: &Scan) -> Result<()> {
        if scan.limit == 0 || scan.bytes_max == 0 {
            return Err(Error::invalid("a scan must ask for at least one entry"));
        }
        at_most("entries in one page", scan.limit, self.scan_entries_max)?;
        self.check_range(&scan.range)
    }

    /// Checks a transaction, and returns how many bytes of keys and values it carries.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when it has no operation or a range out of order, `LimitExceeded`
    /// when it is too large as a whole or in one of its keys or values.
    pub fn check_txn(&self, txn: &Txn) -> Result<usize> {
        if txn.ops.is_empty() {
            return Err(Error::invalid(
                "a transaction needs at least one operation; to only read, use get or scan",
            ));
        }
        let items = txn.guards.len() + txn.ops.len();
        at_most("items in one transaction", items, self.txn_items_max)?;
        for guard in &txn.guards {
            self.check_guard(guard)?;
        }
        for op in &txn.ops {
            self.check_op(op)?;
        }
        let bytes = txn.bytes();
        at_most("bytes in one transaction", bytes, self.txn_bytes_max)?;
        Ok(bytes)
    }

    /// Checks a step of a restore against where the store is: `newest` is its revision.
    ///
    /// # Errors
    ///
    /// `Conflict` for a step that does not fit there, `InvalidArgument` for rows out of order or
    /// of revisions that the restore does not reach, `LimitExceeded` when it is too large.
    pub fn check_restore(
        &self,
        step: &RestoreStep,
        newest: Revision,
        begun: Option<&Restoring>,
    ) -> Result<()> {
        match (step, begun) {
            (RestoreStep::Begin { .. }, Some(_)) => Err(Restoring::already_begun()),
            (RestoreStep::Begin { .. }, None) if newest != Revision::ZERO => {
                Err(Restoring::not_empty(newest))
            }
            (RestoreStep::Begin { revision, .. }, None) if *revision == Revision::ZERO => Err(
                Error::invalid("a restore ends at revision 1 or later; take it from the archive"),
            ),
            (RestoreStep::Begin { note, .. }, None) => check_note(note),
            (_, None) => Err(Restoring::not_begun()),
            (RestoreStep::Rows { rows, note }, Some(begun)) => {
                check_note(note)?;
                self.check_rows(rows, begun)
            }
            (RestoreStep::Finish | RestoreStep::Abandon, Some(_)) => Ok(()),
        }
    }

    fn check_rows(&self, rows: &[Entry], begun: &Restoring) -> Result<()> {
        at_most("items in one transaction", rows.len(), self.txn_items_max)?;
        let mut bytes = 0;
        let mut before = begun.last_key.as_deref();
        for row in rows {
            let key = &*row.key;
            bytes += self.check_row(key.len(), row.value.bytes.len())?;
            if before.is_some_and(|before| key <= before) {
                return Err(Error::invalid(
                    "the rows of a restore come in key order, each once; take them from one scan",
                )
                .with("key", key.escape_ascii()));
            }
            if !(Revision(1)..=begun.revision).contains(&row.value.revision) {
                return Err(Error::invalid(
                    "a row of a restore has a revision that the restore reaches",
                )
                .with("key", key.escape_ascii())
                .with("revision", row.value.revision)
                .with("restored revision", begun.revision));
            }
            before = Some(key);
        }
        at_most("bytes in one transaction", bytes, self.txn_bytes_max)
    }

    fn check_guard(&self, guard: &Guard) -> Result<()> {
        match guard {
            Guard::Absent(key) | Guard::Present(key) | Guard::RevisionIs(key, _) => {
                self.check_key(key)
            }
            Guard::RangeEmpty(range) => self.check_range(range),
        }
    }

    fn check_op(&self, op: &Op) -> Result<()> {
        match op {
            Op::Put(key, value) | Op::Max(key, value) => self.check_row(key.len(), value.len()),
            Op::PutStamped(prefix, value) => self.check_row(prefix.len() + STAMP_LEN, value.len()),
            Op::Add(key, _) => self.check_row(key.len(), size_of::<i64>()),
            Op::Delete(key) => self.check_row(key.len(), 0),
            Op::DeleteRange(range) => return self.check_range(range),
        }
        .map(drop)
    }

    fn check_row(&self, key: usize, value: usize) -> Result<usize> {
        at_most("key bytes", key, self.key_bytes_max)?;
        at_most("value bytes", value, self.value_bytes_max)?;
        Ok(key + value)
    }
}

impl Txn {
    /// The bytes of its keys and values, stamps included, as [`Limits::txn_bytes_max`] counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let guards = self.guards.iter().map(Guard::bytes);
        guards.chain(self.ops.iter().map(Op::bytes)).sum()
    }
}

impl Guard {
    fn bytes(&self) -> usize {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::RevisionIs(key, _) => key.len(),
            Self::RangeEmpty(range) => range.start.len() + range.end.len(),
        }
    }
}

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) | Self::Max(key, value) => key.len() + value.len(),
            Self::PutStamped(prefix, value) => prefix.len() + STAMP_LEN + value.len(),
            Self::Add(key, _) => key.len() + size_of::<i64>(),
            Self::Delete(key) => key.len(),
            Self::DeleteRange(range) => range.start.len() + range.end.len(),
        }
    }
}

fn check_note(note: &[u8]) -> Result<()> {
    at_most("bytes in a note", note.len(), RESTORE_NOTE_BYTES_MAX)
}

fn at_most(what: &'static str, have: usize, max: usize) -> Result<()> {
    if have <= max {
        return Ok(());
    }
    Err(
        Error::limit("the request is too large for this store; split it or make it smaller")
            .with("limit on", what)
            .with("asked", have)
            .with("most", max),
    )
}
