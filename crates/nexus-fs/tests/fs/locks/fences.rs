//! Changes that stand on a lease.

use nexus_fs::{
    BatchStep, CursorName, MkdirOptions, MoveOptions, OpenMode, RemoveOptions, SetAttributes,
    WriteOptions,
};
use nexus_kernel::{Durability, Kind};
use nexus_service_api::Fence;

use super::{World, fenced, refused, release, take, write};

/// A change that carries a fence is committed only while that lease is held.
#[tokio::test(start_paused = true)]
async fn a_change_with_a_fence_is_committed_while_the_lease_is_held() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "/a").await.unwrap();
    for resource in ["/a", &lease.resource] {
        write(&fenced(&ada, lease.token, resource), "/other", "x")
            .await
            .unwrap();
    }
    release(&ada, &lease).await.unwrap();
    let error = refused(
        write(&fenced(&ada, lease.token, "/a"), "/a", "late").await,
        Kind::Conflict,
    );
    assert_eq!(error.fact("token"), Some(lease.token.to_string().as_str()));
    assert_eq!(error.fact("resource"), Some("/a"));
}

#[tokio::test(start_paused = true)]
async fn an_expired_or_forced_out_holder_writes_no_more() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "name:deploy").await.unwrap();
    super::expire().await;
    let session = fenced(&ada, lease.token, "name:deploy");
    refused(write(&session, "/a", "late").await, Kind::Conflict);
    let lease = take(&ada, "name:deploy").await.unwrap();
    world
        .admin()
        .force_unlock("name:deploy", None)
        .await
        .unwrap();
    let session = fenced(&ada, lease.token, "name:deploy");
    refused(write(&session, "/a", "late").await, Kind::Conflict);
    assert_eq!(
        ada.read("/a", nexus_fs::At::Latest).await.unwrap().bytes,
        "one"
    );
}

/// Whatever a change is, its fence is part of its commit.
#[tokio::test(start_paused = true)]
async fn every_change_stands_on_the_fences_of_its_request() {
    let world = World::new().await;
    let session = fenced(&world.agent("ada"), 1, "name:never");
    let sync = Durability::Sync;
    let big = bytes::Bytes::from(vec![7; 2 << 20]);
    let options = WriteOptions::default;
    refused(session.write("/a", big, options()).await, Kind::Conflict);
    refused(
        session.append("/a", "x".into(), options()).await,
        Kind::Conflict,
    );
    refused(
        session.mkdir("/d", MkdirOptions::default()).await,
        Kind::Conflict,
    );
    refused(
        session.remove("/a", RemoveOptions::default()).await,
        Kind::Conflict,
    );
    refused(
        session.rename("/a", "/b", MoveOptions::default()).await,
        Kind::Conflict,
    );
    refused(
        session.copy("/a", "/b", MoveOptions::default()).await,
        Kind::Conflict,
    );
    refused(session.symlink("/a", "/l", sync).await, Kind::Conflict);
    refused(session.hard_link("/a", "/h", sync).await, Kind::Conflict);
    refused(
        session
            .set_attributes("/a", SetAttributes::default(), sync)
            .await,
        Kind::Conflict,
    );
    let step = BatchStep::Mkdir {
        path: "/d".into(),
        options: MkdirOptions::default(),
    };
    refused(session.batch(vec![step], sync).await, Kind::Conflict);
    let entries = world
        .admin()
        .list("/", nexus_fs::ListOptions::default())
        .await
        .unwrap()
        .entries;
    assert_eq!(entries.len(), 1);
}

/// Also how far a consumer has come: who takes over the lock must not miss what it never met.
#[tokio::test(start_paused = true)]
async fn a_cursor_is_moved_only_while_the_lease_is_held() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let name: CursorName = "index".parse().unwrap();
    let lease = take(&ada, "name:indexer").await.unwrap();
    let session = fenced(&ada, lease.token, "name:indexer");
    let created = session.create_cursor(&name, None).await.unwrap();
    let position = created.position;
    session
        .acknowledge(&name, position, Durability::Sync)
        .await
        .unwrap();
    release(&ada, &lease).await.unwrap();
    let other: CursorName = "other".parse().unwrap();
    refused(session.create_cursor(&other, None).await, Kind::Conflict);
    let late = session.acknowledge(&name, position, Durability::Sync).await;
    refused(late, Kind::Conflict);
    refused(session.rewind_cursor(&name, position).await, Kind::Conflict);
    refused(session.delete_cursor(&name).await, Kind::Conflict);
    assert_eq!(ada.cursor(&name).await.unwrap().position, position);
}

