//! Full segments that wait to become files.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::config::LocalConfig;
use crate::error::{Failure, Result};
use crate::segments::Sealed;

#[derive(Debug)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
    resting_max: usize,
    behind_max: usize,
}

#[derive(Debug, Default)]
struct State {
    sealed: VecDeque<Sealed>,
    /// How many attempts at the first segment have ended.
    attempts: u64,
    /// Why the last attempt failed, if it did.
    failure: Option<Failure>,
    /// How many wait for all segments to become files.
    waiting: usize,
    /// Whether nobody needs the disk for anything better.
    idle: bool,
    closed: bool,
}

impl Backlog {
    pub(crate) fn new(sealed: impl IntoIterator<Item = Sealed>, config: &LocalConfig) -> Self {
        let sealed = sealed.into_iter().collect();
        Self {
            state: Mutex::new(State {
                sealed,
                ..State::default()
            }),
            changed: Condvar::new(),
            resting_max: config.segments_resting_max,
            behind_max: config.segments_behind_max,
        }
    }

    pub(crate) fn push(&self, segment: Sealed) {
        self.state.lock().sealed.push_back(segment);
        self.changed.notify_all();
    }

    /// Says whether this is a good time for checkpoints.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.state.lock().idle = idle;
        self.changed.notify_all();
    }

    /// Waits until few enough segments wait. Fails with what keeps them from becoming files.
    pub(crate) fn wait_for_room(&self) -> Result<()> {
        self.wait_until_at_most(self.behind_max)
    }

    /// Waits until no segment waits.
    pub(crate) fn wait_until_empty(&self) -> Result<()> {
        self.state.lock().waiting += 1;
        let emptied = self.wait_until_at_most(0);
        self.state.lock().waiting -= 1;
        emptied
    }

    fn wait_until_at_most(&self, behind_max: usize) -> Result<()> {
        let mut state = self.state.lock();
        let seen = state.attempts;
        // Whatever stood in the way may be gone: let the next attempt decide.
        state.failure = None;
        self.changed.notify_all();
        while state.sealed.len() > behind_max {
            if let Some(failure) = state.failure.as_ref().filter(|_| state.attempts > seen) {
                return Err(failure.clone());
            }
            self.changed.wait(&mut state);
        }
        Ok(())
    }

    /// The first segment, when it is time and no failure stands against trying it; `None` when
    /// there will be none.
    pub(crate) fn wait_for_work(&self) -> Option<Sealed> {
        let mut state = self.state.lock();
        loop {
            let due = state.is_due(self.resting_max) && state.failure.is_none();
            if let Some(segment) = state.sealed.front().filter(|_| due) {
                return Some(segment.clone());
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Ends an attempt at the first segment.
    pub(crate) fn ended(&self, outcome: Result<()>) {
        let mut state = self.state.lock();
        state.attempts += 1;
        state.failure = outcome.err();
        if state.failure.is_none() {
            state.sealed.pop_front();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// No segment will be pushed any more.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().sealed.len()
    }
}

impl State {
    fn is_due(&self, resting_max: usize) -> bool {
        self.sealed.len() > resting_max || self.idle || self.closed || self.waiting > 0
    }
}
