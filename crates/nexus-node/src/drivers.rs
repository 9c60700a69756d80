//! Which drivers this build has: the one place that names them.
//!
//! To add a driver: a feature in `Cargo.toml`, a row in [`KNOWN`], an arm in
//! [`open_metastore`] or [`open_objects`], and a [`Part`] if it has figures or a close.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
#[cfg(feature = "driver-local")]
use std::time::Duration;

use async_trait::async_trait;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::Stores;
use nexus_kernel::{Error, Metastore, ObjectStore, Result};
use nexus_server::{Figure, Gauges, Sample};
use nexus_service_api::Clock;

use crate::config::{Config, StoreUri};

#[cfg(test)]
mod tests;

/// How long a close waits for those that still hold a store.
#[cfg(feature = "driver-local")]
const LET_GO_TRIES: u32 = 1_000;
#[cfg(feature = "driver-local")]
const LET_GO_PAUSE: Duration = Duration::from_millis(1);

/// What a store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pillar {
    Metastore,
    Objects,
}

/// A driver that somebody may name.
struct Known {
    scheme: &'static str,
    pillars: &'static [Pillar],
    /// None for a driver of a version to come.
    feature: Option<Feature>,
}

struct Feature {
    name: &'static str,
    built: bool,
}

const KNOWN: &[Known] = &[
    Known {
        scheme: "memory",
        pillars: &[Pillar::Metastore, Pillar::Objects],
        feature: Some(Feature {
            name: "driver-memory",
            built: true,
        }),
    },
    Known {
        scheme: "redb",
        pillars: &[Pillar::Metastore],
        feature: Some(Feature {
            name: "driver-redb",
            built: cfg!(feature = "driver-redb"),
        }),
    },
    Known {
        scheme: "local",
        pillars: &[Pillar::Objects],
        feature: Some(Feature {
            name: "driver-local",
            built: cfg!(feature = "driver-local"),
        }),
    },
    Known {
        scheme: "raft",
        pillars: &[Pillar::Metastore],
        feature: None,
    },
    Known {
        scheme: "sqlite",
        pillars: &[Pillar::Metastore],
        feature: None,
    },
    Known {
        scheme: "postgresql",
        pillars: &[Pillar::Metastore],
        feature: None,
    },
    Known {
        scheme: "s3",
        pillars: &[Pillar::Objects],
        feature: None,
    },
    Known {
        scheme: "gs",
        pillars: &[Pillar::Objects],
        feature: None,
    },
];

/// The stores of a node, open.
pub(crate) struct Drivers {
    /// As the filesystem sees them.
    pub(crate) stores: Stores,
    parts: Vec<Arc<dyn Part>>,
}

/// What a driver offers besides its pillar.
#[async_trait]
trait Part: Send + Sync + 'static {
    fn sample(&self) -> Vec<Sample>;
    async fn close(self: Arc<Self>) -> Result<()>;
}

/// The figures of all drivers, for as long as they are open.
pub(crate) struct Figures(Vec<Weak<dyn Part>>);

/// Whether a configuration names a folder of its own to keep data in.
pub(crate) fn needs_data_folder(config: &Config) -> bool {
    let stores = [&config.stores.metastore, &config.stores.objects];
    stores.iter().any(|uri| uri.scheme() != "memory")
}

/// Checks that this build has the drivers a configuration names.
///
/// # Errors
///
/// `Unsupported` with the feature that brings the missing one.
pub(crate) fn check(config: &Config) -> Result<()> {
    available(&config.stores.metastore, Pillar::Metastore)?;
    available(&config.stores.objects, Pillar::Objects)
}

/// Opens the stores; those without a place of their own lie in `folder`. Blocks, after an
/// unclean stop for as long as recovery takes.
///
/// # Errors
///
/// As [`check`], and whatever the drivers answer.
pub(crate) fn open(config: &Config, folder: &Path, clock: &Arc<dyn Clock>) -> Result<Drivers> {
    check(config)?;
    let mut parts = Vec::new();
    let metastore = open_metastore(config, folder, &mut parts)?;
    let objects = open_objects(config, folder, clock, &mut parts)?;
    Ok(Drivers {
        stores: Stores { metastore, objects },
        parts,
    })
}

