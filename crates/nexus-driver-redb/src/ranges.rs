//! A set of keys that is made of ranges.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use nexus_kernel::KeyRange;

/// Ranges that neither overlap nor touch: ends by starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(BTreeMap<Bytes, Bytes>);

impl Ranges {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let up_to_key = (Bound::Unbounded, Bound::Included(key));
        let nearest = self.0.range::<[u8], _>(up_to_key).next_back();
        nearest.is_some_and(|(_, end)| key < &end[..])
    }

    /// Adds the keys of `range`; returns how many bytes the set has become larger by.
    pub(crate) fn insert(&mut self, range: &KeyRange) -> usize {
        if range.start >= range.end {
            return 0;
        }
        let mut added = range.clone();
        while let Some((start, end)) = self.neighbour(&added) {
            self.0.remove(&start);
            added.start = added.start.min(start);
            added.end = added.end.max(end);
        }
        self.0.insert(added.start, added.end);
        range.start.len() + range.end.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = KeyRange> {
        self.0.iter().map(|(start, end)| KeyRange {
            start: start.clone(),
            end: end.clone(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A range that overlaps or touches `range`.
    fn neighbour(&self, range: &KeyRange) -> Option<(Bytes, Bytes)> {
        let nearest = self.0.range::<Bytes, _>(..=&range.end).next_back();
        let (start, end) = nearest.filter(|(_, end)| **end >= range.start)?;
        Some((start.clone(), end.clone()))
    }
}
