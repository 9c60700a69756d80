//! What others have done since.

use bytes::Bytes;
use nexus_fs::{
    At, BatchStep, KEYS_MAX, MoveOptions, OnConflict, UndoConflict, UndoEffect, UndoKind,
    UndoOptions,
};
use nexus_kernel::{Durability, Kind, Revision};

use crate::common::{
    World, effect, everything, label, mode, of, operation, refused, remove, rename, undo,
};
use crate::support::{put, text};

impl World {
    /// The conflicts of undoing all that we did: path and revision.
    async fn conflicts(&self) -> Vec<(String, Option<u64>)> {
        let dry_run = UndoOptions {
            dry_run: true,
            ..of("ours")
        };
        let report = self.others.undo(dry_run).await.unwrap();
        let told = report.conflicts.into_iter();
        told.map(|told| (told.path, told.revision.map(|revision| revision.0)))
            .collect()
    }

    async fn undo_with(&self, on_conflict: OnConflict) -> nexus_fs::UndoReport {
        let options = UndoOptions {
            on_conflict,
            ..of("ours")
        };
        self.others.undo(options).await.unwrap()
    }
}

async fn newest(world: &World) -> u64 {
    world.others.revision().await.unwrap().0
}

#[tokio::test]
async fn a_content_that_others_have_replaced_is_a_conflict_and_nothing_is_undone() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/b", "1").await;
    put(&world.ours, "/a", "2").await;
    put(&world.ours, "/b", "2").await;
    put(&world.others, "/a", "3").await;
    let by = newest(&world).await;
    assert_eq!(world.conflicts().await, [("/a".to_owned(), Some(by))]);
    let before = everything(&world.others).await;
    let error = refused(world.others.undo(of("ours")).await, Kind::Conflict);
    assert_eq!(error.fact("conflicts"), Some("1"));
    assert_eq!(error.fact("path"), Some("/a"));
    assert_eq!(everything(&world.others).await, before);
}

#[tokio::test]
async fn files_with_conflicts_are_skipped_or_overruled() {
    for (on_conflict, a) in [(OnConflict::Skip, "3"), (OnConflict::Force, "1")] {
        let world = World::new().await;
        put(&world.others, "/a", "1").await;
        put(&world.others, "/b", "1").await;
        put(&world.ours, "/a", "2").await;
        put(&world.ours, "/b", "2").await;
        put(&world.others, "/a", "3").await;
        let report = world.undo_with(on_conflict).await;
        let told = UndoConflict {
            path: "/a".to_owned(),
            revision: Some(Revision(report.revisions[0].0 - 1)),
            actor: Some("system:system".to_owned()),
            can_force: true,
            collected: false,
        };
        assert_eq!(report.conflicts, [told]);
        assert_eq!(text(&world.others, "/a").await, a);
        assert_eq!(text(&world.others, "/b").await, "1");
        world.assert_sound().await;
    }
}

/// What others have done to another side of a file stands on nothing that is undone.
#[tokio::test]
async fn each_side_of_a_file_is_undone_by_itself() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/b", "1").await;
    mode(&world.ours, "/a", 0o600).await;
    label(&world.ours, "/a", "ours", Some("1")).await;
    rename(&world.ours, "/b", "/c").await;
    put(&world.others, "/a", "2").await;
    label(&world.others, "/a", "others", Some("1")).await;
    put(&world.others, "/c", "3").await;
    let report = world.undo().await;
    let renamed = UndoEffect {
        path: "/b".to_owned(),
        kind: UndoKind::RenameBack,
        from: Some("/c".to_owned()),
    };
    let attributes = effect("/a", UndoKind::Attributes);
    let metadata = effect("/a", UndoKind::Metadata);
    assert_eq!(report.effects, [attributes, metadata, renamed]);
    assert_eq!(text(&world.others, "/a").await, "2");
    assert_eq!(text(&world.others, "/b").await, "3");
    let stat = world.others.stat("/a", At::Latest).await.unwrap();
    assert_eq!(stat.mode, 0o644);
    let metadata = world.others.metadata("/a", At::Latest).await.unwrap();
    assert_eq!(metadata, [("others".to_owned(), "1".into())]);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_file_that_others_use_does_not_go() {
    let world = World::new().await;
    put(&world.ours, "/written", "1").await;
    put(&world.others, "/written", "2").await;
    put(&world.ours, "/linked", "1").await;
    let link = world.others.hard_link("/linked", "/link", Durability::Sync);
    link.await.unwrap();
    put(&world.ours, "/labeled", "1").await;
    label(&world.others, "/labeled", "key", Some("value")).await;
    put(&world.ours, "/moved", "1").await;
    rename(&world.others, "/moved", "/elsewhere").await;
    put(&world.ours, "/unused", "1").await;
    let told = world.conflicts().await;
    let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/elsewhere", "/labeled", "/linked", "/written"]);
    let report = world.undo_with(OnConflict::Skip).await;
    assert_eq!(report.effects, [effect("/unused", UndoKind::Remove)]);
    world.assert_sound().await;
    world.undo_with(OnConflict::Force).await;
    let left = everything(&world.others).await;
    let left: Vec<&str> = left.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(left, ["/link"]);
    world.assert_sound().await;
}

