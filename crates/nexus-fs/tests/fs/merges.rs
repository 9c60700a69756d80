//! Merging forks.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::{
    At, MergeChangeKind, MergeConflictKind, MergeOptions, MergeReport, MergeStrategy, MkdirOptions,
    MoveOptions, RemoveOptions, Session, SetAttributes,
};
use nexus_kernel::{Durability, Kind};
use nexus_service_api::Context;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::forks::fork;
use crate::support::{fresh, memory_stores, open, put, text, tree};

mod details;
mod names;
mod random;

use Do::{Link, Mkdir, Mode, Remove, Rename, Tag, Write};

/// Something that one side does, by path below its directory.
#[derive(Clone, Copy, Debug)]
enum Do {
    Write(&'static str, &'static str),
    Remove(&'static str),
    Rename(&'static str, &'static str),
    Mkdir(&'static str),
    Link(&'static str, &'static str),
    Mode(&'static str, u32),
    Tag(&'static str, &'static str),
}

impl Do {
    async fn perform(self, files: &Session, top: &str) {
        let at = |path: &str| format!("{top}/{path}");
        match self {
            Self::Write(path, content) => put(files, &at(path), content).await,
            Self::Remove(path) => {
                let options = RemoveOptions {
                    recursive: true,
                    ..RemoveOptions::default()
                };
                files.remove(&at(path), options).await.map(drop).unwrap();
            }
            Self::Rename(from, to) => {
                let options = MoveOptions::default();
                let moved = files.rename(&at(from), &at(to), options).await;
                moved.map(drop).unwrap();
            }
            Self::Mkdir(path) => {
                let made = files.mkdir(&at(path), MkdirOptions::default()).await;
                made.map(drop).unwrap();
            }
            Self::Link(path, target) => {
                let made = files.symlink(target, &at(path), Durability::Sync).await;
                made.map(drop).unwrap();
            }
            Self::Mode(path, mode) => {
                let set = SetAttributes {
                    mode: Some(mode),
                    ..SetAttributes::default()
                };
                let set = files.set_attributes(&at(path), set, Durability::Sync).await;
                set.map(drop).unwrap();
            }
            Self::Tag(path, tag) => {
                let tags = [tag.to_owned()];
                let path = at(path);
                let set = files.set_tags(&path, &tags, &[], Durability::Sync);
                set.await.map(drop).unwrap();
            }
        }
    }
}

const BEFORE: [Do; 5] = [
    Do::Write("a", "1\n2\n3\n"),
    Do::Write("d/x", "x\n"),
    Do::Write("d/e/y", "y\n"),
    Do::Write("raw", "\0raw"),
    Do::Link("link", "a"),
];

type Deeds = &'static [Do];
/// A path and the content that it has in the end, if it is there.
type Found = (&'static str, Option<&'static str>);

/// What the fork does, what the target does, and what comes of it.
const TAKEN: &[(Deeds, Deeds, &[Found])] = &[
    (&[Write("a", "A\n")], &[], &[("a", Some("A\n"))]),
    (&[Write("n/m/z", "z\n")], &[], &[("n/m/z", Some("z\n"))]),
    (&[Remove("d")], &[], &[("d", None), ("d/e/y", None)]),
    (&[Remove("a")], &[Remove("a")], &[("a", None)]),
    (
        &[Write("a", "A\n")],
        &[Write("a", "A\n")],
        &[("a", Some("A\n"))],
    ),
    (
        &[Write("a", "A\n2\n3\n")],
        &[Write("a", "1\n2\nC\n")],
        &[("a", Some("A\n2\nC\n"))],
    ),
    (
        &[Write("d/x", "X\n")],
        &[Rename("d", "g")],
        &[("g/x", Some("X\n")), ("d", None)],
    ),
    (
        &[Rename("d", "g"), Write("g/x", "X\n"), Write("g/new", "n\n")],
        &[Write("d/e/y", "Y\n")],
        &[
            ("g/x", Some("X\n")),
            ("g/e/y", Some("Y\n")),
            ("g/new", Some("n\n")),
            ("d", None),
        ],
    ),
    (
        &[Rename("a", "b")],
        &[Write("a", "A\n2\n3\n")],
        &[("b", Some("A\n2\n3\n")), ("a", None)],
    ),
    (
        &[Rename("a", "b"), Write("a", "new\n")],
        &[],
        &[("b", Some("1\n2\n3\n")), ("a", Some("new\n"))],
    ),
    (
        &[
            Rename("a", "d/a"),
            Rename("d", "g"),
            Mkdir("d"),
            Write("d/q", "q\n"),
        ],
        &[],
        &[
            ("g/a", Some("1\n2\n3\n")),
            ("d/q", Some("q\n")),
            ("g/x", Some("x\n")),
        ],
    ),
    (
        &[Remove("link"), Link("link", "d")],
        &[Write("z", "z\n")],
        &[("z", Some("z\n"))],
    ),
    (
        &[Remove("d")],
        &[Write("d/new", "n\n")],
        &[("d/new", Some("n\n")), ("d/x", None)],
    ),
];

/// What the fork does, what the target does, and where they conflict.
const CONFLICTS: &[(Deeds, Deeds, MergeConflictKind, &str)] = &[
    (
        &[Write("a", "A\n")],
        &[Write("a", "B\n")],
        MergeConflictKind::Content,
        "/t/a",
    ),
    (
        &[Write("raw", "\0A")],
        &[Write("raw", "\0B")],
        MergeConflictKind::Content,
        "/t/raw",
    ),
    (
        &[Write("a", "A\n")],
        &[Remove("a")],
        MergeConflictKind::Removed,
        "/t/a",
    ),
    (
        &[Remove("a")],
        &[Write("a", "B\n")],
        MergeConflictKind::Changed,
        "/t/a",
    ),
    (
        &[Write("n", "A\n")],
        &[Write("n", "B\n")],
        MergeConflictKind::Added,
        "/t/n",
    ),
    (
        &[Rename("a", "b")],
        &[Rename("a", "c")],
        MergeConflictKind::Renamed,
        "/t/b",
    ),
    (
        &[Rename("a", "b")],
        &[Write("b", "B\n")],
        MergeConflictKind::Renamed,
        "/t/b",
    ),
    (
        &[Mkdir("n")],
        &[Write("n", "B\n")],
        MergeConflictKind::Kind,
        "/t/n",
    ),
    (
        &[Write("d/n", "A\n")],
        &[Remove("d")],
        MergeConflictKind::Removed,
        "/t/d/n",
    ),
    (
        &[Mode("a", 0o700)],
        &[Mode("a", 0o600)],
        MergeConflictKind::Attributes,
        "/t/a",
    ),
];

/// What the fork does, what the target does, and what a strategy makes of it.
const DECIDED: &[(Deeds, Deeds, MergeStrategy, &str, Option<&str>)] = &[
    (
        &[Write("a", "A\n")],
        &[Write("a", "B\n")],
        MergeStrategy::Ours,
        "a",
        Some("B\n"),
    ),
    (
        &[Write("a", "A\n")],
        &[Write("a", "B\n")],
        MergeStrategy::Theirs,
        "a",
        Some("A\n"),
    ),
    (
        &[Write("a", "A\n")],
        &[Remove("a")],
        MergeStrategy::Theirs,
        "a",
        Some("A\n"),
    ),
    (
        &[Write("d/n", "A\n")],
        &[Remove("d")],
        MergeStrategy::Theirs,
        "d/n",
        Some("A\n"),
    ),
    (
        &[Remove("a")],
        &[Write("a", "B\n")],
        MergeStrategy::Theirs,
        "a",
        None,
    ),
    (
        &[Write("a", "A\n2\n3\n")],
        &[Write("a", "B\n2\n3\n")],
        MergeStrategy::Markers,
        "a",
        Some("<<<<<<< ours\nB\n||||||| original\n1\n=======\nA\n>>>>>>> theirs\n2\n3\n"),
    ),
];

/// `/t` with its fork `/f`, after each has done something.
async fn diverged(files: &Session, theirs: &[Do], ours: &[Do]) {
    for deed in BEFORE {
        deed.perform(files, "/t").await;
    }
    fork(files, "/t", "/f").await;
    for deed in theirs {
        deed.perform(files, "/f").await;
    }
    for deed in ours {
        deed.perform(files, "/t").await;
    }
}

async fn merge(files: &Session, strategy: MergeStrategy) -> MergeReport {
    let options = MergeOptions {
        strategy,
        ..MergeOptions::default()
    };
    files.merge("/f", options).await.unwrap()
}

/// Names and contents below a directory.
async fn below(files: &Session, top: &str) -> BTreeMap<String, Option<String>> {
    let all = tree(files, At::Latest).await.into_iter();
    let below = all.filter_map(|(path, content)| {
        let rest = path.strip_prefix(top)?.strip_prefix('/')?;
        Some((rest.to_owned(), content))
    });
    below.collect()
}

/// What only one side changed is taken, wherever the other has moved it.
#[tokio::test]
async fn changes_of_one_side_are_taken() {
    for (theirs, ours, expected) in TAKEN {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, ours).await;
        let report = merge(&files, MergeStrategy::Report).await;
        assert!(report.applied, "{theirs:?} {ours:?}: {report:?}");
        let found = below(&files, "/t").await;
        for (path, content) in *expected {
            let found = found.get(*path).cloned().flatten();
            assert_eq!(
                found.as_deref(),
                *content,
                "{path} after {theirs:?} {ours:?}"
            );
        }
        let problems = files.log(nexus_fs::LogQuery::default()).await.unwrap();
        let last = problems.records.last().unwrap();
        if report.revision.is_some() {
            assert_eq!(last.operation.as_deref(), Some("merge"));
        }
    }
}

/// Where both changed the same nothing is merged, and the report names it.
#[tokio::test]
async fn a_conflict_is_reported_and_nothing_is_changed() {
    for (theirs, ours, kind, path) in CONFLICTS {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, ours).await;
        // What does not conflict is not taken either.
        Tag("raw", "x").perform(&files, "/f").await;
        let before = below(&files, "/t").await;
        let report = merge(&files, MergeStrategy::Report).await;
        assert!(!report.applied, "{theirs:?} {ours:?}");
        let found: Vec<_> = report
            .conflicts
            .iter()
            .map(|c| (c.kind, &c.path[..]))
            .collect();
        assert_eq!(found, [(*kind, *path)], "{theirs:?} {ours:?}");
        assert_eq!(below(&files, "/t").await, before);
        let tags = files.tags("/t/raw", At::Latest).await;
        assert!(tags.unwrap().is_empty());
    }
}

/// With a side given, that side counts where both changed the same.
#[tokio::test]
async fn a_strategy_decides_conflicts() {
    for (theirs, ours, strategy, path, content) in DECIDED {
        let (_zone, files) = fresh().await;
        diverged(&files, theirs, ours).await;
        let report = merge(&files, *strategy).await;
        assert!(report.applied, "{report:?}");
        assert!(report.conflicts.iter().all(|conflict| conflict.resolved));
        let found = below(&files, "/t").await.get(*path).cloned().flatten();
        assert_eq!(
            found.as_deref(),
            *content,
            "{theirs:?} {ours:?} {strategy:?}"
        );
    }
}

/// A dry run tells what a merge would do, and does nothing: no content is stored that nobody has.
#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    diverged(&files, &[Do::Write("a", "A\n")], &[]).await;
    // Both have changed a text that is too long for a row.
    let long = |first: &str, last: &str| format!("{first}\n{}{last}\n", "line\n".repeat(20_000));
    put(&files, "/t/long", &long("1", "1")).await;
    fork(&files, "/t", "/g").await;
    put(&files, "/t/long", &long("ours", "1")).await;
    put(&files, "/g/long", &long("1", "theirs")).await;
    let blobs = || async { stores.objects.list("b/", None, 100).await.unwrap() };
    let stored = blobs().await;
    let dry_run = MergeOptions {
        dry_run: true,
        ..MergeOptions::default()
    };
    let report = files.merge("/g", dry_run).await.unwrap();
    assert_eq!(report.changes[0].kind, MergeChangeKind::Merged);
    assert_eq!(blobs().await, stored);
    let report = files.merge("/g", MergeOptions::default()).await.unwrap();
    assert!(report.applied && blobs().await != stored);
    let before = files.revision().await.unwrap();
    let options = MergeOptions {
        dry_run: true,
        ..MergeOptions::default()
    };
    let report = files.merge("/f", options).await.unwrap();
    assert!(!report.applied && report.revision.is_none());
    assert_eq!(report.changes[0].kind, MergeChangeKind::Taken);
    assert_eq!(report.changes[0].path, "/t/a");
    assert_eq!(files.revision().await.unwrap(), before);
}

