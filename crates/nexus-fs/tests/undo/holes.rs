//! Undo and restore over history that a policy has made holes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nexus_fs::{
    At, NewSnapshot, OnConflict, RestoreOptions, RetentionLimits, Session, UndoConflict, UndoKind,
    UndoOptions, UndoReport, UndoWhat, ZoneConfig,
};
use nexus_kernel::{Kind, Revision, Timestamp};
use nexus_service_api::{Clock, SystemClock};

use crate::common::{World, effect, everything, label, of, operation, refused, remove, rename};
use crate::support::{memory_stores, put, text};

/// Every content is counted.
async fn world() -> World {
    let config = ZoneConfig {
        inline_bytes_max: 0,
        ..ZoneConfig::default()
    };
    World::with(memory_stores(), config).await
}

/// Collects all but so many versions of the files that match.
async fn keep_versions(files: &Session, pattern: &str, versions: u64) {
    let limits = RetentionLimits {
        max_age: None,
        max_versions: Some(versions),
    };
    files.set_retention(pattern, limits).await.unwrap();
    let report = files.compact(SystemClock.now(), false).await.unwrap();
    assert!(report.rows > 0, "{report:?}");
}

/// Collects all of the files that match but what they are, an hour from now.
async fn keep_nothing(files: &Session, pattern: &str) {
    let limits = RetentionLimits {
        max_age: Some(Duration::from_secs(60)),
        max_versions: None,
    };
    files.set_retention(pattern, limits).await.unwrap();
    let later = Timestamp(SystemClock.now().0 + 3_600_000_000_000);
    let report = files.compact(later, false).await.unwrap();
    assert!(report.rows > 0, "{report:?}");
}

async fn snapshot(files: &Session, name: &str) {
    let new = NewSnapshot {
        name: Some(name.to_owned()),
        ..NewSnapshot::default()
    };
    files.create_snapshot("/", new).await.unwrap();
}

async fn undo_with(world: &World, on_conflict: OnConflict) -> UndoReport {
    let options = UndoOptions {
        on_conflict,
        ..of("ours")
    };
    world.others.undo(options).await.unwrap()
}

fn collected(path: &str) -> UndoConflict {
    UndoConflict {
        path: path.to_owned(),
        revision: None,
        actor: None,
        can_force: false,
        collected: true,
    }
}

/// What a snapshot holds on to is restored, whatever has been collected since.
#[tokio::test]
async fn a_snapshot_is_restored_over_holes() {
    let world = world().await;
    for file in ["/w/f", "/w/d/g", "/w/gone"] {
        put(&world.others, file, "before").await;
        label(&world.others, file, "key", Some("before")).await;
    }
    let was = everything(&world.others).await;
    snapshot(&world.others, "s").await;
    for round in 0..5 {
        for file in ["/w/f", "/w/d/g", "/w/gone"] {
            put(&world.others, file, &format!("after {round}")).await;
            label(&world.others, file, "key", Some(&round.to_string())).await;
        }
    }
    remove(&world.others, "/w/gone").await;
    rename(&world.others, "/w/d/g", "/w/h").await;
    keep_versions(&world.others, "/**", 1).await;
    keep_nothing(&world.others, "/w/**").await;
    let at = At::Snapshot("s".into());
    let restored = world.others.restore("/", at, RestoreOptions::default());
    let report = restored.await.unwrap();
    assert_eq!(report.conflicts, []);
    assert_eq!(everything(&world.others).await, was);
    let stat = world.others.stat("/w/f", At::Latest).await.unwrap();
    assert_eq!(stat.version, 7, "none is used again");
    world.assert_sound().await;
    world.others.gc(false).await.unwrap();
    assert_eq!(everything(&world.others).await, was);
}

/// A point in a hole is no point to restore to; which file that is is told.
#[tokio::test]
async fn a_restore_into_a_hole_is_refused() {
    let world = world().await;
    put(&world.others, "/w/f", "1").await;
    put(&world.others, "/w/g", "1").await;
    let point = world.others.revision().await.unwrap();
    put(&world.others, "/w/f", "2").await;
    put(&world.others, "/w/g", "2").await;
    let end = world.others.revision().await.unwrap();
    keep_versions(&world.others, "/w/g", 1).await;
    let at = At::Revision(point);
    let restore = |path| {
        world
            .others
            .restore(path, at.clone(), RestoreOptions::default())
    };
    let error = refused(restore("/w").await, Kind::NotFound);
    assert_eq!(error.fact("path"), Some("/w/g"));
    assert_eq!(error.fact("oldest_readable"), Some(&end.to_string()[..]));
    assert_eq!(text(&world.others, "/w/f").await, "2");
    restore("/w/f").await.unwrap();
    assert_eq!(text(&world.others, "/w/f").await, "1");
}

