use bytes::Bytes;
use nexus_fs::{
    At, BatchStep, FileKind, ListOptions, MkdirOptions, MoveOptions, RemoveOptions, Replace,
    SetAttributes, WriteOptions,
};
use nexus_kernel::{Durability, Kind, Timestamp};

use crate::support::{fresh, put, text, tree};

const RECURSIVE: RemoveOptions = RemoveOptions {
    recursive: true,
    if_match: None,
    durability: Durability::Sync,
};

/// A rename moves a whole tree in one commit; nothing of it stays under the old name.
#[tokio::test]
async fn rename_moves_a_tree() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/b/c", "1").await;
    put(&files, "/a/d", "2").await;
    files
        .rename("/a", "/z", MoveOptions::default())
        .await
        .unwrap();
    assert_eq!(text(&files, "/z/b/c").await, "1");
    assert_eq!(
        files.stat("/a/d", At::Latest).await.unwrap_err().kind(),
        Kind::NotFound
    );
    let paths: Vec<_> = tree(&files, At::Latest)
        .await
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(paths, ["/z", "/z/b", "/z/b/c", "/z/d"]);
}

/// With an etag a removal happens only if the file still has it; a directory has none.
#[tokio::test]
async fn remove_checks_the_etag() {
    let (_zone, files) = fresh().await;
    let mut etags = Vec::new();
    for content in ["1", "2"] {
        put(&files, "/d/a", content).await;
        etags.extend(files.stat("/d/a", At::Latest).await.unwrap().etag);
    }
    let (old, new) = (etags[0], etags[1]);
    let remove = |path: &'static str, etag| {
        let options = RemoveOptions {
            if_match: Some(etag),
            ..RECURSIVE
        };
        files.remove(path, options)
    };
    for path in ["/d/a", "/d"] {
        let error = remove(path, old).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict, "{path}");
        assert_eq!(error.fact("expected_etag"), Some(old.to_string().as_str()));
    }
    assert_eq!(text(&files, "/d/a").await, "2");
    remove("/d/a", new).await.unwrap();
    assert!(!files.exists("/d/a", At::Latest).await.unwrap());
}

/// A directory has the time it was given, until its entries change again.
#[tokio::test]
async fn the_time_of_a_directory_can_be_set() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/a", "1").await;
    let modified = || async { files.stat("/d", At::Latest).await.unwrap().modified };
    let made = modified().await;
    let long_ago = Timestamp(1_000_000_000);
    let set = SetAttributes {
        modified: Some(long_ago),
        ..SetAttributes::default()
    };
    let set = files.set_attributes("/d", set, Durability::Sync).await;
    assert_eq!(set.unwrap().into_stat().modified, long_ago);
    assert_eq!(modified().await, long_ago);
    put(&files, "/d/b", "2").await;
    assert!(modified().await >= made);
}

/// The rules of POSIX rename hold.
#[tokio::test]
async fn rename_follows_posix() {
    let (_zone, files) = fresh().await;
    put(&files, "/dir/full/f", "1").await;
    files
        .mkdir("/empty", MkdirOptions::default())
        .await
        .unwrap();
    put(&files, "/file", "2").await;
    let cases = [
        ("/dir", "/dir/full/x", Kind::InvalidArgument),
        ("/dir", "/file", Kind::WrongType),
        ("/file", "/empty", Kind::WrongType),
        ("/empty", "/dir", Kind::NotEmpty),
        ("/missing", "/file", Kind::NotFound),
        ("/file", "/missing/x", Kind::NotFound),
        ("/file", "/file/x", Kind::WrongType),
        ("/", "/x", Kind::InvalidArgument),
    ];
    for (from, to, kind) in cases {
        let error = files
            .rename(from, to, MoveOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{from} -> {to}: {error}");
    }
    files
        .rename("/dir/full", "/empty", MoveOptions::default())
        .await
        .unwrap();
    assert_eq!(text(&files, "/empty/f").await, "1");
    put(&files, "/other", "3").await;
    files
        .rename("/file", "/other", MoveOptions::default())
        .await
        .unwrap();
    assert_eq!(text(&files, "/other").await, "2");
    files
        .rename("/other", "/other", MoveOptions::default())
        .await
        .unwrap();
    assert_eq!(text(&files, "/other").await, "2");
}

/// Rename can refuse to replace, and can exchange two names.
#[tokio::test]
async fn rename_can_refuse_or_exchange() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "a").await;
    put(&files, "/d/b", "b").await;
    let with = |replace| MoveOptions {
        replace,
        ..MoveOptions::default()
    };
    let error = files
        .rename("/a", "/d/b", with(Replace::Refuse))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    files
        .rename("/a", "/d/b", with(Replace::Exchange))
        .await
        .unwrap();
    assert_eq!(
        (text(&files, "/a").await, text(&files, "/d/b").await),
        ("b".into(), "a".into())
    );
    files
        .rename("/a", "/d", with(Replace::Exchange))
        .await
        .unwrap();
    assert_eq!(
        (text(&files, "/a/b").await, text(&files, "/d").await),
        ("a".into(), "b".into())
    );
}

