//! What an error is called in each protocol: the one table.

use http::StatusCode;
use nexus_kernel::{Error, Kind};
use tonic::Code;

/// What one kind of error is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// In gRPC.
    pub grpc: Code,
    /// In HTTP.
    pub http: StatusCode,
    /// In JSON-RPC.
    pub json_rpc: i32,
    /// On Linux.
    pub errno: i32,
}

/// JSON-RPC: the path itself is at fault.
pub const JSON_RPC_INVALID_PATH: i32 = -32002;
/// JSON-RPC: something in the server is at fault.
pub const JSON_RPC_INTERNAL: i32 = -32603;

/// What `kind` is called.
#[must_use]
pub const fn codes(kind: Kind) -> Codes {
    use StatusCode as Http;
    match kind {
        Kind::NotFound => row(Code::NotFound, Http::NOT_FOUND, -32000, 2),
        Kind::AlreadyExists => row(Code::AlreadyExists, Http::CONFLICT, -32001, 17),
        Kind::WrongType => row(Code::FailedPrecondition, Http::CONFLICT, -32002, 20),
        Kind::NotEmpty => row(Code::FailedPrecondition, Http::CONFLICT, -32005, 39),
        Kind::InvalidArgument => row(Code::InvalidArgument, Http::BAD_REQUEST, -32005, 22),
        Kind::Unauthenticated => row(Code::Unauthenticated, Http::UNAUTHORIZED, -32003, 13),
        Kind::PermissionDenied => row(Code::PermissionDenied, Http::FORBIDDEN, -32003, 13),
        Kind::Conflict => row(Code::Aborted, Http::CONFLICT, -32006, 116),
        Kind::LimitExceeded => row(Code::ResourceExhausted, Http::PAYLOAD_TOO_LARGE, -32005, 27),
        Kind::Unsupported => row(Code::Unimplemented, Http::NOT_IMPLEMENTED, -32005, 95),
        Kind::Unavailable => row(Code::Unavailable, Http::SERVICE_UNAVAILABLE, -32603, 5),
        Kind::Corrupt => row(Code::DataLoss, Http::INTERNAL_SERVER_ERROR, -32603, 5),
    }
}

const fn row(grpc: Code, http: StatusCode, json_rpc: i32, errno: i32) -> Codes {
    Codes {
        grpc,
        http,
        json_rpc,
        errno,
    }
}

/// What `error` is called in JSON-RPC, which tells a bad path from other bad arguments.
#[must_use]
pub fn json_rpc_code(error: &Error) -> i32 {
    match error.kind() {
        Kind::InvalidArgument if blames_path(error) => JSON_RPC_INVALID_PATH,
        kind => codes(kind).json_rpc,
    }
}

/// Whether the path, or a name in it, is all that the error is about; a step of a batch only
/// says where it is.
fn blames_path(error: &Error) -> bool {
    let mut facts = error.context().iter().map(|(name, _)| *name);
    error.fact("path").is_some() && facts.all(|fact| matches!(fact, "path" | "name" | "step"))
}

#[cfg(test)]
mod tests;
