//! Colours, on a terminal only.

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

    /// A unified diff, its changed lines coloured.
    pub(crate) fn diff(self, diff: &str) -> String {
        let line = |line: &str| match line.as_bytes().first() {
            Some(b'+') => self.paint(Paint::Added, line),
            Some(b'-') => self.paint(Paint::Removed, line),
            Some(b'@') => self.paint(Paint::Faint, line),
            _ => line.to_owned(),
        };
        diff.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}
