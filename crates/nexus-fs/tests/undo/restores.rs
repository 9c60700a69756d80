//! Restore: what a directory or a file was at a point.

use nexus_fs::{At, RestoreOptions, UndoKind, UndoReport};
use nexus_kernel::{Durability, Kind, Result, Revision};

use crate::common::{World, effect, everything, label, mode, refused, remove, rename, undo};
use crate::support::{put, text};

impl World {
    async fn restore(&self, path: &str, at: Revision) -> UndoReport {
        let at = At::Revision(at);
        let restored = self.ours.restore(path, at, RestoreOptions::default());
        restored.await.unwrap()
    }

    async fn restore_some(&self, at: Revision, paths: &[&str]) -> Result<UndoReport> {
        let options = RestoreOptions {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..RestoreOptions::default()
        };
        self.ours.restore("/w", At::Revision(at), options).await
    }
}

async fn before(world: &World) -> Revision {
    put(&world.ours, "/w/a", "1").await;
    put(&world.ours, "/w/d/b", "2").await;
    put(&world.ours, "/w/d/e/c", "3").await;
    put(&world.ours, "/w/gone/x/y", "4").await;
    put(&world.ours, "/w/gone/z", "5").await;
    label(&world.ours, "/w/a", "key", Some("value")).await;
    put(&world.ours, "/elsewhere/kept", "6").await;
    world.ours.revision().await.unwrap()
}

async fn after(world: &World) {
    put(&world.others, "/w/a", "7").await;
    label(&world.others, "/w/a", "key", None).await;
    put(&world.others, "/w/d/new", "8").await;
    rename(&world.others, "/w/d/e", "/w/f").await;
    rename(&world.others, "/w/d/b", "/elsewhere/b").await;
    put(&world.others, "/w/gone/new", "9").await;
    remove(&world.others, "/w/gone/z").await;
    remove(&world.others, "/w/gone").await;
    put(&world.others, "/w/added/p/q", "10").await;
    let link = world.others.hard_link("/w/a", "/w/link", Durability::Sync);
    link.await.unwrap();
    mode(&world.others, "/w/f/c", 0o600).await;
}

