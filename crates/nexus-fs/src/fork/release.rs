//! When a fork has gone, what it was made from need not stay readable for it.

use bytes::Bytes;
use nexus_kernel::{Freshness, Op, Result, Revision, Scan};

use super::merge::MergedRecord;
use super::parts::{Part, part_of};
use crate::keys;
use crate::records::{self, DentryRecord, Pin, kind_code};
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::next_key;
use crate::zone::Shared;

/// Rows read at a time.
const PAGE: usize = 100;

impl Shared {
    /// The pins that a fork has: of what it is made from, of itself as it was made, and of what
    /// was merged of it last.
    pub(crate) async fn pins_of_fork(&self, part: &Part) -> Result<Vec<(Revision, Bytes)>> {
        let fork = part.fork();
        let bases = self.bases_of(part).await?.into_iter().map(Revision);
        let mut pins: Vec<_> = bases.map(|at| (at, keys::fork_pin(at, fork))).collect();
        pins.push((part.since, keys::pin(part.since, "")));
        let mut range = keys::merges_of(fork);
        loop {
            let scan = Scan::forward(range.clone(), PAGE);
            let merges = self.metastore.scan(scan, Freshness::Linearizable).await?;
            let last = merges.entries.last().filter(|_| merges.more);
            let next = last.map(|row| next_key(&row.key));
            for row in merges.entries {
                let target = keys::last_number(&row.key);
                let merged: MergedRecord = records::decode(row.value.bytes)?;
                let at = Revision(merged.revision);
                pins.push((at, keys::merge_pin(at, fork, target)));
            }
            match next {
                Some(next) => range.start = next,
                None => break,
            }
        }
        Ok(pins)
    }

    /// Whether a name that counts, by its row, leads into a fork from outside it.
    pub(crate) async fn leads_into(
        &self,
        part: &Part,
        counts: impl Fn(&Bytes, DentryRecord) -> bool + Send,
    ) -> Result<bool> {
        for pair in &part.record.pairs {
            let mut range = keys::borders_into(pair.part);
            loop {
                let scan = Scan::forward(range.clone(), PAGE);
                let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
                let next = page.entries.last().map(|last| next_key(&last.key));
                for row in page.entries {
                    let (_, parent) = keys::parse_border(&row.key)
                        .ok_or_else(|| records::unreadable("name in another part"))?;
                    let dentry = records::decode(row.value.bytes)?;
                    if !part.is_with(part_of(parent)) && counts(&row.key, dentry) {
                        return Ok(true);
                    }
                }
                match next.filter(|_| page.more) {
                    Some(next) => range.start = next,
                    None => break,
                }
            }
        }
        Ok(false)
    }
}

impl Tx<'_> {
    /// Lets history before now go that only a fork needed, if with this commit none of its
    /// directories is in the tree any more, nor in one that is still to be cleared away. `going` is
    /// the row of a name, or of the queue of such trees, that goes with it.
    pub(crate) async fn release_fork(&mut self, number: u64, going: &Bytes) -> Result<()> {
        let Some(part) = self.zone().part(number).await? else {
            return Ok(());
        };
        // A name that leads into the fork from outside voids paths when it comes, and so does a
        // tree that goes into the queue.
        self.depends_on_path();
        let directory = kind_code(FileKind::Directory);
        let counts = |key: &Bytes, dentry: DentryRecord| dentry.kind == directory && key != going;
        if self.zone().leads_into(&part, counts).await?
            || self.is_being_cleared(&part, going).await?
        {
            return Ok(());
        }
        let until = self.zone().revision().await?;
        let pins = self.zone().pins_of_fork(&part).await?;
        let keys: Vec<Bytes> = pins.into_iter().map(|(_, pin)| pin).collect();
        let metastore = &self.zone().metastore;
        let held = metastore.get_many(&keys, Freshness::Linearizable).await?;
        for (pin, held) in keys.into_iter().zip(held) {
            // What has lapsed has no history any more.
            if held.is_some() {
                self.also(Op::Put(pin, records::encode(&Pin { until: until.0 })));
            }
        }
        Ok(())
    }

    /// Whether a directory of a fork, but for `going`, is at the top of a tree that is still to be
    /// cleared away, which reads what the fork is made from.
    async fn is_being_cleared(&self, part: &Part, going: &Bytes) -> Result<bool> {
        let mut range = keys::purge_queue();
        loop {
            let page = self.view().scan(range.clone(), PAGE).await?;
            let mut others = page.entries.iter().filter(|entry| entry.key != going);
            if others.any(|entry| part.is_with(part_of(keys::purged(&entry.key)))) {
                return Ok(true);
            }
            match page.entries.last().filter(|_| page.more) {
                Some(last) => range.start = next_key(&last.key),
                None => return Ok(false),
            }
        }
    }
}
