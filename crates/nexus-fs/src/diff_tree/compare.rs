//! From pairs to changes: what differs, in which order, and what is told as a whole.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nexus_kernel::Result;

use super::gather::Found;
use super::pairs::{Leaf, Pair, hide, pairs};
use super::side::{Located, NEW, OLD, Side};
use super::{DiffTreeOptions, TreeChange, TreeChangeKind};
use crate::cache::CachedInode;
use crate::records::unreadable;
use crate::session::Session;
use crate::types::Ino;

/// Inodes read between two looks at the deadline.
const LOOK_EVERY: usize = 1_000;

/// A change, and the directories that hold it.
struct Row {
    change: TreeChange,
    directories: [Option<Arc<Located>>; 2],
}

pub(super) async fn changes(
    session: &Session,
    mut sides: [Side<'_>; 2],
    found: Found,
    options: DiffTreeOptions,
) -> Result<Vec<TreeChange>> {
    let mut pairs = pairs(&mut sides, found).await?;
    hide(session, &sides, &mut pairs).await?;
    let mixed = mixed(&pairs);
    let mut rows = Vec::with_capacity(pairs.len());
    for (i, pair) in pairs.into_iter().enumerate() {
        if i % LOOK_EVERY == 0 {
            session.check_goes_on()?;
        }
        rows.extend(row(&sides, pair).await?);
    }
    if !options.expand {
        fold(&mut rows, &mixed);
    }
    let mut changes: Vec<TreeChange> = rows.into_iter().map(|row| row.change).collect();
    changes.sort_unstable_by(order);
    Ok(changes)
}

/// By path as a recursive listing has it; of one path, what went before what came.
fn order(one: &TreeChange, other: &TreeChange) -> Ordering {
    let paths = one.path.split('/').cmp(other.path.split('/'));
    paths.then_with(|| one.kind.cmp(&other.kind))
}

async fn row(sides: &[Side<'_>; 2], pair: Pair) -> Result<Option<Row>> {
    let mut inodes = [None, None];
    for side in [OLD, NEW] {
        if let Some(leaf) = &pair.sides[side] {
            inodes[side] = Some(inode(&sides[side], leaf).await?);
        }
    }
    let differs = match &inodes {
        [Some(old), Some(new)] => differences(sides, &pair, old, new).await?,
        _ => Differences::default(),
    };
    let kind = match &pair.sides {
        [None, _] => TreeChangeKind::Added,
        [_, None] => TreeChangeKind::Removed,
        _ if pair.moved => TreeChangeKind::Renamed,
        _ if differs.any() => TreeChangeKind::Modified,
        _ => return Ok(None),
    };
    let mut stats = [None, None];
    for ((stat, leaf), inode) in stats.iter_mut().zip(&pair.sides).zip(&inodes) {
        if let (Some(leaf), Some(inode)) = (leaf, inode) {
            *stat = Some(inode.record.stat(Ino(leaf.dentry.ino), inode.revision)?);
        }
    }
    let [old, new] = stats;
    let (paths, directories) = placed(pair.sides);
    let [old_path, new_path] = paths;
    let (path, old_path) = match (old_path, new_path) {
        (Some(old), Some(new)) if old == new => (new, None),
        (old, Some(new)) => (new, old),
        (Some(old), None) => (old, None),
        (None, None) => return Ok(None),
    };
    let change = TreeChange {
        kind,
        path,
        old_path,
        old,
        new,
        content: differs.content,
        attributes: differs.attributes,
        metadata: differs.metadata,
        below: 0,
    };
    Ok(Some(Row {
        change,
        directories,
    }))
}

type Placed = ([Option<String>; 2], [Option<Arc<Located>>; 2]);

fn placed(sides: [Option<Leaf>; 2]) -> Placed {
    let [old, new] = sides.map(|leaf| match leaf {
        Some(leaf) => (Some(leaf.path), leaf.directory),
        None => (None, None),
    });
    ([old.0, new.0], [old.1, new.1])
}

async fn inode(side: &Side<'_>, leaf: &Leaf) -> Result<Arc<CachedInode>> {
    let found = side.view.inode(leaf.dentry.ino).await?;
    found.ok_or_else(|| unreadable("inode of a name").with("path", &leaf.path))
}

#[derive(Clone, Copy, Default)]
struct Differences {
    content: bool,
    attributes: bool,
    metadata: bool,
}

impl Differences {
    fn any(self) -> bool {
        self.content || self.attributes || self.metadata
    }
}

async fn differences(
    sides: &[Side<'_>; 2],
    pair: &Pair,
    old: &CachedInode,
    new: &CachedInode,
) -> Result<Differences> {
    let [old_ino, new_ino] = [OLD, NEW].map(|side| {
        let leaf = pair.sides[side].as_ref();
        leaf.map_or(0, |leaf| leaf.dentry.ino)
    });
    if old_ino == new_ino && old.revision == new.revision {
        return Ok(Differences::default());
    }
    let (before, after) = (&old.record, &new.record);
    let metadata =
        sides[OLD].view.metadata_of(old_ino).await? != sides[NEW].view.metadata_of(new_ino).await?;
    Ok(Differences {
        content: before.etag != after.etag,
        attributes: (before.mode, before.uid, before.gid) != (after.mode, after.uid, after.gid),
        metadata,
    })
}

/// The directories of either tree below which something is also in the other tree.
fn mixed(pairs: &[Pair]) -> [HashSet<u64>; 2] {
    let mut mixed = [HashSet::new(), HashSet::new()];
    for pair in pairs {
        let [Some(old), Some(new)] = &pair.sides else {
            continue;
        };
        for (mixed, leaf) in mixed.iter_mut().zip([old, new]) {
            let chain = leaf.directory.iter().flat_map(|directory| &directory.chain);
            mixed.extend(chain);
        }
    }
    mixed
}

/// Tells a directory that came or went as a whole as one change.
fn fold(rows: &mut Vec<Row>, mixed: &[HashSet<u64>; 2]) {
    for (side, kind) in [(OLD, TreeChangeKind::Removed), (NEW, TreeChangeKind::Added)] {
        let of_kind = rows.iter().filter(|row| row.change.kind == kind);
        let directories = of_kind.filter(|row| row.change.stat().is_dir());
        let inos = directories.map(|row| row.change.stat().ino.0);
        let whole: HashSet<u64> = inos.filter(|ino| !mixed[side].contains(ino)).collect();
        let mut below: HashMap<u64, u64> = HashMap::new();
        rows.retain(|row| {
            let directory = row.directories[side]
                .as_ref()
                .filter(|_| row.change.kind == kind);
            let mut above = directory.iter().flat_map(|directory| &directory.chain);
            let folded = above.find(|ino| whole.contains(ino));
            if let Some(ino) = folded {
                *below.entry(*ino).or_default() += 1;
            }
            folded.is_none()
        });
        for row in rows.iter_mut().filter(|row| row.change.kind == kind) {
            row.change.below = below.get(&row.change.stat().ino.0).copied().unwrap_or(0);
        }
    }
}
