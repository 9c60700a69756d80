//! Random stories of forks.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::{
    At, FileKind, KeyPresence, ListOptions, MergeConflict, MergeOptions, MergeReport,
    MergeStrategy, MkdirOptions, MoveOptions, RemoveOptions, Replace, Session, SetAttributes, Zone,
};
use nexus_kernel::Durability;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::merge;
use crate::forks::fork;
use crate::support::{fresh, put, text};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const STORIES: u64 = 150;
const DEEDS: usize = 14;

/// All that is said of what is below a directory but times and who made it.
async fn facts(files: &Session, top: &str) -> BTreeMap<String, String> {
    let options = ListOptions {
        recursive: true,
        limit: 1_000,
        ..ListOptions::default()
    };
    let mut facts = BTreeMap::new();
    for entry in files.list(top, options).await.unwrap().entries {
        let path = &entry.path;
        let content = match entry.kind {
            FileKind::File => text(files, path).await,
            FileKind::Symlink => files.readlink(path, At::Latest).await.unwrap(),
            FileKind::Directory => String::new(),
        };
        let stat = files.lstat(path, At::Latest).await.unwrap();
        let mut metadata = Vec::new();
        for key in files.metadata_keys(stat.ino).await.unwrap() {
            let value = files.metadata_value(stat.ino, &key).await.unwrap();
            metadata.push((key, value));
        }
        let (kind, mode, uid) = (stat.kind, stat.mode, stat.uid);
        let below = path.strip_prefix(top).unwrap().to_owned();
        let told = format!("{kind:?} {content:?} {mode:o} {uid} {metadata:?}");
        facts.insert(below, told);
    }
    facts
}

/// One that is there, or another.
async fn path(files: &Session, random: &mut StdRng, top: &str) -> String {
    let options = ListOptions {
        recursive: true,
        limit: 1_000,
        ..ListOptions::default()
    };
    let all = files.list(top, options).await.unwrap().entries;
    let there = all.choose(random).map_or(top, |entry| &entry.path);
    match random.random_range(0..3) {
        0 => format!("{top}/{}", NAMES.choose(random).unwrap()),
        1 => format!("{there}/{}", NAMES.choose(random).unwrap()),
        _ => there.to_owned(),
    }
}

/// Tries something; what is not possible is not done.
async fn deed(files: &Session, random: &mut StdRng, top: &str) -> Option<()> {
    let one = path(files, random, top).await;
    let other = path(files, random, top).await;
    if one == top || other == top {
        return None;
    }
    match random.random_range(0..14) {
        0 | 12 => _ = files.mkdir(&one, MkdirOptions::default()).await.ok()?,
        1 => {
            let nowhere = format!("nowhere-{}", random.random_range(0..9));
            let made = files.symlink(&nowhere, &one, Durability::Relaxed).await;
            _ = made.ok()?;
        }
        2 | 3 => {
            let options = RemoveOptions {
                recursive: true,
                ..RemoveOptions::default()
            };
            _ = files.remove(&one, options).await.ok()?;
        }
        4..=7 => {
            let all = [Replace::Refuse, Replace::Allow, Replace::Exchange];
            let options = MoveOptions {
                replace: *all.choose(random).unwrap(),
                ..MoveOptions::default()
            };
            _ = files.rename(&one, &other, options).await.ok()?;
        }
        8 => {
            let set = SetAttributes {
                mode: Some(random.random_range(0..0o777)),
                uid: Some(random.random_range(0..3)),
                ..SetAttributes::default()
            };
            let stat = files.lstat(&one, At::Latest).await.ok()?;
            let set = files.setattr(stat.ino, set, Durability::Relaxed);
            _ = set.await.ok()?;
        }
        9 => {
            let stat = files.lstat(&one, At::Latest).await.ok()?;
            let (key, must) = (random.random_range(0..3).to_string(), KeyPresence::Any);
            let value = random.random::<bool>().then(|| Bytes::from_static(b"v"));
            let set = files.set_metadata_value(stat.ino, &key, value, must, Durability::Relaxed);
            _ = set.await.ok()?;
        }
        _ => {
            let there = files.lstat(&one, At::Latest).await;
            if there.is_ok_and(|stat| stat.kind != FileKind::File) {
                return None;
            }
            let content = format!("{}\n", random.random_range(0..99));
            let written = nexus_fs::WriteOptions::default();
            _ = files.write(&one, content.into(), written).await.ok()?;
        }
    }
    Some(())
}

