//! Who holds what.

use bytes::Bytes;
use nexus_kernel::{Error, Freshness, KeyRange, Kind, Result, Revision, Scan, Timestamp};
use nexus_service_api::Action;

use super::holding::nobody_holds;
use super::judge::live;
use super::resource::Target;
use super::rows::{Row, Standing};
use super::{Lease, LockPage, LockQuery, LockState, ROOT, Waiter};
use crate::keys::{self, LockOn};
use crate::path;
use crate::records::unreadable;
use crate::session::Session;
use crate::types::Ino;

/// Largest page of locks.
pub const LOCKS_LIMIT_MAX: usize = 1000;
/// Most locks that a page looks at for its filters; past that it returns what it has and a
/// cursor.
const LOOK_MAX: usize = 10_000;
/// Most leases and waiters in a page.
const ROWS_MAX: usize = 10_000;

impl Session {
    /// Who holds a lock and who waits for it.
    ///
    /// Takes the right to read what it is on.
    ///
    /// # Errors
    ///
    /// `NotFound` when nobody does, or when there is nothing there; `PermissionDenied`.
    pub async fn inspect_lock(&self, resource: &str) -> Result<LockState> {
        let target = self.lock_target(resource, Action::Read).await?;
        let standing = self.zone.standing(&target.lock).await?;
        let state = state(&target, &standing, self.zone.now());
        state.ok_or_else(|| nobody_holds(&target))
    }

    /// The locks that somebody holds or waits for, of those that the caller may read.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad cursor or path, `LimitExceeded` for too large a page.
    pub async fn list_locks(&self, query: LockQuery) -> Result<LockPage> {
        let limit = if query.limit == 0 { 100 } else { query.limit };
        if limit > LOCKS_LIMIT_MAX {
            return Err(Error::limit("a page of locks has at most 1000").with("limit", limit));
        }
        let prefix = query
            .path_prefix
            .as_deref()
            .map(path::normalize)
            .transpose()?;
        let names_too = prefix.is_none() && self.sees_names().await?;
        // A cursor names where the look ended: never at a name that is not to be told.
        let mut rest = match names_too {
            true => keys::all_locks(),
            false => keys::locks_of_inodes(),
        };
        if let Some(cursor) = &query.cursor {
            rest.start = parse_cursor(cursor, &rest)?;
        }
        let (mut locks, mut looked, mut rows) = (Vec::new(), 0, 0);
        while let Some(lock) = self.first_lock(&rest).await? {
            if locks.len() >= limit || looked >= LOOK_MAX || rows >= ROWS_MAX {
                let next = Some(hex::encode(&rest.start));
                return Ok(LockPage { locks, next });
            }
            looked += 1;
            rest.start = KeyRange::prefix(lock.clone()).end;
            let Some(target) = self.seen_target(&lock).await? else {
                continue;
            };
            if !is_below(&target, prefix) {
                continue;
            }
            let standing = self.zone.standing(&lock).await?;
            let found = state(&target, &standing, self.zone.now());
            if let Some(state) = found.filter(|state| concerns(state, query.holder.as_deref())) {
                rows += state.leases.len() + state.waiters.len();
                locks.push(state);
            }
            self.check_goes_on()?;
        }
        Ok(LockPage { locks, next: None })
    }

    async fn sees_names(&self) -> Result<bool> {
        seen(self.permit(Action::Read, "/", ROOT).await).map(|seen| seen.is_some())
    }

    /// The first lock of a range that has a row.
    async fn first_lock(&self, range: &KeyRange) -> Result<Option<Bytes>> {
        let scan = Scan::forward(range.clone(), 1);
        let page = self
            .zone
            .metastore
            .scan(scan, Freshness::Linearizable)
            .await?;
        let Some(entry) = page.entries.first() else {
            return Ok(None);
        };
        let row = keys::parse_lock(&entry.key).ok_or_else(|| unreadable("row of a lock"))?;
        Ok(Some(Bytes::copy_from_slice(row.lock)))
    }

    /// What a lock is on, if the caller may read that; names are asked for before.
    async fn seen_target(&self, lock: &[u8]) -> Result<Option<Target>> {
        // Any stamp makes a key of a row of it.
        let key = keys::stamped(&keys::lock_leases(lock), Revision::ZERO);
        let row = keys::parse_lock(&key).ok_or_else(|| unreadable("row of a lock"))?;
        match row.on {
            LockOn::Name(name) => Ok(Some(Target::free_name(name))),
            LockOn::Inode(ino) => {
                let place = seen(self.permit_inode(Action::Read, Ino(ino)).await)?;
                Ok(place.map(|(path, _)| Target::inode(Ino(ino), Some(path))))
            }
        }
    }
}

/// Nothing instead of what the caller may not see, or is gone.
pub(super) fn seen<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), Kind::PermissionDenied | Kind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_below(target: &Target, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| {
        let path = target.path.as_deref();
        path.is_some_and(|path| path::is_within(path, prefix))
    })
}

fn concerns(state: &LockState, who: Option<&str>) -> bool {
    who.is_none_or(|who| {
        let mut holders = state.leases.iter().map(|lease| &lease.holder);
        let mut waiters = state.waiters.iter().map(|waiter| &waiter.holder);
        holders.any(|holder| holder == who) || waiters.any(|waiter| waiter == who)
    })
}

/// A lock as people see it; none if nobody holds it or waits for it.
fn state(target: &Target, standing: &Standing, now: Timestamp) -> Option<LockState> {
    let leases = live(&standing.leases, now).map(|row| Lease::new(target, row));
    let state = LockState {
        resource: target.name.clone(),
        path: target.path.clone(),
        leases: leases.collect(),
        waiters: live(&standing.queue, now).map(waiter).collect(),
    };
    Some(state).filter(|state| !state.leases.is_empty() || !state.waiters.is_empty())
}

fn waiter(row: &Row) -> Waiter {
    let record = row.record.clone();
    Waiter {
        holder: record.holder,
        on_behalf_of: record.on_behalf_of,
        session: record.session,
        mode: row.mode,
        since: Timestamp(record.since),
    }
}

fn parse_cursor(cursor: &str, locks: &KeyRange) -> Result<Bytes> {
    let start = hex::decode(cursor).ok().map(Bytes::from);
    start.filter(|start| locks.contains(start)).ok_or_else(|| {
        Error::invalid("unknown cursor; use one that a page of locks gave")
            .with("cursor", path::shown(cursor))
    })
}
