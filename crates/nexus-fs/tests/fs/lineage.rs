//! Where contents come from, and what came of them.

use nexus_fs::edit::Edit;
use nexus_fs::{
    At, BatchStep, EditOptions, ForkOptions, Lineage, LineageDirection, LineageEntry, LineageQuery,
    LineageSource, MoveOptions, RemoveOptions, Session, WriteOptions,
};
use nexus_kernel::{Durability, Kind, Revision};

use crate::rights::confined;
use crate::support::{fresh, put};

async fn copy(files: &Session, from: &str, to: &str) {
    files.copy(from, to, MoveOptions::default()).await.unwrap();
}

async fn rename(files: &Session, from: &str, to: &str) {
    files
        .rename(from, to, MoveOptions::default())
        .await
        .unwrap();
}

async fn edit(files: &Session, path: &str, old: &str, new: &str) {
    let edits = [Edit {
        old: old.into(),
        new: new.into(),
        ..Edit::default()
    }];
    let edited = files
        .edit(path, &edits, EditOptions::default())
        .await
        .unwrap();
    assert!(edited.applied);
}

async fn lineage(files: &Session, path: &str) -> Lineage {
    files.lineage(path, LineageQuery::default()).await.unwrap()
}

/// A step as a line: its depth, and what came from what, with the paths of then and of now.
fn line(entry: &LineageEntry) -> String {
    let file = |file: &nexus_fs::LineageFile| {
        let then = file.path.as_deref().unwrap_or("?");
        match &file.path_now {
            Some(now) if now == then => format!("{then} v{}", file.version),
            Some(now) => format!("{then} v{} (now {now})", file.version),
            None => format!("{then} v{} (gone)", file.version),
        }
    };
    let source = match &entry.source {
        LineageSource::File(from) => file(from),
        LineageSource::External(name) => name.clone(),
    };
    let way = match entry.direction {
        LineageDirection::Descendants => "down",
        _ => "up",
    };
    let kind = entry.kind.as_str();
    format!(
        "{way} {} {kind}: {} <- {source}",
        entry.depth,
        file(&entry.file)
    )
}

fn lines(lineage: &Lineage) -> Vec<String> {
    lineage.entries.iter().map(line).collect()
}

/// Copies, edits, rollbacks and imports tell what they came from, across renames and removals.
#[tokio::test]
async fn ancestry_is_told_across_renames() {
    let (_zone, files) = fresh().await;
    let import = WriteOptions {
        source: Some("file:///repo/a.txt".into()),
        ..WriteOptions::default()
    };
    files.write("/a", "one\n".into(), import).await.unwrap();
    edit(&files, "/a", "one", "two").await;
    copy(&files, "/a", "/b").await;
    rename(&files, "/b", "/c").await;
    put(&files, "/c", "three\n").await;
    files.rollback("/c", 1, Durability::Sync).await.unwrap();
    copy(&files, "/c", "/d").await;
    files.remove("/a", RemoveOptions::default()).await.unwrap();
    assert_eq!(
        lines(&lineage(&files, "/d").await),
        [
            "up 1 copy: /d v1 <- /c v3",
            "up 2 rollback: /c v3 <- /c v1",
            "up 2 copy: /b v1 (now /c) <- /a v2 (gone)",
            "up 3 edit: /a v2 (gone) <- /a v1 (gone)",
            "up 3 import: /a v1 (gone) <- file:///repo/a.txt",
        ]
    );
}

/// What was made of a file is told, through copies of copies; but not what its copies were
/// before.
#[tokio::test]
async fn descendants_are_told() {
    let (_zone, files) = fresh().await;
    put(&files, "/template", "1").await;
    put(&files, "/b", "own").await;
    copy(&files, "/b", "/before").await;
    copy(&files, "/template", "/a").await;
    copy(&files, "/template", "/b").await;
    copy(&files, "/b", "/after").await;
    let told = lineage(&files, "/template").await;
    let mut told = lines(&told);
    told.sort();
    assert_eq!(
        told,
        [
            "down 1 copy: /a v1 <- /template v1",
            "down 1 copy: /b v2 <- /template v1",
            "down 2 copy: /after v1 <- /b v2",
        ]
    );
    let ancestors = LineageQuery {
        direction: LineageDirection::Ancestors,
        ..LineageQuery::default()
    };
    let told = files.lineage("/template", ancestors).await.unwrap();
    assert_eq!(told.entries, []);
}

