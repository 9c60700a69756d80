//! Random operations; then any two points are compared in every way there is.

use bytes::Bytes;
use nexus_kernel::{Durability, Revision};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{EXPANDED, both_ways, fresh, naive};
use crate::diff_tree::DiffTreeOptions;
use crate::{
    At, ForkOptions, ListOptions, MkdirOptions, MoveOptions, RemoveOptions, Replace, Session,
    SetAttributes, UndoOptions, UndoWhat, WriteOptions,
};

const NAMES: [&str; 4] = ["a", "b", "c", "a.b"];
const SEEDS: u64 = 16;
const OPERATIONS: usize = 120;
const COMPARISONS: usize = 20;

struct Draw {
    random: StdRng,
    /// What exists, as listed before each operation.
    paths: Vec<String>,
}

impl Draw {
    fn fresh(&mut self) -> String {
        let depth = self.random.random_range(1..4);
        let names = (0..depth).map(|_| *NAMES.choose(&mut self.random).unwrap());
        names.fold(String::new(), |path, name| path + "/" + name)
    }

    fn existing(&mut self) -> String {
        match self.paths.choose(&mut self.random) {
            Some(path) => path.clone(),
            None => self.fresh(),
        }
    }

    fn content(&mut self) -> Bytes {
        vec![b'x'; self.random.random_range(0..4)].into()
    }
}

const RECURSIVE: RemoveOptions = RemoveOptions {
    recursive: true,
    if_match: None,
    durability: Durability::Sync,
};

/// Does something, which may be refused.
async fn act(files: &Session, draw: &mut Draw) {
    let (existing, fresh) = (draw.existing(), draw.fresh());
    let done = match draw.random.random_range(0..25) {
        0..=4 => {
            let options = WriteOptions {
                parents: true,
                ..WriteOptions::default()
            };
            let path = if draw.random.random_bool(0.5) {
                existing
            } else {
                fresh
            };
            files.write(&path, draw.content(), options).await
        }
        5 | 6 => {
            let options = MkdirOptions {
                parents: true,
                ..MkdirOptions::default()
            };
            files.mkdir(&fresh, options).await
        }
        7 | 8 => files.remove(&existing, RECURSIVE).await,
        9..=12 => {
            let to = if draw.random.random_bool(0.4) {
                draw.existing()
            } else {
                fresh
            };
            let replace = *[Replace::Allow, Replace::Exchange]
                .choose(&mut draw.random)
                .unwrap();
            let options = MoveOptions {
                replace,
                parents: true,
                ..MoveOptions::default()
            };
            files.rename(&existing, &to, options).await
        }
        13 | 14 => files.copy(&existing, &fresh, MoveOptions::default()).await,
        15..=17 => {
            files
                .hard_link(&existing, &fresh, Durability::Relaxed)
                .await
        }
        18 => files.symlink("a", &fresh, Durability::Relaxed).await,
        19 => {
            let set = SetAttributes {
                mode: Some(draw.random.random_range(0o600..0o604)),
                ..SetAttributes::default()
            };
            files
                .set_attributes(&existing, set, Durability::Relaxed)
                .await
        }
        20 => {
            let value = draw.random.random_bool(0.7).then(|| draw.content());
            let set = vec![("key".to_owned(), value)];
            files
                .set_metadata(&existing, set, Durability::Relaxed)
                .await
        }
        21 => files.rollback(&existing, 1, Durability::Relaxed).await,
        22 => files.fork(&existing, &fresh, ForkOptions::default()).await,
        _ => return take_back(files, draw).await,
    };
    drop(done);
}

/// Undoes one of the last operations, as far as nothing stands on it.
async fn take_back(files: &Session, draw: &mut Draw) {
    let newest = files.revision().await.unwrap();
    let ago = draw.random.random_range(0..newest.0.min(6));
    let options = UndoOptions::new(UndoWhat::Operation(Revision(newest.0 - ago)));
    drop(files.undo(options).await);
}

async fn paths(files: &Session) -> Vec<String> {
    let options = ListOptions {
        recursive: true,
        limit: 10_000,
        ..ListOptions::default()
    };
    let entries = files.list("/", options).await.unwrap().entries;
    entries.into_iter().map(|entry| entry.path).collect()
}

/// Then the paths of what is compared begin otherwise.
async fn leads_through_a_link(files: &Session, (path, at): (&str, Revision)) -> bool {
    let ends = path.match_indices('/').skip(1).map(|(end, _)| end);
    for end in ends.chain([path.len()]) {
        let stat = files.lstat(&path[..end], At::Revision(at)).await;
        if stat.is_ok_and(|stat| stat.target.is_some()) {
            return true;
        }
    }
    false
}

/// Two directories of which one may be a fork of the other are brought together otherwise than by
/// their inodes.
async fn is_of_forks(files: &Session, old: (&str, Revision), new: (&str, Revision)) -> bool {
    let mut tops = Vec::new();
    let mut forked = false;
    for (path, at) in [old, new] {
        let at = At::Revision(at);
        let Ok(stat) = files.stat(path, at.clone()).await else {
            continue;
        };
        tops.push(stat.ino);
        if stat.is_dir() {
            let options = ListOptions {
                at,
                recursive: true,
                limit: 10_000,
                ..ListOptions::default()
            };
            let entries = files.list(path, options).await.unwrap().entries;
            let mut inos = entries.iter().map(|entry| entry.ino.0).chain([stat.ino.0]);
            forked |= inos.any(crate::fork::is_forked);
        }
    }
    forked && tops.len() == 2 && tops[0] != tops[1]
}

async fn nothing_is_at(files: &Session, (path, at): (&str, Revision)) -> bool {
    files.stat(path, At::Revision(at)).await.is_err()
}

async fn compare(files: &Session, seed: u64, old: (&str, Revision), new: (&str, Revision)) {
    for top in [old, new] {
        if leads_through_a_link(files, top).await {
            return;
        }
    }
    if nothing_is_at(files, old).await && nothing_is_at(files, new).await {
        return;
    }
    if is_of_forks(files, old, new).await {
        return;
    }
    let expanded = both_ways(files, old, new, EXPANDED).await;
    let told: Vec<naive::Told> = expanded.changes.iter().map(naive::Told::of).collect();
    assert_eq!(
        told,
        naive::diff(files, old, new).await,
        "{seed}: {old:?} {new:?}"
    );
    let folded = both_ways(files, old, new, DiffTreeOptions::default()).await;
    let below: u64 = folded.changes.iter().map(|change| change.below).sum();
    assert_eq!(folded.changes.len() as u64 + below, told.len() as u64);
}

#[tokio::test]
async fn the_log_a_walk_and_two_listings_tell_the_same() {
    for seed in 0..SEEDS {
        let (_zone, files) = fresh().await;
        let mut draw = Draw {
            random: StdRng::seed_from_u64(seed),
            paths: Vec::new(),
        };
        let mut points = vec![files.revision().await.unwrap()];
        for _ in 0..OPERATIONS {
            draw.paths = paths(&files).await;
            act(&files, &mut draw).await;
            points.push(files.revision().await.unwrap());
        }
        for i in 0..COMPARISONS {
            let mut point = || *points.choose(&mut draw.random).unwrap();
            let (from, to) = (point(), point());
            compare(&files, seed, ("/", from), ("/", to)).await;
            let (one, other) = (draw.existing(), draw.existing());
            compare(&files, seed, (&one, from), (&one, to)).await;
            if i % 4 == 0 {
                compare(&files, seed, (&one, from), (&other, to)).await;
            }
        }
    }
}
