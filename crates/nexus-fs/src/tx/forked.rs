//! What a transaction has to know of forks: what is there without a row, and what has to be
//! written with the first change of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Guard, KeyRange, Op, Result, Revision, Txn};

use super::{Slot, Tx};
use crate::cache::CachedDentry;
use crate::fork::{WHITEOUT, is_forked, part_of};
use crate::keys;
use crate::records::{self, DentryRecord, InodeRecord, kind_code};
use crate::types::FileKind;

#[derive(Default)]
pub(super) struct Forked {
    /// The names beyond the first of files that a fork shows with several.
    pub names: BTreeMap<u64, Vec<(u64, String)>>,
    /// What a fork shows of the metadata of inodes; none of one that has rows of its own for it.
    metadata: BTreeMap<u64, Option<BTreeMap<String, Bytes>>>,
    /// Of the forks into which names of this transaction lead.
    pins: BTreeSet<Bytes>,
    /// Files that may outlive what their fork is made from, so they get rows of their own for all
    /// that it shows of them.
    leaving: BTreeSet<u64>,
}

impl Tx<'_> {
    /// An inode as it was read, and whether it has a row.
    pub(super) async fn inode_slot(
        &mut self,
        ino: u64,
        base: Option<(InodeRecord, Revision)>,
    ) -> Result<Slot<InodeRecord>> {
        if !is_forked(ino) {
            return Ok(Slot::read(base));
        }
        let key = keys::inode(ino);
        let since = base.as_ref().map(|(_, since)| *since);
        let row = self.row_of(ino, &key, since).await?;
        let slot = Slot::forked(base, row);
        if let Some(record) = slot.shown().filter(|it| it.links > 1 && !it.is_dir()) {
            let names = self.view.names_of(ino, record).await?;
            self.forked
                .names
                .insert(ino, names.into_iter().skip(1).collect());
        }
        Ok(slot)
    }

    pub(super) async fn dentry_slot(
        &self,
        (parent, name): &(u64, String),
        base: CachedDentry,
    ) -> Result<Slot<DentryRecord>> {
        if !is_forked(*parent) {
            return Ok(Slot::read(base));
        }
        let key = keys::dentry(*parent, name);
        let since = base.map(|(_, since)| since);
        let row = self.row_of(*parent, &key, since).await?;
        Ok(Slot::forked(base, row))
    }

    /// The commit that wrote the row of what was read, or its whiteout.
    async fn row_of(
        &self,
        ino: u64,
        key: &Bytes,
        since: Option<Revision>,
    ) -> Result<Option<Revision>> {
        if let Some(since) = since {
            let shown = self.view.is_shown(ino, since).await?;
            return Ok(Some(since).filter(|_| !shown));
        }
        // What came in between is no whiteout: then the guard that there is none will fail.
        let row = self.view.get(key).await?;
        let whiteout = row.filter(|row| row.bytes == WHITEOUT);
        Ok(whiteout.map(|row| row.revision))
    }

    /// What a fork shows of the metadata of an inode that has no rows of its own for it.
    pub(super) async fn shown_metadata(
        &mut self,
        ino: u64,
    ) -> Result<Option<&BTreeMap<String, Bytes>>> {
        if !is_forked(ino) {
            return Ok(None);
        }
        if !self.forked.metadata.contains_key(&ino) {
            let shown = self.view.shown_metadata(ino).await?;
            self.forked.metadata.insert(ino, shown);
        }
        Ok(self.forked.metadata[&ino].as_ref())
    }

    /// Notes that a name leads into a fork from outside it: what the fork is made from has to
    /// stay readable.
    pub(super) async fn lead_into_fork(&mut self, parent: u64, dentry: DentryRecord) -> Result<()> {
        let ino = dentry.ino;
        if part_of(parent) == part_of(ino) || !is_forked(ino) {
            return Ok(());
        }
        if dentry.kind != kind_code(FileKind::Directory) {
            self.outlives_fork(ino).await?;
        }
        let Some(part) = self.zone().part(part_of(ino)).await? else {
            return Ok(());
        };
        for (revision, pin) in self.zone().pins_of_fork(&part).await? {
            if self.forked.pins.insert(pin.clone()) {
                self.hold_revision(revision, pin).await?;
            }
        }
        Ok(())
    }

    /// Notes that a file may be there when its fork and what that is made from have gone: it has a
    /// name outside, or none and is open.
    pub(super) async fn outlives_fork(&mut self, ino: u64) -> Result<()> {
        if self.shown_metadata(ino).await?.is_some() {
            self.forked.leaving.insert(ino);
        }
        Ok(())
    }

    /// Insists that no other changes names in a directory of a fork from here on. Of a directory
    /// there may be more whiteouts than one commit can insist on.
    pub(crate) async fn watch_names(&mut self, dir: u64) -> Result<()> {
        let key = keys::names_of_fork(dir);
        let row = self.view.get(&key).await?;
        self.insist(match row {
            Some(row) => Guard::RevisionIs(key, row.revision),
            None => Guard::Absent(key),
        });
        Ok(())
    }

    /// Guards that a directory outside of forks holds nothing but the names that this transaction
    /// has in hand.
    pub(super) fn empty_around_known(&self, dir: u64) -> Vec<Guard> {
        let mut rest = keys::dentries(dir, None);
        let mut guards = Vec::new();
        // Those have guards of their own.
        for (name, _) in self.pending_names(dir) {
            let gap = KeyRange {
                start: rest.start,
                end: keys::dentry(dir, name),
            };
            rest.start = keys::dentries(dir, Some(name)).start;
            guards.push(Guard::RangeEmpty(gap));
        }
        guards.push(Guard::RangeEmpty(rest));
        guards
    }

    /// Tells those who watch names that some change here.
    fn assemble_watched_names(&self, txn: &mut Txn) {
        let changed = self.dentries.iter().filter(|(_, slot)| slot.is_changed());
        let mut last = None;
        for ((dir, _), _) in changed.filter(|((dir, _), _)| is_forked(*dir)) {
            let goes = { self.inodes.get(dir) }.is_some_and(|slot| slot.now.is_none());
            if last != Some(*dir) && !goes {
                let row = keys::names_of_fork(*dir);
                txn.ops.push(Op::Put(row, Bytes::new()));
            }
            last = Some(*dir);
        }
    }

    /// Adds what the first change of what a fork shows brings with it, and keeps the names that
    /// lead from one part into another.
    pub(super) fn assemble_forked(&mut self, txn: &mut Txn) {
        self.assemble_shown_names(txn);
        self.assemble_shown_metadata(txn);
        self.assemble_watched_names(txn);
        let mut files_come = false;
        for ((parent, name), slot) in self.dentries.iter().filter(|(_, slot)| slot.is_changed()) {
            let crosses = |dentry: &DentryRecord| part_of(dentry.ino) != part_of(*parent);
            let before = slot.base.map(|(dentry, _)| dentry).filter(crosses);
            let now = slot.now.filter(crosses);
            if before.is_none() && now.is_none() {
                continue;
            }
            // A fork that is being made must know of all of them.
            if let Some(dentry) = now {
                let is_dir = dentry.kind == kind_code(FileKind::Directory);
                self.moves_directory |= is_dir;
                files_come |= !is_dir;
            }
            let key = |dentry: DentryRecord| keys::border(part_of(dentry.ino), *parent, name);
            txn.ops.extend(before.map(|dentry| Op::Delete(key(dentry))));
            let put = now.map(|dentry| Op::Put(key(dentry), records::encode(&dentry)));
            txn.ops.extend(put);
        }
        if files_come {
            let crossed = Bytes::from_static(keys::FILES_CROSSED);
            txn.ops.push(Op::Put(crossed, Bytes::new()));
        }
    }

    /// A file that gets a row gets rows for its further names.
    fn assemble_shown_names(&self, txn: &mut Txn) {
        for (ino, names) in &self.forked.names {
            let changed = self.inodes.get(ino).filter(|slot| slot.is_changed());
            let there = changed.is_some_and(|slot| slot.now.is_some());
            for (parent, name) in names.iter().filter(|_| there) {
                let decided = self.other_names.get(&(*ino, *parent, name.clone()));
                if decided.is_none() {
                    let key = keys::extra_name(*ino, *parent, name);
                    txn.ops.push(Op::Put(key, Bytes::new()));
                }
            }
        }
    }

    /// An inode that gets a row for its metadata gets rows for all of it.
    fn assemble_shown_metadata(&self, txn: &mut Txn) {
        for (ino, shown) in &self.forked.metadata {
            let Some(shown) = shown else { continue };
            let own = keys::own_metadata(*ino);
            let slots = || {
                self.metadata
                    .range((*ino, String::new())..(ino + 1, String::new()))
            };
            let leaves = self.forked.leaving.contains(ino);
            if leaves || slots().next().is_some() {
                txn.guards.push(Guard::Absent(own.clone()));
            }
            if !leaves && !slots().any(|(_, slot)| slot.is_changed()) {
                continue;
            }
            txn.ops.push(Op::Put(own, Bytes::new()));
            for (key, value) in shown {
                let slot = self.metadata.get(&(*ino, key.clone()));
                if slot.is_none_or(|slot| !slot.is_changed()) {
                    txn.ops
                        .push(Op::Put(keys::metadata(*ino, key), value.clone()));
                    txn.ops
                        .push(Op::Put(keys::metadata_index(key, *ino), Bytes::new()));
                }
            }
        }
    }
}
