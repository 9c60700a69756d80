//! The doors of a node over stores in memory, for one request at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{Stores, WriteOptions, Zone, ZoneConfig};
use nexus_server::{App, Gauges, Limits, Sample};
use nexus_service_api::{Context, SystemClock, SystemEntropy};
use nexus_services::authorizer::KeyAuthorizer;
use nexus_services::identity::{KeyParts, Keys};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What a door answered.
pub struct Answer {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    pub trailers: http::HeaderMap,
    pub body: Bytes,
}

/// Sends a request, as an administrator, to a new node with two files; none if it would wait
/// for something that does not happen, such as a later revision.
///
/// The clock stands still while anything is to be done and jumps when nothing is, so that
/// waiting takes no time.
pub fn ask(request: Request<Bytes>) -> Option<Answer> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime starts");
    let answered = async {
        let (app, secret) = node().await;
        let answer = exchange(app, &secret, request);
        tokio::time::timeout(Duration::from_secs(600), answer).await
    };
    runtime.block_on(answered).ok()
}

async fn exchange(app: App, secret: &str, request: Request<Bytes>) -> Answer {
    let (mut parts, body) = request.into_parts();
    let bearer = format!("Bearer {secret}");
    let bearer = bearer.parse().expect("a secret is ASCII");
    parts.headers.insert("authorization", bearer);
    let request = Request::from_parts(parts, Body::from(body));
    let answered = nexus_server::router(app).oneshot(request).await;
    let response: Response = answered.expect("a router always answers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await;
    let body = body.unwrap_or_default();
    let trailers = body.trailers().cloned().unwrap_or_default();
    Answer {
        status: parts.status,
        headers: parts.headers,
        trailers,
        body: body.to_bytes(),
    }
}

/// A node, and the secret of an administrator.
async fn node() -> (App, String) {
    let authorizer = Arc::new(KeyAuthorizer::new("root"));
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::default()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    let zone = Zone::open(stores, authorizer.clone(), ZoneConfig::default())
        .await
        .expect("memory opens");
    plant(&zone).await;
    let parts = KeyParts {
        zone: "root".into(),
        settings: zone.settings(),
        authorizer,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let keys = Keys::open(parts).await.expect("memory is readable");
    let first = keys.bootstrap().await.expect("memory takes all");
    let app = App {
        zone,
        zone_id: "root".into(),
        keys: Arc::new(keys),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        gauges: Arc::new(NoGauges),
        limits: Limits::default(),
        closing: CancellationToken::new(),
    };
    (app, first.expect("there was no key").secret)
}

async fn plant(zone: &Zone) {
    let files = zone.session(Context::system());
    for (path, content) in [("/a", "one\ntwo\nthree\n"), ("/d/b.txt", "")] {
        let options = WriteOptions {
            parents: true,
            ..WriteOptions::default()
        };
        let written = files.write(path, content.into(), options).await;
        written.expect("memory takes all");
    }
}

struct NoGauges;

impl Gauges for NoGauges {
    fn sample(&self) -> Vec<Sample> {
        Vec::new()
    }
}

/// The first line of an input, and what follows it.
pub fn first_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&input[..end]).ok()?;
    Some((line, &input[end + 1..]))
}
