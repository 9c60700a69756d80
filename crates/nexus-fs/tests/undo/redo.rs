//! Undo of undo, and what cannot be undone.

use nexus_fs::{
    At, BatchStep, LogQuery, MkdirOptions, OnConflict, UndoOptions, UndoWhat, WriteOptions,
};
use nexus_kernel::{Durability, Kind, Revision};

use crate::common::{World, everything, label, mode, of, operation, refused, remove, rename, undo};
use crate::support::{put, text};

async fn work(world: &World) {
    put(&world.others, "/a", "1").await;
    put(&world.others, "/d/e/b", "2").await;
    put(&world.others, "/gone/c", "3").await;
    label(&world.others, "/a", "key", Some("value")).await;
    put(&world.ours, "/a", "4").await;
    put(&world.ours, "/new/f", "5").await;
    rename(&world.ours, "/d/e", "/e").await;
    mode(&world.ours, "/e/b", 0o600).await;
    remove(&world.ours, "/gone").await;
    label(&world.ours, "/a", "key", None).await;
    let link = world.ours.hard_link("/a", "/new/link", Durability::Sync);
    link.await.unwrap();
    remove(&world.ours, "/a").await;
}

/// However often, and whether or not trees were cleared away between.
#[tokio::test]
async fn undo_and_undo_of_undo_go_back_and_forth() {
    for cleared in [false, true] {
        let world = World::new().await;
        work(&world).await;
        let done = everything(&world.others).await;
        let mut undone = None;
        for round in 0..3 {
            if cleared {
                world.cleared().await;
            }
            let undo_of_all = world.undo().await.revisions[0];
            let now = everything(&world.others).await;
            assert_eq!(*undone.get_or_insert(now.clone()), now, "round {round}");
            let nothing = world.others.undo(of("ours")).await;
            refused(nothing, Kind::NotFound);
            let redo = undo(&world.others, undo_of_all).await.revisions[0];
            assert_eq!(everything(&world.others).await, done, "round {round}");
            if cleared {
                world.cleared().await;
            }
            let again = undo(&world.others, redo).await.revisions[0];
            let now = everything(&world.others).await;
            assert_eq!(undone.as_ref(), Some(&now), "round {round}");
            undo(&world.others, again).await;
            assert_eq!(everything(&world.others).await, done, "round {round}");
        }
        world.assert_sound().await;
    }
}

/// What is undone again only in part is not undone: the rest can be.
#[tokio::test]
async fn what_is_undone_again_in_part_can_still_be_undone() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/b", "1").await;
    let write = |path: &str| BatchStep::Write {
        path: path.to_owned(),
        content: "2".into(),
        options: WriteOptions::default(),
    };
    let steps = vec![write("/a"), write("/b")];
    world.ours.batch(steps, Durability::Sync).await.unwrap();
    let done = world.ours.revision().await.unwrap();
    let undone = undo(&world.others, done).await.revisions[0];
    let redone = undo(&world.others, undone).await.revisions[0];
    put(&world.others, "/a", "3").await;
    let with = |revision, on_conflict| UndoOptions {
        on_conflict,
        ..operation(revision)
    };
    let again = world.others.undo(with(redone, OnConflict::Skip)).await;
    assert_eq!(again.unwrap().conflicts.len(), 1);
    assert_eq!(text(&world.others, "/a").await, "3");
    assert_eq!(text(&world.others, "/b").await, "1");
    let rest = world.others.undo(with(done, OnConflict::Force)).await;
    rest.unwrap();
    assert_eq!(text(&world.others, "/a").await, "1");
    assert_eq!(text(&world.others, "/b").await, "1");
    let error = world.others.undo(operation(done)).await;
    refused(error, Kind::AlreadyExists);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_run_that_undoes_itself_has_nothing_left_to_undo() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.ours, "/a", "2").await;
    world.ours.undo(of("ours")).await.unwrap();
    refused(world.ours.undo(of("ours")).await, Kind::NotFound);
    put(&world.ours, "/a", "3").await;
    world.ours.undo(of("ours")).await.unwrap();
    let read = world.ours.read("/a", At::Latest).await.unwrap();
    assert_eq!(read.bytes, "1");
}

#[tokio::test]
async fn what_is_undone_already_is_refused_with_what_undid_it() {
    let world = World::new().await;
    put(&world.ours, "/a", "1").await;
    let made = world.ours.revision().await.unwrap();
    let by = undo(&world.others, made).await.revisions[0];
    let again = world.others.undo(operation(made)).await;
    let error = refused(again, Kind::AlreadyExists);
    assert_eq!(error.fact("undone_by"), Some(by.to_string().as_str()));
    undo(&world.others, by).await;
    undo(&world.others, made).await;
}

#[tokio::test]
async fn an_undo_is_an_operation_of_the_log_that_tells_what_it_is_about() {
    let world = World::new().await;
    put(&world.ours, "/a", "1").await;
    let made = world.ours.revision().await.unwrap();
    let by = undo(&world.others, made).await.revisions[0];
    let query = LogQuery {
        newest_first: true,
        limit: 1,
        ..LogQuery::default()
    };
    let record = world.others.log(query).await.unwrap().records.remove(0);
    assert_eq!(record.revision, by);
    assert_eq!(record.operation.as_deref(), Some("undo"));
    assert_eq!(record.about, [made]);
    assert_eq!(record.session.as_deref(), Some("others"));
}