/// Each file of a copied tree knows its own source.
#[tokio::test]
async fn a_copied_tree_has_a_lineage_file_by_file() {
    let (_zone, files) = fresh().await;
    put(&files, "/from/d/x", "1").await;
    copy(&files, "/from", "/to").await;
    assert_eq!(
        lines(&lineage(&files, "/to/d/x").await),
        ["up 1 copy: /to/d/x v1 <- /from/d/x v1"]
    );
    assert_eq!(
        lines(&lineage(&files, "/to").await),
        ["up 1 copy: /to v0 <- /from v0"]
    );
}

/// A fork knows the directory that it was made from.
#[tokio::test]
async fn a_fork_has_a_lineage() {
    let (_zone, files) = fresh().await;
    put(&files, "/from/x", "1").await;
    files
        .fork("/from", "/to", ForkOptions::default())
        .await
        .unwrap();
    let told = lineage(&files, "/to").await;
    assert_eq!(lines(&told), ["up 1 fork: /to v0 <- /from v0"]);
    let told = lineage(&files, "/from").await;
    assert_eq!(lines(&told), ["down 1 fork: /to v0 <- /from v0"]);
}

/// A file of a fork, changed there or not, comes from that of the origin as it was then, and from
/// what that came from, through a fork of the fork too; one that was made there does not, and no
/// point before the fork knows of it.
#[tokio::test]
async fn a_file_of_a_fork_comes_from_the_origins() {
    let (_zone, files) = fresh().await;
    put(&files, "/src", "1").await;
    put(&files, "/from/y", "1").await;
    copy(&files, "/src", "/from/x").await;
    let fork = ForkOptions::default;
    files.fork("/from", "/to", fork()).await.unwrap();
    let before = files.revision().await.unwrap();
    put(&files, "/from/x", "later").await;
    rename(&files, "/from/x", "/from/z").await;
    let expected = [
        "up 1 fork: /to/x v1 <- /from/x v1 (now /from/z)",
        "up 2 copy: /from/x v1 (now /from/z) <- /src v1",
    ];
    assert_eq!(lines(&lineage(&files, "/to/x").await), expected);
    put(&files, "/to/x", "changed").await;
    edit(&files, "/to/y", "1", "2").await;
    put(&files, "/to/new", "1").await;
    assert_eq!(lines(&lineage(&files, "/to/x").await), expected);
    let told = lineage(&files, "/to/y").await;
    assert_eq!(
        lines(&told),
        [
            "up 1 edit: /to/y v2 <- /to/y v1",
            "up 1 fork: /to/y v1 <- /from/y v1",
        ]
    );
    assert!(lineage(&files, "/to/new").await.entries.is_empty());
    files.fork("/to", "/further", fork()).await.unwrap();
    let told = lineage(&files, "/further/x").await;
    assert_eq!(
        lines(&told),
        [
            "up 1 fork: /further/x v2 <- /to/x v2",
            "up 2 fork: /to/x v1 <- /from/x v1 (now /from/z)",
            "up 3 copy: /from/x v1 (now /from/z) <- /src v1",
        ]
    );
    let query = LineageQuery {
        at: At::Revision(before),
        ..LineageQuery::default()
    };
    let told = files.lineage("/to/x", query).await.unwrap();
    assert_eq!(lines(&told), expected);
}

