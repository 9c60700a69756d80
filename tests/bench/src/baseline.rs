//! What the machine does without Nexus.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use redb::{Database, TableDefinition};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

/// A database that commits one row durably.
pub(crate) struct OneRow(Database);

impl OneRow {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(Database::create(folder.join("baseline.redb")).expect("a fresh database"))
    }

    pub(crate) fn commit(&self, i: usize, row: &[u8]) {
        let txn = self.0.begin_write().expect("a transaction");
        txn.open_table(TABLE)
            .expect("the table")
            .insert(i as u64, row)
            .expect("a row");
        txn.commit().expect("a commit");
    }
}

/// The durable way to create a file on ext4: temporary file, fsync, rename, fsync of the
/// directory.
pub(crate) fn durable_file(folder: &Path, name: &str, content: &[u8]) {
    let temporary = folder.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary).expect("a file");
    file.write_all(content).expect("a write");
    file.sync_all().expect("an fsync");
    std::fs::rename(&temporary, folder.join(name)).expect("a rename");
    File::open(folder)
        .expect("the folder")
        .sync_all()
        .expect("an fsync");
}
