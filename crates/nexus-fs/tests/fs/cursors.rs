//! Durable names for how far consumers of the change feed have come.

use std::sync::Arc;

use async_trait::async_trait;
use nexus_fs::{
    CURSORS_MAX, CursorName, CursorOwner, FeedPosition, FeedQuery, FeedStart, Session, Zone,
    ZoneConfig,
};
use nexus_kernel::{Durability, Error, Kind, Result, Revision};
use nexus_service_api::{Action, Authorizer, Context, Principal, PrincipalKind, Target};

use crate::support::{fresh, memory_stores, open, put};

/// Who is not the system may do everything but administer.
struct NoAdmins;

#[async_trait]
impl Authorizer for NoAdmins {
    async fn authorize(&self, who: &Context, action: Action, _: Target<'_>) -> Result<()> {
        if action == Action::Administer && who.principal.kind != PrincipalKind::System {
            return Err(Error::denied("only the system administers"));
        }
        Ok(())
    }

    async fn visible(&self, _: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        Ok(vec![true; targets.len()])
    }

    async fn sees_all_below(&self, _: &Context, _: Target<'_>) -> bool {
        true
    }
}

fn agent(zone: &Zone, id: &str) -> Session {
    let principal = Principal {
        kind: PrincipalKind::Agent,
        id: id.into(),
        ..Principal::system()
    };
    zone.session(Context::new(Arc::new(principal)))
}

async fn guarded() -> Zone {
    let zone = Zone::open(memory_stores(), Arc::new(NoAdmins), ZoneConfig::default());
    zone.await.unwrap()
}

fn name(text: &str) -> CursorName {
    text.parse().unwrap()
}

fn at(revision: u64) -> FeedPosition {
    Revision(revision).into()
}

async fn names(files: &Session, of: CursorOwner) -> Vec<String> {
    let page = files.cursors(&of, 100, None).await.unwrap();
    let cursors = page.cursors.iter();
    cursors
        .map(|cursor| format!("{}/{}", cursor.owner, cursor.name))
        .collect()
}

/// A consumer goes on where it acknowledged, also after a restart.
#[tokio::test]
async fn a_consumer_goes_on_where_it_acknowledged() {
    let stores = memory_stores();
    let consumer = name("indexer");
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    files.create_cursor(&consumer, None).await.unwrap();
    for path in ["/a", "/b", "/c"] {
        put(&files, path, "x").await;
    }
    let query = || FeedQuery {
        start: FeedStart::Cursor(name("indexer")),
        ..FeedQuery::default()
    };
    let mut feed = files.feed(query()).await.unwrap();
    let batch = feed.next().await.unwrap();
    let handled = batch.records()[1].revision.into();
    let moved = files
        .acknowledge(&consumer, handled, Durability::Sync)
        .await
        .unwrap();
    assert_eq!(moved.position, handled);
    drop((feed, batch, files));
    zone.close().await.unwrap();

    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    let mut feed = files.feed(query()).await.unwrap();
    let batch = feed.next().await.unwrap();
    let paths: Vec<_> = batch
        .records()
        .iter()
        .map(|record| &record.changes[0].path)
        .collect();
    assert_eq!(paths, ["/c"]);
}

/// A cursor goes forward only, to what there is; back it goes when it is told so.
#[tokio::test]
async fn a_cursor_goes_forward_only_unless_it_is_rewound() {
    let (_zone, files) = fresh().await;
    let consumer = name("c");
    for i in 0..20 {
        put(&files, &format!("/{i}"), "x").await;
    }
    files.create_cursor(&consumer, Some(at(5))).await.unwrap();
    let acknowledge = |to| files.acknowledge(&consumer, to, Durability::Relaxed);
    acknowledge(FeedPosition::within(Revision(7), 0))
        .await
        .unwrap();
    acknowledge(at(7)).await.unwrap();
    acknowledge(at(7)).await.unwrap();
    for earlier in [at(6), FeedPosition::within(Revision(7), 3)] {
        let error = acknowledge(earlier).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fact("position")),
            (Kind::Conflict, Some("7"))
        );
    }
    let future = acknowledge(at(1 << 40)).await.unwrap_err();
    assert_eq!(future.kind(), Kind::InvalidArgument);
    let future = files
        .rewind_cursor(&consumer, at(1 << 40))
        .await
        .unwrap_err();
    assert_eq!(future.kind(), Kind::InvalidArgument);
    assert_eq!(
        files
            .rewind_cursor(&consumer, at(2))
            .await
            .unwrap()
            .position,
        at(2)
    );
    assert_eq!(files.cursor(&consumer).await.unwrap().position, at(2));
}

/// Many who acknowledge at once leave the cursor at the furthest position.
#[tokio::test]
async fn a_cursor_ends_at_the_furthest_position_acknowledged() {
    let (_zone, files) = fresh().await;
    let consumer = name("c");
    for i in 0..20 {
        put(&files, &format!("/{i}"), "x").await;
    }
    files.create_cursor(&consumer, Some(at(0))).await.unwrap();
    let moves = (1..=10).map(|to| files.acknowledge(&consumer, at(to), Durability::Relaxed));
    for refused in futures::future::join_all(moves)
        .await
        .into_iter()
        .filter_map(Result::err)
    {
        assert_eq!(refused.kind(), Kind::Conflict);
    }
    assert_eq!(files.cursor(&consumer).await.unwrap().position, at(10));
}

