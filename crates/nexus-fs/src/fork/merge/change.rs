//! One change of the fork, and what it means for the target.

use nexus_kernel::Result;

use super::apply::{Addition, Placement, Where};
use super::contents::Texts;
use super::deeds::Act;
use super::made::Made;
use super::names::Going;
use super::places::{Is, Places, Spot, by_inode, name_in_fork};
use super::plan::Plan;
use super::sides::Sides;
use super::{MergeChangeKind, MergeConflictKind, MergeStrategy};
use crate::diff_tree::TreeChange;
use crate::path;
use crate::records::{InodeRecord, unreadable};
use crate::resolve::End;
use crate::tx::Tx;
use crate::types::Stat;

pub(super) struct Planner<'p, 'a> {
    pub tx: &'p mut Tx<'a>,
    pub sides: &'p Sides<'a>,
    pub places: Places,
    pub strategy: MergeStrategy,
    pub dry_run: bool,
    pub texts: &'p mut Texts,
    pub plan: Plan,
}

/// A file or directory of the target.
pub(super) struct Ours {
    pub path: String,
    pub ino: u64,
    pub record: InodeRecord,
}

impl Planner<'_, '_> {
    /// Forgets what was planned so far.
    pub(super) fn begin(&mut self) {
        self.places = Places::default();
        self.plan = Plan::default();
    }

    pub(super) async fn removed(&mut self, change: &TreeChange) -> Result<()> {
        let Some(old) = &change.old else {
            return Ok(());
        };
        let Some(ours) = self.find(&change.path, old).await? else {
            return Ok(());
        };
        if ours.record.file_kind() != old.kind {
            self.conflict(MergeConflictKind::Kind, ours.path);
            return Ok(());
        }
        if self.is_changed(old, &ours).await?
            && !self.conflict(MergeConflictKind::Changed, ours.path.clone())
        {
            return Ok(());
        }
        let Ours { path, ino, .. } = ours;
        if old.is_dir() {
            self.plan.going.push(Going { path, ino });
            return Ok(());
        }
        self.plan.freed.insert(path.clone());
        self.plan.note(MergeChangeKind::Removed, path.clone());
        self.plan.does(path, Act::Remove);
        Ok(())
    }

    /// Whether the target has changed something, wherever it is.
    async fn is_changed(&self, old: &Stat, ours: &Ours) -> Result<bool> {
        let facts = |of: &InodeRecord| (of.etag.clone(), of.mode, of.uid, of.gid);
        let before = self.record_before(old).await?;
        if facts(&before) != facts(&ours.record) {
            return Ok(true);
        }
        let before = self.sides.before().metadata_of(old.ino.0).await?;
        Ok(before != self.tx.view().metadata_of(ours.ino).await?)
    }

    pub(super) async fn added(&mut self, change: &TreeChange) -> Result<()> {
        let Some(new) = &change.new else {
            return Ok(());
        };
        let path = &change.path;
        let Some(spot) = self.spot_in_theirs(path, new.ino.0).await? else {
            // The directory that it belongs in has gone.
            return self.add_again(path, new).await;
        };
        let theirs = self.record_theirs(new).await?;
        let taken = spot.found.filter(|_| !self.is_free(&spot));
        let Some(taken) = taken else {
            return self.place_new(path, spot, new.ino.0, &theirs).await;
        };
        let ours = self.ours(spot.path(), taken.ino).await?;
        if ours.record.file_kind() != new.kind {
            self.conflict(MergeConflictKind::Kind, ours.path);
            return Ok(());
        }
        if !new.is_dir() && ours.record.etag != theirs.etag {
            self.merge_content(path, None, new.ino.0, &theirs, &ours)
                .await?;
        }
        self.merge_metadata(None, new.ino.0, &ours).await
    }

    /// Takes over a file, link or directory that is new.
    async fn place_new(
        &mut self,
        path: &str,
        at: Spot,
        ino: u64,
        theirs: &InodeRecord,
    ) -> Result<()> {
        if !self.plan.taken.insert(at.path()) {
            self.conflict(MergeConflictKind::Kind, at.path());
            return Ok(());
        }
        self.plan.note(MergeChangeKind::Added, at.path());
        let made = Made::of(self.sides.theirs(), path, ino, theirs).await?;
        if theirs.is_dir() {
            self.places.made(ino, at.path());
            self.plan.placements.push(Placement::Make { ino, made, at });
        } else {
            let at = Where::Spot(at);
            self.plan.additions.push(Addition { at, made });
        }
        Ok(())
    }

    /// The target has removed what the fork has changed, or the directory that it is in. If the
    /// fork counts, it is made again under its path in the fork.
    pub(super) async fn add_again(&mut self, path: &str, new: &Stat) -> Result<()> {
        let target = self.path_by_name(path);
        let place = self.tx.resolve(&target, false).await?;
        let free = match place.end {
            End::Missing(_) => true,
            End::Found(_) => self.plan.freed.contains(&target),
            End::Blocked | End::Circle => false,
        };
        if !free || !place.links.is_empty() || self.plan.taken.contains(&target) {
            // Something else is there by now.
            self.conflict(MergeConflictKind::Kind, target);
            return Ok(());
        }
        if self.conflict(MergeConflictKind::Removed, target.clone()) {
            let theirs = self.record_theirs(new).await?;
            let made = Made::of(self.sides.theirs(), path, new.ino.0, &theirs).await?;
            self.plan.note(MergeChangeKind::Added, target.clone());
            self.plan.taken.insert(target.clone());
            let at = Where::Path(target);
            self.plan.additions.push(Addition { at, made });
        }
        Ok(())
    }

