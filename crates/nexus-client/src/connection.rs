//! Reaching a node.

use std::fmt;
use std::time::Duration;

use nexus_kernel::{Error, Result};
use nexus_proto::v1::admin_client::AdminClient;
use nexus_proto::v1::archive_client::ArchiveClient;
use nexus_proto::v1::compare_client::CompareClient;
use nexus_proto::v1::feed_client::FeedClient;
use nexus_proto::v1::files_client::FilesClient;
use nexus_proto::v1::inodes_client::InodesClient;
use nexus_proto::v1::locks_client::LocksClient;
use nexus_proto::v1::retention_client::RetentionClient;
use nexus_proto::v1::snapshots_client::SnapshotsClient;
use nexus_proto::v1::undo_client::UndoClient;
use nexus_proto::v1::workspaces_client::WorkspacesClient;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::types::locks::Fence;

/// Most bytes in one message from the node: a page of 10,000 detailed entries fits.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of one answer that may arrive before they are taken.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same of all answers together: more than all streams can hold, so that an answer that
/// nobody takes never stops another.
const CONNECTION_WINDOW: u32 = i32::MAX as u32;
/// Most bytes in the headers of an answer: an error travels in them.
const HEADERS_BYTES_MAX: u32 = 64 << 10;
/// How often an idle call asks whether the other side is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A connection to a node, with the key to use it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    credentials: Credentials,
}

/// How to connect.
#[derive(Clone, Default)]
pub struct Options {
    /// The API key, `sk-...`. Without one a node answers nothing.
    pub api_key: Option<String>,
    /// Names the run whose operations belong together, in the operation log.
    pub session: Option<String>,
    /// Names the request in logs and in the operation log; the node makes one up for each
    /// call if this is not given.
    pub request_id: Option<String>,
    /// The agent to act as; only the key's own.
    pub agent: Option<String>,
    /// Whom to act for, `user:ID` or `agent:ID`, in the operation log; only with an
    /// administrator's key, which it gives no other rights.
    pub on_behalf_of: Option<String>,
    /// Leases without which no change is committed; up to 8.
    pub fences: Vec<Fence>,
}

impl fmt::Debug for Options {
    /// Without the key, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("session", &self.session)
            .field("request_id", &self.request_id)
            .field("agent", &self.agent)
            .field("on_behalf_of", &self.on_behalf_of)
            .field("fences", &self.fences)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the node at `url`, such as `http://127.0.0.1:2026`.
    ///
    /// # Errors
    ///
    /// `Unavailable` if nothing answers there, `InvalidArgument` for a URL or a key that
    /// cannot be one, `Unsupported` for `https`.
    pub async fn connect(url: &str, api_key: &str) -> Result<Self> {
        let options = Options {
            api_key: Some(api_key.to_owned()),
            ..Options::default()
        };
        Self::connect_with(url, options).await
    }

