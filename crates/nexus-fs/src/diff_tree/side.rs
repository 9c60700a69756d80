//! One of the two trees that are compared.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_kernel::{Result, Revision};

use crate::path::{self, DEPTH_MAX};
use crate::records::{DentryRecord, kind_of};
use crate::types::FileKind;
use crate::view::View;

/// The tree that is compared from, and the one that is compared to.
pub(super) const OLD: usize = 0;
pub(super) const NEW: usize = 1;

/// Directories kept in mind.
const DIRECTORIES_MAX: usize = 20_000;

/// A name in a directory; in no directory, the top of the tree itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub parent: u64,
    pub name: String,
}

impl Name {
    pub(super) fn new(parent: u64, name: impl Into<String>) -> Self {
        Self {
            parent,
            name: name.into(),
        }
    }

    pub(super) fn top() -> Self {
        Self::new(0, "")
    }

    fn is_top(&self) -> bool {
        self.parent == 0
    }
}

/// Where a directory is: its path, and the inodes on it.
#[derive(Debug)]
pub(super) struct Located {
    pub path: String,
    pub chain: Vec<u64>,
}

pub(super) struct Side<'a> {
    pub view: View<'a>,
    /// The revision that is viewed.
    pub at: Revision,
    /// What the tree consists of; none if there is nothing.
    pub top: Option<DentryRecord>,
    place: Arc<Located>,
    /// The directories that were looked for; none for one that is not in the tree.
    directories: HashMap<u64, Option<Arc<Located>>>,
}

impl<'a> Side<'a> {
    pub(super) fn new(
        view: View<'a>,
        at: Revision,
        top: Option<DentryRecord>,
        path: String,
        chain: &[u64],
    ) -> Self {
        let chain = chain.to_vec();
        let mut side = Self {
            view,
            at,
            top,
            place: Arc::new(Located { path, chain }),
            directories: HashMap::new(),
        };
        side.keep_top();
        side
    }

    fn keep_top(&mut self) {
        if let Some(directory) = self.top_directory() {
            let place = Arc::clone(&self.place);
            self.directories.insert(directory, Some(place));
        }
    }

    pub(super) fn top_ino(&self) -> Option<u64> {
        self.top.map(|top| top.ino)
    }

    pub(super) fn top_directory(&self) -> Option<u64> {
        self.top.filter(is_directory).map(|top| top.ino)
    }

    /// Where the top is, or would be.
    pub(super) fn place(&self) -> &Located {
        &self.place
    }

    /// What a name points to, whether it is in the tree or not.
    pub(super) async fn look_up(&self, name: &Name) -> Result<Option<DentryRecord>> {
        let found = self.view.dentry(name.parent, &name.name).await?;
        Ok(found.map(|(dentry, _)| dentry))
    }

    /// Where a directory is, if it is in the tree.
    pub(super) async fn directory(&mut self, ino: u64) -> Result<Option<Arc<Located>>> {
        let mut below = Vec::new();
        let mut here = ino;
        let mut found = loop {
            if let Some(known) = self.directories.get(&here) {
                break known.clone();
            }
            let Some((parent, name)) = self.name_of_directory(here).await? else {
                break None;
            };
            below.push((here, name));
            if below.len() > DEPTH_MAX {
                break None;
            }
            here = parent;
        };
        if self.directories.len() + below.len() >= DIRECTORIES_MAX {
            self.directories.clear();
            self.keep_top();
        }
        if found.is_none() {
            self.directories.insert(here, None);
        }
        for (ino, name) in below.into_iter().rev() {
            found = found.map(|parent| Arc::new(parent.child(&name, ino)));
            self.directories.insert(ino, found.clone());
        }
        Ok(found)
    }

    /// The name of a directory, if it has one: not once it was deleted and is still to be
    /// cleared away.
    async fn name_of_directory(&self, ino: u64) -> Result<Option<(u64, String)>> {
        let Some(inode) = self.view.inode(ino).await? else {
            return Ok(None);
        };
        let name = Name::new(inode.record.parent, inode.record.name.clone());
        let points = self.look_up(&name).await?;
        let points_here = points.is_some_and(|dentry| dentry.ino == ino);
        Ok(points_here.then_some((name.parent, name.name)))
    }

    /// Whether the directory of a name is in the tree.
    pub(super) async fn has(&mut self, name: &Name) -> Result<bool> {
        if name.is_top() {
            return Ok(self.top.is_some());
        }
        Ok(self.directory(name.parent).await?.is_some())
    }

    /// The path of a name in the tree and the directory that holds it; the top's is none.
    pub(super) async fn locate(&mut self, name: &Name) -> Result<(String, Option<Arc<Located>>)> {
        if name.is_top() {
            return Ok((self.place.path.clone(), None));
        }
        let directory = self.directory(name.parent).await?;
        let path = match &directory {
            Some(directory) => path::join(&directory.path, &name.name),
            None => name.name.clone(),
        };
        Ok((path, directory))
    }
}

impl Located {
    fn child(&self, name: &str, ino: u64) -> Self {
        let mut chain = Vec::with_capacity(self.chain.len() + 1);
        chain.extend_from_slice(&self.chain);
        chain.push(ino);
        Self {
            path: path::join(&self.path, name),
            chain,
        }
    }
}

pub(super) fn is_directory(dentry: &DentryRecord) -> bool {
    kind_of(dentry.kind).is_ok_and(|kind| kind == FileKind::Directory)
}
