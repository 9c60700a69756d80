//! A whole zone as one stream of bytes, and back: rows with their revisions, then blobs.
//! `docs/ARCHIVE.md` says what is in it.
//!
//! An export reads one [snapshot](nexus_kernel::MetastoreSnapshot) of the metastore while others go
//! on, and holds all [pins](crate::content) so that no blob of it is collected. An import restores
//! into stores that hold nothing, row by row as they were, so that every revision, version and
//! token means what it meant.

use std::time::Duration;

mod export;
mod import;
mod rows;

pub use export::{EXPORTS_MAX, ExportOptions};
pub use import::Imported;

/// Rows read at a time: one can have a megabyte.
const PAGE: usize = 128;

/// How long an export waits for whoever takes it, before it gives up what it holds.
const STALLED_MAX: Duration = Duration::from_secs(300);
