//! Finding what differs between two points from the operation log.
//!
//! Each change of the log names an inode and the names it is about. What a name points to, and
//! what an inode is, is looked up as of both points; the log only says where to look. A removal
//! or a copy of a whole directory is one change; what was below it is found by listing that
//! directory in the tree that has it.

use std::collections::{HashMap, HashSet};

use nexus_kernel::{Freshness, Result, Revision, Scan};

use super::DIFF_TREE_NAMES_MAX;
use super::gather::Gather;
use super::side::{NEW, Name, OLD};
use crate::keys;
use crate::log::{self, Change, ChangeKind};
use crate::path;
use crate::records::{DentryRecord, InodeRecord, unreadable};
use crate::session::Session;

/// Records read at a time.
const PAGE: usize = 128;

/// What the log says was changed.
#[derive(Default)]
struct Touched {
    names: HashSet<Name>,
    inodes: HashSet<u64>,
    /// Directories that were made, or came or went with all below them.
    trees: HashSet<u64>,
}

impl Touched {
    fn add(&mut self, change: Change) {
        if change.kind.leaves_files() {
            return;
        }
        self.inodes.insert(change.ino.0);
        self.add_name(change.parent.0, &change.path);
        if let (Some(parent), Some(path)) = (change.old_parent, &change.old_path) {
            self.add_name(parent.0, path);
        }
        let of_a_tree = [
            ChangeKind::DirCreate,
            ChangeKind::DirDelete,
            ChangeKind::DirCopy,
        ];
        if of_a_tree.contains(&change.kind) {
            self.trees.insert(change.ino.0);
        }
    }

    fn add_name(&mut self, parent: u64, path: &str) {
        if let Some((_, name)) = path::split(path).filter(|_| parent != 0) {
            self.names.insert(Name::new(parent, name));
        }
    }

    fn len(&self) -> usize {
        self.names.len() + self.inodes.len()
    }
}

