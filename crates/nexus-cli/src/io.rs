//! What the local disk, a pipe or a terminal said.

use std::io::ErrorKind;

use nexus_client::{Error, Kind};

/// The error for a failed read or write outside of the node. A closed pipe keeps its cause,
/// so that [`is_broken_pipe`] finds it.
pub(crate) fn io_error(what: &'static str, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::PermissionDenied => Kind::PermissionDenied,
        ErrorKind::AlreadyExists => Kind::AlreadyExists,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => Kind::WrongType,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Kind::LimitExceeded
        }
        ErrorKind::InvalidInput => Kind::InvalidArgument,
        _ => Kind::Unavailable,
    };
    Error::new(kind, what)
        .with("reason", error)
        .because(std::io::Error::from(error.kind()))
}

/// Whether the error means that whoever read our output has had enough.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
}
