//! One transaction in the making: what it read, what it will write, and on what it insists.
//!
//! Steps read and change inodes, dentries and metadata through a [`Tx`]; it keeps each
//! row's state before and after. Committing turns that into guards (what was read still
//! holds), operations, history rows for what ends, and one operation record: one atomic
//! transaction of the metastore. A lost race changes nothing and the steps run again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, Guard, KeyRange, Op, Result, Revision, Timestamp, Txn,
};

use crate::cache::CachedDentry;
use crate::keys;
use crate::records::{self, ChangeRecord, DentryRecord, Ended, InodeRecord, LogRecord, unreadable};
use crate::resolve::Names;
use crate::session::Session;
use crate::view::View;
use crate::zone::Shared;

/// A row as it was and as it will be.
struct Slot<T> {
    base: Option<(T, Revision)>,
    now: Option<T>,
}

impl<T: Clone + PartialEq> Slot<T> {
    fn read(base: Option<(T, Revision)>) -> Self {
        let now = base.as_ref().map(|(record, _)| record.clone());
        Self { base, now }
    }

    fn guard(&self, key: Bytes) -> Guard {
        match &self.base {
            Some((_, revision)) => Guard::RevisionIs(key, *revision),
            None => Guard::Absent(key),
        }
    }

    fn is_changed(&self) -> bool {
        self.base.as_ref().map(|(record, _)| record) != self.now.as_ref()
    }
}

pub(crate) struct Tx<'a> {
    pub session: &'a Session,
    pub now: Timestamp,
    view: View<'a>,
    topology: Revision,
    /// A directory changes its place: paths resolved before are void.
    moves_directory: bool,
    /// The namespace is changed by path, so the path must still mean the same.
    by_path: bool,
    inodes: BTreeMap<u64, Slot<InodeRecord>>,
    dentries: BTreeMap<(u64, String), Slot<DentryRecord>>,
    metadata: BTreeMap<(u64, String), Slot<Bytes>>,
    touched: BTreeSet<u64>,
    present: BTreeSet<u64>,
    empty: BTreeSet<u64>,
    references: BTreeMap<Bytes, i64>,
    guards: Vec<Guard>,
    ops: Vec<Op>,
    changes: Vec<ChangeRecord>,
}

impl<'a> Tx<'a> {
    /// `attempt` counts from 0; later ones read past the cache.
    pub(crate) fn begin(session: &'a Session, attempt: usize) -> Self {
        let zone: &Shared = &session.zone;
        Self {
            session,
            now: zone.now(),
            view: View {
                zone,
                at: None,
                fresh: attempt > 0,
            },
            topology: Revision(zone.topology.load(Ordering::Acquire)),
            moves_directory: false,
            by_path: false,
            inodes: BTreeMap::new(),
            dentries: BTreeMap::new(),
            metadata: BTreeMap::new(),
            touched: BTreeSet::new(),
            present: BTreeSet::new(),
            empty: BTreeSet::new(),
            references: BTreeMap::new(),
            guards: Vec::new(),
            ops: Vec::new(),
            changes: Vec::new(),
        }
    }

