//! The past states that the kernel knows inodes of.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_fs::Ino;
use nexus_kernel::{Error, Result, Revision, Timestamp};
use parking_lot::Mutex;

use super::numbers::{Node, STATE_MAX, StateNumber};
use crate::volume::Volume;

/// States held; of those that the kernel knows nothing of any more, the ones last used.
const STATES_MAX: usize = 4096;

/// Past states by number. One is held for as long as the kernel may ask for an inode of it.
pub(crate) struct States {
    table: Mutex<Table>,
    since: Timestamp,
}

#[derive(Default)]
struct Table {
    states: HashMap<StateNumber, State>,
    /// By the name of the point, so that no directory has two names, and by what it means.
    numbers: HashMap<(String, Revision), StateNumber>,
    last: StateNumber,
    uses: u64,
}

struct State {
    volume: Arc<dyn Volume>,
    key: (String, Revision),
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

    pub(super) fn get(&self, number: StateNumber) -> Result<Arc<dyn Volume>> {
        let table = self.table.lock();
        let state = table.states.get(&number);
        let volume = state.map(|state| Arc::clone(&state.volume));
        volume.ok_or_else(|| {
            Error::conflict("this past state was forgotten; look it up again").with("state", number)
        })
    }

    /// The number of a state, which is the same for as long as it is held.
    pub(super) fn insert(
        &self,
        point: &str,
        revision: Revision,
        volume: Arc<dyn Volume>,
    ) -> Result<StateNumber> {
        let mut table = self.table.lock();
        table.uses += 1;
        let used = table.uses;
        let key = (point.to_owned(), revision);
        if let Some(number) = table.numbers.get(&key).copied() {
            if let Some(state) = table.states.get_mut(&number) {
                state.used = used;
            }
            return Ok(number);
        }
        table.make_room()?;
        let number = table.free_number();
        table.numbers.insert(key.clone(), number);
        let state = State {
            volume,
            key,
            known: 0,
            used,
        };
        table.states.insert(number, state);
        Ok(number)
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
