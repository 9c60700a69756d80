//! The metadata cache: dentries (also of names that do not exist), inodes, and the times of
//! directories. Bounded, sharded, and never stale.
//!
//! A hit is one lookup without a lock held across an await. A miss is filled under a rule
//! that keeps out what a commit has just replaced: every shard carries the newest revision
//! that touched it (its floor); whoever reads the store notes the floor first and may put
//! the result in only if the floor has not moved since. Commits raise the floor and drop
//! the entries they changed before they are acknowledged.

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
    shard: usize,
    floor: Revision,
}

pub(crate) struct MetaCache {
    dentries: Cache<NameKey, CachedDentry, ByBytes>,
    inodes: Cache<u64, Arc<CachedInode>, ByBytes>,
    times: Cache<u64, i64>,
    floors: Box<[Mutex<Revision>]>,
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
            floors: (0..SHARDS).map(|_| Mutex::new(Revision::ZERO)).collect(),
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
        self.ticket(self.shard(&NameRef { parent, name }))
    }

    pub(crate) fn inode_ticket(&self, ino: u64) -> Ticket {
        self.ticket(self.shard(&ino))
    }

    pub(crate) fn fill_dentry(
        &self,
        ticket: &Ticket,
        parent: u64,
        name: &str,
        dentry: CachedDentry,
    ) {
        self.fill(ticket, || {
            self.dentries.insert(
                NameKey {
                    parent,
                    name: name.into(),
                },
                dentry,
            );
        });
    }

    pub(crate) fn fill_inode(&self, ticket: &Ticket, ino: u64, inode: &Arc<CachedInode>) {
        self.fill(ticket, || self.inodes.insert(ino, Arc::clone(inode)));
    }

    pub(crate) fn fill_time(&self, ticket: &Ticket, ino: u64, time: i64) {
        self.fill(ticket, || self.times.insert(ino, time));
    }

    /// Takes in what a commit made of a dentry.
    pub(crate) fn commit_dentry(
        &self,
        revision: Revision,
        parent: u64,
        name: &str,
        now: Option<DentryRecord>,
    ) {
        let key = NameRef { parent, name };
        self.supersede(self.shard(&key), revision, |newest| {
            if newest {
                let now = now.map(|record| (record, revision));
                self.dentries.insert(
                    NameKey {
                        parent,
                        name: name.into(),
                    },
                    now,
                );
            } else {
                self.dentries.remove(&key);
            }
        });
    }

    /// Takes in what a commit made of an inode.
    pub(crate) fn commit_inode(&self, revision: Revision, ino: u64, now: Option<InodeRecord>) {
        self.supersede(self.shard(&ino), revision, |newest| match now {
            Some(record) if newest => {
                self.inodes
                    .insert(ino, Arc::new(CachedInode { record, revision }));
            }
            _ => {
                self.inodes.remove(&ino);
            }
        });
    }

    /// Takes in that a directory's entries changed at `time`, which only grows.
    pub(crate) fn commit_time(&self, revision: Revision, ino: u64, time: i64) {
        self.supersede(self.shard(&ino), revision, |newest| {
            match self.times.get(&ino) {
                Some(known) if newest => self.times.insert(ino, known.max(time)),
                _ => {
                    self.times.remove(&ino);
                }
            };
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.dentries.len() + self.inodes.len()
    }

    fn shard(&self, key: &impl Hash) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).expect("below SHARDS")
    }

    fn ticket(&self, shard: usize) -> Ticket {
        Ticket {
            shard,
            floor: *self.floors[shard].lock(),
        }
    }

    fn fill(&self, ticket: &Ticket, insert: impl FnOnce()) {
        let floor = self.floors[ticket.shard].lock();
        if *floor == ticket.floor {
            insert();
        }
    }

    fn supersede(&self, shard: usize, revision: Revision, change: impl FnOnce(bool)) {
        let mut floor = self.floors[shard].lock();
        // An older commit's value must not overwrite a newer one that came in first.
        let newest = revision >= *floor;
        *floor = revision.max(*floor);
        change(newest);
    }
}
