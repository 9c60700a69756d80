//! Locks. Time in these tests is tokio's, which stands still while anything can go on and leaps
//! to the next timer when nothing can.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_fs::{
    AcquireOptions, Lease, LockMode, LockState, Session, Stores, WriteOptions, Zone, ZoneConfig,
};
use nexus_kernel::{Durability, Error, Kind, Result, Revision, Timestamp};
use nexus_service_api::{
    Action, Authorizer, Clock, Context, Fence, Principal, PrincipalKind, Rights, Target,
};
use tokio::time::Instant;

use crate::support::memory_stores;

mod fences;
mod holding;
mod listing;
mod model;
mod on_disk;
mod queue;

/// Tells tokio's time.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.0.elapsed().as_nanos()).unwrap();
        Timestamp(1_000_000_000_000 + elapsed)
    }
}

/// Rights and prefixes as keys have them: also that what is above a prefix may be stat-ed.
struct Keys;

#[async_trait]
impl Authorizer for Keys {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        let who = &who.principal;
        let needed = match action {
            Action::Stat | Action::Read => Rights::ReadOnly,
            Action::Write | Action::Create | Action::Delete => Rights::ReadWrite,
            Action::Administer => Rights::Admin,
        };
        let reached = who.prefix.as_deref().is_none_or(|prefix| {
            let on_the_way = action == Action::Stat && is_within(prefix, target.path);
            on_the_way || is_within(target.path, prefix)
        });
        if who.rights >= needed && reached {
            return Ok(());
        }
        Err(Error::denied("not with this key").with("action", action.as_str()))
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        let mut visible = Vec::new();
        for target in targets {
            let target = Target { ..*target };
            visible.push(self.authorize(who, Action::Stat, target).await.is_ok());
        }
        Ok(visible)
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        self.authorize(who, Action::Read, target).await.is_ok()
    }
}

fn is_within(path: &str, ancestor: &str) -> bool {
    let rest = path.strip_prefix(ancestor.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A zone with a file `/a`, and who uses it.
struct World {
    zone: Zone,
    stores: Stores,
}

impl World {
    async fn new() -> Self {
        let stores = memory_stores();
        let zone = open(&stores).await;
        let world = Self { zone, stores };
        write(&world.agent("setup"), "/a", "one").await.unwrap();
        world
    }

    fn session(&self, principal: Principal) -> Session {
        self.zone.session(Context::new(Arc::new(principal)))
    }

    fn agent(&self, id: &str) -> Session {
        self.session(agent(id, Rights::ReadWrite))
    }

    /// An agent that is bound to a prefix.
    fn confined(&self, id: &str, prefix: &str) -> Session {
        self.session(Principal {
            prefix: Some(prefix.into()),
            ..agent(id, Rights::ReadWrite)
        })
    }

    fn admin(&self) -> Session {
        self.session(agent("root", Rights::Admin))
    }
}

async fn open(stores: &Stores) -> Zone {
    let config = ZoneConfig {
        clock: Arc::new(TokioClock(Instant::now())),
        ..ZoneConfig::default()
    };
    Zone::open(stores.clone(), Arc::new(Keys), config)
        .await
        .unwrap()
}

fn agent(id: &str, rights: Rights) -> Principal {
    Principal {
        kind: PrincipalKind::Agent,
        id: id.into(),
        rights,
        ..Principal::system()
    }
}

const TTL: Duration = Duration::from_secs(30);

fn options(mode: LockMode, wait_secs: u64) -> AcquireOptions {
    AcquireOptions {
        mode,
        ttl: TTL,
        wait: Duration::from_secs(wait_secs),
        durability: Durability::Relaxed,
    }
}

/// An exclusive lease, at once or not at all.
async fn take(session: &Session, resource: &str) -> Result<Lease> {
    session
        .acquire_lock(resource, options(LockMode::Exclusive, 0))
        .await
}

async fn release(session: &Session, lease: &Lease) -> Result<Revision> {
    session
        .release_lock(&lease.resource, lease.token, Durability::Relaxed)
        .await
}

async fn write(session: &Session, path: &str, content: &'static str) -> Result<()> {
    let options = WriteOptions {
        parents: true,
        ..WriteOptions::default()
    };
    session
        .write(path, Bytes::from_static(content.as_bytes()), options)
        .await
        .map(drop)
}

/// The same caller, standing on a lease.
fn fenced(session: &Session, token: u64, resource: &str) -> Session {
    session.standing_on(vec![Fence {
        token,
        resource: resource.into(),
    }])
}

fn tokens(state: &LockState) -> Vec<u64> {
    state.leases.iter().map(|lease| lease.token).collect()
}

fn waiters(state: &LockState) -> Vec<&str> {
    state
        .waiters
        .iter()
        .map(|waiter| waiter.holder.as_str())
        .collect()
}

/// Lets the time of every lease run out. A zone's time may be ahead of its clock by a few
/// nanoseconds, since no two changes have the same.
async fn expire() {
    tokio::time::advance(TTL + Duration::from_millis(1)).await;
}

/// Lets everything that can go on do so.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T>, kind: Kind) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}
