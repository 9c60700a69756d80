//! What the doors open onto.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::{Session, Zone};
use nexus_service_api::{Clock, Context, Entropy, KeyService};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::grpc::Handles;
use crate::metrics::{Gauges, Metrics};

/// What the doors open onto, supplied by the node.
#[derive(Clone)]
pub struct App {
    /// The files.
    pub zone: Zone,
    /// The zone's name; a key of another zone is refused.
    pub zone_id: String,
    /// Who may come in.
    pub keys: Arc<dyn KeyService>,
    /// Tells the time that deadlines are counted from.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Figures of the stores, for `/metrics`.
    pub gauges: Arc<dyn Gauges>,
    /// What a request may ask for.
    pub limits: Limits,
    /// Cancelled when the node stops: streams without an end of their own end then.
    pub closing: CancellationToken,
}

/// What a request may ask for. File content is streamed and has only the filesystem's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest JSON body, and largest gRPC message.
    pub message_bytes_max: usize,
    /// Most bytes of bodies held whole, of all requests together; streamed content has no part
    /// in it.
    pub buffered_bytes_max: usize,
    /// Most entries in an answer that cannot be paged: a JSON-RPC listing, glob or grep.
    pub unpaged_entries_max: usize,
    /// Most bytes of content in one JSON-RPC answer.
    pub unpaged_bytes_max: usize,
    /// Most connections at a time; more wait to be accepted.
    pub connections_max: usize,
    /// How long a client may be silent while its protocol, the head of its request, or the
    /// next piece of a body is waited for.
    pub silence_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 << 20,
            buffered_bytes_max: 512 << 20,
            unpaged_entries_max: 100_000,
            unpaged_bytes_max: 64 << 20,
            connections_max: 10_000,
            silence_max: Duration::from_secs(60),
        }
    }
}

/// The [`App`] and what the doors keep for themselves; shared by all handlers.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) app: App,
    pub(crate) metrics: Metrics,
    /// One permit for each byte of a body that may be held.
    pub(crate) buffers: Arc<Semaphore>,
    /// What clients have open.
    pub(crate) handles: Arc<Handles>,
}

impl Shared {
    pub(crate) fn new(app: App) -> Self {
        let handles = Handles::new(Arc::clone(&app.clock), Arc::clone(&app.entropy));
        let handles = Arc::new(handles);
        let gauges = Arc::clone(&app.gauges);
        let metrics = Metrics::new(app.zone.clone(), gauges, Arc::clone(&handles));
        let buffers = Arc::new(Semaphore::new(app.limits.buffered_bytes_max));
        Self(Arc::new(Inner {
            app,
            metrics,
            buffers,
            handles,
        }))
    }

    /// The files as `context`'s principal sees them.
    pub(crate) fn files(&self, context: Context) -> Session {
        self.app.zone.session(context)
    }
}

impl Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("zone_id", &self.app.zone_id)
            .finish_non_exhaustive()
    }
}
