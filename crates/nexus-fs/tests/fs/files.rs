use bytes::Bytes;
use nexus_fs::{At, Precondition, SetAttributes, WriteOptions};
use nexus_kernel::{Durability, Kind};

use crate::support::{fresh, put, text};

fn options(precondition: Precondition) -> WriteOptions {
    WriteOptions {
        precondition,
        ..WriteOptions::default()
    }
}

/// A write is there for every read that begins after it returned.
#[tokio::test]
async fn a_write_is_read_back() {
    let (_zone, files) = fresh().await;
    let changed = files
        .write("/a.txt", Bytes::from("hello"), WriteOptions::default())
        .await
        .unwrap();
    let file = files.read("/a.txt", At::Latest).await.unwrap();
    assert_eq!(file.bytes, "hello");
    assert_eq!(file.stat, changed.into_stat());
    assert_eq!(
        (file.stat.size, file.stat.version, file.stat.links),
        (5, 1, 1)
    );
}

/// Each write makes the next version under the same inode, with a new etag and revision.
#[tokio::test]
async fn a_write_makes_a_version() {
    let (_zone, files) = fresh().await;
    let one = files
        .write("/a", Bytes::from("1"), WriteOptions::default())
        .await
        .unwrap()
        .into_stat();
    let two = files
        .write("/a", Bytes::from("2"), WriteOptions::default())
        .await
        .unwrap()
        .into_stat();
    assert_eq!((one.ino, one.version, two.version), (two.ino, 1, 2));
    assert_ne!(one.etag, two.etag);
    assert!(one.revision < two.revision);
}

