//! One transaction in the making: what it read, what it will write, and on what it insists.
//!
//! Steps read and change inodes, dentries and metadata through a [`Tx`]; it keeps each
//! row's state before and after. Committing turns that into guards (what was read still
//! holds), operations, history rows for what ends, and one operation record: one atomic
//! transaction of the metastore. A lost race changes nothing and the steps run again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_kernel::{Guard, Op, Result, Revision, Timestamp};
use parking_lot::Mutex;

use crate::cache::CachedDentry;
use crate::content::Pinned;
use crate::fork::is_forked;
use crate::handles::Removal;
use crate::keys;
use crate::records::{ChangeRecord, DentryRecord, InodeRecord, ManifestPage, unreadable};
use crate::resolve::Names;
use crate::session::Session;
use crate::steps::KEYS_MAX;
use crate::undo::Regrown;
use crate::view::{Child, View};
use crate::zone::Shared;

mod assemble;
mod commit;
mod forked;
mod lineage;
mod preload;

pub(crate) use commit::Committed;
use forked::Forked;
use lineage::Derived;

/// A row as it was and as it will be.
struct Slot<T> {
    base: Option<(T, Revision)>,
    /// The commit that wrote the row, if there is one. In a fork there can be something without a
    /// row, which the origin has, and a row without anything.
    row: Option<Revision>,
    now: Option<T>,
}

impl<T: Clone + PartialEq> Slot<T> {
    fn read(base: Option<(T, Revision)>) -> Self {
        let row = base.as_ref().map(|(_, revision)| *revision);
        Self::forked(base, row)
    }

    fn forked(base: Option<(T, Revision)>, row: Option<Revision>) -> Self {
        let now = base.as_ref().map(|(record, _)| record.clone());
        Self { base, row, now }
    }

    fn guard(&self, key: Bytes) -> Guard {
        match self.row {
            Some(revision) => Guard::RevisionIs(key, revision),
            None => Guard::Absent(key),
        }
    }

    /// What it was, if a fork showed it without a row.
    fn shown(&self) -> Option<&T> {
        let base = self.base.as_ref().filter(|_| self.row.is_none());
        base.map(|(record, _)| record)
    }

    fn is_changed(&self) -> bool {
        self.base.as_ref().map(|(record, _)| record) != self.now.as_ref()
    }
}

impl Slot<InodeRecord> {
    /// The states of the inode that get rows with a content of which no row was before: the new
    /// one, and the one that a fork showed and that becomes history.
    fn new_contents(&self) -> impl Iterator<Item = &InodeRecord> {
        let before = self.base.as_ref().map(|(record, _)| record.version);
        let now = self.now.as_ref();
        let now = now.filter(|record| Some(record.version) != before);
        now.into_iter()
            .chain(self.shown().filter(|_| self.is_changed()))
    }
}

/// The list of chunks of a content that a step has placed.
enum Manifest {
    /// The store has it already.
    Stored,
    /// Each page with the offset of its first byte.
    New(Vec<(u64, ManifestPage)>),
}

