//! Random work of two runs on the same few files, undone and done again.

use std::time::Duration;

use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{
    At, FileKind, NewSnapshot, OnConflict, RestoreOptions, RetentionLimits, Stores, UndoOptions,
    UndoWhat, ZoneConfig,
};
use nexus_kernel::{Durability, Kind, Revision, Timestamp};
use nexus_service_api::{Clock, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::{Entry, World, everything, of, operation};
use crate::ops::{Draw, Mix, Op};
use crate::support::memory_stores;
use crate::tree::Tree;
use crate::zone::{TICK, change};

/// More of them look further; every seed is another story, and a failure prints its seed.
const STORIES: u64 = 60;
const OPS: usize = 40;

struct Story {
    seed: u64,
    world: World,
    draw: Draw,
    tree: Tree,
}

impl Story {
    async fn begin(seed: u64, stores: Stores) -> Self {
        Self {
            seed,
            world: World::on(stores).await,
            draw: Draw {
                random: StdRng::seed_from_u64(seed),
                mix: Mix::default(),
            },
            tree: Tree::new(0),
        }
    }

    async fn work(&mut self) {
        for step in 0..OPS {
            let op = self.draw.op(&self.tree);
            if matches!(op, Op::Reopen { .. } | Op::Gc) {
                continue;
            }
            let session = match self.draw.random.random() {
                true => &self.world.ours,
                false => &self.world.others,
            };
            if change(session, &op, Durability::Relaxed).await.is_ok() {
                // The tree is there to draw from: what it thinks of the operation is no matter.
                _ = self.tree.apply(&op, TICK * (step as i64 + 1));
            }
        }
        self.world.cleared().await;
    }

    async fn now(&self) -> Vec<Entry> {
        self.world.cleared().await;
        everything(&self.world.others).await
    }

    /// Names what is not as it should be.
    async fn assert_is(&self, expected: &[Entry], what: &str) {
        let now = self.now().await;
        let less = expected.iter().filter(|entry| !now.contains(entry));
        let less: Vec<&Entry> = less.collect();
        let more = now.iter().filter(|entry| !expected.contains(entry));
        let more: Vec<&Entry> = more.collect();
        let seed = self.seed;
        assert_eq!(more, less, "seed {seed}: {what}");
    }

    /// What a dry run says of our work, and the log.
    async fn told(&self) -> String {
        let dry_run = UndoOptions {
            dry_run: true,
            ..of("ours")
        };
        let log = self.world.others.log(nexus_fs::LogQuery::default());
        let log = log.await.unwrap().records.into_iter().map(|record| {
            let changes = record.changes.iter();
            let changes = changes.map(|change| {
                let (kind, old) = (change.kind.as_str(), &change.old_path);
                format!("{kind} {} {old:?} {}", change.path, change.ino)
            });
            let changes: Vec<String> = changes.collect();
            let session = record.session.unwrap_or_default();
            format!(
                "{} {session} {:?} {changes:?}",
                record.revision, record.operation
            )
        });
        let log: Vec<String> = log.collect();
        format!(
            "{:?}\n{}",
            self.world.others.undo(dry_run).await,
            log.join("\n")
        )
    }

    /// Undoes, as a dry run told; none if there was nothing to do.
    async fn undo(&self, options: UndoOptions) -> Option<Revision> {
        let dry_run = UndoOptions {
            dry_run: true,
            ..options.clone()
        };
        let told = self.world.others.undo(dry_run).await;
        let report = match self.world.others.undo(options).await {
            Err(error) if error.kind() == Kind::NotFound => return None,
            Err(error) => panic!("seed {}: {error}\n{}", self.seed, self.told().await),
            Ok(report) => report,
        };
        let told = told.unwrap();
        let seed = self.seed;
        assert_eq!(told.conflicts, report.conflicts, "seed {seed}");
        assert_eq!(told.effects, report.effects, "seed {seed}");
        self.world.assert_sound().await;
        report.revisions.first().copied()
    }
}

async fn live_through(seed: u64, stores: Stores) -> bool {
    let mut story = Story::begin(seed, stores).await;
    story.work().await;
    let done = story.now().await;
    let on_conflict = match seed % 2 {
        0 => OnConflict::Skip,
        _ => OnConflict::Force,
    };
    let options = UndoOptions {
        on_conflict,
        ..of("ours")
    };
    let Some(by) = story.undo(options).await else {
        return false;
    };
    let undone = story.now().await;
    let redo = story.undo(operation(by)).await;
    assert_eq!(story.now().await, done, "seed {seed}: the undo of the undo");
    let redo = redo.unwrap_or_else(|| panic!("seed {seed}: an undo can be undone"));
    story.undo(operation(redo)).await;
    assert_eq!(story.now().await, undone, "seed {seed}: and that undone");
    let all = UndoWhat::Range {
        from: Revision(1),
        to: story.world.others.revision().await.unwrap(),
    };
    let by = story.undo(UndoOptions::new(all)).await;
    assert_eq!(story.now().await, [], "seed {seed}: all undone");
    if let Some(by) = by {
        story.undo(operation(by)).await;
        assert_eq!(story.now().await, undone, "seed {seed}: all done again");
    }
    true
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn undo_is_exact_whatever_was_done() {
    let mut told = 0;
    for seed in 0..STORIES {
        told += u64::from(runtime().block_on(live_through(seed, memory_stores())));
    }
    assert!(
        told > STORIES / 2,
        "only {told} stories had something to undo"
    );
}

#[test]
fn undo_is_exact_on_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 1_000..1_006 {
        let path = folder.path().join(format!("{seed}.redb"));
        let metastore = RedbMetastore::open(&RedbConfig::new(path)).unwrap();
        let stores = Stores {
            metastore,
            ..memory_stores()
        };
        runtime().block_on(live_through(seed, stores));
    }
}

/// What nobody else has touched is after the undo of a run what it was before it.
#[test]
fn what_nobody_else_has_touched_is_as_before() {
    let mut compared = 0;
    for seed in 0..STORIES {
        compared += runtime().block_on(untouched(seed));
    }
    assert!(compared > 100, "only {compared} files were compared");
}

async fn untouched(seed: u64) -> usize {
    let mut story = Story::begin(seed, memory_stores()).await;
    let (world, draw) = (&story.world, &mut story.draw);
    for step in 0..OPS {
        let op = draw.op(&story.tree);
        if matches!(op, Op::Reopen { .. } | Op::Gc) {
            continue;
        }
        if change(&world.others, &op, Durability::Relaxed)
            .await
            .is_ok()
        {
            _ = story.tree.apply(&op, TICK * (step as i64 + 1));
        }
    }
    let before = story.now().await;
    let (world, draw) = (&story.world, &mut story.draw);
    for step in OPS..2 * OPS {
        let op = draw.op(&story.tree);
        if matches!(op, Op::Reopen { .. } | Op::Gc) {
            continue;
        }
        if change(&world.ours, &op, Durability::Relaxed).await.is_ok() {
            _ = story.tree.apply(&op, TICK * (step as i64 + 1));
        }
    }
    world.cleared().await;
    if story.undo(of("ours")).await.is_none() {
        return 0;
    }
    let after = story.now().await;
    assert_eq!(after, before, "seed {seed}");
    after.len()
}

/// An undo of what was done in one part leaves a tree, and can be undone.
#[test]
fn an_undo_of_a_part_leaves_a_tree() {
    let mut undone = 0;
    for seed in 2_000..2_000 + STORIES {
        undone += u64::from(runtime().block_on(live_through_a_part(seed)));
    }
    assert!(undone > STORIES / 4, "only {undone} stories undid a part");
}

async fn live_through_a_part(seed: u64) -> bool {
    let mut story = Story::begin(seed, memory_stores()).await;
    story.work().await;
    let done = story.now().await;
    let dirs = done
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory);
    let dirs: Vec<&str> = dirs.map(|entry| entry.path.as_str()).collect();
    if dirs.is_empty() {
        return false;
    }
    let prefix = dirs[story.draw.random.random_range(0..dirs.len())];
    let on_conflict = match seed % 2 {
        0 => OnConflict::Skip,
        _ => OnConflict::Force,
    };
    let options = UndoOptions {
        on_conflict,
        path_prefix: Some(prefix.to_owned()),
        ..of("ours")
    };
    let Some(by) = story.undo(options).await else {
        return false;
    };
    story.undo(operation(by)).await;
    assert_eq!(
        story.now().await,
        done,
        "seed {seed}: the undo of a part of the work in {prefix}"
    );
    true
}