/// A recursive delete is one commit; the tree can be made anew at once.
#[tokio::test]
async fn a_tree_is_deleted_at_once() {
    let (_zone, files) = fresh().await;
    for i in 0..40 {
        put(&files, &format!("/t/d{}/f{i}", i % 4), "x").await;
    }
    let error = files
        .remove("/t", RemoveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotEmpty);
    let before = files.revision().await.unwrap();
    let changed = files.remove("/t", RECURSIVE).await.unwrap();
    assert_eq!(changed.revision, before.next());
    assert!(tree(&files, At::Latest).await.is_empty());
    put(&files, "/t/d0/f0", "new").await;
    assert_eq!(text(&files, "/t/d0/f0").await, "new");
    assert_eq!(tree(&files, At::Revision(before)).await.len(), 45);
}

/// A batch applies whole, later steps seeing earlier ones, or not at all.
#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let (_zone, files) = fresh().await;
    put(&files, "/old", "old").await;
    let write = |path: &str, content: &'static str| BatchStep::Write {
        path: path.into(),
        content: Bytes::from(content),
        options: WriteOptions {
            parents: true,
            ..WriteOptions::default()
        },
    };
    let remove = |path: &str| BatchStep::Remove {
        path: path.into(),
        recursive: false,
        if_match: None,
    };
    let failing = vec![write("/n/a", "1"), remove("/old"), remove("/missing")];
    let error = files.batch(failing, Durability::Sync).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.fact("step"), Some("2"));
    assert_eq!(
        tree(&files, At::Latest).await,
        [("/old".into(), Some("old".into()))]
    );
    let before = files.revision().await.unwrap();
    let steps = vec![
        write("/n/a", "1"),
        write("/n/b", "2"),
        BatchStep::Rename {
            from: "/n/a".into(),
            to: "/n/c".into(),
            options: MoveOptions::default(),
        },
        remove("/old"),
        remove("/n/b"),
        BatchStep::Copy {
            from: "/n/c".into(),
            to: "/copy".into(),
            options: MoveOptions::default(),
        },
        remove("/n/c"),
        remove("/n"),
    ];
    let changed = files.batch(steps, Durability::Sync).await.unwrap();
    assert!(
        changed
            .iter()
            .all(|changed| changed.revision == before.next())
    );
    assert_eq!(
        tree(&files, At::Latest).await,
        [("/copy".into(), Some("1".into()))]
    );
}

