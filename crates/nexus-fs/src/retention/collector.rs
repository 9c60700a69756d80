//! Going over history and removing what may go, a step at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, Freshness, Guard, Kind, Op, Result, Revision, Timestamp, Txn, Value,
};
use nexus_service_api::Context;
use prost::Message;

use super::clock::SlowClock;
use super::contents::{Blobs, Release, Released};
use super::places::Places;
use super::plan::Plan;
use super::step::{Pass, Step};
use crate::keys;
use crate::records;
use crate::session::Session;
use crate::zone::Shared;

/// Most contents that a dry run keeps in mind to tell which blobs would go.
const RELEASED_MAX: usize = 1_000_000;

/// What a collection of history removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Rows of history and of the log.
    pub rows: u64,
    /// Versions of files that can no longer be read.
    pub versions: u64,
    /// Snapshots that have expired.
    pub snapshots: u64,
    /// The oldest readable revision after it, but for what is pinned; 0 while all are.
    pub oldest_readable: Revision,
    /// Nothing was removed.
    pub dry_run: bool,
}

/// What a collection did, and which blobs have lost their last use by it if it was a dry run.
pub(crate) struct Compacted {
    pub report: CompactReport,
    pub blobs: Blobs,
}

/// How far a pass has come: the row that its steps insist on and rewrite, each in its own
/// transaction.
#[derive(Clone, PartialEq, Message)]
struct Progress {
    /// The key that the next step begins at; empty before the first.
    #[prost(bytes = "bytes", tag = "1")]
    cursor: Bytes,
}

/// Collects now and then, for as long as the zone is served. A pass that was stopped goes on.
pub(crate) async fn run(zone: Arc<Shared>) {
    let session = Session {
        zone,
        context: Context::system(),
    };
    let mut clock = SlowClock::begin(&session.zone);
    loop {
        tokio::time::sleep(session.zone.config.retention_every).await;
        let now = clock.now(&session.zone);
        if let Err(error) = session.collect_history(now, Manner::InBackground).await {
            tracing::warn!(?error, "collecting history failed; it is tried again");
        }
    }
}

/// How a collection goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With pauses, going on where it was stopped.
    InBackground,
    /// From the beginning, at once.
    Now,
    /// Only telling what it would do.
    DryRun,
}

impl Session {
    /// Removes what the policies of the zone let go of its history as of `now`, to the end, or
    /// tells what that would be. Safe while others read and write.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without the right to administer; `LimitExceeded` for a dry run where
    /// more than a million contents would go; whatever the stores answer. What was removed until
    /// then stays removed, and another run goes on.
    pub async fn compact(&self, now: Timestamp, dry_run: bool) -> Result<CompactReport> {
        self.administer().await?;
        let manner = if dry_run { Manner::DryRun } else { Manner::Now };
        Ok(self.collect_history(now, manner).await?.report)
    }

    pub(crate) async fn collect_history(
        &self,
        now: Timestamp,
        manner: Manner,
    ) -> Result<Compacted> {
        let zone = &self.zone;
        let _turn = zone.collecting.lock().await;
        let dry_run = manner == Manner::DryRun;
        let expired = self.expire_snapshots(now, dry_run).await?;
        let mut report = CompactReport {
            snapshots: expired.len() as u64,
            dry_run,
            ..CompactReport::default()
        };
        // Before the policies, so that none changes unnoticed.
        let progress = zone.progress().await?;
        let mut pass = Pass {
            zone,
            plan: Plan::make(zone, now).await?,
            now,
            places: Places::default(),
            left_out: if dry_run { expired } else { BTreeSet::new() },
            sources: None,
            dry_run,
        };
        let released = self.go_over(&mut pass, progress, manner, &mut report);
        let released = released.await?;
        report.oldest_readable = pass.plan.floor;
        let blobs = released.blobs(zone).await?;
        Ok(Compacted { report, blobs })
    }

    /// Takes one step after the other; answers the contents that a dry run would release.
    async fn go_over(
        &self,
        pass: &mut Pass<'_>,
        mut progress: ProgressRow,
        manner: Manner,
        report: &mut CompactReport,
    ) -> Result<Released> {
        let zone = &self.zone;
        let mut cursor = match manner {
            Manner::InBackground => progress.cursor()?,
            Manner::Now | Manner::DryRun => Bytes::new(),
        };
        let mut released = Released::default();
        while !pass.plan.is_idle() {
            self.check_goes_on()?;
            if manner != Manner::DryRun && !zone.raise_floor(pass.plan.floor, &mut progress).await?
            {
                pass.look_again(&mut progress).await?;
                continue;
            }
            let (step, next) = pass.step(&cursor).await?;
            let (rows, versions) = (step.rows, step.versions);
            let end = next.is_none();
            let next = next.unwrap_or_default();
            if manner == Manner::DryRun {
                released.add(step.released);
                check_released(&released)?;
            } else if !zone.take(step, &next, &mut progress).await? {
                pass.look_again(&mut progress).await?;
                continue;
            }
            report.rows += rows;
            report.versions += versions;
            if end {
                break;
            }
            cursor = next;
            if manner == Manner::InBackground {
                tokio::time::sleep(zone.config.retention_pause).await;
            }
        }
        Ok(released)
    }

