//! Parts of a text that resemble a quote.
//!
//! Similarity is 1 - (Levenshtein distance / longer length), over bytes. Distances come from
//! Myers' bit-parallel algorithm in Hyyrö's form ("A bit-vector algorithm for computing
//! Levenshtein and Damerau edit distances", 2003): one pass over the text finds the distance of
//! the quote from the best part that ends at each byte, 64 bytes of the quote at a time.

use std::ops::Range;

use nexus_kernel::{Error, Result};

use super::work::{Work, cost};

/// Longest quote.
const QUOTE_BYTES_MAX: usize = 64 << 10;
/// Most places to look at closely.
const WINDOWS_MAX: usize = 1_000;
/// A place less similar than this is not worth naming.
const WORTH_NAMING: f64 = 0.5;

/// A part of the text and its similarity to the quote.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) range: Range<usize>,
    pub(super) similarity: f64,
    /// How many lines more or fewer it has than the quote.
    lines_off: usize,
}

/// The parts, none overlapping another, that are at least as similar as `threshold`; if there
/// are none, the most similar one if it is worth naming.
///
/// A part ends where a line ends unless the quote's first or last word stands there.
pub(super) fn best(
    text: &str,
    quote: &str,
    threshold: f64,
    work: &mut Work,
) -> Result<Vec<Window>> {
    let mut search = Search::new(text, quote, work)?;
    let ends = search.ends()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small, positive"
    )]
    let distance_max = (quote.len() as f64 * (1.0 - threshold) / threshold.max(0.01)) as usize;
    let near: Vec<End> = ends
        .iter()
        .copied()
        .filter(|end| end.distance <= distance_max)
        .collect();
    if near.len() > WINDOWS_MAX {
        return Err(Error::limit(
            "too many places are similar; quote more of the surroundings or raise the threshold",
        )
        .with("places", near.len())
        .with("places_max", WINDOWS_MAX));
    }
    let mut windows = search.windows(&near)?;
    windows.retain(|window| window.similarity >= threshold);
    if !windows.is_empty() {
        return Ok(apart(windows));
    }
    let closest = ends.into_iter().min_by_key(|end| end.distance);
    let mut windows = search.windows(closest.as_slice())?;
    windows.retain(|window| (WORTH_NAMING..threshold).contains(&window.similarity));
    Ok(windows)
}

/// The best of those that overlap.
fn apart(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort_by(|a, b| {
        let order = b
            .similarity
            .total_cmp(&a.similarity)
            .then(a.lines_off.cmp(&b.lines_off));
        order.then(a.range.start.cmp(&b.range.start))
    });
    let mut chosen: Vec<Window> = Vec::new();
    for window in windows {
        let overlaps = |other: &Window| {
            window.range.start < other.range.end && other.range.start < window.range.end
        };
        if !chosen.iter().any(overlaps) {
            chosen.push(window);
        }
    }
    chosen
}

/// Where a part that resembles the quote may end.
#[derive(Clone, Copy)]
struct End {
    at: usize,
    distance: usize,
}

struct Search<'a> {
    text: &'a [u8],
    quote: &'a [u8],
    forward: Automaton,
    backward: Automaton,
    work: &'a mut Work,
}

impl<'a> Search<'a> {
    fn new(text: &'a str, quote: &'a str, work: &'a mut Work) -> Result<Self> {
        if quote.len() > QUOTE_BYTES_MAX {
            return Err(Error::limit(
                "nothing matches exactly, and the old text is too long to look for something similar; quote less of it",
            )
            .with("bytes", quote.len())
            .with("bytes_max", QUOTE_BYTES_MAX));
        }
        let quote = quote.as_bytes();
        Ok(Self {
            text: text.as_bytes(),
            quote,
            forward: Automaton::new(quote.iter()),
            backward: Automaton::new(quote.iter().rev()),
            work,
        })
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.work
            .spend(bytes.saturating_mul(self.forward.blocks.len()), cost::FUZZY)
    }

    /// The best end in each line.
    fn ends(&mut self) -> Result<Vec<End>> {
        self.spend(self.text.len())?;
        let with_line_end = self.quote.ends_with(b"\n");
        self.forward.reset();
        let mut ends = Vec::new();
        let mut best: Option<End> = None;
        for (i, &byte) in self.text.iter().enumerate() {
            let distance = self.forward.step(byte, 0);
            if (byte != b'\n' || with_line_end) && best.is_none_or(|end| distance <= end.distance) {
                best = Some(End {
                    at: i + 1,
                    distance,
                });
            }
            if byte == b'\n' {
                ends.extend(best.take());
            }
        }
        Ok(ends)
    }

    fn windows(&mut self, ends: &[End]) -> Result<Vec<Window>> {
        ends.iter().map(|&end| self.window(end)).collect()
    }

    fn window(&mut self, end: End) -> Result<Window> {
        let start = self.start(end)?;
        let range = self.snapped(start..end.at);
        let distance = self.distance(range.clone())?;
        let longer = range.len().max(self.quote.len());
        Ok(Window {
            similarity: 1.0 - distance as f64 / longer as f64,
            lines_off: self.lines_off(&range),
            range,
        })
    }