    pub(super) async fn modified(&mut self, change: &TreeChange) -> Result<()> {
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return Ok(());
        };
        let path = &change.path;
        let old_path = change.old_path.as_deref().unwrap_or(path);
        match self.find(old_path, old).await? {
            Some(ours) => self.take_changes((path, old, new), &ours).await,
            None => self.add_again(path, new).await,
        }
    }

    /// Brings the changes of a file or directory into the one of the target.
    pub(super) async fn take_changes(
        &mut self,
        (path, old, new): (&str, &Stat, &Stat),
        ours: &Ours,
    ) -> Result<()> {
        if new.kind != old.kind || ours.record.file_kind() != new.kind {
            self.conflict(MergeConflictKind::Kind, ours.path.clone());
            return Ok(());
        }
        if !self.plan.decided.insert(ours.ino) {
            // By another of its names.
            return Ok(());
        }
        let before = self.record_before(old).await?;
        let theirs = self.record_theirs(new).await?;
        if theirs.etag != before.etag && theirs.etag != ours.record.etag {
            let ino = new.ino.0;
            if ours.record.etag == before.etag {
                self.take_content(path, ino, &theirs, ours)?;
            } else {
                self.merge_content(path, Some(&before), ino, &theirs, ours)
                    .await?;
            }
        }
        self.merge_attributes(&before, &theirs, ours);
        self.merge_metadata(Some(old.ino.0), new.ino.0, ours).await
    }

    pub(super) fn conflict(&mut self, kind: MergeConflictKind, path: String) -> bool {
        self.plan.conflict(self.strategy, kind, path)
    }

    /// What the target has for a file or directory as the fork had it: under the same name the
    /// same inode, else that inode wherever it is now, else what has the name now.
    pub(super) async fn find(&mut self, path: &str, old: &Stat) -> Result<Option<Ours>> {
        let spot = self.spot_in_before(path, old.ino.0).await?;
        let counterpart = self.sides.counterpart(old.ino.0).await?;
        let named = spot.and_then(|spot| Some((spot.path(), spot.found?.ino)));
        if let Some((path, ino)) = &named
            && Some(*ino) == counterpart
        {
            return self.ours(path.clone(), *ino).await.map(Some);
        }
        let moved = by_inode(self.tx, self.sides, old.ino.0).await?;
        if let Some(moved) = moved
            && let Is::There(ino) = moved.is
        {
            return self.ours(moved.path, ino).await.map(Some);
        }
        match named {
            // What the fork had elsewhere is found by that.
            Some((path, ino)) if !self.sides.has_before(ino).await? => {
                self.ours(path, ino).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn ours(&mut self, path: String, ino: u64) -> Result<Ours> {
        let record = self.tx.inode(ino).await?.cloned();
        let record = record.ok_or_else(|| unreadable("inode of a name"))?;
        Ok(Ours { path, ino, record })
    }

    pub(super) async fn spot_in_before(&mut self, path: &str, ino: u64) -> Result<Option<Spot>> {
        let Some((parent, name)) =
            name_in_fork(self.sides, &self.sides.before(), path, ino).await?
        else {
            return Ok(None);
        };
        self.spot(ino, parent, &name).await
    }

    pub(super) async fn spot_in_theirs(&mut self, path: &str, ino: u64) -> Result<Option<Spot>> {
        let Some((parent, name)) =
            name_in_fork(self.sides, &self.sides.theirs(), path, ino).await?
        else {
            return Ok(None);
        };
        self.spot(ino, parent, &name).await
    }

    async fn spot(&mut self, ino: u64, parent: u64, name: &str) -> Result<Option<Spot>> {
        if ino == self.sides.root() {
            return self.top().await;
        }
        self.places.spot(self.tx, self.sides, (parent, name)).await
    }

    /// The target itself, which changes and never moves.
    async fn top(&mut self) -> Result<Option<Spot>> {
        let place = self.tx.resolve(&self.sides.target.path, false).await?;
        let Some((parent, name)) = Tx::name_of(&place) else {
            return Ok(None);
        };
        let (directory, _) = path::split(&place.path).expect("it has a name");
        Ok(Some(Spot {
            directory: super::places::Directory {
                path: directory.to_owned(),
                is: Is::There(parent),
            },
            name: name.to_owned(),
            found: Some(place.found()?),
        }))
    }

    /// The path that something of the fork has in the target if nothing was moved there.
    pub(super) fn path_by_name(&self, path: &str) -> String {
        let rest = path.strip_prefix(&self.sides.fork_path).unwrap_or(path);
        format!("{}{rest}", self.sides.target.path.trim_end_matches('/'))
    }

    async fn record_before(&self, old: &Stat) -> Result<InodeRecord> {
        let found = self.sides.before().inode(old.ino.0).await?;
        found
            .map(|inode| inode.record.clone())
            .ok_or_else(|| unreadable("inode of a name"))
    }

    async fn record_theirs(&self, new: &Stat) -> Result<InodeRecord> {
        let found = self.sides.theirs().inode(new.ino.0).await?;
        found
            .map(|inode| inode.record.clone())
            .ok_or_else(|| unreadable("inode of a name"))
    }
}
