//! Being granted a lease, and what can be done with one.

use std::time::Duration;

use nexus_fs::{AcquireOptions, LockMode, LogQuery, MoveOptions, RemoveOptions};
use nexus_kernel::{Durability, Kind};
use nexus_service_api::Rights;

use super::{TTL, World, agent, options, refused, release, take, tokens};

/// A lock has one holder at a time, and later tokens of it are larger.
#[tokio::test(start_paused = true)]
async fn an_exclusive_lease_is_one_holder_s_until_it_is_released() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let lease = take(&ada, "/a").await.unwrap();
    assert_eq!(
        (lease.holder.as_str(), lease.path.as_deref()),
        ("agent:ada", Some("/a"))
    );
    let error = refused(take(&bob, "/a").await, Kind::Conflict);
    assert_eq!(error.fact("holder"), Some("agent:ada"));
    release(&ada, &lease).await.unwrap();
    let next = take(&bob, "/a").await.unwrap();
    assert!(next.token > lease.token, "later tokens are larger");
}

/// A lease ends by itself; that its lock was then granted to another is on record, with whose it
/// was.
#[tokio::test(start_paused = true)]
async fn a_lease_ends_by_itself_and_that_another_got_it_is_on_record() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let lease = take(&ada, "/a").await.unwrap();
    super::expire().await;
    let next = take(&bob, "/a").await.unwrap();
    let page = bob.log(LogQuery::default()).await.unwrap();
    let record = page.records.last().unwrap();
    assert_eq!(
        (record.revision.0, record.actor.as_str()),
        (next.token, "agent:bob")
    );
    let change = &record.changes[0];
    assert_eq!(
        (change.kind.as_str(), change.path.as_str()),
        ("lock_expire", "/a")
    );
    let ended = change.lease.as_ref().unwrap();
    assert_eq!(
        (ended.token, ended.holder.as_str()),
        (lease.token, "agent:ada")
    );
    refused(release(&ada, &lease).await, Kind::Conflict);
}

/// Grants, extensions and releases are not in the log, since they change no file.
#[tokio::test(start_paused = true)]
async fn grants_and_releases_are_not_in_the_log() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let before = ada.log(LogQuery::default()).await.unwrap().records.len();
    let lease = take(&ada, "/a").await.unwrap();
    ada.extend_lock("/a", lease.token, TTL, Durability::Relaxed)
        .await
        .unwrap();
    release(&ada, &lease).await.unwrap();
    assert_eq!(
        ada.log(LogQuery::default()).await.unwrap().records.len(),
        before
    );
}

/// A lease is extended from now on, and never shortened; one that has expired is neither
/// extended nor released.
#[tokio::test(start_paused = true)]
async fn a_lease_is_extended_from_now_on_and_never_shortened() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "/a").await.unwrap();
    tokio::time::advance(TTL / 2).await;
    let extended = ada
        .extend_lock("/a", lease.token, TTL, Durability::Sync)
        .await
        .unwrap();
    assert_eq!(extended.token, lease.token);
    let later = extended.expires.0 - lease.expires.0;
    assert!((later - 15_000_000_000).abs() < 10_000_000, "{later}");
    let second = Duration::from_secs(1);
    let same = ada
        .extend_lock("/a", lease.token, second, Durability::Sync)
        .await
        .unwrap();
    assert_eq!(same.expires, extended.expires);
}

#[tokio::test(start_paused = true)]
async fn an_expired_lease_is_extended_and_released_no_more() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "/a").await.unwrap();
    super::expire().await;
    let extended = ada
        .extend_lock("/a", lease.token, TTL, Durability::Sync)
        .await;
    assert!(refused(extended, Kind::Conflict).fact("expired").is_some());
    refused(release(&ada, &lease).await, Kind::Conflict);
}