/// What others said of it went with it, and is in nobody's way.
#[tokio::test]
async fn a_file_that_was_made_and_deleted_by_us_leaves_nothing_to_undo() {
    let world = World::new().await;
    put(&world.ours, "/a", "1").await;
    label(&world.others, "/a", "key", Some("value")).await;
    mode(&world.others, "/a", 0o600).await;
    remove(&world.ours, "/a").await;
    refused(world.others.undo(of("ours")).await, Kind::NotFound);
    put(&world.ours, "/b", "1").await;
    let report = world.undo().await;
    assert_eq!(report.effects, [effect("/b", UndoKind::Remove)]);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_directory_that_others_work_in_does_not_go() {
    let world = World::new().await;
    put(&world.ours, "/d/ours", "1").await;
    put(&world.others, "/d/others", "2").await;
    let by = newest(&world).await;
    assert_eq!(world.conflicts().await, [("/d".to_owned(), Some(by))]);
    let report = world.undo_with(OnConflict::Skip).await;
    assert_eq!(report.effects, [effect("/d/ours", UndoKind::Remove)]);
    world.assert_sound().await;
    world.undo_with(OnConflict::Force).await;
    assert_eq!(everything(&world.others).await, []);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_copy_that_others_work_in_does_not_go() {
    let world = World::new().await;
    put(&world.others, "/d/e/a", "1").await;
    let copied = world.ours.copy("/d", "/copy", MoveOptions::default());
    copied.await.unwrap();
    put(&world.others, "/copy/e/a", "2").await;
    let by = newest(&world).await;
    assert_eq!(world.conflicts().await, [("/copy".to_owned(), Some(by))]);
    refused(world.others.undo(of("ours")).await, Kind::Conflict);
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict() {
    for on_conflict in [OnConflict::Skip, OnConflict::Force] {
        let world = World::new().await;
        put(&world.others, "/a", "1").await;
        put(&world.others, "/b", "1").await;
        rename(&world.ours, "/a", "/c").await;
        remove(&world.ours, "/b").await;
        put(&world.others, "/a", "2").await;
        put(&world.others, "/b", "2").await;
        let told = world.conflicts().await;
        let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/b", "/c"]);
        world.undo_with(on_conflict).await;
        let force = on_conflict == OnConflict::Force;
        let a = if force { "1" } else { "2" };
        assert_eq!(text(&world.others, "/a").await, a);
        assert_eq!(text(&world.others, "/b").await, a);
        assert_eq!(world.others.exists("/c", At::Latest).await.unwrap(), !force);
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_file_that_others_moved_on_is_forced_back_to_one_name() {
    let world = World::new().await;
    put(&world.others, "/d/a", "1").await;
    put(&world.others, "/f", "1").await;
    rename(&world.ours, "/d", "/e").await;
    rename(&world.ours, "/f", "/g").await;
    rename(&world.others, "/e", "/x").await;
    rename(&world.others, "/g", "/y").await;
    refused(world.others.undo(of("ours")).await, Kind::Conflict);
    world.undo_with(OnConflict::Force).await;
    let all = everything(&world.others).await;
    let paths: Vec<&str> = all.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["/d", "/d/a", "/f"]);
    world.assert_sound().await;
}

/// Whether the deleted directory has been cleared away already makes no difference.
#[tokio::test]
async fn what_others_deleted_with_its_directory_does_not_come_back() {
    for cleared in [false, true] {
        let world = World::new().await;
        put(&world.others, "/a", "1").await;
        put(&world.others, "/d/edited", "1").await;
        put(&world.others, "/d/deleted", "1").await;
        put(&world.ours, "/d/edited", "2").await;
        remove(&world.ours, "/d/deleted").await;
        put(&world.ours, "/d/made", "1").await;
        rename(&world.ours, "/a", "/d/moved").await;
        let by = remove(&world.others, "/d").await.0;
        if cleared {
            world.cleared().await;
        }
        let told = world.conflicts().await;
        let expected = ["/d/deleted", "/d/edited", "/d/moved"];
        let expected = expected.map(|path| (path.to_owned(), Some(by)));
        assert_eq!(told, expected, "cleared: {cleared}");
        refused(world.others.undo(of("ours")).await, Kind::Conflict);
        world.undo_with(OnConflict::Skip).await;
        world.assert_sound().await;
        assert_eq!(everything(&world.others).await, []);
    }
}

/// Nor does a file get more metadata, or names, than it may have.
#[tokio::test]
async fn a_file_does_not_get_more_than_it_may_have() {
    let world = World::new().await;
    put(&world.others, "/f", "1").await;
    let set = |who: &str, value: Option<&'static str>| {
        let keys = (0..KEYS_MAX * 3 / 5).map(move |n| format!("{n}"));
        let who = who.to_owned();
        let value = value.map(Bytes::from);
        keys.map(move |key| (format!("{who}-{key}"), value.clone()))
            .collect::<Vec<_>>()
    };
    let all = set("first", Some("1"));
    world
        .others
        .set_metadata("/f", all, Durability::Sync)
        .await
        .unwrap();
    let none = set("first", None);
    world
        .ours
        .set_metadata("/f", none, Durability::Sync)
        .await
        .unwrap();
    let all = set("then", Some("1"));
    world
        .others
        .set_metadata("/f", all, Durability::Sync)
        .await
        .unwrap();
    let done = everything(&world.others).await;
    for on_conflict in [OnConflict::Skip, OnConflict::Force] {
        let report = world.undo_with(on_conflict).await;
        let told = report
            .conflicts
            .iter()
            .map(|told| (&told.path[..], told.can_force));
        assert_eq!(told.collect::<Vec<_>>(), [("/f", false)]);
        assert_eq!(everything(&world.others).await, done);
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn a_directory_does_not_get_below_itself() {
    let world = World::new().await;
    put(&world.others, "/x/y/a", "1").await;
    rename(&world.ours, "/x/y", "/y").await;
    let by = rename(&world.others, "/x", "/y/x").await.0;
    let dry_run = UndoOptions {
        dry_run: true,
        on_conflict: OnConflict::Force,
        ..of("ours")
    };
    let report = world.others.undo(dry_run).await.unwrap();
    let told = UndoConflict {
        path: "/y".to_owned(),
        revision: Some(Revision(by)),
        actor: Some("system:system".to_owned()),
        can_force: false,
        collected: false,
    };
    assert_eq!(report.conflicts, [told]);
    assert!(report.effects.is_empty());
    refused(world.others.undo(of("ours")).await, Kind::Conflict);
}

#[tokio::test]
async fn later_work_of_the_same_run_stands_on_one_operation() {
    let world = World::new().await;
    put(&world.ours, "/a", "1").await;
    let first = newest(&world).await;
    put(&world.ours, "/a", "2").await;
    let error = world.ours.undo(operation(Revision(first))).await;
    refused(error, Kind::Conflict);
    let second = newest(&world).await;
    undo(&world.ours, Revision(second)).await;
    assert_eq!(text(&world.ours, "/a").await, "1");
    undo(&world.ours, Revision(first)).await;
    assert!(!world.ours.exists("/a", At::Latest).await.unwrap());
}

/// What was moved out of the part that is undone stays where it is, under one name.
#[tokio::test]
async fn a_directory_that_left_the_prefix_keeps_one_name() {
    for (on_conflict, path) in [(OnConflict::Skip, "/b/e/f"), (OnConflict::Force, "/a/d/f")] {
        let world = World::new().await;
        put(&world.others, "/a/d/f", "1").await;
        put(&world.others, "/b/other", "1").await;
        rename(&world.ours, "/a/d", "/a/e").await;
        let by = rename(&world.ours, "/a/e", "/b/e").await;
        let in_a = UndoOptions {
            path_prefix: Some("/a".to_owned()),
            ..of("ours")
        };
        let error = refused(world.others.undo(in_a.clone()).await, Kind::Conflict);
        assert_eq!(error.fact("path"), Some("/b/e"));
        let options = UndoOptions {
            on_conflict,
            ..in_a
        };
        let report = world.others.undo(options).await.unwrap();
        assert_eq!(report.conflicts[0].revision, Some(by));
        assert!(!report.operations.contains(&by));
        world.assert_sound().await;
        assert_eq!(text(&world.others, path).await, "1");
    }
}

/// So does what one operation has moved both within the part that is undone and out of it.
#[tokio::test]
async fn one_operation_that_is_partly_in_the_prefix_leaves_its_files_one_name() {
    let world = World::new().await;
    put(&world.others, "/a/d/f", "1").await;
    put(&world.others, "/a/g", "1").await;
    put(&world.others, "/b/other", "1").await;
    let moved = |from: &str, to: &str| BatchStep::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
        options: MoveOptions::default(),
    };
    let moves = vec![
        moved("/a/g", "/a/h"),
        moved("/a/d", "/a/e"),
        moved("/a/e", "/b/e"),
    ];
    world.ours.batch(moves, Durability::Sync).await.unwrap();
    for on_conflict in [OnConflict::Skip, OnConflict::Force] {
        let options = UndoOptions {
            on_conflict,
            path_prefix: Some("/a".to_owned()),
            ..of("ours")
        };
        _ = world.others.undo(options).await;
        world.assert_sound().await;
        assert_eq!(text(&world.others, "/b/e/f").await, "1");
        assert_eq!(text(&world.others, "/a/g").await, "1");
    }
}
