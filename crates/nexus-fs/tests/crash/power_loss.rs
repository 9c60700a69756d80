//! The power goes off at any operation of either disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::{StreamExt, poll};
use nexus_driver_local::Trouble;
use nexus_fs::{At, FeedQuery, MkdirOptions, MoveOptions};
use nexus_kernel::Durability;
use nexus_service_api::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::books::Violation;
use crate::deeds::Deed;
use crate::disks::{Disks, Lie};
use crate::machine::{Machine, runtime};
use crate::ops::{Op, Write, noise};
use crate::zone::{ManualClock, open, tight_config};

/// Each seed is a machine of its own. More of them look further.
const MACHINES: u64 = 50;
/// How often each machine is started for good.
const SERVICES: u32 = 10;

fn live(seed: u64, lie: Lie) -> Result<u64, Violation> {
    let machine = Machine::new(seed, lie);
    let lived = catch_unwind(AssertUnwindSafe(|| machine.live_through(SERVICES)));
    lived.unwrap_or_else(|_| Err("it panicked".into()))
}

#[test]
fn nothing_promised_is_lost_and_nothing_is_half_done() {
    let mut power_losses = 0;
    for seed in 0..MACHINES {
        let lived = live(seed, Lie::None);
        power_losses += lived.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
    // Each service ends with one, and half of the starts are interrupted by more.
    assert!(power_losses >= MACHINES * u64::from(SERVICES));
}

#[test]
fn a_story_survives_power_loss_at_every_single_operation() {
    let story = story();
    for operations in 0.. {
        let machine = Machine::new(operations, Lie::None);
        let followed = machine.follow(&story, operations);
        let was_longer = followed
            .unwrap_or_else(|violation| panic!("after {operations} operations: {violation}"));
        if !was_longer {
            assert!(operations > 150, "the story took {operations} operations");
            return;
        }
    }
}

/// Contents of each kind come, move, are shared and go; a tree is moved, copied and removed.
fn story() -> Vec<Deed> {
    const BOTH: [Durability; 2] = [Durability::Sync, Durability::Relaxed];
    let write = |path: &str, bytes: usize| {
        let content = noise(bytes as u64, bytes);
        Op::Write(path.to_owned(), Write::whole(content.into()))
    };
    let to = |from: &str, to: &str| (from.to_owned(), to.to_owned(), MoveOptions::default());
    let renamed = |(from, to, options)| Op::Rename(from, to, options);
    let copied = |(from, to, options)| Op::Copy(from, to, options);
    let mkdir = |path: &str| Op::Mkdir(path.to_owned(), MkdirOptions::default());
    let removed = |path: &str| Op::Remove {
        path: path.to_owned(),
        recursive: true,
        only_directory: false,
    };
    let ops = [
        mkdir("/a"),
        mkdir("/a/b"),
        write("/a/inline", 10),
        write("/a/b/journaled", 25),
        write("/a/staged", 45),
        write("/a/b/chunks", 1_500_000),
        Op::Batch(vec![
            write("/a/x", 40),
            mkdir("/a/c"),
            renamed(to("/a/b/journaled", "/a/c/y")),
            removed("/a/staged"),
        ]),
        Op::Append("/a/b/chunks".into(), Write::whole(noise(1, 30).into())),
        renamed(to("/a", "/tree")),
        Op::Rollback("/tree/b/chunks".into(), 1),
        copied(to("/tree", "/copy")),
        removed("/tree"),
        removed("/copy/b"),
    ];
    let changes = ops.into_iter().zip(BOTH.into_iter().cycle());
    let mut story: Vec<Deed> = changes.map(|(op, how)| Deed::Change(op, how)).collect();
    story.insert(10, Deed::Gc);
    story.insert(8, Deed::Sync);
    story.push(Deed::Gc);
    story
}

#[test]
fn a_disk_that_lies_about_metadata_is_caught() {
    check_caught(Lie::OfTheMetadata, "");
}

#[test]
fn a_disk_that_lies_about_objects_is_caught() {
    for trouble in [
        Trouble::SyncLies,
        Trouble::SyncDirLies,
        Trouble::SyncAllLies,
    ] {
        check_caught(Lie::OfTheObjects(trouble), "stored content is missing");
    }
}

#[test]
fn a_store_that_makes_commits_durable_before_their_contents_is_caught() {
    check_caught(Lie::OfTheOrder, "stored content is missing");
}

/// These tests prove nothing if they find nothing where there is something.
fn check_caught(lie: Lie, finding: &str) {
    const LIARS: u64 = 12;
    let violations = (0..LIARS).filter_map(|seed| live(seed, lie).err());
    let caught = violations.filter(|violation| violation.contains(finding));
    let caught = caught.count();
    assert!(caught > 5, "{lie:?} was noticed {caught} times of {LIARS}");
}

/// Who is told that a directory is there, durably, has it after a power loss, whoever made it.
#[test]
fn a_durable_change_that_finds_all_done_keeps_what_it_found() {
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let disks = Disks::new(&mut random, Lie::None);
        let mkdir = |durability| MkdirOptions {
            exist_ok: true,
            durability,
            ..MkdirOptions::default()
        };
        let clock = Arc::<ManualClock>::default();
        runtime().block_on(async {
            let stores = disks.stores(clock.clone()).unwrap();
            let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
            let files = zone.session(Context::system());
            for durability in [Durability::Relaxed, Durability::Sync] {
                files.mkdir("/a", mkdir(durability)).await.unwrap();
            }
            disks.power.off();
        });
        let disks = disks.after_power_loss(&mut random);
        runtime().block_on(async {
            let stores = disks.stores(clock.clone()).unwrap();
            let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
            let files = zone.session(Context::system());
            let exists = files.exists("/a", At::Latest).await;
            assert!(exists.unwrap(), "seed {seed}");
        });
    }
}

/// Who watches from a change that a power loss took back is told of every one since, and of no
/// other: its revision is not given to another change.
#[test]
fn a_watch_goes_on_from_a_revision_that_was_lost() {
    let mut lost = 0;
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let disks = Disks::new(&mut random, Lie::None);
        let relaxed = MkdirOptions {
            durability: Durability::Relaxed,
            ..MkdirOptions::default()
        };
        let clock = Arc::<ManualClock>::default();
        let seen = runtime().block_on(async {
            let stores = disks.stores(clock.clone()).unwrap();
            let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
            let files = zone.session(Context::system());
            for path in ["/a", "/b", "/c"] {
                files.mkdir(path, relaxed).await.unwrap();
            }
            disks.power.off();
            files.revision().await.unwrap()
        });
        let disks = disks.after_power_loss(&mut random);
        runtime().block_on(async {
            let stores = disks.stores(clock.clone()).unwrap();
            let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
            let files = zone.session(Context::system());
            lost += u32::from(!files.exists("/c", At::Latest).await.unwrap());
            let mut watch = files.watch(FeedQuery {
                start: seen.into(),
                ..FeedQuery::default()
            });
            assert!(poll!(watch.next()).is_pending(), "seed {seed}");
            for path in ["/d", "/e"] {
                files.mkdir(path, relaxed).await.unwrap();
                let told = watch.next().await.unwrap().unwrap();
                assert_eq!(told.changes[0].path, path, "seed {seed}");
                assert!(told.revision > seen, "seed {seed}");
            }
        });
    }
    assert!(lost > 5, "only {lost} were lost");
}
