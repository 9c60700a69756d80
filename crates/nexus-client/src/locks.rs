//! Locks: leases on a file, a directory or a free name.

use std::time::Duration;

use futures::stream::BoxStream;
use nexus_kernel::{Durability, Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, from_status_of_change, misunderstood};
use crate::reads::pages;
use crate::types::files::Page;
use crate::types::locks::{
    AcquireOptions, Forced, Lease, LockMode, LockQuery, LockState, LockWaiter,
};

impl Client {
    /// Asks for a lease on a file or directory, `/a/path` or `ino:42`, or on a free name,
    /// `name:deploy`. Who waits is served in the order of asking; dropping the future leaves
    /// the queue.
    ///
    /// # Errors
    ///
    /// `Conflict`, with who holds it, when the lock is taken until the wait ends; `NotFound`,
    /// `PermissionDenied`, `InvalidArgument`, `LimitExceeded`.
    pub async fn acquire_lock(&self, resource: &str, options: AcquireOptions) -> Result<Lease> {
        let request = v1::AcquireLockRequest {
            resource: resource.to_owned(),
            mode: Some(mode_to_wire(options.mode)),
            ttl_ms: millis(options.ttl),
            wait_ms: millis(options.wait),
            durability: convert::durability(options.durability),
        };
        let answer = self.locks().acquire(request).await;
        lease(answer.map_err(from_status_of_change)?.into_inner())
    }

    /// Lets a lease hold for `ttl` from now on; never for less long than it did.
    ///
    /// # Errors
    ///
    /// `Conflict` when the lease has ended, `NotFound` when then nobody holds the lock;
    /// `PermissionDenied` for a lease of another principal.
    pub async fn extend_lock(
        &self,
        resource: &str,
        token: u64,
        ttl: Duration,
        durability: Durability,
    ) -> Result<Lease> {
        let request = v1::ExtendLockRequest {
            resource: resource.to_owned(),
            token,
            ttl_ms: millis(ttl),
            durability: convert::durability(durability),
        };
        let answer = self.locks().extend(request).await;
        lease(answer.map_err(from_status_of_change)?.into_inner())
    }

    /// Gives a lease up.
    ///
    /// # Errors
    ///
    /// As [`extend_lock`](Self::extend_lock); who may not read what the lock is on is told no more
    /// than `NotFound` of what others hold.
    pub async fn release_lock(
        &self,
        resource: &str,
        token: u64,
        durability: Durability,
    ) -> Result<Revision> {
        let request = v1::ReleaseLockRequest {
            resource: resource.to_owned(),
            token,
            durability: convert::durability(durability),
        };
        let answer = self.locks().release(request).await;
        let answer = answer.map_err(from_status_of_change)?.into_inner();
        Ok(Revision(answer.revision))
    }

    /// Who holds a lock and who waits for it.
    ///
    /// # Errors
    ///
    /// `NotFound` when nobody does; `PermissionDenied`.
    pub async fn inspect_lock(&self, resource: &str) -> Result<LockState> {
        let request = v1::InspectLockRequest {
            resource: resource.to_owned(),
        };
        let answer = self.locks().inspect(request).await;
        state(answer.map_err(from_status)?.into_inner())
    }

    /// The locks that somebody holds or waits for.
    #[must_use]
    pub fn list_locks(&self, query: LockQuery) -> BoxStream<'static, Result<LockState>> {
        let client = self.clone();
        pages(None, move |cursor| {
            let (client, query) = (client.clone(), query.clone());
            async move {
                let request = v1::ListLocksRequest {
                    path_prefix: query.path_prefix,
                    holder: query.holder,
                    limit: 0,
                    cursor: cursor.unwrap_or_default(),
                };
                let answer = client.locks().list(request).await;
                let v1::ListLocksResponse { locks, next } =
                    answer.map_err(from_status)?.into_inner();
                Ok(Page {
                    items: locks.into_iter().map(state).collect::<Result<_>>()?,
                    next: convert::cursor(next),
                })
            }
        })
    }

    /// Ends leases whoever holds them: one, or all. Those of others take admin rights, unless they
    /// have expired.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such lease; `PermissionDenied`.
    pub async fn force_unlock(&self, resource: &str, token: Option<u64>) -> Result<Forced> {
        let request = v1::ForceUnlockRequest {
            resource: resource.to_owned(),
            token,
        };
        let answer = self.locks().force_unlock(request).await;
        let answer = answer.map_err(from_status_of_change)?.into_inner();
        let leases = answer.leases.into_iter().map(lease);
        Ok(Forced {
            revision: Revision(answer.revision),
            leases: leases.collect::<Result<_>>()?,
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn mode_to_wire(mode: LockMode) -> v1::LockMode {
    let kind = match mode {
        LockMode::Exclusive => v1::LockKind::Exclusive,
        LockMode::Shared => v1::LockKind::Shared,
        LockMode::Counting { .. } => v1::LockKind::Counting,
    };
    v1::LockMode {
        kind: kind.into(),
        permits: mode.permits(),
    }
}

fn mode(wire: Option<v1::LockMode>) -> Result<LockMode> {
    let wire = wire.unwrap_or_default();
    match (wire.kind(), wire.permits) {
        (v1::LockKind::Exclusive, None) => Ok(LockMode::Exclusive),
        (v1::LockKind::Shared, None) => Ok(LockMode::Shared),
        (v1::LockKind::Counting, Some(permits)) => Ok(LockMode::Counting { permits }),
        _ => Err(misunderstood("a mode of a lock")),
    }
}

fn lease(wire: v1::Lease) -> Result<Lease> {
    Ok(Lease {
        resource: wire.resource,
        path: wire.path,
        token: wire.token,
        mode: mode(wire.mode)?,
        holder: wire.holder,
        on_behalf_of: wire.on_behalf_of,
        session: wire.session,
        acquired: Timestamp(wire.acquired_ns),
        expires: Timestamp(wire.expires_ns),
    })
}

fn waiter(wire: v1::LockWaiter) -> Result<LockWaiter> {
    Ok(LockWaiter {
        holder: wire.holder,
        on_behalf_of: wire.on_behalf_of,
        session: wire.session,
        mode: mode(wire.mode)?,
        since: Timestamp(wire.since_ns),
    })
}

fn state(wire: v1::LockState) -> Result<LockState> {
    Ok(LockState {
        resource: wire.resource,
        path: wire.path,
        leases: wire.leases.into_iter().map(lease).collect::<Result<_>>()?,
        waiters: wire
            .waiters
            .into_iter()
            .map(waiter)
            .collect::<Result<_>>()?,
    })
}
