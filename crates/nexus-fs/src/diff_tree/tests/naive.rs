//! What differs, from two full listings.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::Revision;

use crate::diff_tree::TreeChangeKind;
use crate::path;
use crate::{At, FileKind, Ino, ListOptions, Session, Stat, TreeChange};

/// A change without what the two sides are beyond their inodes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub path: Vec<String>,
    pub kind: TreeChangeKind,
    pub old_path: Option<String>,
    pub inos: [Option<Ino>; 2],
    pub differs: [bool; 3],
}

impl Told {
    pub(super) fn of(change: &TreeChange) -> Self {
        Self {
            path: change.path.split('/').map(str::to_owned).collect(),
            kind: change.kind,
            old_path: change.old_path.clone(),
            inos: [&change.old, &change.new].map(|stat| stat.as_ref().map(|stat| stat.ino)),
            differs: [change.content, change.attributes, change.metadata],
        }
    }
}

#[derive(Clone)]
struct Entry {
    path: String,
    below: String,
    stat: Stat,
    metadata: BTreeMap<String, Bytes>,
}

/// By directory and name.
type Tree = BTreeMap<(u64, String), Entry>;

/// Everything at a path, itself included, as of a revision.
async fn listing(files: &Session, top: &str, at: Revision) -> Tree {
    let mut tree = Tree::new();
    let Ok(stat) = files.stat(top, At::Revision(at)).await else {
        return tree;
    };
    let mut directories = BTreeMap::from([(top.to_owned(), stat.ino.0)]);
    tree.insert(
        (0, String::new()),
        entry(files, top, top, stat.clone(), at).await,
    );
    if !stat.is_dir() {
        return tree;
    }
    let options = ListOptions {
        at: At::Revision(at),
        recursive: true,
        details: true,
        limit: 10_000,
        cursor: None,
    };
    for listed in files.list(top, options).await.unwrap().entries {
        let stat = listed.stat.unwrap();
        let (parent, name) = path::split(&listed.path).unwrap();
        let key = (directories[parent], name.to_owned());
        if stat.is_dir() {
            directories.insert(listed.path.clone(), stat.ino.0);
        }
        tree.insert(key, entry(files, top, &listed.path, stat, at).await);
    }
    tree
}

async fn entry(files: &Session, top: &str, path: &str, stat: Stat, at: Revision) -> Entry {
    let view = files.zone.view(At::Revision(at)).await.unwrap();
    let below = path.strip_prefix(top.trim_end_matches('/')).unwrap();
    Entry {
        path: path.to_owned(),
        below: below.to_owned(),
        metadata: view.metadata_of(stat.ino.0).await.unwrap(),
        stat,
    }
}

/// The children of two tops that are not the same directory have names in one directory.
fn join_tops(old: &mut Tree, new: &mut Tree) {
    let top = |tree: &Tree| {
        let top = tree.get(&(0, String::new()))?;
        top.stat.is_dir().then_some(top.stat.ino.0)
    };
    let (Some(old_top), Some(new_top)) = (top(old), top(new)) else {
        return;
    };
    if old_top == new_top {
        return;
    }
    for (tree, top) in [(old, old_top), (new, new_top)] {
        let names = std::mem::take(tree).into_iter();
        *tree = names
            .map(|((dir, name), entry)| ((if dir == top { u64::MAX } else { dir }, name), entry))
            .collect();
    }
}

pub(super) async fn diff(
    files: &Session,
    old: (&str, Revision),
    new: (&str, Revision),
) -> Vec<Told> {
    let mut gone = listing(files, old.0, old.1).await;
    let mut came = listing(files, new.0, new.1).await;
    join_tops(&mut gone, &mut came);
    let mut told = Vec::new();
    let names: Vec<_> = gone.keys().cloned().collect();
    for name in names {
        if came
            .get(&name)
            .is_some_and(|entry| entry.stat.ino == gone[&name].stat.ino)
        {
            told.extend(compare(gone.remove(&name), came.remove(&name), false));
        }
    }
    let (mut gone, mut came) = (by_path(gone), by_path(came));
    for same_place in [true, false] {
        let inos: BTreeSet<u64> = gone.iter().map(|entry| entry.stat.ino.0).collect();
        for ino in inos {
            while let Some((left, right)) = pair(&gone, &came, |left, right| {
                left.stat.ino.0 == ino
                    && right.stat.ino.0 == ino
                    && (!same_place || left.below == right.below)
            }) {
                let pair = (gone.remove(left), came.remove(right));
                told.extend(compare(Some(pair.0), Some(pair.1), !same_place));
            }
        }
    }
    while let Some((left, right)) = pair(&gone, &came, |left, right| {
        left.below == right.below && left.stat.kind == right.stat.kind
    }) {
        let pair = (gone.remove(left), came.remove(right));
        told.extend(compare(Some(pair.0), Some(pair.1), false));
    }
    told.extend(
        gone.into_iter()
            .filter_map(|entry| compare(Some(entry), None, false)),
    );
    told.extend(
        came.into_iter()
            .filter_map(|entry| compare(None, Some(entry), false)),
    );
    told.sort();
    told
}

fn by_path(tree: Tree) -> Vec<Entry> {
    let mut entries: Vec<Entry> = tree.into_values().collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn pair(
    gone: &[Entry],
    came: &[Entry],
    fits: impl Fn(&Entry, &Entry) -> bool,
) -> Option<(usize, usize)> {
    gone.iter().enumerate().find_map(|(i, left)| {
        let there = came.iter().position(|right| fits(left, right))?;
        Some((i, there))
    })
}

fn compare(old: Option<Entry>, new: Option<Entry>, moved: bool) -> Option<Told> {
    let mut differs = [false; 3];
    if let (Some(old), Some(new)) = (&old, &new) {
        let attributes = |stat: &Stat| (stat.mode, stat.uid, stat.gid);
        let is_dir = old.stat.kind == FileKind::Directory;
        differs = [
            !is_dir && old.stat.etag != new.stat.etag,
            attributes(&old.stat) != attributes(&new.stat),
            old.metadata != new.metadata,
        ];
    }
    let kind = match (&old, &new) {
        (None, _) => TreeChangeKind::Added,
        (_, None) => TreeChangeKind::Removed,
        _ if moved => TreeChangeKind::Renamed,
        _ if differs.contains(&true) => TreeChangeKind::Modified,
        _ => return None,
    };
    let inos = [&old, &new].map(|entry| entry.as_ref().map(|entry| entry.stat.ino));
    let [old, new] = [old, new].map(|entry| entry.map(|entry| entry.path));
    let path = new.clone().or_else(|| old.clone()).unwrap();
    Some(Told {
        old_path: old.filter(|old| new.is_some() && *old != path),
        path: path.split('/').map(str::to_owned).collect(),
        kind,
        inos,
        differs,
    })
}
