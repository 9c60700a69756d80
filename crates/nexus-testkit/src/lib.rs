//! What every driver is tested with.

pub mod metastore;
