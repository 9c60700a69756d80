//! Which names a merge frees, and what can take them.
//!
//! A name is free for something of the fork if nothing has it in the target, or what has it goes:
//! it is removed, it is a directory that the merge empties, or it moves. Whether it moves depends
//! on its own new name; so all moves count as done first, and those of which that turns out wrong
//! are left out, until what is left fits together.

use std::collections::{HashMap, HashSet};

use nexus_kernel::Result;

use super::apply::Placement;
use super::change::{Ours, Planner};
use super::places::Spot;
use super::{MergeChange, MergeChangeKind, MergeConflictKind};
use crate::diff_tree::{TreeChange, TreeChangeKind};
use crate::path;
use crate::types::Stat;

/// Names of a directory read at a time.
const PAGE: usize = 1_000;

/// A directory of the target that the fork has removed.
pub(super) struct Going {
    pub path: String,
    pub ino: u64,
}

/// A move that the fork made of something that the target has.
struct Move<'c> {
    new_path: &'c str,
    old: &'c Stat,
    new: &'c Stat,
    ours: Ours,
    /// Whether the target has it where the fork had it, and it is not to be left out.
    goes: bool,
    to: Option<Spot>,
}

impl Move<'_> {
    fn is_there(&self) -> bool {
        self.to
            .as_ref()
            .is_some_and(|to| to.path() == self.ours.path)
    }
}

impl Planner<'_, '_> {
    /// Plans what goes and what moves.
    pub(super) async fn names(&mut self, changes: &[TreeChange]) -> Result<()> {
        let mut left_out: HashSet<String> = HashSet::new();
        loop {
            self.begin();
            let (mut moves, lost) = self.goes(changes, &left_out).await?;
            for change in of_kind(changes, TreeChangeKind::Added) {
                self.expect_directory(change).await?;
            }
            for one in &mut moves {
                one.to = self.spot_in_theirs(one.new_path, one.new.ino.0).await?;
            }
            let blocked = self.blocked(&moves);
            if blocked.is_empty() {
                self.moves(moves).await?;
                return self.lost(&lost).await;
            }
            left_out.extend(blocked);
        }
    }

