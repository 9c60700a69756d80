//! How many follow the feed: all together, and each key alone.

use std::collections::HashMap;

use nexus_kernel::{Error, Result};
use nexus_service_api::{Principal, PrincipalKind};
use parking_lot::Mutex;

/// One key has at most one in so many of the feeds that may be open at a time, and one at least:
/// whatever it does, others find room.
pub const FEEDS_SHARE: usize = 4;

/// Whose a feed is: a key, by its public id. The node, and a program that embeds it, may have all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Key(String),
    System,
}

impl Owner {
    pub(super) fn of(principal: &Principal) -> Self {
        match (principal.kind, &principal.key_id) {
            (PrincipalKind::System, _) => Self::System,
            (_, Some(key)) => Self::Key(key.clone()),
            (_, None) => Self::Key(principal.actor()),
        }
    }
}

/// Places of those who follow.
#[derive(Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    /// Nobody who has none.
    of: HashMap<Owner, usize>,
}

impl Places {
    /// Takes one of `most`.
    ///
    /// # Errors
    ///
    /// `LimitExceeded`.
    pub(super) fn take(&self, owner: &Owner, most: usize) -> Result<()> {
        let mut taken = self.0.lock();
        if taken.all >= most {
            return Err(Error::limit(
                "as many change feeds are open as may be; close one, or raise the setting feeds.max",
            )
            .with("feeds_max", most));
        }
        let share = (most / FEEDS_SHARE).max(1);
        let own = taken.of.get(owner).copied().unwrap_or(0);
        if own >= share && *owner != Owner::System {
            return Err(Error::limit(
                "this key has as many change feeds open as one may; close one, use another key, or raise the setting feeds.max",
            )
            .with("feeds_max", most)
            .with("limit", share));
        }
        taken.all += 1;
        taken.of.insert(owner.clone(), own + 1);
        Ok(())
    }

    /// Gives a place back; answers how many are left.
    pub(super) fn give_back(&self, owner: &Owner) -> usize {
        let mut taken = self.0.lock();
        taken.all -= 1;
        if let Some(own) = taken.of.get_mut(owner) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(owner);
            }
        }
        taken.all
    }

    pub(super) fn taken(&self) -> usize {
        self.0.lock().all
    }
}
