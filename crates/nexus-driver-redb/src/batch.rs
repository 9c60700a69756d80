//! Writing memtables into the file, with one flush.

use nexus_kernel::{Error, Revision};
use redb::{Database, WriteTransaction};

use crate::error;
use crate::layers::Base;
use crate::layout::{self, FACTS, RECENT, RESERVED_FACT, REVISION_FACT, ROWS, bounds};
use crate::memtable::Memtable;
use crate::recent::Ids;

/// What becomes durable together.
pub(crate) struct Batch<'a> {
    /// The oldest first.
    pub(crate) layers: &'a [&'a Memtable],
    pub(crate) ids: &'a [&'a Ids],
    pub(crate) newest: Revision,
    pub(crate) reserved: &'a Reserved,
}

/// How far readers may see before the next flush.
pub(crate) enum Reserved {
    /// As far as the file says.
    AsBefore,
    UpTo(Revision),
    /// The store is closed, and goes on with the very next revision.
    Nothing,
}

/// Why something did not become durable.
pub(crate) enum Failure {
    /// The barrier failed: nothing was written, and it may be tried again.
    Barrier(Error),
    /// The file could not be read or written; whether it was changed is not known when redb
    /// had begun to commit.
    File {
        error: redb::Error,
        committing: bool,
    },
}

impl Batch<'_> {
    /// Writes and flushes; returns what the file holds then.
    pub(crate) fn write(&self, db: &Database) -> Result<Base, Failure> {
        let txn = db.begin_write().map_err(Failure::before)?;
        self.fill(&txn).map_err(Failure::before)?;
        txn.commit().map_err(Failure::during)?;
        Base::newest(db).map_err(Failure::during)
    }

    fn fill(&self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        self.fill_rows(txn)?;
        let mut facts = txn.open_table(FACTS)?;
        facts.insert(REVISION_FACT, self.newest.0)?;
        match self.reserved {
            Reserved::AsBefore => {}
            Reserved::UpTo(revision) => drop(facts.insert(RESERVED_FACT, revision.0)?),
            Reserved::Nothing => drop(facts.remove(RESERVED_FACT)?),
        }
        if !self.ids.is_empty() {
            let mut recent = txn.open_table(RECENT)?;
            self.ids.iter().try_for_each(|ids| ids.store(&mut recent))?;
        }
        Ok(())
    }

    /// Each row once, as the newest layer has it.
    fn fill_rows(&self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        let mut rows = txn.open_table(ROWS)?;
        let mut row = Vec::new();
        let mut newer = self.layers;
        while let Some((layer, rest)) = newer.split_first() {
            newer = rest;
            for range in layer.removed().iter() {
                rows.retain_in(bounds(&range), |_, _| false)?;
            }
            for (key, value) in layer.iter() {
                if newer.iter().any(|layer| layer.get(key).is_some()) {
                    continue;
                }
                match value {
                    Some(value) => {
                        layout::encode(&mut row, value.revision, &value.bytes);
                        rows.insert(&key[..], &row[..])?;
                    }
                    None => drop(rows.remove(&key[..])?),
                }
            }
        }
        Ok(())
    }
}

impl Failure {
    pub(crate) fn before(error: impl Into<redb::Error>) -> Self {
        Self::File {
            error: error.into(),
            committing: false,
        }
    }

    fn during(error: impl Into<redb::Error>) -> Self {
        Self::File {
            error: error.into(),
            committing: true,
        }
    }

    /// What is told to each of those who waited for it.
    pub(crate) fn answer(&self) -> Error {
        match self {
            Self::Barrier(cause) => error::barrier(cause),
            Self::File {
                error,
                committing: true,
            } => error::translate(error).outcome_unknown(),
            Self::File { error, .. } => error::translate(error),
        }
    }

    /// Whether the store can go on.
    pub(crate) fn may_be_tried_again(&self) -> bool {
        matches!(self, Self::Barrier(_))
    }
}
