//! Word by word, for people.

use crate::format::printable;
use crate::style::{Paint, Style};

/// What the node tells run by run, as text with its changes marked: with colours, or as `[-old-]`
/// and `{+new+}`.
pub(super) fn shown(runs: &str, style: Style) -> String {
    let mut text = String::new();
    for (number, run) in runs.split('\n').enumerate() {
        let mut rest = run.chars();
        match rest.next() {
            _ if number < 2 => {
                text.push_str(&style.paint(Paint::Strong, &printable(run)));
                text.push('\n');
            }
            Some('@') => {
                text.push_str(&style.paint(Paint::Faint, run));
                text.push('\n');
            }
            Some('~') => text.push('\n'),
            Some(mark) => text.push_str(&marked(mark, rest.as_str(), style)),
            None => {}
        }
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

fn marked(mark: char, run: &str, style: Style) -> String {
    let run = printable(run);
    match mark {
        // Only the end of a line came or went.
        '+' | '-' if run.is_empty() => run,
        '+' if style.color => style.paint(Paint::Added, &run),
        '-' if style.color => style.paint(Paint::Removed, &run),
        '+' => format!("{{+{run}+}}"),
        '-' => format!("[-{run}-]"),
        _ => run,
    }
}
