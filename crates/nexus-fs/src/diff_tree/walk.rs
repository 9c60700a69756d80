//! Comparing two trees by their listings.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::Bytes;
use nexus_kernel::{Freshness, Result};

use super::gather::{Gather, PAGE};
use super::side::{NEW, Name, OLD, is_directory};
use crate::fork::{in_part, is_forked};
use crate::keys;
use crate::records::DentryRecord;
use crate::view::{Child, View};

impl Gather<'_> {
    /// Compares the trees by listing both; says whether there was time.
    pub(super) async fn by_walk(&mut self) -> Result<bool> {
        let [old, new] = [OLD, NEW].map(|side| self.sides[side].top);
        match (old, new) {
            (Some(old), Some(new)) if old.ino == new.ino => {
                self.kept([Name::top(), Name::top()], [old, new])?;
            }
            _ => self.differ_at_top(),
        }
        if let [Some(old), Some(new)] = [OLD, NEW].map(|side| self.sides[side].top_directory())
            && !self.walk(old, new).await?
        {
            return Ok(false);
        }
        self.look_below(true).await
    }

    /// Compares a directory of the old tree with one of the new, and so on below where both
    /// are the same; says whether there was time. Keeps a page of names in mind for each level,
    /// however many directories there are.
    pub(super) async fn walk(&mut self, old: u64, new: u64) -> Result<bool> {
        if !self.walked.insert(new) {
            return Ok(true);
        }
        let mut levels = vec![Level::new(old, new)];
        while let Some(level) = levels.last_mut() {
            if let Some((old, new)) = level.below.pop() {
                levels.push(Level::new(old, new));
                continue;
            }
            let views = [self.sides[OLD].view, self.sides[NEW].view];
            let names = level.names.next_page(views).await?;
            self.session.check_goes_on()?;
            if names.is_empty() {
                levels.pop();
                continue;
            }
            if !self.spend(names.len()) {
                return Ok(false);
            }
            let dirs = level.dirs;
            let same = self.compare_names(dirs, names)?;
            let directories = same.iter().filter(|(_, both)| is_directory(&both[NEW]));
            let below = directories.map(|(_, [old, new])| (old.ino, new.ino));
            level.below = below.collect();
            self.keep_changed(dirs, same).await?;
        }
        Ok(true)
    }

    /// Notes the names that do not mean the same in both directories; answers those that do.
    fn compare_names(&mut self, dirs: [u64; 2], names: Vec<Both>) -> Result<Vec<Same>> {
        let mut same = Vec::new();
        for (name, children) in names {
            let [old, new] = children.map(|child| child.map(|child| child.dentry));
            match (old, new) {
                (Some(old), Some(new)) if self.are_the_same(&old, &new) => {
                    same.push((name, [old, new]));
                }
                _ => {
                    for (side, dentry) in [(OLD, old), (NEW, new)] {
                        if let Some(dentry) = dentry {
                            self.differs(side, Name::new(dirs[side], name.clone()), dentry)?;
                        }
                    }
                }
            }
        }
        Ok(same)
    }

    /// Notes those of the inodes that both trees have under the same name that have changed
    /// since the earlier of the two points.
    async fn keep_changed(&mut self, dirs: [u64; 2], same: Vec<Same>) -> Result<()> {
        if same.is_empty() {
            return Ok(());
        }
        let keys: Vec<Bytes> = same
            .iter()
            .map(|(_, both)| keys::inode(both[NEW].ino))
            .collect();
        let store = &self.session.zone.metastore;
        let live = store.get_many(&keys, Freshness::Linearizable).await?;
        let (since, _) = self.span();
        for ((name, both), live) in same.into_iter().zip(live) {
            let changed = match live {
                _ if both[OLD].ino != both[NEW].ino => self.has_changed(both).await?,
                Some(live) => live.revision > since,
                // What a fork only shows has never changed.
                None => !is_forked(both[NEW].ino),
            };
            if changed {
                let names = dirs.map(|dir| Name::new(dir, name.clone()));
                self.kept(names, both)?;
            }
        }
        Ok(())
    }

    /// Whether two names mean the same thing: the same inode or, of two directories, an inode
    /// and what a fork has of it, which has the same low bits.
    fn are_the_same(&self, old: &DentryRecord, new: &DentryRecord) -> bool {
        let apart = self.sides[OLD].top_ino() != self.sides[NEW].top_ino();
        old.ino == new.ino
            || (apart && old.kind == new.kind && in_part(0, old.ino) == in_part(0, new.ino))
    }

    /// Whether an inode of a fork has changed, or that of its origin, since it was forked.
    async fn has_changed(&self, [old, new]: [DentryRecord; 2]) -> Result<bool> {
        let before = self.sides[OLD].view.inode(old.ino).await?;
        let after = self.sides[NEW].view.inode(new.ino).await?;
        let (Some(before), Some(after)) = (before, after) else {
            return Ok(true);
        };
        // Whatever changes an inode changes this time.
        let (before, after) = (&before.record, &after.record);
        Ok((before.changed, &before.etag) != (after.changed, &after.etag))
    }
}

/// Two directories that are being compared.
struct Level {
    dirs: [u64; 2],
    names: Merged,
    /// Those of the last page that both have, still to be looked into.
    below: Vec<(u64, u64)>,
}

impl Level {
    fn new(old: u64, new: u64) -> Self {
        Self {
            dirs: [old, new],
            names: Merged::new(old, new),
            below: Vec::new(),
        }
    }
}

/// A name that means the same in two directories, and what it points to in either.
type Same = (String, [DentryRecord; 2]);

/// A name with what it points to in either directory.
type Both = (String, [Option<Child>; 2]);

/// The names of two directories, side by side.
struct Merged([Listing; 2]);

impl Merged {
    fn new(old: u64, new: u64) -> Self {
        Self([Listing::new(old), Listing::new(new)])
    }

    /// The next names in order; none at the end.
    async fn next_page(&mut self, views: [View<'_>; 2]) -> Result<Vec<Both>> {
        let mut names = Vec::new();
        let [old, new] = &mut self.0;
        while names.len() < PAGE {
            let (left, right) = (old.peek(views[OLD]).await?, new.peek(views[NEW]).await?);
            let order = match (left, right) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => left.name.cmp(&right.name),
            };
            let left = if order.is_le() {
                old.ready.pop_front()
            } else {
                None
            };
            let right = if order.is_ge() {
                new.ready.pop_front()
            } else {
                None
            };
            let name = left
                .as_ref()
                .or(right.as_ref())
                .map(|child| child.name.clone());
            names.push((name.expect("one of the two is there"), [left, right]));
        }
        Ok(names)
    }
}

/// A directory being listed.
struct Listing {
    dir: u64,
    ready: VecDeque<Child>,
    after: Option<String>,
    more: bool,
}

impl Listing {
    fn new(dir: u64) -> Self {
        Self {
            dir,
            ready: VecDeque::new(),
            after: None,
            more: true,
        }
    }

    async fn peek(&mut self, view: View<'_>) -> Result<Option<&Child>> {
        while self.ready.is_empty() && self.more {
            let (children, last) = view.children(self.dir, self.after.as_deref(), PAGE).await?;
            self.ready.extend(children);
            self.more = last.is_some();
            self.after = last;
        }
        Ok(self.ready.front())
    }
}
