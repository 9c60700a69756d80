//! What every driver is tested with.

pub mod metastore;
pub mod object_store;
pub mod power_loss;
