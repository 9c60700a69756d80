//! Snapshots and retention.

use std::time::Duration;

use nexus_kernel::{Revision, Timestamp};

/// A named revision of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name: a point in time wherever an `at` is.
    pub name: String,
    /// Counts the snapshots of the directory, from 1.
    pub number: u64,
    /// The inode of the directory.
    pub directory: u64,
    /// Where the directory was then.
    pub path: String,
    /// The state that it names.
    pub revision: Revision,
    /// What it is for.
    pub description: String,
    /// In byte order.
    pub tags: Vec<String>,
    /// Who made it, as `kind:id`.
    pub actor: String,
    /// When.
    pub time: Timestamp,
    /// It can neither be deleted nor expire.
    pub pinned: bool,
    /// When it may go by itself, if ever.
    pub expires: Option<Timestamp>,
}

/// A snapshot to be made.
#[derive(Clone, Debug, Default)]
pub struct NewSnapshot {
    /// Its name; one is made up unless given.
    pub name: Option<String>,
    /// What it is for.
    pub description: String,
    /// To find it by.
    pub tags: Vec<String>,
    /// It can neither be deleted nor expire.
    pub pinned: bool,
    /// When it may go by itself.
    pub expires: Option<Timestamp>,
}

/// What to change of a snapshot; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct SnapshotUpdate {
    /// What it is for.
    pub description: Option<String>,
    /// All its tags.
    pub tags: Option<Vec<String>>,
    /// Whether it is held against deletion and expiry.
    pub pinned: Option<bool>,
    /// When it may go by itself; `Some(None)` for never.
    pub expires: Option<Option<Timestamp>>,
}

/// Which snapshots to list.
#[derive(Clone, Debug, Default)]
pub struct SnapshotQuery {
    /// Of the directory at this path, now or when they were made.
    pub path: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
}

/// How much of the history of some files is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// For which paths: an absolute glob.
    pub pattern: String,
    /// What it lets go.
    pub limits: RetentionLimits,
    /// Who set it, as `kind:id`.
    pub actor: String,
    /// When.
    pub time: Timestamp,
}

/// What a policy lets go; without limits everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// States that ended longer ago than this.
    pub max_age: Option<Duration>,
    /// Versions of a file beyond so many of the newest, today's included.
    pub max_versions: Option<u64>,
}

/// What a collection of history removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Rows of history and of the log.
    pub rows: u64,
    /// Versions of files that can no longer be read.
    pub versions: u64,
    /// Snapshots that have expired.
    pub snapshots: u64,
    /// The oldest readable revision after it; 0 while all are.
    pub oldest_readable: Revision,
    /// Whether nothing was changed.
    pub dry_run: bool,
}
