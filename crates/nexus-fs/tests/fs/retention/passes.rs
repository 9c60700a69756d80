//! Collections in the background, and what happens while one is under way.

use std::time::Duration;

use nexus_fs::{MkdirOptions, MoveOptions, ZoneConfig};

use super::{HOUR, Kept, at, oldest};
use crate::support::{memory_stores, text_at};

/// More than the rows of one step.
const VERSIONS: u64 = 300;

/// A zone that rests for an hour between two steps, with two files of many versions in `/tmp/d`, of
/// which the first step took those of one.
async fn within_a_pass() -> Kept {
    let slow = ZoneConfig {
        retention_every: HOUR,
        retention_pause: HOUR,
        ..ZoneConfig::default()
    };
    let kept = Kept::with(memory_stores(), slow).await;
    for file in ["/tmp/d/first", "/tmp/d/second"] {
        for version in 1..=VERSIONS {
            kept.write(file, &version.to_string()).await;
        }
    }
    kept.keep("/tmp/**", None, Some(1)).await;
    while kept.zone.stats().collected == 0 {
        tokio::time::sleep(HOUR / 2).await;
    }
    assert!(kept.zone.stats().collected < VERSIONS);
    kept
}

impl Kept {
    /// How many versions are left of a file when no collection is under way any more.
    async fn versions_left(&self, path: &str) -> usize {
        tokio::time::sleep(50 * HOUR).await;
        let versions = self.files.versions(path, 1_000, None).await;
        versions.unwrap().len()
    }
}

/// A directory that moves while history is collected is kept as long as where it is now from then on.
#[tokio::test(start_paused = true)]
async fn what_is_moved_while_history_is_collected_is_kept_as_where_it_is() {
    let kept = within_a_pass().await;
    let moved = kept.files.rename("/tmp/d", "/kept", MoveOptions::default());
    moved.await.unwrap();
    assert_eq!(kept.versions_left("/kept/second").await, 300);
    // And the other way round.
    let made = kept.files.mkdir("/tmp/e", MkdirOptions::default());
    made.await.unwrap();
    let moved = kept
        .files
        .rename("/kept", "/tmp/e/d", MoveOptions::default());
    moved.await.unwrap();
    assert_eq!(kept.versions_left("/tmp/e/d/second").await, 1);
}

/// A policy that is removed or relaxed while history is collected lets nothing go from then on.
#[tokio::test(start_paused = true)]
async fn a_policy_that_is_removed_lets_nothing_go_any_more() {
    let kept = within_a_pass().await;
    kept.files.remove_retention("/tmp/**").await.unwrap();
    assert_eq!(kept.versions_left("/tmp/d/second").await, 300);

    let kept = within_a_pass().await;
    kept.keep("/tmp/**", None, Some(250)).await;
    assert_eq!(kept.versions_left("/tmp/d/second").await, 250);
}

/// A clock that is set forward and back again takes no more than an hour of history with each
/// collection in between; when it stays there, history follows.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_for_a_while_takes_little_of_history() {
    let config = ZoneConfig {
        retention_every: HOUR,
        ..ZoneConfig::default()
    };
    let kept = Kept::with(memory_stores(), config).await;
    let first = kept.write("/f", "one").await;
    kept.write("/f", "two").await;
    kept.pass(HOUR);
    kept.write("/other", "x").await;
    kept.keep("/**", Some(24 * HOUR), None).await;
    let year = 365 * 24 * HOUR;
    kept.pass(year);
    tokio::time::sleep(3 * HOUR + Duration::from_secs(1)).await;
    assert_eq!(text_at(&kept.files, "/f", at(first)).await, "one");
    tokio::time::sleep(48 * HOUR).await;
    oldest(&kept.files.read("/f", at(first)).await.unwrap_err());
}
