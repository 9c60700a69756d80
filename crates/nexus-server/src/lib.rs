//! The front doors of a node, on one port: gRPC, REST under `/api/v2` (described at
//! `/api/v2/openapi.json`), JSON-RPC under `/api/nfs`, health and metrics.
//!
//! Every door does the same: it takes who asks from the credential ([`auth`]), opens a session
//! of the filesystem for that caller, calls it, and says what came of it in its own protocol.
//! None has logic of its own, and one table ([`error_table`]) says what an error is called where.
#![deny(missing_docs)]

mod app;
mod auth;
mod base64;
mod door;
pub mod error_table;
mod grpc;
mod health;
mod metrics;
mod observe;
mod paging;
mod prompt;
mod rest;
mod router;
mod rpc;
mod serve;

pub use app::{App, Limits};
pub use metrics::{Figure, Gauges, Sample};
pub use router::router;
pub use serve::serve;
