//! Each kind of operation, undone.

use bytes::Bytes;
use nexus_fs::{
    At, MoveOptions, OnConflict, Replace, RetentionLimits, SetAttributes, UndoEffect, UndoKind,
    UndoOptions, WriteOptions, ZoneConfig,
};
use nexus_kernel::{Durability, Freshness, KeyRange, Revision, Scan, Timestamp};
use nexus_service_api::{Clock, SystemClock};

use crate::common::{World, effect, everything, label, mode, of, remove, rename, undo};
use crate::support::{memory_stores, put, text};

/// Does something and undoes it: all is as before, and tells the effects.
macro_rules! comes_back {
    ($world:ident, $what:expr) => {{
        let before = everything(&$world.others).await;
        $what;
        assert_ne!(everything(&$world.others).await, before);
        let report = $world.undo().await;
        assert_eq!(everything(&$world.others).await, before);
        assert!(report.conflicts.is_empty(), "{report:?}");
        $world.assert_sound().await;
        report.effects
    }};
}

#[tokio::test]
async fn a_file_that_was_made_goes() {
    let world = World::new().await;
    let effects = comes_back!(world, put(&world.ours, "/a/b/c", "1").await);
    let removed = ["/a", "/a/b", "/a/b/c"].map(|path| effect(path, UndoKind::Remove));
    assert_eq!(effects, removed);
}

#[tokio::test]
async fn a_content_comes_back_as_a_new_version() {
    let world = World::new().await;
    put(&world.others, "/a", "one").await;
    let effects = comes_back!(world, {
        put(&world.ours, "/a", "two").await;
        put(&world.ours, "/a", "three").await;
    });
    assert_eq!(effects, [effect("/a", UndoKind::RestoreContent)]);
    let stat = world.others.stat("/a", At::Latest).await.unwrap();
    assert_eq!(stat.version, 4);
    let second = world.others.read_version("/a", 2).await.unwrap();
    assert_eq!(second.bytes, "two");
}

#[tokio::test]
async fn a_file_in_the_object_store_comes_back() {
    let world = World::new().await;
    let large = |byte: u8| Bytes::from(vec![byte; 3 << 20]);
    let write = |files: nexus_fs::Session, byte| async move {
        let written = files.write("/a", large(byte), WriteOptions::default());
        written.await.unwrap();
    };
    write(world.others.clone(), b'a').await;
    comes_back!(world, {
        write(world.ours.clone(), b'b').await;
        remove(&world.ours, "/a").await;
    });
    world.others.gc(false).await.unwrap();
    let read = world.others.read("/a", At::Latest).await.unwrap();
    assert_eq!(read.bytes, large(b'a'));
}

#[tokio::test]
async fn a_deleted_file_comes_back_under_its_number_with_metadata_and_versions() {
    let world = World::new().await;
    put(&world.others, "/a", "one").await;
    put(&world.others, "/a", "two").await;
    label(&world.others, "/a", "key", Some("value")).await;
    mode(&world.others, "/a", 0o600).await;
    let effects = comes_back!(world, remove(&world.ours, "/a").await);
    assert_eq!(effects, [effect("/a", UndoKind::BringBack)]);
    let versions = world.others.versions("/a", 10, None).await.unwrap();
    let numbers: Vec<u64> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [3, 2, 1]);
}

#[tokio::test]
async fn what_was_renamed_gets_its_name_back() {
    let world = World::new().await;
    put(&world.others, "/d/a", "1").await;
    put(&world.others, "/d/e/b", "2").await;
    let effects = comes_back!(world, {
        rename(&world.ours, "/d/a", "/d/e/c").await;
        rename(&world.ours, "/d/e", "/f").await;
        rename(&world.ours, "/f/c", "/g").await;
    });
    let renamed = |path: &str, from: &str| UndoEffect {
        path: path.to_owned(),
        kind: UndoKind::RenameBack,
        from: Some(from.to_owned()),
    };
    assert_eq!(effects, [renamed("/d/a", "/g"), renamed("/d/e", "/f")]);
}

#[tokio::test]
async fn what_a_rename_replaced_comes_back() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/b", "2").await;
    label(&world.others, "/b", "key", Some("value")).await;
    comes_back!(world, rename(&world.ours, "/a", "/b").await);
}

#[tokio::test]
async fn what_changed_places_changes_back() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/d/b", "2").await;
    let exchange = MoveOptions {
        replace: Replace::Exchange,
        ..MoveOptions::default()
    };
    comes_back!(world, {
        world.ours.rename("/a", "/d", exchange).await.unwrap();
    });
}

