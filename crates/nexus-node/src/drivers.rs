//! Which drivers this build has: the one place that names them.
//!
//! To add a driver: a feature in `Cargo.toml`, a row in [`KNOWN`], an arm in [`Opening`], and a
//! module beside `redb` that opens it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::Stores;
use nexus_kernel::{Error, Metastore, ObjectStore, Result};
use nexus_service_api::Clock;

use crate::config::{Config, StoreUri};
use part::{Figures, Part};

#[cfg(feature = "driver-local")]
mod local;
#[cfg_attr(
    not(any(feature = "driver-redb", feature = "driver-local")),
    expect(dead_code, reason = "memory has no figures")
)]
mod part;
#[cfg(feature = "driver-redb")]
mod redb;

#[cfg(test)]
mod tests;

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
    let from = Opening {
        config,
        folder,
        clock,
    };
    let (metastore, one) = from.metastore()?;
    let (objects, other) = from.objects()?;
    let parts = [one, other].into_iter().flatten().collect();
    Ok(Drivers {
        stores: Stores { metastore, objects },
        parts,
    })
}

/// What a driver may need to open.
#[cfg_attr(
    not(any(feature = "driver-redb", feature = "driver-local")),
    expect(dead_code, reason = "memory needs less")
)]
struct Opening<'a> {
    config: &'a Config,
    folder: &'a Path,
    clock: &'a Arc<dyn Clock>,
}

/// A store, and its other side if it has one.
type Opened<T> = (Arc<T>, Option<Arc<dyn Part>>);

impl Opening<'_> {
    fn metastore(&self) -> Result<Opened<dyn Metastore>> {
        let uri = &self.config.stores.metastore;
        match uri.scheme() {
            "memory" => Ok((Arc::new(MemoryMetastore::new()), None)),
            #[cfg(feature = "driver-redb")]
            "redb" => {
                let store = redb::open(self)?;
                Ok((store.clone(), Some(store)))
            }
            _ => Err(missing(uri, Pillar::Metastore)),
        }
    }

    fn objects(&self) -> Result<Opened<dyn ObjectStore>> {
        let uri = &self.config.stores.objects;
        match uri.scheme() {
            "memory" => Ok((
                Arc::new(MemoryObjectStore::new(Arc::clone(self.clock))),
                None,
            )),
            #[cfg(feature = "driver-local")]
            "local" => {
                let store = local::open(self)?;
                Ok((store.clone(), Some(store)))
            }
            _ => Err(missing(uri, Pillar::Objects)),
        }
    }
}

impl Drivers {
    /// What `/metrics` asks. Does not keep the drivers open.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of(&self.parts)
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
    explain(find(uri, pillar))
        .with("store", uri)
        .with("as", pillar)
        .with("available", Available(pillar))
}

fn explain(known: Option<&Known>) -> Error {
    match known {
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
    }
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
