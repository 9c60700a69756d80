//! Matching lines in a piece of a file.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use grep_matcher::{Match, Matcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use memchr::{memchr, memchr_iter, memrchr};
use nexus_kernel::{Error, Result};

use super::{GrepMatch, GrepQuery};

/// Most lines of context before or after a match.
pub const CONTEXT_LINES_MAX: usize = 100;
/// Where the texts of a match are cut.
pub const MATCH_TEXT_BYTES_MAX: usize = 16 << 10;
/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Most memory for a compiled pattern, and for each cache of a search with it.
const COMPILED_BYTES_MAX: usize = 10 << 20;
/// How much is found in one go.
const FOUND_MAX: usize = 1_000;
const FOUND_BYTES_MAX: usize = 4 << 20;

/// What to look for and what to show of it.
pub(super) struct Plan {
    matcher: RegexMatcher,
    pub(super) multi_line: bool,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) max_per_file: u64,
}

impl Plan {
    pub(super) fn new(query: &GrepQuery) -> Result<Self> {
        if query.before.max(query.after) > CONTEXT_LINES_MAX {
            return Err(Error::invalid(
                "too many lines of context; ask for fewer, or read the file",
            )
            .with("lines_max", CONTEXT_LINES_MAX));
        }
        Ok(Self {
            matcher: matcher(query)?,
            multi_line: query.multi_line,
            before: query.before,
            after: query.after,
            max_per_file: query.max_per_file.unwrap_or(u64::MAX),
        })
    }
}

fn matcher(query: &GrepQuery) -> Result<RegexMatcher> {
    if query.pattern.len() > PATTERN_BYTES_MAX {
        return Err(Error::limit("the pattern is too long; split the search")
            .with("bytes_max", PATTERN_BYTES_MAX));
    }
    RegexMatcherBuilder::new()
        .multi_line(true)
        .line_terminator((!query.multi_line).then_some(b'\n'))
        .case_insensitive(query.ignore_case)
        .fixed_strings(query.literal)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build(&query.pattern)
        .map_err(|why| refused(query, &why))
}

fn refused(query: &GrepQuery, why: &grep_regex::Error) -> Error {
    let message = match why.kind() {
        grep_regex::ErrorKind::NotAllowed(_) => {
            "the pattern contains a line end; ask for multi_line to match across lines"
        }
        _ => {
            "the pattern is not a regular expression the search can use; correct it, or ask for literal"
        }
    };
    let reason: String = why.to_string().chars().take(500).collect();
    Error::invalid(message)
        .with("pattern", crate::path::shown(&query.pattern))
        .with("reason", reason)
}

/// Lines of a file, and which of them are still to be searched.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) path: Arc<str>,
    /// With the lines of context around those to be searched.
    pub(super) bytes: Bytes,
    /// What is to be searched: whole lines.
    pub(super) rest: Range<usize>,
    /// The number of the line at the start of `rest`.
    pub(super) line: u64,
    /// How many more matches are wanted.
    pub(super) wanted: u64,
}

impl Piece {
    /// A whole file.
    pub(super) fn whole(path: Arc<str>, bytes: Bytes, wanted: u64) -> Self {
        let bytes = bytes.slice(byte_order_mark(&bytes)..);
        Self {
            path,
            rest: 0..bytes.len(),
            bytes,
            line: 1,
            wanted,
        }
    }

    pub(super) fn is_binary(&self) -> bool {
        memchr(0, &self.bytes).is_some()
    }
}

/// How many bytes of a UTF-8 byte order mark a text begins with.
pub(super) fn byte_order_mark(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    }
}

/// Pieces to search.
pub(super) type Batch = VecDeque<Piece>;

/// A bounded number of matches, and the pieces that are left if it was reached.
pub(super) struct Found {
    pub(super) matches: Vec<GrepMatch>,
    pub(super) rest: Batch,
}

