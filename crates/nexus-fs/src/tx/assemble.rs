//! What a transaction read and wrote, as guards and operations of the metastore.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Durability, Guard, Op, Result, Revision, Txn};

use super::{Manifest, Slot, Tx};
use crate::etag::Etag;
use crate::fork::{WHITEOUT, is_forked};
use crate::keys;
use crate::log;
use crate::records::{self, Ended, InodeRecord, LogRecord, place};
use crate::zone::newest_format;

impl Tx<'_> {
    /// The transaction, without operations if there is nothing to change.
    pub(super) fn assemble(&mut self, durability: Durability) -> Result<Txn> {
        let mut txn = Txn {
            durability,
            ops: std::mem::take(&mut self.ops),
            guards: std::mem::take(&mut self.guards),
            ..Txn::default()
        };
        self.assemble_inodes(&mut txn);
        self.assemble_dentries(&mut txn);
        self.assemble_other_names(&mut txn);
        self.assemble_metadata(&mut txn);
        self.assemble_forked(&mut txn);
        self.assemble_contents(&mut txn)?;
        self.assemble_lineage(&mut txn);
        if txn.ops.is_empty() {
            return Ok(txn);
        }
        let topology = Bytes::from_static(keys::TOPOLOGY);
        if self.by_path || self.moves_directory {
            txn.guards
                .push(Guard::RevisionIs(topology.clone(), self.topology));
        }
        if self.moves_directory {
            txn.ops.push(Op::Put(topology, Bytes::new()));
        }
        if !self.changes.is_empty() {
            self.assemble_log(&mut txn)?;
        }
        Ok(txn)
    }

    fn assemble_log(&mut self, txn: &mut Txn) -> Result<()> {
        let zone = self.zone();
        let record = self.log_record();
        let rows = log::split(record, zone.metastore.limits().value_bytes_max);
        let rows = rows.map_err(|too_long| {
            self.too_large()
                .with("record_bytes", too_long.bytes)
                .with("record_bytes_max", too_long.bytes_max)
        })?;
        if rows.len() > 1 {
            txn.ops.push(newest_format(zone.config.hash));
        }
        for (row, value) in (0..).zip(rows) {
            let key = match row {
                0 => keys::log_prefix(),
                row => keys::log_more(row),
            };
            txn.ops.push(Op::PutStamped(key, value));
        }
        if let Some(session) = &self.session.context.session {
            let index = keys::session_log(session);
            txn.ops.push(Op::PutStamped(index, Bytes::new()));
        }
        Ok(())
    }

    fn assemble_inodes(&mut self, txn: &mut Txn) {
        for (ino, slot) in &self.inodes {
            let key = keys::inode(*ino);
            if slot.base.is_some() || slot.now.is_some() || slot.row.is_some() {
                txn.guards.push(slot.guard(key.clone()));
            }
            if !slot.is_changed() {
                continue;
            }
            if let Some((record, since)) = &slot.base {
                txn.ops.push(ended(
                    keys::inode_history(*ino),
                    *since,
                    records::encode(record),
                ));
            }
            match &slot.now {
                Some(record) => txn.ops.push(Op::Put(key, records::encode(record))),
                None => txn.ops.push(removed(*ino, key)),
            }
            if slot.now.is_none() && was_directory(slot) {
                txn.ops.push(Op::Delete(keys::directory_time(*ino)));
                if is_forked(*ino) {
                    txn.ops.push(Op::Delete(keys::names_of_fork(*ino)));
                }
            }
        }
        let inodes = &self.inodes;
        self.touched
            .retain(|dir| inodes.get(dir).is_none_or(|slot| slot.now.is_some()));
    }

    fn assemble_dentries(&self, txn: &mut Txn) {
        for dir in &self.present {
            txn.guards.extend(self.directory_guard(*dir));
        }
        for dir in &self.empty {
            txn.guards.extend(self.empty_around_known(*dir));
        }
        for ((parent, name), slot) in &self.dentries {
            let key = keys::dentry(*parent, name);
            txn.guards.push(slot.guard(key.clone()));
            if !slot.is_changed() {
                continue;
            }
            if let Some((record, since)) = &slot.base {
                let history = keys::dentry_history(*parent, name);
                txn.ops
                    .push(ended(history, *since, records::encode(record)));
            }
            match &slot.now {
                Some(record) => txn.ops.push(Op::Put(key, records::encode(record))),
                None => txn.ops.push(removed(*parent, key)),
            }
        }
        for dir in &self.timed {
            let key = keys::directory_time(*dir);
            txn.ops.push(match is_forked(*dir) {
                // Without a row, it would be that of the fork.
                true => Op::Put(key, Bytes::copy_from_slice(&0_i64.to_be_bytes())),
                false => Op::Delete(key),
            });
        }
        for dir in &self.touched {
            let time = Bytes::copy_from_slice(&self.now.0.to_be_bytes());
            txn.ops.push(Op::Max(keys::directory_time(*dir), time));
        }
    }

    /// Insists on a directory in which names are changed, where its own row does not do that.
    fn directory_guard(&self, dir: u64) -> Option<Guard> {
        let key = keys::inode(dir);
        match self.inodes.get(&dir) {
            None => Some(Guard::Present(key)),
            Some(slot) if slot.base.is_some() || slot.now.is_some() => None,
            // It has just gone. In a fork a whiteout is left of it.
            Some(_) if is_forked(dir) => Some(Guard::Absent(key)),
            Some(_) => Some(Guard::Present(key)),
        }
    }

    fn assemble_metadata(&self, txn: &mut Txn) {
        for ((ino, name), slot) in &self.metadata {
            let key = keys::metadata(*ino, name);
            txn.guards.push(slot.guard(key.clone()));
            if !slot.is_changed() {
                continue;
            }
            if let Some((value, since)) = slot.base.as_ref().filter(|_| slot.row.is_some()) {
                txn.ops.push(ended(
                    keys::metadata_history(*ino, name),
                    *since,
                    value.clone(),
                ));
            }
            let index = keys::metadata_index(name, *ino);
            match &slot.now {
                Some(value) => {
                    txn.ops.push(Op::Put(key, value.clone()));
                    txn.ops.push(Op::Put(index, Bytes::new()));
                }
                None => txn.ops.extend([Op::Delete(key), Op::Delete(index)]),
            }
        }
    }

    fn assemble_other_names(&self, txn: &mut Txn) {
        for ((ino, parent, name), there) in &self.other_names {
            let key = keys::extra_name(*ino, *parent, name);
            if *there {
                txn.ops.push(Op::Put(key, Bytes::new()));
            } else {
                let former = keys::former_name(*ino, *parent, name);
                txn.ops
                    .extend([Op::Delete(key), Op::Put(former, Bytes::new())]);
            }
        }
    }

    /// Counts each content that this transaction leaves in a file once, and adds the
    /// manifests of those that have none yet.
    fn assemble_contents(&self, txn: &mut Txn) -> Result<()> {
        let mut counts: BTreeMap<Bytes, i64> = BTreeMap::new();
        let mut manifests: BTreeSet<&Bytes> = BTreeSet::new();
        for record in self.inodes.values().flat_map(Slot::new_contents) {
            let Some(etag) = record.stored_content()? else {
                continue;
            };
            if record.place == place::CHUNKS {
                manifests.insert(&record.etag);
                *counts.entry(keys::manifest_references(&etag)).or_default() += 1;
            } else {
                *counts.entry(keys::references(&etag)).or_default() += 1;
            }
        }
        for etag in manifests {
            if let Some(manifest) = self.manifests.get(etag) {
                assemble_manifest(&Etag::from_bytes(etag)?, manifest, txn, &mut counts)?;
            }
        }
        let adds = counts.into_iter().map(|(key, delta)| Op::Add(key, delta));
        txn.ops.extend(adds);
        Ok(())
    }

    fn log_record(&mut self) -> LogRecord {
        let context = &self.session.context;
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        let about = self
            .operation
            .as_mut()
            .map(|(_, about)| std::mem::take(about));
        LogRecord {
            time: self.now.0,
            actor: self.session.actor(),
            on_behalf_of: text(&context.on_behalf_of),
            key_id: context.principal.key_id.clone(),
            session: text(&context.session),
            program: text(&context.program),
            request_id: text(&context.request_id),
            changes: std::mem::take(&mut self.changes),
            operation: self.operation.as_ref().map(|(name, _)| (*name).to_owned()),
            about: about.unwrap_or_default(),
            partly: self.partly,
            more_rows: 0,
        }
    }
}