pub(crate) struct Tx<'a> {
    pub session: &'a Session,
    pub now: Timestamp,
    view: View<'a>,
    topology: Revision,
    /// A directory changes its place: paths resolved before are void.
    moves_directory: bool,
    /// A tree is detached, to be cleared away after the commit.
    detaches: bool,
    /// A name was read whose inode then was not there: another commit came in between.
    torn: bool,
    /// The namespace is changed by path, so the path must still mean the same.
    by_path: bool,
    /// Names as they were first looked up. One that is then changed is insisted on as it was
    /// when its path was resolved, which is what the change was decided on.
    looked_up: Mutex<BTreeMap<(u64, String), CachedDentry>>,
    inodes: BTreeMap<u64, Slot<InodeRecord>>,
    dentries: BTreeMap<(u64, String), Slot<DentryRecord>>,
    metadata: BTreeMap<(u64, String), Slot<Bytes>>,
    /// The metadata keys of inodes, as this transaction leaves them, once they were asked for.
    metadata_keys: BTreeMap<u64, BTreeSet<String>>,
    touched: BTreeSet<u64>,
    /// Directories that are given a time: when they were touched before counts no more.
    timed: BTreeSet<u64>,
    present: BTreeSet<u64>,
    empty: BTreeSet<u64>,
    /// Names of inodes beyond their first, by inode, directory and name: added or removed.
    other_names: BTreeMap<(u64, u64, String), bool>,
    /// By etag.
    manifests: BTreeMap<Bytes, Manifest>,
    pinned: Vec<Arc<Pinned>>,
    removals: Vec<Removal>,
    /// Inodes that lose their last name and are open.
    orphans: Vec<u64>,
    /// What contents come from, by inode.
    derived: BTreeMap<u64, Derived>,
    ops: Vec<Op>,
    /// What is insisted on besides the rows that were read.
    guards: Vec<Guard>,
    forked: Forked,
    changes: Vec<ChangeRecord>,
    /// It may be committed although the request's fences do not hold.
    unfenced: bool,
    /// What the commit is as a whole, and the revisions it is about.
    operation: Option<(&'static str, Vec<u64>)>,
    partly: bool,
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
                regrown: None,
            },
            topology: Revision(zone.topology.load(Ordering::Acquire)),
            moves_directory: false,
            detaches: false,
            torn: false,
            by_path: false,
            looked_up: Mutex::default(),
            inodes: BTreeMap::new(),
            dentries: BTreeMap::new(),
            metadata: BTreeMap::new(),
            metadata_keys: BTreeMap::new(),
            touched: BTreeSet::new(),
            timed: BTreeSet::new(),
            present: BTreeSet::new(),
            empty: BTreeSet::new(),
            other_names: BTreeMap::new(),
            manifests: BTreeMap::new(),
            pinned: Vec::new(),
            removals: Vec::new(),
            orphans: Vec::new(),
            derived: BTreeMap::new(),
            ops: Vec::new(),
            guards: Vec::new(),
            forked: Forked::default(),
            changes: Vec::new(),
            unfenced: false,
            operation: None,
            partly: false,
        }
    }

    pub(crate) fn zone(&self) -> &'a Shared {
        &self.session.zone
    }

    /// Shows deleted trees as they were; nothing is to be committed.
    pub(crate) fn show(&mut self, regrown: &'a Regrown) {
        self.view.regrown = Some(regrown);
    }

    pub(crate) fn view(&self) -> View<'a> {
        self.view
    }

    /// Whether what was read does not fit together, so that a second attempt may go better.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Notes that what was read does not fit together.
    pub(crate) fn tear(&mut self) {
        self.torn = true;
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
            self.torn |= found.is_none();
            let base = found.map(|inode| (inode.record.clone(), inode.revision));
            let slot = self.inode_slot(ino, base).await?;
            self.inodes.insert(ino, slot);
        }
        Ok(())
    }

    /// Makes an inode under a fresh number.
    pub(crate) fn create_inode(&mut self, ino: u64, record: InodeRecord) {
        let slot = self.inodes.entry(ino).or_insert(Slot::read(None));
        slot.now = Some(record);
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
            let base = self.look_up(&key).await?;
            let slot = self.dentry_slot(&key, base).await?;
            self.dentries.insert(key.clone(), slot);
        }
        Ok(self.dentries[&key].now)
    }

    /// A name as the store has it; the same each time.
    async fn look_up(&self, key: &(u64, String)) -> Result<CachedDentry> {
        if let Some(found) = self.looked_up.lock().get(key) {
            return Ok(*found);
        }
        let found = self.view.dentry(key.0, &key.1).await?;
        Ok(*self.looked_up.lock().entry(key.clone()).or_insert(found))
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
        if is_forked(parent) {
            // It may have no row, or one that says that it has gone.
            self.load_inode(parent).await?;
        }
        if !self.is_made_here(parent) {
            self.present.insert(parent);
        }
        if let Some(dentry) = dentry {
            self.lead_into_fork(parent, dentry).await?;
        }
        Ok(())
    }

    /// Lets the time in a directory's inode be the one that counts, until it is touched again.
    pub(crate) fn set_directory_time(&mut self, dir: u64) {
        self.touched.remove(&dir);
        self.timed.insert(dir);
    }

    /// Whether an inode is made by this transaction, and so far not removed again.
    fn is_made_here(&self, ino: u64) -> bool {
        let slot = self.inodes.get(&ino);
        slot.is_some_and(|slot| slot.base.is_none() && slot.now.is_some())
    }

    /// Whether an inode is made by this transaction.
    fn is_new(&self, ino: u64) -> bool {
        self.inodes
            .get(&ino)
            .is_some_and(|slot| slot.base.is_none())
    }

    /// A custom metadata value.
    pub(crate) async fn set_metadata(
        &mut self,
        ino: u64,
        key: &str,
        value: Option<Bytes>,
    ) -> Result<()> {
        let there = value.is_some();
        self.metadata_slot(ino, key).await?.now = value;
        match self.metadata_keys.get_mut(&ino) {
            Some(keys) if there => _ = keys.insert(key.to_owned()),
            Some(keys) => _ = keys.remove(key),
            None => {}
        }
        Ok(())
    }

    /// A custom metadata value, insisting that it does not change until the commit.
    pub(crate) async fn metadata(&mut self, ino: u64, key: &str) -> Result<Option<&Bytes>> {
        Ok(self.metadata_slot(ino, key).await?.now.as_ref())
    }

    async fn metadata_slot(&mut self, ino: u64, key: &str) -> Result<&mut Slot<Bytes>> {
        let slot = (ino, key.to_owned());
        if !self.metadata.contains_key(&slot) {
            let base = match self.shown_metadata(ino).await? {
                Some(shown) => {
                    Slot::forked(shown.get(key).cloned().zip(Some(Revision::ZERO)), None)
                }
                None => {
                    let found = self.view.get(&keys::metadata(ino, key)).await?;
                    Slot::read(found.map(|value| (value.bytes, value.revision)))
                }
            };
            self.metadata.insert(slot.clone(), base);
        }
        Ok(self.metadata.get_mut(&slot).expect("just loaded"))
    }

    /// Insists that a directory outside of forks has no entries.
    pub(crate) fn must_be_empty(&mut self, dir: u64) {
        debug_assert!(!is_forked(dir), "a fork may show names without rows");
        self.empty.insert(dir);
    }

    /// Names in a directory that this transaction itself has added or removed.
    pub(crate) fn pending_names(&self, dir: u64) -> impl Iterator<Item = (&str, bool)> {
        let range = (dir, String::new())..(dir + 1, String::new());
        self.dentries
            .range(range)
            .map(|((_, name), slot)| (name.as_str(), slot.now.is_some()))
    }

    /// Adds or removes a name of an inode beyond its first.
    pub(crate) fn set_other_name(&mut self, ino: u64, parent: u64, name: &str, there: bool) {
        let key = (ino, parent, name.to_owned());
        self.other_names.insert(key, there);
    }

    /// The first of the names that an inode has beyond its first.
    pub(crate) async fn other_name(&self, ino: u64) -> Result<Option<(u64, String)>> {
        let range = (ino, 0, String::new())..(ino + 1, 0, String::new());
        let mut names: BTreeMap<_, _> = self
            .other_names
            .range(range)
            .map(|((_, parent, name), there)| ((*parent, name.clone()), *there))
            .collect();
        if let Some(shown) = self.forked.names.get(&ino) {
            for name in shown {
                names.entry(name.clone()).or_insert(true);
            }
        } else {
            // One of so many is not removed here, if there are so many.
            let range = keys::extra_names(ino);
            for entry in &self.view.scan(range, names.len() + 1).await?.entries {
                let name = keys::parse_extra_name(&entry.key);
                let (parent, name) = name.ok_or_else(|| unreadable("name of an inode"))?;
                names.entry((parent, name.to_owned())).or_insert(true);
            }
        }
        let mut names = names.into_iter().filter(|(_, there)| *there);
        Ok(names.next().map(|(name, _)| name))
    }

    /// Up to `limit` stored names of a directory after `after`, as this transaction leaves
    /// them, with those it adds between; and the name to go on after, if there may be more.
    pub(crate) async fn children(
        &self,
        dir: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Child>, Option<String>)> {
        let (stored, last) = self.view.children(dir, after, limit).await?;
        let mut names: BTreeMap<String, DentryRecord> = stored
            .into_iter()
            .map(|child| (child.name, child.dentry))
            .collect();
        let after = (dir, after.unwrap_or_default().to_owned());
        let end = match &last {
            Some(last) => Bound::Included((dir, last.clone())),
            None => Bound::Excluded((dir + 1, String::new())),
        };
        for ((_, name), slot) in self.dentries.range((Bound::Excluded(after), end)) {
            match slot.now {
                Some(dentry) => names.insert(name.clone(), dentry),
                None => names.remove(name),
            };
        }
        let children = names
            .into_iter()
            .map(|(name, dentry)| Child { name, dentry });
        Ok((children.collect(), last))
    }

    /// The custom metadata keys that an inode will have.
    pub(crate) async fn metadata_keys(&mut self, ino: u64) -> Result<&BTreeSet<String>> {
        if !self.metadata_keys.contains_key(&ino) {
            let keys = self.read_metadata_keys(ino).await?;
            self.metadata_keys.insert(ino, keys);
        }
        Ok(&self.metadata_keys[&ino])
    }

    async fn read_metadata_keys(&mut self, ino: u64) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        if let Some(shown) = self.shown_metadata(ino).await? {
            names.extend(shown.keys().cloned());
        } else if !self.is_new(ino) {
            let range = keys::all_metadata(ino);
            for entry in self.view.scan(range, KEYS_MAX).await?.entries {
                let name = std::str::from_utf8(&entry.key[9..]);
                names.insert(name.map_err(|_| unreadable("metadata key"))?.to_owned());
            }
        }
        let pending = (ino, String::new())..(ino + 1, String::new());
        for ((_, name), slot) in self.metadata.range(pending) {
            if slot.now.is_some() {
                names.insert(name.clone());
            } else {
                names.remove(name);
            }
        }
        Ok(names)
    }

    /// Queues a directory that has left the namespace, with all below it, to be cleared away.
    pub(crate) fn detach(&mut self, dir: u64) {
        self.moves_directory = true;
        self.detaches = true;
        self.ops
            .push(Op::PutStamped(keys::purge_entry(dir), Bytes::new()));
    }

    /// Notes that a content is placed whose chunks are listed by these pages.
    pub(crate) async fn place_manifest(
        &mut self,
        etag: &Bytes,
        first: &[u8],
        pages: &[(u64, ManifestPage)],
    ) -> Result<()> {
        if !self.manifests.contains_key(etag) {
            let manifest = match self.view.get(first).await? {
                Some(_) => Manifest::Stored,
                None => Manifest::New(pages.to_vec()),
            };
            self.manifests.insert(etag.clone(), manifest);
        }
        Ok(())
    }

    /// Whether the commit adds the list of chunks of a content that was placed; if not, the
    /// store has one, in which the content may be cut otherwise.
    pub(crate) fn adds_manifest(&self, etag: &Bytes) -> bool {
        matches!(self.manifests.get(etag), Some(Manifest::New(_)))
    }

    /// Keeps content from being collected until the commit is over.
    pub(crate) fn pin(&mut self, pinned: &[Arc<Pinned>]) {
        self.pinned.extend_from_slice(pinned);
    }

    /// Keeps an inode that is to be removed from being opened until the commit is over; says
    /// whether it can be removed, which it cannot while it is open.
    pub(crate) fn begin_removal(&mut self, ino: u64) -> bool {
        let removal = Removal::begin(&self.session.zone, ino);
        let begun = removal.is_some();
        self.removals.extend(removal);
        begun
    }

    /// Leaves an inode without a name for as long as it is open.
    pub(crate) async fn leave_orphan(&mut self, ino: u64) -> Result<()> {
        self.outlives_fork(ino).await?;
        self.ops.push(Op::Put(keys::orphan(ino), Bytes::new()));
        self.orphans.push(ino);
        Ok(())
    }

    /// Says in the log what the commit is as a whole, and which revisions it is about.
    pub(crate) fn as_operation(&mut self, name: &'static str, about: Vec<u64>) {
        self.operation = Some((name, about));
    }

    /// Says in the log that some of what the commit is about stays as it is.
    pub(crate) fn leaves_some(&mut self) {
        self.partly = true;
    }

    /// Insists on something besides the rows that were read.
    pub(crate) fn insist(&mut self, guard: Guard) {
        self.guards.push(guard);
    }

    /// Lets it be committed although the request's fences do not hold.
    pub(crate) fn needs_no_fence(&mut self) {
        self.unfenced = true;
    }

    pub(crate) fn also(&mut self, op: Op) {
        self.ops.push(op);
    }

    pub(crate) fn record(&mut self, change: ChangeRecord) -> &mut ChangeRecord {
        self.changes.push(change);
        self.changes.last_mut().expect("just pushed")
    }
}

impl Names for Tx<'_> {
    async fn dentry(&self, parent: u64, name: &str) -> Result<CachedDentry> {
        let key = (parent, name.to_owned());
        match self.dentries.get(&key) {
            Some(slot) => Ok(slot.now.map(|record| (record, Revision::ZERO))),
            None => self.look_up(&key).await,
        }
    }

    async fn link_target(&self, ino: u64) -> Result<Option<String>> {
        match self.inodes.get(&ino).and_then(|slot| slot.now.as_ref()) {
            Some(record) => Ok(Some(String::from_utf8_lossy(&record.inline).into_owned())),
            None => self.view.link_target(ino).await,
        }
    }
}
