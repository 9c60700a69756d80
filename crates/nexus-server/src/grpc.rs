//! gRPC: the services of `proto/nexus/v1`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::response::Response as AnyResponse;
use axum::{Router, middleware, routing};
use futures::StreamExt;
use futures::stream::BoxStream;
use nexus_fs::Session;
use nexus_kernel::{Error, Outcome, Result};
use nexus_proto::v1::admin_server::AdminServer;
use nexus_proto::v1::archive_server::ArchiveServer;
use nexus_proto::v1::compare_server::CompareServer;
use nexus_proto::v1::feed_server::FeedServer;
use nexus_proto::v1::files_server::FilesServer;
use nexus_proto::v1::inodes_server::InodesServer;
use nexus_proto::v1::locks_server::LocksServer;
use nexus_proto::v1::retention_server::RetentionServer;
use nexus_proto::v1::snapshots_server::SnapshotsServer;
use nexus_proto::v1::undo_server::UndoServer;
use nexus_proto::v1::workspaces_server::WorkspacesServer;
use nexus_proto::v1::{ErrorDetail, Fact};
use nexus_service_api::Context;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::app::Shared;
use crate::door::{self, ERROR_HEADER};
use crate::error_table::codes;

mod admin;
mod archive;
mod compare;
mod convert;
mod feed;
mod files;
mod incoming;
mod inodes;
mod locks;
mod retention;
mod snapshots;
mod undo;
mod watch;
mod workspaces;

pub(crate) use inodes::{Handles, SWEEP_EVERY};

/// Carries an encoded [`ErrorDetail`].
const ERROR_DETAIL: &str = "nexus-error-bin";

/// A status travels in headers, where a byte may take three, and of which some clients take
/// 8 KiB in all: what an error says is cut to fit.
const STATUS_BYTES_MAX: usize = 768;
const MESSAGE_BYTES_MAX: usize = 512;
const FACT_BYTES_MAX: usize = 512;
const FACTS_MAX: usize = 6;

/// Largest message of a mount, which writes in pieces.
const INODES_BYTES_MAX: usize = 4 << 20;

/// Largest message that names a few things: the longest are the facts of a workspace and a thousand
/// blobs.
const FEW_NAMES_BYTES_MAX: usize = 1 << 20;
/// Largest message that may name ten thousand paths.
const MANY_NAMES_BYTES_MAX: usize = 8 << 20;

/// What a call answers.
type Reply<T> = Result<Response<T>, Status>;

/// What a streaming call answers.
type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// A service, with the largest message that it takes: more is refused before it is read.
macro_rules! service {
    ($server:ident, $door:expr, $bytes_max:expr) => {
        $server::new($door).max_decoding_message_size($bytes_max)
    };
}

pub(crate) fn router(shared: &Shared) -> Router<Shared> {
    let contents = shared.app.limits.message_bytes_max;
    let [few, many] = [FEW_NAMES_BYTES_MAX, MANY_NAMES_BYTES_MAX].map(|max| max.min(contents));
    let with = || shared.clone();
    let files = service!(FilesServer, files::FilesDoor(with()), contents);
    let inodes = service!(InodesServer, inodes::InodesDoor(with()), INODES_BYTES_MAX);
    let undo = service!(UndoServer, undo::UndoDoor(with()), many);
    let admin = service!(AdminServer, admin::AdminDoor(with()), few);
    let archive = service!(ArchiveServer, archive::ArchiveDoor(with()), few);
    let compare = service!(CompareServer, compare::CompareDoor(with()), few);
    let feed = service!(FeedServer, feed::FeedDoor(with()), few);
    let locks = service!(LocksServer, locks::LocksDoor(with()), few);
    let retention = service!(RetentionServer, retention::RetentionDoor(with()), few);
    let snapshots = service!(SnapshotsServer, snapshots::SnapshotsDoor(with()), few);
    let workspaces = service!(WorkspacesServer, workspaces::WorkspacesDoor(with()), few);
    Router::new()
        .route_service("/nexus.v1.Undo/{*method}", undo)
        .route_service("/nexus.v1.Compare/{*method}", compare)
        .route_service("/nexus.v1.Files/{*method}", files)
        .route(watch::PATH, routing::any(watch::serve))
        .route_service("/nexus.v1.Admin/{*method}", admin)
        .route_service("/nexus.v1.Archive/{*method}", archive)
        .route_service("/nexus.v1.Feed/{*method}", feed)
        .route_service("/nexus.v1.Inodes/{*method}", inodes)
        .route_service("/nexus.v1.Locks/{*method}", locks)
        .route_service("/nexus.v1.Snapshots/{*method}", snapshots)
        .route_service("/nexus.v1.Retention/{*method}", retention)
        .route_service("/nexus.v1.Workspaces/{*method}", workspaces)
        .layer(middleware::map_response(too_large_by_kind))
}

