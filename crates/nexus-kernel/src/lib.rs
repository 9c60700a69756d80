//! The contracts Nexus stands on.
//!
//! Three traits, the plain types they speak, and one [`Error`]. Nothing here does I/O,
//! starts a thread, or knows a wire format; a driver implements a trait, the filesystem
//! (`nexus-fs`) is written once over them.
//!
//! * [`Metastore`]: an ordered, revisioned key space with conditional atomic batches.
//! * [`ObjectStore`]: blobs by key, streamed both ways.
//! * [`VfsRouter`]: which mount serves a path.
//!
//! Each trait has a contract suite in `nexus-testkit`, one named test per clause. The
//! documentation of the traits is the contract; the suite is its proof.
#![deny(missing_docs)]

mod error;
mod limits;
mod metastore;
mod object_store;
mod router;
mod snapshot;
mod types;

pub use error::{Error, Kind, Outcome, Result};
pub use metastore::{
    Commit, Durability, Entry, FlushBarrier, Freshness, Guard, KeyRange, Limits, Metastore, Op,
    Page, STAMP_LEN, Scan, ScanDirection, Txn, TxnId, Value,
};
pub use object_store::{
    Blob, ByteStream, Capabilities, ObjectKey, ObjectMeta, ObjectPage, ObjectStore, PutMode,
    PutOptions, PutOutcome,
};
pub use router::{Mount, Routed, VfsRouter};
pub use snapshot::{MetastoreSnapshot, RESTORE_NOTE_BYTES_MAX, RestoreStep, Restoring};
pub use types::{Revision, Timestamp};
