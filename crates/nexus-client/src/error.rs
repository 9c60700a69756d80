//! A gRPC status as the error the node had.

use nexus_kernel::{Error, Kind};
use nexus_proto::v1::ErrorDetail;
use prost::Message;
use tonic::{Code, Status};

/// The metadata of a status that carries an [`ErrorDetail`].
const DETAIL: &str = "nexus-error-bin";

/// The error of a read.
pub(crate) fn from_status(status: Status) -> Error {
    match detail(&status) {
        Some(detail) => from_detail(&detail),
        None => from_code(status),
    }
}

/// The error of a change. If it is not the node's own answer, then nobody knows whether the
/// change was applied; unless it never left, for there was no connection.
pub(crate) fn from_status_of_change(status: Status) -> Error {
    if let Some(detail) = detail(&status) {
        return from_detail(&detail);
    }
    let lost = matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Internal
    );
    let lost = lost && !is_unsent(&status);
    let error = from_code(status);
    if lost { error.outcome_unknown() } else { error }
}

fn detail(status: &Status) -> Option<ErrorDetail> {
    let bytes = status.metadata().get_bin(DETAIL)?.to_bytes().ok()?;
    ErrorDetail::decode(bytes).ok()
}

fn from_detail(detail: &ErrorDetail) -> Error {
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == detail.kind);
    // What the node calls internal, or what only a newer one knows: it failed, not the caller.
    let mut error = Error::new(kind.unwrap_or(Kind::Unavailable), detail.message.clone());
    for fact in &detail.context {
        error = match known_fact(&fact.name) {
            Some(name) => error.with(name, &fact.value),
            None => error.with("detail", format_args!("{} {}", fact.name, fact.value)),
        };
    }
    if detail.outcome_unknown {
        error.outcome_unknown()
    } else {
        error
    }
}

fn from_code(status: Status) -> Error {
    let message = match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled if has_source(&status) => {
            "the connection to the node was lost; check that nexus-node is running and try again"
                .to_owned()
        }
        // What the transport says of a message, before the node or this client has seen it.
        Code::OutOfRange => {
            "a message is larger than the other side takes; ask for less at a time, or stream it"
                .to_owned()
        }
        Code::Unimplemented => "the node does not know this call; upgrade it".to_owned(),
        _ if status.message().is_empty() => format!("the node answered: {}", status.code()),
        _ => status.message().to_owned(),
    };
    Error::new(kind_of(status.code()), message).because(status)
}

fn is_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn has_source(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::InvalidArgument => Kind::InvalidArgument,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::Aborted | Code::FailedPrecondition => Kind::Conflict,
        Code::ResourceExhausted | Code::OutOfRange => Kind::LimitExceeded,
        Code::Unimplemented => Kind::Unsupported,
        Code::DataLoss => Kind::Corrupt,
        _ => Kind::Unavailable,
    }
}

const KINDS: [Kind; 12] = [
    Kind::NotFound,
    Kind::AlreadyExists,
    Kind::WrongType,
    Kind::NotEmpty,
    Kind::InvalidArgument,
    Kind::Unauthenticated,
    Kind::PermissionDenied,
    Kind::Conflict,
    Kind::LimitExceeded,
    Kind::Unsupported,
    Kind::Unavailable,
    Kind::Corrupt,
];

/// An error names its facts statically; these are the names a program may look for.
const FACTS: &[&str] = &[
    "action",
    "asked",
    "at",
    "attempts",
    "bytes",
    "bytes_max",
    "cause",
    "code",
    "contents_max",
    "current",
    "current_etag",
    "cursor",
    "cursors_max",
    "edit_index",
    "edits",
    "edits_max",
    "etag",
    "expected",
    "expected_etag",
    "expired",
    "expires",
    "feeds_max",
    "fences",
    "field",
    "file",
    "format",
    "from",
    "handle",
    "header",
    "hint",
    "holder",
    "id",
    "ino",
    "key",
    "key_id",
    "levels",
    "limit",
    "line",
    "loop",
    "matches_max",
    "max_age_ms",
    "mode",
    "name",
    "names_max",
    "needed",
    "newest",
    "number",
    "oldest_readable",
    "operation",
    "path",
    "pattern",
    "permits",
    "policies_max",
    "position",
    "prefix",
    "range",
    "reason",
    "request_id",
    "resource",
    "revision",
    "rights",
    "rows",
    "rows_max",
    "setting",
    "size",
    "snapshot",
    "steps",
    "tag",
    "tags",
    "tags_max",
    "to",
    "token",
    "ttl_ms",
    "version",
    "wait_ms",
    "waiters",
    "zone",
];

fn known_fact(name: &str) -> Option<&'static str> {
    FACTS.iter().copied().find(|fact| *fact == name)
}

/// The error for an answer that does not hold together.
pub(crate) fn misunderstood(what: &'static str) -> Error {
    Error::unsupported(
        "the node's answer makes no sense to this client; use a client of the node's version",
    )
    .with("reason", what)
}

#[cfg(test)]
mod tests;
