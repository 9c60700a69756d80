//! The power goes off at any operation of either disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nexus_driver_local::Trouble;
use nexus_fs::{At, MkdirOptions};
use nexus_kernel::Durability;
use nexus_service_api::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::books::Violation;
use crate::disks::{Disks, Lie};
use crate::machine::{Machine, runtime};
use crate::zone::{ManualClock, open, tight_config};

/// Each seed is a machine of its own. More of them look further.
const MACHINES: u64 = 80;
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
