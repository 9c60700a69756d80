//! gRPC: the services of `proto/nexus/v1`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::Router;
use futures::StreamExt;
use futures::stream::BoxStream;
use nexus_kernel::{Error, Outcome, Result};
use nexus_proto::v1::admin_server::AdminServer;
use nexus_proto::v1::files_server::FilesServer;
use nexus_proto::v1::{ErrorDetail, Fact};
use nexus_service_api::Context;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};

use crate::app::Shared;
use crate::door::{self, ERROR_HEADER};
use crate::error_table::codes;

mod admin;
mod convert;
mod files;
mod incoming;

/// Carries an encoded [`ErrorDetail`].
const ERROR_DETAIL: &str = "nexus-error-bin";

/// What a streaming call answers.
type Answers<T> = BoxStream<'static, Result<T, Status>>;

pub(crate) fn router(shared: &Shared) -> Router<Shared> {
    let limit = shared.app.limits.message_bytes_max;
    let files = FilesServer::new(files::FilesDoor(shared.clone())).max_decoding_message_size(limit);
    let admin = AdminServer::new(admin::AdminDoor(shared.clone())).max_decoding_message_size(limit);
    Router::new()
        .route_service("/nexus.v1.Files/{*method}", files)
        .route_service("/nexus.v1.Admin/{*method}", admin)
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
    let detail = ErrorDetail {
        kind: error.kind().as_str().into(),
        message: error.message().into(),
        context: error
            .context()
            .iter()
            .map(|(name, value)| Fact {
                name: (*name).into(),
                value: value.clone(),
            })
            .collect(),
        outcome_unknown: error.outcome() == Outcome::Unknown,
    };
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(
        ERROR_DETAIL,
        MetadataValue::from_bytes(&detail.encode_to_vec()),
    );
    let kind = MetadataValue::from_static(error.kind().as_str());
    metadata.insert(ERROR_HEADER, kind);
    Status::with_metadata(codes(error.kind()).grpc, error.to_string(), metadata)
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

/// Items of the filesystem as messages of a call.
fn answers<A: 'static, B: Send + 'static>(
    items: BoxStream<'static, Result<A>>,
    convert: impl Fn(A) -> B + Send + 'static,
) -> Answers<B> {
    items
        .map(move |item| item.map(&convert).map_err(status))
        .boxed()
}
