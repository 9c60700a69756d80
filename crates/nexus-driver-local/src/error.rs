//! What can go wrong inside, and how it is told outside.

use std::io;
use std::sync::Arc;

use nexus_kernel::{Error, Kind, Outcome};
use rustix::io::Errno;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// An error that many waiting callers can share.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: Kind,
    outcome: Outcome,
    message: &'static str,
    detail: Option<String>,
    cause: Option<Arc<io::Error>>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: &'static str) -> Self {
        Self {
            kind,
            outcome: Outcome::NotApplied,
            message,
            detail: None,
            cause: None,
        }
    }

    pub(crate) fn corrupt(detail: String) -> Self {
        let message =
            "the object store's folder is damaged; restore it from a backup or ask for help";
        let mut failure = Self::new(Kind::Corrupt, message);
        failure.detail = Some(detail);
        failure
    }

    /// The journal thread is gone, and with it the answer.
    pub(crate) fn stopped() -> Self {
        let message = "the object store stopped; restart the node and read before you retry";
        Self::new(Kind::Unavailable, message).outcome_unknown()
    }

    /// The device failed to flush the journal. What it holds is uncertain, so nothing more may
    /// be promised on top of it.
    pub(crate) fn flush(cause: io::Error) -> Self {
        let message =
            "the disk failed to store data; check it, restart the node and read before you retry";
        Self {
            cause: Some(Arc::new(cause)),
            ..Self::new(Kind::Unavailable, message)
        }
    }

    pub(crate) fn outcome_unknown(mut self) -> Self {
        self.outcome = Outcome::Unknown;
        self
    }

    pub(crate) fn not_applied(mut self) -> Self {
        self.outcome = Outcome::NotApplied;
        self
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        let (kind, message) = explain(&cause);
        Self {
            cause: Some(Arc::new(cause)),
            ..Self::new(kind, message)
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(failure.kind, failure.message);
        if let Some(detail) = failure.detail {
            error = error.with("detail", detail);
        }
        if failure.outcome == Outcome::Unknown {
            error = error.outcome_unknown();
        }
        match failure.cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }
}

fn explain(cause: &io::Error) -> (Kind, &'static str) {
    match Errno::from_io_error(cause) {
        Some(Errno::NOENT) => (Kind::NotFound, "no such blob; check the key"),
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => (
            Kind::LimitExceeded,
            "the object store's disk is full; free some space and try again",
        ),
        Some(Errno::MFILE | Errno::NFILE) => (
            Kind::LimitExceeded,
            "too many open files; raise the limit (ulimit -n) or lower the load",
        ),
        Some(Errno::LOOP | Errno::XDEV) => (
            Kind::Corrupt,
            "a symbolic link is inside the object store's folder; replace it by what it points to",
        ),
        _ => (
            Kind::Unavailable,
            "the object store's disk failed; check it and its permissions, then try again",
        ),
    }
}
