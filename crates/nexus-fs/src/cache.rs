//! The metadata cache: dentries (also of names that do not exist), inodes, and the times of
//! directories. Bounded, sharded, and never stale.
//!
//! A hit is one lookup without a lock held across an await. Two rules keep out what a
//! commit replaces. While a commit is on its way, the entries it changes are not in the
//! cache: they are dropped before it is sent ([`Changing`]) and come back when its outcome
//! is known, so that no reader sees less than the store. And every shard carries the newest
//! revision that touched it (its floor): whoever reads the store notes the floor first and
//! may put the result in only if the floor has not moved since.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use nexus_kernel::Revision;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::records::{DentryRecord, InodeRecord};

const SHARDS: usize = 64;

/// An inode as cached: what is stored, and the commit that wrote it.
#[derive(Debug)]
pub(crate) struct CachedInode {
    pub record: InodeRecord,
    pub revision: Revision,
}

/// A dentry as cached; `None` for a name known not to exist.
pub(crate) type CachedDentry = Option<(DentryRecord, Revision)>;

#[derive(Debug, PartialEq, Eq, Hash)]
struct NameKey {
    parent: u64,
    name: Box<str>,
}

#[derive(Hash)]
struct NameRef<'a> {
    parent: u64,
    name: &'a str,
}

