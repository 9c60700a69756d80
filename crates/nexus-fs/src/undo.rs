//! Undo: one operation, a range of them, or all that a run or an actor did, taken back by
//! a new operation.
//!
//! An undo goes by rows, not by operations: it gives each name, content, attribute and metadata
//! value that the operations changed the value it had before them ([`timeline`]), in one commit
//! like any other, which is history again and can be undone itself. What others have done
//! since with the same rows stands on what would be undone: that is a conflict, and the caller
//! says whether such files stay as they are. This is the selective undo of Berlage (1994) on
//! rows in place of objects.

use std::fmt;
use std::str::FromStr;

use nexus_kernel::{Durability, Error, Result, Revision};

use crate::path;
use crate::types::At;

mod apply;
mod blame;
mod collect;
mod engine;
mod groups;
mod judge;
mod marks;
mod places;
mod plan;
mod regrow;
mod regrown;
mod report;
mod restore;
mod rows;
mod structure;
mod timeline;

pub(crate) use regrow::HeldTrees;
pub(crate) use regrown::Regrown;
pub use restore::RestoreOptions;

/// Most operations that one undo takes back.
pub const UNDO_OPERATIONS_MAX: usize = 100_000;

/// Which operations to undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoWhat {
    /// One, by its revision.
    Operation(Revision),
    /// All from one revision up to and with another.
    Range {
        /// The first.
        from: Revision,
        /// The last.
        to: Revision,
    },
    /// All of one run of an agent.
    OfSession(String),
    /// All of an actor, as `kind:id`.
    OfActor {
        /// Who.
        actor: String,
        /// After this point; from the beginning if not given.
        since: Option<At>,
        /// Up to this point; until now if not given.
        until: Option<At>,
    },
}

/// What becomes of files that others have changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Nothing is undone at all.
    #[default]
    Abort,
    /// They stay as they are, the others are undone.
    Skip,
    /// They too become what they were before: what others did with them is history.
    Force,
}

impl OnConflict {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Skip => "skip",
            Self::Force => "force",
        }
    }
}

impl FromStr for OnConflict {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "abort" => Ok(Self::Abort),
            "skip" => Ok(Self::Skip),
            "force" => Ok(Self::Force),
            _ => Err(
                Error::invalid("what to do on a conflict is abort, skip or force")
                    .with("on_conflict", path::shown(text)),
            ),
        }
    }
}

/// How operations are undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoOptions {
    /// Which.
    pub what: UndoWhat,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// What becomes of files that others have changed since.
    pub on_conflict: OnConflict,
    /// Only what the operations did at this path or below it.
    pub path_prefix: Option<String>,
    /// When it is acknowledged.
    pub durability: Durability,
}

impl UndoOptions {
    /// Undoes all of it or nothing, durably.
    #[must_use]
    pub fn new(what: UndoWhat) -> Self {
        Self {
            what,
            dry_run: false,
            on_conflict: OnConflict::default(),
            path_prefix: None,
            durability: Durability::default(),
        }
    }
}

/// What an undo or a restore did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoReport {
    /// The commits that did it, oldest first: one, but for what is too large for one. None of a
    /// dry run, or if there was nothing to do.
    pub revisions: Vec<Revision>,
    /// The operations that were undone, oldest first; none of a restore.
    pub operations: Vec<Revision>,
    /// What became of each file, by path.
    pub effects: Vec<UndoEffect>,
    /// The files that stay as they are, or that were overruled, each with what stands on it.
    pub conflicts: Vec<UndoConflict>,
}

/// What becomes of one file or directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndoEffect {
    /// Where it is afterwards; of what is removed, where it was.
    pub path: String,
    /// What becomes of it.
    pub kind: UndoKind,
    /// Of what is renamed back, where it was.
    pub from: Option<String>,
}

/// What an undo does to a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UndoKind {
    /// A name, and the file with its last one, goes; a directory with all that it holds.
    Remove,
    /// What was deleted comes back; a directory with all that it held.
    BringBack,
    /// It gets the name back that it had.
    RenameBack,
    /// It gets the content back that it had, as a new version.
    RestoreContent,
    /// Mode, owner or times become what they were.
    Attributes,
    /// Custom metadata or tags become what they were.
    Metadata,
}

impl UndoKind {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::BringBack => "bring_back",
            Self::RenameBack => "rename_back",
            Self::RestoreContent => "restore_content",
            Self::Attributes => "attributes",
            Self::Metadata => "metadata",
        }
    }
}

impl fmt::Display for UndoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A file that somebody else's later work stands on, or that cannot become what it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndoConflict {
    /// The file.
    pub path: String,
    /// The operation that stands on what would be undone; none if it is not the caller's to know.
    pub revision: Option<Revision>,
    /// Who did it, as `kind:id`.
    pub actor: Option<String>,
    /// Whether `force` would overrule it.
    pub can_force: bool,
    /// What the file was has been collected from history by retention: nothing stands on it, but
    /// there is nothing to go back to.
    pub collected: bool,
}
