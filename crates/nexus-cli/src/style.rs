//! Colours, on a terminal only.

use crate::format::printable;

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    pub(crate) color: bool,
}

/// What the eye should find.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    Directory,
    Link,
    Match,
    Path,
    Faint,
    Added,
    Removed,
    Strong,
}

impl Style {
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Directory => "1;34",
            Paint::Link => "36",
            Paint::Match => "1;31",
            Paint::Path => "35",
            Paint::Faint => "2",
            Paint::Added => "32",
            Paint::Removed => "31",
            Paint::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A unified diff as people read it on a terminal: its changed lines coloured, and nothing in
    /// the files that could steer the terminal.
    pub(crate) fn diff(self, diff: &str) -> String {
        let line = |line: &str| {
            let text = printable(line);
            match line.as_bytes().first() {
                Some(b'+') => self.paint(Paint::Added, &text),
                Some(b'-') => self.paint(Paint::Removed, &text),
                Some(b'@') => self.paint(Paint::Faint, &text),
                _ => text,
            }
        };
        diff.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests;
