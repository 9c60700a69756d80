//! Workspaces, forks and merges.

use std::collections::BTreeMap;
use std::time::Duration;

use nexus_kernel::{Durability, Error, Revision, Timestamp};

/// A registered directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Where it is.
    pub path: String,
    /// The directory.
    pub ino: u64,
    /// What it is called, if anything.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// To find it by.
    pub tags: Vec<String>,
    /// Whatever else there is to say.
    pub metadata: BTreeMap<String, String>,
    /// The run of an agent that it is for.
    pub session: Option<String>,
    /// Who registered it, as `kind:id`.
    pub created_by: String,
    /// When.
    pub created: Timestamp,
    /// When the registration ends by itself, if ever.
    pub expires: Option<Timestamp>,
}

/// What is said of a directory that is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewWorkspace {
    /// What it is called.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// To find it by.
    pub tags: Vec<String>,
    /// Whatever else there is to say.
    pub metadata: BTreeMap<String, String>,
    /// The run of an agent that it is for.
    pub session: Option<String>,
    /// When the registration ends by itself, if it shall; at most 366 days.
    pub ttl: Option<Duration>,
}

/// How a fork is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForkOptions {
    /// Make missing parents of the fork.
    pub parents: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// A fork that is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Where it is.
    pub path: String,
    /// The directory at its top.
    pub ino: u64,
    /// The directory that it is of.
    pub origin: u64,
    /// Where that is; none if it has gone, or is out of the caller's sight.
    pub origin_path: Option<String>,
    /// The state of the origin that it is of.
    pub base: Revision,
    /// The commit that made it.
    pub revision: Revision,
    /// Who made it, as `kind:id`.
    pub created_by: String,
    /// When.
    pub created: Timestamp,
}

/// What to do where both sides changed the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MergeStrategy {
    /// Nothing is merged; the answer tells where.
    #[default]
    Report,
    /// A text gets both versions between conflict markers; with any other conflict nothing is
    /// merged.
    Markers,
    /// The target stays as it is there.
    Ours,
    /// The fork counts there.
    Theirs,
}

impl std::str::FromStr for MergeStrategy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "report" => Ok(Self::Report),
            "markers" => Ok(Self::Markers),
            "ours" => Ok(Self::Ours),
            "theirs" => Ok(Self::Theirs),
            _ => Err(
                Error::invalid("conflicts are merged by report, markers, ours or theirs")
                    .with("strategy", text.escape_debug()),
            ),
        }
    }
}

/// How to merge.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    /// Another fork of the same directory; the directory itself unless given.
    pub into: Option<String>,
    /// What to do where both sides changed the same.
    pub strategy: MergeStrategy,
    /// Tells what would be done, and does nothing.
    pub dry_run: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// What a merge did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeReport {
    /// The fork.
    pub fork: String,
    /// The directory that it was merged into.
    pub into: String,
    /// The state of the fork that changes are counted from.
    pub base: Revision,
    /// The state of the fork that was merged.
    pub merged: Revision,
    /// The commit; none if nothing was changed.
    pub revision: Option<Revision>,
    /// Whether all is merged.
    pub applied: bool,
    /// What changes in the target, by path.
    pub changes: Vec<MergeChange>,
    /// Where both sides changed the same.
    pub conflicts: Vec<MergeConflict>,
}

/// One change that a merge makes in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeChange {
    /// `added`, `taken`, `merged`, `marked`, `renamed`, `removed`, `attributes` or `metadata`.
    pub kind: String,
    /// Where, in the target.
    pub path: String,
    /// Of a move, where from.
    pub old_path: Option<String>,
}

/// Where both sides changed the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeConflict {
    /// `content`, `removed`, `changed`, `added`, `renamed`, `kind`, `attributes` or `metadata`.
    pub kind: String,
    /// Where, in the target.
    pub path: String,
    /// Whether the strategy decided it.
    pub resolved: bool,
}
