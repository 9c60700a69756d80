//! [`ObjectStore`](nexus_kernel::ObjectStore) in a folder of the local disk.
//!
//! Every blob ends as one file that is never written again. A durable small blob gets there by way
//! of a journal: one append and one flush, shared by all who wait, make it durable and readable;
//! later a checkpoint writes the file. A large blob is written once, to its own file, which the
//! journal then names. A relaxed blob is flushed with others when somebody asks.
#![deny(missing_docs)]

mod backlog;
mod body;
mod checkpoint;
mod config;
mod core;
mod deletes;
mod disk;
mod driver;
mod error;
mod journal;
mod layout;
mod listing;
mod lookup;
mod overlay;
mod queue;
mod record;
mod recovery;
mod segments;
mod staging;
mod stats;
#[cfg(test)]
mod tests;

pub use config::LocalConfig;
#[cfg(any(test, feature = "simulated-disk"))]
pub use disk::sim::{Power, SimDisk, Trouble};
pub use driver::LocalObjectStore;
pub use stats::LocalStats;
