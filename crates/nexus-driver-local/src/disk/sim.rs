//! A disk that forgets.
//!
//! What was not synced may be lost at power loss, in any combination: each write to a file whole or
//! by sectors, each change of a directory by itself. Kept is only this: what happens to one
//! name happens in order, a rename happens at both ends or not at all, and nothing is in a directory
//! that is lost. Every journaling file system keeps that.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use nexus_kernel::Timestamp;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::io::Errno;

use super::{Access, Disk, DiskFile, Facts, Item, parent};
use crate::record::HEADER_BYTES;

mod power;
mod state;

pub use power::Power;
use state::{Change, Inode, Node, State};

/// How a disk may betray its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// It does not.
    #[default]
    None,
    /// No space for anything new.
    Full,
    /// Writes fail half-way.
    WriteFails,
    /// By chance writes fail, and any part of them may be there.
    SomeWritesFail,
    /// Flushing a file fails.
    SyncFails,
    /// Flushing a file does nothing, and says that it did.
    SyncLies,
    /// The same for directories.
    SyncDirLies,
    /// The same for the whole disk.
    SyncAllLies,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::of(State::new())
    }

    /// From now on it goes off with the other disks of this machine.
    #[must_use]
    pub fn powered_by(self, power: &Power) -> Self {
        self.0.lock().power = power.clone();
        self
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// How many operations were done that change or sync something.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().power.operations()
    }

    /// Turns the power off instead of doing the operation after `operations` more.
    pub fn power_off_after(&self, operations: u64) {
        self.0.lock().power.off_after(operations);
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.lock().power.is_off()
    }

    /// Begins or ends to betray. A new start ends it.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.0.lock().trouble = trouble;
    }

    /// What a new start finds after power loss: what was synced, and by chance some of the rest.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut state = self.0.lock().clone();
        state.lose(&mut random);
        state.restart();
        Self::of(state)
    }

    /// What a new start finds when only the process died.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = self.0.lock().clone();
        state.restart();
        Self::of(state)
    }

    /// Changes one byte of a file, durably.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn damage(&self, path: &str, at: usize) {
        let mut state = self.0.lock();
        let inode = state.find(path).expect("the file to damage exists");
        let file = state.file_mut(inode).expect("it is a file");
        file.now[at] ^= 1;
        file.durable = file.now.clone();
    }

    fn file(&self, inode: Inode) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            disk: self.clone(),
            inode,
        })
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.begin_growing()?;
        if state.find(path).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let inode = state.add(Node::file());
        state.link(path, inode)?;
        drop(state);
        Ok(self.file(inode))
    }

    fn open(&self, path: &str, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let inode = state.find(path)?;
        state.file_mut(inode)?;
        drop(state);
        Ok(self.file(inode))
    }

    fn facts(&self, path: &str) -> io::Result<Facts> {
        let mut state = self.0.lock();
        let inode = state.find(path)?;
        Ok(state.file_mut(inode)?.facts())
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.find(path).is_ok() {
            return Ok(());
        }
        state.begin_growing()?;
        let inode = state.add(Node::dir());
        state.link(path, inode)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin()?;
        let inode = state.find(from)?;
        let (from, to) = (state.name(from)?, state.name(to)?);
        state.change(Change {
            unlink: Some(from),
            link: Some((to, inode)),
        });
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin()?;
        state.find(path)?;
        let name = state.name(path)?;
        state.change(Change {
            unlink: Some(name),
            link: None,
        });
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Item>> {
        let state = self.0.lock();
        let inode = state.find(dir)?;
        let names = state.dir(inode)?.now.clone();
        let items = names.into_iter().map(|(name, inode)| Item {
            name,
            is_dir: state.dir(inode).is_ok(),
        });
        Ok(items.collect())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin()?;
        let inode = state.find(dir)?;
        if state.trouble != Trouble::SyncDirLies {
            state.keep_changes(|change| change.touches(inode));
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin()?;
        if state.trouble != Trouble::SyncAllLies {
            state.keep_changes(|_| true);
            state.files_mut().for_each(state::FileNode::sync);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl DiskFile for SimFile {
    fn write_at(&self, pieces: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        let mut state = self.disk.0.lock();
        let was_off = state.power.is_off();
        let begun = state.begin();
        let trouble = state.trouble;
        let file = state.file_mut(self.inode)?;
        if begun.is_err() && !was_off {
            // The power goes off in the middle: any part of it may be there.
            file.write(at, bytes);
            return begun;
        }
        begun?;
        if trouble == Trouble::Full && at + bytes.len() as u64 > file.reserved {
            return Err(Errno::NOSPC.into());
        }
        let written = written_before_failing(trouble, &bytes, at);
        file.write(at, bytes[..written.unwrap_or(bytes.len())].to_vec());
        written.map_or(Ok(()), |_| Err(Errno::IO.into()))
    }

    fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut state = self.disk.0.lock();
        let file = state.file_mut(self.inode)?;
        let start = file
            .now
            .len()
            .min(usize::try_from(at).expect("files are small here"));
        let end = file.now.len().min(start + length);
        Ok(file.now[start..end].to_vec())
    }

    fn read_at_once(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let bytes = self.read_at(at, length).ok()?;
        (bytes.len() == length).then_some(bytes)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.begin_growing()?;
        let file = state.file_mut(self.inode)?;
        file.reserved = length;
        let now = file.now.len();
        let length = usize::try_from(length).expect("files are small here");
        file.write(now as u64, vec![0; length.saturating_sub(now)]);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.begin()?;
        match state.trouble {
            Trouble::SyncFails => Err(Errno::IO.into()),
            Trouble::SyncLies => Ok(()),
            _ => {
                state.file_mut(self.inode)?.sync();
                Ok(())
            }
        }
    }

    fn facts(&self) -> io::Result<Facts> {
        Ok(self.disk.0.lock().file_mut(self.inode)?.facts())
    }

    fn local(&self) -> io::Result<Option<File>> {
        Ok(None)
    }

    fn date(&self, modified: Timestamp) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.begin()?;
        state.file_mut(self.inode)?.modified = modified;
        Ok(())
    }
}

/// How much of a write a disk in trouble does before it fails; `None` if it does not fail.
fn written_before_failing(trouble: Trouble, bytes: &[u8], at: u64) -> Option<usize> {
    match trouble {
        Trouble::WriteFails => (bytes.len() > HEADER_BYTES).then_some(bytes.len() / 2),
        Trouble::SomeWritesFail => {
            let mut random = StdRng::seed_from_u64(at ^ u64::from(crc32fast::hash(bytes)));
            let fails = random.random_ratio(1, 5);
            fails.then(|| random.random_range(0..=bytes.len()))
        }
        _ => None,
    }
}
