//! The local [`Metastore`](nexus_kernel::Metastore): one redb file, one committer.
//!
//! Relaxed transactions gather in a memtable over the file. What must be durable queues; the
//! committer takes everything that waits, and writes it and the memtable in one redb
//! transaction, flushes once, and answers everyone (group commit). Readers merge the memtables
//! with a redb snapshot where they stand, without a thread hop.
//!
//! | file | holds |
//! | --- | --- |
//! | `open` | where the file comes from: locks, first creation, format |
//! | `layout` | tables and how a row is written |
//! | `queue` | who waits to be committed |
//! | `seat` | who drives the committer: its thread, or a caller |
//! | `committer` | what each transaction comes to, in memory or in a group; when to flush |
//! | `evaluate` | guards and operations over the layers |
//! | `layers` | memtables over a state of the file; what readers see |
//! | `memtable`, `ranges` | changes in memory, and the ranges they remove |
//! | `merge` | layers as one ordered sequence |
//! | `reading` | what callers read of the layers |
//! | `snapshots` | states that stay while somebody reads them |
//! | `restore` | an empty file on its way to the state of another store |
//! | `flush`, `batch` | memtables on their way into the file |
//! | `barrier` | what becomes durable before that |
//! | `recent` | transaction ids for retries |
//! | `space` | keeps the disk from running full in the middle of a flush |
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
mod restore;
mod seat;
mod snapshots;
mod space;
mod stats;
#[cfg(test)]
mod tests;

pub use config::RedbConfig;
pub use driver::RedbMetastore;
pub use stats::RedbStats;