async fn deeds(files: &Session, random: &mut StdRng, top: &str) {
    for _ in 0..DEEDS {
        deed(files, random, top).await;
    }
}

/// A directory in which something was done, and a fork of it.
async fn begun(random: &mut StdRng) -> (Zone, Session) {
    let (zone, files) = fresh().await;
    put(&files, "/t/a/b/c", "1\n").await;
    deeds(&files, random, "/t").await;
    fork(&files, "/t", "/f").await;
    (zone, files)
}

/// What a dry run tells, and then what is done.
async fn planned_and_done(files: &Session, strategy: MergeStrategy) -> [MergeReport; 2] {
    let dry_run = MergeOptions {
        dry_run: true,
        strategy,
        ..MergeOptions::default()
    };
    let planned = files.merge("/f", dry_run).await.unwrap();
    [planned, merge(files, strategy).await]
}

/// A merge into a directory that has stayed as it was makes it what the fork is, whatever was
/// done there, and a dry run tells that before.
#[tokio::test]
async fn a_merge_into_what_stayed_makes_it_the_fork() {
    for seed in 0..STORIES {
        let mut random = StdRng::seed_from_u64(seed);
        let (_zone, files) = begun(&mut random).await;
        for round in 0..2 {
            deeds(&files, &mut random, "/f").await;
            let [planned, report] = planned_and_done(&files, MergeStrategy::Report).await;
            assert!(report.applied, "seed {seed}, {round}: {report:?}");
            assert_eq!(planned.changes, report.changes, "seed {seed}, {round}");
            let (target, fork) = (facts(&files, "/t").await, facts(&files, "/f").await);
            assert_eq!(target, fork, "seed {seed}, {round}: {report:#?}");
        }
    }
}

/// Whatever both sides do, a merge is done or tells what is in its way, and a dry run tells the
/// same; with the target's word for every conflict it is done.
#[tokio::test]
async fn a_merge_is_done_or_tells_what_is_in_its_way() {
    for seed in 0..STORIES {
        let mut random = StdRng::seed_from_u64(seed);
        let (_zone, files) = begun(&mut random).await;
        deeds(&files, &mut random, "/f").await;
        deeds(&files, &mut random, "/t").await;
        let before = facts(&files, "/t").await;
        for strategy in MergeStrategy::ALL {
            let [planned, report] = planned_and_done(&files, strategy).await;
            assert_eq!(planned.changes, report.changes, "seed {seed}, {strategy:?}");
            assert_eq!(
                planned.conflicts, report.conflicts,
                "seed {seed}, {strategy:?}"
            );
            if report.applied {
                break;
            }
            assert_ne!(strategy, MergeStrategy::Ours, "seed {seed}: {report:?}");
            let unresolved = |conflict: &MergeConflict| !conflict.resolved;
            assert!(report.conflicts.iter().any(unresolved), "seed {seed}");
            assert_eq!(facts(&files, "/t").await, before, "seed {seed}");
        }
    }
}

/// With the fork's word for every conflict, too, it is done or tells what is in its way.
#[tokio::test]
async fn a_merge_by_the_word_of_the_fork_is_done_or_tells_why_not() {
    for seed in 0..STORIES {
        let mut random = StdRng::seed_from_u64(seed);
        let (_zone, files) = begun(&mut random).await;
        deeds(&files, &mut random, "/t").await;
        deeds(&files, &mut random, "/f").await;
        let [planned, report] = planned_and_done(&files, MergeStrategy::Theirs).await;
        assert_eq!(planned.changes, report.changes, "seed {seed}");
        let decided = report.conflicts.iter().all(|conflict| conflict.resolved);
        assert_eq!(report.applied, decided, "seed {seed}");
    }
}
