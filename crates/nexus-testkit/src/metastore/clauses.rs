//! The clauses of the contract, each a function from an empty store to a panic or none.
//!
//! [`metastore_contract!`](crate::metastore_contract) gives each its name as a test.

pub mod barrier;
pub mod concurrency;
pub mod guards;
pub mod limits;
pub mod ops;
pub mod reads;
pub mod refusals;
pub mod restoring;
pub mod retries;
pub mod revisions;
pub mod scans;
pub mod snapshots;
