use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{At, Ino, NewInode, NewKind, OpenMode, Stores, Zone, ZoneConfig};
use nexus_kernel::{Durability, Kind};
use nexus_service_api::{Context, PrincipalKind, Rights, SystemClock, SystemEntropy};
use nexus_services::authorizer::KeyAuthorizer;

use super::*;

#[derive(Default)]
struct ByHand(AtomicI64);

impl ByHand {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as i64, Ordering::Relaxed);
    }
}

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct Bench {
    zone: Zone,
    clock: Arc<ByHand>,
    handles: Handles,
}

impl Bench {
    async fn new() -> Self {
        let stores = Stores {
            metastore: Arc::new(MemoryMetastore::default()),
            objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
        };
        let authorizer = Arc::new(KeyAuthorizer::new("root"));
        let zone = Zone::open(stores, authorizer, ZoneConfig::default());
        let clock = Arc::new(ByHand::default());
        Self {
            zone: zone.await.unwrap(),
            handles: Handles::new(clock.clone(), Arc::new(SystemEntropy)),
            clock,
        }
    }

    fn caller(&self, key: &str) -> Session {
        self.zone.session(Context::new(Arc::new(Principal {
            kind: PrincipalKind::User,
            id: "bob".into(),
            key_id: Some(key.into()),
            zone: "root".into(),
            rights: Rights::ReadWrite,
            prefix: None,
            expires: None,
            revocation: Default::default(),
        })))
    }

    /// Opens `/a`, which it makes, and writes to it.
    async fn open(&self, caller: &Session) -> u64 {
        let new = NewInode {
            kind: NewKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        let made = caller.make_at(Ino::ROOT, "a", new, Durability::Relaxed);
        let ino = made.await.unwrap().ino;
        let handle = caller.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
        handle.write(0, Bytes::from("written")).await.unwrap();
        self.handles.insert(caller, Arc::new(handle)).unwrap()
    }

    async fn size(&self, caller: &Session) -> u64 {
        caller.stat("/a", At::Latest).await.unwrap().size
    }
}

#[tokio::test]
async fn a_handle_belongs_to_the_key_that_opened_it() {
    let bench = Bench::new().await;
    let (one, other) = (bench.caller("k1"), bench.caller("k2"));
    let number = bench.open(&one).await;
    assert!(bench.handles.get(&one, number).is_ok());
    let refused = bench.handles.get(&other, number).err().unwrap();
    assert_eq!(refused.kind(), Kind::NotFound);
    bench.handles.close(&other, number).await.unwrap();
    assert!(bench.handles.get(&one, number).is_ok());
}

#[tokio::test]
async fn a_handle_ends_with_the_credential_that_opened_it() {
    let bench = Bench::new().await;
    let opener = bench.caller("k1");
    let number = bench.open(&opener).await;
    opener.context().principal.revocation.revoke();
    let again = bench.caller("k1");
    assert!(bench.handles.get(&again, number).is_err());
}

#[tokio::test]
async fn a_handle_that_nobody_uses_is_flushed_and_closed() {
    let bench = Bench::new().await;
    let caller = bench.caller("k1");
    let number = bench.open(&caller).await;
    for _ in 0..3 {
        bench.clock.advance(LEASE);
        bench.handles.sweep().await;
        assert!(bench.handles.get(&caller, number).is_ok());
    }
    assert_eq!(bench.size(&caller).await, 0);
    bench.clock.advance(LEASE + Duration::from_nanos(1));
    bench.handles.sweep().await;
    assert!(bench.handles.get(&caller, number).is_err());
    assert_eq!(bench.handles.count(), 0);
    assert_eq!(bench.size(&caller).await, 7);
}

#[tokio::test]
async fn a_key_has_so_many_handles_and_no_more() {
    let bench = Bench::new().await;
    let caller = bench.caller("k1");
    let number = bench.open(&caller).await;
    let handle = Arc::clone(&bench.handles.get(&caller, number).unwrap().handle);
    for _ in 1..HANDLES_OF_ONE_MAX {
        bench.handles.insert(&caller, Arc::clone(&handle)).unwrap();
    }
    let refused = bench.handles.insert(&caller, Arc::clone(&handle));
    assert_eq!(refused.err().unwrap().kind(), Kind::LimitExceeded);
    let other = bench.caller("k2");
    let number = bench.handles.insert(&other, Arc::clone(&handle)).unwrap();
    bench.handles.close(&other, number).await.unwrap();
    assert!(bench.handles.get(&other, number).is_err());
}
