//! Unified diffs, in time that grows with the text and not with its square.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use similar::udiff::UnifiedHunkHeader;
use similar::{Algorithm, DiffOp, DiffTag, capture_diff, group_diff_ops};

mod words;

/// Lines around a change.
const CONTEXT_LINES: usize = 3;
/// Most pairs of lines to compare within one diff. What is beyond counts as replaced whole.
const PAIRS_MAX: usize = 64 << 20;

/// The difference between two texts as `diff -u` prints it; empty if there is none.
///
/// The result always turns `old` into `new`, but need not be the shortest that does: lines that
/// occur once in each text are matched first (patience diff), and where thousands of lines
/// between them differ they are shown as replaced whole.
#[must_use]
pub fn unified_diff(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    LineDiff::new(old, new).unified([old_name, new_name])
}

/// How the lines of two texts differ.
pub(crate) struct LineDiff<'a> {
    old: Vec<&'a str>,
    new: Vec<&'a str>,
    ops: Vec<DiffOp>,
}

impl<'a> LineDiff<'a> {
    pub(crate) fn new(old: &'a str, new: &'a str) -> Self {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let new: Vec<&str> = new.split_inclusive('\n').collect();
        let ops = Comparison::new(&old, &new).ops();
        Self { old, new, ops }
    }

    /// How many lines were added and removed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let changed = self.ops.iter().filter(|op| op.tag() != DiffTag::Equal);
        changed.fold((0, 0), |(added, removed), op| {
            let (old, new) = (op.old_range().len(), op.new_range().len());
            (added + new as u64, removed + old as u64)
        })
    }

    /// The difference as `diff -u` prints it.
    pub(crate) fn unified(&self, names: [&str; 2]) -> String {
        self.hunks(names, |text, op| write_op(text, op, &self.old, &self.new))
    }

    /// The difference by words, as `git diff --word-diff=porcelain` prints it: a line for each
    /// run of words, begun with `+`, `-` or a space, and `~` where a line of the text ends.
    pub(crate) fn by_words(&self, names: [&str; 2]) -> String {
        let mut pairs_left = PAIRS_MAX;
        self.hunks(names, |text, op| {
            let (old, new) = (&self.old[op.old_range()], &self.new[op.new_range()]);
            words::write_op(text, op.tag(), old, new, &mut pairs_left);
        })
    }

    fn hunks(&self, names: [&str; 2], mut write: impl FnMut(&mut String, &DiffOp)) -> String {
        let mut text = String::new();
        for (i, group) in group_diff_ops(self.ops.clone(), CONTEXT_LINES)
            .iter()
            .enumerate()
        {
            if i == 0 {
                write_name(&mut text, "---", names[0]);
                write_name(&mut text, "+++", names[1]);
            }
            writeln!(text, "{}", UnifiedHunkHeader::new(group)).expect("a string takes all text");
            for op in group {
                write(&mut text, op);
            }
        }
        text
    }
}

/// A name that could pass for lines of the diff is escaped.
fn write_name(text: &mut String, mark: &str, name: &str) {
    let written = if name.contains(char::is_control) {
        writeln!(text, "{mark} {}", name.escape_debug())
    } else {
        writeln!(text, "{mark} {name}")
    };
    written.expect("a string takes all text");
}

fn write_op(text: &mut String, op: &DiffOp, old: &[&str], new: &[&str]) {
    let (tag, before, after) = op.as_tag_tuple();
    if tag == DiffTag::Equal {
        return write_lines(text, ' ', &old[before]);
    }
    write_lines(text, '-', &old[before]);
    write_lines(text, '+', &new[after]);
}

fn write_lines(text: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        text.push(mark);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

struct Comparison<'a> {
    old: &'a [&'a str],
    new: &'a [&'a str],
    pairs_left: usize,
    ops: Vec<DiffOp>,
}

