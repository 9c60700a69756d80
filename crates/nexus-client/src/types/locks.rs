//! Locks.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use nexus_kernel::{Durability, Error, Result, Revision, Timestamp};

/// Who may hold a lock together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// One.
    #[default]
    Exclusive,
    /// All who share it.
    Shared,
    /// So many: a semaphore. Everybody who uses it at a time has to say the same number.
    Counting {
        /// 1 to 1,000.
        permits: u32,
    },
}

impl LockMode {
    /// The name as people and doors write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Counting { .. } => "counting",
        }
    }

    /// Of a counting lock, how many may hold it.
    #[must_use]
    pub const fn permits(self) -> Option<u32> {
        match self {
            Self::Counting { permits } => Some(permits),
            Self::Exclusive | Self::Shared => None,
        }
    }
}

/// How to ask for a lease.
#[derive(Clone, Copy, Debug)]
pub struct AcquireOptions {
    /// Who may hold the lock besides.
    pub mode: LockMode,
    /// How long the lease holds unless it is extended: 1 ms to 24 hours.
    pub ttl: Duration,
    /// How long to wait while others hold the lock: up to an hour, 0 for not at all.
    pub wait: Duration,
    /// When the grant is acknowledged.
    pub durability: Durability,
}

impl Default for AcquireOptions {
    /// Exclusive, for 30 seconds, without waiting, durable.
    fn default() -> Self {
        Self {
            mode: LockMode::Exclusive,
            ttl: Duration::from_secs(30),
            wait: Duration::ZERO,
            durability: Durability::Sync,
        }
    }
}

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is on, by a name that renames do not change: `ino:42` or `name:deploy`.
    pub resource: String,
    /// Where that is now; none for a free name.
    pub path: Option<String>,
    /// The commit that granted it: of one lock, later tokens are larger.
    pub token: u64,
    /// Who may hold the lock besides.
    pub mode: LockMode,
    /// Whose it is, as `kind:id`.
    pub holder: String,
    /// For whom the holder acts.
    pub on_behalf_of: Option<String>,
    /// In which run of an agent.
    pub session: Option<String>,
    /// When it was granted.
    pub acquired: Timestamp,
    /// When it ends unless it is extended.
    pub expires: Timestamp,
}

impl Lease {
    /// What a change carries that is to be committed only while this lease is held.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence {
            token: self.token,
            resource: self.resource.clone(),
        }
    }
}

/// A lease that must still be held when a change is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease.
    pub token: u64,
    /// What it is on: `/a/path`, `ino:42` or `name:deploy`.
    pub resource: String,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.token, self.resource)
    }
}

impl FromStr for Fence {
    type Err = Error;

    /// Reads `TOKEN RESOURCE`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(' ').filter(|(_, rest)| !rest.is_empty());
        let fence = parts.and_then(|(token, resource)| {
            Some(Self {
                token: token.parse().ok()?,
                resource: resource.to_owned(),
            })
        });
        fence.ok_or_else(|| {
            Error::invalid(
                "a fence is the token of a lease and what it is on, like '4711 /docs/a.txt' or \
                 '4711 name:deploy'",
            )
        })
    }
}

/// Somebody who waits for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWaiter {
    /// Who, as `kind:id`.
    pub holder: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// In which run of an agent.
    pub session: Option<String>,
    /// What it asks for.
    pub mode: LockMode,
    /// Since when.
    pub since: Timestamp,
}

/// A lock that somebody holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockState {
    /// What it is on: `ino:42` or `name:deploy`.
    pub resource: String,
    /// Where that is now; none for a free name.
    pub path: Option<String>,
    /// Those who hold it, in the order of their tokens.
    pub leases: Vec<Lease>,
    /// Those who wait, first come first.
    pub waiters: Vec<LockWaiter>,
}

/// Which locks to list.
#[derive(Clone, Debug, Default)]
pub struct LockQuery {
    /// Those on this path and below it.
    pub path_prefix: Option<String>,
    /// Those that somebody, as `kind:id`, holds or waits for.
    pub holder: Option<String>,
}

/// What a forced unlock did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    /// Under which it is in the log.
    pub revision: Revision,
    /// The leases that ended.
    pub leases: Vec<Lease>,
}