/// A file of which is not known what it was stays as it is, and nothing forces it; the others are
/// undone.
#[tokio::test]
async fn what_has_been_collected_is_skipped_and_cannot_be_forced() {
    for on_conflict in [OnConflict::Skip, OnConflict::Force] {
        let world = world().await;
        for file in ["/f", "/g"] {
            put(&world.others, file, "before").await;
            put(&world.ours, file, "ours").await;
            put(&world.ours, file, "ours again").await;
        }
        let done = everything(&world.others).await;
        keep_versions(&world.others, "/g", 2).await;
        let error = refused(world.others.undo(of("ours")).await, Kind::Conflict);
        assert_eq!(error.fact("path"), Some("/g"));
        assert!(error.to_string().contains("collected"), "{error}");
        assert_eq!(everything(&world.others).await, done);
        let report = undo_with(&world, on_conflict).await;
        assert_eq!(report.conflicts, [collected("/g")]);
        let effects = [effect("/f", UndoKind::RestoreContent)];
        assert_eq!(report.effects, effects);
        assert_eq!(text(&world.others, "/f").await, "before");
        assert_eq!(text(&world.others, "/g").await, "ours again");
        world.assert_sound().await;
    }
}

/// So is a file whose metadata was something that is not known.
#[tokio::test]
async fn metadata_that_has_been_collected_is_skipped() {
    let world = world().await;
    put(&world.others, "/f", "1").await;
    label(&world.others, "/f", "key", Some("before")).await;
    label(&world.ours, "/f", "key", Some("ours")).await;
    keep_nothing(&world.others, "/f").await;
    put(&world.ours, "/new", "1").await;
    let report = world.undo_skipping().await;
    assert_eq!(report.conflicts, [collected("/f")]);
    assert!(!world.others.exists("/new", At::Latest).await.unwrap());
}

#[derive(Default)]
struct Hand(AtomicI64);

