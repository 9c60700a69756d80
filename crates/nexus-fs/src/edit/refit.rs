//! Fits new text into a place that differs from the quoted one in whitespace.

use std::ops::Range;

use super::Edit;

/// The edit's new text as it should stand in place of `text[range]`, which matched the old one:
/// shifted to the indentation found there, with line ends as they are there, if that is known.
pub(super) fn refit(
    text: &str,
    range: &Range<usize>,
    edit: &Edit,
    line_end: Option<&'static str>,
) -> String {
    let Edit { old, new, .. } = edit;
    let found = &text[range.clone()];
    let before = &text[..range.start];
    let starts_a_line = before.is_empty() || before.ends_with('\n');
    let shift = Shift::between(old, found, starts_a_line);
    let mut fitted = String::with_capacity(new.len());
    for (i, line) in new.split_inclusive('\n').enumerate() {
        let (content, end) = split_line_end(line);
        if i == 0 && !starts_a_line {
            fitted.push_str(content.strip_prefix(indentation(old)).unwrap_or(content));
        } else if content.trim_ascii().is_empty() {
            fitted.push_str(content);
        } else {
            let indent = indentation(content);
            fitted.push_str(&shift.apply(indent));
            fitted.push_str(&content[indent.len()..]);
        }
        fitted.push_str(if end.is_empty() {
            end
        } else {
            line_end.unwrap_or(end)
        });
    }
    if old.ends_with('\n') && !found.ends_with('\n') {
        let len = split_line_end(&fitted).0.len();
        fitted.truncate(len);
    }
    fitted
}

/// Which indentation stands where the quote has another.
struct Shift<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Shift<'a> {
    fn between(old: &'a str, found: &'a str, starts_a_line: bool) -> Self {
        let lines = old.lines().count();
        let comparable = if lines == found.lines().count() {
            lines
        } else {
            1
        };
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let skipped = usize::from(!starts_a_line);
        for (old, found) in old
            .lines()
            .zip(found.lines())
            .take(comparable)
            .skip(skipped)
        {
            let known = pairs.iter().any(|(known, _)| *known == indentation(old));
            if !old.trim_ascii().is_empty() && !known {
                pairs.push((indentation(old), indentation(found)));
            }
        }
        pairs.sort_by_key(|(old, _)| old.len());
        Self { pairs }
    }

    fn apply(&self, indent: &str) -> String {
        let inside = self
            .pairs
            .iter()
            .rev()
            .find(|(old, _)| indent.starts_with(old));
        let Some((old, found)) = inside.or(self.pairs.first()) else {
            return indent.to_owned();
        };
        match (kind(old), kind(found)) {
            (Some(a), Some(b)) if a != b && kind(indent).is_none_or(|kind| kind == a) => b
                .to_string()
                .repeat(self.rescaled(indent.len(), old.len(), found.len())),
            _ => shifted(indent, old, found),
        }
    }

    /// How long an indentation is in the text's blanks, where one of `old` of the quote's blanks
    /// is one of `found`.
    fn rescaled(&self, len: usize, old: usize, found: usize) -> usize {
        let (first, last) = (self.pairs[0], self.pairs[self.pairs.len() - 1]);
        let run = last.0.len() - first.0.len();
        let rise = last.1.len().saturating_sub(first.1.len());
        let (rise, run) = if run > 0 && rise > 0 {
            (rise, run)
        } else {
            (found, old)
        };
        let scaled = |blanks: usize| blanks * rise / run;
        if len < old {
            found.saturating_sub(scaled(old - len))
        } else {
            found + scaled(len - old)
        }
    }
}

/// `indent` as it is where `old` is `found`.
fn shifted(indent: &str, old: &str, found: &str) -> String {
    if let Some(deeper) = indent.strip_prefix(old) {
        return format!("{found}{deeper}");
    }
    let missing = old.len().saturating_sub(indent.len());
    found[..found.len().saturating_sub(missing)].to_owned()
}

/// The blank that an indentation consists of, if it is one.
fn kind(indent: &str) -> Option<char> {
    let first = indent.chars().next()?;
    indent.chars().all(|c| c == first).then_some(first)
}

fn indentation(line: &str) -> &str {
    let content = line.trim_start_matches([' ', '\t']);
    &line[..line.len() - content.len()]
}

fn split_line_end(line: &str) -> (&str, &str) {
    let content = line.strip_suffix('\n').unwrap_or(line);
    let content = if content.len() < line.len() {
        content.strip_suffix('\r').unwrap_or(content)
    } else {
        content
    };
    line.split_at(content.len())
}

/// How the lines of a text end, asked for in the order of its places.
pub(super) struct LineEnds<'a> {
    text: &'a str,
    /// The line end that was last found.
    known: Option<usize>,
    /// None follows it.
    is_last: bool,
}

impl<'a> LineEnds<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self {
            text,
            known: None,
            is_last: false,
        }
    }

    /// How the line at `offset`, or the one before, ends; none if the text is a single line.
    pub(super) fn near(&mut self, offset: usize) -> Option<&'static str> {
        if !self.is_last && self.known.is_none_or(|at| at < offset) {
            match self.text[offset..].find('\n') {
                Some(at) => self.known = Some(offset + at),
                None => {
                    self.is_last = true;
                    self.known = self.text[..offset].rfind('\n');
                }
            }
        }
        let at = self.known?;
        Some(if self.text[..at].ends_with('\r') {
            "\r\n"
        } else {
            "\n"
        })
    }
}