/// A write into a missing directory is refused unless it is asked to make parents.
#[tokio::test]
async fn parents_are_made_when_asked_for() {
    let (_zone, files) = fresh().await;
    let refused = files
        .write("/x/y/z", Bytes::new(), WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
    put(&files, "/x/y/z", "deep").await;
    assert_eq!(text(&files, "/x/y/z").await, "deep");
    assert!(files.stat("/x/y", At::Latest).await.unwrap().is_dir());
}

/// With an etag as precondition a write happens only if the file still has it.
#[tokio::test]
async fn a_stale_etag_is_refused_and_named() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let stale = files.stat("/a", At::Latest).await.unwrap().etag.unwrap();
    put(&files, "/a", "2").await;
    let error = files
        .write("/a", Bytes::from("3"), options(Precondition::Etag(stale)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    let current = files.stat("/a", At::Latest).await.unwrap().etag.unwrap();
    assert_eq!(
        error.fact("current_etag"),
        Some(current.to_string().as_str())
    );
    files
        .write("/a", Bytes::from("3"), options(Precondition::Etag(current)))
        .await
        .unwrap();
    assert_eq!(text(&files, "/a").await, "3");
}

/// With the precondition "absent" exactly one of many writers creates the file.
#[tokio::test]
async fn one_of_many_exclusive_creates_wins() {
    let (_zone, files) = fresh().await;
    let writers = (0..16).map(|i| {
        let files = files.clone();
        tokio::spawn(async move {
            files
                .write(
                    "/once",
                    Bytes::from(format!("{i}")),
                    options(Precondition::Absent),
                )
                .await
        })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.kind(), Kind::AlreadyExists),
        }
    }
    assert_eq!(won, 1);
}

/// Concurrent appends all land, none is torn.
#[tokio::test]
async fn concurrent_appends_all_land() {
    let (_zone, files) = fresh().await;
    let writers = (0..16).map(|i| {
        let files = files.clone();
        let line = Bytes::from(format!("line {i:02}\n"));
        tokio::spawn(async move {
            files
                .append("/log", line, WriteOptions::default())
                .await
                .unwrap()
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let text = text(&files, "/log").await;
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let expected: Vec<_> = (0..16).map(|i| format!("line {i:02}")).collect();
    assert_eq!(lines, expected);
}

/// Appends to one file wait for each other: none gives up, and none stores what is not used.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_wait_for_each_other() {
    const WRITERS: usize = 200;
    let (_zone, files) = fresh().await;
    put(&files, "/log", &"0".repeat(100_000)).await;
    let writers = (0..WRITERS).map(|i| {
        let files = files.clone();
        tokio::spawn(async move {
            let line = Bytes::from(format!("{i:03}\n"));
            let appended = files.append("/log", line, WriteOptions::default());
            appended.await.map(drop)
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    let stat = files.stat("/log", At::Latest).await.unwrap();
    assert_eq!(stat.size, 100_000 + 4 * WRITERS as u64);
    assert_eq!(stat.version, 1 + WRITERS as u64);
    assert_eq!(files.gc(true).await.unwrap().blobs, 0);
}

/// Truncating cuts a file or fills it up with zeros.
#[tokio::test]
async fn truncate_cuts_and_extends() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "abcdef").await;
    let size = |size| SetAttributes {
        size: Some(size),
        ..SetAttributes::default()
    };
    files
        .set_attributes("/a", size(3), Durability::Sync)
        .await
        .unwrap();
    assert_eq!(text(&files, "/a").await, "abc");
    files
        .set_attributes("/a", size(5), Durability::Sync)
        .await
        .unwrap();
    assert_eq!(text(&files, "/a").await, "abc\0\0");
}

/// A range is cut at the end of the file; one that begins beyond it is refused.
#[tokio::test]
async fn ranges_are_cut_at_the_end() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0123456789").await;
    assert_eq!(
        files
            .read_range("/a", At::Latest, 3..6)
            .await
            .unwrap()
            .bytes,
        "345"
    );
    assert_eq!(
        files
            .read_range("/a", At::Latest, 8..100)
            .await
            .unwrap()
            .bytes,
        "89"
    );
    assert_eq!(
        files
            .read_range("/a", At::Latest, 10..11)
            .await
            .unwrap()
            .bytes,
        ""
    );
    let error = files
        .read_range("/a", At::Latest, 11..12)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

/// A malformed path is refused with its reason, and changes nothing.
#[tokio::test]
async fn malformed_paths_are_refused() {
    let (_zone, files) = fresh().await;
    let long_name = format!("/{}", "n".repeat(256));
    let long_path = "/x".repeat(2049);
    let deep = "/d".repeat(1001);
    let cases = [
        ("", Kind::InvalidArgument),
        ("a", Kind::InvalidArgument),
        ("/a//b", Kind::InvalidArgument),
        ("/a/../b", Kind::InvalidArgument),
        ("/./b", Kind::InvalidArgument),
        ("/a\0b", Kind::InvalidArgument),
        (&long_name, Kind::LimitExceeded),
        (&long_path, Kind::LimitExceeded),
        (&deep, Kind::LimitExceeded),
    ];
    let before = files.revision().await.unwrap();
    for (path, kind) in cases {
        let error = files
            .write(path, Bytes::from("x"), WriteOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{}", path.escape_debug());
        assert_eq!(files.stat(path, At::Latest).await.unwrap_err().kind(), kind);
    }
    assert_eq!(files.revision().await.unwrap(), before);
}

/// A name may have 255 bytes and a path 1,000 levels.
#[tokio::test]
async fn the_longest_names_and_deepest_paths_work() {
    let (_zone, files) = fresh().await;
    let name = format!("/{}", "n".repeat(255));
    put(&files, &name, "long").await;
    assert_eq!(text(&files, &name).await, "long");
    let deep = "/d".repeat(1000);
    put(&files, &deep, "deep").await;
    assert_eq!(text(&files, &deep).await, "deep");
}

/// Truncating what does not exist is refused as such, and makes nothing.
#[tokio::test]
async fn truncate_needs_a_file() {
    let (_zone, files) = fresh().await;
    let set = SetAttributes {
        size: Some(3),
        ..SetAttributes::default()
    };
    let error = files
        .set_attributes("/missing", set, Durability::Sync)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(!files.exists("/missing", At::Latest).await.unwrap());
}