#[tokio::test]
async fn attributes_and_metadata_become_what_they_were() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    label(&world.others, "/a", "kept", Some("1")).await;
    label(&world.others, "/a", "gone", Some("1")).await;
    let effects = comes_back!(world, {
        mode(&world.ours, "/a", 0o600).await;
        label(&world.ours, "/a", "kept", Some("2")).await;
        label(&world.ours, "/a", "gone", None).await;
        label(&world.ours, "/a", "new", Some("1")).await;
        let tags = ["t".to_owned()];
        let tagged = world.ours.set_tags("/a", &tags, &[], Durability::Sync);
        tagged.await.unwrap();
        let set = SetAttributes {
            modified: Some(Timestamp(1)),
            ..SetAttributes::default()
        };
        let set = world.ours.set_attributes("/a", set, Durability::Sync);
        set.await.unwrap();
    });
    let kinds: Vec<UndoKind> = effects.iter().map(|effect| effect.kind).collect();
    let all = [
        UndoKind::RestoreContent,
        UndoKind::Attributes,
        UndoKind::Metadata,
    ];
    assert_eq!(kinds, all);
}

#[tokio::test]
async fn links_come_and_go() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    let link = world.others.hard_link("/a", "/b", Durability::Sync);
    link.await.unwrap();
    comes_back!(world, {
        let link = world.ours.hard_link("/a", "/c", Durability::Sync);
        link.await.unwrap();
        remove(&world.ours, "/a").await;
        rename(&world.ours, "/b", "/d").await;
        let link = world.ours.symlink("/d", "/s", Durability::Sync);
        link.await.unwrap();
    });
    remove(&world.ours, "/b").await;
    remove(&world.ours, "/a").await;
    world.undo().await;
    assert_eq!(text(&world.others, "/a").await, "1");
    assert_eq!(world.others.stat("/b", At::Latest).await.unwrap().links, 2);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_copied_tree_goes_whole() {
    let world = World::new().await;
    put(&world.others, "/d/e/a", "1").await;
    put(&world.others, "/d/b", "2").await;
    let effects = comes_back!(world, {
        let copied = world.ours.copy("/d", "/copy", MoveOptions::default());
        copied.await.unwrap();
        put(&world.ours, "/copy/b", "3").await;
        rename(&world.ours, "/copy/e/a", "/copy/c").await;
    });
    assert_eq!(effects.first(), Some(&effect("/copy", UndoKind::Remove)));
}

#[tokio::test]
async fn a_copy_over_a_file_is_taken_back() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/b", "2").await;
    comes_back!(world, {
        let copied = world.ours.copy("/a", "/b", MoveOptions::default());
        copied.await.unwrap();
    });
}

#[tokio::test]
async fn a_deleted_tree_comes_back_at_once() {
    let world = World::new().await;
    put(&world.others, "/d/e/a", "1").await;
    put(&world.others, "/d/b", "2").await;
    label(&world.others, "/d/e", "key", Some("value")).await;
    let effects = comes_back!(world, remove(&world.ours, "/d").await);
    assert_eq!(effects, [effect("/d", UndoKind::BringBack)]);
}

#[tokio::test]
async fn a_deleted_tree_comes_back_after_it_was_cleared_away() {
    let world = World::new().await;
    put(&world.others, "/d/e/a", "1").await;
    put(&world.others, "/d/b", "2").await;
    label(&world.others, "/d/e", "key", Some("value")).await;
    for name in 0..300 {
        put(&world.others, &format!("/d/many/{name}"), "x").await;
    }
    let link = world.others.hard_link("/d/b", "/kept", Durability::Sync);
    link.await.unwrap();
    let link = world
        .others
        .hard_link("/d/b", "/d/e/again", Durability::Sync);
    link.await.unwrap();
    comes_back!(world, {
        put(&world.ours, "/d/b", "3").await;
        remove(&world.ours, "/d/e/a").await;
        remove(&world.ours, "/d").await;
        world.cleared().await;
    });
}

