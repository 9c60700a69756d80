//! The two disks of a machine, which stop at the same moment.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nexus_driver_local::{LocalConfig, LocalObjectStore, Power, SimDisk, Trouble};
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::Stores;
use nexus_kernel::{Limits, Metastore, Result};
use nexus_service_api::Clock;
use nexus_testkit::metastore::{WatchedMetastore, Watcher};
use nexus_testkit::power_loss::SimulatedDisk;
use rand::Rng;
use rand::rngs::StdRng;
use redb::StorageBackend;

/// Which disk says that it has stored what it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    OfTheMetadata,
    OfTheObjects(Trouble),
    /// Commits become durable before what they refer to.
    OfTheOrder,
}

pub(crate) struct Disks {
    pub power: Power,
    metadata: SimulatedDisk,
    objects: SimDisk,
    lie: Lie,
    value_bytes_max: usize,
}

impl Disks {
    pub(crate) fn new(random: &mut StdRng, lie: Lie) -> Self {
        let metadata = SimulatedDisk::new(random.random());
        Self::with(metadata, SimDisk::new(), lie)
    }

    fn with(metadata: SimulatedDisk, objects: SimDisk, lie: Lie) -> Self {
        let power = Power::default();
        let objects = objects.powered_by(&power);
        match lie {
            Lie::None | Lie::OfTheOrder => {}
            Lie::OfTheMetadata => metadata.lie_about_syncs(),
            Lie::OfTheObjects(trouble) => objects.set_trouble(trouble),
        }
        Self {
            power,
            metadata,
            objects,
            lie,
            value_bytes_max: Limits::STANDARD.value_bytes_max,
        }
    }

    /// With a metastore whose values are that short.
    pub(crate) fn with_values_up_to(mut self, bytes: usize) -> Self {
        self.value_bytes_max = bytes;
        self
    }

    /// What the machine finds when it is turned on again.
    pub(crate) fn after_power_loss(&self, random: &mut StdRng) -> Self {
        self.power.off();
        let objects = self.objects.after_power_loss(random.random());
        Self::with(self.metadata.restart(), objects, self.lie)
            .with_values_up_to(self.value_bytes_max)
    }

    /// Makes the database. It is made under another name and renamed when it is whole, so what
    /// a power loss leaves of it is of no use.
    pub(crate) fn create_database(&mut self, random: &mut StdRng) {
        while self.metastore().is_err() || self.power.is_off() {
            *self = self.after_power_loss(random);
            self.metadata = SimulatedDisk::new(random.random());
        }
    }

    pub(crate) fn stores(&self, clock: Arc<dyn Clock>) -> Result<Stores> {
        let metastore = self.metastore()?;
        let objects = LocalObjectStore::open_simulated(self.objects.clone(), small(), clock)?;
        Ok(Stores {
            metastore,
            objects: Arc::new(objects),
        })
    }

    fn metastore(&self) -> Result<Arc<dyn Metastore>> {
        let config = RedbConfig {
            cache_bytes: 1 << 20,
            // A timer would make every run another one.
            relaxed_delay_max: Duration::from_secs(3600),
            ..RedbConfig::new("")
        };
        let disk = Powered {
            disk: self.metadata.clone(),
            power: self.power.clone(),
        };
        let store = RedbMetastore::with_backend(&config, disk)?;
        let altered = Altered {
            is_ordered: self.lie != Lie::OfTheOrder,
            value_bytes_max: self.value_bytes_max,
        };
        Ok(Arc::new(WatchedMetastore::new(store, altered)))
    }
}

/// A store with a limit of its own, or one that waits for nobody's barrier.
struct Altered {
    is_ordered: bool,
    value_bytes_max: usize,
}

impl Watcher for Altered {
    fn limits(&self, inner: Limits) -> Limits {
        Limits {
            value_bytes_max: self.value_bytes_max,
            ..inner
        }
    }

    fn takes_barrier(&self) -> bool {
        self.is_ordered
    }
}

/// Contents of a few bytes take every way that there is: through the journal, through a file
/// of their own, and from many full segments into files.
fn small() -> LocalConfig {
    LocalConfig {
        journal_blob_bytes_max: 30,
        relaxed_journal_blob_bytes_max: 20,
        segment_bytes: 3000,
        segments_resting_max: 0,
        segments_behind_max: 2,
        ..LocalConfig::new("")
    }
}

/// The disk of the database, on the power of the machine.
#[derive(Debug)]
struct Powered {
    disk: SimulatedDisk,
    power: Power,
}

impl Powered {
    fn check(&self) -> io::Result<()> {
        if self.power.is_off() {
            return Err(io::Error::other("the machine has lost its power"));
        }
        Ok(())
    }

    /// If the power goes off in the middle of it, any part may be there.
    fn change(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.check()?;
        let drawn = self.power.draw();
        change()?;
        drawn
    }
}

impl StorageBackend for Powered {
    fn len(&self) -> io::Result<u64> {
        self.check()?;
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check()?;
        self.disk.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|| self.disk.set_len(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.power.draw()?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.disk.write(offset, data))
    }
}
