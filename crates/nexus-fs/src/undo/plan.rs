//! What will be done: the names and inodes that change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Result, Revision};

use super::collect::Name;
use super::groups::Groups;
use super::judge::{Attributes, Contents, Judged};
use super::places::Places;
use super::rows::Rows;
use super::timeline::Standing;
use crate::keys;
use crate::path::DEPTH_MAX;
use crate::records::DentryRecord;
use crate::tx::Tx;
use crate::view::View;

/// Names of a file that are looked at.
const PAGE: usize = 1_000;

/// The names that change, with what they will name, and what becomes of inodes.
#[derive(Default)]
pub(super) struct Plan {
    pub names: BTreeMap<Name, Option<DentryRecord>>,
    pub moves: BTreeMap<u64, Moves>,
    pub inodes: BTreeMap<u64, InodePlan>,
}

/// The names that an inode loses and gets.
#[derive(Default)]
pub(super) struct Moves {
    pub lost: Vec<Name>,
    pub gained: Vec<Name>,
}

impl Moves {
    pub(super) fn is_removal(&self) -> bool {
        self.gained.is_empty()
    }
}

/// What an inode becomes, apart from its names.
#[derive(Default)]
pub(super) struct InodePlan {
    pub contents: Option<Contents>,
    pub attributes: Option<Attributes>,
    pub metadata: Vec<(String, Option<Bytes>)>,
}

impl InodePlan {
    pub(super) fn is_nothing(&self) -> bool {
        self.contents.is_none() && self.attributes.is_none() && self.metadata.is_empty()
    }
}

impl Plan {
    /// All that is judged, but for the groups that are left as they are.
    pub(super) fn new(judged: &Judged, rows: &Rows, groups: &Groups, left: &BTreeSet<u64>) -> Self {
        let mut plan = Self::default();
        let is_left = |ino: u64| left.contains(&groups.of(ino));
        for (name, standing) in &judged.names {
            let Some(before) = standing.before() else {
                continue;
            };
            let row = &rows.names[name];
            let mut of = row.inos().into_iter();
            if !of.any(is_left) {
                plan.rename(name, *row.now(), *before);
            }
        }
        for (ino, inode) in &judged.inodes {
            // Of what did not exist before nothing stays.
            let goes = matches!(inode.contents.before(), Some(None));
            if goes || is_left(*ino) {
                continue;
            }
            let metadata = inode.metadata.iter();
            let metadata = metadata
                .filter_map(|(key, standing)| Some((key.clone(), standing.known_before()?)));
            let changed = InodePlan {
                contents: inode.contents.known_before().flatten(),
                attributes: inode.attributes.known_before().flatten(),
                metadata: metadata.collect(),
            };
            if !changed.is_nothing() {
                plan.inodes.insert(*ino, changed);
            }
        }
        plan
    }

    pub(super) fn rename(
        &mut self,
        name: &Name,
        now: Option<DentryRecord>,
        then: Option<DentryRecord>,
    ) {
        if now.map(|dentry| dentry.ino) == then.map(|dentry| dentry.ino) {
            return;
        }
        self.names.insert(name.clone(), then);
        if let Some(now) = now {
            self.moves
                .entry(now.ino)
                .or_default()
                .lost
                .push(name.clone());
        }
        if let Some(then) = then {
            let moves = self.moves.entry(then.ino).or_default();
            moves.gained.push(name.clone());
        }
    }

    /// Whether a directory goes, or one that it is in.
    pub(super) async fn removes(&self, dir: u64, view: View<'_>) -> Result<bool> {
        let mut here = dir;
        for _ in 0..DEPTH_MAX {
            here = match self.moves.get(&here) {
                Some(moves) if moves.is_removal() => return Ok(true),
                Some(moves) => moves.gained[0].0,
                None => match view.inode(here).await? {
                    Some(inode) if inode.record.parent != here => inode.record.parent,
                    _ => break,
                },
            };
        }
        Ok(false)
    }

    /// Leaves out what becomes of anything in a directory that goes, or has gone: it goes with all
    /// that it holds, as it is, and comes back so when this is undone.
    pub(super) async fn without_what_goes(self, tx: &Tx<'_>) -> Result<Self> {
        let mut after = Places::after(tx.view(), &self);
        let mut going = BTreeSet::new();
        for (parent, _) in self.names.keys() {
            if after.directory(*parent).await?.found().is_none() {
                going.insert(*parent);
            }
        }
        let mut rest = Self::default();
        for (ino, moves) in &self.moves {
            let stays = |name: &&Name| !going.contains(&name.0);
            let gained: Vec<Name> = moves.gained.iter().filter(stays).cloned().collect();
            let lost = moves.lost.iter();
            let lost = lost.filter(|name| !gained.is_empty() || stays(name));
            let lost: Vec<Name> = lost.cloned().collect();
            for name in &lost {
                let then = self.names[name].filter(|_| !going.contains(&name.0));
                rest.names.insert(name.clone(), then);
            }
            for name in &gained {
                rest.names.insert(name.clone(), self.names[name]);
            }
            if !gained.is_empty() || !lost.is_empty() {
                rest.moves.insert(*ino, Moves { lost, gained });
            }
        }
        for ino in self.inodes.keys() {
            let gains = rest.moves.get(ino).is_some_and(|moves| !moves.is_removal());
            let links = tx
                .stored_inode(*ino)
                .map_or(0, |(record, _)| record.links as usize);
            let stays = match self.moves.get(ino) {
                Some(moves) if !moves.is_removal() || moves.lost.len() >= links => false,
                // Under a name that it keeps.
                _ => after.file(*ino).await?.is_some(),
            };
            if gains || stays {
                rest.inodes.insert(*ino, InodePlan::default());
            }
        }
        for (ino, changed) in self.inodes {
            if let Some(kept) = rest.inodes.get_mut(&ino) {
                *kept = changed;
            }
        }
        Ok(rest)
    }

    /// A file that others have renamed since loses that name when it gets its old one back by
    /// force.
    pub(super) async fn take_other_names(
        &mut self,
        tx: &Tx<'_>,
        rows: &Rows,
        judged: &Judged,
    ) -> Result<()> {
        for (name, standing) in &judged.names {
            let Standing::Touched { first, by, .. } = standing else {
                continue;
            };
            let now = rows.names[name].now().map(|dentry| dentry.ino);
            let values = rows.names[name]
                .writes
                .iter()
                .filter(|(r, _)| !by.contains(r));
            let ours = values.filter_map(|(_, value)| *value).next_back();
            let Some(ours) = ours.filter(|dentry| !by.is_empty() && Some(dentry.ino) != now) else {
                continue;
            };
            if let Some(other) = self.name_since(tx, ours.ino, *first).await? {
                self.rename(&other, Some(ours), None);
            }
        }
        Ok(())
    }

    /// A name that an inode has got since, and that is not planned for.
    async fn name_since(&self, tx: &Tx<'_>, ino: u64, first: Revision) -> Result<Option<Name>> {
        let Some((record, _)) = tx.stored_inode(ino) else {
            return Ok(None);
        };
        let mut names = vec![(record.parent, record.name.clone())];
        let page = tx.view().scan(keys::extra_names(ino), PAGE).await?;
        let others = page
            .entries
            .iter()
            .filter_map(|entry| keys::parse_extra_name(&entry.key));
        names.extend(others.map(|(parent, name)| (parent, name.to_owned())));
        for name in names {
            let dentry = tx.view().dentry(name.0, &name.1).await?;
            let is_newer = dentry.is_some_and(|(dentry, since)| dentry.ino == ino && since > first);
            if is_newer && !self.names.contains_key(&name) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
