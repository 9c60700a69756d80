//! What no key can be, and how many there can be.

use nexus_kernel::{Kind, Timestamp};
use nexus_service_api::{KeyService, KeyUpdate, NewKey, PrincipalKind, Rights};

use super::world::{DAY, World, admin, agent};
use super::{KEYS_MAX, system};

/// `spoil` makes an otherwise good key impossible.
async fn refused(spoil: impl FnOnce(&mut NewKey)) {
    let world = World::new().await;
    world.clock.set(DAY);
    let mut new = agent("scout", Rights::ReadWrite).below("/team").build();
    spoil(&mut new);
    let refused = world.keys.create(&system(), new.clone()).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        Kind::InvalidArgument,
        "{new:?}"
    );
    assert_eq!(
        world
            .keys
            .list(&system(), 10, None)
            .await
            .unwrap()
            .keys
            .len(),
        1
    );
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused() {
    refused(|new| new.name = String::new()).await;
    refused(|new| new.name = "  ".into()).await;
    refused(|new| new.name = "a\nb".into()).await;
    refused(|new| new.name = "n".repeat(201)).await;
    refused(|new| new.id = String::new()).await;
    refused(|new| new.id = "two words".into()).await;
    refused(|new| new.id = "nul\0".into()).await;
    refused(|new| new.id = "i".repeat(201)).await;
    refused(|new| new.kind = PrincipalKind::System).await;
    refused(|new| new.zone = "elsewhere".into()).await;
    refused(|new| new.prefix = Some("team".into())).await;
    refused(|new| new.prefix = Some("/team/../etc".into())).await;
    refused(|new| new.rights = Rights::Admin).await;
    refused(|new| new.expires = Some(Timestamp(DAY))).await;
    refused(|new| new.expires = Some(Timestamp(-1))).await;
}

#[tokio::test]
async fn a_prefix_is_kept_normalised_and_the_root_is_none() {
    let world = World::new().await;
    let team = world
        .make(agent("a", Rights::ReadOnly).below("/team/"))
        .await;
    assert_eq!(team.info.prefix.as_deref(), Some("/team"));
    let all = world.make(agent("b", Rights::ReadOnly).below("/")).await;
    assert_eq!(all.info.prefix, None);
}

#[tokio::test]
async fn a_change_into_what_cannot_be_is_refused() {
    let world = World::new().await;
    let key = world
        .make(agent("scout", Rights::ReadWrite).below("/team"))
        .await;
    let updates = [
        KeyUpdate {
            name: Some(String::new()),
            ..KeyUpdate::default()
        },
        KeyUpdate {
            rights: Some(Rights::Admin),
            ..KeyUpdate::default()
        },
        KeyUpdate {
            expires: Some(Some(Timestamp(0))),
            ..KeyUpdate::default()
        },
    ];
    for update in updates {
        let refused = world.keys.update(&system(), &key.info.key_id, update).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::InvalidArgument);
    }
    assert_eq!(
        world.keys.get(&system(), &key.info.key_id).await.unwrap(),
        key.info
    );
}

#[tokio::test]
async fn the_key_that_ended_first_makes_room_and_none_in_force_does() {
    let mut world = World::empty().await;
    world.fill(KEYS_MAX - 2).await;
    let early = world.make(agent("early", Rights::ReadOnly).until(2)).await;
    let late = world.make(agent("late", Rights::ReadOnly)).await;
    let full = world
        .keys
        .create(&system(), admin().build())
        .await
        .unwrap_err();
    assert_eq!(full.kind(), Kind::LimitExceeded);

    world.clock.set(3);
    world
        .keys
        .revoke(&system(), &late.info.key_id)
        .await
        .unwrap();
    world.make(admin()).await;
    assert!(world.keys.get(&system(), &early.info.key_id).await.is_err());
    assert!(world.keys.get(&system(), &late.info.key_id).await.is_ok());
    world.make(admin()).await;
    assert!(world.keys.get(&system(), &late.info.key_id).await.is_err());
    let full = world
        .keys
        .create(&system(), admin().build())
        .await
        .unwrap_err();
    assert_eq!(full.kind(), Kind::LimitExceeded);
}
