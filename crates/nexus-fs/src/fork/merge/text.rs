//! Three versions of a text made one, as diff3 does it.

use std::collections::HashMap;

use diffy::{ConflictStyle, MergeOptions};
use nexus_kernel::Result;

use crate::compute::compute;

/// Largest text that is merged line by line; a larger one that both sides changed is a conflict.
pub const MERGE_TEXT_BYTES_MAX: u64 = 4 << 20;

/// Most steps that a text's lines may take to merge, for each side: the lines of both versions, times
/// those that differ. Two that differ in more are a conflict.
pub const MERGE_LINE_STEPS_MAX: u64 = 200_000_000;

/// What became of a text that both sides changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// The changes do not touch.
    Clean(String),
    /// They do: a text with all three versions of such lines between markers.
    Marked(String),
}

/// Takes in what both sides changed of `base`; lines that both did are marked. None if the texts
/// differ in too much.
pub(super) async fn merge(base: String, ours: String, theirs: String) -> Result<Option<Merged>> {
    compute(move || merge_lines([&base, &ours, &theirs], MERGE_LINE_STEPS_MAX)).await
}

pub(super) fn merge_lines([base, ours, theirs]: [&str; 3], steps_max: u64) -> Option<Merged> {
    let mut sides = [ours, theirs].into_iter();
    if !sides.all(|side| is_comparable(base, side, steps_max)) {
        return None;
    }
    let mut options = MergeOptions::new();
    options.set_conflict_style(ConflictStyle::Diff3);
    Some(match options.merge(base, ours, theirs) {
        Ok(text) => Merged::Clean(text),
        Err(text) => Merged::Marked(text),
    })
}

/// Whether two texts are compared in so many steps. It takes as many as they have lines, times
/// those that differ (Myers, "An O(ND) Difference Algorithm and Its Variations", 1986). How many
/// differ is found by the same algorithm without its path, and not looked for any further than
/// there are steps.
fn is_comparable(old: &str, new: &str, steps_max: u64) -> bool {
    let mut numbers = HashMap::new();
    let [old, new] = [old, new].map(|text| numbered(text, &mut numbers));
    let lines = old.len() + new.len();
    let steps_max = usize::try_from(steps_max).unwrap_or(usize::MAX);
    let differ_max = lines.min(steps_max / lines.max(1));
    // The furthest line of the old text that is reached on each diagonal; in the middle of these
    // is the one on which both texts have come equally far.
    let middle = differ_max + 1;
    let mut reached = vec![0; 2 * middle + 1];
    for differ in 0..=differ_max {
        for diagonal in (middle - differ..=middle + differ).step_by(2) {
            let (below, above) = (reached[diagonal - 1], reached[diagonal + 1]);
            let first = diagonal == middle - differ;
            let last = diagonal == middle + differ;
            let mut x = match first || !last && below < above {
                true => above,
                false => below + 1,
            };
            let mut y = x + middle - diagonal;
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            if x >= old.len() && y >= new.len() {
                return true;
            }
            reached[diagonal] = x;
        }
    }
    false
}

/// A number for each line, the same for the same.
fn numbered<'t>(text: &'t str, numbers: &mut HashMap<&'t str, usize>) -> Vec<usize> {
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| {
            let next = numbers.len();
            *numbers.entry(line).or_insert(next)
        })
        .collect()
}

/// A content as text, if it is UTF-8 without NUL.
pub(super) fn as_text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then(|| text.to_owned())
}