/// What the library refuses for its size, before any door has seen it, as the doors say it.
async fn too_large_by_kind(response: AnyResponse) -> AnyResponse {
    let headers = response.headers();
    if headers.contains_key(ERROR_HEADER) {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(refused) if refused.code() == Code::OutOfRange => {
            status(too_large(&refused)).into_http()
        }
        _ => response,
    }
}

/// The error of a message that is larger than its call takes.
fn too_large(refused: &Status) -> Error {
    Error::limit("the message is larger than this call takes; ask for less at a time, or stream it")
        .with("reason", refused.message())
}

/// The method a path names, as `Service/Method`; `unknown` if there is none.
pub(crate) fn operation(path: &str) -> &'static str {
    static METHODS: LazyLock<BTreeSet<String>> = LazyLock::new(methods);
    let name = path
        .strip_prefix("/nexus.v1.")
        .and_then(|name| METHODS.get(name));
    name.map_or("unknown", String::as_str)
}

fn methods() -> BTreeSet<String> {
    let descriptors = FileDescriptorSet::decode(nexus_proto::DESCRIPTORS)
        .expect("the build wrote the interface's description");
    let mut methods = BTreeSet::new();
    for service in descriptors.file.iter().flat_map(|file| &file.service) {
        methods.extend(
            service
                .method
                .iter()
                .map(|method| format!("{}/{}", service.name(), method.name())),
        );
    }
    methods
}

/// An error as gRPC says it.
pub(crate) fn status(error: Error) -> Status {
    door::log(&error);
    let context = error.context().iter().map(|(name, value)| Fact {
        name: (*name).into(),
        value: cut(value, FACT_BYTES_MAX),
    });
    let detail = ErrorDetail {
        kind: error.kind().as_str().into(),
        message: cut(error.message(), MESSAGE_BYTES_MAX),
        context: context.take(FACTS_MAX).collect(),
        outcome_unknown: error.outcome() == Outcome::Unknown,
    };
    let message = cut(&error.to_string(), STATUS_BYTES_MAX);
    with_detail(codes(error.kind()).grpc, message, &detail)
}

/// The status of a server that failed.
pub(crate) fn internal() -> Status {
    let detail = ErrorDetail {
        kind: door::INTERNAL.into(),
        message: door::INTERNAL_MESSAGE.into(),
        context: Vec::new(),
        outcome_unknown: true,
    };
    with_detail(Code::Internal, door::INTERNAL_MESSAGE.into(), &detail)
}

fn with_detail(code: Code, message: String, detail: &ErrorDetail) -> Status {
    let mut metadata = MetadataMap::new();
    let encoded = MetadataValue::from_bytes(&detail.encode_to_vec());
    metadata.insert_bin(ERROR_DETAIL, encoded);
    let kind = detail.kind.parse().expect("a kind is a header's value");
    metadata.insert(ERROR_HEADER, kind);
    Status::with_metadata(code, message, metadata)
}

/// The beginning of a text that is too long, and a sign that it goes on.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max);
    format!("{}…", &text[..end])
}

/// Who asks, as [`require_key`](crate::auth::require_key) found out, and what for.
fn caller<T>(request: Request<T>) -> Result<(Context, T), Status> {
    let (_, extensions, message) = request.into_parts();
    let context = extensions.get::<Context>().cloned();
    Ok((
        context.ok_or_else(|| status(Error::unauthenticated("send a key")))?,
        message,
    ))
}

/// Does what one message asks for, as its caller sees the zone.
async fn answer<Q, A, F>(
    shared: &Shared,
    request: Request<Q>,
    operation: impl FnOnce(Session, Q) -> F,
) -> Reply<A>
where
    F: Future<Output = Result<A>>,
{
    let (context, ask) = caller(request)?;
    let done = operation(shared.files(context), ask).await;
    done.map(Response::new).map_err(status)
}

/// Items of the filesystem as messages of a call.
fn answers<A: 'static, B: Send + 'static>(
    items: BoxStream<'static, Result<A>>,
    convert: impl Fn(A) -> B + Send + 'static,
) -> Answers<B> {
    items
        .map(move |item| item.map(&convert).map_err(status))
        .boxed()
}
