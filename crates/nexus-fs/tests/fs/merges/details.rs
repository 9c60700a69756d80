//! What is about a file and not in it, in merges.

use bytes::Bytes;
use nexus_fs::{
    At, FileKind, KeyPresence, MergeConflict, MergeConflictKind, MergeStrategy, MkdirOptions,
    Session, SetAttributes, Zone,
};
use nexus_kernel::Durability;

use super::Do::{Link, Mkdir, Mode, Remove, Rename, Tag, Write};
use super::{Deeds, below, diverged, merge};
use crate::forks::fork;
use crate::support::{fresh, put};

/// Gives something an owner, a group, a mode and a metadata value of its own, a link too.
async fn adorn(files: &Session, path: &str) {
    let ino = files.lstat(path, At::Latest).await.unwrap().ino;
    let set = SetAttributes {
        mode: Some(0o711),
        uid: Some(7),
        gid: Some(8),
        ..SetAttributes::default()
    };
    files.setattr(ino, set, Durability::Sync).await.unwrap();
    let (value, must) = (Some(Bytes::from_static(b"v")), KeyPresence::Any);
    let set = files.set_metadata_value(ino, "k", value, must, Durability::Sync);
    set.await.unwrap();
}

/// The kind of something, if it is as [`adorn`] leaves it.
async fn adorned(files: &Session, path: &str) -> Option<FileKind> {
    let stat = files.lstat(path, At::Latest).await.ok()?;
    let value = files.metadata_value(stat.ino, "k").await.ok()?;
    let facts = (stat.mode, stat.uid, stat.gid, &value[..]);
    (facts == (0o711, 7, 8, b"v")).then_some(stat.kind)
}

const KINDS: [(&str, FileKind); 3] = [
    ("file", FileKind::File),
    ("link", FileKind::Symlink),
    ("directory", FileKind::Directory),
];

/// One of each kind in a directory.
async fn make_all(files: &Session, top: &str) {
    put(files, &format!("{top}/file"), "1\n").await;
    let link = format!("{top}/link");
    let made = files.symlink("nowhere", &link, Durability::Sync);
    made.await.unwrap();
    let directory = format!("{top}/directory");
    let made = files.mkdir(&directory, MkdirOptions::default());
    made.await.unwrap();
}

/// A directory and a fork of it, in which one of each kind was adorned, or made and adorned.
async fn all_adorned(is_new: bool) -> (Zone, Session) {
    let (zone, files) = fresh().await;
    put(&files, "/t/d/x", "x\n").await;
    if !is_new {
        make_all(&files, "/t/d").await;
    }
    fork(&files, "/t", "/f").await;
    if is_new {
        make_all(&files, "/f/d").await;
    }
    for (name, _) in KINDS {
        adorn(&files, &format!("/f/d/{name}")).await;
    }
    (zone, files)
}

/// That the directory has them as the fork does.
async fn assert_all_adorned(files: &Session, is_new: bool) {
    for (name, kind) in KINDS {
        let found = adorned(files, &format!("/t/d/{name}")).await;
        assert_eq!(found, Some(kind), "{is_new}");
    }
}

/// What is new comes with its mode, owner, group and custom metadata, of whatever kind it is; so
/// do changes of these to what is not.
#[tokio::test]
async fn what_is_new_comes_with_all_that_is_said_of_it() {
    for is_new in [true, false] {
        let (_zone, files) = all_adorned(is_new).await;
        assert!(merge(&files, MergeStrategy::Report).await.applied);
        assert_all_adorned(&files, is_new).await;
    }
}

/// Changes of a link are changes of the link and not of what it leads to.
#[tokio::test]
async fn a_link_is_merged_and_not_what_it_leads_to() {
    let (_zone, files) = fresh().await;
    put(&files, "/outside", "1\n").await;
    put(&files, "/t/x", "x\n").await;
    let made = files.symlink("/outside", "/t/link", Durability::Sync);
    made.await.unwrap();
    fork(&files, "/t", "/f").await;
    adorn(&files, "/f/link").await;
    let before = files.stat("/outside", At::Latest).await.unwrap();
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    assert_eq!(adorned(&files, "/t/link").await, Some(FileKind::Symlink));
    assert_eq!(files.stat("/outside", At::Latest).await.unwrap(), before);
    // Led elsewhere, it keeps what is said of it.
    let gone = nexus_fs::RemoveOptions::default();
    files.remove("/f/link", gone).await.unwrap();
    let made = files.symlink("elsewhere", "/f/link", Durability::Sync);
    made.await.unwrap();
    adorn(&files, "/f/link").await;
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    assert_eq!(adorned(&files, "/t/link").await, Some(FileKind::Symlink));
    let leads = files.readlink("/t/link", At::Latest).await.unwrap();
    assert_eq!(leads, "elsewhere");
}

