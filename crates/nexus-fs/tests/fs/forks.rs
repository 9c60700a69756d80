//! Forks of directories. That a fork is as a copy in every respect is for the model to show
//! (`a_zone_with_forks_agrees_with_the_model`).

use bytes::Bytes;
use nexus_fs::{
    At, BatchStep, ForkOptions, MergeOptions, MkdirOptions, MoveOptions, OpenMode, RemoveOptions,
    Session, SetAttributes, Stores,
};
use nexus_kernel::{Commit, Durability, Freshness, KeyRange, Kind, Op, Scan, Txn};
use nexus_service_api::Context;

use crate::support::{fresh, memory_stores, open, put, text, text_at};

const RECURSIVE: RemoveOptions = RemoveOptions {
    recursive: true,
    if_match: None,
    durability: Durability::Sync,
};

pub(crate) async fn fork(files: &Session, from: &str, to: &str) {
    files.fork(from, to, ForkOptions::default()).await.unwrap();
}

async fn rows(stores: &Stores, prefix: &'static str) -> usize {
    let all = KeyRange {
        start: Bytes::from_static(b"A"),
        end: Bytes::from_static(b"~"),
    };
    let range = match prefix {
        "" => all,
        prefix => KeyRange::prefix(prefix),
    };
    let scan = Scan::forward(range, 10_000);
    let page = stores.metastore.scan(scan, Freshness::Linearizable).await;
    page.unwrap().entries.len()
}

async fn names(files: &Session, path: &str) -> Vec<String> {
    crate::support::tree(files, At::Latest)
        .await
        .into_iter()
        .filter_map(|(entry, _)| Some(entry.strip_prefix(path)?.to_owned()))
        .collect()
}

/// Neither side hears of what the other does.
#[tokio::test]
async fn both_sides_of_a_fork_go_their_own_way() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    put(&files, "/a/d/y", "2").await;
    fork(&files, "/a", "/b").await;
    put(&files, "/b/x", "fork").await;
    put(&files, "/a/d/y", "origin").await;
    put(&files, "/a/new", "origin").await;
    files
        .remove("/a/x", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!(names(&files, "/b").await, ["", "/d", "/d/y", "/x"]);
    assert_eq!(text(&files, "/b/x").await, "fork");
    assert_eq!(text(&files, "/b/d/y").await, "2");
    assert_eq!(names(&files, "/a").await, ["", "/d", "/d/y", "/new"]);
}

/// A fork takes as many rows for many files as for few.
#[tokio::test]
async fn a_fork_takes_the_same_few_rows_whatever_is_in_it() {
    let mut added = Vec::new();
    for count in [1, 300] {
        let stores = memory_stores();
        let zone = open(&stores).await;
        let files = zone.session(Context::system());
        for i in 0..count {
            put(&files, &format!("/a/{i}/f"), &"large".repeat(3_000)).await;
        }
        let before = rows(&stores, "").await;
        let counted = rows(&stores, "c").await;
        fork(&files, "/a", "/b").await;
        added.push(rows(&stores, "").await - before);
        assert_eq!(rows(&stores, "c").await, counted, "no content is counted");
    }
    assert_eq!(added[0], added[1]);
    assert!(added[0] < 12, "{added:?}");
}

/// Before the fork there is nothing, in it and since as it was then.
#[tokio::test]
async fn the_past_of_a_fork_begins_with_it() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let before = files.revision().await.unwrap();
    fork(&files, "/a", "/b").await;
    let then = At::Revision(files.revision().await.unwrap());
    put(&files, "/b/x", "2").await;
    files
        .remove("/b/x", RemoveOptions::default())
        .await
        .unwrap();
    assert!(!files.exists("/b", At::Revision(before)).await.unwrap());
    assert_eq!(text_at(&files, "/b/x", then).await, "1");
    assert!(!files.exists("/b/x", At::Latest).await.unwrap());
}

/// The versions of a forked file go on into those of the original up to the fork.
#[tokio::test]
async fn a_forked_file_keeps_its_versions() {
    let (_zone, files) = fresh().await;
    for content in ["1", "2", "3"] {
        put(&files, "/a/x", content).await;
    }
    fork(&files, "/a", "/b").await;
    put(&files, "/a/x", "origin").await;
    put(&files, "/b/x", "fork").await;
    let versions = files.versions("/b/x", 10, None).await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    let second = files.read_version("/b/x", 2).await.unwrap();
    assert_eq!(second.bytes, "2");
    let fourth = files.read_version("/b/x", 4).await.unwrap();
    assert_eq!(fourth.bytes, "fork");
    files.rollback("/b/x", 1, Durability::Sync).await.unwrap();
    assert_eq!(text(&files, "/b/x").await, "1");
}

