//! Changes in memory that are not in the file yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use bytes::Bytes;
use nexus_kernel::{KeyRange, ScanDirection, Value};

use crate::ranges::Ranges;

/// What a row costs in memory besides its bytes.
const ROW_BYTES: usize = 96;

/// Most of the file that one row makes redb write anew: its leaf, and one that splits off.
const ROW_FILE_BYTES: u64 = 2 * 4096;

/// The last change of each key, over whatever lies below.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memtable {
    /// Values, and tombstones.
    rows: BTreeMap<Bytes, Option<Value>>,
    /// Keys that have no value unless `rows` has one.
    removed: Ranges,
    bytes: usize,
}

impl Memtable {
    /// The value of `key`, or none where it is removed; `None` when only what lies below
    /// knows.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&Value>> {
        match self.rows.get(key) {
            Some(row) => Some(row.as_ref()),
            None => self.removed.contains(key).then_some(None),
        }
    }

    pub(crate) fn set(&mut self, key: Bytes, value: Option<Value>) {
        self.bytes += row_bytes(&key, value.as_ref());
        let key_len = key.len();
        if let Some(before) = self.rows.insert(key, value) {
            self.bytes -= ROW_BYTES + key_len + value_len(before.as_ref());
        }
    }

    pub(crate) fn remove_range(&mut self, range: &KeyRange) {
        let bounds = range.start.clone()..range.end.clone();
        for (key, value) in self.rows.extract_if(bounds, |_, _| true) {
            self.bytes -= row_bytes(&key, value.as_ref());
        }
        self.bytes += self.removed.insert(range);
    }

    /// Takes over changes that came later.
    pub(crate) fn absorb(&mut self, newer: Self) {
        for range in newer.removed.iter() {
            self.remove_range(&range);
        }
        for (key, value) in newer.rows {
            self.set(key, value);
        }
    }

    pub(crate) fn range(&self, range: &KeyRange) -> Range<'_, Bytes, Option<Value>> {
        let bounds = (Bound::Included(&range.start), Bound::Excluded(&range.end));
        self.rows.range::<Bytes, _>(bounds)
    }

    /// A copy of as much of a range as the first `values` values of any merge with what lies
    /// below can depend on.
    pub(crate) fn part(&self, range: &KeyRange, direction: ScanDirection, values: usize) -> Self {
        let rows = self.range(range);
        let rows = match direction {
            ScanDirection::Forward => first_values(rows, values),
            ScanDirection::Backward => first_values(rows.rev(), values),
        };
        let mut part = Self {
            rows,
            ..Self::default()
        };
        for removed in self.removed.iter() {
            part.removed.insert(&removed);
        }
        part
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, Option<&Value>)> {
        self.rows.iter().map(|(key, value)| (key, value.as_ref()))
    }

    pub(crate) fn removed(&self) -> &Ranges {
        &self.removed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.removed.is_empty()
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// At most how much of the file has to be written for it.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.bytes as u64 + self.rows.len() as u64 * ROW_FILE_BYTES
    }
}

fn first_values<'a>(
    mut rows: impl Iterator<Item = (&'a Bytes, &'a Option<Value>)>,
    values: usize,
) -> BTreeMap<Bytes, Option<Value>> {
    let mut left = values;
    let mut first = Vec::new();
    while left > 0
        && let Some((key, value)) = rows.next()
    {
        left -= usize::from(value.is_some());
        first.push((key.clone(), value.clone()));
    }
    first.into_iter().collect()
}

fn row_bytes(key: &[u8], value: Option<&Value>) -> usize {
    ROW_BYTES + key.len() + value_len(value)
}

fn value_len(value: Option<&Value>) -> usize {
    value.map_or(0, |value| value.bytes.len())
}
