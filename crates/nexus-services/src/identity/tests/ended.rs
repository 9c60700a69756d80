//! Administrators whose own key has ended.

use nexus_kernel::Kind;
use nexus_service_api::{Context, CreatedKey, KeyService, KeyUpdate, Rights};

use super::system;
use super::world::{DAY, World, admin, agent, context_of};

/// An administrator who came in with a key, as a request keeps it while its body arrives.
async fn came_in_with(world: &World, key: &CreatedKey) -> Context {
    context_of(&world.keys.authenticate(&key.secret).await.unwrap())
}

async fn assert_manages_nothing(world: &World, who: &Context, other: &str) {
    let keys = &world.keys;
    let new = agent("new", Rights::Admin).build();
    let refusals = [
        keys.create(who, new).await.map(drop),
        keys.list(who, 10, None).await.map(drop),
        keys.get(who, other).await.map(drop),
        keys.update(who, other, KeyUpdate::default())
            .await
            .map(drop),
        keys.revoke(who, other).await.map(drop),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap_err().kind(), Kind::Unauthenticated);
    }
}

#[tokio::test]
async fn an_administrator_whose_key_was_revoked_meanwhile_manages_no_keys() {
    let world = World::new().await;
    let (boss, other) = (world.make(admin()).await, world.make(admin()).await);
    let who = came_in_with(&world, &boss).await;
    world
        .keys
        .revoke(&system(), &boss.info.key_id)
        .await
        .unwrap();
    assert_manages_nothing(&world, &who, &other.info.key_id).await;
}

#[tokio::test]
async fn an_administrator_whose_key_expired_meanwhile_manages_no_keys() {
    let world = World::new().await;
    let (boss, other) = (
        world.make(admin().until(DAY)).await,
        world.make(admin()).await,
    );
    let who = came_in_with(&world, &boss).await;
    world.clock.set(DAY);
    assert_manages_nothing(&world, &who, &other.info.key_id).await;
}

#[tokio::test]
async fn a_change_that_waits_behind_the_end_of_its_own_key_is_refused() {
    let world = World::new().await;
    let boss = world.make(admin()).await;
    let who = came_in_with(&world, &boss).await;
    let gate = world.settings.hold_puts();
    let everyone = system();
    let revoked = world.keys.revoke(&everyone, &boss.info.key_id);
    let made = world
        .keys
        .create(&who, agent("late", Rights::Admin).build());
    let release = async {
        world.settings.put_waits().await;
        // The other change is let in meanwhile, and then has to wait.
        tokio::task::yield_now().await;
        drop(gate);
    };
    let (revoked, made, ()) = tokio::join!(biased; revoked, made, release);
    revoked.unwrap();
    assert_eq!(made.unwrap_err().kind(), Kind::Unauthenticated);
}
