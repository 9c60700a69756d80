//! Changes that stand on a lease.

use nexus_kernel::{Error, Guard, Kind, Result, Timestamp};
use nexus_service_api::{Action, FENCES_MAX, Fence};

use super::rows::lease_key;
use crate::session::Session;
use crate::time::format_rfc3339;
use crate::tx::Tx;

impl Tx<'_> {
    /// Insists that the leases the request stands on are held at the commit.
    ///
    /// # Errors
    ///
    /// `Conflict` when one is not; `PermissionDenied` for a resource that the caller may not read.
    pub(crate) async fn check_fences(&mut self) -> Result<()> {
        let guards = self.session.fence_guards(self.now).await?;
        guards.into_iter().for_each(|guard| self.insist(guard));
        Ok(())
    }
}

impl Session {
    /// What holds for as long as the leases that this request stands on do, if they are in force at
    /// `now`.
    ///
    /// # Errors
    ///
    /// As [`Tx::check_fences`].
    pub(crate) async fn fence_guards(&self, now: Timestamp) -> Result<Vec<Guard>> {
        let fences = &self.context.fences;
        if fences.len() > FENCES_MAX {
            return Err(
                Error::limit("a request carries up to 8 fences").with("fences", fences.len())
            );
        }
        let mut guards = Vec::with_capacity(fences.len());
        for fence in fences {
            guards.push(self.fence_guard(fence, now).await?);
        }
        Ok(guards)
    }

    /// What holds for as long as a lease is not touched, if it is in force at `now`.
    async fn fence_guard(&self, fence: &Fence, now: Timestamp) -> Result<Guard> {
        let target = match self.leased_target(&fence.resource, Action::Read).await {
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(stale(
                    fence,
                    "there is nothing at that path; renames do not matter to ino:",
                ));
            }
            target => target?,
        };
        let Some(row) = self.zone.lease(&target.lock, fence.token).await? else {
            return Err(stale(fence, "it was released, has expired or was forced"));
        };
        if row.is_live(now) {
            return Ok(Guard::RevisionIs(
                lease_key(&target.lock, fence.token),
                row.revision,
            ));
        }
        Err(stale(fence, "it has expired").with("expired", format_rfc3339(row.until())))
    }
}

/// Whether a change was refused because the lease that it stands on is not held.
pub(crate) fn is_of_lost_lease(error: &Error) -> bool {
    error.kind() == Kind::Conflict && error.fact("token").is_some()
}

fn stale(fence: &Fence, reason: &'static str) -> Error {
    Error::conflict("the lease that this change stands on is not held; acquire the lock again and look at what has changed")
        .with("resource", crate::path::shown(&fence.resource))
        .with("token", fence.token)
        .with("reason", reason)
}