/// A fork goes on after a merge; the next one brings what changed since.
#[tokio::test]
async fn a_fork_is_merged_again_and_again() {
    let (_zone, files) = fresh().await;
    diverged(&files, &[Do::Write("a", "A\n2\n3\n")], &[]).await;
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    put(&files, "/t/a", "A\n2\nC\n").await;
    let again = merge(&files, MergeStrategy::Report).await;
    assert!(again.applied && again.changes.is_empty() && again.revision.is_none());
    put(&files, "/f/a", "AA\n2\n3\n").await;
    put(&files, "/f/new", "n\n").await;
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    assert_eq!(text(&files, "/t/a").await, "AA\n2\nC\n");
    put(&files, "/f/new", "nn\n").await;
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    assert_eq!(text(&files, "/t/new").await, "nn\n");
}

/// One fork is merged into another of the same directory.
#[tokio::test]
async fn forks_of_one_directory_are_merged_into_each_other() {
    let (_zone, files) = fresh().await;
    diverged(&files, &[Do::Write("a", "A\n2\n3\n")], &[]).await;
    fork(&files, "/t", "/g").await;
    put(&files, "/g/a", "1\n2\nC\n").await;
    let options = MergeOptions {
        into: Some("/g".to_owned()),
        ..MergeOptions::default()
    };
    assert!(files.merge("/f", options).await.unwrap().applied);
    assert_eq!(text(&files, "/g/a").await, "A\n2\nC\n");
    assert_eq!(text(&files, "/t/a").await, "1\n2\n3\n");
}