impl Gather<'_> {
    /// Finds what differs by the log between the two points; says whether that tells all.
    pub(super) async fn by_log(&mut self) -> Result<bool> {
        let (after, until) = self.span();
        let Some(touched) = read_log(self.session, after, until).await? else {
            return Ok(false);
        };
        if self.is_below_any(&touched.trees) {
            return Ok(false);
        }
        let mut later_names = LaterNames::new();
        for name in touched.names {
            self.look_at_name(name, &mut later_names).await?;
        }
        for ino in touched.inodes {
            if !self.look_at_inode(ino, &later_names).await? {
                return Ok(false);
            }
        }
        // What went as a whole and came back is listed: not all of it need have come back.
        let mut came_back = false;
        for ino in &touched.trees {
            if self.is_in_both(*ino).await? {
                came_back = true;
                if !self.is_within_another(*ino, &touched.trees).await? {
                    self.walk(*ino, *ino).await?;
                }
            }
        }
        self.look_below(came_back).await
    }

    /// Whether a directory is below another of these that both trees have, and is found from there.
    async fn is_within_another(&mut self, ino: u64, trees: &HashSet<u64>) -> Result<bool> {
        let Some(located) = self.sides[NEW].directory(ino).await? else {
            return Ok(false);
        };
        for above in located.chain.iter().filter(|above| **above != ino) {
            if trees.contains(above) && self.is_in_both(*above).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the top, or a directory that holds it, is among these.
    fn is_below_any(&self, directories: &HashSet<u64>) -> bool {
        let mut above = self.sides.iter().flat_map(|side| &side.place().chain);
        above.any(|ino| directories.contains(ino))
    }

    async fn look_at_name(&mut self, name: Name, later_names: &mut LaterNames) -> Result<()> {
        let mut points = [None; 2];
        for (side, dentry) in self.sides.iter_mut().zip(&mut points) {
            *dentry = side.look_up(&name).await?;
        }
        if let Some(later) = points[self.later()] {
            later_names.entry(later.ino).or_default().push(name.clone());
        }
        let [old, new] = points.map(|dentry| dentry.map(|dentry| dentry.ino));
        if old == new {
            return Ok(());
        }
        for side in [OLD, NEW] {
            if let Some(dentry) = points[side]
                && self.sides[side].has(&name).await?
            {
                self.differs(side, name.clone(), dentry)?;
            }
        }
        Ok(())
    }

    /// Notes the names that an inode has in both trees; says whether they could be told.
    async fn look_at_inode(&mut self, ino: u64, later_names: &LaterNames) -> Result<bool> {
        let old = self.sides[OLD].view.inode(ino).await?;
        let new = self.sides[NEW].view.inode(ino).await?;
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(true);
        };
        if old.revision == new.revision {
            return Ok(true);
        }
        let dentry = DentryRecord {
            ino,
            kind: new.record.kind,
        };
        if self.sides[NEW].top_ino() == Some(ino) {
            self.kept([Name::top(), Name::top()], [dentry; 2])?;
            return Ok(true);
        }
        let later = if self.later() == NEW { &new } else { &old };
        let names = match new.record.is_dir() {
            true => vec![name_in(&later.record)],
            false => match self.names_of(ino, &later.record, later_names).await? {
                Some(names) => names,
                None => return Ok(false),
            },
        };
        for name in names {
            if self.have_both(&name, ino).await? {
                self.kept([name.clone(), name], [dentry; 2])?;
            }
        }
        Ok(true)
    }

    /// Whether a name is in both trees and points to this inode there.
    async fn have_both(&mut self, name: &Name, ino: u64) -> Result<bool> {
        for side in &mut self.sides {
            let points = side.look_up(name).await?;
            if points.is_none_or(|dentry| dentry.ino != ino) || !side.has(name).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All names that a file had at the later point; none if they cannot be told. Those beyond
    /// its first are on record as they are today, and some may have gone since.
    async fn names_of(
        &self,
        ino: u64,
        record: &InodeRecord,
        later_names: &LaterNames,
    ) -> Result<Option<Vec<Name>>> {
        let mut candidates = HashSet::from([name_in(record)]);
        if record.links > 1 {
            candidates.extend(later_names.get(&ino).into_iter().flatten().cloned());
            candidates.extend(self.names_today(ino, record.links as usize).await?);
        }
        let mut names = Vec::with_capacity(candidates.len());
        let side = &self.sides[self.later()];
        for name in candidates {
            let points = side.look_up(&name).await?;
            if points.is_some_and(|dentry| dentry.ino == ino) {
                names.push(name);
            }
        }
        Ok((names.len() == record.links as usize).then_some(names))
    }

    async fn names_today(&self, ino: u64, links: usize) -> Result<Vec<Name>> {
        let view = self.sides[self.later()].view;
        let limit = links.min(self.session.zone.metastore.limits().scan_entries_max);
        let page = view.scan(keys::extra_names(ino), limit).await?;
        let names = page.entries.iter().map(|entry| {
            let (parent, name) =
                keys::parse_extra_name(&entry.key).ok_or_else(|| unreadable("name of an inode"))?;
            Ok(Name::new(parent, name))
        });
        names.collect()
    }
}

/// The touched names that point to an inode at the later point.
type LaterNames = HashMap<u64, Vec<Name>>;

fn name_in(record: &InodeRecord) -> Name {
    Name::new(record.parent, record.name.clone())
}

/// What was touched after one revision and up to another; none if it is too much to hold.
async fn read_log(session: &Session, after: Revision, until: Revision) -> Result<Option<Touched>> {
    let mut touched = Touched::default();
    let mut range = keys::log_between(after, until);
    let store = &session.zone.metastore;
    loop {
        session.check_goes_on()?;
        let scan = Scan::forward(range.clone(), PAGE).bytes_max(log::HEADS_BYTES_MAX);
        let page = store.scan(scan, Freshness::Linearizable).await?;
        for entry in &page.entries {
            let head = log::decode(&entry.key, entry.value.bytes.clone())?;
            let whole = head.whole(&**store).await?;
            let changes = whole.into_iter().flat_map(|whole| whole.record.changes);
            changes.for_each(|change| touched.add(change));
            if touched.len() > DIFF_TREE_NAMES_MAX {
                return Ok(None);
            }
        }
        match page.entries.last().filter(|_| page.more) {
            Some(last) => range.start = crate::view::next_key(&last.key),
            None => return Ok(Some(touched)),
        }
    }
}
