//! Snapshots: what is in them, how they are found, changed and deleted, and who may.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexus_fs::{
    At, ChangeKind, Expiry, LogQuery, NewSnapshot, RemoveOptions, Session, Snapshot, SnapshotQuery,
    SnapshotUpdate,
};
use nexus_kernel::{Kind, Revision, Timestamp};

use crate::rights::confined;
use crate::support::{fresh, put, text, text_at, tree};

fn named(name: &str) -> NewSnapshot {
    NewSnapshot {
        name: Some(name.into()),
        ..NewSnapshot::default()
    }
}

fn point(name: &str) -> At {
    At::Snapshot(name.into())
}

async fn names(files: &Session, query: SnapshotQuery) -> Vec<String> {
    let page = files.snapshots(query).await.unwrap();
    page.snapshots.into_iter().map(|found| found.name).collect()
}

/// A snapshot shows what was there when it was made, whatever happens after, and to whatever part
/// of the tree.
#[tokio::test]
async fn a_snapshot_keeps_what_was_there() {
    let (_zone, files) = fresh().await;
    put(&files, "/job/a", "one").await;
    put(&files, "/job/deep/b", "two").await;
    let before = tree(&files, At::Latest).await;
    let made = files.create_snapshot("/job", named("first")).await.unwrap();
    put(&files, "/job/a", "changed").await;
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove("/job/deep", recursive).await.unwrap();

    assert_eq!(tree(&files, point("first")).await, before);
    assert_eq!(tree(&files, At::Revision(made.revision)).await, before);
    assert_eq!(text(&files, "/job/a").await, "changed");
    let past = files.as_of(point("first")).await.unwrap();
    assert_eq!(past.revision(), made.revision);
}

/// What was acknowledged before a snapshot was asked for is in it, and what is acknowledged after
/// it is not, while others write.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_a_moment_among_writers() {
    let (_zone, files) = fresh().await;
    put(&files, "/n", "0").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (files, stop) = (files.clone(), Arc::clone(&stop));
        async move {
            let mut written = 0;
            while !stop.load(Ordering::SeqCst) {
                written += 1;
                put(&files, "/n", &written.to_string()).await;
            }
        }
    });
    for round in 0..50 {
        let number = async |at| text_at(&files, "/n", at).await.parse::<u64>().unwrap();
        let before = number(At::Latest).await;
        let name = format!("round-{round}");
        files.create_snapshot("/", named(&name)).await.unwrap();
        let after = number(At::Latest).await;
        let kept = number(point(&name)).await;
        assert!((before..=after).contains(&kept), "{before} {kept} {after}");
        assert_eq!(number(point(&name)).await, kept);
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}

/// A snapshot has a name of its own, a number in its directory, and what was said of it.
#[tokio::test]
async fn a_snapshot_is_described_and_found() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/f", "x").await;
    put(&files, "/b/f", "x").await;
    let new = NewSnapshot {
        description: "before the change".into(),
        tags: vec!["ready".into(), "agent".into(), "ready".into()],
        ..named("one")
    };
    let one = files.create_snapshot("/a", new).await.unwrap();
    assert_eq!((one.number, one.path.as_str()), (1, "/a"));
    assert_eq!(one.tags, ["agent", "ready"]);
    assert_eq!(one.actor, "system:system");
    files.create_snapshot("/a", named("two")).await.unwrap();
    files.create_snapshot("/b", named("three")).await.unwrap();
    let unnamed = files.create_snapshot("/b", NewSnapshot::default()).await;
    let unnamed = unnamed.unwrap();
    assert_eq!(unnamed.number, 2);
    assert_eq!(text_at(&files, "/b/f", point(&unnamed.name)).await, "x");

    assert_eq!(files.snapshot("one").await.unwrap(), one);
    assert_eq!(files.numbered_snapshot("/a", 1).await.unwrap(), one);
    let query = |path: Option<&str>, tag: Option<&str>| SnapshotQuery {
        path: path.map(str::to_owned),
        tag: tag.map(str::to_owned),
        ..SnapshotQuery::default()
    };
    assert_eq!(names(&files, query(None, None)).await.len(), 4);
    assert_eq!(names(&files, query(Some("/a"), None)).await, ["one", "two"]);
    assert_eq!(names(&files, query(None, Some("ready"))).await, ["one"]);
    assert!(
        names(&files, query(Some("/b"), Some("ready")))
            .await
            .is_empty()
    );
}

