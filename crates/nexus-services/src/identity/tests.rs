//! What `KeyService` promises, held against `Keys` over settings in memory.

use nexus_kernel::Kind;
use nexus_service_api::{Context, Expect, KeyService, KeyUpdate, PrincipalKind, Rights, Settings};

use super::store::{PAGE, setting};
use super::{KEYS_MAX, Secret};
use world::{DAY, FakeSettings, World, admin, agent, context_of};

mod ended;
mod lifecycle;
mod limits;
mod world;

fn system() -> Context {
    Context::system()
}

#[tokio::test]
async fn a_secret_names_its_bearer() {
    let world = World::new().await;
    let new = agent("scout", Rights::ReadWrite).below("/team");
    let created = world.keys.create(&system(), new.build()).await.unwrap();
    let principal = world.keys.authenticate(&created.secret).await.unwrap();
    assert_eq!(principal.id, "scout");
    assert_eq!(principal.kind, PrincipalKind::Agent);
    assert_eq!(principal.rights, Rights::ReadWrite);
    assert_eq!(principal.prefix.as_deref(), Some("/team"));
    assert_eq!(
        principal.key_id.as_deref(),
        Some(created.info.key_id.as_str())
    );
    assert_eq!(principal.zone, "root");
}

#[tokio::test]
async fn what_is_no_secret_in_force_is_refused_without_a_reason() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadOnly)).await;
    let other = world.make(agent("other", Rights::ReadOnly)).await;
    let ended = world.make(agent("ended", Rights::ReadOnly)).await;
    world
        .keys
        .revoke(&system(), &ended.info.key_id)
        .await
        .unwrap();

    let secret = &key.secret;
    let mixed = format!("{}{}", &secret[..15], &other.secret[15..]);
    let last = if secret.ends_with('0') { "1" } else { "0" };
    let flipped = format!("{}{last}", &secret[..secret.len() - 1]);
    let upper = secret.to_uppercase();
    let euros = "€".repeat(28);
    let texts = [
        "",
        "sk-",
        "sk--",
        "secret",
        &secret[..20],
        &format!("{secret}0"),
        &format!(" {secret}"),
        &mixed,
        &flipped,
        &upper,
        &euros,
        &key.info.key_id,
        &ended.secret,
        &"x".repeat(1 << 20),
    ];
    let mut answers = Vec::new();
    for text in texts {
        let refused = world.keys.authenticate(text).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unauthenticated);
        answers.push(refused.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn the_secret_is_not_stored() {
    let world = World::new().await;
    let key = world.make(admin()).await;
    let stored = world
        .settings
        .get(&setting(&key.info.key_id))
        .await
        .unwrap()
        .unwrap();
    let secret = key.secret.rsplit_once('-').unwrap().1;
    let holds = |part: &[u8]| {
        stored
            .value
            .windows(part.len())
            .any(|window| window == part)
    };
    assert!(!holds(secret.as_bytes()));
    assert!(!holds(&hex::decode(secret).unwrap()));
    assert!(!format!("{key:?}").contains(secret));
}

#[tokio::test]
async fn secrets_differ_in_id_and_in_random_part() {
    let world = World::new().await;
    let (one, two) = (world.make(admin()).await, world.make(admin()).await);
    assert_ne!(one.info.key_id, two.info.key_id);
    assert_ne!(
        one.secret.rsplit_once('-').unwrap().1,
        two.secret.rsplit_once('-').unwrap().1
    );
    assert!(Secret::parse(&one.secret).is_some());
}

#[tokio::test]
async fn a_principal_ends_with_its_key() {
    let world = World::new().await;
    let revoked = world.make(agent("revoked", Rights::ReadWrite)).await;
    let changed = world.make(agent("changed", Rights::ReadWrite)).await;
    let expiring = world
        .make(agent("expiring", Rights::ReadWrite).until(DAY))
        .await;
    let principal = |secret: String| async { world.keys.authenticate(&{ secret }).await.unwrap() };
    let (one, two) = (
        principal(revoked.secret).await,
        principal(changed.secret).await,
    );
    let three = principal(expiring.secret).await;
    let start = || nexus_kernel::Timestamp(0);
    for principal in [&one, &two, &three] {
        principal.check_in_force(start).unwrap();
    }

    world
        .keys
        .revoke(&system(), &revoked.info.key_id)
        .await
        .unwrap();
    let narrower = KeyUpdate {
        rights: Some(Rights::ReadOnly),
        ..KeyUpdate::default()
    };
    world
        .keys
        .update(&system(), &changed.info.key_id, narrower)
        .await
        .unwrap();
    for principal in [&one, &two] {
        let refused = principal.check_in_force(start).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unauthenticated);
    }
    three.check_in_force(start).unwrap();
    assert!(
        three
            .check_in_force(|| nexus_kernel::Timestamp(i64::MAX))
            .is_err()
    );
}

