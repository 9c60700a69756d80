//! The filesystem: one implementation of its semantics over the kernel's contracts.
//!
//! A [`Zone`] is a namespace on a metastore and an object store. A [`Session`] is a zone as
//! one caller sees it; every operation is a method of it and asks the zone's
//! [`Authorizer`](nexus_service_api::Authorizer) first.
//!
//! How the data lies: `keys` is the table of keys, `records` what is stored under them. How a
//! change happens: a `Step` runs against a `Tx`, which gathers guards and operations and
//! commits them as one transaction of the metastore.
//!
//! # Embedding
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
//! use nexus_fs::{At, Stores, WriteOptions, Zone, ZoneConfig};
//! use nexus_kernel::Result;
//! use nexus_service_api::{Action, Authorizer, Context, SystemClock, Target};
//!
//! /// Every access is decided here. This one lets everybody do everything.
//! struct Open;
//!
//! #[async_trait]
//! impl Authorizer for Open {
//!     async fn authorize(&self, _: &Context, _: Action, _: Target<'_>) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     async fn visible(&self, _: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
//!         Ok(vec![true; targets.len()])
//!     }
//!
//!     async fn sees_all_below(&self, _: &Context, _: Target<'_>) -> bool {
//!         true
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let stores = Stores {
//!         metastore: Arc::new(MemoryMetastore::new()),
//!         objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
//!     };
//!     let zone = Zone::open(stores, Arc::new(Open), ZoneConfig::default()).await?;
//!     let files = zone.session(Context::system());
//!
//!     let first = files.write("/notes.txt", "one".into(), WriteOptions::default()).await?;
//!     files.write("/notes.txt", "two".into(), WriteOptions::default()).await?;
//!
//!     assert_eq!(files.read("/notes.txt", At::Latest).await?.bytes, "two");
//!     let before = At::Revision(first.revision);
//!     assert_eq!(files.read("/notes.txt", before).await?.bytes, "one");
//!     zone.close().await
//! }
//! ```

mod archive;
mod cache;
mod care;
mod compute;
mod content;
mod diff_tree;
pub mod edit;
mod edits;
mod etag;
mod feed;
mod file_diff;
mod fork;
mod handles;
mod history;
mod inos;
mod keys;
mod lineage;
mod list;
mod locks;
mod log;
mod meta;
mod parts;
mod path;
mod pattern;
mod purge;
mod read;
mod records;
mod resolve;
mod retention;
mod search;
mod session;
mod settings;
mod snapshots;
mod steps;
pub mod time;
mod turns;
mod tx;
mod types;
mod undo;
mod view;
mod workspaces;
mod writes;
mod zone;

pub use archive::{EXPORTS_MAX, ExportOptions, Imported};
pub use care::{Duplicates, GcReport, VerifyProgress};
pub use content::{CONTENT_BYTES_MAX, ChunkSizes, WHOLE_BYTES_MAX};
pub use diff_tree::{
    DIFF_TREE_LIMIT_MAX, DIFF_TREE_NAMES_MAX, DiffTreeOptions, TreeChange, TreeChangeKind,
    TreeDiff, TreeDiffPage, TreeDiffQuery,
};
pub use edits::{EditOptions, Edited};
pub use etag::{Etag, HashAlgorithm, Hasher};
pub use feed::{
    CURSOR_NAME_BYTES_MAX, CURSORS_LIMIT_MAX, CURSORS_MAX, CursorName, CursorOwner, CursorPage,
    FEED_PATTERNS_MAX, FEEDS_SHARE, Feed, FeedBatch, FeedCursor, FeedPosition, FeedQuery,
    FeedStart,
};
pub use file_diff::{BinaryDiff, DIFF_BYTES_MAX, DiffMode, FileDiff};
pub use fork::{
    MERGE_CHANGES_MAX, MERGE_LINE_STEPS_MAX, MERGE_TEXT_BYTES_MAX, MergeChange, MergeChangeKind,
    MergeConflict, MergeConflictKind, MergeOptions, MergeReport, MergeStrategy,
};
pub use handles::{Handle, OpenMode, PastFile, PastZone};
pub use history::{VERSIONS_LIMIT_MAX, VersionAt};
pub use lineage::{
    LINEAGE_DEPTH_MAX, LINEAGE_LIMIT_MAX, Lineage, LineageDirection, LineageEntry, LineageFile,
    LineageQuery, LineageSource, SOURCE_BYTES_MAX, SourceKind,
};
pub use locks::{
    AcquireOptions, Forced, LEASES_MAX, LOCK_NAME_BYTES_MAX, LOCK_TTL_MAX, LOCK_TTL_MIN,
    LOCK_WAIT_MAX, LOCKS_LIMIT_MAX, Lease, LockMode, LockPage, LockQuery, LockState, WAITERS_MAX,
    Waiter,
};
pub use log::{Change, ChangeKind, EndedLease, LOG_LIMIT_MAX, LogPage, LogQuery, Record};
pub use path::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};
pub use pattern::PathPattern;
pub use read::READ_WHOLE_BYTES_MAX;
pub use retention::{
    CompactReport, RETENTION_AGE_MAX, RETENTION_AGE_MIN, RETENTION_DEFAULT, RETENTION_POLICIES_MAX,
    RetentionLimits, RetentionPolicy,
};
pub use search::{CONTEXT_LINES_MAX, GlobQuery, GrepMatch, GrepQuery, MATCH_TEXT_BYTES_MAX};
pub use session::Session;
pub use snapshots::{
    Expiry, NewSnapshot, SNAPSHOT_DESCRIPTION_BYTES_MAX, SNAPSHOT_TAG_BYTES_MAX, SNAPSHOT_TAGS_MAX,
    SNAPSHOTS_LIMIT_MAX, Snapshot, SnapshotPage, SnapshotQuery, SnapshotUpdate,
};
pub use steps::{BATCH_STEPS_MAX, FACT_KEYS, KEY_BYTES_MAX, KEYS_MAX, VALUE_BYTES_MAX};
pub use types::{
    At, Changed, Content, DirEntry, FileBytes, FileKind, ForkOptions, Ino, KeyPresence,
    ListOptions, ListPage, MkdirOptions, MoveOptions, NewInode, NewKind, Precondition,
    RemoveOptions, Replace, SetAttributes, Stat, Usage, Version, WriteOptions,
};
pub use undo::{
    OnConflict, RestoreOptions, UNDO_OPERATIONS_MAX, UndoConflict, UndoEffect, UndoKind,
    UndoOptions, UndoReport, UndoWhat,
};
pub use workspaces::{
    Fork, NewWorkspace, WORKSPACE_DESCRIPTION_BYTES_MAX, WORKSPACE_FACTS_BYTES_MAX,
    WORKSPACE_NAME_BYTES_MAX, WORKSPACE_TAGS_MAX, WORKSPACES_LIMIT_MAX, Workspace, WorkspacePage,
};
pub use writes::BatchStep;
pub use zone::{Stores, Zone, ZoneConfig, ZoneStats};
