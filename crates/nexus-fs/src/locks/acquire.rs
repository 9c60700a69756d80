//! Being granted a lease, at once or after those who came before.

use std::time::Duration;

use nexus_kernel::{Durability, Error, Guard, Op, Result, Revision, Timestamp};
use nexus_service_api::Action;

use super::judge::{Claim, Verdict, check_permits, expired, judge, live};
use super::presence::{Place, SeenThrough, Tenure};
use super::resource::Target;
use super::rows::{LockRecord, Row, Standing, lease_key, place_key};
use super::{AcquireOptions, Lease, LockCommit, WAITERS_MAX, nanos, too_busy, with_holder};
use crate::keys;
use crate::log::ChangeKind;
use crate::records;
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;

/// A place in the queue ends by itself after so long, should nobody be left who stands for it.
const PRESENCE: Duration = Duration::from_secs(30);
/// How often whoever stands for it says so.
const PRESENT_EVERY: Duration = Duration::from_secs(10);

/// What became of a claim.
enum Claimed {
    Granted(Lease),
    /// Others are before.
    Taken(Standing, Timestamp),
}

impl Session {
    /// Asks for a lease on a resource: a file or directory, `/a/path` or `ino:42`, or a free
    /// name, `name:deploy`. One who waits is served before all who come later, also before
    /// those who could hold the lock together with its holders. Leases do not nest: whoever
    /// holds an exclusive one and asks again waits for itself.
    ///
    /// Takes the right to write what it is on; a free name, the root.
    ///
    /// # Errors
    ///
    /// `Conflict`, with who holds it, when the lock is taken until the wait ends, and for a
    /// counting lock in use with another number of permits; `NotFound`; `PermissionDenied`;
    /// `InvalidArgument` for a resource, a time to live, a wait or permits that cannot be;
    /// `LimitExceeded` when too many wait for it or share it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the queue, and a lease that was just being granted is given back.
    pub async fn acquire_lock(&self, resource: &str, options: AcquireOptions) -> Result<Lease> {
        options.check()?;
        let mut target = self.lock_target(resource, Action::Write).await?;
        let deadline = self.end_of_wait(options.wait);
        match self.claim(&mut target, &options, None).await? {
            Claimed::Granted(lease) => return Ok(lease),
            Claimed::Taken(standing, _) if options.wait.is_zero() => {
                return Err(taken(&target, &standing, self.zone.now()));
            }
            Claimed::Taken(..) => {}
        }
        let (place, record) = self.join_queue(&target, &options).await?;
        Box::pin(self.wait_in_queue(target, &options, place, record, deadline)).await
    }

    fn end_of_wait(&self, wait: Duration) -> Timestamp {
        let end = self.zone.now().plus_nanos(nanos(wait));
        self.context
            .deadline
            .map_or(end, |deadline| end.min(deadline))
    }

