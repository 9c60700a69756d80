//! What a call may carry, checked the same way by every driver.

use crate::{Error, Guard, KeyRange, Limits, Op, Result, STAMP_LEN, Scan, Txn};

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
        if scan.limit == 0 {
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
        let mut bytes = 0;
        for guard in &txn.guards {
            bytes += self.check_guard(guard)?;
        }
        for op in &txn.ops {
            bytes += self.check_op(op)?;
        }
        at_most("bytes in one transaction", bytes, self.txn_bytes_max)?;
        Ok(bytes)
    }

    fn check_guard(&self, guard: &Guard) -> Result<usize> {
        match guard {
            Guard::Absent(key) | Guard::Present(key) | Guard::RevisionIs(key, _) => {
                self.check_key(key)?;
                Ok(key.len())
            }
            Guard::RangeEmpty(range) => {
                self.check_range(range)?;
                Ok(range.start.len() + range.end.len())
            }
        }
    }

    fn check_op(&self, op: &Op) -> Result<usize> {
        match op {
            Op::Put(key, value) | Op::Max(key, value) => self.check_row(key.len(), value.len()),
            Op::PutStamped(prefix, value) => self.check_row(prefix.len() + STAMP_LEN, value.len()),
            Op::Add(key, _) => self.check_row(key.len(), size_of::<i64>()),
            Op::Delete(key) => self.check_row(key.len(), 0),
            Op::DeleteRange(range) => {
                self.check_range(range)?;
                Ok(range.start.len() + range.end.len())
            }
        }
    }

    fn check_row(&self, key: usize, value: usize) -> Result<usize> {
        at_most("key bytes", key, self.key_bytes_max)?;
        at_most("value bytes", value, self.value_bytes_max)?;
        Ok(key + value)
    }
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
