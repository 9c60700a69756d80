//! Revoking, expiring and changing keys.

use nexus_kernel::{Kind, Outcome, Timestamp};
use nexus_service_api::{KeyService, KeyUpdate, Rights};

use super::system;
use super::world::{DAY, Fault, World, admin, agent};

fn expire_at(nanos: i64) -> KeyUpdate {
    KeyUpdate {
        expires: Some(Some(Timestamp(nanos))),
        ..KeyUpdate::default()
    }
}

fn grant(rights: Rights) -> KeyUpdate {
    KeyUpdate {
        rights: Some(rights),
        ..KeyUpdate::default()
    }
}

#[tokio::test]
async fn a_revoked_key_is_gone_at_once_and_for_good() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    world.clock.set(77);
    let info = world
        .keys
        .revoke(&system(), &key.info.key_id)
        .await
        .unwrap();
    assert_eq!(info.revoked, Some(Timestamp(77)));
    assert!(!world.is_in_force(&key).await);

    world.clock.set(99);
    let again = world
        .keys
        .revoke(&system(), &key.info.key_id)
        .await
        .unwrap();
    assert_eq!(again, info);
    let refused = world
        .keys
        .update(&system(), &key.info.key_id, grant(Rights::Admin))
        .await;
    assert_eq!(refused.unwrap_err().kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn a_key_ends_at_its_expiry_and_not_before() {
    let world = World::new().await;
    let key = world
        .make(agent("scout", Rights::ReadOnly).until(DAY))
        .await;
    world.clock.set(DAY - 1);
    assert!(world.is_in_force(&key).await);
    world.clock.set(DAY);
    assert!(!world.is_in_force(&key).await);
}

#[tokio::test]
async fn an_expiry_can_be_moved_and_lifted() {
    let world = World::new().await;
    let key = world
        .make(agent("scout", Rights::ReadOnly).until(DAY))
        .await;
    world.clock.set(2 * DAY);
    world
        .keys
        .update(&system(), &key.info.key_id, expire_at(3 * DAY))
        .await
        .unwrap();
    assert!(world.is_in_force(&key).await);
    let forever = KeyUpdate {
        expires: Some(None),
        ..KeyUpdate::default()
    };
    world
        .keys
        .update(&system(), &key.info.key_id, forever)
        .await
        .unwrap();
    world.clock.set(30 * DAY);
    assert!(world.is_in_force(&key).await);
}

#[tokio::test]
async fn a_change_holds_for_the_next_request() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    let update = KeyUpdate {
        name: Some("renamed".into()),
        ..grant(Rights::ReadWrite)
    };
    let info = world
        .keys
        .update(&system(), &key.info.key_id, update)
        .await
        .unwrap();
    assert_eq!(
        (info.name.as_str(), info.rights),
        ("renamed", Rights::ReadWrite)
    );
    let principal = world.keys.authenticate(&key.secret).await.unwrap();
    assert_eq!(principal.rights, Rights::ReadWrite);
    let world = world.restarted().await;
    assert_eq!(
        world.keys.get(&system(), &key.info.key_id).await.unwrap(),
        info
    );
}

#[tokio::test]
async fn the_most_that_a_key_may_grant_raises_nothing() {
    let world = World::new().await;
    for (before, after) in [
        (Rights::ReadOnly, Rights::ReadOnly),
        (Rights::Admin, Rights::ReadWrite),
    ] {
        let key = world.make(agent("scout", before)).await;
        let update = KeyUpdate {
            rights_max: Some(Rights::ReadWrite),
            ..KeyUpdate::default()
        };
        let info = world
            .keys
            .update(&system(), &key.info.key_id, update)
            .await
            .unwrap();
        assert_eq!(info.rights, after);
    }
}

#[tokio::test]
async fn the_last_lasting_admin_key_stays() {
    let world = World::empty().await;
    let last = world.keys.bootstrap().await.unwrap().unwrap();
    world.make(admin().until(DAY)).await;
    let id = &last.info.key_id;
    let refusals = [
        world.keys.revoke(&system(), id).await,
        world.keys.update(&system(), id, expire_at(DAY)).await,
        world
            .keys
            .update(&system(), id, grant(Rights::ReadWrite))
            .await,
    ];
    for refused in refusals {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict);
        assert!(refused.message().contains("last admin key"), "{refused}");
    }
    assert!(world.is_in_force(&last).await);

    let other = world.make(admin()).await;
    world.keys.revoke(&system(), id).await.unwrap();
    assert!(
        world
            .keys
            .revoke(&system(), &other.info.key_id)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn two_administrators_cannot_revoke_each_other_at_once() {
    let world = World::empty().await;
    let (one, two) = (world.make(admin()).await, world.make(admin()).await);
    let who = system();
    let (first, second) = tokio::join!(
        world.keys.revoke(&who, &one.info.key_id),
        world.keys.revoke(&who, &two.info.key_id),
    );
    assert!(first.is_ok() != second.is_ok());
    assert!(world.is_in_force(&one).await != world.is_in_force(&two).await);
}

#[tokio::test]
async fn a_change_that_did_not_happen_changes_nothing() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    world.settings.fail_next(Fault::NotApplied);
    let error = world
        .keys
        .revoke(&system(), &key.info.key_id)
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(world.is_in_force(&key).await);
    world
        .keys
        .revoke(&system(), &key.info.key_id)
        .await
        .unwrap();
    assert!(!world.is_in_force(&key).await);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_read_back() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    world.settings.fail_next(Fault::AnswerLost);
    let error = world
        .keys
        .revoke(&system(), &key.info.key_id)
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(!world.is_in_force(&key).await);

    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    world.settings.fail_next(Fault::AnswerLost);
    world
        .keys
        .update(&system(), &key.info.key_id, grant(Rights::ReadWrite))
        .await
        .unwrap_err();
    let principal = world.keys.authenticate(&key.secret).await.unwrap();
    assert_eq!(principal.rights, Rights::ReadWrite);
}

#[tokio::test]
async fn a_key_in_doubt_lets_nobody_in() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    world.settings.fail_next(Fault::Blind);
    let error = world
        .keys
        .revoke(&system(), &key.info.key_id)
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    world.settings.heal();
    assert!(!world.is_in_force(&key).await);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_a_change() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    let gate = world.settings.hold_puts();
    let who = system();
    let revoking = world.keys.revoke(&who, &key.info.key_id);
    // Begun, and then dropped while the store has not answered yet.
    tokio::select! {
        biased;
        _ = revoking => unreachable!("the store holds its answer"),
        () = world.settings.put_waits() => {}
    }
    drop(gate);
    // Another change comes after it.
    world.make(agent("next", Rights::ReadOnly)).await;
    assert!(!world.is_in_force(&key).await);
}
