//! Waiting for a lease.

use std::sync::Arc;
use std::time::Duration;

use nexus_fs::{Lease, LockMode, LogQuery, MoveOptions, Session, WAITERS_MAX};
use nexus_kernel::{Commit, KeyRange, Kind, Result};
use nexus_service_api::{Context, Rights};
use tokio::task::JoinHandle;

use super::{TTL, World, agent, open, options, refused, release, settle, take, waiters};

/// Asks in a task of its own.
fn ask(session: &Session, mode: LockMode, wait_secs: u64) -> JoinHandle<Result<Lease>> {
    let session = session.clone();
    tokio::spawn(async move { session.acquire_lock("/a", options(mode, wait_secs)).await })
}

/// Who waits is served in the order of asking, and nobody passes, not even one who could share.
#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_they_came() {
    let world = World::new().await;
    let first = take(&world.agent("holder"), "/a").await.unwrap();
    let sessions: Vec<_> = (0..5).map(|i| world.agent(&i.to_string())).collect();
    let mut asked = Vec::new();
    for session in &sessions {
        asked.push(ask(session, LockMode::Exclusive, 600));
        settle().await;
    }
    let state = world.admin().inspect_lock("/a").await.unwrap();
    assert_eq!(
        waiters(&state),
        ["agent:0", "agent:1", "agent:2", "agent:3", "agent:4"]
    );
    release(&world.agent("holder"), &first).await.unwrap();
    let mut last = first.token;
    for (session, asked) in sessions.iter().zip(asked) {
        let lease = asked.await.unwrap().unwrap();
        assert!(lease.token > last);
        last = lease.token;
        release(session, &lease).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_one_who_waits_though_both_could_share() {
    let world = World::new().await;
    let reader = world.agent("reader");
    let shared = options(LockMode::Shared, 0);
    let held = reader.acquire_lock("/a", shared).await.unwrap();
    let writer = ask(&world.agent("writer"), LockMode::Exclusive, 600);
    settle().await;
    refused(reader.acquire_lock("/a", shared).await, Kind::Conflict);
    let later = ask(&reader, LockMode::Shared, 600);
    settle().await;
    release(&reader, &held).await.unwrap();
    let writing = writer.await.unwrap().unwrap();
    assert!(!later.is_finished());
    release(&world.agent("writer"), &writing).await.unwrap();
    later.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_who_can_share_are_let_in_together() {
    let world = World::new().await;
    let held = take(&world.agent("holder"), "/a").await.unwrap();
    let readers: Vec<_> = (0..4)
        .map(|_| ask(&world.agent("r"), LockMode::Shared, 600))
        .collect();
    settle().await;
    release(&world.agent("holder"), &held).await.unwrap();
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
}

/// A lease that expires goes to the first who waits, without anybody doing anything.
#[tokio::test(start_paused = true)]
async fn a_lease_that_expires_goes_to_the_first_who_waits() {
    let world = World::new().await;
    let start = tokio::time::Instant::now();
    take(&world.agent("gone"), "/a").await.unwrap();
    let asked = ask(&world.agent("waiter"), LockMode::Exclusive, 600);
    asked.await.unwrap().unwrap();
    let waited = start.elapsed();
    assert!(
        waited >= TTL && waited < TTL + Duration::from_secs(1),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_extended_lease_keeps_others_waiting() {
    let world = World::new().await;
    let start = tokio::time::Instant::now();
    let holder = world.agent("holder");
    let held = take(&holder, "/a").await.unwrap();
    let asked = ask(&world.agent("waiter"), LockMode::Exclusive, 600);
    settle().await;
    let long = TTL * 3;
    holder
        .extend_lock("/a", held.token, long, nexus_kernel::Durability::Sync)
        .await
        .unwrap();
    asked.await.unwrap().unwrap();
    assert!(start.elapsed() >= long);
}

/// A wait ends at its end, or at the request's deadline.
#[tokio::test(start_paused = true)]
async fn a_wait_has_an_end() {
    let world = World::new().await;
    let start = tokio::time::Instant::now();
    take(&world.agent("holder"), "/a").await.unwrap();
    let error = refused(
        ask(&world.agent("w"), LockMode::Exclusive, 5)
            .await
            .unwrap(),
        Kind::Conflict,
    );
    assert_eq!(error.fact("holder"), Some("agent:holder"));
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_secs(5) && waited < Duration::from_secs(6),
        "{waited:?}"
    );
    settle().await;
    let state = world.admin().inspect_lock("/a").await.unwrap();
    assert!(state.waiters.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_s_deadline_ends_its_wait() {
    let world = World::new().await;
    take(&world.agent("holder"), "/a").await.unwrap();
    let start = tokio::time::Instant::now();
    let mut context = Context::new(Arc::new(agent("hasty", Rights::ReadWrite)));
    context.deadline = Some(world.admin().now().plus_nanos(2_000_000_000));
    let hasty = world.zone.session(context);
    refused(
        ask(&hasty, LockMode::Exclusive, 600).await.unwrap(),
        Kind::Conflict,
    );
    assert!(start.elapsed() < Duration::from_secs(3));
}

/// A request that is dropped leaves the queue, and holds no lease.
#[tokio::test(start_paused = true)]
async fn one_who_goes_away_leaves_the_queue() {
    let world = World::new().await;
    let held = take(&world.agent("holder"), "/a").await.unwrap();
    let first = ask(&world.agent("first"), LockMode::Exclusive, 600);
    settle().await;
    let second = ask(&world.agent("second"), LockMode::Exclusive, 600);
    settle().await;
    first.abort();
    settle().await;
    let state = world.admin().inspect_lock("/a").await.unwrap();
    assert_eq!(waiters(&state), ["agent:second"]);
    release(&world.agent("holder"), &held).await.unwrap();
    second.await.unwrap().unwrap();
}

/// Whenever it is that a request is dropped, nothing of it stays.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_at_any_moment_leaves_nothing_behind() {
    let world = World::new().await;
    let (holder, waiter) = (world.agent("holder"), world.agent("waiter"));
    for polls in 0..40 {
        for taken in [false, true] {
            let held = if taken {
                Some(take(&holder, "/a").await.unwrap())
            } else {
                None
            };
            let mut asking = Box::pin(waiter.acquire_lock("/a", options(LockMode::Exclusive, 60)));
            let mut got = None;
            for _ in 0..polls {
                if let std::task::Poll::Ready(lease) = futures::poll!(&mut asking) {
                    got = Some(lease.unwrap());
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(asking);
            for (session, lease) in [(&holder, held), (&waiter, got)] {
                if let Some(lease) = lease {
                    release(session, &lease).await.unwrap();
                }
            }
            settle().await;
            refused(holder.inspect_lock("/a").await, Kind::NotFound);
        }
    }
}

/// Who waits is told when there is nothing to wait for any more: rights, or the file.
#[tokio::test(start_paused = true)]
async fn one_who_is_no_longer_allowed_to_is_not_served() {
    let world = World::new().await;
    let held = take(&world.agent("holder"), "/a").await.unwrap();
    let principal = agent("revoked", Rights::ReadWrite);
    let revocation = principal.revocation.clone();
    let asked = ask(&world.session(principal), LockMode::Exclusive, 600);
    settle().await;
    revocation.revoke();
    release(&world.agent("holder"), &held).await.unwrap();
    refused(asked.await.unwrap(), Kind::Unauthenticated);
    settle().await;
    take(&world.agent("holder"), "/a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_file_that_goes_are_told() {
    let world = World::new().await;
    let holder = world.agent("holder");
    let held = take(&holder, "/a").await.unwrap();
    let asked = ask(&world.agent("waiter"), LockMode::Exclusive, 600);
    settle().await;
    holder
        .remove("/a", nexus_fs::RemoveOptions::default())
        .await
        .unwrap();
    release(&holder, &held).await.unwrap();
    refused(asked.await.unwrap(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_wait_and_no_more() {
    let world = World::new().await;
    take(&world.agent("holder"), "/a").await.unwrap();
    let session = world.agent("w");
    let asked: Vec<_> = (0..WAITERS_MAX + 5)
        .map(|_| ask(&session, LockMode::Shared, 20))
        .collect();
    settle().await;
    let state = world.admin().inspect_lock("/a").await.unwrap();
    assert_eq!(state.waiters.len(), WAITERS_MAX);
    let mut refusals = 0;
    for asked in asked {
        let error = asked.await.unwrap().unwrap_err();
        refusals += usize::from(error.kind() == Kind::LimitExceeded);
    }
    assert_eq!(refusals, 5);
}

/// A place in the queue ends with whoever stood for it, also when the node was killed.
#[tokio::test(start_paused = true)]
async fn a_place_whose_node_died_is_passed_after_half_a_minute() {
    let world = World::new().await;
    let long = nexus_fs::AcquireOptions {
        ttl: Duration::from_secs(3600),
        ..Default::default()
    };
    let holder = world.agent("holder");
    let held = holder.acquire_lock("/a", long).await.unwrap();
    let asked = ask(&world.agent("dead"), LockMode::Exclusive, 600);
    settle().await;
    let dead = copy(&world.stores).await;
    asked.abort();
    let zone = open(&dead).await;
    let session = zone.session(Context::new(Arc::new(agent("holder", Rights::ReadWrite))));
    let start = tokio::time::Instant::now();
    release(&session, &held).await.unwrap();
    refused(take(&session, "/a").await, Kind::Conflict);
    ask(&session, LockMode::Exclusive, 600)
        .await
        .unwrap()
        .unwrap();
    assert!(
        start.elapsed() <= Duration::from_secs(31),
        "{:?}",
        start.elapsed()
    );
}

/// What a node that was killed leaves behind: everything stored, and nobody who stands for it.
async fn copy(stores: &nexus_fs::Stores) -> nexus_fs::Stores {
    use nexus_kernel::{Commit, KeyRange, Op, Scan, Txn};
    let copied = crate::support::memory_stores();
    let range = KeyRange {
        start: bytes::Bytes::new(),
        end: bytes::Bytes::from_static(&[0xFF]),
    };
    let scan = Scan::forward(range, 10_000);
    let page = stores
        .metastore
        .scan(scan, nexus_kernel::Freshness::Linearizable)
        .await
        .unwrap();
    let ops = page
        .entries
        .into_iter()
        .map(|entry| Op::Put(entry.key, entry.value.bytes));
    let txn = Txn {
        ops: ops.collect(),
        ..Txn::default()
    };
    assert!(matches!(
        copied.metastore.commit(txn).await.unwrap(),
        Commit::Applied(_)
    ));
    copied
}

/// Who waits while the file is renamed gets a lease on it where it is then, and the expiry of the
/// one before is on record there.
#[tokio::test(start_paused = true)]
async fn a_lease_that_was_waited_for_knows_where_its_file_is() {
    let world = World::new().await;
    let ada = world.agent("ada");
    take(&ada, "/a").await.unwrap();
    let asked = ask(&world.agent("bob"), LockMode::Exclusive, 600);
    settle().await;
    ada.rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    let lease = asked.await.unwrap().unwrap();
    assert_eq!(lease.path.as_deref(), Some("/b"));
    let page = ada.log(LogQuery::default()).await.unwrap();
    let change = &page.records.last().unwrap().changes[0];
    let expired = (change.kind.as_str(), change.path.as_str());
    assert_eq!(expired, ("lock_expire", "/b"));
}

/// Whose place in the queue is gone is told so when its turn would come.
#[tokio::test(start_paused = true)]
async fn one_whose_place_is_gone_is_told_so() {
    let world = World::new().await;
    let holder = world.agent("holder");
    take(&holder, "/a").await.unwrap();
    let asked = ask(&world.agent("bob"), LockMode::Exclusive, 600);
    settle().await;
    let rows = nexus_kernel::Txn {
        ops: vec![nexus_kernel::Op::DeleteRange(KeyRange::prefix(&b"k"[..]))],
        ..Default::default()
    };
    let removed = world.stores.metastore.commit(rows).await.unwrap();
    assert!(matches!(removed, Commit::Applied(_)));
    let error = refused(asked.await.unwrap(), Kind::Conflict);
    assert!(error.message().contains("place in the queue"), "{error}");
}
