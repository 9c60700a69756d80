//! Finding files by name and lines by content, in what is there now or was at a revision.
//!
//! Nothing is indexed: a search walks the tree and reads the files, so it sees every commit.
//! It streams in the order of paths, holds a bounded part of the tree in memory, reads ahead
//! by a few batches, and stops when the stream is dropped.

mod batches;
mod grep;
mod ignores;
mod lines;
mod select;

use async_stream::try_stream;
use futures::stream::BoxStream;
use nexus_kernel::{Kind, Result};

use crate::list::add_details;
use crate::path;
use crate::pattern::PathPattern;
use crate::session::Session;
use crate::types::{At, DirEntry};
use select::Selection;

pub use lines::{CONTEXT_LINES_MAX, MATCH_TEXT_BYTES_MAX};

/// Which names to find.
#[derive(Clone, Debug)]
pub struct GlobQuery {
    /// A glob, absolute or relative to `path`: `*` and `?` stay within a name, `**` crosses
    /// directories, `[a-z]` and `{a,b}` as usual.
    pub pattern: String,
    /// The directory to look in.
    pub path: String,
    /// Which state.
    pub at: At,
    /// Leave out hidden names and what `.gitignore` and `.ignore` files say, as ripgrep does.
    pub ignore: bool,
}

impl Default for GlobQuery {
    fn default() -> Self {
        Self {
            pattern: "**".into(),
            path: "/".into(),
            at: At::Latest,
            ignore: false,
        }
    }
}

/// Which lines to find.
#[derive(Clone, Debug)]
pub struct GrepQuery {
    /// A regular expression in the syntax of the `regex` crate.
    pub pattern: String,
    /// The directory or file to look in.
    pub path: String,
    /// Which state.
    pub at: At,
    /// Only files that match this glob; without a `/` it is the name that must match.
    pub file_pattern: Option<String>,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// The pattern is plain text.
    pub literal: bool,
    /// A match may span lines. Such a search holds each file in memory, and refuses to search one
    /// of more than 64 MiB.
    pub multi_line: bool,
    /// Lines to show before each match, up to [`CONTEXT_LINES_MAX`].
    pub before: usize,
    /// Lines to show after each match, up to [`CONTEXT_LINES_MAX`].
    pub after: usize,
    /// Most matches of one file.
    pub max_per_file: Option<u64>,
    /// Leave out hidden names and what `.gitignore` and `.ignore` files say, as ripgrep does.
    pub ignore: bool,
    /// Leave out larger files. Without, files of any size are searched, the large ones as they
    /// stream.
    pub file_bytes_max: u64,
}

impl Default for GrepQuery {
    fn default() -> Self {
        Self {
            pattern: String::new(),
            path: "/".into(),
            at: At::Latest,
            file_pattern: None,
            ignore_case: false,
            literal: false,
            multi_line: false,
            before: 0,
            after: 0,
            max_per_file: None,
            ignore: false,
            file_bytes_max: u64::MAX,
        }
    }
}

/// A line, or with `multi_line` several, with at least one match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepMatch {
    /// The file.
    pub path: String,
    /// The line the first match begins on, from 1.
    pub line: u64,
    /// The line without its end; what is not UTF-8 is replaced.
    pub content: String,
    /// The first match.
    pub matched: String,
    /// Where the first match begins in its line, in bytes, from 1.
    pub column: u64,
    /// Lines before it.
    pub before: Vec<String>,
    /// Lines after it.
    pub after: Vec<String>,
    /// Whether one of these texts was cut at [`MATCH_TEXT_BYTES_MAX`].
    pub truncated: bool,
}

impl Session {
    /// What has a name that matches, of every kind, each with its attributes, in the order of
    /// [`list`](Self::list). Symbolic links are not followed below where the search begins.
    ///
    /// The stream ends with the first error: `InvalidArgument` for a malformed glob, `NotFound`
    /// if `path` does not exist, otherwise as `list`. What the caller may not see is not found.
    #[must_use]
    pub fn glob(&self, query: GlobQuery) -> BoxStream<'static, Result<DirEntry>> {
        let session = self.clone();
        Box::pin(try_stream! {
            let pattern = PathPattern::new(&query.pattern, path::normalize(&query.path)?)?;
            if let Some(literal) = pattern.literal() {
                if let Some(entry) = session.named(&literal, &query).await? {
                    yield entry;
                }
                return;
            }
            let view = session.view(query.at.clone()).await?;
            let from = pattern.base_dir();
            session.existing_base(&query).await?;
            let Some(mut found) = Selection::begin(&session, view, &from, query.ignore).await? else {
                return;
            };
            found.prune_by(&pattern);
            loop {
                let mut entries = found.next_many(|path, _| pattern.matches(path)).await?;
                if entries.is_empty() {
                    return;
                }
                add_details(&view, &mut entries).await?;
                for entry in entries {
                    yield entry;
                }
            }
        })
    }

    /// The lines that match, in the order of paths and lines, one result for a line however
    /// often it matches. Matches of `multi_line` do not overlap.
    ///
    /// Files are searched as bytes; a file with a NUL byte counts as binary and is left out from
    /// there on. Symbolic links are not followed, and what the caller may not read is not found.
    ///
    /// The stream ends with the first error: `InvalidArgument` for a malformed pattern, glob or
    /// context, or a regular expression that is too large; `NotFound` if `path` does not exist;
    /// `LimitExceeded`, with the path, for a line or a `multi_line` file of more than 64 MiB;
    /// otherwise as [`open`](Self::open).
    #[must_use]
    pub fn grep(&self, query: GrepQuery) -> BoxStream<'static, Result<GrepMatch>> {
        grep::grep(self.clone(), query)
    }

    /// What a glob without wildcards matches.
    async fn named(&self, path: &str, query: &GlobQuery) -> Result<Option<DirEntry>> {
        self.existing_base(query).await?;
        match self.lstat(path, query.at.clone()).await {
            Ok(stat) => Ok(Some(DirEntry {
                path: path.to_owned(),
                ino: stat.ino,
                kind: stat.kind,
                stat: Some(stat),
            })),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::WrongType) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A relative glob needs the directory it is relative to.
    async fn existing_base(&self, query: &GlobQuery) -> Result<()> {
        if query.pattern.starts_with('/') {
            return Ok(());
        }
        self.stat(&query.path, query.at.clone()).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