/// Only its holder extends and releases a lease: the same principal, with the token.
#[tokio::test(start_paused = true)]
async fn the_token_of_another_holder_is_refused() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let lease = take(&ada, "/a").await.unwrap();
    let error = refused(release(&bob, &lease).await, Kind::PermissionDenied);
    assert_eq!(error.fact("holder"), Some("agent:ada"));
    let extended = bob
        .extend_lock("/a", lease.token, TTL, Durability::Sync)
        .await;
    refused(extended, Kind::PermissionDenied);
    let unknown = ada
        .release_lock("/a", lease.token + 1, Durability::Sync)
        .await;
    refused(unknown, Kind::Conflict);
    release(&ada, &lease).await.unwrap();
    refused(release(&ada, &lease).await, Kind::NotFound);
}

/// A time to live of nothing or a year, a wait or permits that cannot be, resources that are
/// none are refused.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let year = Duration::from_secs(365 * 24 * 3600);
    for ttl in [Duration::ZERO, year] {
        let asked = AcquireOptions {
            ttl,
            ..AcquireOptions::default()
        };
        refused(ada.acquire_lock("/a", asked).await, Kind::InvalidArgument);
        let extended = ada.extend_lock("/a", 1, ttl, Durability::Sync).await;
        refused(extended, Kind::InvalidArgument);
    }
    let asked = AcquireOptions {
        wait: year,
        ..AcquireOptions::default()
    };
    refused(ada.acquire_lock("/a", asked).await, Kind::InvalidArgument);
    for permits in [0, 1001] {
        let asked = options(LockMode::Counting { permits }, 0);
        refused(ada.acquire_lock("/a", asked).await, Kind::InvalidArgument);
    }
    let too_long = format!("name:{}", "x".repeat(256));
    for resource in ["", "a", "name:", "name:a\nb", "ino:x", "/../a", &too_long] {
        refused(take(&ada, resource).await, Kind::InvalidArgument);
    }
    refused(take(&ada, "/missing").await, Kind::NotFound);
    refused(take(&ada, "ino:4000000").await, Kind::NotFound);
    for (mode, permits) in [("exclusive", Some(1)), ("counting", None), ("x", None)] {
        refused(LockMode::named(mode, permits), Kind::InvalidArgument);
    }
}

/// Many hold a shared lock, and a counting one as many as it has permits, a number that all who
/// use it at a time say.
#[tokio::test(start_paused = true)]
async fn many_share_a_lock_and_nobody_else_has_it_meanwhile() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let shared = options(LockMode::Shared, 0);
    let first = ada.acquire_lock("/a", shared).await.unwrap();
    let second = world.agent("bob").acquire_lock("/a", shared).await.unwrap();
    assert!(second.token > first.token);
    refused(take(&ada, "/a").await, Kind::Conflict);
    let state = ada.inspect_lock("/a").await.unwrap();
    assert_eq!(tokens(&state), [first.token, second.token]);
}

#[tokio::test(start_paused = true)]
async fn a_counting_lock_gives_its_permits_and_keeps_their_number() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let two = options(LockMode::Counting { permits: 2 }, 0);
    let lease = ada.acquire_lock("name:gpu", two).await.unwrap();
    let three = options(LockMode::Counting { permits: 3 }, 0);
    let error = refused(ada.acquire_lock("name:gpu", three).await, Kind::Conflict);
    assert_eq!(error.fact("permits"), Some("2"));
    let other = ada.acquire_lock("name:gpu", two).await.unwrap();
    refused(ada.acquire_lock("name:gpu", two).await, Kind::Conflict);
    for lease in [lease, other] {
        release(&ada, &lease).await.unwrap();
    }
    ada.acquire_lock("name:gpu", three).await.unwrap();
}

/// A lock on a file is on its inode: it follows renames, and its lease outlives the file.
#[tokio::test(start_paused = true)]
async fn a_lock_follows_its_file_through_renames() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let lease = take(&ada, "/a").await.unwrap();
    bob.rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    refused(take(&bob, "/b").await, Kind::Conflict);
    let state = bob.inspect_lock("/b").await.unwrap();
    assert_eq!(state.path.as_deref(), Some("/b"));
    ada.release_lock("/b", lease.token, Durability::Sync)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_file_under_the_file_s_number() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "/a").await.unwrap();
    ada.remove("/a", RemoveOptions::default()).await.unwrap();
    release(&ada, &lease).await.unwrap();
    refused(take(&ada, &lease.resource).await, Kind::NotFound);
}

