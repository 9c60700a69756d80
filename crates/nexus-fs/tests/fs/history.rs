use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::{
    At, ChangeKind, FeedQuery, ListOptions, LogQuery, MoveOptions, RemoveOptions,
    VERSIONS_LIMIT_MAX, VersionAt, WriteOptions, ZoneConfig,
};
use nexus_kernel::{Durability, Kind, Revision, Timestamp};
use nexus_service_api::Context;

use crate::support::{FixedClock, fresh, memory_stores, open_with, put, text, text_at, tree};

/// Any read can be made as of an earlier revision, whatever happened since.
#[tokio::test]
async fn every_earlier_state_can_be_read() {
    let (_zone, files) = fresh().await;
    let mut states = Vec::new();
    put(&files, "/a/x", "1").await;
    states.push((
        files.revision().await.unwrap(),
        tree(&files, At::Latest).await,
    ));
    put(&files, "/a/x", "2").await;
    states.push((
        files.revision().await.unwrap(),
        tree(&files, At::Latest).await,
    ));
    files
        .rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    states.push((
        files.revision().await.unwrap(),
        tree(&files, At::Latest).await,
    ));
    put(&files, "/a/y", "3").await;
    states.push((
        files.revision().await.unwrap(),
        tree(&files, At::Latest).await,
    ));
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove("/b", recursive).await.unwrap();
    states.push((
        files.revision().await.unwrap(),
        tree(&files, At::Latest).await,
    ));
    put(&files, "/b", "a file now").await;
    for (revision, expected) in states {
        assert_eq!(
            tree(&files, At::Revision(revision)).await,
            expected,
            "as of {revision}"
        );
    }
    let future = At::Revision(Revision(1 << 40));
    assert_eq!(
        files.stat("/", future).await.unwrap_err().kind(),
        Kind::InvalidArgument
    );
}