    /// What goes, and with that the names that are free; the moves, and those of what the target
    /// has no more.
    async fn goes<'c>(
        &mut self,
        changes: &'c [TreeChange],
        left_out: &HashSet<String>,
    ) -> Result<(Vec<Move<'c>>, Vec<&'c TreeChange>)> {
        for change in of_kind(changes, TreeChangeKind::Removed) {
            self.removed(change).await?;
        }
        let (mut moves, mut lost) = (Vec::new(), Vec::new());
        for change in of_kind(changes, TreeChangeKind::Renamed) {
            let (Some(old), Some(new)) = (&change.old, &change.new) else {
                continue;
            };
            let old_path = change.old_path.as_deref().unwrap_or(&change.path);
            let Some(ours) = self.find(old_path, old).await? else {
                lost.push(change);
                continue;
            };
            let from = self.spot_in_before(old_path, old.ino.0).await?;
            let stayed = from.is_some_and(|from| from.path() == ours.path);
            let goes = stayed && !left_out.contains(&change.path);
            if goes {
                self.plan.freed.insert(ours.path.clone());
            }
            moves.push(Move {
                new_path: &change.path,
                old,
                new,
                ours,
                goes,
                to: None,
            });
        }
        self.free_emptied().await?;
        Ok((moves, lost))
    }

    /// Frees the names of directories in which nothing is left, the inner ones first.
    async fn free_emptied(&mut self) -> Result<()> {
        let mut going = std::mem::take(&mut self.plan.going);
        going.sort_unstable_by(|one, other| other.path.cmp(&one.path));
        for directory in going {
            self.tx.session.check_goes_on()?;
            if self.is_emptied(&directory).await? {
                self.plan.freed.insert(directory.path.clone());
                self.plan
                    .note(MergeChangeKind::Removed, directory.path.clone());
                self.plan.emptied.push(directory);
            }
        }
        Ok(())
    }

    async fn is_emptied(&self, directory: &Going) -> Result<bool> {
        let view = self.tx.view();
        let mut after: Option<String> = None;
        loop {
            let (children, last) = view.children(directory.ino, after.as_deref(), PAGE).await?;
            let mut paths = children
                .iter()
                .map(|child| path::join(&directory.path, &child.name));
            if !paths.all(|path| self.plan.freed.contains(&path)) {
                return Ok(false);
            }
            if last.is_none() {
                return Ok(true);
            }
            after = last;
        }
    }

    /// Notes a directory that is going to be made, so that something may move into it.
    async fn expect_directory(&mut self, change: &TreeChange) -> Result<()> {
        let Some(new) = change.new.as_ref().filter(|new| new.is_dir()) else {
            return Ok(());
        };
        let ino = new.ino.0;
        if let Some(spot) = self.spot_in_theirs(&change.path, ino).await?
            && self.is_free(&spot)
        {
            self.places.made(ino, spot.path());
        }
        Ok(())
    }

    pub(super) fn is_free(&self, spot: &Spot) -> bool {
        spot.found.is_none() || self.plan.freed.contains(&spot.path())
    }

    /// Moves that do not come off after all, by their new paths in the fork.
    fn blocked(&self, moves: &[Move<'_>]) -> HashSet<String> {
        let going = || moves.iter().filter(|one| one.goes);
        let mut takers: HashMap<String, &Move<'_>> = HashMap::new();
        let mut stay = Vec::new();
        for one in going() {
            let free = one.to.as_ref().filter(|to| self.is_free(to));
            match free {
                Some(to) if !one.is_there() => _ = takers.insert(to.path(), one),
                _ => stay.push(one),
            }
        }
        let mut blocked = HashSet::new();
        while let Some(one) = stay.pop() {
            blocked.insert(one.new_path.to_owned());
            // What was to take the name that this one keeps.
            stay.extend(takers.remove(&one.ours.path));
        }
        blocked
    }

    async fn moves(&mut self, moves: Vec<Move<'_>>) -> Result<()> {
        for one in in_order(moves) {
            let Some(to) = &one.to else {
                self.conflict(MergeConflictKind::Renamed, one.ours.path);
                continue;
            };
            self.take_changes((one.new_path, one.old, one.new), &one.ours)
                .await?;
            if one.is_there() {
                continue;
            }
            let to = to.clone();
            if !one.goes || !self.plan.taken.insert(to.path()) {
                self.conflict(MergeConflictKind::Renamed, to.path());
                continue;
            }
            let from = one.ours.path;
            self.plan.changes.push(MergeChange {
                kind: MergeChangeKind::Renamed,
                path: to.path(),
                old_path: Some(from.clone()),
            });
            self.plan.placements.push(Placement::Move { from, to });
        }
        Ok(())
    }

    async fn lost(&mut self, lost: &[&TreeChange]) -> Result<()> {
        for change in lost {
            match &change.new {
                Some(new) if !new.is_dir() => self.add_again(&change.path, new).await?,
                // What was in it has gone, too.
                _ => _ = self.conflict(MergeConflictKind::Renamed, self.path_by_name(&change.path)),
            }
        }
        Ok(())
    }
}

pub(super) fn of_kind(
    changes: &[TreeChange],
    kind: TreeChangeKind,
) -> impl Iterator<Item = &TreeChange> {
    changes.iter().filter(move |change| change.kind == kind)
}

/// What frees a name before what takes it; in a circle, from anywhere on.
fn in_order(moves: Vec<Move<'_>>) -> Vec<Move<'_>> {
    let frees: HashMap<String, usize> = moves
        .iter()
        .enumerate()
        .filter(|(_, one)| one.goes)
        .map(|(i, one)| (one.ours.path.clone(), i))
        .collect();
    let mut rest: Vec<Option<Move<'_>>> = moves.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(rest.len());
    for i in 0..rest.len() {
        let mut chain = Vec::new();
        let mut next = Some(i);
        while let Some(one) = next.and_then(|i| rest[i].take()) {
            let to = one.to.as_ref().map(Spot::path);
            next = to.and_then(|to| frees.get(&to).copied());
            chain.push(one);
        }
        ordered.extend(chain.into_iter().rev());
    }
    ordered
}