/// A removed directory of a fork is empty or refused, as any.
#[tokio::test]
async fn a_directory_of_a_fork_is_removed_when_it_is_empty() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/d/x", "1").await;
    put(&files, "/a/d/y", "1").await;
    fork(&files, "/a", "/b").await;
    let refused = files.rmdir("/b/d", RemoveOptions::default()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::NotEmpty);
    for path in ["/b/d/x", "/b/d/y"] {
        files.remove(path, RemoveOptions::default()).await.unwrap();
    }
    files.rmdir("/b/d", RemoveOptions::default()).await.unwrap();
    assert_eq!(names(&files, "/b").await, [""]);
    // Neither it nor what was in it comes back with its name.
    files.mkdir("/b/d", MkdirOptions::default()).await.unwrap();
    assert_eq!(names(&files, "/b").await, ["", "/d"]);
}

/// What is forked is as it was, wherever it moves to and whatever of the fork goes.
#[tokio::test]
async fn what_moves_out_of_a_fork_outlives_it() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/d/x", "1").await;
    put(&files, "/a/y", "2").await;
    fork(&files, "/a", "/b").await;
    files
        .rename("/b/d", "/kept", MoveOptions::default())
        .await
        .unwrap();
    files.remove("/b", RECURSIVE).await.unwrap();
    files.remove("/a", RECURSIVE).await.unwrap();
    assert_eq!(names(&files, "/").await, ["kept", "kept/x"]);
    assert_eq!(text(&files, "/kept/x").await, "1");
}

/// A fork of a directory with forks in it has both, and they are not taken for one another.
#[tokio::test]
async fn a_fork_of_forks_tells_them_apart() {
    let (_zone, files) = fresh().await;
    put(&files, "/w/a/x", "a").await;
    fork(&files, "/w/a", "/w/b").await;
    put(&files, "/w/b/x", "b").await;
    fork(&files, "/w/a", "/w/c").await;
    fork(&files, "/w", "/v").await;
    put(&files, "/v/c/x", "c").await;
    let all = [
        ("/v/a/x", "a"),
        ("/v/b/x", "b"),
        ("/v/c/x", "c"),
        ("/w/c/x", "a"),
    ];
    for (path, content) in all {
        assert_eq!(text(&files, path).await, content, "{path}");
    }
    // Into itself, too: there is no end only if it went on.
    fork(&files, "/w", "/w/all").await;
    assert_eq!(text(&files, "/w/all/b/x").await, "b");
    assert!(!files.exists("/w/all/all", At::Latest).await.unwrap());
}

/// Metadata and tags shine through until they change, then they are the fork's own.
#[tokio::test]
async fn metadata_of_a_fork_is_its_own() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let set = |path: &'static str, key: &str, value: Option<&'static str>| {
        let set = vec![(
            key.to_owned(),
            value.map(|v| Bytes::from_static(v.as_bytes())),
        )];
        files.set_metadata(path, set, Durability::Sync)
    };
    set("/a/x", "k", Some("1")).await.unwrap();
    set("/a/x", "l", Some("1")).await.unwrap();
    fork(&files, "/a", "/b").await;
    let then = At::Revision(files.revision().await.unwrap());
    set("/b/x", "k", None).await.unwrap();
    set("/a/x", "l", Some("2")).await.unwrap();
    let all = |at| async { files.metadata("/b/x", at).await.unwrap() };
    let pair = |key: &str| (key.to_owned(), Bytes::from_static(b"1"));
    assert_eq!(all(At::Latest).await, [pair("l")]);
    assert_eq!(all(then).await, [pair("k"), pair("l")]);
    let found = files.find_by_metadata("l", None, 10, None).await.unwrap();
    let paths: Vec<_> = found.entries.iter().map(|entry| &entry.path[..]).collect();
    assert_eq!(paths, ["/a/x", "/b/x"]);
}

