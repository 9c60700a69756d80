//! Locks: leases on a file, a directory or a free name.
//!
//! A lock is on an inode, so that it follows renames, or on a name that means nothing to the
//! filesystem. A grant is a lease: it ends by itself after its time to live (Gray and Cheriton,
//! "Leases", 1989), and its token is the revision of the commit that granted it, so that of one
//! lock later tokens are larger. A change that carries a token as its
//! [fence](nexus_service_api::Fence) is committed only while that lease is held; the guard that
//! sees to it is part of the change's own transaction.
//!
//! Locks are advisory: a change without a fence does not ask for them.
//!
//! What time it is, is decided by whoever proposes a commit, from the zone's clock; the end of a
//! lease is in its row, and no store ever reads a clock.
//!
//! Grants, extensions and releases are not in the operation log, since they change no file and
//! would drown what does. On record is who took a lease from somebody: by force, or because it
//! had expired when another was granted one.

use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Guard, Op, Result, Revision, Timestamp};

use crate::log::ChangeKind;
use crate::records::{ChangeRecord, EndedLeaseRecord};
use crate::session::Session;
use crate::time::format_rfc3339;
use crate::tx::Tx;
use crate::types::Ino;

mod acquire;
mod fence;
mod holding;
mod inspect;
mod judge;
mod presence;
mod resource;
mod rows;
mod sweep;

pub(crate) use fence::is_of_lost_lease;
pub use inspect::LOCKS_LIMIT_MAX;
pub(crate) use presence::Waiting;
pub(crate) use resource::is_lock_name;
pub(crate) use rows::{Floors, check_row};
pub(crate) use sweep::run as sweep;

use resource::Target;
use rows::Row;

/// Shortest time to live of a lease.
pub const LOCK_TTL_MIN: Duration = Duration::from_millis(1);
/// Longest time to live of a lease; it can be extended for as long as it is needed.
pub const LOCK_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest wait for a lease.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(60 * 60);
/// Most permits of a counting lock, and most who share one.
pub const LEASES_MAX: usize = 1000;
/// Most who wait for one lock.
pub const WAITERS_MAX: usize = 1000;
/// Most bytes in the name of a lock that is on no file.
pub const LOCK_NAME_BYTES_MAX: usize = 255;

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
        /// 1 to [`LEASES_MAX`].
        permits: u32,
    },
}

impl LockMode {
    /// The mode of that name; `permits` are a counting lock's.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for another name, for permits of another mode, and for a counting lock
    /// without any.
    pub fn named(name: &str, permits: Option<u32>) -> Result<Self> {
        match (name, permits) {
            ("exclusive", None) => Ok(Self::Exclusive),
            ("shared", None) => Ok(Self::Shared),
            ("counting", Some(permits)) => Ok(Self::Counting { permits }),
            ("counting", None) => Err(Error::invalid("say how many permits the lock has")),
            ("exclusive" | "shared", Some(_)) => Err(Error::invalid(
                "only a counting lock has permits; leave them out, or ask for a counting one",
            )
            .with("mode", name)),
            _ => Err(Error::invalid("a lock is exclusive, shared or counting")
                .with("mode", crate::path::shown(name))),
        }
    }