impl Hand {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

impl World {
    async fn undo_skipping(&self) -> UndoReport {
        undo_with(self, OnConflict::Skip).await
    }
}

/// What lies in a hole between what a file was and what it is is a write of whoever began it.
#[tokio::test]
async fn a_hole_above_what_a_file_was_is_as_any_write() {
    let world = world().await;
    put(&world.others, "/ours", "before").await;
    put(&world.others, "/theirs", "before").await;
    snapshot(&world.others, "s").await;
    for content in ["1", "2", "3"] {
        put(&world.ours, "/ours", content).await;
    }
    put(&world.ours, "/theirs", "1").await;
    snapshot(&world.others, "t").await;
    put(&world.others, "/theirs", "2").await;
    let by = world.others.revision().await.unwrap();
    put(&world.others, "/theirs", "3").await;
    keep_versions(&world.others, "/**", 1).await;
    let report = world.undo_skipping().await;
    let told = report.conflicts.iter();
    let told: Vec<(&str, Option<Revision>, bool)> = told
        .map(|told| (told.path.as_str(), told.revision, told.can_force))
        .collect();
    let last = (by.next(), by);
    assert_eq!(
        told,
        [
            ("/theirs", Some(last.1), true),
            ("/theirs", Some(last.0), true)
        ]
    );
    assert_eq!(text(&world.others, "/ours").await, "before");
    assert_eq!(text(&world.others, "/theirs").await, "3");
    world.assert_sound().await;
}

/// A rename is undone though it is not known any more what the file was then.
#[tokio::test]
async fn a_rename_is_undone_though_contents_have_been_collected() {
    let world = world().await;
    put(&world.others, "/f", "1").await;
    put(&world.others, "/f", "2").await;
    let by = rename(&world.ours, "/f", "/g").await;
    put(&world.others, "/g", "3").await;
    put(&world.others, "/g", "4").await;
    keep_versions(&world.others, "/**", 1).await;
    world.others.undo(operation(by)).await.unwrap();
    assert_eq!(text(&world.others, "/f").await, "4");
    assert!(!world.others.exists("/g", At::Latest).await.unwrap());
    world.assert_sound().await;
}

/// A file that was deleted, and whose content has been collected, does not come back.
#[tokio::test]
async fn a_deleted_file_without_content_stays_deleted() {
    let world = world().await;
    put(&world.others, "/f", "1").await;
    put(&world.others, "/g", "1").await;
    remove(&world.ours, "/f").await;
    remove(&world.ours, "/g").await;
    keep_nothing(&world.others, "/f").await;
    let report = undo_with(&world, OnConflict::Force).await;
    assert_eq!(report.conflicts, [collected("/f")]);
    assert!(!world.others.exists("/f", At::Latest).await.unwrap());
    assert_eq!(text(&world.others, "/g").await, "1");
    world.assert_sound().await;
}

/// Of a run, an actor or a range whose first operations have been collected, the rest alone is not
/// undone; how far back it goes is told.
#[tokio::test]
async fn what_has_been_collected_in_part_is_not_undone_in_part() {
    let clock = Arc::new(Hand::default());
    let config = ZoneConfig {
        clock: clock.clone(),
        ..ZoneConfig::default()
    };
    let world = World::with(memory_stores(), config).await;
    put(&world.ours, "/a", "1").await;
    let first = world.ours.revision().await.unwrap();
    put(&world.others, "/b", "1").await;
    for _ in 0..3 {
        put(&world.ours, "/a", "2").await;
    }
    clock.pass(7_200);
    put(&world.others, "/c", "1").await;
    let floor = world.others.revision().await.unwrap();
    clock.pass(7_200);
    put(&world.ours, "/a", "3").await;
    let last = world.ours.revision().await.unwrap();
    put(&world.run("late"), "/d", "1").await;
    let limits = RetentionLimits {
        max_age: Some(Duration::from_secs(3600)),
        max_versions: None,
    };
    world.others.set_retention("/**", limits).await.unwrap();
    let report = world.others.compact(clock.now(), false).await.unwrap();
    assert_eq!(report.oldest_readable, floor);
    let of_actor = |since| UndoWhat::OfActor {
        actor: "system:system".to_owned(),
        since,
        until: None,
    };
    let range = |from| UndoWhat::Range { from, to: last };
    for what in [
        UndoWhat::OfSession("ours".to_owned()),
        of_actor(None),
        range(first),
        range(floor),
    ] {
        let error = world.others.undo(UndoOptions::new(what)).await;
        let error = refused(error, Kind::NotFound);
        assert_eq!(error.fact("oldest_readable"), Some(&floor.to_string()[..]));
    }
    assert_eq!(text(&world.others, "/a").await, "3");
    world.others.undo(of("late")).await.unwrap();
    let since = of_actor(Some(At::Revision(floor)));
    world.others.undo(UndoOptions::new(since)).await.unwrap();
    assert_eq!(text(&world.others, "/a").await, "2");
    world.assert_sound().await;
}

/// Of a deleted tree all comes back but what has been collected, which is told.
#[tokio::test]
async fn what_has_been_collected_of_a_deleted_tree_stays_away() {
    let world = world().await;
    for file in ["/d/e/f", "/d/e/tmp", "/d/g"] {
        put(&world.others, file, file).await;
    }
    let by = remove(&world.ours, "/d").await;
    world.cleared().await;
    keep_nothing(&world.others, "/**/tmp").await;
    for _ in 0..2 {
        let error = refused(world.others.undo(operation(by)).await, Kind::Conflict);
        assert_eq!(error.fact("path"), Some("/d/e/tmp"));
        assert!(error.to_string().contains("collected"), "{error}");
    }
    let report = world.undo_skipping().await;
    assert_eq!(report.conflicts, [collected("/d/e/tmp")]);
    assert_eq!(report.effects, [effect("/d", UndoKind::BringBack)]);
    assert_eq!(text(&world.others, "/d/e/f").await, "/d/e/f");
    assert_eq!(text(&world.others, "/d/g").await, "/d/g");
    assert!(!world.others.exists("/d/e/tmp", At::Latest).await.unwrap());
    world.assert_sound().await;
}
