//! One change of the fork, and what it means for the target.

use nexus_kernel::Result;

use super::apply::{Addition, Deed, Placement};
use super::places::{Is, Places, Spot, by_inode, name_in_fork};
use super::plan::Plan;
use super::sides::Sides;
use super::{MergeChange, MergeChangeKind, MergeConflictKind, MergeStrategy};
use crate::content::Stored;
use crate::diff_tree::{TreeChange, TreeChangeKind};
use crate::path;
use crate::records::{InodeRecord, unreadable};
use crate::steps::Step;
use crate::tx::Tx;
use crate::types::{FileKind, RemoveOptions, Stat, WriteOptions};

pub(super) struct Planner<'p, 'a> {
    pub tx: &'p mut Tx<'a>,
    pub sides: &'p Sides<'a>,
    pub places: Places,
    pub strategy: MergeStrategy,
    pub plan: Plan,
}

/// A file or directory of the target.
pub(super) struct Ours {
    pub path: String,
    pub ino: u64,
    pub record: InodeRecord,
}

impl Planner<'_, '_> {
    pub(super) async fn add(&mut self, change: &TreeChange) -> Result<()> {
        match (change.kind, &change.old, &change.new) {
            (TreeChangeKind::Removed, Some(old), _) => self.removed(&change.path, old).await,
            (TreeChangeKind::Added, _, Some(new)) => self.added(&change.path, new).await,
            (TreeChangeKind::Modified, Some(old), Some(new)) => {
                let old_path = change.old_path.as_deref().unwrap_or(&change.path);
                self.modified((old_path, old), (&change.path, new)).await
            }
            (TreeChangeKind::Renamed, Some(old), Some(new)) => {
                let old_path = change.old_path.as_deref().unwrap_or(&change.path);
                self.renamed((old_path, old), (&change.path, new)).await
            }
            _ => Err(unreadable("difference of two trees")),
        }
    }

    async fn removed(&mut self, path: &str, old: &Stat) -> Result<()> {
        let Some(ours) = self.find(path, old).await? else {
            return Ok(());
        };
        if ours.record.file_kind() != old.kind {
            self.conflict(MergeConflictKind::Kind, ours.path);
            return Ok(());
        }
        if old.is_dir() {
            self.plan.freed.insert(ours.path.clone());
            self.plan.removed_directories.push(ours.path.clone());
            self.plan.note(MergeChangeKind::Removed, ours.path);
            return Ok(());
        }
        let before = self.record_before(old).await?;
        if ours.record.etag != before.etag
            && !self.conflict(MergeConflictKind::Changed, ours.path.clone())
        {
            return Ok(());
        }
        self.remove(ours.path);
        Ok(())
    }

    fn remove(&mut self, path: String) {
        self.plan.freed.insert(path.clone());
        self.plan.note(MergeChangeKind::Removed, path.clone());
        self.plan.deeds.push(Deed::plain(remove_step(path)));
    }

    async fn added(&mut self, path: &str, new: &Stat) -> Result<()> {
        let Some(spot) = self.spot_in_theirs(path, new.ino.0).await? else {
            // The directory that it belongs in has gone.
            let target = self.path_by_name(path);
            if self.conflict(MergeConflictKind::Removed, target.clone()) {
                self.add_with_parents(path, target, new).await?;
            }
            return Ok(());
        };
        let theirs = self.record_theirs(new).await?;
        let taken = spot
            .found
            .filter(|_| !self.plan.freed.contains(&spot.path()));
        let Some(taken) = taken else {
            return self.place_new(path, spot, new, &theirs).await;
        };
        let ours = self.ours(spot.path(), taken.ino).await?;
        if ours.record.file_kind() != new.kind {
            self.conflict(MergeConflictKind::Kind, ours.path);
            return Ok(());
        }
        if !new.is_dir() && ours.record.etag != theirs.etag {
            return self
                .merge_content(path, None, new.ino.0, &theirs, &ours)
                .await;
        }
        Ok(())
    }

    /// Takes over a file, link or directory that is new.
    async fn place_new(
        &mut self,
        path: &str,
        at: Spot,
        new: &Stat,
        theirs: &InodeRecord,
    ) -> Result<()> {
        self.plan.note(MergeChangeKind::Added, at.path());
        let ino = new.ino.0;
        if new.is_dir() {
            self.places.made(ino, at.path());
            let mode = new.mode;
            self.plan.placements.push(Placement::Make { ino, mode, at });
            return Ok(());
        }
        let metadata = self.sides.theirs().metadata_of(ino).await?;
        let source = path.to_owned();
        let deed: Box<dyn FnOnce(String) -> Deed + Send + Sync> = match new.kind {
            FileKind::Symlink => {
                let target = String::from_utf8_lossy(&theirs.inline).into_owned();
                Box::new(move |path| Deed::plain(Step::Symlink { target, path }))
            }
            _ => {
                let content = Stored::shared(theirs)?.into();
                let options = WriteOptions {
                    mode: Some(theirs.mode),
                    metadata: metadata.into_iter().collect(),
                    ..WriteOptions::default()
                };
                Box::new(move |path| Deed {
                    step: Step::Write {
                        path,
                        content,
                        options,
                        source: None,
                    },
                    source: Some((ino, source)),
                })
            }
        };
        self.plan.additions.push(Addition { at, deed });
        Ok(())
    }

