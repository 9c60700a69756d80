//! The names that go from history.

use nexus_kernel::{Entry, Guard, Kind, Op, Result, Revision};

use super::rows::Row;
use super::step::{Pass, Step};
use crate::keys;
use crate::records::{self, DentryRecord, Ended, unreadable};
use crate::types::At;
use crate::view::next_key;

/// States of one name read at a time.
const PAGE: usize = 100;

impl Pass<'_> {
    pub(super) async fn names(&self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        let rows = entries.into_iter().map(Row::plain);
        let rows: Vec<Row> = rows.collect::<Result<_>>()?;
        let pins = self.pins_of(&rows).await?;
        for row in rows {
            if row.end <= self.plan.floor && !pins.need(row.since, row.end) {
                step.remove(row.key);
            }
        }
        Ok(())
    }

    /// What was a name of an inode beyond its first is found by a row of its own, which goes with
    /// the last state in which the name led there.
    pub(super) async fn former_names(&self, entries: Vec<Entry>, step: &mut Step) -> Result<()> {
        // Written later, it stands for a state that ended later, or for a name that is there.
        let old = |entry: &Entry| entry.value.revision <= self.plan.floor;
        for entry in entries.into_iter().filter(old) {
            let (ino, parent, name) =
                keys::parse_former_name(&entry.key).ok_or_else(|| unreadable("former name"))?;
            if self.leads(parent, name, ino).await? || self.has_led(parent, name, ino).await? {
                continue;
            }
            // The name may come back, and go again.
            let guard = Guard::RevisionIs(entry.key.clone(), entry.value.revision);
            step.guards.push(guard);
            step.ops.push(Op::Delete(entry.key));
        }
        Ok(())
    }

    /// Whether a name leads to an inode today.
    async fn leads(&self, parent: u64, name: &str, ino: u64) -> Result<bool> {
        let view = self.zone.view(At::Latest).await?;
        match view.dentry(parent, name).await {
            Ok(found) => Ok(found.is_some_and(|(dentry, _)| dentry.ino == ino)),
            // In a fork that has gone, and what it was of is collected.
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a name led to an inode in a state that stays.
    async fn has_led(&self, parent: u64, name: &str, ino: u64) -> Result<bool> {
        let view = self.zone.view(At::Latest).await?;
        let mut range = keys::dentry_history_after(parent, name, Revision::ZERO);
        loop {
            let page = view.scan(range.clone(), PAGE).await?;
            if let Some(last) = page.entries.last() {
                range.start = next_key(&last.key);
            }
            let mut led = Vec::new();
            for entry in page.entries {
                let ended: Ended = records::decode(entry.value.bytes.clone())?;
                let dentry: DentryRecord = records::decode(ended.into_known())?;
                if dentry.ino == ino {
                    led.push(Row::plain(entry)?);
                }
            }
            let pins = self.pins_of(&led).await?;
            let stays = |row: &Row| row.end > self.plan.floor || pins.need(row.since, row.end);
            if led.iter().any(stays) {
                return Ok(true);
            }
            if !page.more {
                return Ok(false);
            }
        }
    }
}
