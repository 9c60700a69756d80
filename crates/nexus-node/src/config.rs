//! The configuration of a node: what was given ([`RawConfig`]) and what it means ([`Config`]).
//!
//! Each setting is one row of [`settings`]. A layer overrides the one before it: defaults,
//! the file, the environment, the command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::HashAlgorithm;
use nexus_kernel::{Error, Result};
use tracing_subscriber::filter::Targets;

pub use raw::{RawConfig, Sources};
pub use store_uri::StoreUri;

mod raw;
mod settings;
mod show;
mod store_uri;
mod values;

#[cfg(test)]
mod tests;

use settings as set;

/// A configuration that can be started: every value is checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The folder that holds everything, unless the stores point elsewhere.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What the zone is kept in.
    pub stores: StoreConfig,
    /// How much memory caches may take.
    pub memory: MemoryConfig,
    /// How content is kept.
    pub content: ContentConfig,
    /// How long what is written to open files waits.
    pub handles: HandleConfig,
    /// Most change feeds at a time.
    pub feeds_max: usize,
    /// Between two collections of history.
    pub retention_every: Duration,
    /// Where the zone is mounted, if it is.
    pub mount: Option<MountConfig>,
    /// What is logged, and how.
    pub log: LogConfig,
    /// How long a shutdown waits for requests under way.
    pub shutdown_deadline: Duration,
}

/// Which stores hold the zone.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Names, attributes, history, small contents.
    pub metastore: StoreUri,
    /// Larger contents.
    pub objects: StoreUri,
}

/// How much memory caches may take, in bytes; what is not used is not taken.
#[derive(Clone, Copy, Debug)]
pub struct MemoryConfig {
    /// The metastore's pages.
    pub metastore_bytes: u64,
    /// Inodes and directory entries.
    pub metadata_bytes: u64,
    /// File content.
    pub content_bytes: u64,
}

/// How content is kept.
#[derive(Clone, Copy, Debug)]
pub struct ContentConfig {
    /// The hash that names it; takes effect when the zone is created.
    pub hash: HashAlgorithm,
    /// Contents up to this size lie beside their metadata.
    pub inline_bytes_max: usize,
}

/// How long what is written to open files waits until it is a version of the file.
#[derive(Clone, Copy, Debug)]
pub struct HandleConfig {
    /// Until so much of all files together is in memory.
    pub draft_bytes_max: usize,
    /// Until the oldest of it is so old.
    pub draft_age_max: Duration,
}

/// Where the zone is mounted, and how.
#[derive(Clone, Debug)]
pub struct MountConfig {
    /// An empty directory.
    pub directory: PathBuf,
    /// Whether changes are refused.
    pub read_only: bool,
    /// Whether the kernel gathers writes.
    pub write_cache: bool,
    /// For whom changes are made, in the operation log; who mounts may do what it may.
    pub on_behalf_of: Option<Arc<str>>,
}

impl MountConfig {
    /// A mount on `directory`, in other ways as was given.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for the first value that cannot be used.
    pub fn new(raw: &RawConfig, directory: PathBuf) -> Result<Self> {
        Ok(Self {
            directory,
            read_only: raw.read(&set::MOUNT_READ_ONLY, values::boolean)?,
            write_cache: raw.read(&set::MOUNT_WRITE_CACHE, values::boolean)?,
            on_behalf_of: raw.read(&set::MOUNT_AS, values::maybe_actor)?,
        })
    }
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Which events.
    pub levels: Targets,
    /// In which form.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Checks what was given.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for the first value that cannot be used, naming the setting and
    /// where it came from.
    pub fn new(raw: &RawConfig) -> Result<Self> {
        let listen = raw.read(&set::LISTEN, values::address)?;
        let allow_remote = raw.read(&set::ALLOW_REMOTE, values::boolean)?;
        check_listen(listen, allow_remote)?;
        Ok(Self {
            data: raw.read(&set::DATA, values::path)?,
            listen,
            stores: StoreConfig {
                metastore: raw.read(&set::METASTORE, str::parse)?,
                objects: raw.read(&set::OBJECT_STORE, str::parse)?,
            },
            memory: MemoryConfig {
                metastore_bytes: raw.read(&set::MEMORY_METASTORE, values::bytes)?,
                metadata_bytes: raw.read(&set::MEMORY_METADATA, values::bytes)?,
                content_bytes: raw.read(&set::MEMORY_CONTENT, values::bytes)?,
            },
            content: ContentConfig {
                hash: raw.read(&set::CONTENT_HASH, values::hash)?,
                inline_bytes_max: raw.read(&set::CONTENT_INLINE_MAX, values::inline_bytes)?,
            },
            handles: HandleConfig {
                draft_bytes_max: raw.read(&set::HANDLES_DRAFT_MAX, values::memory)?,
                draft_age_max: raw.read(&set::HANDLES_DRAFT_AGE_MAX, values::some_time)?,
            },
            feeds_max: raw.read(&set::FEEDS_MAX, values::some)?,
            retention_every: raw.read(&set::RETENTION_EVERY, values::interval)?,
            mount: mount(raw)?,
            log: LogConfig {
                levels: raw.read(&set::LOG_LEVEL, values::log_levels)?,
                format: raw.read(&set::LOG_FORMAT, values::log_format)?,
            },
            shutdown_deadline: raw.read(&set::SHUTDOWN_DEADLINE, values::duration)?,
        })
    }

    /// The defaults with `settings` over them, by name: for tests and for programs that
    /// embed a node.
    ///
    /// ```
    /// # fn main() -> nexus_kernel::Result<()> {
    /// let config = nexus_node::Config::with([("data", "/srv/nexus"), ("listen", "127.0.0.1:0")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and for a name that is no setting.
    pub fn with<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut raw = RawConfig::default();
        for (name, value) in settings {
            raw.set(name, value, "the program")?;
        }
        Self::new(&raw)
    }
}

fn mount(raw: &RawConfig) -> Result<Option<MountConfig>> {
    let directory = raw.read(&set::MOUNT_DIRECTORY, values::maybe_path)?;
    // What is wrong is said also where nothing is mounted.
    let mount = MountConfig::new(raw, PathBuf::new())?;
    Ok(directory.map(|directory| MountConfig { directory, ..mount }))
}

/// Without TLS, keys would cross the network in the clear: that takes a decision.
fn check_listen(listen: SocketAddr, allow_remote: bool) -> Result<()> {
    if allow_remote || listen.ip().is_loopback() {
        return Ok(());
    }
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port());
    Err(Error::invalid(format!(
        "this address can be reached from other machines, and keys and files would cross the \
         network unencrypted; listen on {local}, or say --allow-remote if the network is trusted \
         or a TLS proxy stands in front"
    ))
    .with("listen", listen))
}