fn open_metastore(
    config: &Config,
    folder: &Path,
    parts: &mut Vec<Arc<dyn Part>>,
) -> Result<Arc<dyn Metastore>> {
    let uri = &config.stores.metastore;
    match uri.scheme() {
        "memory" => Ok(Arc::new(MemoryMetastore::new())),
        #[cfg(feature = "driver-redb")]
        "redb" => {
            let path = uri.path_or(&folder.join("metastore.redb"));
            let mut driver = nexus_driver_redb::RedbConfig::new(path);
            driver.cache_bytes =
                usize::try_from(config.memory.metastore_bytes).unwrap_or(usize::MAX);
            let store = nexus_driver_redb::RedbMetastore::open(&driver)?;
            parts.push(store.clone());
            Ok(store)
        }
        _ => Err(missing(uri, Pillar::Metastore)),
    }
}

fn open_objects(
    config: &Config,
    folder: &Path,
    clock: &Arc<dyn Clock>,
    parts: &mut Vec<Arc<dyn Part>>,
) -> Result<Arc<dyn ObjectStore>> {
    let uri = &config.stores.objects;
    match uri.scheme() {
        "memory" => Ok(Arc::new(MemoryObjectStore::new(Arc::clone(clock)))),
        #[cfg(feature = "driver-local")]
        "local" => {
            let driver = nexus_driver_local::LocalConfig::new(uri.path_or(&folder.join("objects")));
            let store = nexus_driver_local::LocalObjectStore::open(driver, Arc::clone(clock))?;
            let store = Arc::new(store);
            parts.push(store.clone());
            Ok(store)
        }
        _ => Err(missing(uri, Pillar::Objects)),
    }
}

impl Drivers {
    /// What `/metrics` asks. Does not keep the drivers open.
    pub(crate) fn figures(&self) -> Figures {
        Figures(self.parts.iter().map(Arc::downgrade).collect())
    }

    /// Closes everything, the metastore first: nothing names new blobs then.
    ///
    /// # Errors
    ///
    /// The first error; the others are closed all the same.
    pub(crate) async fn close(self) -> Result<()> {
        drop(self.stores);
        let mut outcome = Ok(());
        for part in self.parts {
            outcome = outcome.and(part.close().await);
        }
        outcome
    }
}

impl Gauges for Figures {
    fn sample(&self) -> Vec<Sample> {
        let parts = self.0.iter().filter_map(Weak::upgrade);
        parts.flat_map(|part| part.sample()).collect()
    }
}

#[cfg(feature = "driver-redb")]
#[async_trait]
impl Part for nexus_driver_redb::RedbMetastore {
    fn sample(&self) -> Vec<Sample> {
        let stats = self.stats();
        vec![
            counter(
                "metastore_transactions",
                "Transactions applied",
                stats.commits,
            ),
            counter(
                "metastore_rejections",
                "Transactions that met a conflict or were refused",
                stats.rejections,
            ),
            counter(
                "metastore_groups",
                "Commits to disk, each of one or more transactions",
                stats.groups,
            ),
            counter("metastore_flushes", "Groups that were flushed", stats.syncs),
            gauge(
                "metastore_group_max",
                "Transactions in the largest group",
                stats.group_max,
            ),
            gauge(
                "metastore_last_flush_microseconds",
                "Duration of the last flush",
                stats.last_sync_micros,
            ),
            gauge("metastore_waiting", "Transactions waiting", stats.waiting),
            gauge(
                "metastore_bytes",
                "Size of the metastore's file",
                stats.file_bytes,
            ),
        ]
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        Self::close(&self).await
    }
}