/// What takes a row away; in a fork a whiteout, for what the origin has does not come back.
fn removed(ino: u64, key: Bytes) -> Op {
    match is_forked(ino) {
        true => Op::Put(key, WHITEOUT),
        false => Op::Delete(key),
    }
}

fn was_directory(slot: &Slot<InodeRecord>) -> bool {
    slot.base
        .as_ref()
        .is_some_and(|(record, _)| record.is_dir())
}

fn ended(prefix: Bytes, since: Revision, record: Bytes) -> Op {
    Op::PutStamped(prefix, records::encode(&Ended::new(since, record)))
}

fn assemble_manifest(
    etag: &Etag,
    manifest: &Manifest,
    txn: &mut Txn,
    counts: &mut BTreeMap<Bytes, i64>,
) -> Result<()> {
    let first = keys::manifest_page(etag, 0);
    let Manifest::New(pages) = manifest else {
        txn.guards.push(Guard::Present(first));
        return Ok(());
    };
    txn.guards.push(Guard::Absent(first));
    for (offset, page) in pages {
        let key = keys::manifest_page(etag, *offset);
        txn.ops.push(Op::Put(key, records::encode(page)));
        for chunk in &page.chunks {
            let key = keys::references(&Etag::from_bytes(&chunk.etag)?);
            *counts.entry(key).or_default() += 1;
        }
    }
    Ok(())
}