/// A listing pages through all entries in byte order, each once.
#[tokio::test]
async fn listings_page() {
    let (_zone, files) = fresh().await;
    for i in 0..25 {
        put(&files, &format!("/d/{i:02}/f"), "x").await;
    }
    for (recursive, expected) in [(false, 25), (true, 50)] {
        let mut options = ListOptions {
            recursive,
            limit: 7,
            ..ListOptions::default()
        };
        let mut paths = Vec::new();
        loop {
            let page = files.list("/d", options.clone()).await.unwrap();
            paths.extend(page.entries.into_iter().map(|entry| entry.path));
            match page.next {
                Some(next) => options.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(paths.len(), expected);
        assert!(paths.is_sorted() && paths.windows(2).all(|pair| pair[0] != pair[1]));
    }
    let options = ListOptions {
        cursor: Some("rubbish".into()),
        ..ListOptions::default()
    };
    assert_eq!(
        files.list("/d", options).await.unwrap_err().kind(),
        Kind::InvalidArgument
    );
}

/// Hard links share one inode, which lives until its last name goes.
#[tokio::test]
async fn hard_links_share_an_inode() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/a", "1").await;
    files
        .hard_link("/d/a", "/b", Durability::Sync)
        .await
        .unwrap();
    put(&files, "/b", "2").await;
    assert_eq!(text(&files, "/d/a").await, "2");
    assert_eq!(files.stat("/b", At::Latest).await.unwrap().links, 2);
    files
        .remove("/d/a", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!(text(&files, "/b").await, "2");
    assert_eq!(files.stat("/b", At::Latest).await.unwrap().links, 1);
    files.remove("/d", RemoveOptions::default()).await.unwrap();
    files
        .rename("/b", "/c", MoveOptions::default())
        .await
        .unwrap();
    assert_eq!(text(&files, "/c").await, "2");
}

/// Symbolic links lead reads and writes on, lexically; circles are found.
#[tokio::test]
async fn symbolic_links_are_followed() {
    let (_zone, files) = fresh().await;
    put(&files, "/real/dir/f", "1").await;
    files
        .symlink("dir/f", "/real/link", Durability::Sync)
        .await
        .unwrap();
    files
        .symlink("/real", "/abs", Durability::Sync)
        .await
        .unwrap();
    assert_eq!(text(&files, "/abs/link").await, "1");
    put(&files, "/abs/link", "2").await;
    assert_eq!(text(&files, "/real/dir/f").await, "2");
    let link = files.lstat("/real/link", At::Latest).await.unwrap();
    assert_eq!(
        (link.kind, link.target.as_deref()),
        (FileKind::Symlink, Some("dir/f"))
    );
    files
        .symlink("/loop", "/loop", Durability::Sync)
        .await
        .unwrap();
    assert_eq!(
        files.stat("/loop/x", At::Latest).await.unwrap_err().kind(),
        Kind::LimitExceeded
    );
    files
        .symlink("../../../etc/passwd", "/real/up", Durability::Sync)
        .await
        .unwrap();
    assert_eq!(
        files.stat("/real/up", At::Latest).await.unwrap_err().kind(),
        Kind::NotFound
    );
}

/// Copying a tree shares content and leaves the source alone.
#[tokio::test]
async fn copy_takes_a_tree() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/b/c", "1").await;
    files
        .symlink("b/c", "/a/l", Durability::Sync)
        .await
        .unwrap();
    files
        .copy("/a", "/z", MoveOptions::default())
        .await
        .unwrap();
    put(&files, "/z/b/c", "2").await;
    assert_eq!(
        (text(&files, "/a/l").await, text(&files, "/z/l").await),
        ("1".into(), "2".into())
    );
    let error = files
        .copy("/a", "/a/b/x", MoveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

/// Writers in one directory do not stand in each other's way.
#[tokio::test]
async fn writers_in_one_directory_do_not_conflict() {
    let (zone, files) = fresh().await;
    files.mkdir("/d", MkdirOptions::default()).await.unwrap();
    let writers = (0..64).map(|i| {
        let files = files.clone();
        tokio::spawn(async move { put(&files, &format!("/d/{i}"), "x").await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(zone.stats().retries, 0);
    assert_eq!(files.usage("/d", At::Latest).await.unwrap().files, 64);
}

/// A rename that must not replace anything is refused also where both names are one file.
#[tokio::test]
async fn a_rename_that_may_not_replace_refuses_another_name_of_the_same_file() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    files.hard_link("/a", "/b", Durability::Sync).await.unwrap();
    let refuse = MoveOptions {
        replace: Replace::Refuse,
        ..MoveOptions::default()
    };
    for to in ["/a", "/b"] {
        let error = files.rename("/a", to, refuse).await.unwrap_err();
        assert_eq!(error.kind(), Kind::AlreadyExists, "{to}");
    }
    files
        .rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    assert_eq!(tree(&files, At::Latest).await.len(), 2);
}

/// A file that had several names in a deleted tree and one elsewhere is found by the one
/// it has left.
#[tokio::test]
async fn a_link_into_a_deleted_tree_keeps_its_file_findable() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/x", "1").await;
    for path in ["/d/y", "/d/z", "/w"] {
        files
            .hard_link("/d/x", path, Durability::Sync)
            .await
            .unwrap();
    }
    let todo = ["todo".to_owned()];
    files
        .set_tags("/w", &todo, &[], Durability::Sync)
        .await
        .unwrap();
    files.remove("/d", RECURSIVE).await.unwrap();
    while files.stat("/w", At::Latest).await.unwrap().links > 1 {
        tokio::task::yield_now().await;
    }
    let found = files.find_by_tag("todo", 10, None).await.unwrap().entries;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "/w");
}

/// A file is found by a name it has, though another lies in a deleted tree that is still to be
/// cleared away.
#[tokio::test]
async fn a_link_into_a_tree_that_is_being_deleted_keeps_its_file_findable() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/e/x", "1").await;
    for path in ["/d/y", "/w"] {
        let linked = files.hard_link("/d/e/x", path, Durability::Sync).await;
        linked.unwrap();
    }
    let todo = ["todo".to_owned()];
    let tagged = files.set_tags("/w", &todo, &[], Durability::Sync).await;
    let ino = tagged.unwrap().into_stat().ino;
    files.remove("/d", RECURSIVE).await.unwrap();
    let found = files.find_by_tag("todo", 10, None).await.unwrap().entries;
    let path = files.path_of(ino).await.unwrap();
    assert_eq!(files.stat("/w", At::Latest).await.unwrap().links, 3);
    assert_eq!(found.first().map(|entry| entry.path.as_str()), Some("/w"));
    assert_eq!(path, "/w");
}