/// By the word of the fork, what it has made or changed below a directory that the target has
/// removed is made again there, of whatever kind it is, with all that is said of it.
#[tokio::test]
async fn by_the_word_of_the_fork_all_kinds_come_back() {
    for is_new in [true, false] {
        let (_zone, files) = all_adorned(is_new).await;
        Remove("d").perform(&files, "/t").await;
        let report = merge(&files, MergeStrategy::Report).await;
        let removed = |conflict: &MergeConflict| conflict.kind == MergeConflictKind::Removed;
        assert_eq!(report.conflicts.len(), 3);
        assert!(report.conflicts.iter().all(removed), "{report:?}");
        assert!(merge(&files, MergeStrategy::Theirs).await.applied);
        assert_all_adorned(&files, is_new).await;
    }
}

/// What the fork does, what the target does, and the conflict that the word of the fork does not
/// decide.
const UNDECIDED: &[(Deeds, Deeds, MergeConflictKind, &str)] = &[
    // The target has something else by now where it would come back.
    (
        &[Write("d/n", "n\n")],
        &[Remove("d"), Write("d", "file\n")],
        MergeConflictKind::Kind,
        "/t/d/n",
    ),
    (
        &[Rename("a", "b"), Write("b", "A\n")],
        &[Remove("a"), Write("b", "B\n")],
        MergeConflictKind::Kind,
        "/t/b",
    ),
    // What was in it has gone from the target, too.
    (
        &[Rename("d", "g")],
        &[Remove("d")],
        MergeConflictKind::Renamed,
        "/t/g",
    ),
];

/// A conflict counts as decided only where something is done.
#[tokio::test]
async fn what_cannot_come_back_stays_a_conflict() {
    for (theirs, ours, kind, path) in UNDECIDED {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, ours).await;
        let before = below(&files, "/t").await;
        let report = merge(&files, MergeStrategy::Theirs).await;
        assert!(!report.applied, "{theirs:?} {ours:?}: {report:?}");
        let conflicts: Vec<_> = { report.conflicts.iter() }
            .map(|conflict| (conflict.kind, &conflict.path[..], conflict.resolved))
            .collect();
        assert_eq!(conflicts, [(*kind, *path, false)], "{theirs:?} {ours:?}");
        assert_eq!(below(&files, "/t").await, before);
        assert!(merge(&files, MergeStrategy::Ours).await.applied);
        assert_eq!(below(&files, "/t").await, before);
    }
}

/// What the target has said of something that the fork removed is not lost unasked.
#[tokio::test]
async fn what_the_target_said_of_something_is_a_change() {
    let cases: [(Deeds, Deeds, &str); 4] = [
        (&[Remove("a")], &[Tag("a", "keep")], "/t/a"),
        (&[Remove("a")], &[Mode("a", 0o600)], "/t/a"),
        (&[Remove("d/e")], &[Tag("d/e", "keep")], "/t/d/e"),
        (
            &[Remove("d/e"), Mkdir("e")],
            &[Mode("d/e", 0o700)],
            "/t/d/e",
        ),
    ];
    for (theirs, ours, path) in cases {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, ours).await;
        let report = merge(&files, MergeStrategy::Report).await;
        let conflict = MergeConflict {
            kind: MergeConflictKind::Changed,
            path: path.to_owned(),
            resolved: false,
        };
        assert_eq!(report.conflicts, [conflict], "{theirs:?} {ours:?}");
        assert!(merge(&files, MergeStrategy::Theirs).await.applied);
        assert!(!files.exists(path, At::Latest).await.unwrap());
    }
}

/// Tags of what both have made are brought together.
#[tokio::test]
async fn tags_of_what_both_have_made_are_brought_together() {
    let (_zone, files) = fresh().await;
    let theirs: Deeds = &[Mkdir("n"), Tag("n", "theirs"), Link("n/l", "x")];
    diverged(&files, theirs, &[Mkdir("n"), Tag("n", "ours")]).await;
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    let tags = files.tags("/t/n", At::Latest).await.unwrap();
    assert_eq!(tags, ["ours", "theirs"]);
}
