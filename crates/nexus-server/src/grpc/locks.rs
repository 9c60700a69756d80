//! The service `Locks`.

use std::time::Duration;

use nexus_fs::{AcquireOptions, LockMode as Mode, LockQuery, Session};
use nexus_kernel::{Error, Result};
use nexus_proto::v1::locks_server::Locks;
use nexus_proto::v1::*;
use tonic::Request;

use super::convert::{cursor, durability, unknown};
use super::{Reply, answer};
use crate::app::Shared;
use crate::paging::page_limit;

pub(super) struct LocksDoor(pub(super) Shared);

#[tonic::async_trait]
impl Locks for LocksDoor {
    async fn acquire(&self, request: Request<AcquireLockRequest>) -> Reply<Lease> {
        let acquire = |files: Session, ask: AcquireLockRequest| async move {
            let options = AcquireOptions {
                mode: mode(ask.mode)?,
                ttl: Duration::from_millis(ask.ttl_ms),
                wait: Duration::from_millis(ask.wait_ms),
                durability: durability(ask.durability)?,
            };
            let granted = files.acquire_lock(&ask.resource, options);
            self.0.until_closing(granted).await.map(lease)
        };
        answer(&self.0, request, acquire).await
    }

    async fn extend(&self, request: Request<ExtendLockRequest>) -> Reply<Lease> {
        let extend = |files: Session, ask: ExtendLockRequest| async move {
            let ttl = Duration::from_millis(ask.ttl_ms);
            let durability = durability(ask.durability)?;
            let extended = files.extend_lock(&ask.resource, ask.token, ttl, durability);
            extended.await.map(lease)
        };
        answer(&self.0, request, extend).await
    }

    async fn release(&self, request: Request<ReleaseLockRequest>) -> Reply<ReleaseLockResponse> {
        let release = |files: Session, ask: ReleaseLockRequest| async move {
            let durability = durability(ask.durability)?;
            let released = files.release_lock(&ask.resource, ask.token, durability);
            let revision = released.await?.0;
            Ok(ReleaseLockResponse { revision })
        };
        answer(&self.0, request, release).await
    }

    async fn inspect(&self, request: Request<InspectLockRequest>) -> Reply<LockState> {
        let inspect = |files: Session, ask: InspectLockRequest| async move {
            files.inspect_lock(&ask.resource).await.map(state)
        };
        answer(&self.0, request, inspect).await
    }

    async fn list(&self, request: Request<ListLocksRequest>) -> Reply<ListLocksResponse> {
        let list = |files: Session, ask: ListLocksRequest| async move {
            let query = LockQuery {
                path_prefix: ask.path_prefix,
                holder: ask.holder,
                limit: page_limit(Some(ask.limit as usize))?,
                cursor: cursor(ask.cursor),
            };
            let page = files.list_locks(query).await?;
            Ok(ListLocksResponse {
                locks: page.locks.into_iter().map(state).collect(),
                next: page.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, list).await
    }

    async fn force_unlock(
        &self,
        request: Request<ForceUnlockRequest>,
    ) -> Reply<ForceUnlockResponse> {
        let force = |files: Session, ask: ForceUnlockRequest| async move {
            let forced = files.force_unlock(&ask.resource, ask.token).await?;
            Ok(ForceUnlockResponse {
                revision: forced.revision.0,
                leases: forced.leases.into_iter().map(lease).collect(),
            })
        };
        answer(&self.0, request, force).await
    }
}

fn mode(wire: Option<LockMode>) -> Result<Mode> {
    let LockMode { kind, permits } = wire.unwrap_or_default();
    let name = match LockKind::try_from(kind) {
        Ok(LockKind::Unspecified | LockKind::Exclusive) => "exclusive",
        Ok(LockKind::Shared) => "shared",
        Ok(LockKind::Counting) => "counting",
        Err(_) => return Err(unknown("kind", kind)),
    };
    Mode::named(name, permits)
}

fn mode_to_wire(mode: Mode) -> LockMode {
    let kind = match mode {
        Mode::Exclusive => LockKind::Exclusive,
        Mode::Shared => LockKind::Shared,
        Mode::Counting { .. } => LockKind::Counting,
    };
    LockMode {
        kind: kind.into(),
        permits: mode.permits(),
    }
}

fn lease(lease: nexus_fs::Lease) -> Lease {
    Lease {
        resource: lease.resource,
        path: lease.path,
        token: lease.token,
        mode: Some(mode_to_wire(lease.mode)),
        holder: lease.holder,
        on_behalf_of: lease.on_behalf_of,
        session: lease.session,
        acquired_ns: lease.acquired.0,
        expires_ns: lease.expires.0,
    }
}

fn state(state: nexus_fs::LockState) -> LockState {
    LockState {
        resource: state.resource,
        path: state.path,
        leases: state.leases.into_iter().map(lease).collect(),
        waiters: state.waiters.into_iter().map(waiter).collect(),
    }
}

fn waiter(waiter: nexus_fs::Waiter) -> LockWaiter {
    LockWaiter {
        holder: waiter.holder,
        on_behalf_of: waiter.on_behalf_of,
        session: waiter.session,
        mode: Some(mode_to_wire(waiter.mode)),
        since_ns: waiter.since.0,
    }
}

impl Shared {
    /// Waits for something that may take long, until the node stops.
    pub(crate) async fn until_closing<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let stopped = || Error::unavailable("the node is stopping; ask again when it is back");
        let done = self.app.closing.run_until_cancelled(work).await;
        done.unwrap_or_else(|| Err(stopped()))
    }
}
