//! A zone on the embedded drivers, in a folder that goes with it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{BatchStep, Session, Stores, WriteOptions, Zone, ZoneConfig};
use nexus_kernel::Durability;
use nexus_service_api::{Context, SystemClock};
use nexus_services::authorizer::KeyAuthorizer;
use tempfile::TempDir;

pub(crate) struct TestZone {
    pub zone: Zone,
    pub files: Session,
    metastore: Arc<RedbMetastore>,
    objects: Arc<LocalObjectStore>,
    _folder: Option<TempDir>,
}

/// A folder on the disk that is measured: below the build folder, not in memory.
pub(crate) fn folder() -> Result<TempDir> {
    std::fs::create_dir_all("target/bench")?;
    Ok(TempDir::new_in("target/bench")?)
}

/// The embedded stores in a folder.
pub(crate) fn stores(folder: &Path) -> Result<(Arc<RedbMetastore>, Arc<LocalObjectStore>)> {
    let metastore = RedbMetastore::open(&RedbConfig::new(folder.join("metastore.redb")))?;
    let config = LocalConfig::new(folder.join("objects"));
    let objects = LocalObjectStore::open(config, Arc::new(SystemClock))?;
    Ok((metastore, Arc::new(objects)))
}

impl TestZone {
    pub(crate) async fn new() -> Result<Self> {
        let folder = folder()?;
        let mut zone = Self::open(folder.path()).await?;
        zone._folder = Some(folder);
        Ok(zone)
    }

    pub(crate) async fn open(folder: &Path) -> Result<Self> {
        let (metastore, objects) = stores(folder)?;
        let stores = Stores {
            metastore: Arc::clone(&metastore) as _,
            objects: Arc::clone(&objects) as _,
        };
        let zone = Zone::open(
            stores,
            Arc::new(KeyAuthorizer::new("root")),
            ZoneConfig::default(),
        )
        .await?;
        let files = zone.session(Context::system());
        Ok(Self {
            zone,
            files,
            metastore,
            objects,
            _folder: None,
        })
    }

    /// Makes everything durable and lets go of the folder, for others to open.
    pub(crate) async fn close(self) -> Result<()> {
        self.zone.close().await?;
        drop((self.zone, self.files));
        let stores = (self.metastore, self.objects);
        // Background tasks let go when they are scheduled next. The metastore itself keeps the
        // object store, for its flush barrier.
        while Arc::strong_count(&stores.0) > 1 || Arc::strong_count(&stores.1) > 2 {
            tokio::task::yield_now().await;
        }
        Ok(tokio::task::spawn_blocking(move || drop(stores)).await?)
    }

    /// Makes files of `content` in directories of 1,000.
    pub(crate) async fn fill(
        &self,
        top: &str,
        count: usize,
        content: impl Fn(usize) -> Bytes,
    ) -> Result<()> {
        for first in (0..count).step_by(1000) {
            let steps = (first..count.min(first + 1000)).map(|i| BatchStep::Write {
                path: path(top, i),
                content: content(i),
                options: WriteOptions {
                    parents: true,
                    ..WriteOptions::default()
                },
            });
            self.files
                .batch(steps.collect(), Durability::Relaxed)
                .await?;
        }
        self.files.sync().await?;
        Ok(())
    }
}

pub(crate) fn path(top: &str, i: usize) -> String {
    format!("{top}/d{:04}/f{:03}", i / 1000, i % 1000)
}

/// Bytes that do not compress, different for each `seed`.
pub(crate) fn noise(seed: usize, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_be_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes.into()
}
