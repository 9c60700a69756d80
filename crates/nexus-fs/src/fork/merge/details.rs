//! Merging what is about a file and not in it.

use std::collections::{BTreeMap, BTreeSet};

use nexus_kernel::Result;

use super::change::{Ours, Planner};
use super::deeds::Act;
use super::{MergeChangeKind, MergeConflictKind};
use crate::records::InodeRecord;
use crate::types::SetAttributes;

impl Planner<'_, '_> {
    pub(super) fn merge_attributes(
        &mut self,
        before: &InodeRecord,
        theirs: &InodeRecord,
        ours: &Ours,
    ) {
        let all = |record: &InodeRecord| [record.mode, record.uid, record.gid];
        let three = all(before)
            .into_iter()
            .zip(all(theirs))
            .zip(all(&ours.record));
        let changes = three.map(|((before, theirs), ours)| {
            let changed = theirs != before && theirs != ours;
            (changed.then_some(theirs), changed && ours != before)
        });
        let changes: Vec<(Option<u32>, bool)> = changes.collect();
        if changes.iter().all(|(set, _)| set.is_none()) {
            return;
        }
        let conflicts = changes.iter().any(|(_, conflicts)| *conflicts);
        if conflicts && !self.conflict(MergeConflictKind::Attributes, ours.path.clone()) {
            return;
        }
        let set = SetAttributes {
            mode: changes[0].0,
            uid: changes[1].0,
            gid: changes[2].0,
            ..SetAttributes::default()
        };
        self.plan
            .note(MergeChangeKind::Attributes, ours.path.clone());
        self.plan.does(ours.path.clone(), Act::SetAttributes(set));
    }

    /// Values of custom metadata, and tags, each by itself.
    pub(super) async fn merge_metadata(
        &mut self,
        old: Option<u64>,
        new: u64,
        ours: &Ours,
    ) -> Result<()> {
        let before = match old {
            Some(old) => self.sides.before().metadata_of(old).await?,
            // Both have made it.
            None => BTreeMap::new(),
        };
        let theirs = self.sides.theirs().metadata_of(new).await?;
        if before == theirs {
            return Ok(());
        }
        let own = self.tx.view().metadata_of(ours.ino).await?;
        let keys: BTreeSet<&String> = before.keys().chain(theirs.keys()).collect();
        let mut set = Vec::new();
        let mut conflicts = false;
        for key in keys {
            let (before, theirs, own) = (before.get(key), theirs.get(key), own.get(key));
            if theirs == before || theirs == own {
                continue;
            }
            conflicts |= own != before;
            set.push((key.clone(), theirs.cloned()));
        }
        if set.is_empty()
            || conflicts && !self.conflict(MergeConflictKind::Metadata, ours.path.clone())
        {
            return Ok(());
        }
        self.plan.note(MergeChangeKind::Metadata, ours.path.clone());
        self.plan.does(ours.path.clone(), Act::SetMetadata(set));
        Ok(())
    }
}