/// A cursor is its owner's: others do not see it, move it or learn that there is one.
#[tokio::test]
async fn a_cursor_is_its_owners() {
    let zone = guarded().await;
    let (ada, bob) = (agent(&zone, "ada"), agent(&zone, "bob"));
    let system = zone.session(Context::system());
    ada.create_cursor(&name("c"), None).await.unwrap();
    bob.create_cursor(&name("c"), None).await.unwrap();
    assert_eq!(names(&bob, CursorOwner::Caller).await, ["agent:bob/c"]);
    let position = ada.cursor(&name("c")).await.unwrap().position;
    for text in ["agent:ada/c", "agent:ada/none", "agent:nobody/c"] {
        let theirs = name(text);
        let refused = [
            bob.cursor(&theirs).await.err(),
            bob.create_cursor(&theirs, None).await.err(),
            bob.acknowledge(&theirs, position, Durability::Sync)
                .await
                .err(),
            bob.rewind_cursor(&theirs, at(0)).await.err(),
            bob.delete_cursor(&theirs).await.err(),
            bob.feed(FeedQuery {
                start: FeedStart::Cursor(theirs.clone()),
                ..FeedQuery::default()
            })
            .await
            .err(),
            bob.cursors(&CursorOwner::Principal("agent:ada".into()), 10, None)
                .await
                .err(),
            bob.cursors(&CursorOwner::Anyone, 10, None).await.err(),
        ];
        for error in refused {
            assert_eq!(error.unwrap().kind(), Kind::PermissionDenied, "{text}");
        }
    }
    assert_eq!(
        names(&system, CursorOwner::Anyone).await,
        ["agent:ada/c", "agent:bob/c"]
    );
    let moved = system
        .rewind_cursor(&name("agent:ada/c"), at(0))
        .await
        .unwrap();
    assert_eq!(ada.cursor(&name("c")).await.unwrap(), moved);
    system.delete_cursor(&name("agent:ada/c")).await.unwrap();
    let gone = ada.cursor(&name("c")).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

/// A cursor that was made in another zone is refused.
#[tokio::test]
async fn a_cursor_of_another_zone_is_refused() {
    let (zone, files) = fresh().await;
    let elsewhere = Principal {
        zone: "elsewhere".into(),
        ..Principal::system()
    };
    let elsewhere = zone.session(Context::new(Arc::new(elsewhere)));
    elsewhere.create_cursor(&name("c"), None).await.unwrap();
    let refused = [
        files.cursor(&name("c")).await.err(),
        files
            .acknowledge(&name("c"), at(1), Durability::Sync)
            .await
            .err(),
        files
            .feed(FeedQuery {
                start: FeedStart::Cursor(name("c")),
                ..FeedQuery::default()
            })
            .await
            .err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().kind(), Kind::PermissionDenied);
    }
}

/// A cursor of another zone, such as one that an archive brought along, is in nobody's way: it can
/// be deleted, and made anew, and counts once.
#[tokio::test]
async fn a_cursor_of_another_zone_gives_way() {
    let (zone, files) = fresh().await;
    let elsewhere = Principal {
        zone: "elsewhere".into(),
        ..Principal::system()
    };
    let elsewhere = zone.session(Context::new(Arc::new(elsewhere)));
    for n in 0..CURSORS_MAX {
        let name = name(&format!("c{n}"));
        elsewhere.create_cursor(&name, None).await.unwrap();
    }
    files.create_cursor(&name("c0"), None).await.unwrap();
    files.cursor(&name("c0")).await.unwrap();
    let again = files.create_cursor(&name("c0"), None).await.unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);
    let more = files.create_cursor(&name("more"), None).await.unwrap_err();
    assert_eq!(more.kind(), Kind::LimitExceeded);
    files.delete_cursor(&name("c1")).await.unwrap();
    files.create_cursor(&name("more"), None).await.unwrap();
    files.cursor(&name("more")).await.unwrap();
}

/// A principal has a limited number of cursors with names of limited length, each once.
#[tokio::test]
async fn cursors_have_limits() {
    let (_zone, files) = fresh().await;
    for i in 0..CURSORS_MAX {
        files
            .create_cursor(&name(&format!("c{i:04}")), None)
            .await
            .unwrap();
    }
    let error = files.create_cursor(&name("more"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
    let error = files.create_cursor(&name("c0000"), None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    files.delete_cursor(&name("c0000")).await.unwrap();
    files.create_cursor(&name("more"), None).await.unwrap();
    let error = files
        .create_cursor(&name("later"), Some(at(1 << 40)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
    for text in [
        "",
        "/",
        "a b",
        "a/b",
        "user:/c",
        "ü",
        "user:ada/",
        &"x".repeat(129),
    ] {
        let error = text.parse::<CursorName>().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{text:?}");
    }
}

/// A list of cursors comes in pages that meet.
#[tokio::test]
async fn pages_of_cursors_meet() {
    let zone = guarded().await;
    for id in ["ada", "bob"] {
        for i in 0..7 {
            agent(&zone, id)
                .create_cursor(&name(&format!("c{i}")), None)
                .await
                .unwrap();
        }
    }
    let system = zone.session(Context::system());
    let all = names(&system, CursorOwner::Anyone).await;
    assert_eq!(all.len(), 14);
    for limit in [1, 3, 7, 14] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = system
                .cursors(&CursorOwner::Anyone, limit, after.as_deref())
                .await
                .unwrap();
            assert!(page.cursors.len() <= limit);
            found.extend(
                page.cursors
                    .iter()
                    .map(|cursor| format!("{}/{}", cursor.owner, cursor.name)),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "by {limit}");
    }
    for (limit, after) in [(0, None), (1_001, None), (1, Some("x"))] {
        assert!(
            system
                .cursors(&CursorOwner::Anyone, limit, after)
                .await
                .is_err()
        );
    }
}
