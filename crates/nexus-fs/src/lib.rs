//! The filesystem: one implementation of its semantics over the kernel's contracts.
//!
//! A [`Zone`] is a namespace on a metastore and an object store. A [`Session`] is a zone as
//! one caller sees it; every operation is a method of it and asks the zone's
//! [`Authorizer`](nexus_service_api::Authorizer) first.
//!
//! How the data lies: `keys` is the table of keys, `records` what is stored under them. How a
//! change happens: a `Step` runs against a `Tx`, which gathers guards and operations and
//! commits them as one transaction of the metastore.

mod cache;
mod care;
mod content;
pub mod edit;
mod edits;
mod etag;
mod handles;
mod history;
mod inos;
mod keys;
mod list;
mod log;
mod meta;
mod path;
mod pattern;
mod purge;
mod read;
mod records;
mod resolve;
mod search;
mod session;
mod settings;
mod steps;
pub mod time;
mod tx;
mod types;
mod view;
mod writes;
mod zone;

pub use care::{Duplicates, GcReport, VerifyProgress};
pub use content::{CONTENT_BYTES_MAX, WHOLE_BYTES_MAX};
pub use edits::{EditOptions, Edited};
pub use etag::{Etag, HashAlgorithm, Hasher};
pub use handles::{Handle, OpenMode};
pub use history::{DIFF_BYTES_MAX, VersionAt};
pub use log::{Change, ChangeKind, LOG_LIMIT_MAX, LogPage, LogQuery, Record, WatchQuery};
pub use path::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};
pub use pattern::PathPattern;
pub use read::READ_WHOLE_BYTES_MAX;
pub use search::{CONTEXT_LINES_MAX, GlobQuery, GrepMatch, GrepQuery, MATCH_TEXT_BYTES_MAX};
pub use session::Session;
pub use steps::{BATCH_STEPS_MAX, KEY_BYTES_MAX, KEYS_MAX, VALUE_BYTES_MAX};
pub use types::{
    At, Changed, Content, DirEntry, FileBytes, FileKind, Ino, ListOptions, ListPage, MkdirOptions,
    MoveOptions, Precondition, RemoveOptions, Replace, SetAttributes, Stat, Usage, Version,
    WriteOptions,
};
pub use writes::BatchStep;
pub use zone::{Stores, Zone, ZoneConfig, ZoneStats};