    pub(crate) fn zone(&self) -> &'a Shared {
        &self.session.zone
    }

    pub(crate) fn view(&self) -> View<'a> {
        self.view
    }

    /// Insists that paths mean at the commit what they meant when they were resolved.
    pub(crate) fn depends_on_path(&mut self) {
        self.by_path = true;
    }

    /// Marks that a directory moves or goes, which voids paths resolved before.
    pub(crate) fn moves_directory(&mut self) {
        self.moves_directory = true;
    }

    /// An inode, insisting that it does not change until the commit.
    pub(crate) async fn inode(&mut self, ino: u64) -> Result<Option<&InodeRecord>> {
        self.load_inode(ino).await?;
        Ok(self.inodes[&ino].now.as_ref())
    }

    /// An inode that must exist, to change it.
    pub(crate) async fn inode_mut(&mut self, ino: u64) -> Result<&mut InodeRecord> {
        self.load_inode(ino).await?;
        let slot = self.inodes.get_mut(&ino).expect("just loaded");
        slot.now
            .as_mut()
            .ok_or_else(|| unreadable("inode of a name"))
    }

    /// The inode as this transaction leaves it, if it was read or made here.
    pub(crate) fn loaded_inode(&self, ino: u64) -> Option<&InodeRecord> {
        self.inodes.get(&ino)?.now.as_ref()
    }

    async fn load_inode(&mut self, ino: u64) -> Result<()> {
        if !self.inodes.contains_key(&ino) {
            let found = self.view.inode(ino).await?;
            let base = found.map(|inode| (inode.record.clone(), inode.revision));
            self.inodes.insert(ino, Slot::read(base));
        }
        Ok(())
    }

    /// Makes an inode under a fresh number.
    pub(crate) fn create_inode(&mut self, ino: u64, record: InodeRecord) {
        self.inodes.insert(
            ino,
            Slot {
                base: None,
                now: Some(record),
            },
        );
    }

    pub(crate) async fn remove_inode(&mut self, ino: u64) -> Result<()> {
        self.load_inode(ino).await?;
        self.inodes.get_mut(&ino).expect("just loaded").now = None;
        Ok(())
    }

    /// What a name points to, insisting that it does not change until the commit.
    pub(crate) async fn name(&mut self, parent: u64, name: &str) -> Result<Option<DentryRecord>> {
        let key = (parent, name.to_owned());
        if !self.dentries.contains_key(&key) {
            let base = self.view.dentry(parent, name).await?;
            self.dentries.insert(key.clone(), Slot::read(base));
        }
        Ok(self.dentries[&key].now)
    }

    /// Points a name at an inode, or removes it; the directory must exist at the commit.
    pub(crate) async fn set_name(
        &mut self,
        parent: u64,
        name: &str,
        dentry: Option<DentryRecord>,
    ) -> Result<()> {
        self.name(parent, name).await?;
        self.dentries
            .get_mut(&(parent, name.to_owned()))
            .expect("just loaded")
            .now = dentry;
        self.touched.insert(parent);
        let made_here = self
            .inodes
            .get(&parent)
            .is_some_and(|slot| slot.base.is_none());
        if !made_here {
            self.present.insert(parent);
        }
        Ok(())
    }

    /// A custom metadata value.
    pub(crate) async fn set_metadata(
        &mut self,
        ino: u64,
        key: &str,
        value: Option<Bytes>,
    ) -> Result<()> {
        let slot = (ino, key.to_owned());
        if !self.metadata.contains_key(&slot) {
            let found = self.view.get(&keys::metadata(ino, key)).await?;
            let base = found.map(|value| (value.bytes, value.revision));
            self.metadata.insert(slot.clone(), Slot::read(base));
        }
        self.metadata.get_mut(&slot).expect("just loaded").now = value;
        Ok(())
    }

    /// Insists that a directory has no entries.
    pub(crate) fn must_be_empty(&mut self, dir: u64) {
        self.empty.insert(dir);
    }

    /// Names in a directory that this transaction itself has added or removed.
    pub(crate) fn pending_names(&self, dir: u64) -> impl Iterator<Item = (&str, bool)> {
        let range = (dir, String::new())..(dir + 1, String::new());
        self.dentries
            .range(range)
            .map(|((_, name), slot)| (name.as_str(), slot.now.is_some()))
    }

    /// Adds to the reference count under `key`.
    pub(crate) fn refer(&mut self, key: Bytes, delta: i64) {
        *self.references.entry(key).or_default() += delta;
    }

    pub(crate) fn require(&mut self, guard: Guard) {
        self.guards.push(guard);
    }

    pub(crate) fn also(&mut self, op: Op) {
        self.ops.push(op);
    }

    pub(crate) fn record(&mut self, change: ChangeRecord) -> &mut ChangeRecord {
        self.changes.push(change);
        self.changes.last_mut().expect("just pushed")
    }

    /// Commits; `None` after a lost race.
    pub(crate) async fn commit(mut self, durability: Durability) -> Result<Option<Committed>> {
        let (txn, guards) = self.assemble(durability);
        if txn.ops.is_empty() {
            return Ok(Some(Committed::new(
                self.zone().revision().await?,
                self.inodes,
            )));
        }
        let limits = self.zone().metastore.limits();
        if txn.ops.len() + txn.guards.len() > limits.txn_items_max {
            return Err(
                Error::limit("one change touches too much to be atomic; do it in parts")
                    .with("rows", txn.ops.len())
                    .with("rows_max", limits.txn_items_max),
            );
        }
        match self.zone().metastore.commit(txn).await? {
            Commit::Applied(revision) => {
                self.update_cache(revision);
                self.zone().counters.commits.fetch_add(1, Ordering::Relaxed);
                Ok(Some(Committed::new(revision, self.inodes)))
            }
            Commit::Conflict { guard } => {
                self.zone().counters.retries.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(guard = ?guards.get(guard), "lost a race, trying again");
                self.refresh_topology().await?;
                Ok(None)
            }
        }
    }

    async fn refresh_topology(&self) -> Result<()> {
        let found = self
            .view
            .get(keys::TOPOLOGY)
            .await?
            .ok_or_else(|| unreadable("topology"))?;
        self.zone()
            .topology
            .fetch_max(found.revision.0, Ordering::AcqRel);
        Ok(())
    }

    fn assemble(&mut self, durability: Durability) -> (Txn, Vec<Guard>) {
        let mut txn = Txn {
            durability,
            ..Txn::default()
        };
        std::mem::swap(&mut txn.guards, &mut self.guards);
        std::mem::swap(&mut txn.ops, &mut self.ops);
        self.assemble_inodes(&mut txn);
        self.assemble_dentries(&mut txn);
        self.assemble_metadata(&mut txn);
        self.assemble_references(&mut txn);
        if txn.ops.is_empty() {
            return (txn, Vec::new());
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
            let record = self.log_record();
            txn.ops
                .push(Op::PutStamped(keys::log_prefix(), records::encode(&record)));
        }
        let guards = if tracing::enabled!(tracing::Level::DEBUG) {
            txn.guards.clone()
        } else {
            vec![]
        };
        (txn, guards)
    }

    fn assemble_inodes(&mut self, txn: &mut Txn) {
        for (ino, slot) in &self.inodes {
            let key = keys::inode(*ino);
            if slot.base.is_some() || slot.now.is_some() {
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
                None => txn.ops.push(Op::Delete(key)),
            }
            if slot.now.is_none() && self.touched.remove(ino) | was_directory(slot) {
                txn.ops.push(Op::Delete(keys::directory_time(*ino)));
            }
        }
    }

    fn assemble_dentries(&self, txn: &mut Txn) {
        for dir in &self.present {
            if !self.inodes.contains_key(dir) {
                txn.guards.push(Guard::Present(keys::inode(*dir)));
            }
        }
        for dir in &self.empty {
            txn.guards.extend(self.empty_around_pending(*dir));
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
                None => txn.ops.push(Op::Delete(key)),
            }
        }
        for dir in &self.touched {
            let time = Bytes::copy_from_slice(&self.now.0.to_be_bytes());
            txn.ops.push(Op::Max(keys::directory_time(*dir), time));
        }
    }

    /// Guards that a directory holds nothing but the names this transaction has in hand.
    fn empty_around_pending(&self, dir: u64) -> Vec<Guard> {
        let mut rest = keys::dentries(dir, None);
        let mut guards = Vec::new();
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

    fn assemble_metadata(&self, txn: &mut Txn) {
        for ((ino, name), slot) in &self.metadata {
            let key = keys::metadata(*ino, name);
            txn.guards.push(slot.guard(key.clone()));
            if !slot.is_changed() {
                continue;
            }
            if let Some((value, since)) = &slot.base {
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

    fn assemble_references(&self, txn: &mut Txn) {
        for (key, delta) in self.references.iter().filter(|(_, delta)| **delta != 0) {
            txn.ops.push(Op::Add(key.clone(), *delta));
        }
    }

    fn log_record(&mut self) -> LogRecord {
        let context = &self.session.context;
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        LogRecord {
            time: self.now.0,
            actor: self.session.actor(),
            on_behalf_of: text(&context.on_behalf_of),
            key_id: context.principal.key_id.clone(),
            session: text(&context.session),
            request_id: text(&context.request_id),
            changes: std::mem::take(&mut self.changes),
        }
    }

    fn update_cache(&mut self, revision: Revision) {
        let zone = self.zone();
        if self.moves_directory {
            zone.topology.fetch_max(revision.0, Ordering::AcqRel);
        }
        for ((parent, name), slot) in &self.dentries {
            if slot.is_changed() {
                zone.cache.commit_dentry(revision, *parent, name, slot.now);
            }
        }
        for (ino, slot) in &self.inodes {
            if slot.is_changed() {
                zone.cache.commit_inode(revision, *ino, slot.now.clone());
            }
        }
        for dir in &self.touched {
            zone.cache.commit_time(revision, *dir, self.now.0);
        }
    }
}

impl Names for Tx<'_> {
    async fn dentry(&self, parent: u64, name: &str) -> Result<CachedDentry> {
        match self.dentries.get(&(parent, name.to_owned())) {
            Some(slot) => Ok(slot.now.map(|record| (record, Revision::ZERO))),
            None => self.view.dentry(parent, name).await,
        }
    }

    async fn link_target(&self, ino: u64) -> Result<String> {
        match self.inodes.get(&ino).and_then(|slot| slot.now.as_ref()) {
            Some(record) => Ok(String::from_utf8_lossy(&record.inline).into_owned()),
            None => self.view.link_target(ino).await,
        }
    }
}

fn was_directory(slot: &Slot<InodeRecord>) -> bool {
    slot.base
        .as_ref()
        .is_some_and(|(record, _)| record.is_dir())
}

fn ended(prefix: Bytes, since: Revision, record: Bytes) -> Op {
    Op::PutStamped(
        prefix,
        records::encode(&Ended {
            since: since.0,
            record,
        }),
    )
}

/// What a commit left behind.
pub(crate) struct Committed {
    pub revision: Revision,
    inodes: BTreeMap<u64, (InodeRecord, Revision)>,
}

impl Committed {
    fn new(revision: Revision, slots: BTreeMap<u64, Slot<InodeRecord>>) -> Self {
        let inodes = slots.into_iter().filter_map(|(ino, slot)| {
            let unchanged = slot.base.as_ref().filter(|_| !slot.is_changed());
            let since = unchanged.map_or(revision, |(_, since)| *since);
            Some((ino, (slot.now?, since)))
        });
        Self {
            revision,
            inodes: inodes.collect(),
        }
    }

    /// An inode as the commit left it, with the revision that wrote it.
    pub(crate) fn inode(&self, ino: u64) -> Option<&(InodeRecord, Revision)> {
        self.inodes.get(&ino)
    }
}