/// A time names the last commit at or before it.
#[tokio::test]
async fn a_time_names_a_state() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let time = files.stat("/a", At::Latest).await.unwrap().modified;
    while nexus_service_api::Clock::now(&nexus_service_api::SystemClock) <= time {}
    put(&files, "/a", "2").await;
    assert_eq!(text_at(&files, "/a", At::Time(time)).await, "1");
    let error = files
        .read("/a", At::Time(nexus_kernel::Timestamp(0)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

/// Versions are listed newest first, can be read, compared and brought back.
#[tokio::test]
async fn versions_can_be_read_and_brought_back() {
    let (_zone, files) = fresh().await;
    for content in ["one\n", "two\n", "three\n"] {
        put(&files, "/a", content).await;
    }
    files
        .rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    let versions = files.versions("/b", 10, None).await.unwrap();
    assert_eq!(
        versions.iter().map(|v| v.version).collect::<Vec<_>>(),
        [3, 2, 1]
    );
    assert_eq!(
        versions.iter().map(|v| v.current).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert_eq!(
        files.versions("/b", 1, Some(3)).await.unwrap()[0].version,
        2
    );
    assert_eq!(files.read_version("/b", 2).await.unwrap().bytes, "two\n");
    assert_eq!(
        files.read_version("/b", 9).await.unwrap_err().kind(),
        Kind::NotFound
    );
    let diff = files
        .diff("/b", VersionAt::Version(1), VersionAt::At(At::Latest))
        .await
        .unwrap();
    assert!(diff.contains("-one") && diff.contains("+three"), "{diff}");
    let back = files
        .rollback("/b", 1, Durability::Sync)
        .await
        .unwrap()
        .into_stat();
    assert_eq!(
        (back.version, text(&files, "/b").await),
        (4, "one\n".into())
    );
    assert_eq!(back.etag, Some(versions[2].etag));
}

/// The log tells of every commit who changed what, and can be filtered and paged.
#[tokio::test]
async fn the_log_tells_what_happened() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    files
        .rename("/a/x", "/a/y", MoveOptions::default())
        .await
        .unwrap();
    files
        .remove("/a/y", RemoveOptions::default())
        .await
        .unwrap();
    let page = files.log(LogQuery::default()).await.unwrap();
    let kinds: Vec<Vec<ChangeKind>> = page
        .records
        .iter()
        .map(|r| r.changes.iter().map(|c| c.kind).collect())
        .collect();
    assert_eq!(
        kinds,
        [
            vec![ChangeKind::DirCreate, ChangeKind::FileWrite],
            vec![ChangeKind::FileRename],
            vec![ChangeKind::FileDelete],
        ]
    );
    assert!(
        page.records
            .iter()
            .all(|record| record.actor == "system:system")
    );
    assert_eq!(page.records[1].changes[0].old_path.as_deref(), Some("/a/x"));
    let query = LogQuery {
        newest_first: true,
        limit: 1,
        ..LogQuery::default()
    };
    let first = files.log(query.clone()).await.unwrap();
    assert_eq!(first.records[0], page.records[2]);
    let second = files
        .log(LogQuery {
            cursor: first.next,
            ..query
        })
        .await
        .unwrap();
    assert_eq!(second.records[0], page.records[1]);
    let query = LogQuery {
        path_prefix: Some("/a/x".into()),
        ..LogQuery::default()
    };
    assert_eq!(files.log(query).await.unwrap().records.len(), 2);
}

/// A part of the log can be paged to its end in both directions, and what lies beyond the last
/// revision is empty.
#[tokio::test]
async fn a_part_of_the_log_is_paged_to_its_end() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let since = files.revision().await.unwrap();
    put(&files, "/a", "2").await;
    put(&files, "/a", "3").await;
    let until = files.revision().await.unwrap();
    for newest_first in [false, true] {
        let mut query = LogQuery {
            since: Some(At::Revision(since)),
            until: Some(At::Revision(until)),
            newest_first,
            limit: 1,
            ..LogQuery::default()
        };
        let mut found = 0;
        loop {
            let page = files.log(query.clone()).await.unwrap();
            found += page.records.len();
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(found, 2);
    }
    let beyond = LogQuery {
        since: Some(At::Revision(Revision::MAX)),
        ..LogQuery::default()
    };
    let refused = files.log(beyond).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    let backwards = LogQuery {
        since: Some(At::Revision(until)),
        until: Some(At::Revision(since)),
        ..LogQuery::default()
    };
    assert_eq!(files.log(backwards).await.unwrap().records, []);
}

/// A watch gives every change that matches once, in order, from where it was asked to begin.
#[tokio::test]
async fn a_watch_loses_nothing() {
    let (_zone, files) = fresh().await;
    put(&files, "/w/0", "x").await;
    let after = files.revision().await.unwrap();
    let query = FeedQuery {
        patterns: vec!["/w/*".into()],
        start: after.into(),
        ..FeedQuery::default()
    };
    let watch = files.watch(query);
    let writer = tokio::spawn({
        let files = files.clone();
        async move {
            for i in 1..=50 {
                put(&files, &format!("/w/{i}"), "x").await;
                put(&files, &format!("/other/{i}"), "x").await;
            }
        }
    });
    let seen: Vec<_> = watch
        .take(50)
        .map(|record| record.unwrap().changes[0].path.clone())
        .collect()
        .await;
    writer.await.unwrap();
    assert_eq!(
        seen,
        (1..=50).map(|i| format!("/w/{i}")).collect::<Vec<_>>()
    );
}

/// Metadata belongs to history too.
#[tokio::test]
async fn metadata_is_kept_found_and_remembered() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    put(&files, "/b", "2").await;
    let set = |value: Option<&'static str>| vec![("color".to_owned(), value.map(Bytes::from))];
    let red = files
        .set_metadata("/a", set(Some("red")), Durability::Sync)
        .await
        .unwrap()
        .revision;
    files
        .set_metadata("/a", set(Some("blue")), Durability::Sync)
        .await
        .unwrap();
    files
        .set_tags("/a", &["todo".into()], &[], Durability::Sync)
        .await
        .unwrap();
    files
        .set_tags("/b", &["todo".into()], &[], Durability::Sync)
        .await
        .unwrap();
    assert_eq!(
        files.metadata("/a", At::Latest).await.unwrap(),
        [("color".into(), Bytes::from("blue"))]
    );
    assert_eq!(
        files.metadata("/a", At::Revision(red)).await.unwrap(),
        [("color".into(), Bytes::from("red"))]
    );
    files
        .rename("/a", "/moved", MoveOptions::default())
        .await
        .unwrap();
    let found = files.find_by_tag("todo", 1, None).await.unwrap();
    assert_eq!(found.entries[0].path, "/moved");
    let rest = files
        .find_by_tag("todo", 10, found.next.as_deref())
        .await
        .unwrap();
    assert_eq!(rest.entries[0].path, "/b");
    assert_eq!(
        files
            .find_by_metadata("color", Some(b"red"), 10, None)
            .await
            .unwrap()
            .entries,
        []
    );
    assert_eq!(
        files
            .find_by_metadata("color", Some(b"blue"), 10, None)
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
    files
        .remove("/moved", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!(
        files
            .find_by_metadata("color", None, 10, None)
            .await
            .unwrap()
            .entries,
        []
    );
}

/// How many versions are told at a time is bounded.
#[tokio::test]
async fn versions_are_told_so_many_at_a_time() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let most = VERSIONS_LIMIT_MAX;
    assert_eq!(files.versions("/a", most, None).await.unwrap().len(), 1);
    let past = files.as_of(At::Latest).await.unwrap();
    for refused in [
        files.versions("/a", most + 1, None).await,
        files.versions_of(ino, most + 1).await,
        past.versions(ino, usize::MAX).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), Kind::LimitExceeded);
    }
}

