//! One step of the collector: what a page of rows loses.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use nexus_kernel::{Entry, Freshness, Guard, KeyRange, Op, Result, Revision, Scan, Timestamp};

use super::contents::Released;
use super::pinning::{Pins, has_lapsed};
use super::places::Places;
use super::plan::Plan;
use super::rows::{Row, remove};
use crate::keys;
use crate::log;
use crate::records::{self, LogRecord, Pin};
use crate::view::next_key;
use crate::zone::Shared;

/// What is gone over, in the order of the keys: pins, lineage, names, inodes, the log, what of it is
/// undone, forks, where further names of inodes have been, metadata.
const PARTS: [&[u8]; 9] = [b"P", b"a", b"e", b"h", b"l", b"u", b"wp", b"wr", b"z"];
/// Rows that a step goes over. A record of the log can have a megabyte, an inode's 64 KiB.
const ROWS: usize = 256;
const LOG_ROWS: usize = 32;

/// One pass over all of history.
pub(super) struct Pass<'a> {
    pub zone: &'a Shared,
    pub plan: Plan,
    /// As of when ages count.
    pub now: Timestamp,
    pub places: Places,
    /// Pins that do not count: in a dry run, those that would go.
    pub left_out: BTreeSet<Bytes>,
    /// The parts that forks are made from, once that was asked for.
    pub sources: Option<HashSet<u64>>,
    /// Nothing that goes is gone at the next step.
    pub dry_run: bool,
}

/// What a page of rows loses.
#[derive(Default)]
pub(super) struct Step {
    /// What it goes by besides how far the pass has come.
    pub guards: Vec<Guard>,
    pub ops: Vec<Op>,
    pub released: Released,
    /// Rows that go, but for those that only tell of what went earlier.
    pub rows: u64,
    /// Versions of files whose last state goes.
    pub versions: u64,
}

