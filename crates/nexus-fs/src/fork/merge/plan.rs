//! What a merge is going to do, and what stands in its way.

use std::collections::HashSet;

use nexus_kernel::{Error, Result};

use super::apply::{Addition, Placement};
use super::change::Planner;
use super::contents::Texts;
use super::deeds::{Act, Deed};
use super::names::{Going, of_kind};
use super::places::Places;
use super::sides::Sides;
use super::{
    MERGE_CHANGES_MAX, MergeChange, MergeChangeKind, MergeConflict, MergeConflictKind,
    MergeOptions, MergeStrategy,
};
use crate::diff_tree::{DiffTreeOptions, TreeChange, TreeChangeKind};
use crate::records::{DentryRecord, kind_code};
use crate::tx::Tx;
use crate::types::FileKind;

/// The changes of a merge.
#[derive(Default)]
pub(super) struct Plan {
    /// What changes something in its place, or removes a file.
    pub deeds: Vec<Deed>,
    pub placements: Vec<Placement>,
    pub additions: Vec<Addition>,
    /// Directories that the fork has removed, as far as not decided.
    pub going: Vec<Going>,
    /// Those in which nothing is left, the inner ones first.
    pub emptied: Vec<Going>,
    pub changes: Vec<MergeChange>,
    pub conflicts: Vec<MergeConflict>,
    /// Names that this frees.
    pub freed: HashSet<String>,
    /// Names that something gets.
    pub taken: HashSet<String>,
    /// Files of the target whose content is decided.
    pub decided: HashSet<u64>,
}

impl Plan {
    pub(super) async fn make<'a>(
        tx: &mut Tx<'a>,
        sides: &Sides<'a>,
        options: &MergeOptions,
        texts: &mut Texts,
    ) -> Result<Self> {
        let differences = differences(tx, sides).await?;
        let mut planner = Planner {
            tx,
            sides,
            places: Places::default(),
            strategy: options.strategy,
            dry_run: options.dry_run,
            texts,
            plan: Self::default(),
        };
        planner.names(&differences).await?;
        for change in of_kind(&differences, TreeChangeKind::Added) {
            planner.tx.session.check_goes_on()?;
            planner.added(change).await?;
        }
        for change in of_kind(&differences, TreeChangeKind::Modified) {
            planner.tx.session.check_goes_on()?;
            planner.modified(change).await?;
        }
        Ok(planner.plan)
    }

    pub(super) fn does(&mut self, path: String, act: Act) {
        self.deeds.push(Deed { path, act });
    }

    pub(super) fn note(&mut self, kind: MergeChangeKind, path: String) {
        self.changes.push(MergeChange {
            kind,
            path,
            old_path: None,
        });
    }

    /// Notes that both versions of a text stand in it between markers.
    pub(super) fn mark(&mut self, path: String) {
        self.conflicts.push(MergeConflict {
            kind: MergeConflictKind::Content,
            path,
            resolved: true,
        });
    }

    /// Notes a conflict; says whether the fork counts there all the same.
    pub(super) fn conflict(
        &mut self,
        strategy: MergeStrategy,
        kind: MergeConflictKind,
        path: String,
    ) -> bool {
        let decided = matches!(strategy, MergeStrategy::Ours | MergeStrategy::Theirs);
        // Neither side's word makes a directory of a file, or one name of two.
        let decidable = match kind {
            MergeConflictKind::Kind | MergeConflictKind::Renamed => strategy == MergeStrategy::Ours,
            _ => decided,
        };
        self.conflicts.push(MergeConflict {
            kind,
            path,
            resolved: decidable,
        });
        decidable && strategy == MergeStrategy::Theirs
    }
}

/// What changed in the fork.
async fn differences(tx: &Tx<'_>, sides: &Sides<'_>) -> Result<Vec<TreeChange>> {
    let fork = DentryRecord {
        ino: sides.root(),
        kind: kind_code(FileKind::Directory),
    };
    let place = (&sides.fork_path[..], &sides.fork_chain[..]);
    let options = DiffTreeOptions { expand: true };
    let revisions = [sides.base, sides.merged];
    let diff = { tx.session }
        .diff_directory(place, fork, revisions, options)
        .await?;
    if diff.changes.len() <= MERGE_CHANGES_MAX {
        return Ok(diff.changes);
    }
    Err(
        Error::limit("the fork has too many changes to merge in one commit")
            .with("changes", diff.changes.len())
            .with("changes_max", MERGE_CHANGES_MAX),
    )
}
