//! Ranges of a file, taken together.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges of a file; those that touch are one.
#[derive(Default)]
pub(super) struct Covered {
    /// Ends by starts.
    ranges: BTreeMap<u64, u64>,
}

impl Covered {
    pub(super) fn add(&mut self, Range { mut start, mut end }: Range<u64>) {
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back()
            && to >= start
        {
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
    }

    /// What of a range is not covered.
    pub(super) fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        let before = self.ranges.range(..=at).next_back();
        let first = before.map_or(at, |(from, _)| *from);
        for (&from, &to) in self.ranges.range(first..range.end) {
            if from > at {
                gaps.push(at..from);
            }
            at = at.max(to);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }
}