/// The snapshots of a directory are found where it was and where it is, and when it is gone.
#[tokio::test]
async fn snapshots_follow_a_directory_and_outlive_it() {
    let (_zone, files) = fresh().await;
    put(&files, "/old/f", "kept").await;
    files.create_snapshot("/old", named("s")).await.unwrap();
    files
        .rename("/old", "/new", Default::default())
        .await
        .unwrap();
    let at = |path: &str| SnapshotQuery {
        path: Some(path.into()),
        ..SnapshotQuery::default()
    };
    assert_eq!(names(&files, at("/old")).await, ["s"]);
    assert_eq!(names(&files, at("/new")).await, ["s"]);
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove("/new", recursive).await.unwrap();
    assert_eq!(names(&files, at("/old")).await, ["s"]);
    assert_eq!(text_at(&files, "/old/f", point("s")).await, "kept");
}

/// Snapshots are listed in pages.
#[tokio::test]
async fn snapshots_page() {
    let (_zone, files) = fresh().await;
    for i in 0..7 {
        let name = format!("s-{i}");
        files.create_snapshot("/", named(&name)).await.unwrap();
    }
    let mut query = SnapshotQuery {
        limit: 3,
        ..SnapshotQuery::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = files.snapshots(query.clone()).await.unwrap();
        pages.extend(page.snapshots.into_iter().map(|found: Snapshot| found.name));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, ["s-0", "s-1", "s-2", "s-3", "s-4", "s-5", "s-6"]);
    query.cursor = Some("made-up".into());
    let refused = files.snapshots(query).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
}

/// What is said of a snapshot can change; what it holds cannot.
#[tokio::test]
async fn a_snapshot_can_be_described_anew() {
    let (_zone, files) = fresh().await;
    put(&files, "/f", "one").await;
    let made = files.create_snapshot("/", named("s")).await.unwrap();
    put(&files, "/f", "two").await;
    let expires = Timestamp(files.now().0 + 1_000_000_000_000);
    let update = SnapshotUpdate {
        description: Some("why".into()),
        tags: Some(vec!["t".into()]),
        pinned: Some(true),
        expires: Some(Expiry::At(expires)),
    };
    let changed = files.update_snapshot("s", update).await.unwrap();
    let wanted = Snapshot {
        description: "why".into(),
        tags: vec!["t".into()],
        pinned: true,
        expires: Some(expires),
        ..made
    };
    assert_eq!(changed, wanted);
    assert_eq!(files.snapshot("s").await.unwrap(), wanted);
    assert_eq!(text_at(&files, "/f", point("s")).await, "one");
}

/// A pinned snapshot is not deleted. The number of a deleted one is not given again.
#[tokio::test]
async fn a_snapshot_is_deleted_unless_it_is_pinned() {
    let (_zone, files) = fresh().await;
    let new = NewSnapshot {
        pinned: true,
        ..named("s")
    };
    files.create_snapshot("/", new).await.unwrap();
    let refused = files.delete_snapshot("s").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    let unpin = SnapshotUpdate {
        pinned: Some(false),
        ..SnapshotUpdate::default()
    };
    files.update_snapshot("s", unpin).await.unwrap();
    assert_eq!(files.delete_snapshot("s").await.unwrap().number, 1);
    for refused in [
        files.snapshot("s").await.unwrap_err(),
        files.delete_snapshot("s").await.unwrap_err(),
        files.stat("/", point("s")).await.unwrap_err(),
        files.numbered_snapshot("/", 1).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), Kind::NotFound);
    }
    assert_eq!(
        files.create_snapshot("/", named("s")).await.unwrap().number,
        2
    );
}

