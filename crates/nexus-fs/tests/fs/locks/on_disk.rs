//! Locks in a store on the disk, and over the end of whoever serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{AcquireOptions, Stores, Zone, ZoneConfig};
use nexus_kernel::{Kind, Timestamp};
use nexus_service_api::{Clock, Context, Rights};

use super::{Keys, agent, fenced, refused, release, take, write};
use crate::support::memory_stores;

/// A clock that is set by hand.
#[derive(Clone)]
struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

async fn open(stores: &Stores, clock: &HandClock) -> Zone {
    let config = ZoneConfig {
        clock: Arc::new(clock.clone()),
        ..ZoneConfig::default()
    };
    Zone::open(stores.clone(), Arc::new(Keys), config)
        .await
        .unwrap()
}

fn session(zone: &Zone, id: &str) -> nexus_fs::Session {
    zone.session(Context::new(Arc::new(agent(id, Rights::ReadWrite))))
}

/// A lease outlives whoever serves the zone, until its time is over; a clock that is set back
/// brings none back.
#[tokio::test]
async fn a_lease_outlives_whoever_serves_the_zone_until_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let config = RedbConfig::new(folder.path().join("metastore.redb"));
    let stores = Stores {
        metastore: RedbMetastore::open(&config).unwrap(),
        ..memory_stores()
    };
    let clock = HandClock(Arc::new(AtomicI64::new(1_000_000_000_000)));
    let zone = open(&stores, &clock).await;
    let ada = session(&zone, "ada");
    let lease = ada
        .acquire_lock("name:x", AcquireOptions::default())
        .await
        .unwrap();
    drop((zone, ada));

    let zone = open(&stores, &clock).await;
    let (ada, bob) = (session(&zone, "ada"), session(&zone, "bob"));
    assert_eq!(
        bob.inspect_lock("name:x").await.unwrap().leases,
        std::slice::from_ref(&lease)
    );
    refused(take(&bob, "name:x").await, Kind::Conflict);
    let fenced = fenced(&ada, lease.token, "name:x");
    write(&fenced, "/a", "one").await.unwrap();
    let ttl = i64::try_from(Duration::from_secs(31).as_nanos()).unwrap();
    clock.0.fetch_add(ttl, Ordering::Relaxed);
    refused(write(&fenced, "/a", "late").await, Kind::Conflict);
    let next = take(&bob, "name:x").await.unwrap();
    assert!(next.token > lease.token);
    release(&bob, &next).await.unwrap();
}

/// A clock that is set back gives nobody more time, and takes none away.
#[tokio::test]
async fn a_clock_that_is_set_back_brings_no_lease_back() {
    let clock = HandClock(Arc::new(AtomicI64::new(1_000_000_000_000)));
    let zone = open(&memory_stores(), &clock).await;
    let ada = session(&zone, "ada");
    let lease = take(&ada, "name:x").await.unwrap();
    clock.0.fetch_add(60_000_000_000, Ordering::Relaxed);
    refused(release(&ada, &lease).await, Kind::Conflict);
    clock.0.fetch_sub(60_000_000_000, Ordering::Relaxed);
    refused(release(&ada, &lease).await, Kind::Conflict);
}
