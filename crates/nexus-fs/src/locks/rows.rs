//! What is stored of a lock: its leases and its queue.
//!
//! Each is a row of its own, stamped with the revision of the commit that made it. So a lease's
//! token and a place in the queue need no counter, order is that of the commits, and those who
//! change different rows do not conflict. Nothing else is stored: a lock that nobody holds and
//! nobody waits for has no row.

use bytes::Bytes;
use nexus_kernel::{Error, Freshness, KeyRange, Result, Revision, Scan, Timestamp};
use prost::Message;
use quick_cache::sync::Cache;

use super::resource::is_free_name;
use super::{LEASES_MAX, LockMode, WAITERS_MAX};
use crate::keys::{self, LockOn};
use crate::records::{self, unreadable};
use crate::zone::Shared;

/// How many locks' floors are kept in memory.
const FLOORS_KEPT: usize = 10_000;

/// A lease, or a place in the queue for one.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LockRecord {
    /// Whose, as `kind:id`.
    #[prost(string, tag = "1")]
    pub holder: String,
    #[prost(string, optional, tag = "2")]
    pub on_behalf_of: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub session: Option<String>,
    /// 0 exclusive, 1 shared, 2 counting.
    #[prost(uint32, tag = "4")]
    pub mode: u32,
    /// Of a counting lock: how many may hold it.
    #[prost(uint32, tag = "5")]
    pub permits: u32,
    /// When it was granted, or the waiting began.
    #[prost(sfixed64, tag = "6")]
    pub since: i64,
    /// It counts for nothing from then on.
    #[prost(sfixed64, tag = "7")]
    pub until: i64,
}

impl LockRecord {
    pub(super) fn mode(&self) -> Result<LockMode> {
        match self.mode {
            0 => Ok(LockMode::Exclusive),
            1 => Ok(LockMode::Shared),
            2 => Ok(LockMode::Counting {
                permits: self.permits,
            }),
            _ => Err(unreadable("mode of a lock")),
        }
    }

    pub(super) fn set_mode(&mut self, mode: LockMode) {
        (self.mode, self.permits) = match mode {
            LockMode::Exclusive => (0, 0),
            LockMode::Shared => (1, 0),
            LockMode::Counting { permits } => (2, permits),
        };
    }
}

/// Whether a row, with its key, is one of a lock; if not, why.
pub(crate) fn check_row(key: &[u8], value: &Bytes) -> Result<(), &'static str> {
    let row = keys::parse_lock(key).ok_or("no lock")?;
    if matches!(row.on, LockOn::Name(name) if !is_free_name(name)) {
        return Err("a name that no lock can have");
    }
    let record = LockRecord::decode(value.clone()).map_err(|_| "a record that cannot be read")?;
    let permits = 1..=LEASES_MAX;
    match record.mode().map_err(|_| "no mode of a lock")? {
        LockMode::Counting { permits: count } if !permits.contains(&(count as usize)) => {
            Err("a lock for more or fewer than can be")
        }
        _ if record.holder.is_empty() => Err("a lease of nobody"),
        _ => Ok(()),
    }
}

/// One row, decoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The commit that made it: of a lease, its token.
    pub stamp: u64,
    /// The commit that last wrote it.
    pub revision: Revision,
    pub mode: LockMode,
    pub record: LockRecord,
}

impl Row {
    pub(super) fn read(key: &[u8], value: nexus_kernel::Value) -> Result<Self> {
        let record: LockRecord = records::decode(value.bytes)?;
        Ok(Self {
            stamp: keys::last_number(key),
            revision: value.revision,
            mode: record.mode()?,
            record,
        })
    }

    pub(super) fn until(&self) -> Timestamp {
        Timestamp(self.record.until)
    }

    /// Whether it counts at `now`.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.until()
    }
}

/// Everything that is stored of a lock, from one state of the store; both in the order of their
/// commits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// No lease up to this revision is there, and none will come.
    pub floor: Revision,
    pub leases: Vec<Row>,
    pub queue: Vec<Row>,
}

/// From where on leases of locks have to be looked for: a revision at which an earlier one was
/// not there, as none can come later. So a lock that is taken and released again and again is
/// not read through all that was removed, which stores keep for a while.
pub(crate) struct Floors(Cache<Bytes, Revision>);

impl Default for Floors {
    fn default() -> Self {
        Self(Cache::new(FLOORS_KEPT))
    }
}

impl Floors {
    fn of(&self, lock: &Bytes) -> Revision {
        self.0.get(lock).unwrap_or(Revision::ZERO)
    }

    fn learn(&self, lock: &Bytes, standing: &Standing, seen_at: Revision) {
        let below_first = |row: &Row| Revision(row.stamp.saturating_sub(1));
        let floor = standing.leases.first().map_or(seen_at, below_first);
        if floor > standing.floor {
            self.0.insert(lock.clone(), floor);
        }
    }
}

impl Shared {
    /// Reads a lock: one scan.
    pub(super) async fn standing(&self, lock: &Bytes) -> Result<Standing> {
        let mut standing = Standing {
            floor: self.lock_floors.of(lock),
            ..Standing::default()
        };
        let range = KeyRange {
            start: keys::stamped_after(&keys::lock_leases(lock), standing.floor).start,
            end: KeyRange::prefix(lock.clone()).end,
        };
        let scan = Scan::forward(range, LEASES_MAX + WAITERS_MAX);
        let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
        if page.more {
            return Err(Error::limit(
                "more hold this lock or wait for it than can be; force it",
            ));
        }
        for entry in page.entries {
            let parsed = keys::parse_lock(&entry.key).ok_or_else(|| unreadable("row of a lock"))?;
            let is_lease = parsed.is_lease;
            let row = Row::read(&entry.key, entry.value)?;
            if is_lease {
                standing.leases.push(row);
            } else {
                standing.queue.push(row);
            }
        }
        self.lock_floors.learn(lock, &standing, page.revision);
        Ok(standing)
    }

    /// One lease: one get.
    pub(super) async fn lease(&self, lock: &[u8], token: u64) -> Result<Option<Row>> {
        let key = lease_key(lock, token);
        let found = self.metastore.get(&key, Freshness::Linearizable).await?;
        found.map(|value| Row::read(&key, value)).transpose()
    }
}

pub(super) fn lease_key(lock: &[u8], token: u64) -> Bytes {
    keys::stamped(&keys::lock_leases(lock), Revision(token))
}

pub(super) fn place_key(lock: &[u8], place: u64) -> Bytes {
    keys::stamped(&keys::lock_queue(lock), Revision(place))
}
