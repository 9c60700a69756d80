//! The states of inodes that go, and the versions that go with them.

use std::ops::Range;

use bytes::Bytes;
use nexus_kernel::{Freshness, Page, Result, Revision, Scan, Value};

use super::pinning::Pins;
use super::places::last_row;
use super::plan::Limits;
use super::rows::Row;
use super::step::{Pass, Step};
use crate::keys;
use crate::records::{self, InodeRecord};
use crate::types::FileKind;

/// Rows read at a time beyond those of a page.
pub(super) const NEARBY: usize = 16;

/// Some states of one inode, one after the other, and what is around them.
struct States<'r> {
    rows: &'r [Row],
    /// Today's state, if there is one.
    live: Option<InodeRecord>,
    /// The newest version there has been.
    newest: u64,
    /// The inode has changed since the rows were read: what follows them is not known.
    changed: bool,
    /// There may be older rows, and newer ones.
    cut: Range<bool>,
}

impl Pass<'_> {
    pub(super) async fn inodes(&mut self, page: Page, step: &mut Step) -> Result<()> {
        let Page {
            entries,
            more,
            revision,
        } = page;
        let rows = entries.into_iter().map(Row::of_inode);
        let rows: Vec<Row> = rows.collect::<Result<_>>()?;
        let pins = self.pins_of(&rows).await?;
        let groups: Vec<&[Row]> = rows.chunk_by(|a, b| a.ino() == b.ino()).collect();
        let live = self.live(&groups).await?;
        let last = groups.len().saturating_sub(1);
        for (i, (rows, live)) in groups.into_iter().zip(live).enumerate() {
            let cut = (i == 0)..(i == last && more);
            let states = self.states(rows, live, revision, cut).await?;
            self.inode(&states, &pins, step).await?;
        }
        Ok(())
    }

    /// Today's rows of the inodes that these groups of states belong to.
    async fn live(&self, groups: &[&[Row]]) -> Result<Vec<Option<Value>>> {
        let keys = groups.iter().map(|rows| keys::inode(rows[0].ino()));
        let keys: Vec<Bytes> = keys.collect();
        let metastore = &self.zone.metastore;
        match keys.is_empty() {
            true => Ok(Vec::new()),
            false => metastore.get_many(&keys, Freshness::Linearizable).await,
        }
    }

    async fn states<'r>(
        &self,
        rows: &'r [Row],
        live: Option<Value>,
        read_at: Revision,
        cut: Range<bool>,
    ) -> Result<States<'r>> {
        let mut changed = live.as_ref().is_some_and(|live| live.revision > read_at);
        let live = live.filter(|live| !live.bytes.is_empty());
        let live: Option<InodeRecord> = live.map(|live| records::decode(live.bytes)).transpose()?;
        let newest = match &live {
            Some(live) => live.version,
            None => {
                let last = last_row(self.zone, rows[0].ino()).await?;
                changed |= last.as_ref().is_some_and(|last| last.end > read_at);
                last.map_or(0, |last| last.version)
            }
        };
        Ok(States {
            rows,
            live,
            newest,
            changed,
            cut,
        })
    }

    async fn inode(&mut self, states: &States<'_>, pins: &Pins, step: &mut Step) -> Result<()> {
        let rows = states.rows;
        let limits = self.limits(states).await?;
        let next = match states.cut.end {
            true => self.version_after(rows).await?,
            false => None,
        };
        // Whose state follows the last row is not known: it may share its version.
        let unsure = (states.changed && next.is_none()).then(|| rows[rows.len() - 1].version);
        let goes =
            |row: &Row| Some(row.version) != unsure && self.goes(row, limits, states.newest, pins);
        let goes: Vec<bool> = rows.iter().map(goes).collect();
        let next = next.or(states.live.as_ref().map(|live| live.version));
        let before = match states.cut.start {
            true => self.version_before(states, limits, pins).await?,
            false => None,
        };
        for (version, record) in gone_versions(rows, &goes) {
            if Some(version) != next && Some(version) != before {
                step.versions += u64::from(record.file_kind() != FileKind::Directory);
                step.released.version(record)?;
            }
        }
        step.remove_states(rows, &goes, self.plan.floor);
        Ok(())
    }

    /// What goes of a file, by its path. Directories only go with the floor: what is in them
    /// must be found.
    async fn limits(&mut self, states: &States<'_>) -> Result<Limits> {
        let last = states.rows.iter().rev().find_map(|row| row.record.as_ref());
        let Some(record) = states.live.as_ref().or(last) else {
            return Ok(Limits::default());
        };
        if record.is_dir() || !self.plan.has_rules() {
            return Ok(Limits::default());
        }
        let path = self.places.path(self.zone, record).await?;
        Ok(path.map_or(Limits::default(), |path| self.plan.limits(&path)))
    }

    fn goes(&self, row: &Row, limits: Limits, newest: u64, pins: &Pins) -> bool {
        let old =
            row.end <= self.plan.floor || limits.ended_until.is_some_and(|end| row.end <= end);
        let many = limits
            .versions_max
            .is_some_and(|most| row.version.saturating_add(most) <= newest);
        !row.is_marker && (old || many) && !pins.need(row.since, row.end)
    }

    /// The version of the state that follows these, if there is one in history.
    async fn version_after(&self, rows: &[Row]) -> Result<Option<u64>> {
        let last = &rows[rows.len() - 1];
        let mut range = keys::inode_history_after(last.ino(), last.end);
        loop {
            let scan = Scan::forward(range.clone(), NEARBY);
            let (found, more) = self.nearby(scan).await?;
            if let Some(state) = found.iter().find(|row| !row.is_marker) {
                return Ok(Some(state.version));
            }
            match found.last().filter(|_| more) {
                Some(last) => range = keys::inode_history_after(last.ino(), last.end),
                None => return Ok(None),
            }
        }
    }

    /// The version of the state before these, if that stays. In a dry run one that would have
    /// gone a step earlier is still there.
    async fn version_before(
        &self,
        states: &States<'_>,
        limits: Limits,
        pins: &Pins,
    ) -> Result<Option<u64>> {
        let mut before = states.rows[0].end;
        loop {
            let range = keys::inode_history_before(states.rows[0].ino(), before);
            let (found, more) = self.nearby(Scan::backward(range, NEARBY)).await?;
            for row in found.iter().filter(|row| !row.is_marker) {
                let pins = match self.dry_run {
                    true => &self.pins_of(std::slice::from_ref(row)).await?,
                    false => pins,
                };
                if !self.dry_run || !self.goes(row, limits, states.newest, pins) {
                    return Ok(Some(row.version));
                }
            }
            match found.last().filter(|_| more) {
                Some(oldest) => before = oldest.end,
                None => return Ok(None),
            }
        }
    }

    pub(super) async fn nearby(&self, scan: Scan) -> Result<(Vec<Row>, bool)> {
        let page = self
            .zone
            .metastore
            .scan(scan, Freshness::Linearizable)
            .await?;
        let rows = page.entries.into_iter().map(Row::of_inode);
        Ok((rows.collect::<Result<_>>()?, page.more))
    }
}

/// The versions none of whose states among these stays, each with a state of it.
fn gone_versions<'r>(
    rows: &'r [Row],
    goes: &[bool],
) -> impl Iterator<Item = (u64, &'r InodeRecord)> {
    let states: Vec<(&Row, bool)> = rows
        .iter()
        .zip(goes.iter().copied())
        .filter(|(row, _)| !row.is_marker)
        .collect();
    let gone: Vec<_> = states
        .chunk_by(|(a, _), (b, _)| a.version == b.version)
        .filter(|states| states.iter().all(|(_, goes)| *goes))
        .filter_map(|states| Some((states[0].0.version, states[0].0.record.as_ref()?)))
        .collect();
    gone.into_iter()
}
