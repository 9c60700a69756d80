//! The composition root: configuration, drivers, filesystem, services and doors, put
//! together into a node.
//!
//! ```no_run
//! # async fn run() -> nexus_kernel::Result<()> {
//! use nexus_node::{Config, Node};
//!
//! let config = Config::with([("data", "/srv/nexus"), ("listen", "127.0.0.1:0")])?;
//! let node = Node::start(config).await?;
//! println!("http://{}", node.address());
//! node.shutdown().await
//! # }
//! ```
#![deny(missing_docs)]

mod config;
mod data_folder;
mod doors;
mod drivers;
mod import;
mod node;

pub use config::{
    Config, ContentConfig, HandleConfig, LogConfig, LogFormat, MemoryConfig, MountConfig,
    RawConfig, Sources, StoreConfig, StoreUri,
};
pub use data_folder::DataFolder;
pub use import::ImportConfig;
pub use node::{MountedZone, Node, RunningNode};
