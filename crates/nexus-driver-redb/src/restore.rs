//! An empty file on its way to the state of another store: straight into the file, each step one
//! durable transaction of redb. A row of the table [`RESTORE`] says that it is not there yet.

use bytes::Bytes;
use nexus_kernel::{Entry, RestoreStep, Restoring, Revision};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError, WriteTransaction,
};

use crate::layout::{self, FACTS, RESTORE, REVISION_FACT, ROWS};

type Result<T, E = redb::Error> = std::result::Result<T, E>;

/// The restore that has begun and not ended.
pub(crate) fn read(txn: &ReadTransaction) -> Result<Option<Restoring>> {
    let table = match txn.open_table(RESTORE) {
        // Nothing was ever restored into this file.
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let Some((revision, note)) = table.first()? else {
        return Ok(None);
    };
    let rows = txn.open_table(ROWS)?;
    let last = rows.last()?;
    Ok(Some(Restoring {
        revision: Revision(revision.value()),
        last_key: last.map(|(key, _)| Bytes::copy_from_slice(key.value())),
        note: Bytes::copy_from_slice(note.value()),
    }))
}

/// Takes a step that was checked, durably; answers where the restore is then.
pub(crate) fn take(
    db: &Database,
    step: &RestoreStep,
    begun: Option<&Restoring>,
) -> Result<Option<Restoring>> {
    let txn = db.begin_write()?;
    let end = || begun.expect("a step is checked first").revision;
    match step {
        RestoreStep::Begin { revision, note } => set_note(&txn, *revision, note)?,
        RestoreStep::Rows { rows, note } => {
            put(&txn, rows)?;
            set_note(&txn, end(), note)?;
        }
        RestoreStep::Finish => {
            txn.open_table(FACTS)?.insert(REVISION_FACT, end().0)?;
            txn.delete_table(RESTORE)?;
        }
        RestoreStep::Abandon => {
            txn.delete_table(ROWS)?;
            txn.open_table(ROWS)?;
            txn.delete_table(RESTORE)?;
        }
    }
    txn.commit()?;
    read(&db.begin_read()?)
}

fn set_note(txn: &WriteTransaction, revision: Revision, note: &[u8]) -> Result<(), redb::Error> {
    txn.open_table(RESTORE)?.insert(revision.0, note)?;
    Ok(())
}

fn put(txn: &WriteTransaction, rows: &[Entry]) -> Result<(), redb::Error> {
    let mut table = txn.open_table(ROWS)?;
    let mut encoded = Vec::new();
    for row in rows {
        layout::encode(&mut encoded, row.value.revision, &row.value.bytes);
        table.insert(&row.key[..], &encoded[..])?;
    }
    Ok(())
}