    /// Grants a lease unless others are before.
    async fn claim(
        &self,
        target: &mut Target,
        options: &AcquireOptions,
        place: Option<&Place>,
    ) -> Result<Claimed> {
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 || place.is_some() {
                self.permit_lock(target, Action::Write).await?;
            }
            let _turn = self.zone.lock_turns.wait(&target.name).await;
            let standing = self.zone.standing(&target.lock).await?;
            if let Some(place) = place
                && !standing.queue.iter().any(|row| row.stamp == place.number)
            {
                return Err(place_lost(target));
            }
            let claim = Claim {
                mode: options.mode,
                place: place.map(|place| place.number),
                now: self.zone.now(),
            };
            if let Verdict::Taken { until } = judge(&standing, claim)? {
                return Ok(Claimed::Taken(standing, until));
            }
            let granted = self.grant(target, options, claim, &standing, place);
            if let Some(lease) = granted.await? {
                return Ok(Claimed::Granted(lease));
            }
        }
        Err(too_busy(target))
    }

    /// Commits a lease; `None` after a lost race.
    async fn grant(
        &self,
        target: &Target,
        options: &AcquireOptions,
        claim: Claim,
        standing: &Standing,
        place: Option<&Place>,
    ) -> Result<Option<Lease>> {
        let record = self.lock_record(options, claim.now, options.ttl);
        let mut change = LockCommit::new();
        for row in expired(&standing.leases, claim.now, None) {
            change.end_lease(ChangeKind::LockExpire, target, row);
        }
        for row in expired(&standing.queue, claim.now, claim.place) {
            change.remove(place_key(&target.lock, row.stamp), row);
        }
        let leases = keys::lock_leases(&target.lock);
        change.nobody_after(&leases, &standing.leases, standing.floor);
        match place {
            Some(place) => {
                change.guards.push(Guard::Present(place.key().clone()));
                change.ops.push(Op::Delete(place.key().clone()));
            }
            None => change.nobody_after(
                &keys::lock_queue(&target.lock),
                &standing.queue,
                Revision::ZERO,
            ),
        }
        if let Some(ino) = target.ino() {
            change.guards.push(self.zone.still_there(ino.0).await?);
        }
        change
            .ops
            .push(Op::PutStamped(leases, records::encode(&record)));
        let Some((token, row)) = self
            .put_row(target, change, options.durability, lease_key)
            .await?
        else {
            return Ok(None);
        };
        row.keep();
        Ok(Some(Lease::new(
            target,
            &Row {
                stamp: token.0,
                revision: token,
                mode: options.mode,
                record,
            },
        )))
    }

    /// Takes the last place in the queue.
    async fn join_queue(
        &self,
        target: &Target,
        options: &AcquireOptions,
    ) -> Result<(Place, LockRecord)> {
        for _ in 0..ATTEMPTS_MAX {
            let _turn = self.zone.lock_turns.wait(&target.name).await;
            let standing = self.zone.standing(&target.lock).await?;
            let now = self.zone.now();
            check_queue(target, &standing, now)?;
            let all = standing.leases.iter().chain(&standing.queue);
            check_permits(options.mode, all.filter(|row| row.is_live(now)))?;
            let mut change = LockCommit::new();
            for row in expired(&standing.queue, now, None) {
                change.remove(place_key(&target.lock, row.stamp), row);
            }
            let queue = keys::lock_queue(&target.lock);
            change.nobody_after(&queue, &standing.queue, Revision::ZERO);
            let record = self.lock_record(options, now, PRESENCE);
            change
                .ops
                .push(Op::PutStamped(queue, records::encode(&record)));
            let put = self.put_row(target, change, Durability::Relaxed, place_key);
            if let Some((number, row)) = put.await? {
                return Ok((Place::new(row, number.0), record));
            }
        }
        Err(too_busy(target))
    }

    /// Waits for those before, until the lease is granted.
    async fn wait_in_queue(
        &self,
        mut target: Target,
        options: &AcquireOptions,
        place: Place,
        mut record: LockRecord,
        deadline: Timestamp,
    ) -> Result<Lease> {
        let mut renewed = Timestamp(record.since);
        loop {
            let mut wake = deadline;
            if place.is_first() {
                match self.claim(&mut target, options, Some(&place)).await? {
                    Claimed::Granted(lease) => {
                        place.end();
                        return Ok(lease);
                    }
                    Claimed::Taken(_, until) => wake = wake.min(until),
                }
            }
            let now = self.zone.now();
            if now >= deadline {
                let standing = self.zone.standing(&target.lock).await?;
                return Err(taken(&target, &standing, now));
            }
            if now >= renewed.plus_nanos(nanos(PRESENT_EVERY)) {
                self.stay_in_queue(&mut target, &place, &mut record, now)
                    .await?;
                renewed = now;
            }
            let wake = wake.min(renewed.plus_nanos(nanos(PRESENT_EVERY)));
            tokio::select! {
                () = place.called() => {}
                () = tokio::time::sleep(until(now, wake)) => {}
            }
        }
    }

    /// Says that a place in the queue is still taken by somebody, who may still ask.
    async fn stay_in_queue(
        &self,
        target: &mut Target,
        place: &Place,
        record: &mut LockRecord,
        now: Timestamp,
    ) -> Result<()> {
        self.permit_lock(target, Action::Write).await?;
        record.until = now.plus_nanos(nanos(PRESENCE)).0;
        let mut change = LockCommit::new();
        change.guards.push(Guard::Present(place.key().clone()));
        change
            .ops
            .push(Op::Put(place.key().clone(), records::encode(record)));
        if change.commit(self, Durability::Relaxed).await?.is_some() {
            return Ok(());
        }
        Err(place_lost(target))
    }

    /// Commits a change that stamps a row; `None` after a lost race. When the caller goes away
    /// meanwhile, the row goes too.
    async fn put_row(
        &self,
        target: &Target,
        change: LockCommit,
        durability: Durability,
        key: fn(&[u8], u64) -> bytes::Bytes,
    ) -> Result<Option<(Revision, Tenure)>> {
        let (session, lock) = (self.clone(), target.lock.clone());
        let put = SeenThrough::new(async move {
            let committed = change.commit(&session, durability).await?;
            Ok(committed.map(|revision| {
                let key = key(&lock, revision.0);
                (revision, Tenure::new(&session.zone, &lock, key))
            }))
        });
        put.await
    }

    fn lock_record(&self, options: &AcquireOptions, now: Timestamp, for_: Duration) -> LockRecord {
        let context = &self.context;
        let mut record = LockRecord {
            holder: self.actor(),
            on_behalf_of: context.on_behalf_of.as_deref().map(str::to_owned),
            session: context.session.as_deref().map(str::to_owned),
            since: now.0,
            until: now.plus_nanos(nanos(for_)).0,
            ..LockRecord::default()
        };
        record.set_mode(options.mode);
        record
    }
}

impl LockCommit {
    /// Insists that nobody has come after those who were read, or after the floor.
    fn nobody_after(&mut self, prefix: &[u8], read: &[Row], floor: Revision) {
        let last = read.last().map_or(floor, |row| Revision(row.stamp));
        let later = keys::stamped_after(prefix, last);
        self.guards.push(Guard::RangeEmpty(later));
    }
}

fn until(now: Timestamp, wake: Timestamp) -> Duration {
    Duration::from_nanos(u64::try_from(wake.0.saturating_sub(now.0)).unwrap_or(0))
}

fn check_queue(target: &Target, standing: &Standing, now: Timestamp) -> Result<()> {
    if live(&standing.queue, now).count() < WAITERS_MAX {
        return Ok(());
    }
    Err(Error::limit("too many wait for this lock; try again later")
        .with("resource", target.shown())
        .with("limit", WAITERS_MAX))
}

fn place_lost(target: &Target) -> Error {
    Error::conflict(
        "the place in the queue was lost, because the node stood still for too long; ask again",
    )
    .with("resource", target.shown())
}

/// Why there was no lease.
fn taken(target: &Target, standing: &Standing, now: Timestamp) -> Error {
    let error =
        Error::conflict("the lock is taken; wait for it longer, or ask its holder to release it")
            .with("resource", target.shown());
    let error = match live(&standing.leases, now).next() {
        Some(row) => with_holder(error, row),
        None => error,
    };
    error.with("waiters", live(&standing.queue, now).count())
}