/// A file of a fork can be opened by its inode, written, and removed while it is open.
#[tokio::test]
async fn handles_work_in_a_fork() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    fork(&files, "/a", "/b").await;
    let ino = files.stat("/b/x", At::Latest).await.unwrap().ino;
    assert_eq!(files.path_of(ino).await.unwrap(), "/b/x");
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    handle.write(1, Bytes::from_static(b"2")).await.unwrap();
    handle.flush().await.unwrap();
    assert_eq!(text(&files, "/b/x").await, "12");
    assert_eq!(text(&files, "/a/x").await, "1");
    files.remove("/b", RECURSIVE).await.unwrap();
    assert_eq!(handle.read(0, 9).await.unwrap(), "12");
    handle.close().await.unwrap();
}

/// The pins that hold on to history for good.
async fn lasting_pins(stores: &Stores) -> usize {
    let scan = Scan::forward(KeyRange::prefix("P"), 10_000);
    let page = stores.metastore.scan(scan, Freshness::Linearizable).await;
    let entries = page.unwrap().entries.into_iter();
    entries.filter(|entry| entry.value.bytes.is_empty()).count()
}

/// What a fork is made from stays readable until it is gone, and all that was moved out of it.
#[tokio::test]
async fn history_is_held_for_a_fork_as_long_as_any_of_it_is_there() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a/d/x", "1").await;
    fork(&files, "/a", "/b").await;
    fork(&files, "/b", "/c").await;
    let cleared = || async {
        while rows(&stores, "q").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    let held = lasting_pins(&stores).await;
    assert!(held > 0);
    files.remove("/b", RECURSIVE).await.unwrap();
    cleared().await;
    let less = lasting_pins(&stores).await;
    assert!(0 < less && less < held, "{less} of {held}");
    files
        .rename("/c/d", "/kept", MoveOptions::default())
        .await
        .unwrap();
    files.remove("/c", RECURSIVE).await.unwrap();
    cleared().await;
    assert_eq!(lasting_pins(&stores).await, less);
    files.remove("/kept", RECURSIVE).await.unwrap();
    cleared().await;
    assert_eq!(lasting_pins(&stores).await, 0);
}

/// However many forks one was merged into, with it goes all that was held for that.
#[tokio::test]
async fn what_is_held_for_merges_goes_with_the_fork() {
    const SIBLINGS: usize = 101;
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a/x", "1").await;
    put(&files, "/all/x", "1").await;
    fork(&files, "/a", "/b").await;
    for i in 0..SIBLINGS {
        let into = format!("/all/{i}");
        fork(&files, "/a", &into).await;
        put(&files, "/b/x", &i.to_string()).await;
        let options = MergeOptions {
            into: Some(into),
            durability: Durability::Relaxed,
            ..MergeOptions::default()
        };
        assert!(files.merge("/b", options).await.unwrap().applied);
    }
    assert!(lasting_pins(&stores).await > SIBLINGS);
    for path in ["/b", "/all"] {
        files.remove(path, RECURSIVE).await.unwrap();
    }
    while rows(&stores, "q").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lasting_pins(&stores).await, 0);
}

/// What cannot be forked, and where to.
#[tokio::test]
async fn a_fork_is_of_a_directory_to_a_free_name() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let cases = [
        ("/a/x", "/b", Kind::WrongType),
        ("/none", "/b", Kind::NotFound),
        ("/a", "/a/x", Kind::AlreadyExists),
        ("/a", "/", Kind::AlreadyExists),
        ("/a", "/a/x/y", Kind::WrongType),
        ("/a", "/no/parent", Kind::NotFound),
    ];
    for (from, to, kind) in cases {
        let refused = files.fork(from, to, ForkOptions::default()).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{from} to {to}");
    }
}

/// The log tells of a fork as of a copy, with its base.
#[tokio::test]
async fn a_fork_is_in_the_log() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let base = files.revision().await.unwrap();
    fork(&files, "/a", "/b").await;
    let records = files
        .log(nexus_fs::LogQuery::default())
        .await
        .unwrap()
        .records;
    let last = records.last().unwrap();
    assert_eq!(last.operation.as_deref(), Some("fork"));
    assert_eq!(last.about, [base]);
    assert_eq!(last.changes[0].path, "/b");
    assert_eq!(last.changes[0].old_path.as_deref(), Some("/a"));
}