/// What a dry run tells of a tree that was cleared away is what comes.
#[tokio::test]
async fn a_dry_run_tells_what_will_be_of_a_tree_that_was_cleared_away() {
    let world = World::new().await;
    put(&world.others, "/d/e/a", "1").await;
    put(&world.others, "/d/e/b", "2").await;
    label(&world.others, "/d/e/b", "key", Some("1")).await;
    put(&world.others, "/d/f/c", "3").await;
    put(&world.ours, "/d/e/b", "4").await;
    label(&world.ours, "/d/e/b", "key", Some("2")).await;
    put(&world.ours, "/d/new/g", "5").await;
    put(&world.ours, "/d/used/h", "6").await;
    put(&world.others, "/d/used/h", "7").await;
    remove(&world.ours, "/d/e/a").await;
    rename(&world.ours, "/d/f/c", "/d/e/c").await;
    mode(&world.ours, "/d/f", 0o700).await;
    remove(&world.ours, "/d").await;
    world.cleared().await;
    let before = world.stores.metastore.changed(Revision::ZERO).await;
    let with = |dry_run| UndoOptions {
        on_conflict: OnConflict::Skip,
        dry_run,
        ..of("ours")
    };
    let told = world.others.undo(with(true)).await.unwrap();
    assert_eq!(
        world
            .stores
            .metastore
            .changed(Revision::ZERO)
            .await
            .unwrap(),
        before.unwrap(),
        "it changes nothing"
    );
    assert_eq!(told.conflicts.len(), 1, "{told:#?}");
    let done = world.others.undo(with(false)).await.unwrap();
    assert_eq!(
        (told.effects, told.conflicts),
        (done.effects, done.conflicts)
    );
    assert_eq!(text(&world.others, "/d/e/b").await, "2");
    assert!(!world.others.exists("/d/used/h", At::Latest).await.unwrap());
    world.assert_sound().await;
}

#[tokio::test]
async fn an_open_file_that_lost_its_name_gets_it_back() {
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    let ino = world.others.stat("/a", At::Latest).await.unwrap().ino;
    let handle = world.others.open_handle(ino, nexus_fs::OpenMode::Read);
    let handle = handle.await.unwrap();
    let deleted = remove(&world.ours, "/a").await;
    undo(&world.others, deleted).await;
    handle.close().await.unwrap();
    assert_eq!(text(&world.others, "/a").await, "1");
    world.assert_sound().await;
}

/// So does one of a deleted tree, whatever was written to it meanwhile.
#[tokio::test]
async fn an_open_file_of_a_deleted_tree_comes_back_as_it_was() {
    let stores = memory_stores();
    let config = ZoneConfig {
        inline_bytes_max: 0,
        ..ZoneConfig::default()
    };
    let world = World::with(stores.clone(), config).await;
    put(&world.others, "/d/f", "1").await;
    put(&world.others, "/d/g", "2").await;
    let ino = world.others.stat("/d/f", At::Latest).await.unwrap().ino;
    let handle = world.others.open_handle(ino, nexus_fs::OpenMode::ReadWrite);
    let handle = handle.await.unwrap();
    let deleted = remove(&world.ours, "/d").await;
    world.cleared().await;
    handle.write(0, Bytes::from("meanwhile")).await.unwrap();
    handle.flush().await.unwrap();
    undo(&world.others, deleted).await;
    assert_eq!(text(&world.others, "/d/f").await, "1");
    let stat = world.others.stat("/d/f", At::Latest).await.unwrap();
    assert_eq!((stat.ino, stat.version), (ino, 3));
    let orphans = Scan::forward(KeyRange::prefix("o"), 1);
    let orphans = stores.metastore.scan(orphans, Freshness::Linearizable);
    assert_eq!(orphans.await.unwrap().entries, []);
    handle.close().await.unwrap();
    let version = |limits| world.others.set_retention("/**", limits);
    version(RetentionLimits {
        max_age: None,
        max_versions: Some(1),
    })
    .await
    .unwrap();
    world
        .others
        .compact(SystemClock.now(), false)
        .await
        .unwrap();
    world.others.gc(false).await.unwrap();
    assert_eq!(text(&world.others, "/d/f").await, "1");
    world.assert_sound().await;
}

/// What a file is in a deleted tree is what it was when that was deleted, not what it became
/// under another name.
#[tokio::test]
async fn a_file_with_another_name_comes_back_as_it_was_deleted() {
    let world = World::new().await;
    put(&world.others, "/d/f", "1").await;
    let link = world.others.hard_link("/d/f", "/kept", Durability::Sync);
    link.await.unwrap();
    let deleted = remove(&world.ours, "/d").await;
    world.cleared().await;
    put(&world.others, "/kept", "2").await;
    remove(&world.others, "/kept").await;
    undo(&world.others, deleted).await;
    assert_eq!(text(&world.others, "/d/f").await, "1");
    let stat = world.others.stat("/d/f", At::Latest).await.unwrap();
    assert_eq!((stat.version, stat.links), (3, 1));
    world.assert_sound().await;
}