    /// Where the best part that ends there begins: of several, the one with the most fitting
    /// number of lines, and of those the longest.
    fn start(&mut self, end: End) -> Result<usize> {
        let earliest = end.at.saturating_sub(self.quote.len() + end.distance);
        self.spend(end.at - earliest)?;
        let with_line_end = self.quote.starts_with(b"\n");
        let lines_wanted = line_ends(self.quote);
        self.backward.reset();
        let mut lines = 0_usize;
        let mut best = (usize::MAX, usize::MAX, end.at);
        for at in (earliest..end.at).rev() {
            let byte = self.text[at];
            let distance = self.backward.step(byte, 1);
            lines += usize::from(byte == b'\n');
            let rank = (distance, lines.abs_diff(lines_wanted));
            if (byte != b'\n' || with_line_end) && rank <= (best.0, best.1) {
                best = (rank.0, rank.1, at);
            }
        }
        Ok(best.2)
    }

    fn distance(&mut self, range: Range<usize>) -> Result<usize> {
        self.spend(range.len())?;
        self.forward.reset();
        let mut distance = self.quote.len();
        for at in range {
            distance = self.forward.step(self.text[at], 1);
        }
        Ok(distance)
    }

    fn lines_off(&self, range: &Range<usize>) -> usize {
        line_ends(&self.text[range.clone()]).abs_diff(line_ends(self.quote))
    }

    /// The range up to the ends of its lines, except where the quote's own first or last word
    /// stands at the edge: there the quote ended within the line.
    fn snapped(&self, range: Range<usize>) -> Range<usize> {
        let (before, after) = (&self.text[..range.start], &self.text[range.end..]);
        let mut snapped = range.clone();
        if !begins_with_its_word(self.quote, &self.text[range.start..], before) {
            snapped.start = before
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
        }
        if !ends_with_its_word(self.quote, &self.text[..range.end], after) {
            let line_end = after
                .iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(after.len());
            let taken = line_end + usize::from(self.quote.ends_with(b"\n"));
            snapped.end = (range.end + taken).min(self.text.len());
        }
        snapped
    }
}

fn line_ends(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

fn begins_with_its_word(quote: &[u8], text: &[u8], before: &[u8]) -> bool {
    let len = quote.iter().take_while(|byte| is_wordy(**byte)).count();
    let apart = len == 0 || !before.last().is_some_and(|byte| is_wordy(*byte));
    apart && text.starts_with(&quote[..len.max(1)])
}

fn ends_with_its_word(quote: &[u8], text: &[u8], after: &[u8]) -> bool {
    let len = quote
        .iter()
        .rev()
        .take_while(|byte| is_wordy(**byte))
        .count();
    let apart = len == 0 || !after.first().is_some_and(|byte| is_wordy(*byte));
    apart && text.ends_with(&quote[quote.len() - len.max(1)..])
}

/// Bytes beyond ASCII count as parts of words, so that no character is cut.
fn is_wordy(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Compares one quote with texts, byte by byte.
struct Automaton {
    /// For each 64 bytes of the quote and each byte value, where the value stands.
    positions: Vec<[u64; 256]>,
    blocks: Vec<Block>,
    /// The bit of the quote's last byte in its block.
    last: u64,
    len: usize,
    distance: usize,
}

/// Differences between neighbours in a column of the distance matrix: bits for +1 and -1.
#[derive(Clone, Copy)]
struct Block {
    plus: u64,
    minus: u64,
}

impl Automaton {
    fn new<'a>(quote: impl ExactSizeIterator<Item = &'a u8>) -> Self {
        let len = quote.len();
        let mut positions = vec![[0; 256]; len.div_ceil(64)];
        for (i, &byte) in quote.enumerate() {
            positions[i / 64][usize::from(byte)] |= 1 << (i % 64);
        }
        let blocks = vec![Block { plus: 0, minus: 0 }; positions.len()];
        let last = 1 << (len.wrapping_sub(1) % 64);
        Self {
            positions,
            blocks,
            last,
            len,
            distance: len,
        }
    }

    fn reset(&mut self) {
        self.blocks.fill(Block {
            plus: u64::MAX,
            minus: 0,
        });
        self.distance = self.len;
    }

    /// Takes the next byte of the text and returns the distance so far. `first` is what skipping
    /// this byte of the text before the quote begins costs: 0 to begin anywhere, else 1.
    fn step(&mut self, byte: u8, first: i8) -> usize {
        let mut carry = first;
        let count = self.blocks.len();
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let high = if i + 1 == count { self.last } else { 1 << 63 };
            carry = block.step(self.positions[i][usize::from(byte)], carry, high);
        }
        self.distance = self.distance.saturating_add_signed(carry.into());
        self.distance
    }
}

impl Block {
    /// One column. `carry` is the difference along the row above the block; returns that along
    /// the row of the bit `high`.
    fn step(&mut self, equal: u64, carry: i8, high: u64) -> i8 {
        let vertical = equal | self.minus;
        let equal = equal | u64::from(carry < 0);
        let horizontal = ((equal & self.plus).wrapping_add(self.plus) ^ self.plus) | equal;
        let plus = self.minus | !(horizontal | self.plus);
        let minus = self.plus & horizontal;
        let out = i8::from(plus & high != 0) - i8::from(minus & high != 0);
        let plus = (plus << 1) | u64::from(carry > 0);
        let minus = (minus << 1) | u64::from(carry < 0);
        self.plus = minus | !(vertical | plus);
        self.minus = plus & vertical;
        out
    }
}

#[cfg(test)]
mod tests;
