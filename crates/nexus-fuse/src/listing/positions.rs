//! Where a reader of a directory has been.

use std::collections::VecDeque;

/// Offsets of `.` and `..`, before those of names.
pub(crate) const DOTS: u64 = 2;
/// So many of the last names are known exactly.
const RECENT_MAX: usize = 4096;
/// Of those before, every so many-th.
const STRIDE: u64 = 1024;

/// Which name an offset stands behind. Offsets count the names that were told; so that one
/// can go on at any of them, names are remembered, the last ones all.
#[derive(Default)]
pub(crate) struct Positions {
    /// How many names have been told.
    told: u64,
    recent: VecDeque<String>,
    /// The names at multiples of [`STRIDE`].
    marks: Vec<String>,
}

impl Positions {
    /// The offset of the next name.
    pub(crate) fn next_offset(&self) -> u64 {
        DOTS + self.told + 1
    }

    pub(crate) fn push(&mut self, name: String) {
        self.told += 1;
        if self.told.is_multiple_of(STRIDE) {
            self.marks.push(name.clone());
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(name);
    }

    /// Goes back to an offset. The nearest name known at or before it, and how many names lie
    /// between the two.
    pub(crate) fn go_to(&mut self, offset: u64) -> (Option<String>, u64) {
        let wanted = offset.saturating_sub(DOTS).min(self.told);
        let forgotten = self.told - self.recent.len() as u64;
        if wanted > forgotten {
            self.recent.truncate((wanted - forgotten) as usize);
            self.told = wanted;
            self.marks.truncate((wanted / STRIDE) as usize);
            return (self.recent.back().cloned(), 0);
        }
        self.recent.clear();
        self.marks.truncate((wanted / STRIDE) as usize);
        self.told = self.marks.len() as u64 * STRIDE;
        (self.marks.last().cloned(), wanted - self.told)
    }
}

#[cfg(test)]
mod tests;