/// Taking a lock takes the right to write what it is on; a free name, the root.
#[tokio::test(start_paused = true)]
async fn locks_take_the_right_to_write() {
    let world = World::new().await;
    super::write(&world.agent("setup"), "/team/x", "")
        .await
        .unwrap();
    let reader = world.session(agent("reader", Rights::ReadOnly));
    refused(take(&reader, "/a").await, Kind::PermissionDenied);
    refused(take(&reader, "name:x").await, Kind::PermissionDenied);
    let mut confined = agent("confined", Rights::Admin);
    confined.prefix = Some("/team".into());
    let confined = world.session(confined);
    take(&confined, "/team/x").await.unwrap();
    for resource in ["/a", "/missing", "name:x"] {
        refused(take(&confined, resource).await, Kind::PermissionDenied);
        refused(
            confined.inspect_lock(resource).await,
            Kind::PermissionDenied,
        );
        refused(
            confined.force_unlock(resource, None).await,
            Kind::PermissionDenied,
        );
    }
}

/// Who tries to release what it may not read learns nothing of what others hold; its own lease it
/// releases.
#[tokio::test(start_paused = true)]
async fn a_release_tells_nothing_about_leases_out_of_sight() {
    let world = World::new().await;
    let ada = world.agent("ada");
    super::write(&ada, "/team/inner/x", "").await.unwrap();
    let confined = world.confined("confined", "/team/inner");
    for resource in ["/", "/team", "name:deploy"] {
        let free = confined.release_lock(resource, 1, Durability::Sync).await;
        let free = refused(free, Kind::NotFound);
        let lease = take(&ada, resource).await.unwrap();
        for token in [lease.token, 1] {
            let tried = confined
                .release_lock(resource, token, Durability::Sync)
                .await;
            let error = refused(tried, Kind::NotFound);
            assert_eq!(error.message(), free.message());
            let facts: Vec<_> = error.context().iter().map(|(name, _)| *name).collect();
            assert_eq!(facts, ["resource", "token"]);
        }
        let own = world.confined("ada", "/team/inner");
        release(&own, &lease).await.unwrap();
    }
}

/// An administrator ends the leases of others by force, anybody one's own; it is on record who
/// did.
#[tokio::test(start_paused = true)]
async fn an_administrator_forces_a_lock_and_it_is_on_record_who_did() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let lease = take(&ada, "/a").await.unwrap();
    refused(bob.force_unlock("/a", None).await, Kind::PermissionDenied);
    let forced = world.admin().force_unlock("/a", None).await.unwrap();
    assert_eq!(forced.leases, std::slice::from_ref(&lease));
    let page = bob.log(LogQuery::default()).await.unwrap();
    let record = page.records.last().unwrap();
    assert_eq!(
        (record.revision, record.actor.as_str()),
        (forced.revision, "agent:root")
    );
    let change = &record.changes[0];
    assert_eq!(
        (change.kind.as_str(), change.path.as_str()),
        ("lock_force", "/a")
    );
    assert_eq!(change.lease.as_ref().unwrap().holder, "agent:ada");
    refused(release(&ada, &lease).await, Kind::NotFound);
    take(&bob, "/a").await.unwrap();
    refused(release(&ada, &lease).await, Kind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn one_s_own_leases_anybody_may_force_one_by_one() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let shared = options(LockMode::Shared, 0);
    let own = ada.acquire_lock("name:x", shared).await.unwrap();
    let other = bob.acquire_lock("name:x", shared).await.unwrap();
    refused(
        ada.force_unlock("name:x", None).await,
        Kind::PermissionDenied,
    );
    refused(
        ada.force_unlock("name:x", Some(other.token)).await,
        Kind::PermissionDenied,
    );
    ada.force_unlock("name:x", Some(own.token)).await.unwrap();
    refused(
        ada.force_unlock("name:x", Some(own.token)).await,
        Kind::NotFound,
    );
    assert_eq!(
        tokens(&ada.inspect_lock("name:x").await.unwrap()),
        [other.token]
    );
}

