use bytes::Bytes;
use nexus_fs::{
    At, Ino, KeyPresence, NewInode, NewKind, OpenMode, Replace, Session, SetAttributes, Stat,
};
use nexus_kernel::{Durability, Kind, Result, Timestamp};

use crate::support::{fresh, put, text};

const NOW: Durability = Durability::Sync;

async fn make(files: &Session, parent: Ino, name: &str, kind: NewKind) -> Result<Stat> {
    let new = NewInode {
        kind,
        mode: 0o640,
        uid: 12,
        gid: 34,
    };
    files.make_at(parent, name, new, NOW).await
}

/// What is made by the inode of its directory belongs to whom it should from the start.
#[tokio::test]
async fn names_are_made_with_their_owner() {
    let (_zone, files) = fresh().await;
    let directory = make(&files, Ino::ROOT, "d", NewKind::Directory)
        .await
        .unwrap();
    let file = make(&files, directory.ino, "f", NewKind::File)
        .await
        .unwrap();
    make(&files, directory.ino, "l", NewKind::Symlink("f".into()))
        .await
        .unwrap();
    assert_eq!(
        (file.mode, file.uid, file.gid, file.size),
        (0o640, 12, 34, 0)
    );
    let found = files.stat("/d/l", At::Latest).await.unwrap();
    assert_eq!(found.ino, file.ino);
    let again = make(&files, directory.ino, "f", NewKind::Directory).await;
    assert_eq!(again.unwrap_err().kind(), Kind::AlreadyExists);
    let below = make(&files, file.ino, "x", NewKind::File).await;
    assert_eq!(below.unwrap_err().kind(), Kind::WrongType);
}

/// A directory that moved is still the directory; one that is gone takes no names.
#[tokio::test]
async fn directories_are_followed_by_their_inode() {
    let (_zone, files) = fresh().await;
    let one = make(&files, Ino::ROOT, "one", NewKind::Directory)
        .await
        .unwrap();
    let two = make(&files, Ino::ROOT, "two", NewKind::Directory)
        .await
        .unwrap();
    files
        .rename_at((Ino::ROOT, "one"), (two.ino, "in"), Replace::Allow, NOW)
        .await
        .unwrap();
    make(&files, one.ino, "f", NewKind::File).await.unwrap();
    assert!(files.exists("/two/in/f", At::Latest).await.unwrap());
    assert_eq!(files.parent_of(one.ino).await.unwrap(), two.ino);
    files.unlink_at(one.ino, "f", NOW).await.unwrap();
    files.rmdir_at(two.ino, "in", NOW).await.unwrap();
    let late = make(&files, one.ino, "f", NewKind::File).await;
    assert_eq!(late.unwrap_err().kind(), Kind::NotFound);
}

/// Each removal takes what it is for and nothing else.
#[tokio::test]
async fn files_and_directories_are_removed_by_their_own_calls() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/f", "x").await;
    let directory = files.lookup(Ino::ROOT, "d").await.unwrap().ino;
    let kind = |result: Result<_>| result.map(drop).unwrap_err().kind();
    assert_eq!(
        kind(files.unlink_at(Ino::ROOT, "d", NOW).await),
        Kind::WrongType
    );
    assert_eq!(
        kind(files.rmdir_at(directory, "f", NOW).await),
        Kind::WrongType
    );
    assert_eq!(
        kind(files.rmdir_at(Ino::ROOT, "d", NOW).await),
        Kind::NotEmpty
    );
    assert_eq!(
        kind(files.unlink_at(directory, "g", NOW).await),
        Kind::NotFound
    );
}

/// A file without a name keeps its attributes and takes new ones, but no new name.
#[tokio::test]
async fn an_open_file_without_a_name_can_be_changed_and_not_named() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "x").await;
    let ino = files.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    files.unlink_at(Ino::ROOT, "a", NOW).await.unwrap();
    put(&files, "/a", "another").await;
    let set = SetAttributes {
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    assert_eq!(files.setattr(ino, set, NOW).await.unwrap().mode, 0o600);
    assert_eq!(files.stat("/a", At::Latest).await.unwrap().mode, 0o644);
    let linked = files.link_at(ino, Ino::ROOT, "b", NOW).await;
    assert_eq!(linked.unwrap_err().kind(), Kind::NotFound);
    handle.close().await.unwrap();
}

/// A time that is set after a write stays when the write is flushed, and one that was seen
/// before the flush does too.
#[tokio::test]
async fn a_flush_moves_no_time() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "x").await;
    let ino = files.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let handle = files.open_handle(ino, OpenMode::ReadWrite).await.unwrap();
    handle.write(0, Bytes::from("y")).await.unwrap();
    let seen = handle.stat().await.unwrap();
    handle.flush().await.unwrap();
    let flushed = handle.stat().await.unwrap();
    assert_eq!(
        (seen.modified, seen.changed),
        (flushed.modified, flushed.changed)
    );
    handle.write(0, Bytes::from("z")).await.unwrap();
    let set = SetAttributes {
        modified: Some(Timestamp(1)),
        accessed: Some(Timestamp(2)),
        ..SetAttributes::default()
    };
    files.setattr(ino, set, NOW).await.unwrap();
    handle.close().await.unwrap();
    let stat = files.stat("/a", At::Latest).await.unwrap();
    assert_eq!((stat.modified, stat.accessed), (Timestamp(1), Timestamp(2)));
    assert_eq!(text(&files, "/a").await, "z");
}

/// A directory's attributes change with its names.
#[tokio::test]
async fn making_a_name_changes_the_directory() {
    let (_zone, files) = fresh().await;
    let before = files.getattr(Ino::ROOT).await.unwrap();
    make(&files, Ino::ROOT, "f", NewKind::File).await.unwrap();
    let after = files.getattr(Ino::ROOT).await.unwrap();
    assert!(after.modified > before.modified && after.changed > before.changed);
}

/// A metadata key is made, replaced or removed as asked, or not at all.
#[tokio::test]
async fn metadata_by_inode_insists_on_what_is_there() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "x").await;
    let ino = files.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let set = |value: Option<&'static str>, must| {
        files.set_metadata_value(ino, "k", value.map(Bytes::from), must, NOW)
    };
    let kind = |result: Result<_>| result.map(drop).unwrap_err().kind();
    assert_eq!(
        kind(set(Some("1"), KeyPresence::Present).await),
        Kind::NotFound
    );
    set(Some("1"), KeyPresence::Absent).await.unwrap();
    assert_eq!(
        kind(set(Some("2"), KeyPresence::Absent).await),
        Kind::AlreadyExists
    );
    assert_eq!(files.metadata_value(ino, "k").await.unwrap(), "1");
    assert_eq!(files.metadata_keys(ino).await.unwrap(), ["k"]);
    set(None, KeyPresence::Present).await.unwrap();
    let gone = files.metadata_value(ino, "k").await;
    assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
}

/// Who has flushed leaves what others have written since to them; the last one writes it.
#[tokio::test]
async fn a_release_makes_no_version_of_what_others_write() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "x").await;
    let ino = files.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let open = || files.open_handle(ino, OpenMode::ReadWrite);
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    other.write(0, Bytes::from("y")).await.unwrap();
    one.release().await.unwrap();
    assert_eq!(text(&files, "/a").await, "x");
    other.release().await.unwrap();
    assert_eq!(text(&files, "/a").await, "y");
    assert_eq!(files.getattr(ino).await.unwrap().version, 2);
}
