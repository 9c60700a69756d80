//! A namespace on a metastore and an object store.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, Freshness, Guard, Metastore, ObjectStore, Op, Result, Revision,
    Timestamp, Txn,
};

use nexus_service_api::{Authorizer, Clock, SystemClock};

use tokio::sync::{Mutex, Notify, Semaphore};

use crate::archive::EXPORTS_MAX;
use crate::cache::MetaCache;
use crate::content::{ChunkSizes, ContentStore};
use crate::etag::HashAlgorithm;
use crate::feed::Tail;
use crate::fork::{PARTS_KEPT, Part};
use crate::handles::OpenInodes;
use crate::inos::InoAllocator;
use crate::keys;
use crate::locks::{Floors, Waiting};
use crate::records::{self, InodeRecord};
use crate::retention::Floor;
use crate::turns::Turns;
use crate::types::{FileKind, Ino};
use crate::undo::HeldTrees;

/// What a zone is kept in.
#[derive(Clone)]
pub struct Stores {
    /// Names, attributes, history, small contents.
    pub metastore: Arc<dyn Metastore>,
    /// Larger contents.
    pub objects: Arc<dyn ObjectStore>,
}

/// How a zone is served.
#[derive(Clone)]
pub struct ZoneConfig {
    /// Tells the time of changes.
    pub clock: Arc<dyn Clock>,
    /// The hash that names contents; takes effect when the zone is created.
    pub hash: HashAlgorithm,
    /// Contents up to this many bytes lie in the inode itself.
    pub inline_bytes_max: usize,
    /// Where larger contents are cut.
    pub chunks: ChunkSizes,
    /// Memory for inodes and dentries, in bytes.
    pub metadata_cache_bytes: u64,
    /// Memory for file content, in bytes.
    pub content_cache_bytes: u64,
    /// Memory for what is written to open files and not flushed, in bytes. Beyond it the file
    /// with the most is written back early.
    pub draft_bytes_max: usize,
    /// What is written to a file that stays open becomes a version of it by itself after so
    /// long.
    pub draft_age_max: Duration,
    /// How long a zone waits between two collections of its history.
    pub retention_every: Duration,
    /// How long a collection in the background rests between two steps.
    pub retention_pause: Duration,
    /// Most change feeds at a time; one key has a share of them,
    /// [`FEEDS_SHARE`](crate::FEEDS_SHARE).
    pub feeds_max: usize,
}

impl Default for ZoneConfig {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            hash: HashAlgorithm::Blake3,
            inline_bytes_max: 8 << 10,
            chunks: ChunkSizes::DEFAULT,
            metadata_cache_bytes: 48 << 20,
            content_cache_bytes: 64 << 20,
            draft_bytes_max: 64 << 20,
            draft_age_max: Duration::from_secs(30),
            retention_every: Duration::from_secs(600),
            retention_pause: Duration::from_millis(10),
            feeds_max: 10_000,
        }
    }
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZoneStats {
    /// Path components and inodes answered from memory.
    pub cache_hits: u64,
    /// Those that had to be read from the metastore.
    pub cache_misses: u64,
    /// Entries in the metadata cache.
    pub cache_entries: u64,
    /// Transactions that applied.
    pub commits: u64,
    /// Transactions that lost a race and ran again.
    pub retries: u64,
    /// The oldest readable revision, but for what is pinned; 0 while all are.
    pub oldest_readable: Revision,
    /// Rows of history and of the log that were collected.
    pub collected: u64,
    /// Change feeds that are open.
    pub feeds: u64,
}

/// A namespace: a tree of files with its history. Cheap to clone.
#[derive(Clone)]
pub struct Zone {
    pub(crate) shared: Arc<Shared>,
    _background: Arc<Background>,
}

/// Tasks that end with the last clone of their zone.
struct Background([tokio::task::JoinHandle<()>; 5]);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

