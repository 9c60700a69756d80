//! What a zone has beside files: snapshots, forks, locks, policies, and history that has gone.

use std::time::Duration;

use futures::StreamExt;
use nexus_fs::{
    AcquireOptions, At, CursorName, ExportOptions, LineageQuery, LogQuery, MergeOptions,
    MoveOptions, NewSnapshot, NewWorkspace, RemoveOptions, RetentionLimits, UndoOptions, UndoWhat,
};
use nexus_kernel::{Kind, Timestamp};

use super::{export, import, noise, problems, revision_of, same, system, write};
use crate::forks::fork;
use crate::support::{fresh, memory_stores, put, text};

/// Snapshots, forks, locks, policies and lineage come along, for whatever gets rows is in an
/// archive; a token that is given out on the other side is larger than any of this one.
#[tokio::test]
async fn all_that_a_zone_has_beside_files_comes_along() {
    let (_zone, files) = fresh().await;
    for n in 0..5 {
        put(&files, &format!("/d/{n}"), &format!("text {n}")).await;
        write(&files, &format!("/d/large-{n}"), noise(n, 50_000)).await;
    }
    let new = NewSnapshot {
        name: Some("first".into()),
        ..NewSnapshot::default()
    };
    files.create_snapshot("/d", new).await.unwrap();
    fork(&files, "/d", "/f").await;
    put(&files, "/f/0", "changed in the fork").await;
    // One of several parts.
    fork(&files, "/", "/all").await;
    put(&files, "/all/f/0", "changed in the fork of the fork").await;
    let remove = RemoveOptions::default();
    files.remove("/f/1", remove).await.unwrap();
    let merged = files.merge("/f", MergeOptions::default()).await;
    assert!(merged.unwrap().applied);
    put(&files, "/f/2", "changed since the merge").await;
    let registered = files.register_workspace("/f", NewWorkspace::default());
    registered.await.unwrap();
    files
        .copy("/d/3", "/copy", MoveOptions::default())
        .await
        .unwrap();
    let limits = RetentionLimits {
        max_versions: Some(3),
        ..RetentionLimits::default()
    };
    files.set_retention("/logs/**", limits).await.unwrap();
    let lease = files.acquire_lock("/d/0", AcquireOptions::default()).await;
    let lease = lease.unwrap();

    let archive = export(&files).await;
    let stores = memory_stores();
    let copy = import(&stores, &archive).await;
    let copy = system(&copy);
    let until = revision_of(&archive).await;
    same::same_history(&files, &copy, until).await;
    let snapshot = At::Snapshot("first".into());
    same::same_state(&files, &copy, snapshot).await;
    assert_eq!(
        copy.snapshot("first").await.unwrap(),
        files.snapshot("first").await.unwrap()
    );
    assert_eq!(
        copy.retention().await.unwrap(),
        files.retention().await.unwrap()
    );
    assert_eq!(
        copy.lineage("/copy", LineageQuery::default())
            .await
            .unwrap(),
        files
            .lineage("/copy", LineageQuery::default())
            .await
            .unwrap()
    );
    assert_eq!(problems(&copy).await, Vec::<String>::new());
    let other = AcquireOptions::default();
    let taken = copy.acquire_lock("/d/0", other).await.unwrap_err();
    assert_eq!(taken.kind(), Kind::Conflict);
    let next = copy.acquire_lock("/d/3", AcquireOptions::default()).await;
    assert!(next.unwrap().token > lease.token);
    // What is made anew meets nothing that was there.
    put(&copy, "/f/new", "1").await;
    put(&copy, "/d/new", "2").await;
    assert_eq!(problems(&copy).await, Vec::<String>::new());
}

