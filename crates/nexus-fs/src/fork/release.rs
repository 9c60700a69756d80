//! When a fork has gone, what it was made from need not stay readable for it.

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Freshness, Op, Result, Revision, Scan};

use super::merge::MergedRecord;
use super::parts::{Part, part_of};
use crate::keys;
use crate::records::{self, DentryRecord, Pin, kind_code};
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
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
}

impl Session {
    /// Lets history before now go that only a fork needed, if none of its directories is in the
    /// tree any more.
    pub(crate) async fn release_fork(&self, number: u64) -> Result<()> {
        let Some(part) = self.zone.part(number).await? else {
            return Ok(());
        };
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            // A name that leads into the fork from outside voids paths when it comes.
            tx.depends_on_path();
            if self.is_reachable(&tx, &part).await? {
                return Ok(());
            }
            let until = self.zone.revision().await?;
            for (_, pin) in self.zone.pins_of_fork(&part).await? {
                tx.also(Op::Put(pin, records::encode(&Pin { until: until.0 })));
            }
            if tx.commit(Durability::Relaxed).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::conflict(
            "others kept moving directories first; it is tried again later",
        ))
    }

    /// Whether the name of a directory leads into a fork from outside it.
    async fn is_reachable(&self, tx: &Tx<'_>, part: &Part) -> Result<bool> {
        let parts = part.record.pairs.iter().map(|pair| pair.part);
        for number in parts.clone() {
            let mut range = keys::borders_into(number);
            loop {
                let page = tx.view().scan(range.clone(), PAGE).await?;
                for row in &page.entries {
                    let (_, parent) = keys::parse_border(&row.key)
                        .ok_or_else(|| records::unreadable("name in another part"))?;
                    let dentry: DentryRecord = records::decode(row.value.bytes.clone())?;
                    let inside = parts.clone().any(|own| own == part_of(parent));
                    if dentry.kind == kind_code(FileKind::Directory) && !inside {
                        return Ok(true);
                    }
                }
                match page.entries.last().filter(|_| page.more) {
                    Some(last) => range.start = next_key(&last.key),
                    None => break,
                }
            }
        }
        Ok(false)
    }
}