pub(crate) struct Shared {
    pub metastore: Arc<dyn Metastore>,
    pub authorizer: Arc<dyn Authorizer>,
    pub config: ZoneConfig,
    pub cache: MetaCache,
    pub content: ContentStore,
    pub inos: InoAllocator,
    /// The parts of forks that were asked for: they never change.
    pub parts: quick_cache::sync::Cache<u64, Arc<Part>>,
    /// The revision of [`keys::TOPOLOGY`].
    pub topology: AtomicU64,
    pub last_time: AtomicI64,
    /// The newest time that was in the log when the zone was opened; where there was none, that of
    /// the clock.
    pub opened_at: Timestamp,
    pub counters: Counters,
    pub handles: OpenInodes,
    /// Of those who make a file from what it was.
    pub turns: Turns,
    /// Of those who ask for the same lock.
    pub lock_turns: Turns,
    pub lock_floors: Floors,
    /// Those who wait for locks.
    pub waiting: Waiting,
    /// Wakes the task that clears detached trees away.
    pub purge: Notify,
    /// The oldest readable revision.
    pub floor: Floor,
    /// Held by who collects history.
    pub collecting: Mutex<()>,
    /// A place for each export that may be under way.
    pub exports: Arc<Semaphore>,
    /// Those that it leaves alone for now.
    pub held_trees: HeldTrees,
    /// The newest changes, for those who follow them.
    pub tail: Tail,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub commits: AtomicU64,
    pub retries: AtomicU64,
    pub collected: AtomicU64,
}

/// The stored layout that a new zone has.
const FORMAT_VERSION: u32 = 1;
/// That of a zone with forks, or with records of the log in several rows: who does not know them
/// would take a directory of one for empty, and the first row of the other for all of it. In 3 each
/// part of a fork has all that is known of the fork, and 2 was that of zones with forks alone.
const FORMAT_VERSION_NEWEST: u32 = 4;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FormatRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    /// 1 BLAKE3, 2 SHA-256.
    #[prost(uint32, tag = "2")]
    hash: u32,
}

impl Zone {
    /// Opens the zone in `stores`, creating an empty one where there is none.
    ///
    /// One process serves a metastore at a time; the caches rely on it.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the stored format is newer than this build; whatever the stores
    /// answer.
    pub async fn open(
        stores: Stores,
        authorizer: Arc<dyn Authorizer>,
        mut config: ZoneConfig,
    ) -> Result<Self> {
        let metastore = Arc::clone(&stores.metastore);
        config.hash = format(&*metastore, &config).await?;
        let topology = metastore
            .get(keys::TOPOLOGY, Freshness::Linearizable)
            .await?;
        let topology = topology.map_or(0, |value| value.revision.0);
        let last_time = crate::log::last_time(&*metastore).await?;
        let opened_at = match last_time {
            0 => config.clock.now(),
            newest => Timestamp(newest),
        };
        let floor = Floor::load(&*metastore).await?;
        let shared = Shared {
            authorizer,
            cache: MetaCache::new(config.metadata_cache_bytes),
            content: ContentStore::new(stores, &config, floor.clone()),
            inos: InoAllocator::default(),
            parts: quick_cache::sync::Cache::new(PARTS_KEPT),
            topology: AtomicU64::new(topology),
            last_time: AtomicI64::new(last_time),
            opened_at,
            counters: Counters::default(),
            handles: OpenInodes::default(),
            turns: Turns::default(),
            lock_turns: Turns::default(),
            lock_floors: Floors::default(),
            waiting: Waiting::default(),
            purge: Notify::new(),
            floor,
            collecting: Mutex::new(()),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            held_trees: HeldTrees::default(),
            tail: Tail::default(),
            config,
            metastore,
        };
        shared.metastore.set_barrier(shared.content.barrier());
        let shared = Arc::new(shared);
        crate::handles::remove_orphans(&shared).await?;
        let purge = tokio::spawn(crate::purge::run(Arc::clone(&shared)));
        let retention = tokio::spawn(crate::retention::run(Arc::clone(&shared)));
        let aging = tokio::spawn(crate::handles::write_back_by_age(Arc::clone(&shared)));
        let sweep = tokio::spawn(crate::locks::sweep(Arc::clone(&shared)));
        let tail = tokio::spawn(crate::feed::run(Arc::clone(&shared)));
        Ok(Self {
            shared,
            _background: Arc::new(Background([purge, aging, sweep, retention, tail])),
        })
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> ZoneStats {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ZoneStats {
            cache_hits: read(&counters.hits),
            cache_misses: read(&counters.misses),
            cache_entries: self.shared.cache.len() as u64,
            commits: read(&counters.commits),
            retries: read(&counters.retries),
            oldest_readable: self.shared.floor.get(),
            collected: read(&counters.collected),
            feeds: self.shared.tail.readers() as u64,
        }
    }

    /// Makes everything durable. The zone can still be used afterwards.
    ///
    /// # Errors
    ///
    /// Whatever the stores answer.
    pub async fn close(&self) -> Result<()> {
        self.shared.content.sync().await?;
        self.shared.metastore.sync().await.map(drop)
    }
}

impl Shared {
    /// The time of the next change: the clock's, but always after that of earlier ones.
    pub(crate) fn now(&self) -> Timestamp {
        let clock = self.config.clock.now().0;
        let next = |last: i64| Some(clock.max(last.saturating_add(1)));
        let last = self
            .last_time
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.unwrap_or_else(|last| last);
        Timestamp(clock.max(last.saturating_add(1)))
    }

