//! A server, and clients of each of its doors.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{Stores, Zone, ZoneConfig};
use nexus_kernel::Result;
use nexus_proto::v1::admin_client::AdminClient;
use nexus_proto::v1::files_client::FilesClient;
use nexus_server::{App, Figure, Gauges, Limits, Sample};
use nexus_service_api::{
    Authorizer, Context, CreatedKey, KeyInfo, KeyPage, KeyService, KeyUpdate, NewKey, Principal,
    PrincipalKind, Rights, SystemClock, SystemEntropy,
};
use nexus_services::authorizer::KeyAuthorizer;
use nexus_services::identity::{KeyParts, Keys};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub(crate) struct Server {
    pub(crate) url: String,
    /// An admin's key.
    pub(crate) admin: String,
    pub(crate) keys: Keys,
    pub(crate) zone: Zone,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    closing: CancellationToken,
    serving: JoinHandle<()>,
}

/// What a door answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The values of an answer that has one a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::guarded_by(Arc::new(KeyAuthorizer::new("root")), limits).await
    }

    pub(crate) async fn guarded_by(authorizer: Arc<dyn Authorizer>, limits: Limits) -> Self {
        let (app, keys, admin) = app(authorizer, limits).await;
        let (zone, closing) = (app.zone.clone(), app.closing.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(nexus_server::serve(listener, app, async {
            let _ = stopped.await;
        }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            url,
            admin,
            keys,
            zone,
            client,
            stop: Some(stop),
            closing,
            serving,
        }
    }

    /// Tells those who wait that the server is about to stop.
    pub(crate) fn cancel(&self) {
        self.closing.cancel();
    }

    /// A key with these rights, for `kind`'s `id`.
    pub(crate) async fn key(&self, kind: PrincipalKind, id: &str, rights: Rights) -> String {
        self.key_within(None, kind, id, rights).await
    }

    /// The same, bound to a prefix.
    pub(crate) async fn key_within(
        &self,
        prefix: Option<&str>,
        kind: PrincipalKind,
        id: &str,
        rights: Rights,
    ) -> String {
        let new = NewKey {
            name: id.into(),
            kind,
            id: id.into(),
            zone: "root".into(),
            rights,
            prefix: prefix.map(str::to_owned),
            expires: None,
        };
        self.keys
            .create(&Context::system(), new)
            .await
            .unwrap()
            .secret
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.admin))
    }

    pub(crate) async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Answer {
        let response = self.open(request, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// As [`send`](Self::send), with the body still to come.
    pub(crate) async fn open(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Response<hyper::body::Incoming> {
        self.client
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path), "").await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(self.request("PUT", &format!("/api/v2/files{path}")), body)
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path), body.to_string())
            .await
    }

    /// Calls a method of JSON-RPC and returns its envelope.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer = self.post(&format!("/api/nfs/{method}"), body).await;
        assert_eq!(answer.status, StatusCode::OK);
        let envelope = answer.json();
        assert_eq!(envelope["jsonrpc"], "2.0");
        assert_eq!(envelope["id"], 7);
        envelope
    }

    /// The result of a call that succeeds.
    pub(crate) async fn rpc_ok(&self, method: &str, params: Value) -> Value {
        let mut envelope = self.rpc(method, params).await;
        assert!(envelope.get("error").is_none(), "{method}: {envelope}");
        envelope["result"].take()
    }

    /// The error of a call that fails.
    pub(crate) async fn rpc_error(&self, method: &str, params: Value) -> Value {
        let mut envelope = self.rpc(method, params).await;
        assert!(envelope.get("result").is_none(), "{method}: {envelope}");
        envelope["error"].take()
    }

    pub(crate) async fn files(&self) -> FilesClient<InterceptedService<Channel, Bearer>> {
        self.files_with(self.admin.clone()).await
    }

    /// As [`files`](Self::files), with another key.
    pub(crate) async fn files_with(
        &self,
        secret: String,
    ) -> FilesClient<InterceptedService<Channel, Bearer>> {
        FilesClient::with_interceptor(self.channel().await, Bearer(secret))
    }

    pub(crate) async fn grpc_admin(&self) -> AdminClient<InterceptedService<Channel, Bearer>> {
        AdminClient::with_interceptor(self.channel().await, Bearer(self.admin.clone()))
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.url.clone())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// Stops the server and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        drop(self.client);
        self.serving.await.unwrap();
    }
}

/// What a server opens onto, its keys, and the secret of an admin's.
pub(crate) async fn app(authorizer: Arc<dyn Authorizer>, limits: Limits) -> (App, Keys, String) {
    let zone = zone(authorizer.clone()).await;
    let parts = KeyParts {
        zone: "root".into(),
        settings: zone.settings(),
        authorizer,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let keys = Keys::open(parts).await.unwrap();
    let admin = keys.bootstrap().await.unwrap().unwrap().secret;
    let app = App {
        zone,
        zone_id: "root".into(),
        keys: Arc::new(Trapped(keys.clone())),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        gauges: Arc::new(OneGauge),
        limits,
        closing: CancellationToken::new(),
    };
    (app, keys, admin)
}

async fn zone(authorizer: Arc<dyn Authorizer>) -> Zone {
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::default()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    };
    Zone::open(stores, authorizer, ZoneConfig::default())
        .await
        .unwrap()
}

/// Adds the key to every call.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) String);

impl Interceptor for Bearer {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        let value = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

struct OneGauge;

impl Gauges for OneGauge {
    fn sample(&self) -> Vec<Sample> {
        vec![Sample {
            name: "test_bytes",
            help: "A figure of the node",
            figure: Figure::Gauge(42.0),
        }]
    }
}

/// The secret at which [`Trapped`] panics.
pub(crate) const PANIC: &str = "sk-panic";

/// Keys with a bug.
struct Trapped(Keys);

#[async_trait]
impl KeyService for Trapped {
    async fn authenticate(&self, secret: &str) -> Result<Principal> {
        assert_ne!(secret, PANIC, "a bug");
        self.0.authenticate(secret).await
    }

    async fn create(&self, who: &Context, new: NewKey) -> Result<CreatedKey> {
        self.0.create(who, new).await
    }

    async fn list(&self, who: &Context, limit: usize, cursor: Option<&str>) -> Result<KeyPage> {
        self.0.list(who, limit, cursor).await
    }

    async fn get(&self, who: &Context, key_id: &str) -> Result<KeyInfo> {
        self.0.get(who, key_id).await
    }

    async fn revoke(&self, who: &Context, key_id: &str) -> Result<KeyInfo> {
        self.0.revoke(who, key_id).await
    }

    async fn update(&self, who: &Context, key_id: &str, update: KeyUpdate) -> Result<KeyInfo> {
        self.0.update(who, key_id, update).await
    }
}