    /// Connects with more than a key.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: Options) -> Result<Self> {
        let credentials = Credentials::new(&options)?;
        let channel = endpoint(url)?
            .connect()
            .await
            .map_err(|error| unreachable(url, error))?;
        Ok(Self {
            channel,
            credentials,
        })
    }

    pub(crate) fn compare(&self) -> CompareClient<Authenticated> {
        CompareClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn files(&self) -> FilesClient<Authenticated> {
        FilesClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The same connection, with calls on record as those of another run, where one is named,
    /// and of a program. A name that no header can carry is left out.
    #[must_use]
    pub fn acting_for(&self, session: Option<&str>, program: Option<&str>) -> Self {
        let mut client = self.clone();
        client.credentials.name("x-nexus-session", session);
        client.credentials.name("x-nexus-program", program);
        client
    }

    /// The same connection, with changes that are committed only while these leases are held,
    /// too.
    #[must_use]
    pub fn standing_on(&self, fences: &[Fence]) -> Self {
        let mut client = self.clone();
        client.credentials.stand_on(fences);
        client
    }

    pub(crate) fn snapshots_service(&self) -> SnapshotsClient<Authenticated> {
        SnapshotsClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn retention_service(&self) -> RetentionClient<Authenticated> {
        RetentionClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn locks(&self) -> LocksClient<Authenticated> {
        LocksClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn workspaces_service(&self) -> WorkspacesClient<Authenticated> {
        WorkspacesClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn undos(&self) -> UndoClient<Authenticated> {
        UndoClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn wire_inodes(&self) -> InodesClient<Authenticated> {
        InodesClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn archives(&self) -> ArchiveClient<Authenticated> {
        ArchiveClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn feed(&self) -> FeedClient<Authenticated> {
        FeedClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn admin(&self) -> AdminClient<Authenticated> {
        AdminClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// A channel that adds who asks to every call.
pub(crate) type Authenticated = InterceptedService<Channel, Credentials>;

/// What a header's value cannot hold, and the sign for it.
const NOT_IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The metadata of every call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials(Vec<(&'static str, MetadataValue<Ascii>)>);

impl Credentials {
    fn new(options: &Options) -> Result<Self> {
        let bearer = options
            .api_key
            .as_ref()
            .map(|key| format!("Bearer {}", key.trim()));
        let named = [
            ("authorization", &bearer),
            ("x-nexus-session", &options.session),
            ("x-request-id", &options.request_id),
            ("x-agent-id", &options.agent),
            ("x-nexus-on-behalf-of", &options.on_behalf_of),
        ];
        let mut headers = Vec::new();
        for (name, value) in named {
            let Some(value) = value else { continue };
            let mut parsed: MetadataValue<Ascii> = value.parse().map_err(|_| not_ascii(name))?;
            parsed.set_sensitive(name == "authorization");
            headers.push((name, parsed));
        }
        let mut credentials = Self(headers);
        credentials.stand_on(&options.fences);
        Ok(credentials)
    }

    fn stand_on(&mut self, fences: &[Fence]) {
        let values = fences.iter().map(|fence| {
            let resource = utf8_percent_encode(&fence.resource, NOT_IN_A_HEADER);
            let value = format!("{} {resource}", fence.token).parse();
            (
                "x-nexus-fence",
                value.expect("what is left is printable ASCII"),
            )
        });
        self.0.extend(values);
    }

    /// Names something else by this header from now on.
    fn name(&mut self, header: &'static str, value: Option<&str>) {
        let Some(value) = value.and_then(|value| value.parse().ok()) else {
            return;
        };
        self.0.retain(|(name, _)| *name != header);
        self.0.push((header, value));
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().append(*name, value.clone());
        }
        Ok(request)
    }
}

fn endpoint(url: &str) -> Result<Endpoint> {
    if url.starts_with("https:") {
        return Err(Error::unsupported(
            "this client does not speak TLS yet; use http:// to a node on this machine or through a \
             tunnel",
        )
        .with("url", url.escape_debug()));
    }
    let endpoint = Endpoint::from_shared(url.to_owned())
        .ok()
        .filter(|_| url.starts_with("http://"));
    let endpoint = endpoint.ok_or_else(|| {
        Error::invalid("a node's address is a URL like http://127.0.0.1:2026")
            .with("url", url.escape_debug())
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .user_agent(concat!("nexus-client/", env!("CARGO_PKG_VERSION")))
        .expect("the name and a version make a header"))
}

fn unreachable(url: &str, error: tonic::transport::Error) -> Error {
    let message = format!(
        "no node answers at {url}; start one with `nexus-node`, or name the one you mean with its URL"
    );
    Error::unavailable(message).because(error)
}

fn not_ascii(header: &'static str) -> Error {
    Error::invalid(
        "a key, a session, an agent, whom to act for and a request id are printable ASCII without line \
         breaks",
    )
    .with("header", header)
}
