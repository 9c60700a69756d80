//! Every kernel contract in memory.

pub mod metastore;
pub mod router;