    /// Takes over a file whose directory the target has no more.
    async fn add_with_parents(&mut self, path: &str, target: String, new: &Stat) -> Result<()> {
        if new.kind != FileKind::File {
            return Ok(());
        }
        let theirs = self.record_theirs(new).await?;
        self.plan.note(MergeChangeKind::Added, target.clone());
        self.plan.deeds.push(Deed {
            step: Step::Write {
                path: target,
                content: Stored::shared(&theirs)?.into(),
                options: WriteOptions {
                    parents: true,
                    mode: Some(theirs.mode),
                    ..WriteOptions::default()
                },
                source: None,
            },
            source: Some((new.ino.0, path.to_owned())),
        });
        Ok(())
    }

    async fn modified(
        &mut self,
        (old_path, old): (&str, &Stat),
        (path, new): (&str, &Stat),
    ) -> Result<()> {
        let Some(ours) = self.find(old_path, old).await? else {
            let target = self.path_by_name(path);
            if !new.is_dir() && self.conflict(MergeConflictKind::Removed, target.clone()) {
                self.add_with_parents(path, target, new).await?;
            }
            return Ok(());
        };
        self.take_changes((path, old, new), &ours).await
    }

    /// Brings the changes of a file or directory into the one of the target.
    async fn take_changes(
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
        self.merge_metadata(old.ino.0, new.ino.0, ours).await
    }

    async fn renamed(
        &mut self,
        (old_path, old): (&str, &Stat),
        (path, new): (&str, &Stat),
    ) -> Result<()> {
        let Some(ours) = self.find(old_path, old).await? else {
            let target = self.path_by_name(path);
            if !new.is_dir() && self.conflict(MergeConflictKind::Removed, target.clone()) {
                self.add_with_parents(path, target, new).await?;
            }
            return Ok(());
        };
        let from = self.spot_in_before(old_path, old.ino.0).await?;
        let Some(to) = self.spot_in_theirs(path, new.ino.0).await? else {
            self.conflict(MergeConflictKind::Renamed, ours.path);
            return Ok(());
        };
        self.take_changes((path, old, new), &ours).await?;
        if to.path() == ours.path {
            return Ok(());
        }
        let stayed = from.is_some_and(|from| from.path() == ours.path);
        let free = to.found.is_none() || self.plan.freed.contains(&to.path());
        if !stayed || !free {
            self.conflict(MergeConflictKind::Renamed, to.path());
            return Ok(());
        }
        self.plan.freed.insert(ours.path.clone());
        self.plan.changes.push(MergeChange {
            kind: MergeChangeKind::Renamed,
            path: to.path(),
            old_path: Some(ours.path.clone()),
        });
        let from = ours.path;
        self.plan.placements.push(Placement::Move { from, to });
        Ok(())
    }

    pub(super) fn conflict(&mut self, kind: MergeConflictKind, path: String) -> bool {
        self.plan.conflict(self.strategy, kind, path)
    }

    /// What the target has for a file or directory as the fork had it: under the same name the
    /// same inode, else that inode wherever it is now, else what has the name now.
    async fn find(&mut self, path: &str, old: &Stat) -> Result<Option<Ours>> {
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
            Some((path, ino)) => self.ours(path, ino).await.map(Some),
            None => Ok(None),
        }
    }

    async fn ours(&mut self, path: String, ino: u64) -> Result<Ours> {
        let record = self.tx.inode(ino).await?.cloned();
        let record = record.ok_or_else(|| unreadable("inode of a name"))?;
        Ok(Ours { path, ino, record })
    }

    async fn spot_in_before(&mut self, path: &str, ino: u64) -> Result<Option<Spot>> {
        let Some((parent, name)) = name_in_fork(&self.sides.before(), path, ino).await? else {
            return Ok(None);
        };
        self.spot(ino, parent, &name).await
    }

    async fn spot_in_theirs(&mut self, path: &str, ino: u64) -> Result<Option<Spot>> {
        let Some((parent, name)) = name_in_fork(&self.sides.theirs(), path, ino).await? else {
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
    fn path_by_name(&self, path: &str) -> String {
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

pub(super) fn remove_step(path: String) -> Step {
    Step::Remove {
        path,
        options: RemoveOptions::default(),
        only_directory: false,
    }
}
