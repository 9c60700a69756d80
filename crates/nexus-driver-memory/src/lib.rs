//! Every kernel contract in memory: the reference that other drivers are compared with,
//! and what tests and throw-away nodes run on.
#![deny(missing_docs)]

pub mod metastore;
mod object_store;
pub mod router;

pub use metastore::MemoryMetastore;
pub use object_store::MemoryObjectStore;
pub use router::MemoryRouter;
