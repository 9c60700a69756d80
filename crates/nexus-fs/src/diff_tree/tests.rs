use std::sync::Arc;

use bytes::Bytes;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_kernel::{Durability, Kind, Revision};
use nexus_service_api::{Context, SystemClock};
use nexus_testkit::authorizer::Open;

use super::gather::Way;
use super::{DiffTreeOptions, TreeChange, TreeChangeKind, TreeDiff, TreeDiffQuery};
use crate::{
    At, BatchStep, ForkOptions, MkdirOptions, MoveOptions, RemoveOptions, Replace, Session,
    SetAttributes, Stores, WriteOptions, Zone, ZoneConfig,
};

mod naive;
mod random;

const EXPANDED: DiffTreeOptions = DiffTreeOptions { expand: true };

async fn fresh() -> (Zone, Session) {
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::new()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    let zone = Zone::open(stores, Arc::new(Open), ZoneConfig::default())
        .await
        .unwrap();
    let session = zone.session(Context::system());
    (zone, session)
}

async fn put(files: &Session, path: &str, content: &str) {
    let options = WriteOptions {
        parents: true,
        ..WriteOptions::default()
    };
    let content = Bytes::copy_from_slice(content.as_bytes());
    files.write(path, content, options).await.unwrap();
}

async fn remove(files: &Session, path: &str) {
    let options = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove(path, options).await.unwrap();
}

async fn rename(files: &Session, from: &str, to: &str, replace: Replace) {
    let options = MoveOptions {
        replace,
        ..MoveOptions::default()
    };
    files.rename(from, to, options).await.unwrap();
}

/// The comparison by the log and by a walk, which must agree.
async fn both_ways(
    files: &Session,
    old: (&str, Revision),
    new: (&str, Revision),
    options: DiffTreeOptions,
) -> TreeDiff {
    let (old, new) = ((old.0, At::Revision(old.1)), (new.0, At::Revision(new.1)));
    let by = |way| files.compare_trees(old.clone(), new.clone(), options, way);
    let by_log = by(Way::Log).await.unwrap();
    let by_walk = by(Way::Walk).await.unwrap();
    assert_eq!(by_log, by_walk, "by log (left) and by walk (right)");
    assert_eq!(by(Way::Shorter).await.unwrap(), by_log);
    by_log
}

/// A change as a line: what, where, where from, and how much below.
fn line(change: &TreeChange) -> String {
    let mut line = format!("{} {}", change.kind.as_str(), change.path);
    if let Some(old) = &change.old_path {
        line += &format!(" from {old}");
    }
    if change.below > 0 {
        line += &format!(" +{}", change.below);
    }
    for (differs, what) in [
        (change.content, "content"),
        (change.attributes, "attributes"),
        (change.metadata, "metadata"),
    ] {
        if differs {
            line += &format!(" {what}");
        }
    }
    line
}

/// What changed from a revision to now, below the root.
async fn since(files: &Session, revision: Revision) -> Vec<String> {
    let now = files.revision().await.unwrap();
    let (old, new) = (("/", revision), ("/", now));
    let diff = both_ways(files, old, new, DiffTreeOptions::default()).await;
    diff.changes.iter().map(line).collect()
}

/// More than a page of directories that are the same, at two levels, with a change below one of
/// them.
#[tokio::test]
async fn what_changed_below_one_of_many_directories_is_found() {
    let (_zone, files) = fresh().await;
    let above = "/many/0700";
    let mkdir = |path: String| BatchStep::Mkdir {
        path,
        options: MkdirOptions {
            parents: true,
            ..MkdirOptions::default()
        },
    };
    for parent in ["/many", above] {
        let many = (0..1_500).map(|i| mkdir(format!("{parent}/{i:04}")));
        files.batch(many.collect(), Durability::Sync).await.unwrap();
    }
    let changed = ["/many/0001/f", "/many/0700/1200/f", "/many/1400/f"];
    for path in changed {
        put(&files, path, "old").await;
    }
    let before = files.revision().await.unwrap();
    for path in changed {
        put(&files, path, "newer").await;
    }
    let lines = changed.map(|path| format!("modified {path} content"));
    assert_eq!(since(&files, before).await, lines);
}