/// Created files remember who made them, and versions who wrote them.
#[tokio::test]
async fn versions_name_their_author() {
    let (_zone, files) = fresh().await;
    files
        .write("/a", Bytes::from("1"), WriteOptions::default())
        .await
        .unwrap();
    assert_eq!(
        files.versions("/a", 1, None).await.unwrap()[0].author,
        "system:system"
    );
}

/// A listing of the past pages through what there was, however many names came later.
#[tokio::test]
async fn a_past_listing_skips_newer_names() {
    let (_zone, files) = fresh().await;
    put(&files, "/y", "old").await;
    put(&files, "/z", "old").await;
    let before = At::Revision(files.revision().await.unwrap());
    for name in ["a", "b", "c", "d", "yy"] {
        put(&files, &format!("/{name}"), "new").await;
    }
    let mut options = ListOptions {
        at: before,
        limit: 1,
        ..ListOptions::default()
    };
    let first = files.list("/", options.clone()).await.unwrap();
    assert_eq!(first.entries[0].path, "/y");
    options.cursor = first.next;
    let second = files.list("/", options).await.unwrap();
    assert_eq!(second.entries[0].path, "/z");
    assert_eq!(second.next, None);
}

/// Times in the log never decrease, though the clock was set back while the zone was closed.
#[tokio::test]
async fn a_clock_that_was_set_back_does_not_confuse_history() {
    let stores = memory_stores();
    let at = |now| ZoneConfig {
        clock: Arc::new(FixedClock(now)),
        ..ZoneConfig::default()
    };
    let zone = open_with(&stores, at(2_000)).await;
    put(&zone.session(Context::system()), "/a", "1").await;
    drop(zone);
    let zone = open_with(&stores, at(1_000)).await;
    let files = zone.session(Context::system());
    put(&files, "/a", "2").await;
    let log = files.log(LogQuery::default()).await.unwrap().records;
    assert!(log.is_sorted_by_key(|record| record.time), "{log:?}");
    for (time, content) in [(2_000, "1"), (3_000, "2")] {
        let at = At::Time(Timestamp(time));
        assert_eq!(text_at(&files, "/a", at).await, content);
    }
}

/// A watch ends with the credential it was opened with, and tells nothing more.
#[tokio::test]
async fn a_watch_ends_with_its_credential() {
    let (zone, files) = fresh().await;
    let mut principal = nexus_service_api::Principal::system();
    let revocation = nexus_service_api::Revocation::default();
    principal.revocation = revocation.clone();
    let context = nexus_service_api::Context::new(std::sync::Arc::new(principal));
    let mut watch = zone.session(context).watch(FeedQuery {
        start: Revision(1).into(),
        ..FeedQuery::default()
    });
    put(&files, "/a", "1").await;
    watch.next().await.unwrap().unwrap();
    revocation.revoke();
    put(&files, "/b", "1").await;
    assert_eq!(
        watch.next().await.unwrap().unwrap_err().kind(),
        Kind::Unauthenticated
    );
    assert!(watch.next().await.is_none());
}

/// A watch cannot begin at a revision that is still to come.
#[tokio::test]
async fn a_watch_from_the_future_is_refused() {
    let (_zone, files) = fresh().await;
    let mut watch = files.watch(FeedQuery {
        start: Revision(1 << 40).into(),
        ..FeedQuery::default()
    });
    assert_eq!(
        watch.next().await.unwrap().unwrap_err().kind(),
        Kind::InvalidArgument
    );
}

/// Any version of a file with a long history is found at once, and pages of versions meet.
#[tokio::test]
async fn a_version_is_found_however_long_the_history() {
    let (_zone, files) = fresh().await;
    for version in 1..=300 {
        put(&files, "/a", &version.to_string()).await;
        if version % 7 == 0 {
            let tags = [version.to_string()];
            let tagged = files.set_tags("/a", &tags, &[], Durability::Relaxed);
            tagged.await.unwrap();
        }
        put(&files, "/other", "1").await;
    }
    for version in 1..=300 {
        let read = files.read_version("/a", version).await.unwrap();
        assert_eq!(read.bytes, version.to_string());
    }
    for missing in [0, 301] {
        let error = files.read_version("/a", missing).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = files.versions("/a", 64, before).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.version);
        found.extend(page.iter().map(|version| version.version));
    }
    assert!(found.into_iter().eq((1..=300).rev()));
}

/// Before its first change a zone had nothing to list.
#[tokio::test]
async fn before_the_first_change_there_was_nothing() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    for at in [At::Revision(Revision(0)), At::Time(Timestamp(0))] {
        let options = ListOptions {
            at: at.clone(),
            ..ListOptions::default()
        };
        for path in ["/", "/a"] {
            let error = files.list(path, options.clone()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound, "{at:?} {path}");
        }
    }
}
