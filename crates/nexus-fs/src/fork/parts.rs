//! The numbers of inodes in forks.
//!
//! An inode number has a part in its high bits. What is made outside of forks has part 0. A
//! fork takes a part of its own for each part that inodes of its origin's tree can have, and
//! an inode of the origin keeps its low bits in the fork: so the two numbers tell each other,
//! without a row for either. What is made in a fork gets a number of the fork's part. Low bits
//! are handed out once in a zone, so none of these numbers meets another.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Freshness, Result, Revision};
use prost::Message;

use crate::keys;
use crate::records;
use crate::zone::Shared;

/// How many bits of an inode number are below its part.
pub(crate) const PART_SHIFT: u32 = 40;
/// Parts are below this, so that inode numbers are positive as signed numbers.
pub(crate) const PARTS_END: u64 = 1 << 23;
/// How many parts are kept in memory.
pub(crate) const PARTS_KEPT: usize = 4096;

/// What an inode or a name that has gone from a fork has for a row, so that what the origin
/// has there does not show.
pub(crate) const WHITEOUT: Bytes = Bytes::new();

pub(crate) const fn part_of(ino: u64) -> u64 {
    ino >> PART_SHIFT
}

/// Whether an inode, or what is in a directory, can be there without a row.
pub(crate) const fn is_forked(ino: u64) -> bool {
    part_of(ino) != 0
}

/// The inode of another part with the same low bits.
pub(crate) const fn in_part(part: u64, ino: u64) -> u64 {
    part << PART_SHIFT | ino & ((1 << PART_SHIFT) - 1)
}

/// What a fork is made from, under its number. Its further parts refer to that; each has all of it
/// in zones of format 3. Written with the fork, and never again.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartRecord {
    /// The origin is as of this revision.
    #[prost(uint64, tag = "1")]
    pub base: u64,
    /// The directory that was forked.
    #[prost(uint64, tag = "2")]
    pub origin: u64,
    /// The parts of the fork; the first one, that of its root, is the number of the fork.
    #[prost(message, repeated, tag = "3")]
    pub pairs: Vec<PartPair>,
    /// Where the root of the fork was put.
    #[prost(uint64, tag = "4")]
    pub parent: u64,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(sfixed64, tag = "6")]
    pub time: i64,
    #[prost(string, tag = "7")]
    pub owner: String,
    /// How many forks lie on each other here: 1 for one whose origin is none.
    #[prost(uint32, tag = "8")]
    pub depth: u32,
    /// Of a further part, and then all that is told: the number of the fork.
    #[prost(uint64, tag = "9")]
    pub of: u64,
}

impl PartRecord {
    /// That of a further part of a fork.
    pub(crate) fn further(fork: u64) -> Self {
        Self {
            of: fork,
            ..Self::default()
        }
    }

    /// The number of the fork.
    pub(crate) fn fork(&self) -> u64 {
        match self.pairs.first() {
            Some(first) => first.part,
            None => self.of,
        }
    }

    /// The directory at the top of the fork.
    pub(crate) fn root(&self) -> u64 {
        in_part(self.fork(), self.origin)
    }
}

/// A part of the origin's tree, and the fork's part for it.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct PartPair {
    #[prost(uint64, tag = "1")]
    pub source: u64,
    #[prost(uint64, tag = "2")]
    pub part: u64,
}

/// A part of a fork.
#[derive(Debug)]
pub(crate) struct Part {
    /// The commit that made the fork. Nothing that is stored under the part has this revision.
    pub since: Revision,
    /// The part of the origin's tree that this one shows.
    source: u64,
    /// The same for all parts of the fork, and so are the next two.
    pub record: Arc<PartRecord>,
    /// The parts of the fork by those of the origin's tree.
    by_source: Arc<HashMap<u64, u64>>,
    own: Arc<HashSet<u64>>,
}

impl Part {
    pub(crate) fn base(&self) -> Revision {
        Revision(self.record.base)
    }

    /// The directory at the top of the fork.
    pub(crate) fn root(&self) -> u64 {
        self.record.root()
    }

    /// The number of the fork.
    pub(crate) fn fork(&self) -> u64 {
        self.record.fork()
    }

    /// Whether another part is of the same fork.
    pub(crate) fn is_with(&self, part: u64) -> bool {
        self.own.contains(&part)
    }

    /// The inode of the origin that an inode of this part shows.
    pub(crate) fn source_of(&self, ino: u64) -> u64 {
        in_part(self.source, ino)
    }

    /// The inode of the fork that shows one of the origin's; none if that is not in its tree.
    pub(crate) fn shown(&self, source: u64) -> Option<u64> {
        let part = self.by_source.get(&part_of(source))?;
        Some(in_part(*part, source))
    }

    fn first(since: Revision, record: PartRecord) -> Self {
        let pairs = record.pairs.iter();
        Self {
            since,
            source: record.pairs.first().map_or(0, |pair| pair.source),
            by_source: Arc::new(pairs.clone().map(|pair| (pair.source, pair.part)).collect()),
            own: Arc::new(pairs.map(|pair| pair.part).collect()),
            record: Arc::new(record),
        }
    }

    /// A further part of the same fork, if that is one.
    fn further(&self, number: u64) -> Option<Self> {
        let pairs = &self.record.pairs;
        let pair = pairs.iter().find(|pair| pair.part == number)?;
        Some(Self {
            since: self.since,
            source: pair.source,
            record: Arc::clone(&self.record),
            by_source: Arc::clone(&self.by_source),
            own: Arc::clone(&self.own),
        })
    }
}

impl Shared {
    /// A part of a fork; none if there is no such part.
    pub(crate) async fn part(&self, number: u64) -> Result<Option<Arc<Part>>> {
        if let Some(part) = self.parts.get(&number) {
            return Ok(Some(part));
        }
        let key = keys::part(number);
        let Some(row) = self.metastore.get(&key, Freshness::Linearizable).await? else {
            return Ok(None);
        };
        let record: PartRecord = records::decode(row.bytes)?;
        let fork = record.fork();
        let part = if fork == number {
            Some(Part::first(row.revision, record))
        } else {
            let first = Box::pin(self.part(fork)).await?;
            first.and_then(|first| first.further(number))
        };
        let part = Arc::new(part.ok_or_else(|| records::unreadable("fork"))?);
        self.parts.insert(number, Arc::clone(&part));
        Ok(Some(part))
    }

    /// The revisions that a fork shows something of: that of its origin, and where that was a fork
    /// itself, those of what it showed.
    pub(crate) async fn bases_of(&self, part: &Part) -> Result<BTreeSet<u64>> {
        let mut bases = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut rest = vec![part.fork()];
        while let Some(number) = rest.pop() {
            if number == 0 || !seen.insert(number) {
                continue;
            }
            if let Some(part) = self.part(number).await? {
                bases.insert(part.record.base);
                rest.extend(part.record.pairs.iter().map(|pair| pair.source));
            }
        }
        Ok(bases)
    }
}

#[cfg(test)]
mod tests;
