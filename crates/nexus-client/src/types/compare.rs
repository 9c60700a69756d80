//! How files and trees differ, and where contents come from.

use nexus_kernel::{Revision, Timestamp};

use super::files::{At, Stat};

/// How a difference is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiffMode {
    /// As `diff -u` prints it.
    #[default]
    Unified,
    /// By words, as `git diff --word-diff=porcelain` prints it.
    Words,
    /// Sizes and counts only.
    Summary,
}

/// How two contents differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// The difference as asked for; empty if there is none, or if only a summary was. Of what is
    /// not text, one line that says that it differs.
    pub text: String,
    /// Whether they differ.
    pub differs: bool,
    /// Lines that only the new text has.
    pub added: u64,
    /// Lines that only the old text has.
    pub removed: u64,
    /// The old file; none if there was none.
    pub old: Option<Stat>,
    /// The new one; none if there is none.
    pub new: Option<Stat>,
    /// Of contents that are not UTF-8 text, or too large to be compared as such.
    pub binary: Option<BinaryDiff>,
}

/// Where two contents differ that are not compared as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryDiff {
    /// Bytes at the beginning that are the same, if they were counted.
    pub common_prefix: Option<u64>,
    /// Bytes after that that are the same at the end.
    pub common_suffix: Option<u64>,
}

/// Which trees to compare.
#[derive(Clone, Debug, Default)]
pub struct TreeDiffQuery {
    /// The directory, or file.
    pub path: String,
    /// The old tree's point.
    pub from: At,
    /// The new tree's point.
    pub to: At,
    /// The new tree's path, if it is another.
    pub to_path: Option<String>,
    /// Everything below a directory that came or went, not just the directory.
    pub expand: bool,
    /// Most changes in a page; 0 for the node's default.
    pub limit: u32,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

/// One page of how trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeDiffPage {
    /// The revision of the old tree.
    pub from: Revision,
    /// The revision of the new one.
    pub to: Revision,
    /// By path in the order of a recursive listing.
    pub changes: Vec<TreeChange>,
    /// How many changes there are in all.
    pub total: u64,
    /// The cursor of the page after this one; none after the last.
    pub next: Option<String>,
}

/// One difference between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// What happened.
    pub kind: TreeChangeKind,
    /// In the new tree; of a removal, in the old one.
    pub path: String,
    /// In the old tree, if it was elsewhere.
    pub old_path: Option<String>,
    /// What it was.
    pub old: Option<Stat>,
    /// What it is.
    pub new: Option<Stat>,
    /// Whether the content differs.
    pub content: bool,
    /// Whether the mode, or the POSIX owner or group, differs.
    pub attributes: bool,
    /// Whether custom metadata or tags differ.
    pub metadata: bool,
    /// Of a directory that came or went: how much came or went below it that is not listed.
    pub below: u64,
}

/// How something differs between two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TreeChangeKind {
    /// Only the old tree has it.
    Removed,
    /// Only the new tree has it.
    Added,
    /// Both have it, and it differs.
    Modified,
    /// It has another name or lies in another directory; it may differ too.
    Renamed,
}

impl TreeChangeKind {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Renamed => "renamed",
        }
    }
}

/// Whose lineage to tell, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct LineageQuery {
    /// As of when; later derivations are left out.
    pub at: At,
    /// Which way; both if not given.
    pub direction: Option<LineageDirection>,
    /// Most steps away from the file; 0 for the node's default.
    pub depth: u32,
    /// Most entries in a page; 0 for the node's default.
    pub limit: u32,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

/// Which way to go from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineageDirection {
    /// To what it comes from.
    Ancestors,
    /// To what was made of it.
    Descendants,
}

impl LineageDirection {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ancestors => "ancestors",
            Self::Descendants => "descendants",
        }
    }
}

/// One page of where a file comes from and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineagePage {
    /// The file that was asked about.
    pub file: LineageFile,
    /// Each before those that lead on from it.
    pub entries: Vec<LineageEntry>,
    /// Steps on the way of this page that the caller may not see; nothing beyond them is told.
    pub hidden: u64,
    /// The cursor of the page after this one; none after the last.
    pub next: Option<String>,
}

/// A version of a file, in a lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageFile {
    /// Its inode.
    pub ino: u64,
    /// Its version.
    pub version: u64,
    /// A path that it had then, if the caller may see that.
    pub path: Option<String>,
    /// A path that it has now, if it has one and the caller may see that.
    pub path_now: Option<String>,
}

/// That one content came from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageEntry {
    /// Whether it leads to an ancestor or to a descendant.
    pub direction: LineageDirection,
    /// Steps away from the file that was asked about, from 1.
    pub depth: u32,
    /// `copy`, `edit`, `rollback`, `restore`, `merge`, `import`, `fork` or `undo`.
    pub kind: String,
    /// What it came from.
    pub source: LineageSource,
    /// What came from it.
    pub file: LineageFile,
    /// The commit that made it.
    pub revision: Revision,
    /// When.
    pub time: Timestamp,
    /// Who, as `kind:id`.
    pub actor: String,
}

/// What a content came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineageSource {
    /// A file of the zone.
    File(LineageFile),
    /// Something outside of it, as whoever brought it in named it.
    External(String),
}
