//! Comparing two trees by their listings.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::Bytes;
use nexus_kernel::{Freshness, Result};

use super::gather::{Gather, PAGE};
use super::side::{NEW, Name, OLD, is_directory};
use crate::keys;
use crate::view::{Child, View};

impl Gather<'_> {
    /// Compares the trees by listing both; says whether there was time.
    pub(super) async fn by_walk(&mut self) -> Result<bool> {
        let [old, new] = [OLD, NEW].map(|side| self.sides[side].top);
        match (old, new) {
            (Some(old), Some(new)) if old.ino == new.ino => {
                self.kept([Name::top(), Name::top()], new)?;
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
    /// are the same; says whether there was time.
    pub(super) async fn walk(&mut self, old: u64, new: u64) -> Result<bool> {
        let mut stack = vec![(old, new)];
        while let Some((old, new)) = stack.pop() {
            if !self.walked.insert(new) {
                continue;
            }
            let mut merged = Merged::new(old, new);
            let mut same = Vec::new();
            loop {
                let names = merged
                    .next_page([self.sides[OLD].view, self.sides[NEW].view])
                    .await?;
                self.session.check_goes_on()?;
                if names.is_empty() {
                    break;
                }
                if !self.spend(names.len()) {
                    return Ok(false);
                }
                for (name, children) in names {
                    self.compare_name([old, new], name, children, &mut same)?;
                }
                let directories = same.iter().filter(|(_, child)| is_directory(&child.dentry));
                stack.extend(directories.map(|(_, child)| (child.dentry.ino, child.dentry.ino)));
                self.keep_changed(old, std::mem::take(&mut same)).await?;
            }
        }
        Ok(true)
    }

    fn compare_name(
        &mut self,
        dirs: [u64; 2],
        name: String,
        children: [Option<Child>; 2],
        same: &mut Vec<(u64, Child)>,
    ) -> Result<()> {
        let [old, new] = children;
        if let (Some(old), Some(child)) = (&old, &new)
            && old.dentry.ino == child.dentry.ino
        {
            same.push((dirs[NEW], child.clone()));
            return Ok(());
        }
        for (side, child) in [(OLD, old), (NEW, new)] {
            if let Some(child) = child {
                self.differs(side, Name::new(dirs[side], name.clone()), child.dentry)?;
            }
        }
        Ok(())
    }

    /// Notes those of the inodes that both trees have under the same name that have changed
    /// since the earlier of the two points.
    async fn keep_changed(&mut self, old_dir: u64, same: Vec<(u64, Child)>) -> Result<()> {
        if same.is_empty() {
            return Ok(());
        }
        let keys: Vec<Bytes> = same
            .iter()
            .map(|(_, child)| keys::inode(child.dentry.ino))
            .collect();
        let store = &self.session.zone.metastore;
        let live = store.get_many(&keys, Freshness::Linearizable).await?;
        let (since, _) = self.span();
        for ((new_dir, child), live) in same.into_iter().zip(live) {
            let changed = match live {
                Some(live) => live.revision > since,
                None => self.has_changed(child.dentry.ino).await?,
            };
            if changed {
                let old = Name::new(old_dir, child.name.clone());
                self.kept([old, Name::new(new_dir, child.name)], child.dentry)?;
            }
        }
        Ok(())
    }

    /// Whether an inode without a row of its own has changed: it is gone by now, or is what a
    /// fork shows of its origin.
    async fn has_changed(&self, ino: u64) -> Result<bool> {
        let old = self.sides[OLD].view.inode(ino).await?;
        let new = self.sides[NEW].view.inode(ino).await?;
        Ok(old.map(|inode| inode.revision) != new.map(|inode| inode.revision))
    }
}

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
