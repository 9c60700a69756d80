//! Where directories are, as things are or as they would be after a plan.

use std::collections::{BTreeMap, HashMap};

use nexus_kernel::{Result, Revision};

use super::collect::Name;
use super::plan::Plan;
use crate::keys;
use crate::path;
use crate::records::{DentryRecord, kind_of, unreadable};
use crate::types::{FileKind, Ino};
use crate::view::View;

/// Names of a file that are looked at.
const NAMES: usize = 1_000;

/// A path and the inodes on it.
pub(super) type Found = (String, Vec<u64>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Where {
    InTree(Found),
    /// It, or a directory above it, has no name in the tree.
    Gone,
    /// It would be below itself; the newest name on the way round.
    Circle(Revision),
}

impl Where {
    pub(super) fn found(&self) -> Option<&Found> {
        match self {
            Self::InTree(found) => Some(found),
            _ => None,
        }
    }
}

/// Finds directories; remembers what it found.
pub(super) struct Places<'p> {
    view: View<'p>,
    /// None for things as they are.
    plan: Option<&'p Plan>,
    homes: BTreeMap<u64, Name>,
    known: HashMap<u64, Where>,
}

impl<'p> Places<'p> {
    pub(super) fn now(view: View<'p>) -> Self {
        Self {
            view,
            plan: None,
            homes: BTreeMap::new(),
            known: HashMap::new(),
        }
    }

    pub(super) fn after(view: View<'p>, plan: &'p Plan) -> Self {
        let homes = plan.names.iter().filter_map(|(name, dentry)| {
            let dentry = dentry.filter(is_dir)?;
            Some((dentry.ino, name.clone()))
        });
        Self {
            view,
            homes: homes.collect(),
            plan: Some(plan),
            known: HashMap::new(),
        }
    }

    pub(super) async fn directory(&mut self, ino: u64) -> Result<Where> {
        let (mut here, mut newest) = (ino, Revision::ZERO);
        let mut way: Vec<(u64, String)> = Vec::new();
        let end = loop {
            if here == Ino::ROOT.0 {
                break Where::InTree(("/".to_owned(), vec![here]));
            }
            if let Some(known) = self.known.get(&here) {
                break known.clone();
            }
            if way.iter().any(|(ino, _)| *ino == here) {
                break Where::Circle(newest);
            }
            let Some(((parent, name), since)) = self.home(here).await? else {
                break Where::Gone;
            };
            newest = newest.max(since);
            way.push((here, name));
            here = parent;
        };
        Ok(self.remember(way, end))
    }

    fn remember(&mut self, way: Vec<(u64, String)>, end: Where) -> Where {
        let mut here = end;
        for (ino, name) in way.into_iter().rev() {
            if let Where::InTree((path, chain)) = &mut here {
                *path = path::join(path, &name);
                chain.push(ino);
            }
            self.known.insert(ino, here.clone());
        }
        here
    }

    /// The name of a directory, and since when it has that.
    async fn home(&self, ino: u64) -> Result<Option<(Name, Revision)>> {
        if let Some(home) = self.homes.get(&ino) {
            return Ok(Some((home.clone(), Revision::ZERO)));
        }
        let Some(inode) = self.view.inode(ino).await? else {
            return Ok(None);
        };
        let name = (inode.record.parent, inode.record.name.clone());
        if self.plan.is_some_and(|plan| plan.names.contains_key(&name)) {
            return Ok(None);
        }
        let dentry = self.view.dentry(name.0, &name.1).await?;
        let dentry = dentry.filter(|(dentry, _)| dentry.ino == ino);
        Ok(dentry.map(|(_, since)| (name, since)))
    }

    /// Where a name is, or would be.
    pub(super) async fn name(&mut self, (parent, name): &Name, ino: u64) -> Result<Option<Found>> {
        let directory = self.directory(*parent).await?;
        Ok(directory.found().map(|(path, chain)| {
            let mut chain = chain.clone();
            chain.push(ino);
            (path::join(path, name), chain)
        }))
    }

    /// Where a file or directory is, or would be.
    pub(super) async fn file(&mut self, ino: u64) -> Result<Option<Found>> {
        let moves = self.plan.and_then(|plan| plan.moves.get(&ino));
        if let Some(name) = moves.and_then(|moves| moves.gained.first()) {
            let name = name.clone();
            return self.name(&name, ino).await;
        }
        let Some(inode) = self.view.inode(ino).await? else {
            return Ok(None);
        };
        if inode.record.is_dir() {
            return Ok(self.directory(ino).await?.found().cloned());
        }
        let lost: Vec<Name> = moves.map_or_else(Vec::new, |moves| moves.lost.clone());
        let first = (inode.record.parent, inode.record.name.clone());
        let others = self.other_names(ino).await?;
        for name in [first].into_iter().chain(others) {
            let dentry = self.view.dentry(name.0, &name.1).await?;
            let is_there = dentry.is_some_and(|(dentry, _)| dentry.ino == ino);
            if is_there
                && !lost.contains(&name)
                && let Some(found) = self.name(&name, ino).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn other_names(&self, ino: u64) -> Result<Vec<Name>> {
        let page = self.view.scan(keys::extra_names(ino), NAMES).await?;
        let names = page.entries.iter().map(|entry| {
            let name = keys::parse_extra_name(&entry.key);
            let (parent, name) = name.ok_or_else(|| unreadable("name of an inode"))?;
            Ok((parent, name.to_owned()))
        });
        let mut names: Vec<Name> = names.collect::<Result<_>>()?;
        if let Some(regrown) = self.view.regrown {
            names.extend_from_slice(regrown.names_of(ino));
        }
        Ok(names)
    }
}

pub(super) fn is_dir(dentry: &DentryRecord) -> bool {
    kind_of(dentry.kind).ok() == Some(FileKind::Directory)
}

impl View<'_> {
    /// The directory out of the tree that a directory is, or is below; none if it is in the tree.
    pub(super) async fn detached_top(self, dir: u64) -> Result<Option<u64>> {
        let mut here = dir;
        for _ in 0..path::DEPTH_MAX {
            if here == Ino::ROOT.0 {
                return Ok(None);
            }
            let Some(inode) = self.inode(here).await? else {
                return Ok(None);
            };
            let (parent, name) = (inode.record.parent, &inode.record.name);
            let dentry = self.dentry(parent, name).await?;
            if dentry.is_none_or(|(dentry, _)| dentry.ino != here) {
                return Ok(Some(here));
            }
            here = parent;
        }
        Ok(None)
    }
}
