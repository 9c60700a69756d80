//! Files that have to be undone together, because a name has passed from one to the other.

use std::collections::BTreeMap;

/// Disjoint sets of inodes.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<u64, u64>);

impl Groups {
    pub(super) fn join(&mut self, one: u64, other: u64) {
        let (one, other) = (self.of(one), self.of(other));
        if one != other {
            self.0.insert(one.max(other), one.min(other));
        }
    }

    /// The group of an inode, named by its least one.
    pub(super) fn of(&self, ino: u64) -> u64 {
        let mut here = ino;
        while let Some(above) = self.0.get(&here) {
            here = *above;
        }
        here
    }
}
