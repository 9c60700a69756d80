//! What drivers offer besides the store itself.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use nexus_kernel::Result;
use nexus_server::{Figure, Gauges, Sample};

/// The side of a driver that only the node sees.
#[async_trait]
pub(super) trait Part: Send + Sync + 'static {
    /// Its figures.
    fn sample(&self) -> Vec<Sample>;

    /// Makes everything durable and lets go of its files.
    async fn close(self: Arc<Self>) -> Result<()>;
}

/// The figures of all drivers, for as long as they are open.
pub(crate) struct Figures(Vec<Weak<dyn Part>>);

impl Figures {
    pub(super) fn of(parts: &[Arc<dyn Part>]) -> Self {
        Self(parts.iter().map(Arc::downgrade).collect())
    }
}

impl Gauges for Figures {
    fn sample(&self) -> Vec<Sample> {
        let parts = self.0.iter().filter_map(Weak::upgrade);
        parts.flat_map(|part| part.sample()).collect()
    }
}

/// A row of [`samples`].
pub(super) type Row = (&'static str, &'static str, Value);

/// What a figure does over time.
pub(super) enum Value {
    /// Only grows.
    Total(u64),
    /// Goes up and down.
    Now(u64),
}

pub(super) fn samples<const N: usize>(rows: [Row; N]) -> Vec<Sample> {
    let sample = |(name, help, value)| {
        let figure = match value {
            Value::Total(value) => Figure::Counter(value),
            Value::Now(value) => Figure::Gauge(value as f64),
        };
        Sample { name, help, figure }
    };
    rows.into_iter().map(sample).collect()
}