/// A lock may have a name that no file can have, and the log tells what became of it.
#[tokio::test]
async fn locks_with_names_that_are_no_paths_come_along() {
    let (_zone, files) = fresh().await;
    let long = format!("name:{}", "n".repeat(255));
    for resource in ["name:a/../b", "name:x/./y", &long] {
        let lease = files.acquire_lock(resource, AcquireOptions::default());
        lease.await.unwrap();
        files.force_unlock(resource, None).await.unwrap();
    }
    let archive = export(&files).await;
    let copy = import(&memory_stores(), &archive).await;
    let query = LogQuery::default;
    let told = system(&copy).log(query()).await.unwrap();
    assert_eq!(told.records.len(), 3);
    assert_eq!(told.records, files.log(query()).await.unwrap().records);
}

/// Merges, undone operations, cursors and workspaces come along too, and go on where they were.
#[tokio::test]
async fn what_was_merged_undone_and_acknowledged_comes_along() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/a", "1").await;
    fork(&files, "/d", "/f").await;
    put(&files, "/f/a", "2").await;
    files.merge("/f", MergeOptions::default()).await.unwrap();
    put(&files, "/f/a", "3").await;
    let spoiled = write(&files, "/d/b", noise(1, 100)).await;
    let undo = |what| files.undo(UndoOptions::new(what));
    undo(UndoWhat::Operation(spoiled)).await.unwrap();
    files
        .register_workspace("/d", NewWorkspace::default())
        .await
        .unwrap();
    let cursor: CursorName = "reader".parse().unwrap();
    files.create_cursor(&cursor, None).await.unwrap();

    let stores = memory_stores();
    let copy = import(&stores, &export(&files).await).await;
    let copy = system(&copy);
    assert_eq!(
        copy.cursor(&cursor).await.unwrap(),
        files.cursor(&cursor).await.unwrap()
    );
    assert_eq!(copy.workspace("/d").await.unwrap().path, "/d");
    let again = copy
        .undo(UndoOptions::new(UndoWhat::Operation(spoiled)))
        .await;
    assert_eq!(again.unwrap_err().kind(), Kind::AlreadyExists);
    let merged = copy.merge("/f", MergeOptions::default()).await.unwrap();
    assert_eq!(merged.changes.len(), 1, "only what changed since the merge");
    assert_eq!(text(&copy, "/d/a").await, "3");
}

/// Where history was collected, the copy says so as the original does.
#[tokio::test]
async fn collected_history_is_as_unreadable_in_the_copy() {
    let (_zone, files) = fresh().await;
    let mut revisions = Vec::new();
    for n in 0..6 {
        revisions.push(write(&files, "/f", noise(n, 30_000)).await);
    }
    let limits = RetentionLimits {
        max_versions: Some(2),
        ..RetentionLimits::default()
    };
    files.set_retention("/**", limits).await.unwrap();
    let later = Timestamp(files.now().0 + 1_000_000_000);
    files.compact(later, false).await.unwrap();
    let archive = export(&files).await;
    let stores = memory_stores();
    let copy = import(&stores, &archive).await;
    let copy = system(&copy);
    same::same_state(&files, &copy, At::Latest).await;
    let mut gone = 0;
    for revision in revisions {
        let one = files.read("/f", At::Revision(revision)).await;
        let other = copy.read("/f", At::Revision(revision)).await;
        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one.bytes, other.bytes),
            (one, other) => {
                assert_eq!(one.unwrap_err().to_string(), other.unwrap_err().to_string());
                gone += 1;
            }
        }
    }
    assert!(gone > 0, "nothing was collected");
    assert_eq!(problems(&copy).await, Vec::<String>::new());
}

/// An export that nobody takes gives up what it holds.
#[tokio::test(start_paused = true)]
async fn an_export_that_nobody_takes_ends() {
    let (_zone, files) = fresh().await;
    for n in 0..40 {
        write(&files, &format!("/{n}"), noise(n, 200_000)).await;
    }
    let body = files.export_zone(ExportOptions::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(301)).await;
    let taken: Vec<_> = body.collect().await;
    let last = taken.last().unwrap().as_ref().unwrap_err();
    assert_eq!(last.kind(), Kind::Unavailable);
    assert!(last.message().contains("--resume"), "{last}");
}
