//! Which door a request came through, and how a refusal looks there.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use nexus_fs::Etag;
use nexus_kernel::{Error, Kind, Result};

use crate::{grpc, rest, rpc};

/// Carries the kind of an error in the answer of every door, for clients that do not look
/// further and for the metrics.
pub(crate) const ERROR_HEADER: &str = "x-nexus-error";

/// The kind of what is nobody's error but the server's own.
pub(crate) const INTERNAL: &str = "internal";
/// What is said of it.
pub(crate) const INTERNAL_MESSAGE: &str =
    "the server failed; report it with the request id in this answer's x-request-id header";

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    Grpc,
    Rest,
    JsonRpc,
    /// Health, readiness, metrics.
    Plain,
}

impl Door {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Rest => "rest",
            Self::JsonRpc => "jsonrpc",
            Self::Plain => "plain",
        }
    }

    /// The door a path leads to.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/nexus.v1.") {
            Self::Grpc
        } else if path.starts_with("/api/nfs/") {
            Self::JsonRpc
        } else if path.starts_with("/api/") {
            Self::Rest
        } else {
            Self::Plain
        }
    }

    /// Answers a request that is refused before it reaches its handler.
    pub(crate) fn refuse(self, error: Error) -> Response {
        match self {
            Self::Grpc => grpc::status(error).into_http(),
            Self::Rest | Self::JsonRpc | Self::Plain => rest::Problem(error).into_response(),
        }
    }

    /// Answers a request whose handler failed: what became of it is unknown.
    pub(crate) fn failed(self) -> Response {
        match self {
            Self::Grpc => grpc::internal().into_http(),
            Self::JsonRpc => rpc::internal(),
            Self::Rest | Self::Plain => rest::internal(),
        }
    }
}

/// An etag that a change asks the file to have. Etags are opaque to clients, so one that no
/// content can have is stale, not malformed. It may have the quotes that HTTP puts around it.
pub(crate) fn expected_etag(text: &str) -> Result<Etag> {
    unquoted(text).parse().map_err(|_| {
        Error::conflict("no content has this etag; take one from a read or a stat")
            .with("expected_etag", text.escape_debug())
    })
}

/// An etag without the quotes around it.
pub(crate) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag)
}

/// The value of [`ERROR_HEADER`].
pub(crate) fn error_header(kind: Kind) -> HeaderValue {
    HeaderValue::from_static(kind.as_str())
}

/// Logs an error on its way out. Its source stays in the log: it is inside detail.
pub(crate) fn log(error: &Error) {
    match error.kind() {
        Kind::Corrupt | Kind::Unavailable => tracing::error!(?error, "request failed"),
        _ => tracing::debug!(?error, "request refused"),
    }
}
