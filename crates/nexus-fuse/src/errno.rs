//! What an error is called here: the one table.

use fuser::Errno;
use nexus_kernel::{Error, Kind};

/// The number for `error`. Kinds that Linux tells apart further go by the facts of the error.
pub(crate) fn errno(error: &Error) -> Errno {
    let has = |fact| error.fact(fact).is_some();
    match error.kind() {
        Kind::NotFound if has("key") => Errno::ENODATA,
        Kind::NotFound => Errno::ENOENT,
        Kind::AlreadyExists => Errno::EEXIST,
        Kind::WrongType if error.fact("expected") == Some("file") => Errno::EISDIR,
        Kind::WrongType => Errno::ENOTDIR,
        Kind::NotEmpty => Errno::ENOTEMPTY,
        Kind::InvalidArgument => Errno::EINVAL,
        Kind::Unauthenticated | Kind::PermissionDenied => Errno::EACCES,
        Kind::Conflict => Errno::ESTALE,
        Kind::LimitExceeded if has("loop") => Errno::ELOOP,
        Kind::LimitExceeded if has("names_max") => Errno::EMLINK,
        Kind::LimitExceeded if has("size") || has("bytes_max") => Errno::EFBIG,
        Kind::LimitExceeded if has("bytes") || has("levels") => Errno::ENAMETOOLONG,
        Kind::LimitExceeded => Errno::ENOSPC,
        Kind::Unsupported if has("read_only") => Errno::EROFS,
        Kind::Unsupported => Errno::EOPNOTSUPP,
        Kind::Unavailable | Kind::Corrupt => Errno::EIO,
    }
}

#[cfg(test)]
mod tests;
