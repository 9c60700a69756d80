//! Bringing what was changed in a fork into the directory that it is of.
//!
//! A merge looks at what changed in the fork since it was made, or last merged, and for each
//! change at three states of the file: as it was then, as the fork has it, and as the target has
//! it. What only one side changed is taken; of a text that both did, the lines are merged. Files
//! are found by inode, so a file that the target has moved meanwhile is found where it is. All of
//! it is one commit, or nothing is.

use nexus_kernel::{Durability, Error, Result, Revision};

use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::tx::Tx;

mod apply;
mod change;
mod contents;
mod deeds;
mod details;
mod made;
mod names;
mod places;
mod plan;
mod sides;
mod text;

pub(crate) use sides::MergedRecord;
pub use text::{MERGE_LINE_STEPS_MAX, MERGE_TEXT_BYTES_MAX};

/// Most changes of one merge.
pub const MERGE_CHANGES_MAX: usize = 10_000;

/// What to do where both sides changed the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MergeStrategy {
    /// Nothing is merged; the answer tells where.
    #[default]
    Report,
    /// A text gets both versions between conflict markers, in the style of diff3. Any other
    /// conflict is reported, and then nothing is merged.
    Markers,
    /// The target stays as it is there.
    Ours,
    /// The fork counts there.
    Theirs,
}

impl MergeStrategy {
    /// All strategies.
    pub const ALL: [Self; 4] = [Self::Report, Self::Markers, Self::Ours, Self::Theirs];

    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Markers => "markers",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }
}

impl std::str::FromStr for MergeStrategy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| {
            Error::invalid("conflicts are merged by report, markers, ours or theirs")
                .with("strategy", crate::path::shown(text))
        })
    }
}

/// How to merge.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    /// What to do where both sides changed the same.
    pub strategy: MergeStrategy,
    /// Tells what would be done, and does nothing.
    pub dry_run: bool,
    /// Into which directory: the one that was forked, if not given, or another fork of it.
    pub into: Option<String>,
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
    /// Whether all is merged: not in a dry run, nor where a conflict stands in the way.
    pub applied: bool,
    /// What changes in the target, by path.
    pub changes: Vec<MergeChange>,
    /// Where both sides changed the same.
    pub conflicts: Vec<MergeConflict>,
}

/// One change that a merge makes in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeChange {
    /// What is done.
    pub kind: MergeChangeKind,
    /// Where, in the target.
    pub path: String,
    /// Of a move, where from.
    pub old_path: Option<String>,
}

/// What a merge does to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MergeChangeKind {
    /// It is new.
    Added,
    /// It gets the fork's content.
    Taken,
    /// It gets a content made of both.
    Merged,
    /// It gets both contents between conflict markers.
    Marked,
    /// It moves.
    Renamed,
    /// It goes.
    Removed,
    /// Its mode or owner changes.
    Attributes,
    /// Its custom metadata or tags change.
    Metadata,
}

impl MergeChangeKind {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Taken => "taken",
            Self::Merged => "merged",
            Self::Marked => "marked",
            Self::Renamed => "renamed",
            Self::Removed => "removed",
            Self::Attributes => "attributes",
            Self::Metadata => "metadata",
        }
    }
}

/// Where both sides changed the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeConflict {
    /// What is at odds.
    pub kind: MergeConflictKind,
    /// Where, in the target.
    pub path: String,
    /// Whether the strategy decided it.
    pub resolved: bool,
}

/// What two sides can be at odds about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MergeConflictKind {
    /// Both changed the content, and lines that both changed, or one that is no text.
    Content,
    /// The fork changed what the target has removed.
    Removed,
    /// The fork removed what the target has changed.
    Changed,
    /// Both made something else under the same name.
    Added,
    /// They moved it to different places, or to where something else is.
    Renamed,
    /// One has a file where the other has a directory or a link.
    Kind,
    /// Both changed its mode or owner.
    Attributes,
    /// Both changed a value of its custom metadata.
    Metadata,
}

impl MergeConflictKind {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Renamed => "renamed",
            Self::Kind => "kind",
            Self::Attributes => "attributes",
            Self::Metadata => "metadata",
        }
    }
}

impl Session {
    /// Merges a fork into the directory that it is of, or another fork of that: what changed in
    /// the fork since it was made, or since it was last merged there. In one commit, or not at
    /// all: with a conflict that the strategy does not decide, nothing is changed.
    ///
    /// The fork stays as it is. It can be merged again when it has changed again.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no fork, and for a target that it is no relative of,
    /// `NotFound` when the directory that was forked is gone, `LimitExceeded` for more than
    /// [`MERGE_CHANGES_MAX`] changes, `PermissionDenied` without the right to read the fork and to
    /// make the changes.
    pub async fn merge(&self, fork: &str, options: MergeOptions) -> Result<MergeReport> {
        let mut texts = contents::Texts::default();
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            tx.depends_on_path();
            let (sides, mut plan) = match sides_and_plan(&mut tx, fork, &options, &mut texts).await
            {
                Err(_) if tx.is_torn() && attempt < crate::steps::TORN_MAX => continue,
                planned => planned?,
            };
            let decided = plan.conflicts.iter().all(|conflict| conflict.resolved);
            let mut report = MergeReport {
                fork: sides.fork_path.clone(),
                into: sides.target.path.clone(),
                base: sides.base,
                merged: sides.merged,
                revision: None,
                applied: decided && !options.dry_run,
                changes: std::mem::take(&mut plan.changes),
                conflicts: std::mem::take(&mut plan.conflicts),
            };
            report.changes.sort_by(|a, b| a.path.cmp(&b.path));
            if !report.applied {
                return Ok(report);
            }
            let changes = plan.apply(&mut tx, &sides.target.path).await?;
            sides.note_merge(&mut tx).await?;
            if let Some(committed) = tx.commit(options.durability).await? {
                report.revision = changes.then_some(committed.revision);
                return Ok(report);
            }
            tokio::task::yield_now().await;
        }
        Err(Error::conflict(
            "others kept changing the same files first; try again",
        ))
    }
}

async fn sides_and_plan<'t>(
    tx: &mut Tx<'t>,
    fork: &str,
    options: &MergeOptions,
    texts: &mut contents::Texts,
) -> Result<(sides::Sides<'t>, plan::Plan)> {
    let sides = sides::Sides::find(tx, fork, options.into.as_deref()).await?;
    let plan = plan::Plan::make(tx, &sides, options, texts).await?;
    Ok((sides, plan))
}

#[cfg(test)]
mod tests;
