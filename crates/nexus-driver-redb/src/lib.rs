//! The local [`Metastore`](nexus_kernel::Metastore): one redb file, one committer.
//!
//! Writers queue; the committer takes everything that waits, checks and applies it in
//! order inside one redb transaction, flushes once, and answers everyone (group commit).
//! Readers open a redb snapshot where they stand, without a thread hop.
//!
//! | file | holds |
//! | --- | --- |
//! | `open` | where the file comes from: locks, first creation, format |
//! | `layout` | tables and how a row is written |
//! | `queue` | who waits to be committed |
//! | `seat` | who drives the committer: its thread, or a caller that is alone |
//! | `committer` | commits a group with one flush |
//! | `apply` | guards and operations on an open redb transaction |
//! | `recent` | transaction ids for retries |
//! | `space` | keeps the disk from running full in the middle of a commit |
//! | `driver` | the [`Metastore`](nexus_kernel::Metastore) itself |
#![deny(missing_docs)]

mod barrier;
mod batch;
mod committer;
mod config;
mod driver;
mod error;
mod evaluate;
mod flush;
mod layers;
mod layout;
mod memtable;
mod merge;
mod open;
mod queue;
mod ranges;
mod reading;
mod recent;
mod seat;
mod space;
mod stats;
#[cfg(test)]
mod tests;

pub use config::RedbConfig;
pub use driver::RedbMetastore;
pub use stats::RedbStats;
