use std::sync::Arc;

use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{Ino, Stores, Zone, ZoneConfig};
use nexus_kernel::{Kind, Revision, Timestamp};
use nexus_service_api::{Context, SystemClock};
use nexus_testkit::authorizer::Open;

use super::super::numbers::{Node, StateNumber, in_part, ino_of};
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

fn number(ino: Ino) -> StateNumber {
    match Node::of(ino) {
        Node::Past(number, _) => number,
        other => panic!("{other:?} is of no past state"),
    }
}

/// What is in a fork has a number beyond those that fit beside a state's, and is told apart from
/// what has the same lower bits.
#[tokio::test]
async fn each_part_of_a_state_has_a_number_of_its_own() {
    let volume = volume().await;
    let states = States::new(Timestamp(0));
    let root = states.insert("r1", Revision(1), volume).unwrap();
    let found = [
        Ino(7),
        in_part(1, Ino(7)),
        in_part(2, Ino(7)),
        in_part((1 << 23) - 1, Ino(7)),
    ];
    let shown = found.map(|ino| states.shown(number(root), ino).unwrap());
    for (ino, shown) in found.into_iter().zip(shown) {
        let Node::Past(state, low) = Node::of(shown) else {
            panic!("{shown} is of no past state");
        };
        assert_eq!(states.get(state, low).unwrap().1, ino);
        // Found again from any other part, it is the same to the kernel.
        assert_eq!(states.shown(state, ino).unwrap(), shown);
        assert_eq!(states.shown(number(root), ino).unwrap(), shown);
    }
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
    let ino = ino_of(number(known), Ino(7));
    states.told(ino);
    states.told(ino);
    let unknown = insert(1).unwrap();
    for point in 2..STATES_MAX + 2 {
        insert(point).unwrap();
    }
    assert!(states.get(number(known), Ino(7)).is_ok());
    assert_eq!(insert(0).unwrap(), known);
    let gone = states.get(number(unknown), Ino(7)).err().unwrap();
    assert_eq!(gone.kind(), Kind::Conflict);
    states.forgotten(ino, 1);
    for point in STATES_MAX + 2..3 * STATES_MAX {
        insert(point).unwrap();
    }
    assert!(states.get(number(known), Ino(7)).is_ok());
    states.forgotten(ino, 1);
    for point in 3 * STATES_MAX..4 * STATES_MAX {
        insert(point).unwrap();
    }
    assert!(states.get(number(known), Ino(7)).is_err());
}

#[tokio::test]
async fn more_states_than_are_held_are_refused() {
    let volume = volume().await;
    let states = States::new(Timestamp(0));
    let insert = |point: usize| states.insert(&point.to_string(), Revision(1), Arc::clone(&volume));
    for point in 0..STATES_MAX {
        let root = insert(point).unwrap();
        states.told(root);
    }
    let error = insert(STATES_MAX).unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
}