    /// The name as doors print it.
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
    /// How long the lease holds unless it is extended: [`LOCK_TTL_MIN`] to [`LOCK_TTL_MAX`].
    pub ttl: Duration,
    /// How long to wait while others hold the lock: up to [`LOCK_WAIT_MAX`], 0 for not at all.
    pub wait: Duration,
    /// When the grant is acknowledged. A `Relaxed` one that a power failure takes back is no
    /// danger: its fence holds nothing from then on, and its token is never given again.
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

impl AcquireOptions {
    fn check(&self) -> Result<()> {
        check_ttl(self.ttl)?;
        if self.wait > LOCK_WAIT_MAX {
            return Err(
                Error::invalid("wait for a lock for up to an hour, and then ask again")
                    .with("wait_ms", self.wait.as_millis()),
            );
        }
        match self.mode.permits() {
            Some(permits) if !(1..=LEASES_MAX).contains(&(permits as usize)) => {
                Err(Error::invalid("a counting lock has 1 to 1000 permits")
                    .with("permits", permits))
            }
            _ => Ok(()),
        }
    }
}

fn check_ttl(ttl: Duration) -> Result<()> {
    if (LOCK_TTL_MIN..=LOCK_TTL_MAX).contains(&ttl) {
        return Ok(());
    }
    Err(Error::invalid(
        "a lease is for 1 ms to 24 hours; ask for a short one and extend it while it is needed",
    )
    .with("ttl_ms", ttl.as_millis()))
}

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is on, by a name that renames do not change: `ino:42` or `name:deploy`.
    pub resource: String,
    /// Where that is now; none for a free name, and for a file that is gone.
    pub path: Option<String>,
    /// The revision of the commit that granted it: names it, and is what fences are made of.
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
    fn new(target: &Target, row: &Row) -> Self {
        let record = row.record.clone();
        Self {
            resource: target.name.clone(),
            path: target.path.clone(),
            token: row.stamp,
            mode: row.mode,
            holder: record.holder,
            on_behalf_of: record.on_behalf_of,
            session: record.session,
            acquired: Timestamp(record.since),
            expires: Timestamp(record.until),
        }
    }
}

/// Somebody who waits for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiter {
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
    pub waiters: Vec<Waiter>,
}

/// Which locks to list.
#[derive(Clone, Debug, Default)]
pub struct LockQuery {
    /// Those on this path and below it.
    pub path_prefix: Option<String>,
    /// Those that somebody, as `kind:id`, holds or waits for.
    pub holder: Option<String>,
    /// Most locks in the page; 0 stands for 100.
    pub limit: usize,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

/// A page of locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPage {
    /// The locks: those on files first.
    pub locks: Vec<LockState>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// What a forced unlock did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    /// The commit, under which it is in the operation log.
    pub revision: Revision,
    /// The leases that it ended; some may have expired before.
    pub leases: Vec<Lease>,
}

/// A change of the rows of one lock: one commit.
struct LockCommit {
    guards: Vec<Guard>,
    ops: Vec<Op>,
    notes: Vec<ChangeRecord>,
}

impl LockCommit {
    fn new() -> Self {
        Self {
            guards: Vec::new(),
            ops: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Removes a row, insisting that it is as it was read.
    fn remove(&mut self, key: Bytes, row: &Row) {
        self.guards
            .push(Guard::RevisionIs(key.clone(), row.revision));
        self.ops.push(Op::Delete(key));
    }

    /// Ends somebody's lease, and says so in the log.
    fn end_lease(&mut self, kind: ChangeKind, target: &Target, row: &Row) {
        self.remove(rows::lease_key(&target.lock, row.stamp), row);
        self.notes.push(ChangeRecord {
            kind: kind.code(),
            path: target.shown().to_owned(),
            ino: target.ino().map_or(0, |ino| ino.0),
            lease: Some(EndedLeaseRecord {
                token: row.stamp,
                holder: row.record.holder.clone(),
            }),
            ..ChangeRecord::default()
        });
    }

    /// Commits; `None` after a lost race. It need not stand on the caller's fences: whoever has
    /// lost a lease must still be able to give up another.
    async fn commit(self, session: &Session, durability: Durability) -> Result<Option<Revision>> {
        let mut tx = Tx::begin(session, 0);
        tx.needs_no_fence();
        for guard in self.guards {
            tx.insist(guard);
        }
        for op in self.ops {
            tx.also(op);
        }
        for note in self.notes {
            tx.record(note);
        }
        let committed = tx.commit(durability).await?;
        Ok(committed.map(|committed| committed.revision))
    }
}

/// After so many lost races.
fn too_busy(target: &Target) -> Error {
    Error::conflict("others kept changing this lock first; try again")
        .with("resource", target.shown())
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Adds who holds a lock to an error about it.
fn with_holder(error: Error, row: &Row) -> Error {
    error
        .with("holder", &row.record.holder)
        .with("mode", row.mode.as_str())
        .with("expires", format_rfc3339(row.until()))
}

const ROOT: &[u64] = &[Ino::ROOT.0];
