//! A past state by its inodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nexus_fs::{At, Ino, MoveOptions, PastZone, Session, Stat, ZoneConfig};
use nexus_kernel::{Durability, Kind, Result, Revision, Timestamp};
use nexus_service_api::{Clock, Context};

use crate::support::{fresh, memory_stores, open_with, put};

async fn look_up(past: &PastZone, path: &str) -> Result<Stat> {
    let mut stat = past.getattr(Ino::ROOT).await?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        stat = past.lookup(stat.ino, name).await?;
    }
    Ok(stat)
}

async fn text(past: &PastZone, path: &str) -> String {
    let ino = look_up(past, path).await.unwrap().ino;
    let file = past.open(ino).await.unwrap();
    let bytes = file.read(0, 1_000).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}

async fn now(files: &Session) -> PastZone {
    files.as_of(At::Latest).await.unwrap()
}

/// What a past state shows by inode is what it shows by path, whatever has come since.
#[tokio::test]
async fn a_past_state_is_as_it_was() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/a", "one").await;
    put(&files, "/d/b", "two").await;
    files.symlink("a", "/d/l", Durability::Sync).await.unwrap();
    let then = now(&files).await;
    put(&files, "/d/a", "three").await;
    files
        .rename("/d", "/e", MoveOptions::default())
        .await
        .unwrap();
    files.remove("/e/b", Default::default()).await.unwrap();

    assert_eq!(text(&then, "/d/a").await, "one");
    assert_eq!(text(&then, "/d/b").await, "two");
    let at = At::Revision(then.revision());
    for path in ["/", "/d", "/d/a", "/d/b", "/d/l"] {
        let by_inode = look_up(&then, path).await.unwrap();
        assert_eq!(by_inode, files.lstat(path, at.clone()).await.unwrap());
        assert_eq!(then.getattr(by_inode.ino).await.unwrap(), by_inode);
        assert_eq!(then.path_of(by_inode.ino).await.unwrap(), path);
    }
    let error = look_up(&then, "/e").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let directory = look_up(&then, "/d").await.unwrap().ino;
    assert_eq!(then.parent_of(directory).await.unwrap(), Ino::ROOT);
    assert_eq!(then.parent_of(Ino::ROOT).await.unwrap(), Ino::ROOT);
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = then.readdir(directory, after.as_deref(), 1, true).await;
        let page = page.unwrap();
        let Some(last) = page.last() else { break };
        assert!(last.stat.is_some());
        names.push(last.name().to_owned());
        after = names.last().cloned();
    }
    assert_eq!(names, ["a", "b", "l"]);
}

#[tokio::test]
async fn a_file_of_the_past_is_read_in_parts() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "0123456789").await;
    let then = now(&files).await;
    put(&files, "/a", "").await;
    let ino = look_up(&then, "/a").await.unwrap().ino;
    let file = then.open(ino).await.unwrap();
    for (offset, length, expected) in [(0, 3, "012"), (8, 5, "89"), (10, 5, ""), (99, 5, "")] {
        assert_eq!(file.read(offset, length).await.unwrap(), expected);
    }
    let error = then.open(Ino::ROOT).await.err().unwrap();
    assert_eq!(error.kind(), Kind::WrongType);
}

