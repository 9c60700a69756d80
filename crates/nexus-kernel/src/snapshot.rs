//! A state of a metastore that stays, and how a store comes to have one.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Entry, Error, Page, Result, Revision, Scan};

/// One state of a [`Metastore`](crate::Metastore), readable for as long as this is held.
///
/// # Contract
///
/// * **One state.** Every scan answers from the state as of [`revision`](Self::revision), with the
///   revisions that wrote its values, whatever is committed meanwhile.
/// * **Nobody waits.** It holds up neither writers nor readers. What it keeps from being reclaimed
///   takes room on the disk or in memory, so it is for work that ends.
/// * **Ends with the store.** When the store is closed, scans answer `Unavailable`, and nothing of
///   the store stays open because of it.
///
/// # Errors
///
/// As the reads of the store it is of.
#[async_trait]
pub trait MetastoreSnapshot: Send + Sync + 'static {
    /// The state it is.
    fn revision(&self) -> Revision;

    /// One page of a range in key order. Pages have the limits of the store's own scans.
    async fn scan(&self, scan: Scan) -> Result<Page>;
}

/// Most bytes of a [`Restoring::note`].
pub const RESTORE_NOTE_BYTES_MAX: usize = 4096;

/// One step on the way of an empty store to a state that another one had, with the revisions it
/// had there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    /// Begins, in a store in which nothing was ever committed.
    Begin {
        /// The revision that the store will have come to: 1 at least.
        revision: Revision,
        /// Whatever the one who restores needs in order to go on after a crash.
        note: Bytes,
    },
    /// Stores rows, and replaces the note, together.
    Rows {
        /// In key order, all after those of the steps before, none of them of a later revision
        /// than the restore's. As many and as large as fit one transaction; none at all just
        /// replace the note.
        rows: Vec<Entry>,
        /// As in [`Begin`](Self::Begin).
        note: Bytes,
    },
    /// Ends: from now on the store serves, at the restore's revision.
    Finish,
    /// Removes all that was restored: the store is empty again.
    Abandon,
}

/// A restore that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoring {
    /// The revision that the store will have come to.
    pub revision: Revision,
    /// The last key that is stored.
    pub last_key: Option<Bytes>,
    /// The note of the last step.
    pub note: Bytes,
}

impl Restoring {
    /// Why a store in the middle of a restore serves nothing else.
    #[must_use]
    pub fn refusal() -> Error {
        Error::conflict(
            "a restore into this store was begun and not ended; go on with it from the same archive, or abandon it and begin anew",
        )
    }

    /// Why a step that goes on with a restore is refused where none has begun.
    #[must_use]
    pub fn not_begun() -> Error {
        Error::conflict("no restore into this store has begun; begin one first")
    }

    /// Why no restore begins in a store that has been used.
    #[must_use]
    pub fn not_empty(revision: Revision) -> Error {
        Error::conflict("only an empty store can be restored into; name a new one")
            .with("revision", revision)
    }

    /// Why no second restore begins.
    #[must_use]
    pub fn already_begun() -> Error {
        Error::conflict(
            "a restore into this store has begun already; go on with it, or abandon it first",
        )
    }
}
