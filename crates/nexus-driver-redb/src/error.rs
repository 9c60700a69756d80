//! What redb says, in the kernel's words.

use std::io::{self, ErrorKind};

use nexus_kernel::Error;

/// An error of the open database.
pub(crate) fn storage(error: impl Into<redb::Error>) -> Error {
    translate(&error.into())
}

/// As [`storage`], for an error that is told to several callers.
pub(crate) fn translate(error: &redb::Error) -> Error {
    let answer = match error {
        redb::Error::Corrupted(_) => corrupt(),
        redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. } => {
            Error::corrupt("the file is no metastore of Nexus; choose another path")
        }
        redb::Error::Io(error) => return io(error),
        _ => failed(),
    };
    answer.because(error.to_string())
}

/// An error of the operating system.
pub(crate) fn io(error: &io::Error) -> Error {
    let answer = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::limit("the disk is full; free some space, then restart the node")
        }
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => corrupt(),
        _ => failed(),
    };
    answer.because(error.to_string())
}

/// An error while the database is opened.
pub(crate) fn opening(error: redb::DatabaseError) -> Error {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => in_use(),
        redb::DatabaseError::UpgradeRequired(_) => newer_or_older(),
        other => storage(other),
    }
}

pub(crate) fn in_use() -> Error {
    Error::unavailable(
        "the data folder is in use by another node; stop that node, or choose another folder",
    )
}

pub(crate) fn newer_or_older() -> Error {
    Error::unsupported(
        "the metastore file has a format that this version cannot read; open it with the version that wrote it, or a newer one",
    )
}

pub(crate) fn closed() -> Error {
    Error::unavailable("the metastore is closed; open it again")
}

/// Refuses a transaction while there is little room left.
pub(crate) fn nearly_full(reserve: u64) -> Error {
    Error::limit("the disk is nearly full; free some space, then try again")
        .with("bytes kept free", reserve)
}

pub(crate) fn corrupt() -> Error {
    Error::corrupt("the metastore file is damaged; restore it from a backup")
}

/// A flush whose barrier failed.
pub(crate) fn barrier(cause: &Error) -> Error {
    Error::unavailable(
        "what the change refers to cannot be made durable; check the object store, then try again",
    )
    .because(format!("{cause:?}"))
}

fn failed() -> Error {
    Error::unavailable(
        "the metastore file cannot be read or written; check the disk, then restart the node",
    )
}