#[tokio::test]
async fn metadata_of_the_past_is_what_it_was() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let set = |value: Option<&'static str>| {
        let value = value.map(|value| Bytes::from_static(value.as_bytes()));
        files.set_metadata("/a", vec![("color".into(), value)], Durability::Sync)
    };
    let before = now(&files).await;
    set(Some("red")).await.unwrap();
    let red = now(&files).await;
    set(Some("blue")).await.unwrap();
    let blue = now(&files).await;
    set(None).await.unwrap();
    let ino = look_up(&red, "/a").await.unwrap().ino;
    for (then, expected) in [(&red, "red"), (&blue, "blue")] {
        let value = then.metadata_value(ino, "color").await.unwrap();
        assert_eq!(value, expected);
        assert_eq!(then.metadata_keys(ino).await.unwrap(), ["color"]);
    }
    for then in [before, now(&files).await] {
        let error = then.metadata_value(ino, "color").await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(then.metadata_keys(ino).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn versions_are_those_up_to_then() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    put(&files, "/a", "2").await;
    let then = now(&files).await;
    put(&files, "/a", "3").await;
    let ino = files.stat("/a", At::Latest).await.unwrap().ino;
    let numbers = |versions: Vec<nexus_fs::Version>| {
        let number = |version: nexus_fs::Version| (version.version, version.current);
        versions.into_iter().map(number).collect::<Vec<_>>()
    };
    let today = files.versions_of(ino, 10).await.unwrap();
    assert_eq!(today, files.versions("/a", 10, None).await.unwrap());
    assert_eq!(numbers(today), [(3, true), (2, false), (1, false)]);
    let old = then.versions(ino, 10).await.unwrap();
    assert_eq!(numbers(old), [(2, true), (1, false)]);
    assert_eq!(numbers(then.versions(ino, 1).await.unwrap()), [(2, true)]);
    let error = files.versions_of(Ino::ROOT, 10).await.unwrap_err();
    assert_eq!(error.kind(), Kind::WrongType);
}

#[tokio::test]
async fn points_that_are_none_are_refused() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let kind = async |at| files.as_of(at).await.err().unwrap().kind();
    assert_eq!(
        kind(At::Revision(Revision(1 << 40))).await,
        Kind::InvalidArgument
    );
    assert_eq!(kind(At::Revision(Revision::ZERO)).await, Kind::NotFound);
    let ages_ago = Duration::from_secs(u64::MAX);
    assert_eq!(kind(At::Ago(ages_ago)).await, Kind::NotFound);
}

/// A clock that is put forward by hand.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// An age counts back from now.
#[tokio::test]
async fn an_age_names_a_state() {
    let clock = Arc::new(Hand::default());
    let config = ZoneConfig {
        clock: clock.clone(),
        ..ZoneConfig::default()
    };
    let zone = open_with(&memory_stores(), config).await;
    let files = zone.session(Context::system());
    let hour = 3_600_000_000_000;
    for content in ["1", "2", "3"] {
        clock.0.fetch_add(hour, Ordering::Relaxed);
        put(&files, "/a", content).await;
    }
    for (age, expected) in [("0h", "3"), ("59m", "2"), ("1h", "2"), ("90m", "1")] {
        let then = files.as_of(age.parse().unwrap()).await.unwrap();
        assert_eq!(text(&then, "/a").await, expected, "{age}");
    }
}

#[test]
fn points_are_read_as_they_are_written() {
    let hours = |hours: u64| At::Ago(Duration::from_secs(hours * 3_600));
    for (text, at) in [
        ("2h", hours(2)),
        ("90m", At::Ago(Duration::from_secs(90 * 60))),
        ("3d", hours(72)),
        ("1w", hours(168)),
        ("0s", hours(0)),
        ("r42", At::Revision(Revision(42))),
        ("r42^", At::Revision(Revision(41))),
        ("op:42", At::Operation(Revision(42))),
        ("op:42^", At::Revision(Revision(41))),
        ("before the cut", At::Snapshot("before the cut".into())),
        ("Tuesday", At::Snapshot("Tuesday".into())),
        ("h", At::Snapshot("h".into())),
        ("été", At::Snapshot("été".into())),
    ] {
        assert_eq!(text.parse::<At>().unwrap(), at, "{text}");
        assert_eq!(at.to_string().parse::<At>().unwrap(), at, "{text}");
    }
    for text in [
        "",
        "-2h",
        "2 h",
        "2y",
        "1.5h",
        "99999999999999999999h",
        "r0^",
        "r^",
        "+1",
        "op:",
        "op:x",
        "v3",
        "a/b",
        "a}",
        "a ",
        "a\n",
    ] {
        assert!(text.parse::<At>().is_err(), "{text}");
    }
}
