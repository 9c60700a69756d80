//! Figures for Prometheus.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::Zone;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::door::Door;
use crate::grpc::Handles;

/// Figures that only the node knows, such as the sizes of its stores. Asked for at each scrape.
pub trait Gauges: Send + Sync + 'static {
    /// The figures now: cheap, and without waiting for anything.
    fn sample(&self) -> Vec<Sample>;
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, without the `nexus_` that `/metrics` puts before it.
    pub name: &'static str,
    /// What it is, in a sentence without a full stop.
    pub help: &'static str,
    /// Its value.
    pub figure: Figure,
}

/// The value of a figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Only grows. `/metrics` adds `_total` to its name.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    door: &'static str,
    operation: Cow<'static, str>,
    outcome: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    door: &'static str,
    operation: Cow<'static, str>,
}

/// What the doors count.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    latencies: Family<Operation, Histogram, fn() -> Histogram>,
}

impl Metrics {
    pub(crate) fn new(zone: Zone, gauges: Arc<dyn Gauges>, handles: Arc<Handles>) -> Self {
        let mut registry = Registry::with_prefix("nexus");
        let requests = Family::default();
        let latencies = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        registry.register("requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "request_latency",
            "Time from a request's headers to its answer's",
            Unit::Seconds,
            latencies.clone(),
        );
        registry.register_collector(Box::new(Stores {
            zone,
            gauges,
            handles,
        }));
        Self {
            registry,
            requests,
            latencies,
        }
    }

    /// Counts one request.
    pub(crate) fn request(
        &self,
        door: Door,
        operation: Cow<'static, str>,
        outcome: Cow<'static, str>,
        elapsed: Duration,
    ) {
        let door = door.as_str();
        let latency = Operation {
            door,
            operation: operation.clone(),
        };
        self.latencies
            .get_or_create(&latency)
            .observe(elapsed.as_secs_f64());
        self.requests
            .get_or_create(&Request {
                door,
                operation,
                outcome,
            })
            .inc();
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// 50 us to 26 s.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

/// The zone's figures and the node's.
struct Stores {
    zone: Zone,
    gauges: Arc<dyn Gauges>,
    handles: Arc<Handles>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stores")
    }
}

impl Collector for Stores {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let own = zone_samples(&self.zone).into_iter();
        let own = own.chain([handles_sample(&self.handles)]);
        for Sample { name, help, figure } in own.chain(self.gauges.sample()) {
            match figure {
                Figure::Counter(value) => {
                    encode(&mut encoder, name, help, &ConstCounter::new(value))
                }
                Figure::Gauge(value) => encode(&mut encoder, name, help, &ConstGauge::new(value)),
            }?;
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn handles_sample(handles: &Handles) -> Sample {
    Sample {
        name: "open_handles",
        help: "Files that clients have open",
        figure: Figure::Gauge(handles.count() as f64),
    }
}

fn zone_samples(zone: &Zone) -> [Sample; 8] {
    let stats = zone.stats();
    let counter = |name, help, value| Sample {
        name,
        help,
        figure: Figure::Counter(value),
    };
    let entries = stats.cache_entries as f64;
    [
        counter(
            "cache_hits",
            "Names and inodes answered from memory",
            stats.cache_hits,
        ),
        counter(
            "cache_misses",
            "Names and inodes read from the metastore",
            stats.cache_misses,
        ),
        counter("commits", "Transactions that applied", stats.commits),
        counter(
            "commit_retries",
            "Transactions that lost a race and ran again",
            stats.retries,
        ),
        Sample {
            name: "cache_entries",
            help: "Names and inodes in memory",
            figure: Figure::Gauge(entries),
        },
        Sample {
            name: "feeds",
            help: "Change feeds that are open",
            figure: Figure::Gauge(stats.feeds as f64),
        },
        Sample {
            name: "oldest_readable_revision",
            help: "Where history begins, but for what is pinned",
            figure: Figure::Gauge(stats.oldest_readable.0 as f64),
        },
        counter(
            "collected_rows",
            "Rows of history and of the log that retention let go",
            stats.collected,
        ),
    ]
}