/// Of a file that was in two trees it is as when the second one was deleted.
#[tokio::test]
async fn a_file_of_two_deleted_trees_comes_back_as_it_last_was() {
    for names in [["/a", "/b"], ["/b", "/a"]] {
        let world = World::new().await;
        put(&world.others, "/a/f", "1").await;
        put(&world.others, "/b/g", "1").await;
        let link = world.others.hard_link("/a/f", "/b/f", Durability::Sync);
        link.await.unwrap();
        remove(&world.ours, names[0]).await;
        world.cleared().await;
        put(&world.others, &format!("{}/f", names[1]), "2").await;
        remove(&world.ours, names[1]).await;
        world.cleared().await;
        world.undo().await;
        assert_eq!(text(&world.others, "/a/f").await, "2");
        let stat = world.others.stat("/b/f", At::Latest).await.unwrap();
        assert_eq!(stat.links, 2);
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_batch_is_taken_back_whole() {
    use nexus_fs::BatchStep;
    let world = World::new().await;
    put(&world.others, "/a", "1").await;
    put(&world.others, "/b", "2").await;
    let rename = |from: &str, to: &str| BatchStep::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
        options: MoveOptions::default(),
    };
    let write = |path: &str, content: &'static str| BatchStep::Write {
        path: path.to_owned(),
        content: content.into(),
        options: WriteOptions::default(),
    };
    comes_back!(world, {
        let steps = vec![
            write("/a", "3"),
            rename("/a", "/c"),
            rename("/b", "/a"),
            write("/t", "4"),
            rename("/t", "/c"),
        ];
        world.ours.batch(steps, Durability::Sync).await.unwrap();
    });
}

#[tokio::test]
async fn a_fork_goes_whole_and_what_was_done_in_one_is_undone() {
    let world = World::new().await;
    put(&world.others, "/d/e/a", "1").await;
    put(&world.others, "/d/b", "2").await;
    label(&world.others, "/d/b", "key", Some("value")).await;
    let fork = |files: nexus_fs::Session, to: &'static str| async move {
        let forked = files.fork("/d", to, nexus_fs::ForkOptions::default());
        forked.await.unwrap();
    };
    fork(world.others.clone(), "/theirs").await;
    comes_back!(world, {
        fork(world.ours.clone(), "/fork").await;
        put(&world.ours, "/fork/b", "3").await;
        put(&world.ours, "/theirs/b", "3").await;
        label(&world.ours, "/theirs/b", "key", None).await;
        label(&world.ours, "/theirs/b", "new", Some("1")).await;
        rename(&world.ours, "/theirs/e", "/theirs/f").await;
        remove(&world.ours, "/theirs/f/a").await;
    });
    comes_back!(world, {
        remove(&world.ours, "/theirs").await;
        world.cleared().await;
    });
}

/// The same bytes stay where they lie, wherever they lay when they were written before.
#[tokio::test]
async fn the_same_content_stays_where_it_lies() {
    for (before, now) in [(0, 64), (64, 0)] {
        let stores = memory_stores();
        let config = |inline_bytes_max| ZoneConfig {
            inline_bytes_max,
            ..ZoneConfig::default()
        };
        let world = World::with(stores.clone(), config(before)).await;
        put(&world.others, "/f", "1").await;
        drop(world);
        let world = World::with(stores, config(now)).await;
        put(&world.ours, "/f", "1").await;
        world.undo().await;
        world.assert_sound().await;
        world.others.gc(false).await.unwrap();
        assert_eq!(text(&world.others, "/f").await, "1");
    }
}

/// The fork of an empty directory has nothing to clear away, only something to let go of: which it
/// does not any more once it is back.
#[tokio::test]
async fn an_empty_fork_that_comes_back_stays() {
    let world = World::new().await;
    let files = &world.others;
    files
        .mkdir("/a", nexus_fs::MkdirOptions::default())
        .await
        .unwrap();
    let made = files.fork("/a", "/b", nexus_fs::ForkOptions::default());
    made.await.unwrap();
    let removed = remove(files, "/b").await;
    undo(files, removed).await;
    world.assert_sound().await;
    put(files, "/b/new", "text").await;
    assert_eq!(text(files, "/b/new").await, "text");
    world.assert_sound().await;
}
