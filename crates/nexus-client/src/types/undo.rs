//! Undo and restore.

use std::str::FromStr;

use nexus_kernel::{Durability, Error, Revision};

use super::files::At;

/// Which operations to undo.
#[derive(Clone, Debug)]
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
    /// All of an actor.
    OfActor {
        /// Who, as `kind:id`.
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
    /// They too become what they were before.
    Force,
}

impl FromStr for OnConflict {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "abort" => Ok(Self::Abort),
            "skip" => Ok(Self::Skip),
            "force" => Ok(Self::Force),
            _ => Err(Error::invalid(
                "what to do on a conflict is abort, skip or force",
            )),
        }
    }
}

/// How operations are undone.
#[derive(Clone, Debug)]
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

/// How something is restored.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Only tell what would happen.
    pub dry_run: bool,
    /// Only these paths at or below the one that is restored; all of it if empty.
    pub paths: Vec<String>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// What an undo or a restore did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoReport {
    /// The commits that did it, oldest first; none of a dry run, or if there was nothing to do.
    pub revisions: Vec<Revision>,
    /// The operations that were undone, oldest first; none of a restore.
    pub operations: Vec<Revision>,
    /// What became of each file, by path.
    pub effects: Vec<UndoEffect>,
    /// The files that stay as they are, or were overruled.
    pub conflicts: Vec<UndoConflict>,
}

/// What becomes of one file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoEffect {
    /// Where it is afterwards; of what is removed, where it was.
    pub path: String,
    /// What becomes of it.
    pub kind: UndoKind,
    /// Of what is renamed back, where it was.
    pub from: Option<String>,
}

/// What an undo does to a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoKind {
    /// It goes; a directory with all that it holds.
    Remove,
    /// It comes back; a directory with all that it held.
    BringBack,
    /// It gets the name back that it had.
    RenameBack,
    /// It gets the content back that it had.
    RestoreContent,
    /// Mode, owner or times become what they were.
    Attributes,
    /// Custom metadata or tags become what they were.
    Metadata,
    /// Something that this client does not know.
    Unknown,
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
            Self::Unknown => "unknown",
        }
    }
}

/// A file that somebody else's later work stands on, or that cannot become what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoConflict {
    /// The file.
    pub path: String,
    /// What stands on it; none if it is not the caller's to know.
    pub revision: Option<Revision>,
    /// Who did that, as `kind:id`.
    pub actor: Option<String>,
    /// Whether [`OnConflict::Force`] would overrule it.
    pub can_force: bool,
    /// Nothing stands on it: what the file was has been collected from history by retention.
    pub collected: bool,
}
