//! Merges in which names go from one thing to another.

use nexus_fs::{
    At, MergeChangeKind, MergeConflictKind, MergeOptions, MergeStrategy, UndoOptions, UndoWhat,
};

use super::Do::{Link, Mkdir, Remove, Rename, Write};
use super::{Deeds, Found, below, diverged, merge};
use crate::support::fresh;

/// What the fork does, and what comes of it where the target did nothing.
const TAKEN: &[(Deeds, &[Found])] = &[
    // Into what is new.
    (
        &[Mkdir("n"), Rename("a", "n/a")],
        &[("n/a", Some("1\n2\n3\n")), ("a", None)],
    ),
    // A directory, a file and a link in the place of a directory.
    (
        &[Rename("d/e", "e"), Remove("d"), Rename("e", "d")],
        &[("d/y", Some("y\n")), ("d/x", None)],
    ),
    (
        &[Remove("d"), Write("d", "file\n")],
        &[("d", Some("file\n"))],
    ),
    (
        &[Remove("d"), Rename("a", "d")],
        &[("d", Some("1\n2\n3\n"))],
    ),
    (&[Remove("d"), Link("d", "a")], &[("d/x", None)]),
    (
        &[Remove("d/e"), Write("d/e", "file\n")],
        &[("d/e", Some("file\n")), ("d/x", Some("x\n"))],
    ),
    (
        &[Remove("a"), Mkdir("a"), Rename("d", "a/d")],
        &[("a/d/x", Some("x\n")), ("d", None)],
    ),
    // One after the other.
    (
        &[Rename("raw", "z"), Rename("a", "raw"), Write("a", "A\n")],
        &[
            ("z", Some("\0raw")),
            ("raw", Some("1\n2\n3\n")),
            ("a", Some("A\n")),
        ],
    ),
    (
        &[Remove("raw"), Rename("d/x", "raw"), Rename("a", "d/x")],
        &[
            ("raw", Some("x\n")),
            ("d/x", Some("1\n2\n3\n")),
            ("a", None),
        ],
    ),
    // In a circle.
    (
        &[Rename("a", "t"), Rename("raw", "a"), Rename("t", "raw")],
        &[
            ("raw", Some("1\n2\n3\n")),
            ("a", Some("\0raw")),
            ("t", None),
        ],
    ),
    (
        &[
            Rename("a", "t"),
            Rename("raw", "a"),
            Rename("d/x", "raw"),
            Rename("t", "d/x"),
        ],
        &[
            ("d/x", Some("1\n2\n3\n")),
            ("a", Some("\0raw")),
            ("raw", Some("x\n")),
        ],
    ),
    // A directory and the one in it.
    (
        &[Rename("d/e", "t"), Rename("d", "t/e"), Rename("t", "d")],
        &[("d/e/x", Some("x\n")), ("d/y", Some("y\n")), ("d/x", None)],
    ),
];

/// A name that the fork has given to something else is free for it in the target, whatever had it
/// before: a directory, or what moves on itself, in a chain or in a circle.
#[tokio::test]
async fn names_go_from_one_thing_to_another() {
    for (theirs, expected) in TAKEN {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, &[]).await;
        let before = files.revision().await.unwrap();
        let state = below(&files, "/t").await;
        let dry_run = MergeOptions {
            dry_run: true,
            ..MergeOptions::default()
        };
        let planned = files.merge("/f", dry_run).await.unwrap();
        let report = merge(&files, MergeStrategy::Report).await;
        assert!(report.applied, "{theirs:?}: {report:?}");
        assert_eq!(planned.changes, report.changes, "{theirs:?}");
        let found = below(&files, "/t").await;
        for (path, content) in *expected {
            let found = found.get(*path).cloned().flatten();
            assert_eq!(found.as_deref(), *content, "{path} after {theirs:?}");
        }
        assert_eq!(found, below(&files, "/f").await, "{theirs:?}");
        // It is undone as any change.
        let merged = report.revision.unwrap();
        let undone = files.undo(UndoOptions::new(UndoWhat::Operation(merged)));
        let undone = undone.await.unwrap();
        assert!(undone.conflicts.is_empty(), "{theirs:?}: {undone:?}");
        assert_eq!(below(&files, "/t").await, state, "{theirs:?}");
        let then = At::Revision(before);
        assert!(files.exists("/t/a", then).await.unwrap());
    }
}