/// A snapshot is restored as it was, whatever policies have collected since; and an undo over the
/// holes that they leave makes a tree, which its undoing takes back.
#[test]
fn a_snapshot_is_restored_whatever_was_collected_since() {
    let mut undone = 0;
    for seed in 3_000..3_000 + STORIES {
        undone += u64::from(runtime().block_on(live_through_collections(seed)));
    }
    assert!(undone > STORIES / 4, "only {undone} stories were undone");
}

async fn live_through_collections(seed: u64) -> bool {
    let config = ZoneConfig {
        inline_bytes_max: 0,
        ..ZoneConfig::default()
    };
    let mut story = Story {
        world: World::with(memory_stores(), config).await,
        ..Story::begin(seed, memory_stores()).await
    };
    story.work().await;
    let before = story.now().await;
    let files = story.world.others.clone();
    let new = NewSnapshot {
        name: Some("s".to_owned()),
        ..NewSnapshot::default()
    };
    files.create_snapshot("/", new).await.unwrap();
    story.work().await;
    // The floor stays where it is: the other half of the names keeps everything.
    let (age, versions) = match seed % 3 {
        0 => (Some(Duration::from_secs(60)), None),
        1 => (None, Some(1)),
        _ => (None, Some(2)),
    };
    let limits = RetentionLimits {
        max_age: age,
        max_versions: versions,
    };
    for pattern in ["/**/a", "/**/b", "/**/*.b"] {
        files.set_retention(pattern, limits).await.unwrap();
    }
    let later = Timestamp(SystemClock.now().0 + 3_600_000_000_000);
    files.compact(later, false).await.unwrap();
    story.work().await;
    let done = story.now().await;
    let on_conflict = match seed % 2 {
        0 => OnConflict::Skip,
        _ => OnConflict::Force,
    };
    let options = UndoOptions {
        on_conflict,
        ..of("ours")
    };
    let by = story.undo(options).await;
    if let Some(by) = by {
        story.undo(operation(by)).await;
        story.assert_is(&done, "the undo of the undo").await;
    }
    let at = At::Snapshot("s".into());
    let restored = files.restore("/", at, RestoreOptions::default()).await;
    let report = restored.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    assert_eq!(report.conflicts, [], "seed {seed}");
    story.assert_is(&before, "the snapshot").await;
    story.world.assert_sound().await;
    files.gc(false).await.unwrap();
    story.assert_is(&before, "the snapshot after gc").await;
    by.is_some()
}
