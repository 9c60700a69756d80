//! The past states that the kernel knows inodes of.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_fs::{DirEntry, Ino, Stat};
use nexus_kernel::{Error, Result, Revision, Timestamp};
use parking_lot::Mutex;

use super::numbers::{Node, STATE_MAX, StateNumber, in_part, ino_of, part_of};
use crate::volume::Volume;

/// Parts of states held; of those that the kernel knows nothing of any more, the ones last used.
const STATES_MAX: usize = 4096;

/// Past states by number, each part with one of its own. One is held for as long as the kernel may
/// ask for an inode of it.
pub(crate) struct States {
    table: Mutex<Table>,
    since: Timestamp,
}

#[derive(Default)]
struct Table {
    states: HashMap<StateNumber, State>,
    numbers: HashMap<Key, StateNumber>,
    last: StateNumber,
    uses: u64,
}

/// A part of a state: by the name of the point, so that no directory has two names, by what it
/// means, and by the higher bits of its inodes' numbers.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    point: String,
    revision: Revision,
    part: u32,
}

struct State {
    volume: Arc<dyn Volume>,
    key: Key,
    /// How often the kernel was told of an inode of it that it has not forgotten.
    known: u64,
    /// When it was last looked up, in uses.
    used: u64,
}

impl States {
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            table: Mutex::default(),
            since,
        }
    }

    /// When there began to be any.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// A state, and an inode's number in it.
    pub(super) fn get(&self, number: StateNumber, ino: Ino) -> Result<(Arc<dyn Volume>, Ino)> {
        let table = self.table.lock();
        let state = table.state(number)?;
        Ok((Arc::clone(&state.volume), in_part(state.key.part, ino)))
    }

    /// The number that the kernel knows the root of a state by, the same for as long as it is held.
    pub(super) fn insert(
        &self,
        point: &str,
        revision: Revision,
        volume: Arc<dyn Volume>,
    ) -> Result<Ino> {
        let key = Key {
            point: point.to_owned(),
            revision,
            part: part_of(Ino::ROOT),
        };
        let number = self.table.lock().insert(key, volume)?;
        Ok(ino_of(number, Ino::ROOT))
    }

    /// The number that the kernel knows an inode by which was found in a state.
    pub(super) fn shown(&self, number: StateNumber, ino: Ino) -> Result<Ino> {
        let mut table = self.table.lock();
        let state = table.state(number)?;
        if state.key.part == part_of(ino) {
            return Ok(ino_of(number, ino));
        }
        let key = Key {
            part: part_of(ino),
            ..state.key.clone()
        };
        let volume = Arc::clone(&state.volume);
        Ok(ino_of(table.insert(key, volume)?, ino))
    }

    pub(super) fn shown_stat(&self, number: StateNumber, mut stat: Stat) -> Result<Stat> {
        stat.ino = self.shown(number, stat.ino)?;
        Ok(stat)
    }

    pub(super) fn shown_entry(&self, number: StateNumber, mut entry: DirEntry) -> Result<DirEntry> {
        entry.ino = self.shown(number, entry.ino)?;
        if let Some(stat) = &mut entry.stat {
            stat.ino = entry.ino;
        }
        Ok(entry)
    }

    /// Notes that the kernel was told of an inode.
    pub(crate) fn told(&self, ino: Ino) {
        if let Node::Past(number, _) = Node::of(ino)
            && let Some(state) = self.table.lock().states.get_mut(&number)
        {
            state.known += 1;
        }
    }

    /// Notes that the kernel has forgotten what it was told of an inode so many times.
    pub(crate) fn forgotten(&self, ino: Ino, times: u64) {
        if let Node::Past(number, _) = Node::of(ino)
            && let Some(state) = self.table.lock().states.get_mut(&number)
        {
            state.known = state.known.saturating_sub(times);
        }
    }
}

impl Table {
    fn state(&self, number: StateNumber) -> Result<&State> {
        self.states.get(&number).ok_or_else(|| {
            Error::conflict("this past state was forgotten; look it up again").with("state", number)
        })
    }

    fn insert(&mut self, key: Key, volume: Arc<dyn Volume>) -> Result<StateNumber> {
        self.uses += 1;
        let used = self.uses;
        if let Some(number) = self.numbers.get(&key).copied() {
            if let Some(state) = self.states.get_mut(&number) {
                state.used = used;
            }
            return Ok(number);
        }
        self.make_room()?;
        let number = self.free_number();
        self.numbers.insert(key.clone(), number);
        let state = State {
            volume,
            key,
            known: 0,
            used,
        };
        self.states.insert(number, state);
        Ok(number)
    }

    fn make_room(&mut self) -> Result<()> {
        if self.states.len() < STATES_MAX {
            return Ok(());
        }
        let idle = self.states.iter().filter(|(_, state)| state.known == 0);
        let oldest = idle.min_by_key(|(_, state)| state.used);
        let Some((number, _)) = oldest else {
            return Err(Error::limit(
                "programs use too many past states at a time; let some of them end",
            )
            .with("states_max", STATES_MAX));
        };
        let number = *number;
        if let Some(state) = self.states.remove(&number) {
            self.numbers.remove(&state.key);
        }
        Ok(())
    }

    /// There is one: fewer are held than there are.
    fn free_number(&mut self) -> StateNumber {
        loop {
            self.last = self.last % STATE_MAX + 1;
            if !self.states.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

#[cfg(test)]
mod tests;
