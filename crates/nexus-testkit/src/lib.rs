//! What every driver is tested with: a contract suite for each trait of the kernel, stores
//! that fail on purpose, and a disk that loses its power.

pub mod authorizer;
pub mod metastore;
pub mod object_store;
pub mod power_loss;