/// Attributes, the time of a directory and a second name change on one side only.
#[tokio::test]
async fn attributes_and_links_of_a_fork_are_its_own() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    files
        .hard_link("/a/x", "/a/y", Durability::Sync)
        .await
        .unwrap();
    files
        .hard_link("/a/x", "/outside", Durability::Sync)
        .await
        .unwrap();
    fork(&files, "/a", "/b").await;
    let links = |path: &'static str| async { files.stat(path, At::Latest).await.unwrap().links };
    assert_eq!((links("/a/x").await, links("/b/x").await), (3, 2));
    put(&files, "/b/y", "2").await;
    assert_eq!(text(&files, "/b/x").await, "2");
    files
        .remove("/b/x", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!((links("/a/x").await, links("/b/y").await), (3, 1));
    let mode = SetAttributes {
        mode: Some(0o700),
        ..SetAttributes::default()
    };
    files
        .set_attributes("/b", mode, Durability::Sync)
        .await
        .unwrap();
    let mode = |path: &'static str| async { files.stat(path, At::Latest).await.unwrap().mode };
    assert_eq!((mode("/a").await, mode("/b").await), (0o755, 0o700));
}

/// What lies in many forks on each other is looked for in all of them, so there are not too many.
#[tokio::test]
async fn forks_do_not_lie_on_each_other_without_end() {
    let (_zone, files) = fresh().await;
    put(&files, "/0/x", "1").await;
    for n in 0..64 {
        fork(&files, &format!("/{n}"), &format!("/{}", n + 1)).await;
    }
    assert_eq!(text(&files, "/64/x").await, "1");
    let options = ForkOptions::default();
    let refused = files.fork("/64", "/65", options).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::LimitExceeded);
    fork(&files, "/63", "/beside").await;
}

/// The origin does not go while a fork of it is made.
#[tokio::test]
async fn an_empty_directory_can_be_forked_and_both_removed() {
    let (_zone, files) = fresh().await;
    files.mkdir("/a", MkdirOptions::default()).await.unwrap();
    fork(&files, "/a", "/b").await;
    for path in ["/a", "/b"] {
        files.remove(path, RemoveOptions::default()).await.unwrap();
        assert!(!files.exists(path, At::Latest).await.unwrap());
    }
}

/// Which of its names a file loses first makes no difference, within one commit neither.
#[tokio::test]
async fn a_file_of_a_fork_keeps_the_name_it_has_left() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let linked = files.hard_link("/a/x", "/a/y", Durability::Sync);
    linked.await.unwrap();
    fork(&files, "/a", "/b").await;
    let ino = files.stat("/b/x", At::Latest).await.unwrap().ino;
    let moved = BatchStep::Rename {
        from: "/b/y".to_owned(),
        to: "/b/z".to_owned(),
        options: MoveOptions::default(),
    };
    let removed = BatchStep::Remove {
        path: "/b/x".to_owned(),
        recursive: false,
        if_match: None,
    };
    let done = files.batch(vec![moved, removed], Durability::Sync);
    done.await.unwrap();
    assert_eq!(files.path_of(ino).await.unwrap(), "/b/z");
    assert_eq!(names(&files, "/b").await, ["", "/z"]);
}

/// A name in a directory that has been deleted is none of a fork that is made then, though the
/// directory is not yet cleared away.
#[tokio::test]
async fn a_fork_has_no_names_of_what_was_deleted_before() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a/x", "1").await;
    put(&files, "/a/d/e/file", "1").await;
    let linked = files.hard_link("/a/x", "/a/d/e/y", Durability::Sync);
    linked.await.unwrap();
    // What cannot be read is not cleared away.
    let top = files.stat("/a/d", At::Latest).await.unwrap().ino.0;
    let damaged = [&b"d"[..], &top.to_be_bytes(), b"z"].concat();
    let damage = Txn {
        ops: vec![Op::Put(damaged.into(), Bytes::from_static(b"\xff"))],
        ..Txn::default()
    };
    let damaged = stores.metastore.commit(damage).await.unwrap();
    assert!(matches!(damaged, Commit::Applied(_)));
    files.remove("/a/d", RECURSIVE).await.unwrap();
    fork(&files, "/a", "/b").await;
    assert_eq!(files.stat("/a/x", At::Latest).await.unwrap().links, 2);
    let shown = files.stat("/b/x", At::Latest).await.unwrap();
    assert_eq!(shown.links, 1);
    let one = RemoveOptions::default();
    files.remove("/b/x", one).await.unwrap();
    let gone = files.getattr(shown.ino).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}