/// Whether deleted trees have been cleared away makes no difference.
#[tokio::test]
async fn a_directory_becomes_what_it_was_and_that_can_be_undone() {
    for cleared in [false, true] {
        let world = World::new().await;
        let point = before(&world).await;
        let was = everything(&world.ours).await;
        after(&world).await;
        if cleared {
            world.cleared().await;
        }
        let changed = everything(&world.ours).await;
        let report = world.restore("/w", point).await;
        assert_eq!(everything(&world.ours).await, was, "cleared: {cleared}");
        assert_eq!(report.conflicts, []);
        assert!(
            report
                .effects
                .contains(&effect("/w/added", UndoKind::Remove))
        );
        assert!(
            report
                .effects
                .contains(&effect("/w/gone", UndoKind::BringBack))
        );
        world.assert_sound().await;
        undo(&world.ours, report.revisions[0]).await;
        assert_eq!(everything(&world.ours).await, changed, "cleared: {cleared}");
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_restore_tells_what_it_would_do_and_does_nothing_twice() {
    let world = World::new().await;
    let point = before(&world).await;
    after(&world).await;
    let changed = everything(&world.ours).await;
    let dry_run = RestoreOptions {
        dry_run: true,
        ..RestoreOptions::default()
    };
    let told = world.ours.restore("/w", At::Revision(point), dry_run);
    let told = told.await.unwrap();
    assert!(told.revisions.is_empty());
    assert_eq!(everything(&world.ours).await, changed);
    let done = world.restore("/w", point).await;
    assert_eq!(done.effects, told.effects);
    let again = world.restore("/w", point).await;
    assert_eq!((again.revisions, again.effects), (vec![], vec![]));
}

#[tokio::test]
async fn some_paths_of_a_directory_are_restored() {
    let world = World::new().await;
    let point = before(&world).await;
    after(&world).await;
    let report = world.restore_some(point, &["d", "/w/gone/x"]).await;
    refused(report, Kind::Conflict);
    world.restore_some(point, &["d", "/w/gone"]).await.unwrap();
    assert_eq!(text(&world.ours, "/w/d/b").await, "2");
    assert_eq!(text(&world.ours, "/w/d/e/c").await, "3");
    assert_eq!(text(&world.ours, "/w/gone/x/y").await, "4");
    assert_eq!(text(&world.ours, "/w/a").await, "7");
    assert_eq!(text(&world.ours, "/w/added/p/q").await, "10");
    assert!(!world.ours.exists("/elsewhere/b", At::Latest).await.unwrap());
    world.assert_sound().await;
    refused(
        world.restore_some(point, &["/elsewhere"]).await,
        Kind::InvalidArgument,
    );
    refused(world.restore_some(point, &["never"]).await, Kind::NotFound);
}

#[tokio::test]
async fn a_file_is_restored_alone() {
    let world = World::new().await;
    let point = before(&world).await;
    after(&world).await;
    let report = world.restore("/w/a", point).await;
    let kinds: Vec<UndoKind> = report.effects.iter().map(|effect| effect.kind).collect();
    assert_eq!(kinds, [UndoKind::RestoreContent, UndoKind::Metadata]);
    assert_eq!(text(&world.ours, "/w/a").await, "1");
    assert_eq!(text(&world.ours, "/w/link").await, "1");
    world.assert_sound().await;
}

#[tokio::test]
async fn the_whole_zone_is_restored() {
    let world = World::new().await;
    let point = before(&world).await;
    let was = everything(&world.ours).await;
    after(&world).await;
    world.restore("/", point).await;
    assert_eq!(everything(&world.ours).await, was);
    world.assert_sound().await;
    let report = world.restore("/", Revision(1)).await;
    assert_eq!(everything(&world.ours).await, []);
    world.assert_sound().await;
    undo(&world.ours, report.revisions[0]).await;
    assert_eq!(everything(&world.ours).await, was);
    world.assert_sound().await;
}

/// What has come into the directory from elsewhere goes back, also out of a directory that is new.
#[tokio::test]
async fn what_was_moved_in_goes_back() {
    let world = World::new().await;
    put(&world.others, "/w/kept", "1").await;
    put(&world.others, "/other/f", "2").await;
    put(&world.others, "/other/d/x", "3").await;
    let was = everything(&world.ours).await;
    let point = world.ours.revision().await.unwrap();
    put(&world.others, "/w/new/sub/made", "4").await;
    rename(&world.others, "/other/f", "/w/new/sub/f").await;
    rename(&world.others, "/other/d", "/w/new/d").await;
    world.restore("/w", point).await;
    assert_eq!(everything(&world.ours).await, was);
    world.assert_sound().await;
}

/// Where its place is taken, it stays, with the directory that it is in.
#[tokio::test]
async fn what_was_moved_in_stays_where_there_is_no_room_for_it() {
    let world = World::new().await;
    put(&world.others, "/w/kept", "1").await;
    put(&world.others, "/other/f", "2").await;
    put(&world.others, "/other/d/x", "3").await;
    let point = world.ours.revision().await.unwrap();
    put(&world.others, "/w/kept", "4").await;
    put(&world.others, "/w/new/made", "5").await;
    rename(&world.others, "/other/f", "/w/new/f").await;
    rename(&world.others, "/other/d", "/w/d").await;
    put(&world.others, "/other/f", "6").await;
    put(&world.others, "/other/d/y", "7").await;
    let report = world.restore("/w", point).await;
    let told = report.conflicts.iter();
    let told: Vec<(&str, bool)> = told
        .map(|conflict| (conflict.path.as_str(), conflict.can_force))
        .collect();
    assert_eq!(
        told,
        [("/w/d", false), ("/w/new", false), ("/w/new/f", false)]
    );
    for (path, content) in [
        ("/w/kept", "1"),
        ("/w/d/x", "3"),
        ("/w/new/f", "2"),
        ("/other/f", "6"),
        ("/other/d/y", "7"),
    ] {
        assert_eq!(text(&world.ours, path).await, content);
    }
    world.assert_sound().await;
}
