//! The power goes off at any operation of either disk while history is collected.

use std::sync::Arc;

use nexus_fs::{
    At, NewSnapshot, RemoveOptions, RetentionLimits, Session, Stores, WriteOptions, Zone,
};
use nexus_service_api::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::disks::{Disks, Lie};
use crate::inspect::Inspection;
use crate::machine::runtime;
use crate::ops::noise;
use crate::rows;
use crate::zone::{ManualClock, open, problems, purged, tight_config};

const HOUR: i64 = 3_600_000_000_000;

/// Wherever a collection is cut off, what it left is sound, what a snapshot needs is there, and the
/// next one goes on to the end.
#[test]
fn a_collection_that_is_cut_off_anywhere_leaves_all_sound() {
    for operations in 0.. {
        if !is_cut_off(operations) {
            assert!(operations > 20, "it took {operations} operations");
            return;
        }
    }
}

/// Whether the power went off before the collection had ended.
fn is_cut_off(operations: u64) -> bool {
    let mut random = StdRng::seed_from_u64(operations);
    let clock = Arc::<ManualClock>::default();
    let mut disks = Disks::new(&mut random, Lie::None);
    disks.create_database(&mut random);
    clock.set(HOUR);
    runtime().block_on(fill(&disks, &clock));
    disks = disks.after_power_loss(&mut random);
    clock.set(10 * HOUR);
    let cut = runtime().block_on(async {
        let (_stores, zone, session) = start(&disks, &clock).await;
        disks.power.off_after(operations);
        let collected = session.gc(false).await;
        let cut = disks.power.is_off();
        assert!(cut || collected.is_ok(), "{collected:?}");
        drop(zone);
        cut
    });
    disks = disks.after_power_loss(&mut random);
    runtime().block_on(check(&disks, &clock, &mut random));
    cut
}

async fn start(disks: &Disks, clock: &Arc<ManualClock>) -> (Stores, Zone, Session) {
    let stores = disks.stores(clock.clone()).unwrap();
    let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
    let session = zone.session(Context::system());
    (stores, zone, session)
}

/// Contents of each kind that come and go, and a snapshot that needs some of them.
async fn fill(disks: &Disks, clock: &Arc<ManualClock>) {
    let (stores, zone, session) = start(disks, clock).await;
    let write = async |path: &str, seed: u64, bytes: usize| {
        let content = noise(seed, bytes).into();
        let written = session.write(path, content, WriteOptions::default()).await;
        written.unwrap();
    };
    write("/chunks", 1, 1_500_000).await;
    for seed in 1..4 {
        write("/inline", seed, 10).await;
        write("/blob", seed, 40).await;
        write(&format!("/gone-{seed}"), seed, 50).await;
    }
    let new = NewSnapshot {
        name: Some("kept".into()),
        ..NewSnapshot::default()
    };
    session.create_snapshot("/", new).await.unwrap();
    write("/chunks", 2, 1_500_000).await;
    write("/chunks", 3, 20).await;
    for seed in 4..7 {
        write("/inline", seed, 10).await;
        write("/blob", seed, 40).await;
        let gone = format!("/gone-{}", seed - 3);
        session
            .remove(&gone, RemoveOptions::default())
            .await
            .unwrap();
    }
    for (pattern, age, versions) in [("/**", 2, None), ("/blob", 1, Some(1))] {
        let limits = RetentionLimits {
            max_age: Some(std::time::Duration::from_secs(3600 * age)),
            max_versions: versions,
        };
        session.set_retention(pattern, limits).await.unwrap();
    }
    clock.set(9 * HOUR);
    write("/blob", 7, 40).await;
    write("/inline", 7, 10).await;
    zone.close().await.unwrap();
    drop(stores);
}

async fn check(disks: &Disks, clock: &Arc<ManualClock>, random: &mut StdRng) {
    let (stores, _zone, session) = start(disks, clock).await;
    purged(&stores).await;
    look(&session, &stores).await;
    let mut inspection = Inspection {
        session: &session,
        stores: &stores,
        random,
    };
    inspection.garbage().await.unwrap();
    look(&session, &stores).await;
    let left = session.compact(session.now(), true).await.unwrap();
    assert_eq!(left.versions, 0, "{left:?}");
}

/// All is sound, and what the snapshot holds is there.
async fn look(session: &Session, stores: &Stores) {
    assert_eq!(problems(session).await, Vec::<String>::new());
    let unsound = rows::problems(&*stores.metastore).await;
    assert_eq!(unsound, Vec::<String>::new());
    let kept = || At::Snapshot("kept".into());
    for (path, seed, bytes) in [
        ("/chunks", 1, 1_500_000),
        ("/inline", 3, 10),
        ("/blob", 3, 40),
        ("/gone-2", 2, 50),
    ] {
        let file = session.read(path, kept()).await.unwrap();
        assert_eq!(file.bytes, noise(seed, bytes), "{path}");
    }
    for (path, seed) in [("/inline", 7), ("/chunks", 3)] {
        let file = session.read(path, At::Latest).await.unwrap();
        let bytes = if seed == 7 { 10 } else { 20 };
        assert_eq!(file.bytes, noise(seed, bytes), "{path}");
    }
}