#[tokio::test]
async fn each_kind_of_change_is_told_once() {
    let (_zone, files) = fresh().await;
    for path in [
        "/same",
        "/content",
        "/mode",
        "/tagged",
        "/gone",
        "/old name",
        "/d/x",
    ] {
        put(&files, path, path).await;
    }
    let before = files.revision().await.unwrap();
    put(&files, "/content", "other").await;
    let set = SetAttributes {
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    files
        .set_attributes("/mode", set, Durability::Sync)
        .await
        .unwrap();
    let tags = vec![("color".to_owned(), Some(Bytes::from("red")))];
    files
        .set_metadata("/tagged", tags, Durability::Sync)
        .await
        .unwrap();
    remove(&files, "/gone").await;
    rename(&files, "/old name", "/new name", Replace::Allow).await;
    put(&files, "/d/y", "new").await;
    assert_eq!(
        since(&files, before).await,
        [
            "modified /content content",
            "added /d/y",
            "removed /gone",
            "modified /mode attributes",
            "renamed /new name from /old name",
            "modified /tagged metadata",
        ]
    );
}

#[tokio::test]
async fn a_directory_that_moved_is_one_change_and_what_changed_in_it_is_told() {
    let (_zone, files) = fresh().await;
    for i in 0..20 {
        put(&files, &format!("/d/sub/{i}"), "1").await;
    }
    let before = files.revision().await.unwrap();
    rename(&files, "/d", "/e", Replace::Allow).await;
    put(&files, "/e/sub/7", "2").await;
    assert_eq!(
        since(&files, before).await,
        [
            "renamed /e from /d",
            "modified /e/sub/7 from /d/sub/7 content"
        ]
    );
}

#[tokio::test]
async fn a_directory_that_came_or_went_is_one_change_with_a_count() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/a", "1").await;
    put(&files, "/d/b/c", "1").await;
    let before = files.revision().await.unwrap();
    files
        .copy("/d", "/copy", MoveOptions::default())
        .await
        .unwrap();
    remove(&files, "/d").await;
    assert_eq!(
        since(&files, before).await,
        ["added /copy +3", "removed /d +3"]
    );
    let now = files.revision().await.unwrap();
    let expanded = both_ways(&files, ("/", before), ("/", now), EXPANDED).await;
    let removed = expanded
        .changes
        .iter()
        .filter(|c| c.kind == TreeChangeKind::Removed);
    let removed: Vec<&str> = removed.map(|c| &*c.path).collect();
    assert_eq!(removed, ["/d", "/d/a", "/d/b", "/d/b/c"]);
}

#[tokio::test]
async fn what_moved_out_of_a_directory_that_went_is_not_counted_with_it() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/kept", "1").await;
    put(&files, "/d/b/c", "1").await;
    let before = files.revision().await.unwrap();
    rename(&files, "/d/kept", "/kept", Replace::Allow).await;
    remove(&files, "/d").await;
    assert_eq!(
        since(&files, before).await,
        [
            "removed /d",
            "removed /d/b +1",
            "renamed /kept from /d/kept"
        ]
    );
}

#[tokio::test]
async fn a_file_that_another_replaced_is_modified_and_one_that_came_back_the_same_is_not() {
    let (_zone, files) = fresh().await;
    put(&files, "/replaced", "1").await;
    put(&files, "/back", "1").await;
    let before = files.revision().await.unwrap();
    put(&files, "/temporary", "2").await;
    rename(&files, "/temporary", "/replaced", Replace::Allow).await;
    remove(&files, "/back").await;
    put(&files, "/back", "1").await;
    assert_eq!(since(&files, before).await, ["modified /replaced content"]);
}

#[tokio::test]
async fn two_that_changed_places_are_both_renamed() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    put(&files, "/b/x", "2").await;
    let before = files.revision().await.unwrap();
    rename(&files, "/a", "/b", Replace::Exchange).await;
    assert_eq!(
        since(&files, before).await,
        ["renamed /a from /b", "renamed /b from /a"]
    );
}

#[tokio::test]
async fn a_file_of_many_names_is_modified_under_each() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    put(&files, "/d/x", "1").await;
    files
        .hard_link("/a", "/d/b", Durability::Sync)
        .await
        .unwrap();
    files.hard_link("/a", "/c", Durability::Sync).await.unwrap();
    let before = files.revision().await.unwrap();
    put(&files, "/a", "2").await;
    remove(&files, "/c").await;
    assert_eq!(
        since(&files, before).await,
        ["modified /a content", "removed /c", "modified /d/b content"]
    );
    let changed = files.revision().await.unwrap();
    // Now that a name it had then is gone, the log does not tell all that it had.
    remove(&files, "/d").await;
    let diff = both_ways(&files, ("/", before), ("/", changed), EXPANDED).await;
    assert_eq!(diff.changes.len(), 3);
}