/// However many expired leases a lock on however long a path has, the next one gets it, and all of
/// them are on record.
#[tokio::test(start_paused = true)]
async fn a_lock_with_many_expired_leases_on_a_long_path_is_taken() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let path = format!("/{}", "n".repeat(254)).repeat(16);
    super::write(&ada, &path, "").await.unwrap();
    for _ in 0..300 {
        let shared = options(LockMode::Shared, 0);
        ada.acquire_lock(&path, shared).await.unwrap();
    }
    super::expire().await;
    let lease = take(&bob, &path).await.unwrap();
    let page = bob.log(LogQuery::default()).await.unwrap();
    let record = page.records.last().unwrap();
    assert_eq!(record.revision.0, lease.token);
    assert_eq!(record.changes.len(), 300);
    let same = |change: &nexus_fs::Change| change.path == path;
    assert!(record.changes.iter().all(same));
}

/// A forced unlock clears away what has expired too, which everybody may end.
#[tokio::test(start_paused = true)]
async fn a_forced_unlock_ends_what_has_expired_too() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let shared = options(LockMode::Shared, 0);
    let expired = ada.acquire_lock("/a", shared).await.unwrap();
    super::expire().await;
    let own = bob.acquire_lock("name:x", shared).await.unwrap();
    let forced = bob.force_unlock("/a", None).await.unwrap();
    assert_eq!(forced.leases, [expired]);
    refused(bob.force_unlock("/a", None).await, Kind::NotFound);
    let page = bob.log(LogQuery::default()).await.unwrap();
    let record = page.records.last().unwrap();
    assert_eq!(record.revision, forced.revision);
    assert_eq!(record.changes[0].kind.as_str(), "lock_expire");
    release(&bob, &own).await.unwrap();
}

/// What expired is cleared away in time.
#[tokio::test(start_paused = true)]
async fn what_expired_long_ago_is_cleared_away() {
    let world = World::new().await;
    let ada = world.agent("ada");
    take(&ada, "name:left").await.unwrap();
    let asked = AcquireOptions {
        ttl: Duration::from_secs(20 * 3600),
        ..AcquireOptions::default()
    };
    let kept = ada.acquire_lock("name:kept", asked).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let range = nexus_kernel::KeyRange::prefix(&b"k"[..]);
    let scan = nexus_kernel::Scan::forward(range, 10);
    let rows = world
        .stores
        .metastore
        .scan(scan, nexus_kernel::Freshness::Linearizable);
    assert_eq!(rows.await.unwrap().entries.len(), 1);
    release(&ada, &kept).await.unwrap();
}

/// What a fork shows has locks of its own, also before it was changed there.
#[tokio::test(start_paused = true)]
async fn a_file_and_its_fork_are_locked_apart() {
    let world = World::new().await;
    let ada = world.agent("ada");
    super::write(&ada, "/d/x", "x").await.unwrap();
    ada.fork("/d", "/fork", nexus_fs::ForkOptions::default())
        .await
        .unwrap();
    let origin = take(&ada, "/d/x").await.unwrap();
    let forked = take(&ada, "/fork/x").await.unwrap();
    assert_ne!(origin.resource, forked.resource);
    let fenced = super::fenced(&ada, forked.token, "/fork/x");
    super::write(&fenced, "/fork/x", "y").await.unwrap();
    refused(take(&ada, "/fork/x").await, Kind::Conflict);
    release(&ada, &forked).await.unwrap();
    super::write(&ada, "/fork/x", "z").await.unwrap();
    refused(
        super::write(&fenced, "/fork/x", "late").await,
        Kind::Conflict,
    );
}
