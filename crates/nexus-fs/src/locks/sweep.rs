//! Clearing away what expired and nobody missed.

use std::sync::Arc;
use std::time::Duration;

use nexus_kernel::{
    Commit, Durability, Freshness, Guard, KeyRange, Op, Result, Scan, Timestamp, Txn,
};

use super::nanos;
use super::rows::Row;
use crate::keys;
use crate::view::next_key;
use crate::zone::Shared;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long something that has expired is kept, to tell a late holder so.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Rows looked at in one step.
const STEP: usize = 1000;

/// Looks for as long as the zone is served.
pub(crate) async fn run(zone: Arc<Shared>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = sweep(&zone).await {
            tracing::warn!(
                ?error,
                "clearing expired leases away failed; they do no harm"
            );
        }
    }
}

async fn sweep(zone: &Shared) -> Result<()> {
    let mut rest = keys::all_locks();
    loop {
        let (step, more) = step(zone, &rest).await?;
        if !step.ops.is_empty()
            && let Commit::Conflict { .. } = zone.metastore.commit(step).await?
        {
            tracing::debug!(
                "a lease changed while it was to be cleared away; the next look does it"
            );
        }
        match more {
            Some(start) => rest = KeyRange { start, ..rest },
            None => return Ok(()),
        }
    }
}

/// Removes what expired long ago among the next rows; and where the rest begins, if there is one.
async fn step(zone: &Shared, rest: &KeyRange) -> Result<(Txn, Option<bytes::Bytes>)> {
    let scan = Scan::forward(rest.clone(), STEP);
    let page = zone.metastore.scan(scan, Freshness::Linearizable).await?;
    let now = zone.config.clock.now();
    let mut txn = Txn {
        durability: Durability::Relaxed,
        ..Txn::default()
    };
    let last = page.entries.last().filter(|_| page.more);
    let more = last.map(|entry| next_key(&entry.key));
    for entry in page.entries {
        let row = Row::read(&entry.key, entry.value)?;
        if is_long_over(&row, now) {
            txn.guards
                .push(Guard::RevisionIs(entry.key.clone(), row.revision));
            txn.ops.push(Op::Delete(entry.key));
        }
    }
    Ok((txn, more))
}

fn is_long_over(row: &Row, now: Timestamp) -> bool {
    row.until().plus_nanos(nanos(KEPT)) <= now
}