#[tokio::test]
async fn points_compare_in_either_order_and_a_path_may_be_missing_at_one() {
    let (_zone, files) = fresh().await;
    let before = files.revision().await.unwrap();
    put(&files, "/d/x", "1").await;
    let after = files.revision().await.unwrap();
    let forth = both_ways(&files, ("/d", before), ("/d", after), EXPANDED).await;
    let back = both_ways(&files, ("/d", after), ("/d", before), EXPANDED).await;
    let lines = |diff: &TreeDiff| diff.changes.iter().map(line).collect::<Vec<_>>();
    assert_eq!(lines(&forth), ["added /d", "added /d/x"]);
    assert_eq!(lines(&back), ["removed /d", "removed /d/x"]);
    let nowhere = files.diff_tree("/no", At::Revision(before), At::Latest, EXPANDED);
    assert_eq!(nowhere.await.unwrap_err().kind(), Kind::NotFound);
    let future = At::Revision(Revision(1 << 40));
    let error = files
        .diff_tree("/d", future, At::Latest, EXPANDED)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn two_directories_compare_by_the_paths_below_them() {
    let (_zone, files) = fresh().await;
    for path in ["/a/same", "/a/d/changed", "/a/gone"] {
        put(&files, path, "1").await;
    }
    files
        .copy("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    put(&files, "/b/d/changed", "2").await;
    put(&files, "/b/new", "1").await;
    remove(&files, "/b/gone").await;
    let (old, new) = (("/a", At::Latest), ("/b", At::Latest));
    let diff = files.diff_trees(old, new, EXPANDED).await.unwrap();
    let lines: Vec<String> = diff.changes.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "removed /a/gone",
            "modified /b/d/changed from /a/d/changed content",
            "added /b/new"
        ]
    );
}

#[tokio::test]
async fn a_fork_is_compared_with_its_origin_by_what_changed() {
    let (_zone, files) = fresh().await;
    for i in 0..30 {
        put(&files, &format!("/a/d/{i}"), "1").await;
    }
    files
        .fork("/a", "/b", ForkOptions::default())
        .await
        .unwrap();
    put(&files, "/b/d/7", "2").await;
    let tags = vec![("color".to_owned(), Some(Bytes::from("red")))];
    files
        .set_metadata("/b/d/8", tags, Durability::Sync)
        .await
        .unwrap();
    remove(&files, "/b/d/9").await;
    put(&files, "/a/new", "1").await;
    let (old, new) = (("/a", At::Latest), ("/b", At::Latest));
    let diff = files.diff_trees(old, new, EXPANDED).await.unwrap();
    let lines: Vec<String> = diff.changes.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "removed /a/d/9",
            "removed /a/new",
            "modified /b/d/7 from /a/d/7 content",
            "modified /b/d/8 from /a/d/8 metadata",
        ]
    );
}

#[tokio::test]
async fn pages_join_to_the_whole_though_files_change_in_between() {
    let (_zone, files) = fresh().await;
    let before = files.revision().await.unwrap();
    for i in 0..25 {
        put(&files, &format!("/{i}"), "1").await;
    }
    let mut query = TreeDiffQuery {
        path: "/".into(),
        from: At::Revision(before),
        limit: 10,
        ..TreeDiffQuery::default()
    };
    let mut paths = Vec::new();
    loop {
        let page = files.diff_tree_page(query.clone()).await.unwrap();
        assert_eq!(page.total, 25);
        paths.extend(page.diff.changes.into_iter().map(|change| change.path));
        put(&files, "/a", "later").await;
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    let mut expected: Vec<String> = (0..25).map(|i| format!("/{i}")).collect();
    expected.sort();
    assert_eq!(paths, expected);
    for cursor in ["", "t", "t1.2", "t1.2.3.4", "t1.2.x", "l1"] {
        query.cursor = Some(cursor.into());
        let error = files.diff_tree_page(query.clone()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{cursor}");
    }
    query.limit = 10_001;
    let error = files.diff_tree_page(query).await.unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
}