impl<'a> Comparison<'a> {
    fn new(old: &'a [&'a str], new: &'a [&'a str]) -> Self {
        Self {
            old,
            new,
            pairs_left: PAIRS_MAX,
            ops: Vec::new(),
        }
    }

    fn ops(mut self) -> Vec<DiffOp> {
        let (mut old_at, mut new_at) = (0, 0);
        let end = (self.old.len(), self.new.len());
        for (old, new) in anchors(self.old, self.new).into_iter().chain([end]) {
            self.between(old_at..old, new_at..new);
            if (old, new) != end {
                self.equal(old, new, 1);
            }
            (old_at, new_at) = (old + 1, new + 1);
        }
        self.ops
    }

    /// Compares what lies between two anchors.
    fn between(&mut self, mut old: Range<usize>, mut new: Range<usize>) {
        let same = |(a, b): &(&&str, &&str)| a == b;
        let prefix = self.old[old.clone()]
            .iter()
            .zip(&self.new[new.clone()])
            .take_while(same);
        let prefix = prefix.count();
        self.equal(old.start, new.start, prefix);
        (old.start, new.start) = (old.start + prefix, new.start + prefix);
        let backwards = self.old[old.clone()]
            .iter()
            .rev()
            .zip(self.new[new.clone()].iter().rev());
        let suffix = backwards.take_while(same).count();
        (old.end, new.end) = (old.end - suffix, new.end - suffix);
        self.changed(old.clone(), new.clone());
        self.equal(old.end, new.end, suffix);
    }

    fn changed(&mut self, old: Range<usize>, new: Range<usize>) {
        let pairs = (old.len() + new.len()).saturating_mul(old.len() + new.len());
        if old.is_empty() && new.is_empty() {
        } else if old.is_empty() || new.is_empty() || pairs > self.pairs_left {
            self.ops.extend(replaced(old, new));
        } else {
            self.pairs_left -= pairs;
            self.ops
                .extend(capture_diff(Algorithm::Myers, self.old, old, self.new, new));
        }
    }

    /// Adds equal lines, to the equal lines before if there are any.
    fn equal(&mut self, old_index: usize, new_index: usize, count: usize) {
        if count == 0 {
        } else if let Some(DiffOp::Equal { len, .. }) = self.ops.last_mut() {
            *len += count;
        } else {
            self.ops.push(DiffOp::Equal {
                old_index,
                new_index,
                len: count,
            });
        }
    }
}

fn replaced(old: Range<usize>, new: Range<usize>) -> Option<DiffOp> {
    let (old_index, old_len, new_index, new_len) = (old.start, old.len(), new.start, new.len());
    match (old_len, new_len) {
        (0, 0) => None,
        (0, _) => Some(DiffOp::Insert {
            old_index,
            new_index,
            new_len,
        }),
        (_, 0) => Some(DiffOp::Delete {
            old_index,
            old_len,
            new_index,
        }),
        _ => Some(DiffOp::Replace {
            old_index,
            old_len,
            new_index,
            new_len,
        }),
    }
}

/// Lines that occur exactly once in each text, the most of them that come in the same order.
fn anchors(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let (old_once, new_once) = (once(old), once(new));
    let mut pairs: Vec<(usize, usize)> = old_once
        .iter()
        .filter_map(|(line, at)| Some(((*at)?, (*new_once.get(line)?)?)))
        .collect();
    pairs.sort_unstable();
    longest_increasing(&pairs)
}

/// Where each line is, or `None` if it occurs more than once.
fn once<'a>(lines: &[&'a str]) -> HashMap<&'a str, Option<usize>> {
    let mut places = HashMap::with_capacity(lines.len());
    for (i, line) in lines.iter().enumerate() {
        places
            .entry(*line)
            .and_modify(|at| *at = None)
            .or_insert(Some(i));
    }
    places
}

/// The longest subsequence of pairs, sorted by their first half, whose second half increases:
/// patience sorting.
fn longest_increasing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut piles: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (i, pair) in pairs.iter().enumerate() {
        let pile = piles.partition_point(|&top| pairs[top].1 < pair.1);
        previous.push(pile.checked_sub(1).map(|left| piles[left]));
        if pile == piles.len() {
            piles.push(i);
        } else {
            piles[pile] = i;
        }
    }
    let mut longest = Vec::with_capacity(piles.len());
    let mut at = piles.last().copied();
    while let Some(i) = at {
        longest.push(pairs[i]);
        at = previous[i];
    }
    longest.reverse();
    longest
}
