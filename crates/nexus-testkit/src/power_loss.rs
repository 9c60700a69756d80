//! A disk that loses what was not synced.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk in memory for databases that take a [`redb::StorageBackend`].
///
/// It can be told to lose its power after so many writes, and then shows what a restart
/// could find: everything synced, and of what was not synced any mixture that a write
/// cache may leave. All that is random follows from the seed. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct Disk {
    /// What the machine sees while it runs.
    seen: Vec<u8>,
    /// What is left for certain when it stops.
    kept: Vec<u8>,
    /// What changed since the last sync, in order.
    unsynced: Vec<Change>,
    /// Changes and syncs until the power goes.
    fuse: Option<u64>,
    powered: bool,
    lying: bool,
    random: StdRng,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLength(usize),
}

/// How much of the write cache reached the disk.
#[derive(Clone, Copy)]
enum Survival {
    Nothing,
    Everything,
    SomeWrites,
    SomeSectors,
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::holding(Vec::new(), StdRng::seed_from_u64(seed), false)
    }

    /// From now on syncs do nothing and say that they worked. Stays over restarts.
    pub fn lie_about_syncs(&self) {
        self.0.lock().lying = true;
    }

    /// Lets the next `operations` writes, resizes and syncs pass and stops at the one after
    /// them, so that a write may be cut short and a sync not have happened.
    pub fn lose_power_after(&self, operations: u64) {
        self.0.lock().fuse = Some(operations);
    }

    /// Takes back [`lose_power_after`](Self::lose_power_after).
    pub fn keep_power(&self) {
        self.0.lock().fuse = None;
    }

    /// Stops now.
    pub fn lose_power(&self) {
        self.0.lock().powered = false;
    }

    /// Whether the disk still answers.
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.0.lock().powered
    }

    /// The disk that a machine finds after a power loss. The old one stays as it is and
    /// without power; each call may find something else.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut disk = self.0.lock();
        disk.powered = false;
        let left = disk.left_over();
        let random = StdRng::seed_from_u64(disk.random.random());
        Self::holding(left, random, disk.lying)
    }

    fn holding(bytes: Vec<u8>, random: StdRng, lying: bool) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            kept: bytes.clone(),
            seen: bytes,
            unsynced: Vec::new(),
            fuse: None,
            powered: true,
            lying,
            random,
        })))
    }
}

impl Disk {
    /// Counts an operation that changes something; true when the power goes during it.
    fn burns_through(&mut self) -> io::Result<bool> {
        self.check_power()?;
        match &mut self.fuse {
            None => Ok(false),
            Some(0) => {
                self.powered = false;
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
        }
    }

    fn check_power(&self) -> io::Result<()> {
        if self.powered {
            return Ok(());
        }
        Err(io::Error::other("the simulated disk has lost its power"))
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.burns_through()?;
        change.apply(&mut self.seen);
        self.unsynced.push(change);
        self.check_power()
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.burns_through()? {
            return self.check_power();
        }
        if !self.lying {
            for change in self.unsynced.drain(..) {
                change.apply(&mut self.kept);
            }
        }
        Ok(())
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        self.check_power()?;
        let from = self.seen.get(offset..offset + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn left_over(&mut self) -> Vec<u8> {
        let survival = match self.random.random_range(0..6) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 | 3 => Survival::SomeWrites,
            _ => Survival::SomeSectors,
        };
        let mut left = self.kept.clone();
        for change in &self.unsynced {
            change.apply_in_part(&mut left, survival, &mut self.random);
        }
        left
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::SetLength(length) => bytes.resize(*length, 0),
            Self::Write { offset, data } => overwrite(bytes, *offset, data),
        }
    }

    fn apply_in_part(&self, bytes: &mut Vec<u8>, survival: Survival, random: &mut StdRng) {
        let whole = match survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::SomeWrites | Survival::SomeSectors => random.random(),
        };
        match (self, survival) {
            (Self::Write { offset, data }, Survival::SomeSectors) => {
                for (start, sector) in sectors(*offset, data) {
                    if random.random() {
                        overwrite(bytes, start, sector);
                    }
                }
            }
            _ if whole => self.apply(bytes),
            _ => {}
        }
    }
}

/// Writes what fits: bytes beyond the end are lost with the length that was not kept.
fn overwrite(bytes: &mut [u8], offset: usize, data: &[u8]) {
    let start = offset.min(bytes.len());
    let end = (offset + data.len()).min(bytes.len());
    bytes[start..end].copy_from_slice(&data[..end - start]);
}

/// A write cut at the sector boundaries of the disk.
fn sectors(offset: usize, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR - offset % SECTOR).min(data.len());
    let (head, rest) = data.split_at(first);
    let rest = rest.chunks(SECTOR).enumerate();
    let rest = rest.map(move |(i, sector)| (offset + first + i * SECTOR, sector));
    std::iter::once((offset, head)).chain(rest)
}

impl redb::StorageBackend for SimulatedDisk {
    fn len(&self) -> io::Result<u64> {
        let disk = self.0.lock();
        disk.check_power()?;
        Ok(disk.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.lock().read(index(offset), out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.lock().change(Change::SetLength(index(length)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().change(Change::Write {
            offset: index(offset),
            data: data.to_vec(),
        })
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a simulated disk fits in memory")
}