/// What the fork does, what the target does, and the conflicts of it.
type Conflicts = &'static [(MergeConflictKind, &'static str)];
const CONFLICTS: &[(Deeds, Deeds, Conflicts)] = &[
    // The directory is not empty when the fork's changes are made.
    (
        &[Rename("d/e", "e"), Remove("d"), Rename("e", "d")],
        &[Write("d/new", "n\n")],
        &[(MergeConflictKind::Renamed, "/t/d")],
    ),
    (
        &[Remove("d"), Rename("a", "d")],
        &[Write("d/e/new", "n\n")],
        &[(MergeConflictKind::Renamed, "/t/d")],
    ),
    (
        &[Remove("d"), Write("d", "file\n")],
        &[Write("d/new", "n\n")],
        &[(MergeConflictKind::Kind, "/t/d")],
    ),
    (
        &[Remove("d"), Link("d", "a")],
        &[Mkdir("d/new")],
        &[(MergeConflictKind::Kind, "/t/d")],
    ),
    // The name at the end of a chain is taken.
    (
        &[Rename("raw", "z"), Rename("a", "raw"), Rename("d/x", "a")],
        &[Write("z", "Z\n")],
        &[
            (MergeConflictKind::Renamed, "/t/raw"),
            (MergeConflictKind::Renamed, "/t/a"),
            (MergeConflictKind::Renamed, "/t/z"),
        ],
    ),
];

/// Where the target keeps something under such a name, that is a conflict, and with the target's
/// word for it nothing there moves.
#[tokio::test]
async fn a_name_that_the_target_keeps_is_a_conflict() {
    for (theirs, ours, expected) in CONFLICTS {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, ours).await;
        let before = below(&files, "/t").await;
        for strategy in [MergeStrategy::Report, MergeStrategy::Theirs] {
            let report = merge(&files, strategy).await;
            assert!(!report.applied, "{theirs:?} {ours:?} {report:?}");
            let mut found: Vec<_> = { report.conflicts.iter() }
                .map(|conflict| (conflict.kind, &conflict.path[..]))
                .collect();
            let mut expected = expected.to_vec();
            found.sort_by_key(|(_, path)| path.to_owned());
            expected.sort_by_key(|(_, path)| *path);
            assert_eq!(found, expected, "{theirs:?} {ours:?}");
            assert_eq!(below(&files, "/t").await, before);
        }
        let report = merge(&files, MergeStrategy::Ours).await;
        assert!(report.applied, "{theirs:?} {ours:?} {report:?}");
        let after = below(&files, "/t").await;
        for (_, path) in *expected {
            let path = path.strip_prefix("/t/").unwrap();
            assert_eq!(after.get(path), before.get(path), "{theirs:?} {ours:?}");
        }
    }
}

/// A directory that is not empty in the target stays there, and no report says that it went.
#[tokio::test]
async fn a_directory_that_is_not_empty_is_not_said_to_go() {
    let (_zone, files) = fresh().await;
    diverged(&files, &[Remove("d")], &[Write("d/e/new", "n\n")]).await;
    let report = merge(&files, MergeStrategy::Report).await;
    assert!(report.applied);
    let removed: Vec<_> = { report.changes.iter() }
        .map(|change| (change.kind, &change.path[..]))
        .collect();
    let expected = ["/t/d/e/y", "/t/d/x"].map(|path| (MergeChangeKind::Removed, path));
    assert_eq!(removed, expected);
    assert!(below(&files, "/t").await.contains_key("d/e/new"));
}