impl Equivalent<NameKey> for NameRef<'_> {
    fn equivalent(&self, key: &NameKey) -> bool {
        self.parent == key.parent && *self.name == *key.name
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<CachedInode>> for ByBytes {
    fn weight(&self, _: &u64, inode: &Arc<CachedInode>) -> u64 {
        let record = &inode.record;
        (256 + record.inline.len() + record.name.len() + record.owner.len()) as u64
    }
}

impl Weighter<NameKey, CachedDentry> for ByBytes {
    fn weight(&self, key: &NameKey, _: &CachedDentry) -> u64 {
        (96 + key.name.len()) as u64
    }
}

/// Proof of when a read of the store began; see the module.
pub(crate) struct Ticket {
    key: u64,
    floor: Revision,
}

/// What a commit that is on its way changes. Forgotten without an outcome, its entries stay
/// out of the cache.
#[derive(Debug, Default)]
pub(crate) struct Changing(Vec<u64>);

#[derive(Default)]
struct Shard {
    floor: Revision,
    /// The hashes of entries that commits on their way change, and how many commits do.
    changing: HashMap<u64, usize>,
}

pub(crate) struct MetaCache {
    dentries: Cache<NameKey, CachedDentry, ByBytes>,
    inodes: Cache<u64, Arc<CachedInode>, ByBytes>,
    times: Cache<u64, i64>,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

impl MetaCache {
    /// A cache that holds about `bytes` of entries, two thirds of them inodes.
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = |bytes: u64| usize::try_from(bytes / 300).unwrap_or(usize::MAX);
        let (inodes, dentries) = (bytes / 3 * 2, bytes / 3);
        Self {
            dentries: Cache::with_weighter(entries(dentries), dentries, ByBytes),
            inodes: Cache::with_weighter(entries(inodes), inodes, ByBytes),
            times: Cache::new(entries(bytes / 4).max(64)),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn dentry(&self, parent: u64, name: &str) -> Option<CachedDentry> {
        self.dentries.get(&NameRef { parent, name })
    }

    pub(crate) fn inode(&self, ino: u64) -> Option<Arc<CachedInode>> {
        self.inodes.get(&ino)
    }

    pub(crate) fn time(&self, ino: u64) -> Option<i64> {
        self.times.get(&ino)
    }

    pub(crate) fn dentry_ticket(&self, parent: u64, name: &str) -> Ticket {
        self.ticket(self.name_hash(parent, name))
    }

    pub(crate) fn inode_ticket(&self, ino: u64) -> Ticket {
        self.ticket(self.inode_hash(ino))
    }

    pub(crate) fn time_ticket(&self, ino: u64) -> Ticket {
        self.ticket(self.time_hash(ino))
    }

    pub(crate) fn fill_dentry(
        &self,
        ticket: &Ticket,
        parent: u64,
        name: &str,
        dentry: CachedDentry,
    ) {
        self.fill(ticket, || self.insert_dentry(parent, name, dentry));
    }

    pub(crate) fn fill_inode(&self, ticket: &Ticket, ino: u64, inode: &Arc<CachedInode>) {
        self.fill(ticket, || self.inodes.insert(ino, Arc::clone(inode)));
    }

    pub(crate) fn fill_time(&self, ticket: &Ticket, ino: u64, time: i64) {
        self.fill(ticket, || self.times.insert(ino, time));
    }

    /// Drops a dentry that a commit is about to change.
    pub(crate) fn change_dentry(&self, changing: &mut Changing, parent: u64, name: &str) {
        self.change(changing, self.name_hash(parent, name), || {
            self.dentries.remove(&NameRef { parent, name });
        });
    }

    /// Drops an inode that a commit is about to change.
    pub(crate) fn change_inode(&self, changing: &mut Changing, ino: u64) {
        self.change(changing, self.inode_hash(ino), || {
            self.inodes.remove(&ino);
        });
    }

    /// Drops the time of a directory that a commit is about to change.
    pub(crate) fn change_time(&self, changing: &mut Changing, ino: u64) {
        self.change(changing, self.time_hash(ino), || {
            self.times.remove(&ino);
        });
    }

    /// Ends what a commit began that did not apply and never will.
    pub(crate) fn unchanged(&self, changing: Changing) {
        for key in changing.0 {
            self.shard(key).lock().settle(key);
        }
    }

    /// Takes in what a commit made of a dentry.
    pub(crate) fn changed_dentry(
        &self,
        revision: Revision,
        parent: u64,
        name: &str,
        now: Option<DentryRecord>,
    ) {
        self.changed(self.name_hash(parent, name), revision, || {
            let now = now.map(|record| (record, revision));
            self.insert_dentry(parent, name, now);
        });
    }

    /// Takes in what a commit made of an inode.
    pub(crate) fn changed_inode(&self, revision: Revision, ino: u64, now: Option<InodeRecord>) {
        self.changed(self.inode_hash(ino), revision, || {
            if let Some(record) = now {
                let inode = CachedInode { record, revision };
                self.inodes.insert(ino, Arc::new(inode));
            }
        });
    }

    /// Takes in that a commit changed the entries of a directory.
    pub(crate) fn changed_time(&self, revision: Revision, ino: u64) {
        // What it is now only the store knows: the largest of several.
        self.changed(self.time_hash(ino), revision, || {});
    }

    pub(crate) fn len(&self) -> usize {
        self.dentries.len() + self.inodes.len()
    }

    fn insert_dentry(&self, parent: u64, name: &str, dentry: CachedDentry) {
        let name = name.into();
        self.dentries.insert(NameKey { parent, name }, dentry);
    }

    fn name_hash(&self, parent: u64, name: &str) -> u64 {
        self.hasher.hash_one(NameRef { parent, name })
    }

    fn inode_hash(&self, ino: u64) -> u64 {
        self.hasher.hash_one((b'i', ino))
    }

    fn time_hash(&self, ino: u64) -> u64 {
        self.hasher.hash_one((b't', ino))
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        let shard = usize::try_from(key % SHARDS as u64).expect("below SHARDS");
        &self.shards[shard]
    }

    fn ticket(&self, key: u64) -> Ticket {
        let floor = self.shard(key).lock().floor;
        Ticket { key, floor }
    }

    fn fill(&self, ticket: &Ticket, insert: impl FnOnce()) {
        let shard = self.shard(ticket.key).lock();
        if shard.floor == ticket.floor && !shard.changing.contains_key(&ticket.key) {
            insert();
        }
    }

    fn change(&self, changing: &mut Changing, key: u64, remove: impl FnOnce()) {
        let mut shard = self.shard(key).lock();
        *shard.changing.entry(key).or_default() += 1;
        changing.0.push(key);
        remove();
    }

    fn changed(&self, key: u64, revision: Revision, insert: impl FnOnce()) {
        let mut shard = self.shard(key).lock();
        // An older commit's value must not stand for a newer one that came in first.
        let newest = revision >= shard.floor;
        shard.floor = revision.max(shard.floor);
        if shard.settle(key) && newest {
            insert();
        }
    }
}

impl Shard {
    /// Ends one commit's change of an entry; says whether no other is on its way.
    fn settle(&mut self, key: u64) -> bool {
        let left = self.changing.get_mut(&key).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            self.changing.remove(&key);
        }
        left == 0
    }
}
