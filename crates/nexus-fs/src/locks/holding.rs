//! What can be done with a lease: extending it, giving it up, taking it away.

use std::time::Duration;

use nexus_kernel::{Durability, Error, Guard, Op, Result, Revision, Timestamp};
use nexus_service_api::Action;

use super::inspect::seen;
use super::judge::live;
use super::resource::Target;
use super::rows::{Row, Standing, lease_key};
use super::{Forced, Lease, LockCommit, check_ttl, nanos, too_busy, with_holder};
use crate::log::ChangeKind;
use crate::records;
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::time::format_rfc3339;

impl Session {
    /// Lets a lease hold for `ttl` from now on; never for less long than it did. The resource
    /// may be named in any way that leads to it.
    ///
    /// # Errors
    ///
    /// `Conflict` when the lease has expired, or was taken away, and another holds the lock;
    /// `NotFound` when nobody does; `PermissionDenied` for a lease of another principal;
    /// `InvalidArgument` for a time to live that cannot be.
    pub async fn extend_lock(
        &self,
        resource: &str,
        token: u64,
        ttl: Duration,
        durability: Durability,
    ) -> Result<Lease> {
        check_ttl(ttl)?;
        let target = self.leased_target(resource, Action::Write).await?;
        for _ in 0..ATTEMPTS_MAX {
            let mut row = self.own_lease(&target, token).await?;
            let until = self.zone.now().plus_nanos(nanos(ttl));
            row.record.until = until.max(row.until()).0;
            let key = lease_key(&target.lock, token);
            let mut change = LockCommit::new();
            change
                .guards
                .push(Guard::RevisionIs(key.clone(), row.revision));
            change.ops.push(Op::Put(key, records::encode(&row.record)));
            if change.commit(self, durability).await?.is_some() {
                return Ok(Lease::new(&target, &row));
            }
        }
        Err(too_busy(&target))
    }

    /// Gives a lease up, and lets the next one have it.
    ///
    /// # Errors
    ///
    /// As [`extend_lock`](Self::extend_lock); so whoever releases a lease in time knows that it
    /// was held all along. Who may not read what the lock is on is told no more than `NotFound`
    /// of what others hold.
    pub async fn release_lock(
        &self,
        resource: &str,
        token: u64,
        durability: Durability,
    ) -> Result<Revision> {
        let target = self.leased_target(resource, Action::Stat).await?;
        for _ in 0..ATTEMPTS_MAX {
            let row = self.own_lease(&target, token).await?;
            let mut change = LockCommit::new();
            change.remove(lease_key(&target.lock, token), &row);
            if let Some(revision) = change.commit(self, durability).await? {
                self.zone.waiting.ring(&target.lock);
                return Ok(revision);
            }
        }
        Err(too_busy(&target))
    }

    /// Ends leases whoever holds them: one, or all on the resource. Their holders can write no
    /// more with them as a fence, and learn of it when they next use them. It is on record in
    /// the operation log as `lock_force`, with who did it.
    ///
    /// One's own leases anybody may end so, also from another session and without the token;
    /// those of others take an administrator. What has expired and was not cleared away yet counts
    /// for nothing and may be ended by anybody, as if it asked for the lock: it is on record as
    /// `lock_expire`.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such lease; `PermissionDenied`.
    pub async fn force_unlock(&self, resource: &str, token: Option<u64>) -> Result<Forced> {
        let target = self.lock_target(resource, Action::Write).await?;
        for _ in 0..ATTEMPTS_MAX {
            let standing = self.zone.standing(&target.lock).await?;
            let now = self.zone.now();
            let meant = |row: &&Row| token.is_none_or(|token| row.stamp == token);
            let ended: Vec<_> = standing.leases.iter().filter(meant).collect();
            if ended.is_empty() {
                return Err(nobody_holds(&target));
            }
            let actor = self.actor();
            let is_others = |row: &&Row| row.is_live(now) && row.record.holder != actor;
            if ended.iter().any(is_others) {
                self.administer().await?;
            }
            let mut change = LockCommit::new();
            for row in &ended {
                let kind = match row.is_live(now) {
                    true => ChangeKind::LockForce,
                    false => ChangeKind::LockExpire,
                };
                change.end_lease(kind, &target, row);
            }
            if let Some(revision) = change.commit(self, Durability::Sync).await? {
                self.zone.waiting.ring(&target.lock);
                let leases = ended.into_iter().map(|row| Lease::new(&target, row));
                let leases = leases.collect();
                return Ok(Forced { revision, leases });
            }
        }
        Err(too_busy(&target))
    }

    /// A lease that the caller holds.
    async fn own_lease(&self, target: &Target, token: u64) -> Result<Row> {
        let found = self.zone.lease(&target.lock, token).await?;
        let row = match found {
            Some(row) if row.record.holder == self.actor() => row,
            others => return Err(self.not_held(target, token, others).await?),
        };
        if row.is_live(self.zone.now()) {
            return Ok(row);
        }
        Err(
            Error::conflict("the lease has expired; acquire the lock again")
                .with("resource", target.shown())
                .with("token", token)
                .with("expired", format_rfc3339(row.until())),
        )
    }

    /// Why the caller has no such lease. Whether another has it, and who holds the lock, is said
    /// to those who may read what it is on.
    async fn not_held(&self, target: &Target, token: u64, others: Option<Row>) -> Result<Error> {
        let may_read = seen(self.permit_lock(&mut target.clone(), Action::Read).await)?;
        if may_read.is_none() {
            return Ok(nobody_holds(target).with("token", token));
        }
        if let Some(row) = others {
            return Ok(Error::denied(
                "this lease is another's; only its holder extends or releases it, and an \
                 administrator can force it",
            )
            .with("resource", target.shown())
            .with("token", token)
            .with("holder", &row.record.holder));
        }
        let standing = self.zone.standing(&target.lock).await?;
        Ok(lost(target, token, &standing, self.zone.now()))
    }
}

fn lost(target: &Target, token: u64, standing: &Standing, now: Timestamp) -> Error {
    let Some(row) = live(&standing.leases, now).next() else {
        return nobody_holds(target).with("token", token);
    };
    let error = Error::conflict(
        "this lease has ended, and another holds the lock; acquire it again before going on",
    );
    let error = error.with("resource", target.shown()).with("token", token);
    with_holder(error, row)
}

pub(super) fn nobody_holds(target: &Target) -> Error {
    Error::not_found("nobody holds such a lease; it was released, has expired or was forced")
        .with("resource", target.shown())
}