#[tokio::test]
async fn there_must_be_something_to_undo() {
    let world = World::new().await;
    put(&world.ours, "/a", "1").await;
    let newest = world.ours.revision().await.unwrap();
    let undo = |what| world.others.undo(UndoOptions::new(what));
    let later = UndoWhat::Operation(Revision(newest.0 + 1));
    refused(undo(later).await, Kind::InvalidArgument);
    let none = UndoWhat::Operation(Revision(1));
    refused(undo(none).await, Kind::NotFound);
    let backwards = UndoWhat::Range {
        from: newest,
        to: Revision(1),
    };
    refused(undo(backwards).await, Kind::InvalidArgument);
    refused(undo(UndoWhat::OfSession("x".into())).await, Kind::NotFound);
}

#[tokio::test]
async fn a_range_and_all_of_an_actor_are_undone() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    let before = world.others.revision().await.unwrap();
    put(&world.ours, "/a", "2").await;
    put(&world.ours, "/b/c", "2").await;
    let newest = world.others.revision().await.unwrap();
    let range = UndoWhat::Range {
        from: before.next(),
        to: newest,
    };
    let report = world.others.undo(UndoOptions::new(range)).await.unwrap();
    assert_eq!(report.operations.len(), 2);
    undo(&world.others, report.revisions[0]).await;
    let actor = UndoWhat::OfActor {
        actor: "system:system".into(),
        since: Some(At::Revision(before)),
        until: Some(At::Revision(newest)),
    };
    world.others.undo(UndoOptions::new(actor)).await.unwrap();
    let read = world.others.read("/a", At::Latest).await.unwrap();
    assert_eq!(read.bytes, "1");
    assert!(!world.others.exists("/b", At::Latest).await.unwrap());
}

#[tokio::test]
async fn a_part_is_undone_by_path_and_the_rest_later() {
    let world = World::new().await;
    put(&world.ours, "/a/x", "1").await;
    put(&world.ours, "/b/x", "1").await;
    let part = UndoOptions {
        path_prefix: Some("/a".into()),
        ..of("ours")
    };
    world.others.undo(part).await.unwrap();
    let left = everything(&world.others).await;
    let left: Vec<&str> = left.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(left, ["/b", "/b/x"]);
    world.undo().await;
    assert_eq!(everything(&world.others).await, []);
}

#[tokio::test]
async fn what_was_skipped_can_be_undone_later() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.ours, "/a", "2").await;
    put(&world.ours, "/b", "2").await;
    put(&world.others, "/a", "3").await;
    let work_of_others = world.others.revision().await.unwrap();
    let skip = UndoOptions {
        on_conflict: OnConflict::Skip,
        ..of("ours")
    };
    world.others.undo(skip).await.unwrap();
    undo(&world.others, work_of_others).await;
    world.undo().await;
    let read = world.others.read("/a", At::Latest).await.unwrap();
    assert_eq!(read.bytes, "1");
}

/// What an undo outside of the part has undone stays undone.
#[tokio::test]
async fn an_undo_outside_of_the_part_is_not_undone_with_it() {
    let world = World::new().await;
    put(&world.others, "/a/x", "1").await;
    put(&world.others, "/b/y", "1").await;
    put(&world.others, "/b/y", "2").await;
    let first = world.others.revision().await.unwrap();
    let by = undo(&world.ours, first).await.revisions[0];
    put(&world.ours, "/a/x", "2").await;
    let in_a = UndoOptions {
        path_prefix: Some("/a".into()),
        ..of("ours")
    };
    let report = world.others.undo(in_a).await.unwrap();
    assert!(!report.operations.contains(&by));
    assert_eq!(text(&world.others, "/b/y").await, "1");
    let error = refused(
        world.others.undo(operation(first)).await,
        Kind::AlreadyExists,
    );
    assert_eq!(error.fact("undone_by"), Some(by.to_string().as_str()));
}

/// A file that goes with its directory goes as it is, also if one of its names there is undone for
/// itself, and comes back so.
#[tokio::test]
async fn a_file_that_goes_with_its_directory_comes_back_as_it_was() {
    let world = World::new().await;
    let made = world.ours.mkdir("/d", MkdirOptions::default()).await;
    made.unwrap();
    put(&world.others, "/d/a", "1").await;
    let linked = world.ours.hard_link("/d/a", "/d/b", Durability::Sync);
    linked.await.unwrap();
    put(&world.ours, "/d/a", "2").await;
    put(&world.others, "/d/a", "3").await;
    let done = everything(&world.others).await;
    let force = UndoOptions {
        on_conflict: OnConflict::Force,
        ..of("ours")
    };
    let by = world.others.undo(force).await.unwrap().revisions[0];
    assert_eq!(everything(&world.others).await, []);
    undo(&world.others, by).await;
    assert_eq!(everything(&world.others).await, done);
    world.assert_sound().await;
}