#[tokio::test]
async fn keys_outlive_the_process() {
    let world = World::new().await;
    let kept = world.make(agent("kept", Rights::ReadOnly).until(DAY)).await;
    let ended = world.make(agent("ended", Rights::ReadOnly)).await;
    let ended_info = world
        .keys
        .revoke(&system(), &ended.info.key_id)
        .await
        .unwrap();

    let world = world.restarted().await;
    assert_eq!(
        world.keys.authenticate(&kept.secret).await.unwrap().id,
        "kept"
    );
    assert!(world.keys.authenticate(&ended.secret).await.is_err());
    assert_eq!(
        world.keys.get(&system(), &kept.info.key_id).await.unwrap(),
        kept.info
    );
    assert_eq!(
        world.keys.get(&system(), &ended.info.key_id).await.unwrap(),
        ended_info
    );
}

#[tokio::test]
async fn more_keys_than_one_page_of_settings_are_read_back() {
    let mut world = World::empty().await;
    world.fill(PAGE + 5).await;
    let page = world.keys.list(&system(), KEYS_MAX, None).await.unwrap();
    assert_eq!(page.keys.len(), PAGE + 5);
}

#[tokio::test]
async fn a_record_of_a_newer_version_refuses_to_start() {
    let settings = FakeSettings::default();
    // Field 1, a varint: version 2.
    settings
        .put(
            &setting("0123456789ab"),
            Some(vec![0x08, 2].into()),
            Expect::Any,
        )
        .await
        .unwrap();
    let refused = World::over(settings.into()).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn a_damaged_record_refuses_to_start() {
    for bytes in [&b"\xFF\xFF\xFF"[..], b"\x08\x01"] {
        let settings = FakeSettings::default();
        let value = Some(bytes.to_vec().into());
        settings
            .put(&setting("0123456789ab"), value, Expect::Any)
            .await
            .unwrap();
        let refused = World::over(settings.into()).await.err().unwrap();
        assert_eq!(refused.kind(), Kind::Corrupt);
        assert_eq!(refused.fact("key"), Some("0123456789ab"));
    }
}

#[tokio::test]
async fn only_administrators_manage_keys() {
    let world = World::new().await;
    let key = world.make(agent("scout", Rights::ReadWrite)).await;
    let who = context_of(&world.keys.authenticate(&key.secret).await.unwrap());
    let id = &key.info.key_id;
    let keys = &world.keys;
    let refusals = [
        keys.create(&who, admin().build()).await.err(),
        keys.list(&who, 10, None).await.err(),
        keys.get(&who, id).await.err(),
        keys.revoke(&who, id).await.err(),
        keys.update(&who, id, KeyUpdate::default()).await.err(),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap().kind(), Kind::PermissionDenied);
    }
    assert!(keys.authenticate(&key.secret).await.is_ok());

    let boss = world.make(admin()).await;
    let who = context_of(&keys.authenticate(&boss.secret).await.unwrap());
    assert!(
        keys.create(&who, agent("new", Rights::ReadOnly).build())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_first_start_makes_one_admin_key_and_later_ones_none() {
    let world = World::empty().await;
    let first = world.keys.bootstrap().await.unwrap().unwrap();
    assert_eq!(
        world.keys.authenticate(&first.secret).await.unwrap().rights,
        Rights::Admin
    );
    assert_eq!(world.keys.bootstrap().await.unwrap(), None);
    let world = world.restarted().await;
    assert_eq!(world.keys.bootstrap().await.unwrap(), None);
    assert_eq!(
        world.keys.list(&system(), 10, None).await.unwrap().keys,
        [first.info]
    );
}

#[tokio::test]
async fn keys_are_listed_by_id_in_pages() {
    let world = World::empty().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.make(agent("one", Rights::ReadOnly)).await.info.key_id);
    }
    ids.sort();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world
            .keys
            .list(&system(), 2, cursor.as_deref())
            .await
            .unwrap();
        assert!(page.keys.len() <= 2);
        seen.extend(page.keys.into_iter().map(|key| key.key_id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
    let whole = world.keys.list(&system(), 5, None).await.unwrap();
    assert_eq!(whole.next, None);
}

#[tokio::test]
async fn a_malformed_page_request_is_refused() {
    let world = World::new().await;
    for (limit, cursor) in [
        (0, None),
        (1, Some("")),
        (1, Some("../..")),
        (1, Some("ABCDEF012345")),
    ] {
        let refused = world.keys.list(&system(), limit, cursor).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
    }
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let world = World::new().await;
    let (keys, who) = (&world.keys, system());
    for id in ["", "000000000000", "key/../x"] {
        let answers = [
            keys.get(&who, id).await.err(),
            keys.revoke(&who, id).await.err(),
            keys.update(&who, id, KeyUpdate::default()).await.err(),
        ];
        assert!(
            answers
                .iter()
                .all(|error| error.as_ref().unwrap().kind() == Kind::NotFound)
        );
    }
}
