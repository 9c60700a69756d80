//! Three versions of a text made one, as diff3 does it.

use diffy::{ConflictStyle, MergeOptions};
use nexus_kernel::Result;

use crate::compute::compute;

/// Largest text that is merged line by line; a larger one that both sides changed is a conflict.
pub const MERGE_TEXT_BYTES_MAX: u64 = 4 << 20;

/// What became of a text that both sides changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// The changes do not touch.
    Clean(String),
    /// They do: a text with all three versions of such lines between markers.
    Marked(String),
}

/// Takes in what both sides changed of `base`; lines that both did are marked.
pub(super) async fn merge(base: String, ours: String, theirs: String) -> Result<Merged> {
    compute(move || merge_lines(&base, &ours, &theirs)).await
}

pub(super) fn merge_lines(base: &str, ours: &str, theirs: &str) -> Merged {
    let mut options = MergeOptions::new();
    options.set_conflict_style(ConflictStyle::Diff3);
    match options.merge(base, ours, theirs) {
        Ok(text) => Merged::Clean(text),
        Err(text) => Merged::Marked(text),
    }
}

/// A content as text, if it is UTF-8 without NUL.
pub(super) fn as_text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then(|| text.to_owned())
}