/// Making, changing and deleting a snapshot is in the log, with its name, as a change of its
/// directory that is none of a file.
#[tokio::test]
async fn snapshots_are_logged() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/f", "x").await;
    let made = files.create_snapshot("/d", named("s")).await.unwrap();
    let update = SnapshotUpdate {
        description: Some("it".into()),
        ..SnapshotUpdate::default()
    };
    files.update_snapshot("s", update).await.unwrap();
    files.delete_snapshot("s").await.unwrap();
    let query = LogQuery {
        path_prefix: Some("/d".into()),
        since: Some(At::Revision(Revision(made.revision.0 - 1))),
        ..LogQuery::default()
    };
    let records = files.log(query).await.unwrap().records;
    let changes = records.iter().flat_map(|record| &record.changes);
    let told = changes.map(|c| (c.kind, c.path.as_str(), c.subject.as_deref()));
    let told: Vec<_> = told.collect();
    let kinds = [
        ChangeKind::SnapshotCreate,
        ChangeKind::SnapshotUpdate,
        ChangeKind::SnapshotDelete,
    ];
    assert_eq!(told, kinds.map(|kind| (kind, "/d", Some("s"))));
    assert!(kinds.into_iter().all(ChangeKind::leaves_files));
}

/// A name that is taken, is none or names another point is refused, and so is too much of a
/// description.
#[tokio::test]
async fn bad_snapshots_are_refused() {
    let (_zone, files) = fresh().await;
    put(&files, "/f", "x").await;
    files.create_snapshot("/", named("taken")).await.unwrap();
    let long = "n".repeat(129);
    for name in [
        "", "latest", "r42", "42", "2h", "v3", "op:1", "a/b", "a\nb", ".", "a}", "s1.1", "s42.8",
        &long,
    ] {
        let refused = files.create_snapshot("/", named(name)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument, "{name:?}");
    }
    let description = NewSnapshot {
        description: "d".repeat(4_097),
        ..named("s")
    };
    let tags = NewSnapshot {
        tags: (0..65).map(|i| i.to_string()).collect(),
        ..named("s")
    };
    let tag = NewSnapshot {
        tags: vec![String::new()],
        ..named("s")
    };
    let expired = NewSnapshot {
        expires: Some(Timestamp(1)),
        ..named("s")
    };
    for (path, new, kind) in [
        ("/", named("taken"), Kind::AlreadyExists),
        ("/f", named("s"), Kind::WrongType),
        ("/missing", named("s"), Kind::NotFound),
        ("/", description, Kind::LimitExceeded),
        ("/", tags, Kind::LimitExceeded),
        ("/", tag, Kind::InvalidArgument),
        ("/", expired, Kind::InvalidArgument),
    ] {
        let refused = files.create_snapshot(path, new).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{path}");
    }
    assert_eq!(names(&files, SnapshotQuery::default()).await, ["taken"]);
    for like_it in ["s1", "s1.a", "s.1", "s1.1.1", "S1.1"] {
        files.create_snapshot("/", named(like_it)).await.unwrap();
    }
}

/// Who may not read a directory learns nothing of its snapshots, but that a name is taken; who may
/// not write to it makes and deletes none.
#[tokio::test]
async fn snapshots_out_of_sight_are_not_told_of() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/f", "x").await;
    put(&system, "/team/f", "ours").await;
    system
        .create_snapshot("/secret", named("hidden"))
        .await
        .unwrap();
    let ours = user.create_snapshot("/team", named("ours")).await.unwrap();

    assert_eq!(names(&user, SnapshotQuery::default()).await, ["ours"]);
    assert_eq!(text_at(&user, "/team/f", point("ours")).await, "ours");
    let missing = user.snapshot("missing").await.unwrap_err();
    let same = |hidden: nexus_kernel::Error| {
        assert_eq!(
            hidden.to_string().replace("hidden", "missing"),
            missing.to_string()
        );
    };
    same(user.snapshot("hidden").await.unwrap_err());
    same(user.delete_snapshot("hidden").await.unwrap_err());
    same(user.stat("/team", point("hidden")).await.unwrap_err());
    same(user.as_of(point("hidden")).await.err().unwrap());
    let update = SnapshotUpdate::default();
    same(user.update_snapshot("hidden", update).await.unwrap_err());
    let taken = user.create_snapshot("/team", named("hidden")).await;
    let taken = taken.unwrap_err();
    assert_eq!(taken.kind(), Kind::AlreadyExists);
    assert!(!taken.to_string().contains("secret"), "{taken}");
    let refused = user
        .create_snapshot("/secret", named("s"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::PermissionDenied);
    assert_eq!(system.snapshot("ours").await.unwrap(), ours);
}