/// Nobody learns from a fork where its files were when that is out of sight.
#[tokio::test]
async fn a_file_of_a_fork_does_not_tell_what_is_out_of_sight() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/x", "1").await;
    let fork = system.fork("/secret", "/team/f", ForkOptions::default());
    fork.await.unwrap();
    let told = lineage(&user, "/team/f/x").await;
    assert_eq!((told.entries.len(), told.hidden), (0, 1));
}

/// Files that were copied to and fro have a lineage that ends, also within one commit.
#[tokio::test]
async fn a_lineage_never_goes_in_circles() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    for _ in 0..3 {
        copy(&files, "/a", "/b").await;
        copy(&files, "/b", "/a").await;
    }
    let told = lineage(&files, "/a").await;
    assert_eq!(told.entries.len(), 6 + 6);
    let steps = [("/a", "/b"), ("/b", "/c"), ("/c", "/a")];
    let steps = steps.map(|(from, to)| BatchStep::Copy {
        from: from.into(),
        to: to.into(),
        options: MoveOptions::default(),
    });
    files.batch(steps.to_vec(), Durability::Sync).await.unwrap();
    assert!(lineage(&files, "/c").await.entries.len() > 6);
}

/// As of a point, later derivations are not told.
#[tokio::test]
async fn a_lineage_is_told_as_of_a_point() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    copy(&files, "/a", "/b").await;
    let then = files.revision().await.unwrap();
    copy(&files, "/a", "/c").await;
    put(&files, "/b", "2").await;
    files.rollback("/b", 1, Durability::Sync).await.unwrap();
    let query = LineageQuery {
        at: At::Revision(then),
        ..LineageQuery::default()
    };
    let past = files.lineage("/a", query.clone()).await.unwrap();
    assert_eq!(lines(&past), ["down 1 copy: /b v1 <- /a v1"]);
    let past = files.lineage("/b", query).await.unwrap();
    assert_eq!(lines(&past), ["up 1 copy: /b v1 <- /a v1"]);
}

