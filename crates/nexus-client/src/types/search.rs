//! Finding files and lines.

use super::files::At;

/// Which paths to find.
#[derive(Clone, Debug, Default)]
pub struct GlobQuery {
    /// Absolute, or relative to `path`. `*` stays within a name, `**` crosses directories.
    pub pattern: String,
    /// Where to look.
    pub path: String,
    /// Which state.
    pub at: At,
    /// Leave out hidden names and what `.gitignore` and `.ignore` files say.
    pub ignore: bool,
}

/// Which lines to find.
#[derive(Clone, Debug, Default)]
pub struct GrepQuery {
    /// A regular expression, in the syntax of the `regex` crate.
    pub pattern: String,
    /// Where to look.
    pub path: String,
    /// Which state.
    pub at: At,
    /// Only files that match this glob.
    pub file_pattern: Option<String>,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// The pattern is plain text.
    pub literal: bool,
    /// The pattern may span lines.
    pub multi_line: bool,
    /// Lines of context before each match.
    pub before: u32,
    /// Lines of context after each match.
    pub after: u32,
    /// Most matches of one file.
    pub max_per_file: Option<u64>,
    /// Leave out hidden names and what `.gitignore` and `.ignore` files say.
    pub ignore: bool,
    /// Skip larger files.
    pub file_bytes_max: Option<u64>,
    /// Stop after this many matches.
    pub max_results: Option<u64>,
}

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepMatch {
    /// The file.
    pub path: String,
    /// From 1.
    pub line: u64,
    /// The whole line.
    pub content: String,
    /// The part of it that matched.
    pub matched: String,
    /// Where the match begins in the line, in bytes, from 1.
    pub column: u64,
    /// Lines before it.
    pub before: Vec<String>,
    /// Lines after it.
    pub after: Vec<String>,
    /// Whether one of these texts was too long and has been cut.
    pub truncated: bool,
}