    /// Deletes the snapshots that have expired, unless this is a dry run; answers their pins.
    async fn expire_snapshots(&self, now: Timestamp, dry_run: bool) -> Result<BTreeSet<Bytes>> {
        let system = Session {
            zone: Arc::clone(&self.zone),
            context: Context::system(),
        };
        let mut expired = BTreeSet::new();
        for (name, revision) in system.expired_snapshots(now).await? {
            let deleted = match dry_run {
                true => Ok(()),
                false => system.expire_snapshot(&name, now).await,
            };
            match deleted {
                Ok(()) => _ = expired.insert(keys::pin(revision, "")),
                // Somebody was faster, or has changed its mind.
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }
}

fn check_released(released: &Released) -> Result<()> {
    if released.len() <= RELEASED_MAX {
        return Ok(());
    }
    Err(
        Error::limit("more contents would go than can be told; collect without a dry run")
            .with("contents_max", RELEASED_MAX),
    )
}

/// The row of the progress, as it was read or written last.
struct ProgressRow(Option<Value>);

impl ProgressRow {
    fn cursor(&self) -> Result<Bytes> {
        let Some(row) = &self.0 else {
            return Ok(Bytes::new());
        };
        let progress: Progress = records::decode(row.bytes.clone())?;
        Ok(progress.cursor)
    }

    fn revision(&self) -> Option<Revision> {
        self.0.as_ref().map(|row| row.revision)
    }

    fn bytes(&self) -> Bytes {
        self.0
            .as_ref()
            .map_or_else(Bytes::new, |row| row.bytes.clone())
    }

    fn guard(&self, key: Bytes) -> Guard {
        match &self.0 {
            Some(row) => Guard::RevisionIs(key, row.revision),
            None => Guard::Absent(key),
        }
    }
}

impl Pass<'_> {
    /// After a lost race: goes by the policies that there are now, if it may have been one of them
    /// that came in between.
    async fn look_again(&mut self, progress: &mut ProgressRow) -> Result<()> {
        let found = self.zone.progress().await?;
        if found.revision() != progress.revision() {
            self.plan = Plan::make(self.zone, self.now).await?;
        }
        *progress = found;
        Ok(())
    }
}

impl Shared {
    async fn progress(&self) -> Result<ProgressRow> {
        let row = self
            .metastore
            .get(keys::COLLECTING, Freshness::Linearizable)
            .await?;
        Ok(ProgressRow(row))
    }

    /// Moves the oldest readable revision, before anything goes that is older; says whether the
    /// policies that let it go still hold.
    async fn raise_floor(&self, floor: Revision, progress: &mut ProgressRow) -> Result<bool> {
        if floor <= self.floor.get() {
            return Ok(true);
        }
        let value = Bytes::copy_from_slice(&floor.0.to_be_bytes());
        let raise = Op::Max(Bytes::from_static(keys::COMPACTED), value);
        let txn = Txn {
            ops: vec![raise],
            durability: Durability::Relaxed,
            ..Txn::default()
        };
        let raised = self.go_on_from(progress, progress.bytes(), txn).await?;
        if raised {
            self.floor.raise(floor);
        }
        Ok(raised)
    }

    /// Commits a step; says whether it was still right.
    async fn take(&self, step: Step, next: &Bytes, progress: &mut ProgressRow) -> Result<bool> {
        let at_rest = next.is_empty() && progress.cursor()?.is_empty();
        if step.ops.is_empty() && (at_rest || !next.is_empty()) {
            return Ok(true);
        }
        let Release {
            guards,
            ops,
            locked: _locked,
        } = step.released.into_release(self).await?;
        let mut txn = Txn {
            guards: [guards, step.guards].concat(),
            ops: step.ops,
            durability: Durability::Relaxed,
            ..Txn::default()
        };
        txn.ops.extend(ops);
        let value = records::encode(&Progress {
            cursor: next.clone(),
        });
        let taken = self.go_on_from(progress, value, txn).await?;
        if taken {
            let collected = &self.counters.collected;
            collected.fetch_add(step.rows, Ordering::Relaxed);
        }
        Ok(taken)
    }

    /// Commits if nothing has come in between since the row of the progress was read, which it
    /// rewrites.
    async fn go_on_from(
        &self,
        progress: &mut ProgressRow,
        value: Bytes,
        mut txn: Txn,
    ) -> Result<bool> {
        let key = Bytes::from_static(keys::COLLECTING);
        txn.guards.push(progress.guard(key.clone()));
        txn.ops.push(Op::Put(key, value.clone()));
        let commit = self.metastore.commit(txn).await?;
        if let Commit::Applied(revision) = commit {
            progress.0 = Some(Value {
                bytes: value,
                revision,
            });
        }
        Ok(matches!(commit, Commit::Applied(_)))
    }
}