#[tokio::test(start_paused = true)]
async fn all_fences_of_a_request_must_hold() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let fence = |token, resource: &str| Fence {
        token,
        resource: resource.into(),
    };
    let one = take(&ada, "name:one").await.unwrap();
    let two = take(&ada, "name:two").await.unwrap();
    let both = ada.standing_on(vec![
        fence(one.token, "name:one"),
        fence(two.token, "name:two"),
    ]);
    write(&both, "/b", "x").await.unwrap();
    release(&both, &two).await.unwrap();
    refused(write(&both, "/b", "y").await, Kind::Conflict);
    let many = ada.standing_on(vec![fence(one.token, "name:one"); 9]);
    refused(write(&many, "/b", "y").await, Kind::LimitExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_no_fence_for_another_resource() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "name:one").await.unwrap();
    for resource in ["name:two", "/a", "/missing", "ino:99999"] {
        refused(
            write(&fenced(&ada, lease.token, resource), "/a", "x").await,
            Kind::Conflict,
        );
    }
    refused(
        write(&fenced(&ada, lease.token, "nonsense"), "/a", "x").await,
        Kind::InvalidArgument,
    );
}

/// A fence that names the file by its number holds through renames.
#[tokio::test(start_paused = true)]
async fn a_fence_by_number_holds_through_renames_and_removal() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "/a").await.unwrap();
    let session = fenced(&ada, lease.token, &lease.resource);
    session
        .rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    refused(
        write(&fenced(&ada, lease.token, "/a"), "/c", "x").await,
        Kind::Conflict,
    );
    write(&session, "/b", "two").await.unwrap();
    session
        .remove("/b", RemoveOptions::default())
        .await
        .unwrap();
    write(&session, "/b", "three").await.unwrap();
}

/// A fence tells nothing about what is out of sight, and keeps nobody from reading or from
/// giving a lock up.
#[tokio::test(start_paused = true)]
async fn a_fence_tells_nothing_about_what_is_out_of_sight() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let confined = world.confined("confined", "/team/inner");
    write(&ada, "/team/inner/x", "x").await.unwrap();
    for resource in ["/a", "/missing", "name:x", "/", "/team", "name:y"] {
        let token = match resource {
            "/missing" | "name:y" => 1,
            held => take(&ada, held).await.unwrap().token,
        };
        let session = fenced(&confined, token, resource);
        refused(
            write(&session, "/team/inner/x", "y").await,
            Kind::PermissionDenied,
        );
    }
}

/// Whose lease is lost has written nothing, also where others write to the file that it has open;
/// and they are not held up by it.
#[tokio::test(start_paused = true)]
async fn what_was_written_under_a_lost_lease_is_in_no_version() {
    let world = World::new().await;
    let (ada, bob) = (world.agent("ada"), world.agent("bob"));
    let ino = ada.stat("/a", nexus_fs::At::Latest).await.unwrap().ino;
    let lease = take(&ada, "/a").await.unwrap();
    let session = fenced(&ada, lease.token, "/a");
    let late = session.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    late.write(0, "LATE".into()).await.unwrap();
    super::expire().await;
    let lease = take(&bob, "/a").await.unwrap();
    let session = fenced(&bob, lease.token, "/a");
    let holder = session.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    holder.write(3, " two".into()).await.unwrap();
    late.write(0, "LATER".into()).await.unwrap();
    holder.flush().await.unwrap();
    assert_eq!(holder.read(0, 100).await.unwrap(), "one two");
    refused(late.flush().await, Kind::Conflict);
    refused(late.close().await, Kind::Conflict);
    holder.close().await.unwrap();
    let versions = bob.versions("/a", 10, None).await.unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[0].author, "agent:bob");
    let read = bob.read("/a", nexus_fs::At::Latest).await.unwrap();
    assert_eq!(read.bytes, "one two");
}

/// What a lost lease must not keep anybody from.
#[tokio::test(start_paused = true)]
async fn locks_are_given_up_and_reads_answered_whatever_became_of_the_fence() {
    let world = World::new().await;
    let ada = world.agent("ada");
    let lease = take(&ada, "/a").await.unwrap();
    let session = fenced(&ada, 1, "name:never");
    session.read("/a", nexus_fs::At::Latest).await.unwrap();
    release(&session, &lease).await.unwrap();
}
