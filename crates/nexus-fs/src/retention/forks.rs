//! Forks that have gone, and that no state shows any more.

use std::collections::HashSet;

use nexus_kernel::{Entry, Freshness, Op, Result};

use super::step::{Pass, Step};
use crate::fork::{Part, PartRecord};
use crate::keys;
use crate::records;
use crate::types::At;
use crate::view::next_key;
use crate::zone::Shared;

/// Rows read at a time.
const PAGE: usize = 1_000;
/// When a step has so much to do already, the next pass does the rest.
const OPS_MAX: usize = 10_000;

impl Pass<'_> {
    /// What is known of a fork goes when it is not held any more, nor is any other that is made
    /// from it, nor has anything of it a name.
    pub(super) async fn forks(&mut self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        let floor = self.plan.floor;
        let old = |entry: &Entry| entry.value.revision <= floor;
        for entry in entries.into_iter().filter(old) {
            let number = keys::last_number(&entry.key);
            let Some(part) = self.zone.part(number).await? else {
                continue;
            };
            let is_first = part.fork() == number;
            if !is_first || step.ops.len() > OPS_MAX || self.is_needed(&part).await? {
                continue;
            }
            let parts = part.record.pairs.iter();
            let rows = parts.map(|pair| Op::Delete(keys::part(pair.part)));
            step.ops.extend(rows);
            step.ops.push(Op::DeleteRange(keys::merges_of(number)));
        }
        Ok(())
    }

    async fn is_needed(&mut self, part: &Part) -> Result<bool> {
        let pins = self.zone.pins_of_fork(part).await?;
        let pins: Vec<_> = pins.into_iter().map(|(_, pin)| pin).collect();
        let metastore = &self.zone.metastore;
        let held = metastore.get_many(&pins, Freshness::Linearizable).await?;
        let is_held = held.iter().any(Option::is_some);
        if is_held || self.zone.leads_into(part, |_, _| true).await? {
            return Ok(true);
        }
        // None is made any more from one that has no names.
        if self.sources.is_none() {
            self.sources = Some(self.zone.sources_of_forks().await?);
        }
        let mut sources = self.sources.iter().flatten();
        Ok(sources.any(|source| part.is_with(*source)))
    }
}

impl Shared {
    /// The parts that any fork is made from.
    async fn sources_of_forks(&self) -> Result<HashSet<u64>> {
        let view = self.view(At::Latest).await?;
        let mut sources = HashSet::new();
        let mut range = keys::all_parts();
        loop {
            let page = view.scan(range.clone(), PAGE).await?;
            let next = page.entries.last().map(|last| next_key(&last.key));
            for row in page.entries {
                let record: PartRecord = records::decode(row.value.bytes)?;
                sources.extend(record.pairs.iter().map(|pair| pair.source));
            }
            match next.filter(|_| page.more) {
                Some(next) => range.start = next,
                None => return Ok(sources),
            }
        }
    }
}