    /// The newest revision.
    pub(crate) async fn revision(&self) -> Result<Revision> {
        self.metastore.changed(Revision::ZERO).await
    }
}

/// Reads the zone's format, or lays out an empty zone; answers its hash.
async fn format(metastore: &dyn Metastore, config: &ZoneConfig) -> Result<HashAlgorithm> {
    loop {
        if let Some(value) = metastore.get(keys::FORMAT, Freshness::Linearizable).await? {
            return records::decode::<FormatRecord>(value.bytes)?.check();
        }
        // Lost to another creator: read what it wrote.
        if let Commit::Applied(_) = metastore.commit(empty_zone(config)).await? {
            return Ok(config.hash);
        }
    }
}

impl FormatRecord {
    /// The zone's hash, if this build reads its layout.
    pub(crate) fn check(&self) -> Result<HashAlgorithm> {
        match (self.version, self.hash) {
            (FORMAT_VERSION..=FORMAT_VERSION_NEWEST, 1) => Ok(HashAlgorithm::Blake3),
            (FORMAT_VERSION..=FORMAT_VERSION_NEWEST, 2) => Ok(HashAlgorithm::Sha256),
            _ => Err(Error::unsupported(
                "the data was written by a newer Nexus; run that version, or point this one at other data",
            )
            .with("format", self.version)
            .with("supported", FORMAT_VERSION_NEWEST)),
        }
    }
}

/// Notes that a zone has what not every version reads: forks, or records of the log in several rows.
pub(crate) fn newest_format(hash: HashAlgorithm) -> Op {
    let format = FormatRecord {
        version: FORMAT_VERSION_NEWEST,
        hash: hash_code(hash),
    };
    Op::Put(Bytes::from_static(keys::FORMAT), records::encode(&format))
}

const fn hash_code(hash: HashAlgorithm) -> u32 {
    match hash {
        HashAlgorithm::Blake3 => 1,
        HashAlgorithm::Sha256 => 2,
    }
}

fn empty_zone(config: &ZoneConfig) -> Txn {
    let now = config.clock.now().0;
    let root = InodeRecord {
        kind: records::kind_code(FileKind::Directory),
        mode: 0o755,
        owner: "system:system".into(),
        links: 1,
        created: now,
        modified: now,
        changed: now,
        parent: Ino::ROOT.0,
        ..InodeRecord::default()
    };
    let format = FormatRecord {
        version: FORMAT_VERSION,
        hash: hash_code(config.hash),
    };
    let put = |key: &'static [u8], value| Op::Put(Bytes::from_static(key), value);
    Txn {
        id: None,
        guards: vec![Guard::Absent(Bytes::from_static(keys::FORMAT))],
        ops: vec![
            put(keys::FORMAT, records::encode(&format)),
            put(keys::TOPOLOGY, Bytes::new()),
            put(
                keys::NEXT_INO,
                Bytes::copy_from_slice(&(Ino::ROOT.0 + 1).to_be_bytes()),
            ),
            Op::Put(keys::inode(Ino::ROOT.0), records::encode(&root)),
        ],
        durability: Durability::Sync,
    }
}