#[cfg(feature = "driver-local")]
#[async_trait]
impl Part for nexus_driver_local::LocalObjectStore {
    fn sample(&self) -> Vec<Sample> {
        let stats = self.stats();
        vec![
            counter(
                "objects_journal_bytes",
                "Bytes appended to the journal",
                stats.journal_bytes,
            ),
            counter(
                "objects_journal_records",
                "Changes appended to the journal",
                stats.journal_records,
            ),
            counter(
                "objects_journal_flushes",
                "Flushes of the journal",
                stats.journal_flushes,
            ),
            counter(
                "objects_checkpoints",
                "Journal segments that became files",
                stats.checkpoints,
            ),
            gauge(
                "objects_segments_behind",
                "Journal segments that wait to become files",
                stats.segments_behind,
            ),
            gauge(
                "objects_unflushed_bytes",
                "Bytes of relaxed blobs that no flush has covered",
                stats.unflushed_bytes,
            ),
        ]
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        self.checkpoint().await?;
        // Dropping it lets go of the folder, and waits for its threads.
        let store = last_one(self).await;
        let closed = tokio::task::spawn_blocking(move || drop(store)).await;
        closed.map_err(|error| {
            Error::unavailable("the object store did not close; the next start recovers")
                .because(error)
        })
    }
}

/// The store once nobody else holds it. Tasks that were cut off let go of theirs when they
/// are scheduled next; whoever still has it after a while keeps it open.
#[cfg(feature = "driver-local")]
async fn last_one<T>(mut store: Arc<T>) -> Result<T, Arc<T>> {
    for _ in 0..LET_GO_TRIES {
        match Arc::try_unwrap(store) {
            Ok(store) => return Ok(store),
            Err(shared) => store = shared,
        }
        tokio::time::sleep(LET_GO_PAUSE).await;
    }
    tracing::warn!("the object store is still in use and stays open until that ends");
    Err(store)
}

#[cfg(any(feature = "driver-redb", feature = "driver-local"))]
fn counter(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample {
        name,
        help,
        figure: Figure::Counter(value),
    }
}

#[cfg(any(feature = "driver-redb", feature = "driver-local"))]
fn gauge(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample {
        name,
        help,
        figure: Figure::Gauge(value as f64),
    }
}

fn available(uri: &StoreUri, pillar: Pillar) -> Result<()> {
    match find(uri, pillar) {
        Some(Known {
            feature: Some(Feature { built: true, .. }),
            ..
        }) => Ok(()),
        _ => Err(missing(uri, pillar)),
    }
}

fn find(uri: &StoreUri, pillar: Pillar) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.scheme == uri.scheme() && known.pillars.contains(&pillar))
}

/// Why there is no driver for `uri`.
fn missing(uri: &StoreUri, pillar: Pillar) -> Error {
    let error = match find(uri, pillar) {
        Some(Known {
            feature: Some(feature),
            ..
        }) => Error::unsupported(format!(
            "this build was made without that driver; rebuild it with --features {}",
            feature.name
        )),
        Some(Known { feature: None, .. }) => {
            Error::unsupported("this version has no such driver yet; choose one of those it has")
        }
        None => Error::invalid("no driver of that name keeps such data; choose one that does"),
    };
    error
        .with("store", uri)
        .with("as", pillar)
        .with("available", Available(pillar))
}

impl fmt::Display for Pillar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metastore => "metastore",
            Self::Objects => "object_store",
        })
    }
}

/// The schemes this build offers for a pillar.
struct Available(Pillar);

impl fmt::Display for Available {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let built = |known: &&Known| known.feature.as_ref().is_some_and(|feature| feature.built);
        let fits = |known: &&Known| known.pillars.contains(&self.0);
        let schemes: Vec<_> = KNOWN
            .iter()
            .filter(built)
            .filter(fits)
            .map(|known| known.scheme)
            .collect();
        f.write_str(&schemes.join(", "))
    }
}
