//! Where an edit's old text stands.

use std::ops::Range;

use nexus_kernel::{Error, Result};

use super::normal::{Normal, normal_quote};
use super::work::{Work, cost};
use super::{MATCHES_MAX, Strategy, TOLERANT_TEXT_BYTES_MAX, fuzzy};

/// Part of a text that matches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) range: Range<usize>,
    /// The line it begins on, from 1.
    pub(super) line: u64,
    pub(super) similarity: f64,
}

/// All places that the first successful strategy found.
pub(super) struct Candidates {
    pub(super) strategy: Strategy,
    /// In order, none overlapping another.
    pub(super) places: Vec<Place>,
    /// If there are none, the most similar one.
    pub(super) nearest: Option<Place>,
}

pub(super) fn find(
    text: &str,
    old: &str,
    fuzzy_threshold: f64,
    work: &mut Work,
) -> Result<Candidates> {
    let exact = exact(text, old)?;
    if !exact.is_empty() || old.trim_ascii().is_empty() {
        return Ok(found(Strategy::Exact, exact));
    }
    if text.len() > TOLERANT_TEXT_BYTES_MAX {
        return Err(Error::limit(
            "nothing matches exactly, and the text is too large to look for anything else; quote it exactly",
        )
        .with("bytes", text.len())
        .with("bytes_max", TOLERANT_TEXT_BYTES_MAX));
    }
    work.spend(text.len(), cost::NORMAL)?;
    let normal = Normal::new(text);
    let quote = normal_quote(old);
    let tolerant = places(text, occurrences(&normal.text, &quote)?, |range| {
        origin(text, &normal, range)
    });
    if !tolerant.is_empty() || fuzzy_threshold >= 1.0 {
        return Ok(found(Strategy::Whitespace, tolerant));
    }
    similar(text, &normal, &quote, fuzzy_threshold, work)
}

fn exact(text: &str, old: &str) -> Result<Vec<Place>> {
    Ok(places(text, occurrences(text, old)?, Range::clone))
}

fn similar(
    text: &str,
    normal: &Normal,
    quote: &str,
    threshold: f64,
    work: &mut Work,
) -> Result<Candidates> {
    let mut windows = fuzzy::best(&normal.text, quote, threshold, work)?;
    windows.sort_by_key(|window| window.range.start);
    let place = |window: &fuzzy::Window| {
        let range = origin(text, normal, &window.range);
        let line = line_of(text, range.start, 1);
        Place {
            range,
            line,
            similarity: window.similarity,
        }
    };
    if windows
        .first()
        .is_some_and(|window| window.similarity < threshold)
    {
        let nearest = windows.first().map(place);
        return Ok(Candidates {
            strategy: Strategy::None,
            places: Vec::new(),
            nearest,
        });
    }
    Ok(found(Strategy::Fuzzy, windows.iter().map(place).collect()))
}

fn found(strategy: Strategy, places: Vec<Place>) -> Candidates {
    let strategy = if places.is_empty() {
        Strategy::None
    } else {
        strategy
    };
    Candidates {
        strategy,
        places,
        nearest: None,
    }
}

fn occurrences(text: &str, old: &str) -> Result<Vec<Range<usize>>> {
    let ranges: Vec<_> = text
        .match_indices(old)
        .take(MATCHES_MAX + 1)
        .map(|(start, _)| start..start + old.len())
        .collect();
    if ranges.len() <= MATCHES_MAX {
        return Ok(ranges);
    }
    Err(
        Error::limit("the old text occurs too often; quote more of the surroundings")
            .with("matches_max", MATCHES_MAX),
    )
}

/// Ranges in ascending order, with the lines of `text` they begin on.
fn places(
    text: &str,
    ranges: Vec<Range<usize>>,
    origin: impl Fn(&Range<usize>) -> Range<usize>,
) -> Vec<Place> {
    let (mut line, mut at) = (1, 0);
    let place = |range: Range<usize>| {
        let range = origin(&range);
        line = line_of(&text[at..], range.start - at, line);
        at = range.start;
        Place {
            range,
            line,
            similarity: 1.0,
        }
    };
    ranges.into_iter().map(place).collect()
}

/// Where a range of the normal text stands in the text, the indentation before it included.
fn origin(text: &str, normal: &Normal, range: &Range<usize>) -> Range<usize> {
    let mut origin = normal.origin(range);
    let before = text[..origin.start].trim_end_matches([' ', '\t']);
    if before.is_empty() || before.ends_with('\n') {
        origin.start = before.len();
    }
    origin
}

/// The line of the byte at `offset` in a text that begins on line `first`.
pub(super) fn line_of(text: &str, offset: usize, first: u64) -> u64 {
    let ends = text.as_bytes()[..offset]
        .iter()
        .filter(|&&byte| byte == b'\n');
    first + ends.count() as u64
}
