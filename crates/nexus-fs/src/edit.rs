//! Search and replace in a text, as people and language models quote it: exactly, but for
//! whitespace, or roughly.
//!
//! Nothing here does I/O. Each edit applies to the result of the one before; all apply or none.

mod diff;
mod fuzzy;
mod normal;
mod place;
mod refit;
mod work;

use nexus_kernel::{Error, Result};

use place::{Candidates, Place, line_of};
use refit::{LineEnds, refit};
use work::{WORK_MAX, Work, cost};

pub(crate) use diff::LineDiff;
pub use diff::unified_diff;

/// Most edits in one call.
pub const EDITS_MAX: usize = 1_000;
/// Largest text, before, between and after edits.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Largest text in which anything but an exact match is looked for.
pub const TOLERANT_TEXT_BYTES_MAX: usize = 4 << 20;
/// Most matches of one edit.
pub const MATCHES_MAX: usize = 1_000_000;
/// How many of several places a match names.
const LINES_MAX: usize = 20;

/// Replaces one text with another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// What to look for; not empty.
    pub old: String,
    /// What to put there.
    pub new: String,
    /// Of several matches, take the one nearest to this line (from 1).
    pub hint_line: Option<u64>,
    /// Replace every occurrence. Says nothing of fuzzy matches: a guess is made once.
    pub all: bool,
}

/// How a match was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Byte for byte.
    Exact,
    /// Equal once indentation, trailing blanks, inner runs of blanks and line ends are.
    Whitespace,
    /// The most similar lines, at least as similar as the threshold.
    Fuzzy,
    /// Not found.
    None,
}

impl Strategy {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Whitespace => "whitespace",
            Self::Fuzzy => "fuzzy",
            Self::None => "none",
        }
    }
}

/// What one edit matched.
#[derive(Clone, Debug, PartialEq)]
pub struct EditMatch {
    /// Which edit, from 0.
    pub edit_index: usize,
    /// How it was found; [`Strategy::None`] if it was not.
    pub strategy: Strategy,
    /// Of the old text and the text found, 0 to 1, whitespace aside. If nothing was found, of
    /// the most similar place, if there is one worth naming.
    pub similarity: f64,
    /// First line of the (first) place, from 1, in the text as the edits before left it; 0 if
    /// there is none.
    pub line_start: u64,
    /// Last line of it.
    pub line_end: u64,
    /// What stands there.
    pub original_text: String,
    /// How many places match.
    pub match_count: usize,
    /// The first lines of the first 20 of them.
    pub lines: Vec<u64>,
    /// Whether the edit took effect on the text.
    pub applied: bool,
}

impl EditMatch {
    /// Why the edit was not applied and what to do about it; none if it was.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let index = self.edit_index;
        if self.applied {
            None
        } else if self.match_count > 0 {
            Some(format!(
                "edit {index} matches {} places, at lines {:?}; quote more of the surroundings, \
                 give a line hint, or ask for all of them",
                self.match_count, self.lines,
            ))
        } else if self.line_start > 0 {
            Some(format!(
                "edit {index} matches nothing; most similar are lines {} to {} ({:.0} %); read \
                 the file again and quote it as it is, or lower the threshold",
                self.line_start,
                self.line_end,
                self.similarity * 100.0,
            ))
        } else {
            Some(format!(
                "edit {index} matches nothing; read the file again and quote it as it is"
            ))
        }
    }
}

/// How a list of edits went.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The text with every edit applied; none if one of them had no place, or no single one.
    pub text: Option<String>,
    /// One for each edit, up to the first that failed.
    pub matches: Vec<EditMatch>,
}

impl Attempt {
    /// Why there is no text, and what to do about it.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.matches.last().and_then(EditMatch::problem)
    }
}

/// Applies `edits` in order to `text`. For each, the first strategy that finds a place counts:
/// exact, whitespace, and if `fuzzy_threshold` is below 1, fuzzy.
///
/// Works for up to a few seconds: call it where computing for long does no harm.
///
/// # Errors
///
/// `InvalidArgument` for an empty `old` or a threshold outside of 0 to 1; `LimitExceeded` for
/// too many edits or matches, too large a text, or too much work. An edit that matches nothing
/// is no error but an [`Attempt`] without a text.
pub fn apply(text: &str, edits: &[Edit], fuzzy_threshold: f64) -> Result<Attempt> {
    check(text, edits, fuzzy_threshold)?;
    apply_within(Work::up_to(WORK_MAX), text, edits, fuzzy_threshold)
}

