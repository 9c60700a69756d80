//! Who holds what.

use nexus_fs::{LockMode, LockQuery, RemoveOptions};
use nexus_kernel::Kind;
use nexus_service_api::Rights;

use super::{World, agent, options, refused, take, write};

async fn resources(session: &nexus_fs::Session, query: LockQuery) -> Vec<String> {
    let page = session.list_locks(query).await.unwrap();
    let named = page
        .locks
        .into_iter()
        .map(|lock| lock.path.unwrap_or(lock.resource));
    named.collect()
}

/// Locks are listed to those who may read what they are on.
#[tokio::test(start_paused = true)]
async fn locks_are_listed_to_those_who_may_read_what_they_are_on() {
    let world = World::new().await;
    let ada = world.agent("ada");
    write(&ada, "/team/x", "").await.unwrap();
    for resource in ["/a", "/team", "/team/x", "name:deploy"] {
        ada.acquire_lock(resource, options(LockMode::Shared, 0))
            .await
            .unwrap();
    }
    let all = resources(&ada, LockQuery::default()).await;
    assert_eq!(all, ["/a", "/team", "/team/x", "name:deploy"]);
    let mut confined = agent("confined", Rights::ReadOnly);
    confined.prefix = Some("/team".into());
    let seen = resources(&world.session(confined), LockQuery::default()).await;
    assert_eq!(seen, ["/team", "/team/x"]);
    let below = LockQuery {
        path_prefix: Some("/team/x".into()),
        ..LockQuery::default()
    };
    assert_eq!(resources(&ada, below).await, ["/team/x"]);
}

/// Nor does a cursor tell whoever may not see names that there are any.
#[tokio::test(start_paused = true)]
async fn a_list_ends_before_names_that_are_out_of_sight() {
    let world = World::new().await;
    let ada = world.agent("ada");
    write(&ada, "/team/x", "").await.unwrap();
    take(&ada, "/team/x").await.unwrap();
    take(&ada, "name:deploy").await.unwrap();
    let one = LockQuery {
        limit: 1,
        ..LockQuery::default()
    };
    let page = world.confined("bob", "/team").list_locks(one.clone()).await;
    let page = page.unwrap();
    assert_eq!((page.locks.len(), page.next), (1, None));
    assert!(ada.list_locks(one).await.unwrap().next.is_some());
}

#[tokio::test(start_paused = true)]
async fn locks_are_listed_by_holder() {
    let world = World::new().await;
    take(&world.agent("ada"), "/a").await.unwrap();
    take(&world.agent("bob"), "name:x").await.unwrap();
    let bob = LockQuery {
        holder: Some("agent:bob".into()),
        ..LockQuery::default()
    };
    assert_eq!(resources(&world.agent("ada"), bob).await, ["name:x"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_locks_pages() {
    let world = World::new().await;
    let ada = world.agent("ada");
    for i in 0..7 {
        take(&ada, &format!("name:{i}")).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let query = LockQuery {
            limit: 3,
            cursor: cursor.clone(),
            ..LockQuery::default()
        };
        let page = ada.list_locks(query).await.unwrap();
        assert!(page.locks.len() <= 3);
        seen.extend(page.locks.into_iter().map(|lock| lock.resource));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..7).map(|i| format!("name:{i}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_or_is_gone_is_not_listed() {
    let world = World::new().await;
    let ada = world.agent("ada");
    take(&ada, "/a").await.unwrap();
    take(&ada, "name:x").await.unwrap();
    ada.remove("/a", RemoveOptions::default()).await.unwrap();
    assert_eq!(resources(&ada, LockQuery::default()).await, ["name:x"]);
    super::expire().await;
    assert!(resources(&ada, LockQuery::default()).await.is_empty());
    refused(ada.inspect_lock("name:x").await, Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_list_refuses_what_cannot_be() {
    let world = World::new().await;
    let ada = world.agent("ada");
    for cursor in ["", "zz", "00", "6c"] {
        let query = LockQuery {
            cursor: Some(cursor.into()),
            ..LockQuery::default()
        };
        refused(ada.list_locks(query).await, Kind::InvalidArgument);
    }
    let query = LockQuery {
        limit: 1001,
        ..LockQuery::default()
    };
    refused(ada.list_locks(query).await, Kind::LimitExceeded);
}
