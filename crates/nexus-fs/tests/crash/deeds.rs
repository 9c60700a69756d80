//! What clients do to a zone.

use std::ops::Range;

use bytes::Bytes;
use nexus_fs::{At, FileKind, OpenMode, Precondition, Session};
use nexus_kernel::{Durability, Error, Result, Revision};
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::ops::{Data, Draw, Op, Write};
use crate::tree::{Id, ROOT, Tree};
use crate::zone::change;

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Change(Op, Durability),
    /// A write through a handle, which the model knows as a write of the whole.
    Patch(Patch, Op),
    Sync,
    Gc,
}

#[derive(Clone, Debug)]
pub(crate) struct Patch {
    path: String,
    offset: u64,
    bytes: Bytes,
    fsync: bool,
}

impl Deed {
    /// What it does to the tree, if it does anything.
    pub(crate) fn op(&self) -> Option<&Op> {
        match self {
            Self::Change(op, _) | Self::Patch(_, op) => Some(op),
            Self::Sync | Self::Gc => None,
        }
    }

    /// Whether what it answers is a revision that is kept from then on.
    pub(crate) fn promises(&self) -> bool {
        match self {
            Self::Change(_, durability) => *durability == Durability::Sync,
            Self::Patch(patch, _) => patch.fsync,
            Self::Sync => true,
            Self::Gc => false,
        }
    }

    /// Does it; answers the revision of its commit.
    pub(crate) async fn perform(&self, session: &Session) -> Result<Option<Revision>> {
        match self {
            Self::Change(op, durability) => {
                let changed = change(session, op, *durability).await?;
                Ok(Some(changed.revision))
            }
            Self::Patch(patch, _) => patch.perform(session).await.map(Some),
            Self::Sync => session.sync().await.map(Some),
            Self::Gc => session.gc(false).await.map(|_| None),
        }
    }
}

impl Patch {
    async fn perform(&self, session: &Session) -> Result<Revision> {
        let before = session.stat(&self.path, At::Latest).await?;
        let handle = session.open_handle(before.ino, OpenMode::ReadWrite).await?;
        handle.write(self.offset, self.bytes.clone()).await?;
        let written = match self.fsync {
            true => handle.fsync().await,
            false => handle.flush().await,
        };
        // A handle that could not write back tries again when it goes, and what fails after
        // it has says nothing about the write.
        written.map_err(Error::outcome_unknown)?;
        handle.close().await.map_err(Error::outcome_unknown)?;
        let after = session.stat(&self.path, At::Latest).await;
        Ok(after.map_err(Error::outcome_unknown)?.revision)
    }
}

/// One of those who work at the same time, each in a directory of its own.
pub(crate) struct Client {
    /// The directory; the empty path is the root.
    pub home: String,
    pub draw: Draw,
}

impl Client {
    pub(crate) fn draw(&mut self, tree: &Tree) -> Deed {
        let tree = self.view(tree);
        if self.draw.random.random_ratio(1, 8)
            && let Some(deed) = self.patch(&tree)
        {
            return deed;
        }
        let relaxed = self.draw.random.random_ratio(2, 5);
        let durability = if relaxed {
            Durability::Relaxed
        } else {
            Durability::Sync
        };
        loop {
            let op = self.draw.op(&tree);
            if loses_links_later(&op, &tree) {
                continue;
            }
            if self.home.is_empty() {
                return Deed::Change(op, durability);
            }
            if let Some(op) = below(&op, &self.home) {
                return Deed::Change(op, durability);
            }
        }
    }

    /// The tree as it would be with this client's home as its root.
    fn view(&self, tree: &Tree) -> Tree {
        let mut view = tree.clone();
        if let Some(name) = self.home.strip_prefix('/') {
            let home = view.node(ROOT).children[name];
            view.node_mut(ROOT).children = view.node(home).children.clone();
        }
        view
    }

    fn patch(&mut self, tree: &Tree) -> Option<Deed> {
        let random = &mut self.draw.random;
        let files = tree.paths().into_iter();
        let files = files.filter(|(_, id)| tree.node(*id).kind == FileKind::File);
        let files: Vec<_> = files.collect();
        let (path, id) = files.choose(random)?;
        let mut content = tree.node(*id).content().to_vec();
        let start = random.random_range(0..=content.len().min(60));
        let range = start..start + random.random_range(1..30);
        let bytes = vec![random.random_range(b'p'..b't'); range.len()];
        put(&mut content, range.clone(), &bytes);
        let path = format!("{}{path}", self.home);
        let patch = Patch {
            path: path.clone(),
            offset: range.start as u64,
            bytes: bytes.into(),
            fsync: random.random(),
        };
        let whole = Write::whole(content.into());
        Some(Deed::Patch(patch, Op::Write(path, whole)))
    }
}

impl Write {
    /// A content and nothing else.
    pub(crate) fn whole(content: Data) -> Self {
        Self {
            content,
            precondition: Precondition::None,
            parents: false,
            mode: None,
            metadata: vec![],
        }
    }
}

/// Whether a file loses one of its names only when a deleted tree is cleared away, which is at
/// a time that the model does not know.
fn loses_links_later(op: &Op, tree: &Tree) -> bool {
    let linked = |id: Id| tree.node(id).links > 1;
    match op {
        Op::Remove {
            path,
            recursive: true,
            ..
        } => {
            let top = tree.resolve(path, false).found();
            top.is_ok_and(|top| below_dir(tree, top).into_iter().any(linked))
        }
        Op::Batch(steps) => {
            let recursive = |step: &Op| {
                matches!(
                    step,
                    Op::Remove {
                        recursive: true,
                        ..
                    }
                )
            };
            steps.iter().any(recursive) && below_dir(tree, ROOT).into_iter().any(linked)
        }
        _ => false,
    }
}

fn below_dir(tree: &Tree, dir: Id) -> Vec<Id> {
    let mut found: Vec<Id> = tree.node(dir).children.values().copied().collect();
    let mut next = 0;
    while let Some(id) = found.get(next) {
        found.extend(
            tree.node(*id)
                .children
                .values()
                .copied()
                .collect::<Vec<_>>(),
        );
        next += 1;
    }
    found
}

fn put(content: &mut Vec<u8>, range: Range<usize>, bytes: &[u8]) {
    content.resize(content.len().max(range.end), 0);
    content[range].copy_from_slice(bytes);
}

/// The same operation below `home`; none if it is about the root, which is special, or makes
/// a link, which could lead out.
fn below(op: &Op, home: &str) -> Option<Op> {
    let moved = |path: &mut String| {
        let inside = path != "/";
        *path = format!("{home}{path}");
        inside
    };
    let mut op = op.clone();
    let inside = match &mut op {
        Op::Symlink { .. } => false,
        Op::Write(path, _)
        | Op::Append(path, _)
        | Op::Truncate(path, _)
        | Op::SetAttributes { path, .. }
        | Op::SetMetadata(path, _)
        | Op::SetTags { path, .. }
        | Op::Mkdir(path, _)
        | Op::Remove { path, .. }
        | Op::Rollback(path, _) => moved(path),
        Op::Rename(from, to, _) | Op::Copy(from, to, _) => moved(from) & moved(to),
        Op::Fork { from, to, .. } => moved(from) & moved(to),
        Op::HardLink { existing, path } => moved(existing) & moved(path),
        Op::Batch(steps) => {
            let below: Option<Vec<Op>> = steps.iter().map(|step| below(step, home)).collect();
            let inside = below.is_some();
            *steps = below.unwrap_or_default();
            inside
        }
        Op::Reopen { .. } | Op::Gc => false,
    };
    inside.then_some(op)
}
