//! What tells where contents came from, once those are gone.

use bytes::Bytes;
use nexus_kernel::{Entry, Freshness, Op, Result, Revision, Scan};

use super::inodes::NEARBY;
use super::places::newest_record;
use super::rows::Row;
use super::step::{Pass, Step};
use crate::fork::is_forked;
use crate::keys;
use crate::lineage::DerivedRecord;
use crate::records::{self, InodeRecord};

impl Pass<'_> {
    /// What a version was derived from, and what finds it from there, goes when the floor has
    /// passed the commit that made it and no state of that version is left: neither today's nor one
    /// that is pinned.
    pub(super) async fn derivations(&self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        let passed = entries.into_iter().filter_map(|entry| {
            let ino = keys::derived_inode(&entry.key);
            let at = Revision(keys::last_number(&entry.key));
            (at <= self.plan.floor).then_some((ino, at, entry))
        });
        let passed: Vec<(u64, Revision, Entry)> = passed.collect();
        // Before history is read: what ends meanwhile is found there.
        let live = self.live_records(&passed).await?;
        for ((ino, at, entry), live) in passed.into_iter().zip(live) {
            let derived: DerivedRecord = records::decode(entry.value.bytes)?;
            let version = derived.version;
            if live.is_some_and(|live| live.version == version)
                || self.has_state(ino, at, version).await?
            {
                continue;
            }
            for source in derived.sources.iter().filter(|source| source.ino != ino) {
                let found_by = keys::descendant_at(source.ino, ino, at);
                step.ops.push(Op::Delete(found_by));
            }
            step.ops.push(Op::Delete(entry.key));
        }
        Ok(())
    }

    /// Today's states of these inodes.
    async fn live_records(
        &self,
        derived: &[(u64, Revision, Entry)],
    ) -> Result<Vec<Option<InodeRecord>>> {
        if derived.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Bytes> = derived.iter().map(|(ino, ..)| keys::inode(*ino)).collect();
        let metastore = &self.zone.metastore;
        let rows = metastore.get_many(&keys, Freshness::Linearizable).await?;
        let mut live = Vec::with_capacity(rows.len());
        for ((ino, ..), row) in derived.iter().zip(rows) {
            live.push(match row {
                Some(row) if row.bytes.is_empty() => None,
                Some(row) => Some(records::decode(row.bytes)?),
                // A fork shows what it was made from without a row.
                None if is_forked(*ino) => newest_record(self.zone, *ino).await?,
                None => None,
            });
        }
        Ok(live)
    }

    /// Whether history has a state of the version that an inode got at a revision. Versions only
    /// grow.
    async fn has_state(&self, ino: u64, at: Revision, version: u64) -> Result<bool> {
        let mut after = at;
        loop {
            let scan = Scan::forward(keys::inode_history_after(ino, after), NEARBY);
            let (rows, more) = self.nearby(scan).await?;
            let of_it = |row: &&Row| row.version <= version;
            if rows.iter().take_while(of_it).any(|row| !row.is_marker) {
                return Ok(true);
            }
            match rows.last().filter(of_it) {
                Some(last) if more => after = last.end,
                _ => return Ok(false),
            }
        }
    }
}
