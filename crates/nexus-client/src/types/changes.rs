//! Changes, their conditions and their answers.

use bytes::Bytes;
use nexus_kernel::{Durability, Revision, Timestamp};

use super::files::Stat;

/// What a change answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The commit.
    pub revision: Revision,
    /// The attributes after it; none after a removal.
    pub stat: Option<Stat>,
}

/// What must hold of the target for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: create or replace.
    #[default]
    None,
    /// The file exists with this etag.
    Etag(String),
    /// The file exists.
    Exists,
    /// There is no such file.
    Absent,
}

/// How content is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// What must hold.
    pub precondition: Precondition,
    /// When it is acknowledged.
    pub durability: Durability,
    /// Make missing parent directories.
    pub parents: bool,
    /// Permission bits of a file this creates; `0o644` if not given.
    pub mode: Option<u32>,
    /// Custom metadata to set in the same commit.
    pub metadata: Vec<(String, Bytes)>,
    /// Where outside of the zone the content comes from, such as `file:///home/me/notes.txt`, for
    /// the file's lineage; up to 4096 bytes.
    pub source: Option<String>,
}

/// How directories are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct MkdirOptions {
    /// Make missing parents too.
    pub parents: bool,
    /// An existing directory is no error.
    pub exist_ok: bool,
    /// Permission bits; `0o755` if not given.
    pub mode: Option<u32>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// How something is removed.
#[derive(Clone, Debug, Default)]
pub struct RemoveOptions {
    /// A directory with all below it; without, a directory must be empty.
    pub recursive: bool,
    /// The etag the file must have; a directory has none.
    pub if_match: Option<String>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// What a rename or copy does when the destination exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// As POSIX: a file replaces a file, a directory an empty directory.
    #[default]
    Allow,
    /// It is an error.
    Refuse,
    /// The two change places; for rename only.
    Exchange,
}

/// How a rename or copy is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct MoveOptions {
    /// What to do when the destination exists.
    pub replace: Replace,
    /// Make missing parents of the destination.
    pub parents: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// Which attributes to change; what is `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// POSIX owner.
    pub uid: Option<u32>,
    /// POSIX group.
    pub gid: Option<u32>,
    /// Modification time.
    pub modified: Option<Timestamp>,
    /// Truncates, or extends with zeros.
    pub size: Option<u64>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// One of several changes that apply in one commit or not at all. The durability in their
/// options has no effect: the batch has one.
#[derive(Clone, Debug)]
pub enum BatchStep {
    /// Creates a file or replaces its content.
    Write {
        /// Where.
        path: String,
        /// All of it.
        content: Bytes,
        /// How.
        options: WriteOptions,
    },
    /// Removes a file, a link, an empty directory or a tree.
    Remove {
        /// What.
        path: String,
        /// A directory with all below it.
        recursive: bool,
        /// The etag the file must have; a directory has none.
        if_match: Option<String>,
    },
    /// Renames a file or a tree.
    Rename {
        /// What.
        from: String,
        /// Its new path.
        to: String,
        /// How.
        options: MoveOptions,
    },
    /// Makes a directory.
    Mkdir {
        /// Where.
        path: String,
        /// How.
        options: MkdirOptions,
    },
    /// Copies a file or a tree.
    Copy {
        /// What.
        from: String,
        /// The copy's path.
        to: String,
        /// How.
        options: MoveOptions,
    },
}

/// A passage to replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// The passage to look for.
    pub old: String,
    /// What to put there.
    pub new: String,
    /// Prefer the match nearest to this line, from 1.
    pub hint_line: Option<u64>,
    /// Replace every occurrence; without, more than one is an error.
    pub all: bool,
}

/// How edits are done.
#[derive(Clone, Debug, Default)]
pub struct EditOptions {
    /// Refuse if the file has another etag by now.
    pub if_match: Option<String>,
    /// How similar a passage must be, 0 to 1; 0.85 if not given, 1 for no fuzzy match.
    pub fuzzy_threshold: Option<f64>,
    /// Change nothing, just answer what would happen.
    pub preview: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// What edits did, or would do.
#[derive(Clone, Debug)]
pub struct Edited {
    /// Whether every edit found its passage. If not, the file is unchanged.
    pub applied: bool,
    /// What changed or would change, as a unified diff.
    pub diff: String,
    /// Where each edit found its passage.
    pub matches: Vec<EditMatch>,
    /// The file's attributes afterwards.
    pub stat: Stat,
    /// The commit; none if nothing was changed.
    pub revision: Option<Revision>,
    /// Why the edits were not applied, and what to do about it.
    pub problem: Option<String>,
}

/// Where an edit found its passage.
#[derive(Clone, Debug, PartialEq)]
pub struct EditMatch {
    /// Which edit, from 0.
    pub edit_index: u32,
    /// How it was found: `exact`, `whitespace`, `fuzzy`; `none` if it was not.
    pub strategy: String,
    /// Of the passage asked for and the one found, 0 to 1.
    pub similarity: f64,
    /// First line of the passage, from 1; 0 where there is none.
    pub line_start: u64,
    /// Last line of the passage.
    pub line_end: u64,
    /// What stood there.
    pub original_text: String,
    /// Whether the edit took effect on the text.
    pub applied: bool,
    /// How many places match.
    pub match_count: u64,
    /// The first lines of some of them.
    pub lines: Vec<u64>,
    /// Why the edit was not applied, and what to do about it.
    pub problem: Option<String>,
}