/// Pages join to the whole; a depth, a limit or a cursor out of bounds is refused.
#[tokio::test]
async fn a_lineage_is_paged_and_bounded() {
    let (_zone, files) = fresh().await;
    put(&files, "/0", "1").await;
    for n in 0..20 {
        copy(&files, &format!("/{n}"), &format!("/{}", n + 1)).await;
    }
    let mut query = LineageQuery {
        limit: 3,
        depth: 12,
        ..LineageQuery::default()
    };
    let mut paged = Vec::new();
    loop {
        let page = files.lineage("/20", query.clone()).await.unwrap();
        assert!(page.entries.len() <= 3);
        paged.extend(lines(&page));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(paged.len(), 12);
    assert_eq!(paged[11], "up 12 copy: /9 v1 <- /8 v1");
    for (query, kind) in [
        (
            LineageQuery {
                depth: 65,
                ..LineageQuery::default()
            },
            Kind::LimitExceeded,
        ),
        (
            LineageQuery {
                limit: 10_001,
                ..LineageQuery::default()
            },
            Kind::LimitExceeded,
        ),
        (
            LineageQuery {
                cursor: Some("l3".into()),
                ..LineageQuery::default()
            },
            Kind::InvalidArgument,
        ),
        (
            LineageQuery {
                at: At::Revision(Revision(1 << 40)),
                ..LineageQuery::default()
            },
            Kind::InvalidArgument,
        ),
    ] {
        let error = files.lineage("/20", query).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let error = files
        .lineage("/no", LineageQuery::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

/// A walk over all pages has each step once, whatever happens to the file between two pages.
#[tokio::test]
async fn pages_of_a_lineage_stand_still_while_the_file_changes() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0").await;
    for n in 0..5 {
        edit(&files, "/a", &n.to_string(), &(n + 1).to_string()).await;
    }
    let mut query = LineageQuery {
        limit: 2,
        direction: LineageDirection::Ancestors,
        ..LineageQuery::default()
    };
    let whole = lines(
        &files
            .lineage(
                "/a",
                LineageQuery {
                    limit: 0,
                    ..query.clone()
                },
            )
            .await
            .unwrap(),
    );
    assert_eq!(whole.len(), 5);
    let mut paged = Vec::new();
    for n in 5.. {
        let page = files.lineage("/a", query.clone()).await.unwrap();
        paged.extend(lines(&page));
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
        edit(&files, "/a", &n.to_string(), &(n + 1).to_string()).await;
    }
    assert_eq!(paged, whole);
    query.direction = LineageDirection::Descendants;
    let error = files.lineage("/a", query.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    query.at = At::Revision(Revision(3));
    let error = files.lineage("/a", query).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
}

/// Cursors that no page gave are refused, also those of earlier releases.
#[tokio::test]
async fn cursors_that_no_page_of_a_lineage_gave_are_refused() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0").await;
    for cursor in [
        "",
        "a",
        "a2",
        "a18446744073709551615",
        "a18446744073709551615.u.2.3.0",
        "l3",
        "a9.u.1",
        "a9.x.1.1.0",
        "a9.u.1.1.0.0",
    ] {
        let query = LineageQuery {
            cursor: Some(cursor.into()),
            ..LineageQuery::default()
        };
        let error = files.lineage("/a", query).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{cursor} {error}");
    }
}

/// Who may read a copy and not its source learns that there is one, and nothing of it.
#[tokio::test]
async fn what_is_out_of_sight_is_counted_and_not_told() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/plan", "1").await;
    put(&system, "/team/own", "2").await;
    copy(&system, "/secret/plan", "/team/plan").await;
    copy(&system, "/team/plan", "/secret/copy").await;
    copy(&system, "/team/plan", "/team/copy").await;
    let told = lineage(&user, "/team/plan").await;
    assert_eq!(
        lines(&told),
        ["down 1 copy: /team/copy v1 <- /team/plan v1"]
    );
    assert_eq!(told.hidden, 2);
    let text = format!("{told:?}");
    assert!(!text.contains("secret"), "{text}");
    let told = lineage(&user, "/team/copy").await;
    assert_eq!((told.entries.len(), told.hidden), (1, 1));
    // Where it is now is out of sight, where it was then is not.
    rename(&system, "/team/copy", "/secret/moved").await;
    assert_eq!(
        lines(&lineage(&user, "/team/plan").await),
        ["down 1 copy: /team/copy v1 (gone) <- /team/plan v1"]
    );
    let error = user
        .lineage("/secret/plan", LineageQuery::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
}

/// The source of an import is a text of at most 4096 bytes without control characters.
#[tokio::test]
async fn the_name_of_a_source_is_bounded() {
    let (_zone, files) = fresh().await;
    for (source, kind) in [
        (String::new(), Kind::InvalidArgument),
        ("a\nb".to_owned(), Kind::InvalidArgument),
        ("x".repeat(4_097), Kind::LimitExceeded),
    ] {
        let options = WriteOptions {
            source: Some(source),
            ..WriteOptions::default()
        };
        let error = files.write("/a", "1".into(), options).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    assert!(!files.exists("/a", At::Latest).await.unwrap());
}

/// The versions of a file that were made of another version, or from elsewhere, say so.
#[tokio::test]
async fn versions_know_their_sources() {
    let (_zone, files) = fresh().await;
    put(&files, "/other", "0\n").await;
    put(&files, "/a", "1\n").await;
    edit(&files, "/a", "1", "2").await;
    put(&files, "/a", "3\n").await;
    files.rollback("/a", 1, Durability::Sync).await.unwrap();
    copy(&files, "/other", "/a").await;
    let versions = files.versions("/a", 10, None).await.unwrap();
    let sources = files.version_sources("/a", &versions).await.unwrap();
    let told: Vec<_> = sources
        .iter()
        .map(|(v, entry)| (*v, entry.kind.as_str()))
        .collect();
    assert_eq!(told, [(2, "edit"), (4, "rollback"), (5, "copy")]);
}