impl Plan {
    /// Searches pieces in order until enough is found.
    pub(super) fn search(&self, mut batch: Batch) -> Result<Found> {
        let mut matches = Vec::new();
        let mut bytes = 0;
        while let Some(piece) = batch.front_mut() {
            if matches.len() >= FOUND_MAX || bytes >= FOUND_BYTES_MAX {
                break;
            }
            match self.next_match(piece)? {
                Some(found) => {
                    bytes += weight(&found);
                    matches.push(found);
                }
                None => drop(batch.pop_front()),
            }
        }
        Ok(Found {
            matches,
            rest: batch,
        })
    }

    /// The next match of a piece, which then continues after its lines.
    fn next_match(&self, piece: &mut Piece) -> Result<Option<GrepMatch>> {
        if piece.wanted == 0 || piece.rest.is_empty() {
            return Ok(None);
        }
        let text = &piece.bytes[..piece.rest.end];
        let found = self.matcher.find_at(text, piece.rest.start);
        let found = found
            .map_err(|why| Error::invalid("the pattern cannot be searched for").because(why))?;
        // An empty match behind the last line end is on no line.
        let Some(found) =
            found.filter(|found| found.start() < text.len() || !text.ends_with(b"\n"))
        else {
            return Ok(None);
        };
        let lines = lines_around(text, found);
        let skipped = memchr_iter(b'\n', &text[piece.rest.start..lines.start]).count() as u64;
        let line = piece.line + skipped;
        let shown = self.show(piece, line, &lines, found);
        piece.line = line + memchr_iter(b'\n', &text[lines.clone()]).count() as u64;
        piece.rest.start = lines.end;
        piece.wanted -= 1;
        Ok(Some(shown))
    }

    fn show(&self, piece: &Piece, line: u64, lines: &Range<usize>, found: Match) -> GrepMatch {
        let mut cutter = Cutter { truncated: false };
        let bytes = &piece.bytes;
        GrepMatch {
            path: piece.path.to_string(),
            line,
            content: cutter.line(&bytes[lines.clone()]),
            matched: cutter.text(&bytes[found.start()..found.end()]),
            column: (found.start() - lines.start) as u64 + 1,
            before: lines_before(&bytes[..lines.start], self.before)
                .map(|l| cutter.line(l))
                .collect(),
            after: lines_after(&bytes[lines.end..], self.after)
                .map(|l| cutter.line(l))
                .collect(),
            truncated: cutter.truncated,
        }
    }
}

fn weight(found: &GrepMatch) -> usize {
    let context = found
        .before
        .iter()
        .chain(&found.after)
        .map(String::len)
        .sum::<usize>();
    found.path.len() + found.content.len() + found.matched.len() + context
}

/// The lines a match is on, the end of the last one included.
fn lines_around(text: &[u8], found: Match) -> Range<usize> {
    let start = line_start(text, found.start());
    let last = if found.is_empty() {
        found.end()
    } else {
        found.end() - 1
    };
    start..memchr(b'\n', &text[last..]).map_or(text.len(), |at| last + at + 1)
}

fn line_start(text: &[u8], at: usize) -> usize {
    memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1)
}

/// Where the last `count` lines of a text that ends with a line begin.
pub(super) fn start_of_last(text: &[u8], count: usize) -> usize {
    (0..count).fold(text.len(), |at, _| line_start(text, at.saturating_sub(1)))
}

fn lines_before(text: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    text[start_of_last(text, count)..].split_inclusive(|byte| *byte == b'\n')
}

fn lines_after(text: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').take(count)
}

struct Cutter {
    truncated: bool,
}

impl Cutter {
    fn line(&mut self, line: &[u8]) -> String {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        self.text(content.strip_suffix(b"\r").unwrap_or(content))
    }

    fn text(&mut self, text: &[u8]) -> String {
        if text.len() <= MATCH_TEXT_BYTES_MAX {
            return String::from_utf8_lossy(text).into_owned();
        }
        self.truncated = true;
        let starts_character = |at: &usize| text[*at] & 0xC0 != 0x80;
        let ends = (MATCH_TEXT_BYTES_MAX - 3..=MATCH_TEXT_BYTES_MAX).rev();
        let end = ends
            .clone()
            .find(starts_character)
            .unwrap_or(MATCH_TEXT_BYTES_MAX);
        String::from_utf8_lossy(&text[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests;
