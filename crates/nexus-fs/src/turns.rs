//! Turns: who makes a file from what it was does so after the one before, and need not begin
//! again because of it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Who has the turn of which path, and who waits for it.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// Ends when dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    path: &'a str,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn of a path: first come, first served.
    pub(crate) async fn wait<'a>(&'a self, path: &'a str) -> Turn<'a> {
        let lock = Arc::clone(self.0.lock().entry(path.to_owned()).or_default());
        let mut turn = Turn {
            turns: self,
            path,
            held: None,
        };
        turn.held = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut locks = self.turns.0.lock();
        if locks
            .get(self.path)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            locks.remove(self.path);
        }
    }
}

#[cfg(test)]
mod tests;
