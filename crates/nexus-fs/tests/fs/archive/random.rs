//! Zones in which anything may have happened.

use nexus_driver_memory::MemoryObjectStore;
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{At, MkdirOptions, MoveOptions, RemoveOptions, Session, Stores, WriteOptions};
use nexus_kernel::{Durability, Result};
use nexus_service_api::SystemClock;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use tempfile::TempDir;

use super::{export, import, noise, problems, revision_of, same, system};
use crate::support::{memory_stores, open};

/// Does something to a zone; most of it works.
async fn do_something(files: &Session, random: &mut StdRng) -> Result<()> {
    let (one, other) = (path(random), path(random));
    let write = WriteOptions {
        parents: true,
        ..WriteOptions::default()
    };
    let moved = MoveOptions {
        parents: true,
        ..MoveOptions::default()
    };
    let now = Durability::Sync;
    match random.random_range(0..13) {
        0..3 => {
            let len = [0, 10, 9_000, 70_000][random.random_range(0..4)];
            files.write(&one, noise(random.random(), len), write).await
        }
        3 => {
            let large = noise(random.random_range(0..3), 3 << 20);
            files.write(&one, large, write).await
        }
        4 => {
            files
                .append(&one, noise(1, 5), WriteOptions::default())
                .await
        }
        5 => files.mkdir(&one, MkdirOptions::default()).await,
        6 => {
            let recursive = random.random();
            let options = RemoveOptions {
                recursive,
                ..RemoveOptions::default()
            };
            files.remove(&one, options).await
        }
        7 => files.rename(&one, &other, moved).await,
        8 => files.copy(&one, &other, moved).await,
        9 => files.symlink(&other, &one, now).await,
        10 => files.hard_link(&one, &other, now).await,
        11 => {
            let value = (random.random::<bool>()).then(|| noise(random.random(), 20));
            let key = format!("key-{}", random.random_range(0..3));
            files.set_metadata(&one, vec![(key, value)], now).await
        }
        _ => {
            let tag = [format!("tag-{}", random.random_range(0..3))];
            match random.random() {
                true => files.set_tags(&one, &tag, &[], now).await,
                false => files.rollback(&one, 1, now).await,
            }
        }
    }
    .map(drop)
}

fn path(random: &mut StdRng) -> String {
    let name = |random: &mut StdRng| ["a", "b", "ü c", "d.txt"][random.random_range(0..4)];
    match random.random_range(0..3) {
        0 => format!("/{}", name(random)),
        1 => format!("/{}/{}", name(random), name(random)),
        _ => format!("/dir/{}/{}", name(random), name(random)),
    }
}

async fn agree(seed: u64, from: &Stores, to: &Stores) {
    let mut random = StdRng::seed_from_u64(seed);
    let zone = open(from).await;
    let files = system(&zone);
    let mut done = 0;
    for _ in 0..120 {
        done += usize::from(do_something(&files, &mut random).await.is_ok());
    }
    assert!(done > 40, "seed {seed}: only {done} operations worked");
    let archive = export(&files).await;
    let copy = import(to, &archive).await;
    let copy = system(&copy);
    // Both clear detached trees away by themselves, at revisions after it.
    let until = revision_of(&archive).await;
    assert!(copy.revision().await.unwrap() >= until);
    let states = same::same_history(&files, &copy, until).await;
    assert!(states > 30, "seed {seed}: only {states} states");
    assert_eq!(problems(&copy).await, Vec::<String>::new(), "seed {seed}");
    // It is a zone like any other: changed and exported again.
    for _ in 0..20 {
        let _ = do_something(&copy, &mut random).await;
    }
    let (again, archive) = (memory_stores(), export(&copy).await);
    let second = import(&again, &archive).await;
    let until = At::Revision(revision_of(&archive).await);
    same::same_state(&copy, &system(&second), until).await;
}

struct OnDisk {
    stores: Stores,
    _folder: TempDir,
}

fn redb_stores() -> OnDisk {
    let folder = TempDir::new().unwrap();
    let config = RedbConfig::new(folder.path().join("metastore.redb"));
    let stores = Stores {
        metastore: RedbMetastore::open(&config).unwrap(),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    OnDisk {
        stores,
        _folder: folder,
    }
}

/// An imported zone gives the same answers at every revision: names, attributes, contents,
/// metadata, tags, versions and the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_zone_gives_the_same_answers_at_every_revision() {
    for seed in 0..6 {
        agree(seed, &memory_stores(), &memory_stores()).await;
    }
}

/// It does not matter which stores a zone comes from, or goes to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_moves_between_stores_of_any_kind() {
    agree(100, &memory_stores(), &redb_stores().stores).await;
    agree(101, &redb_stores().stores, &memory_stores()).await;
    agree(102, &redb_stores().stores, &redb_stores().stores).await;
}