impl Pass<'_> {
    /// Goes over a page of rows from a key on; answers what it loses, and where the next begins,
    /// if there are more.
    pub(super) async fn step(&mut self, from: &Bytes) -> Result<(Step, Option<Bytes>)> {
        let mut step = Step::default();
        self.places.forget_moved(self.zone);
        let Some((part, range)) = self.part_from(from) else {
            return Ok((step, None));
        };
        let limit = if part == b"l" { LOG_ROWS } else { ROWS };
        let scan = Scan::forward(range.clone(), limit);
        let page = self
            .zone
            .metastore
            .scan(scan, Freshness::Linearizable)
            .await?;
        let next = match page.entries.last().filter(|_| page.more) {
            Some(last) => next_key(&last.key),
            None => KeyRange::prefix(part).end,
        };
        match part {
            b"P" => self.pins(page.entries, &mut step).await?,
            b"a" => self.derivations(page.entries, &mut step).await?,
            b"e" => self.names(page.entries, &mut step).await?,
            b"h" => self.inodes(page, &mut step).await?,
            b"l" => self.log_records(page.entries, &mut step).await?,
            b"u" => marks(page.entries, &mut step),
            b"wp" => self.forks(page.entries, &mut step).await?,
            b"wr" => self.former_names(page.entries, &mut step).await?,
            _ => self.values(page.entries, &mut step).await?,
        }
        Ok((step, Some(next)))
    }

    /// The part that a key lies in, from there on; what cannot lose anything is left out.
    fn part_from(&self, from: &Bytes) -> Option<(&'static [u8], KeyRange)> {
        let parts = PARTS.into_iter().filter(|part| match *part {
            b"h" | b"z" => true,
            _ => self.plan.floor > Revision::ZERO,
        });
        let mut rest = parts.map(|part| (part, self.range(part, from)));
        rest.find(|(_, range)| range.start < range.end)
    }

    fn range(&self, part: &'static [u8], from: &Bytes) -> KeyRange {
        let mut range = KeyRange::prefix(part);
        match part {
            // The record at the floor stays: it tells which time that is.
            b"l" => range.end = keys::log(self.plan.floor),
            b"u" => range.end = keys::undo_mark(self.plan.floor),
            _ => {}
        }
        range.start = range.start.max(from.clone());
        range
    }

    async fn pins(&mut self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        for entry in entries {
            let pin: Pin = records::decode(entry.value.bytes)?;
            let revision = keys::pinned_revision(&entry.key);
            if !has_lapsed(self.zone, revision, pin, self.plan.floor, &self.left_out).await? {
                continue;
            }
            if self.dry_run {
                self.left_out.insert(entry.key.clone());
            }
            step.remove(entry.key);
        }
        Ok(())
    }

    /// Metadata goes by its age: that of a file's path, or the floor.
    async fn values(&mut self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        let rows = entries.into_iter().map(Row::plain);
        let rows: Vec<Row> = rows.collect::<Result<_>>()?;
        let pins = self.pins_of(&rows).await?;
        for values in rows.chunk_by(|a, b| a.thing() == b.thing()) {
            let ended_until = self.ended_until(values[0].ino()).await?;
            let goes = |row: &Row| {
                !row.is_marker && row.end <= ended_until && !pins.need(row.since, row.end)
            };
            let goes: Vec<bool> = values.iter().map(goes).collect();
            step.remove_states(values, &goes, self.plan.floor);
        }
        Ok(())
    }

    /// All of these go, with the rows they go on in, and what finds them by their run. Of a run that
    /// goes on, the last entry stays in its index: it tells that there was more of it once.
    async fn log_records(&self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        let mut runs: BTreeMap<String, Revision> = BTreeMap::new();
        for entry in entries {
            let revision = Revision(keys::last_number(&entry.key));
            let record: LogRecord = records::decode(entry.value.bytes)?;
            let more = log::keys_of_more(revision, record.more_rows)?;
            step.ops.extend(more.into_iter().map(Op::Delete));
            runs.extend(record.session.map(|run| (run, revision)));
            step.remove(entry.key);
        }
        for (run, last) in runs {
            let later = keys::session_log_between(&run, last, Revision(u64::MAX - 1));
            let later = Scan::forward(later, 1);
            let later = self.zone.metastore.scan(later, Freshness::Linearizable);
            let stays = !later.await?.entries.is_empty();
            let goes = Revision(last.0 - u64::from(stays));
            let goes = keys::session_log_between(&run, Revision::ZERO, goes);
            step.ops.push(Op::DeleteRange(goes));
        }
        Ok(())
    }

    async fn ended_until(&mut self, ino: u64) -> Result<Revision> {
        let floor = self.plan.floor;
        if !self.plan.has_rules() {
            return Ok(floor);
        }
        let path = self.places.path_of(self.zone, ino).await?;
        let limits = path.map(|path| self.plan.limits(&path));
        let until = limits.and_then(|limits| limits.ended_until);
        Ok(until.unwrap_or_default().max(floor))
    }

    /// The pins that could need any of these states.
    pub(super) async fn pins_of(&self, rows: &[Row]) -> Result<Pins> {
        let since = rows.iter().map(|row| row.since).min().unwrap_or_default();
        let end = rows.iter().map(|row| row.end).max().unwrap_or_default();
        Pins::read(self.zone, (since, end), &self.left_out).await
    }
}

impl Step {
    pub(super) fn remove(&mut self, key: Bytes) {
        self.ops.push(Op::Delete(key));
        self.rows += 1;
    }

    /// Removes the states of one thing that go, and leaves markers where they are missed.
    pub(super) fn remove_states(&mut self, rows: &[Row], goes: &[bool], floor: Revision) {
        remove(rows, goes, floor, &mut self.ops);
        self.rows += goes.iter().filter(|goes| **goes).count() as u64;
    }
}
/// What says of operations that they are undone goes with them. It has rows of its own to go by: an
/// operation may go while its undo is being committed.
fn marks(entries: Vec<Entry>, step: &mut Step) {
    let marks = entries.into_iter().map(|entry| Op::Delete(entry.key));
    step.ops.extend(marks);
}