fn apply_within(mut work: Work, text: &str, edits: &[Edit], threshold: f64) -> Result<Attempt> {
    let mut text = text.to_owned();
    let mut matches = Vec::with_capacity(edits.len());
    for (index, edit) in edits.iter().enumerate() {
        let named = |error: Error| error.with("edit_index", index);
        work.spend(text.len(), cost::EXACT).map_err(named)?;
        let candidates = place::find(&text, &edit.old, threshold, &mut work).map_err(named)?;
        let chosen = choose(&candidates, edit);
        matches.push(describe(&text, index, &candidates, chosen));
        if chosen.is_empty() {
            return Ok(Attempt {
                text: None,
                matches,
            });
        }
        text = replace(&text, edit, candidates.strategy, chosen).map_err(named)?;
    }
    Ok(Attempt {
        text: Some(text),
        matches,
    })
}

fn check(text: &str, edits: &[Edit], fuzzy_threshold: f64) -> Result<()> {
    if edits.len() > EDITS_MAX {
        return Err(Error::limit("too many edits; send them in several calls")
            .with("edits", edits.len())
            .with("edits_max", EDITS_MAX));
    }
    if let Some(index) = edits.iter().position(|edit| edit.old.is_empty()) {
        return Err(
            Error::invalid("the old text of an edit is empty; quote what to replace")
                .with("edit_index", index),
        );
    }
    if !(0.0..=1.0).contains(&fuzzy_threshold) {
        return Err(
            Error::invalid("the fuzzy threshold is between 0 and 1; 0.85 is usual")
                .with("fuzzy_threshold", fuzzy_threshold),
        );
    }
    check_size(text.len())
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(
        Error::limit("the text is too large to edit in place; write the file instead")
            .with("bytes", bytes)
            .with("bytes_max", TEXT_BYTES_MAX),
    )
}

/// The places to replace: none if there are none, or several and no way to choose.
fn choose<'a>(candidates: &'a Candidates, edit: &Edit) -> &'a [Place] {
    let places = candidates.places.as_slice();
    let fuzzy = candidates.strategy == Strategy::Fuzzy;
    let index = match edit.hint_line {
        _ if places.len() < 2 || (edit.all && !fuzzy) => return places,
        Some(hint) => (0..places.len()).min_by_key(|&i| places[i].line.abs_diff(hint)),
        None if fuzzy => most_similar(places),
        None => None,
    };
    index.map_or(&[], |index| &places[index..=index])
}

/// The place that is more similar than all others, if there is one.
fn most_similar(places: &[Place]) -> Option<usize> {
    let similarity = |index: &usize| places[*index].similarity;
    let best = (0..places.len()).max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    let equals = places
        .iter()
        .filter(|place| place.similarity >= similarity(&best))
        .count();
    (equals == 1).then_some(best)
}

fn describe(text: &str, index: usize, candidates: &Candidates, chosen: &[Place]) -> EditMatch {
    let places = &candidates.places;
    let shown = chosen
        .first()
        .or(places.first())
        .or(candidates.nearest.as_ref());
    let lines = |place: &Place| {
        let found = &text[place.range.clone()];
        let inside = found.len() - usize::from(found.ends_with('\n'));
        (place.line, line_of(found, inside, place.line))
    };
    let (line_start, line_end) = shown.map(lines).unwrap_or_default();
    EditMatch {
        edit_index: index,
        strategy: candidates.strategy,
        similarity: shown.map_or(0.0, |place| place.similarity),
        line_start,
        line_end,
        original_text: shown
            .map(|place| text[place.range.clone()].to_owned())
            .unwrap_or_default(),
        match_count: places.len(),
        lines: places
            .iter()
            .take(LINES_MAX)
            .map(|place| place.line)
            .collect(),
        applied: !chosen.is_empty(),
    }
}

/// `text` with each place (in order, apart) replaced by the edit's new text.
fn replace(text: &str, edit: &Edit, strategy: Strategy, places: &[Place]) -> Result<String> {
    let mut result = String::with_capacity(text.len());
    let mut line_ends = LineEnds::of(text);
    let mut end = 0;
    for place in places {
        result.push_str(&text[end..place.range.start]);
        if strategy == Strategy::Exact {
            result.push_str(&edit.new);
        } else {
            let line_end = line_ends.near(place.range.start);
            result.push_str(&refit(text, &place.range, edit, line_end));
        }
        check_size(result.len())?;
        end = place.range.end;
    }
    result.push_str(&text[end..]);
    check_size(result.len())?;
    Ok(result)
}

#[cfg(test)]
mod tests;
