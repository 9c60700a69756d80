//! Who may have a lock: decided from what is stored of it and the time, and from nothing else.

use nexus_kernel::{Error, Result, Timestamp};

use super::rows::{Row, Standing};
use super::{LEASES_MAX, LockMode};

/// Somebody who asks for a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub mode: LockMode,
    /// The place in the queue, of those who have one.
    pub place: Option<u64>,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The lease may be granted.
    Free,
    /// Others are before; when that may change by the passing of time alone.
    Taken { until: Timestamp },
}

/// Whether a claim can be granted. Fair: nobody passes one who waits and came before, though
/// both could hold the lock together.
///
/// # Errors
///
/// `Conflict` for a counting lock that is in use with another number of permits;
/// `LimitExceeded` when too many share the lock.
pub(super) fn judge(standing: &Standing, claim: Claim) -> Result<Verdict> {
    let holders: Vec<&Row> = live(&standing.leases, claim.now).collect();
    let queue = live(&standing.queue, claim.now);
    let before: Vec<&Row> = queue
        .filter(|row| claim.place.is_none_or(|own| row.stamp < own))
        .collect();
    check_permits(claim.mode, holders.iter().chain(&before).copied())?;
    if let Some(until) = before.iter().map(|row| row.until()).min() {
        return Ok(Verdict::Taken { until });
    }
    if !goes_with(claim.mode, &holders) {
        let until = holders.iter().map(|row| row.until()).min();
        return Ok(Verdict::Taken {
            until: until.expect("nobody is kept out where nobody is in"),
        });
    }
    if holders.len() >= LEASES_MAX {
        return Err(
            Error::limit("too many share this lock; try again when some have released it")
                .with("limit", LEASES_MAX),
        );
    }
    Ok(Verdict::Free)
}

pub(super) fn live(rows: &[Row], now: Timestamp) -> impl Iterator<Item = &Row> {
    rows.iter().filter(move |row| row.is_live(now))
}

/// What has expired and goes when somebody is granted a lease: leases, and places before one's
/// own.
pub(super) fn expired(
    rows: &[Row],
    now: Timestamp,
    before: Option<u64>,
) -> impl Iterator<Item = &Row> {
    rows.iter()
        .filter(move |row| !row.is_live(now) && before.is_none_or(|place| row.stamp < place))
}

fn goes_with(mode: LockMode, holders: &[&Row]) -> bool {
    match mode {
        LockMode::Exclusive => holders.is_empty(),
        LockMode::Shared => holders.iter().all(|row| row.mode == LockMode::Shared),
        LockMode::Counting { permits } => {
            holders.len() < permits as usize && holders.iter().all(|row| row.mode == mode)
        }
    }
}

/// Whether all who hold a counting lock, and wait for it, count alike.
pub(super) fn check_permits<'r>(
    asked: LockMode,
    used: impl Iterator<Item = &'r Row>,
) -> Result<()> {
    let LockMode::Counting { permits: asked } = asked else {
        return Ok(());
    };
    let mut counts = used.filter_map(|row| match row.mode {
        LockMode::Counting { permits } => Some(permits),
        LockMode::Exclusive | LockMode::Shared => None,
    });
    match counts.find(|permits| *permits != asked) {
        None => Ok(()),
        Some(permits) => Err(Error::conflict(
            "this counting lock is in use with another number of permits; ask for the same number, \
             or wait until nobody uses it",
        )
        .with("permits", permits)
        .with("asked", asked)),
    }
}

#[cfg(test)]
mod tests;
