use std::sync::Arc;

use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{Ino, Stores, Zone, ZoneConfig};
use nexus_kernel::{Kind, Revision, Timestamp};
use nexus_service_api::{Context, SystemClock};
use nexus_testkit::authorizer::Open;

use super::super::numbers::ino_of;
use super::{STATES_MAX, States};
use crate::volume::{LocalVolume, Volume};

async fn volume() -> Arc<dyn Volume> {
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::new()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    let zone = Zone::open(stores, Arc::new(Open), ZoneConfig::default());
    let zone = zone.await.unwrap();
    Arc::new(LocalVolume::new(zone.session(Context::system())))
}

/// However many are looked up, the kernel's stay, and no more than so many besides.
#[tokio::test]
async fn states_are_held_while_the_kernel_knows_them() {
    let volume = volume().await;
    let states = States::new(Timestamp(0));
    let insert = |point: usize| {
        let revision = Revision(point as u64);
        states.insert(&point.to_string(), revision, Arc::clone(&volume))
    };
    let known = insert(0).unwrap();
    let ino = ino_of(known, Ino(7)).unwrap();
    states.told(ino);
    states.told(ino);
    let unknown = insert(1).unwrap();
    for point in 2..STATES_MAX + 2 {
        insert(point).unwrap();
    }
    assert!(states.get(known).is_ok());
    assert_eq!(insert(0).unwrap(), known);
    let gone = states.get(unknown).err().unwrap();
    assert_eq!(gone.kind(), Kind::Conflict);
    states.forgotten(ino, 1);
    for point in STATES_MAX + 2..3 * STATES_MAX {
        insert(point).unwrap();
    }
    assert!(states.get(known).is_ok());
    states.forgotten(ino, 1);
    for point in 3 * STATES_MAX..4 * STATES_MAX {
        insert(point).unwrap();
    }
    assert!(states.get(known).is_err());
}

#[tokio::test]
async fn more_states_than_are_held_are_refused() {
    let volume = volume().await;
    let states = States::new(Timestamp(0));
    let insert = |point: usize| states.insert(&point.to_string(), Revision(1), Arc::clone(&volume));
    for point in 0..STATES_MAX {
        let number = insert(point).unwrap();
        states.told(ino_of(number, Ino::ROOT).unwrap());
    }
    let error = insert(STATES_MAX).unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
}