/// What has nothing in common is not merged.
#[tokio::test]
async fn unrelated_trees_are_refused() {
    let (_zone, files) = fresh().await;
    diverged(&files, &[], &[]).await;
    put(&files, "/other/a", "1").await;
    fork(&files, "/other", "/g").await;
    let cases = [
        ("/t", None, Kind::InvalidArgument),
        ("/f/d", None, Kind::InvalidArgument),
        ("/f", Some("/other"), Kind::InvalidArgument),
        ("/f", Some("/g"), Kind::InvalidArgument),
        ("/f", Some("/f"), Kind::InvalidArgument),
        ("/f", Some("/t/a"), Kind::WrongType),
        ("/none", None, Kind::NotFound),
    ];
    for (fork, into, kind) in cases {
        let options = MergeOptions {
            into: into.map(str::to_owned),
            ..MergeOptions::default()
        };
        let refused = files.merge(fork, options).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{fork} into {into:?}");
    }
    let gone = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove("/t", gone).await.unwrap();
    let refused = files.merge("/f", MergeOptions::default()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::NotFound);
}

/// Metadata is merged value by value.
#[tokio::test]
async fn metadata_is_merged_by_key() {
    let (_zone, files) = fresh().await;
    let set = |path: &'static str, key: &str, value: &'static str| {
        let set = vec![(key.to_owned(), Some(Bytes::from_static(value.as_bytes())))];
        files.set_metadata(path, set, Durability::Sync)
    };
    put(&files, "/t/a", "1").await;
    set("/t/a", "k", "1").await.unwrap();
    fork(&files, "/t", "/f").await;
    set("/f/a", "theirs", "2").await.unwrap();
    set("/t/a", "ours", "3").await.unwrap();
    assert!(merge(&files, MergeStrategy::Report).await.applied);
    let all = files.metadata("/t/a", At::Latest).await.unwrap();
    let keys: Vec<_> = all.iter().map(|(key, _)| &key[..]).collect();
    assert_eq!(keys, ["k", "ours", "theirs"]);
    set("/f/a", "k", "f").await.unwrap();
    set("/t/a", "k", "t").await.unwrap();
    let report = merge(&files, MergeStrategy::Report).await;
    assert_eq!(report.conflicts[0].kind, MergeConflictKind::Metadata);
}

