//! Matches as lines of text, the way ripgrep writes them.

use nexus_client::GrepMatch;

use crate::format::printable;
use crate::style::{Paint, Style};

/// Puts matches and their context together: a line comes once, even if it is in the context
/// of several matches.
pub(super) struct Lines {
    style: Style,
    /// Under a heading for each file, for people; else each line with its path.
    headings: bool,
    /// Whether to part what is not adjacent.
    context: bool,
    path: String,
    last: u64,
    /// Context after the last match: shown once it is known where the next match is.
    after: Vec<String>,
}

impl Lines {
    pub(super) fn new(style: Style, headings: bool, context: bool) -> Self {
        let path = String::new();
        Self {
            style,
            headings,
            context,
            path,
            last: 0,
            after: Vec::new(),
        }
    }

    /// The lines to write now that this match has come.
    pub(super) fn add(&mut self, found: GrepMatch) -> Vec<String> {
        let mut lines = Vec::new();
        if found.path != self.path {
            lines.extend(self.finish());
            self.begin(&found.path, &mut lines);
        }
        self.after_until(found.line, &mut lines);
        let first = found.line.saturating_sub(found.before.len() as u64);
        if self.context && self.last > 0 && first > self.last + 1 {
            lines.push(self.style.paint(Paint::Faint, "--"));
        }
        for (number, text) in (first..).zip(&found.before) {
            if number > self.last {
                lines.push(self.context_line(number, text));
            }
        }
        // A match that spans lines is one match with several lines.
        for (number, text) in (found.line..).zip(found.content.lines()) {
            if number > self.last {
                lines.push(self.match_line(number, text, &found));
                self.last = number;
            }
        }
        self.last = self.last.max(found.line);
        self.after = found.after;
        lines
    }

    /// The lines that were held back.
    pub(super) fn finish(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.after_until(u64::MAX, &mut lines);
        lines
    }

    fn begin(&mut self, path: &str, lines: &mut Vec<String>) {
        if self.headings {
            if !self.path.is_empty() {
                lines.push(String::new());
            }
            lines.push(self.style.paint(Paint::Path, &printable(path)));
        } else if self.context && !self.path.is_empty() {
            lines.push("--".to_owned());
        }
        path.clone_into(&mut self.path);
        self.last = 0;
    }

    fn after_until(&mut self, next: u64, lines: &mut Vec<String>) {
        for text in std::mem::take(&mut self.after) {
            if self.last + 1 >= next {
                break;
            }
            self.last += 1;
            lines.push(self.context_line(self.last, &text));
        }
    }

    fn context_line(&self, number: u64, text: &str) -> String {
        self.style.paint(
            Paint::Faint,
            &format!("{}{}", self.place(number, '-'), printable(text)),
        )
    }

    fn match_line(&self, number: u64, text: &str, found: &GrepMatch) -> String {
        let start = usize::try_from(found.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let matched = found.matched.as_str();
        let there = number == found.line
            && text
                .get(start..)
                .is_some_and(|rest| rest.starts_with(matched));
        let text = match there {
            true => {
                let (before, rest) = text.split_at(start);
                let after = &rest[matched.len()..];
                let matched = self.style.paint(Paint::Match, &printable(matched));
                format!("{}{matched}{}", printable(before), printable(after))
            }
            false => printable(text),
        };
        self.place(number, ':') + &text
    }

    fn place(&self, number: u64, mark: char) -> String {
        match self.headings {
            true => format!("{number}{mark}"),
            false => format!("{}{mark}{number}{mark}", printable(&self.path)),
        }
    }
}

#[cfg(test)]
mod tests;
