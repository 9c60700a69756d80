use bytes::Bytes;
use nexus_fs::{At, Ino, OpenMode, RemoveOptions, SetAttributes, WriteOptions};
use nexus_kernel::{Durability, Kind};
use nexus_service_api::Context;

use crate::support::{fresh, memory_stores, open, put, text};

/// What one handle writes every handle of the file reads at once, and everybody after a flush.
#[tokio::test]
async fn handles_share_what_is_written() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0123456789").await;
    let ino = files.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let writer = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    let reader = files.open_handle(ino, OpenMode::Read).await.unwrap();
    assert_eq!(writer.write(3, Bytes::from("abc")).await.unwrap(), 6);
    assert_eq!(writer.write(12, Bytes::from("z")).await.unwrap(), 13);
    assert_eq!(reader.read(0, 100).await.unwrap(), "012abc6789\0\0z");
    assert_eq!(reader.stat().await.unwrap().size, 13);
    assert_eq!(files.getattr(ino).await.unwrap().size, 13);
    assert_eq!(text(&files, "/a").await, "0123456789");
    writer.flush().await.unwrap();
    assert_eq!(text(&files, "/a").await, "012abc6789\0\0z");
    assert_eq!(files.stat("/a", At::Latest).await.unwrap().version, 2);
    assert_eq!(
        reader.write(0, Bytes::from("x")).await.unwrap_err().kind(),
        Kind::PermissionDenied
    );
    assert_eq!(reader.read(13, 10).await.unwrap(), "");
    writer.close().await.unwrap();
}

/// A handle follows its file through renames; what it writes lands in the file, not the name.
#[tokio::test]
async fn handles_follow_the_inode() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "old").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::Append).await.unwrap();
    files
        .rename("/a", "/b", nexus_fs::MoveOptions::default())
        .await
        .unwrap();
    put(&files, "/a", "other").await;
    handle.write(0, Bytes::from(" and new")).await.unwrap();
    handle.fsync().await.unwrap();
    assert_eq!(text(&files, "/b").await, "old and new");
    assert_eq!(text(&files, "/a").await, "other");
    assert_eq!(files.path_of(ino).await.unwrap(), "/b");
    handle.close().await.unwrap();
}

/// A file without a name lives until its last handle closes, and not longer.
#[tokio::test]
async fn an_unlinked_file_lives_until_its_last_close() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a", "still here").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let one = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    let two = files.open_handle(ino, OpenMode::Read).await.unwrap();
    files.remove("/a", RemoveOptions::default()).await.unwrap();
    assert!(!files.exists("/a", At::Latest).await.unwrap());
    one.write(0, Bytes::from("S")).await.unwrap();
    one.fsync().await.unwrap();
    assert_eq!(two.read(0, 100).await.unwrap(), "Still here");
    assert_eq!(two.stat().await.unwrap().links, 0);
    one.close().await.unwrap();
    assert_eq!(two.read(0, 100).await.unwrap(), "Still here");
    two.close().await.unwrap();
    assert_eq!(
        files
            .open_handle(ino, OpenMode::Read)
            .await
            .err()
            .unwrap()
            .kind(),
        Kind::NotFound
    );
}

/// What a process leaves behind without a name is removed when the zone opens again.
#[tokio::test]
async fn orphans_go_at_the_next_open() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    put(&files, "/a", "x").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::Read).await.unwrap();
    files.remove("/a", RemoveOptions::default()).await.unwrap();
    std::mem::forget(handle);
    let files = open(&stores).await.session(Context::system());
    assert_eq!(files.getattr(ino).await.unwrap_err().kind(), Kind::NotFound);
}

/// Truncating through the inode is seen by open handles, and the other attributes too.
#[tokio::test]
async fn setattr_reaches_open_files() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0123456789").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    let set = SetAttributes {
        size: Some(4),
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    let stat = files.setattr(ino, set, Durability::Sync).await.unwrap();
    assert_eq!((stat.size, stat.mode), (4, 0o600));
    assert_eq!(handle.read(0, 100).await.unwrap(), "0123");
    handle.close().await.unwrap();
    assert_eq!(text(&files, "/a").await, "0123");
}

/// A directory is read by name, from any name on.
#[tokio::test]
async fn readdir_goes_on_after_a_name() {
    let (_zone, files) = fresh().await;
    for name in ["a", "b", "c"] {
        put(&files, &format!("/d/{name}"), "x").await;
    }
    let dir = files.lookup(Ino::ROOT, "d").await.unwrap().ino;
    let names = |entries: Vec<nexus_fs::DirEntry>| -> Vec<String> {
        entries
            .iter()
            .map(|entry| entry.name().to_owned())
            .collect()
    };
    assert_eq!(
        names(files.readdir(dir, None, 2).await.unwrap()),
        ["a", "b"]
    );
    assert_eq!(
        names(files.readdir(dir, Some("b"), 2).await.unwrap()),
        ["c"]
    );
}

/// What others write by path meanwhile stays, where no handle wrote.
#[tokio::test]
async fn a_flush_keeps_what_others_wrote_meanwhile() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0123456789").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    handle.write(0, Bytes::from("X")).await.unwrap();
    let appended = files.append("/a", Bytes::from("abc"), WriteOptions::default());
    appended.await.unwrap();
    assert_eq!(handle.read(0, 100).await.unwrap(), "X123456789abc");
    assert_eq!(handle.stat().await.unwrap().size, 13);
    handle.flush().await.unwrap();
    assert_eq!(text(&files, "/a").await, "X123456789abc");
    handle.truncate(2).await.unwrap();
    let appended = files.append("/a", Bytes::from("def"), WriteOptions::default());
    appended.await.unwrap();
    handle.write(3, Bytes::from("Y")).await.unwrap();
    handle.close().await.unwrap();
    assert_eq!(text(&files, "/a").await, "X1\0Y");
}

/// What a handle appends goes to the end, also to one that others have moved meanwhile.
#[tokio::test]
async fn what_a_handle_appends_goes_to_the_end() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::Append).await.unwrap();
    assert_eq!(handle.write(0, Bytes::from("one")).await.unwrap(), 4);
    assert_eq!(handle.write(0, Bytes::from("two")).await.unwrap(), 7);
    let appended = files.append("/a", Bytes::from("abc"), WriteOptions::default());
    appended.await.unwrap();
    assert_eq!(handle.read(0, 100).await.unwrap(), "0abconetwo");
    handle.flush().await.unwrap();
    assert_eq!(text(&files, "/a").await, "0abconetwo");
    handle.close().await.unwrap();
    assert_eq!(text(&files, "/a").await, "0abconetwo");
}

/// A new size that is asked for durably is no draft that others may flush some time.
#[tokio::test]
async fn a_durable_size_is_one_though_others_have_the_file_open() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0123456789").await;
    let ino = files.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let other = files.open_handle(ino, OpenMode::Read).await.unwrap();
    let set = SetAttributes {
        size: Some(3),
        ..SetAttributes::default()
    };
    files.setattr(ino, set, Durability::Sync).await.unwrap();
    assert_eq!(text(&files, "/a").await, "012");
    other.close().await.unwrap();
}