/// Whatever two sides do to different files, a merge has both.
#[tokio::test]
async fn disjoint_changes_are_both_there_after_a_merge() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let (_zone, files) = fresh().await;
        for i in 0..12 {
            put(&files, &format!("/t/{}/{i}", i % 3), &format!("{i}\n")).await;
        }
        fork(&files, "/t", "/f").await;
        fork(&files, "/t", "/both").await;
        for _ in 0..15 {
            // Even names are theirs, odd ones ours.
            let theirs = random.random();
            let numbers: Vec<u32> = (0..24).filter(|i| (i % 2 == 0) == theirs).collect();
            let name = |random: &mut StdRng| {
                let number = numbers.choose(random).unwrap();
                format!("{}/{number}", random.random_range(0..3))
            };
            let (one, other) = (name(&mut random), name(&mut random));
            let what = random.random_range(0..4);
            let content = format!("{}\n", random.random_range(0..9));
            for top in [if theirs { "/f" } else { "/t" }, "/both"] {
                let (one, other) = (format!("{top}/{one}"), format!("{top}/{other}"));
                match what {
                    0 => _ = files.remove(&one, RemoveOptions::default()).await,
                    1 => {
                        let options = MoveOptions {
                            replace: nexus_fs::Replace::Refuse,
                            ..MoveOptions::default()
                        };
                        _ = files.rename(&one, &other, options).await;
                    }
                    _ => put(&files, &one, &content).await,
                }
            }
        }
        let report = merge(&files, MergeStrategy::Report).await;
        assert!(report.applied, "seed {seed}: {report:?}");
        let (merged, both) = (below(&files, "/t").await, below(&files, "/both").await);
        assert_eq!(merged, both, "seed {seed}");
    }
}
