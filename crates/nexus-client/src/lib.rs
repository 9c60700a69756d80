//! The Rust client of a Nexus node, over gRPC.
//!
//! ```no_run
//! # async fn example() -> nexus_client::Result<()> {
//! use nexus_client::{At, Client, ReadOptions, WriteOptions};
//!
//! let nexus = Client::connect("http://127.0.0.1:2026", "sk-...").await?;
//! let written = nexus.write("/notes.txt", "hello".into(), WriteOptions::default()).await?;
//! let file = nexus.read("/notes.txt", ReadOptions::default()).await?;
//! assert_eq!(&file.bytes[..], b"hello");
//!
//! // As it was before.
//! let before = At::revision(nexus_client::Revision(written.revision.0 - 1));
//! assert!(nexus.stat("/notes.txt", before).await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is cheap to clone, and its calls share one connection. Every call is a method
//! of it; what a call takes besides its subject is an options struct with sensible defaults.
//!
//! # Errors
//!
//! Every failure is a [`nexus_kernel::Error`](Error), the same that the node had: its kind
//! says what went wrong, its message what to do, its outcome whether a change may have
//! happened. A change whose answer was lost on the way has the outcome `Unknown`.
//!
//! # Cancel safety
//!
//! Dropping the future of a read ends the call. Dropping that of a change may leave it
//! applied or not; a dropped [`Client::write_stream`] whose body had not ended changes nothing.
#![deny(missing_docs)]

mod admin;
mod archive;
mod changes;
mod compare;
mod connection;
mod convert;
mod error;
mod feed;
mod history;
mod inodes;
mod locks;
mod reads;
mod retention;
mod search;
mod snapshots;
mod types;
mod undo;
mod workspaces;

pub use archive::ExportOptions;
pub use connection::{Client, Options};
pub use inodes::{DIRECTORY_PAGE_MAX, Inodes, READ_AT_BYTES_MAX};
pub use nexus_kernel::{ByteStream, Durability, Error, Kind, Outcome, Result, Revision, Timestamp};
pub use types::admin::{
    GcReport, Identity, Key, KeyUpdate, NewKey, NewKeyOptions, PrincipalKind, Rights,
    VerifyProgress,
};
pub use types::changes::{
    BatchStep, Changed, Edit, EditMatch, EditOptions, Edited, MkdirOptions, MoveOptions,
    Precondition, RemoveOptions, Replace, SetAttributes, WriteOptions,
};
pub use types::compare::{
    BinaryDiff, DiffMode, FileDiff, LineageDirection, LineageEntry, LineageFile, LineagePage,
    LineageQuery, LineageSource, TreeChange, TreeChangeKind, TreeDiffPage, TreeDiffQuery,
};
pub use types::feed::{Cursor, CursorOwner, FeedPosition, WatchQuery, WatchStart};
pub use types::files::{
    At, Content, DirEntry, Duplicates, FileBytes, FileKind, ListOptions, Page, ReadOptions, Stat,
    Usage,
};
pub use types::history::{
    Change, ChangeKind, EndedLease, LogPage, LogQuery, Record, Version, VersionAt,
};
pub use types::inodes::{
    DirectoryEntry, Finish, InodeAttributes, KeyPresence, NewInode, Opened, Piece, Written,
};
pub use types::locks::{
    AcquireOptions, Fence, Forced, Lease, LockMode, LockQuery, LockState, LockWaiter,
};
pub use types::search::{GlobQuery, GrepMatch, GrepQuery};
pub use types::snapshots::{
    CompactReport, NewSnapshot, RetentionLimits, RetentionPolicy, Snapshot, SnapshotQuery,
    SnapshotUpdate,
};
pub use types::undo::{
    OnConflict, RestoreOptions, UndoConflict, UndoEffect, UndoKind, UndoOptions, UndoReport,
    UndoWhat,
};
pub use types::workspaces::{
    Fork, ForkOptions, MergeChange, MergeConflict, MergeOptions, MergeReport, MergeStrategy,
    NewWorkspace, Workspace,
};
