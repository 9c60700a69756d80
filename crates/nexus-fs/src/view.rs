//! Reading names and inodes: as they are, through the cache, or as they were at a revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{Error, Freshness, KeyRange, Result, Revision, Scan, Timestamp, Value};

use crate::cache::{CachedDentry, CachedInode, Ticket};
use crate::fork::is_forked;
use crate::keys;
use crate::records::{self, DentryRecord, Ended};
use crate::retention::collected;
use crate::snapshots::{SnapshotRecord, no_such_snapshot};
use crate::types::At;
use crate::undo::Regrown;
use crate::zone::Shared;

/// Fewest ended names that a listing of the past reads at a time.
const PAST_ROWS_MIN: usize = 100;

/// A state of the zone.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub zone: &'a Shared,
    /// The revision read as of; none for the latest.
    pub at: Option<Revision>,
    /// Reads past the cache: for a second attempt after a lost race.
    pub fresh: bool,
    /// Deleted trees that are shown as they were.
    pub regrown: Option<&'a Regrown>,
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub name: String,
    pub dentry: DentryRecord,
}

/// A state that a history row holds.
pub(crate) struct Past {
    pub since: Revision,
    pub record: Bytes,
}

/// What rows tell of a moment.
enum RowAt {
    Was(Past),
    WasNot,
    NoRow,
}

impl Shared {
    /// The state that `at` names.
    pub(crate) async fn view(&self, at: At) -> Result<View<'_>> {
        let at = match at {
            At::Latest => None,
            At::AtLeast(revision) => {
                self.check_reached(revision).await?;
                None
            }
            At::Revision(revision) => {
                self.check_readable(revision).await?;
                Some(revision)
            }
            At::Time(time) => Some(self.readable_at(time).await?),
            At::Ago(age) => {
                let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
                let then = self.config.clock.now().0.saturating_sub(age);
                Some(self.readable_at(Timestamp(then)).await?)
            }
            At::Operation(revision) => Some(self.operation(revision).await?),
            At::Snapshot(name) => Some(self.snapshot_revision(&name).await?),
        };
        Ok(View {
            zone: self,
            at,
            fresh: false,
            regrown: None,
        })
    }

    pub(crate) async fn check_reached(&self, revision: Revision) -> Result<()> {
        let newest = self.revision().await?;
        if revision <= newest {
            return Ok(());
        }
        Err(
            Error::invalid("that revision is still to come; ask for one that a write has returned")
                .with("revision", revision)
                .with("newest", newest),
        )
    }

    /// Refuses a revision that is still to come, or that history does not reach back to.
    pub(crate) async fn check_readable(&self, revision: Revision) -> Result<()> {
        self.check_reached(revision).await?;
        self.check_not_collected(revision).await
    }

    /// Where history begins: what was before has been collected, but for what is pinned.
    pub(crate) fn oldest_readable(&self) -> Revision {
        self.floor.get()
    }

    /// Refuses a revision before the oldest readable one, unless it is pinned. Who reads rows as
    /// of a revision asks after it has read them: what it needed was there if it still is.
    pub(crate) async fn check_not_collected(&self, revision: Revision) -> Result<()> {
        let floor = self.floor.get();
        if revision >= floor || self.is_pinned(revision).await? {
            return Ok(());
        }
        Err(collected(floor).with("revision", revision))
    }

    /// Whether something holds on to this very revision.
    async fn is_pinned(&self, revision: Revision) -> Result<bool> {
        let scan = Scan::forward(keys::pins_of(revision), 1);
        let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
        Ok(!page.entries.is_empty())
    }

    /// The revision of an operation, which must be one.
    async fn operation(&self, revision: Revision) -> Result<Revision> {
        self.check_readable(revision).await?;
        let before = Revision(revision.0.saturating_sub(1));
        match self.first_record_after(before, revision).await? {
            Some((found, _)) if found == revision => Ok(revision),
            _ => Err(Error::not_found(
                "there is no operation of this number; the log tells which there are",
            )
            .with("operation", revision)),
        }
    }

    async fn snapshot_revision(&self, name: &str) -> Result<Revision> {
        let found = self
            .metastore
            .get(&keys::snapshot(name), Freshness::Linearizable)
            .await?;
        let found = found.ok_or_else(|| no_such_snapshot(name))?;
        Ok(SnapshotRecord::decode_row(found)?.revision())
    }

    async fn readable_at(&self, time: Timestamp) -> Result<Revision> {
        let revision = self.revision_at(time).await?;
        self.check_readable(revision).await?;
        Ok(revision)
    }

    /// The last revision so long before `now`.
    pub(crate) async fn revision_before(&self, now: Timestamp, age: Duration) -> Result<Revision> {
        let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        self.revision_at(Timestamp(now.0.saturating_sub(age))).await
    }

    /// The last revision at or before `time`: a binary search over the operation log, whose
    /// times rise, but for changes that were under way together.
    async fn revision_at(&self, time: Timestamp) -> Result<Revision> {
        let newest = self.revision().await?;
        let (mut low, mut high) = (Revision::ZERO, newest);
        while low < high {
            let middle = Revision(low.0 + (high.0 - low.0) / 2);
            match self.first_record_after(middle, newest).await? {
                Some((revision, record)) if record.time <= time.0 => low = revision,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    async fn first_record_after(
        &self,
        after: Revision,
        until: Revision,
    ) -> Result<Option<(Revision, records::LogRecord)>> {
        let scan = Scan::forward(keys::log_between(after, until), 1);
        let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
        let Some(entry) = page.entries.into_iter().next() else {
            return Ok(None);
        };
        let revision = Revision(keys::last_number(&entry.key));
        Ok(Some((revision, records::decode(entry.value.bytes)?)))
    }

    fn count(&self, hit: bool) {
        let counters = &self.counters;
        let counter = if hit {
            &counters.hits
        } else {
            &counters.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'a> View<'a> {
    /// What a name points to.
    pub(crate) async fn dentry(&self, parent: u64, name: &str) -> Result<CachedDentry> {
        let Some(at) = self.at else {
            let found = self.latest_dentry(parent, name).await?;
            return match self.regrown.filter(|_| found.is_none()) {
                Some(regrown) => regrown.dentry(*self, parent, name).await,
                None => Ok(found),
            };
        };
        let live = self.get(&keys::dentry(parent, name)).await?;
        let range = keys::dentry_history_after(parent, name, at);
        match self.row_at(at, live, range).await? {
            RowAt::Was(past) => named(past.record, past.since),
            RowAt::WasNot => Ok(None),
            RowAt::NoRow => self.shown_dentry(parent, name).await,
        }
    }

    async fn latest_dentry(&self, parent: u64, name: &str) -> Result<CachedDentry> {
        let cache = &self.zone.cache;
        if !self.fresh
            && let Some(hit) = cache.dentry(parent, name)
        {
            self.zone.count(true);
            return Ok(hit);
        }
        self.zone.count(false);
        let ticket = cache.dentry_ticket(parent, name);
        let found = match self.get(&keys::dentry(parent, name)).await? {
            Some(value) => named(value.bytes, value.revision)?,
            None => self.shown_dentry(parent, name).await?,
        };
        cache.fill_dentry(&ticket, parent, name, found);
        Ok(found)
    }

    /// An inode.
    pub(crate) async fn inode(&self, ino: u64) -> Result<Option<Arc<CachedInode>>> {
        let Some(at) = self.at else {
            let found = self.latest_inode(ino).await?;
            return match (self.regrown, found) {
                (Some(regrown), None) => regrown.inode(*self, ino).await,
                (Some(regrown), Some(found)) => Ok(Some(regrown.with_names(ino, found))),
                (None, found) => Ok(found),
            };
        };
        let live = self.get(&keys::inode(ino)).await?;
        let range = keys::inode_history_after(ino, at);
        match self.row_at(at, live, range).await? {
            RowAt::Was(past) => stored_inode(past.record, past.since),
            RowAt::WasNot => Ok(None),
            RowAt::NoRow => self.shown_inode(ino).await,
        }
    }

    async fn latest_inode(&self, ino: u64) -> Result<Option<Arc<CachedInode>>> {
        if !self.fresh
            && let Some(hit) = self.zone.cache.inode(ino)
        {
            self.zone.count(true);
            return Ok(Some(hit));
        }
        self.zone.count(false);
        let ticket = self.zone.cache.inode_ticket(ino);
        let row = self.get(&keys::inode(ino)).await?;
        self.take_in(&ticket, ino, row).await
    }

    /// An inode by the row that was just read, which goes into the cache.
    async fn take_in(
        &self,
        ticket: &Ticket,
        ino: u64,
        row: Option<Value>,
    ) -> Result<Option<Arc<CachedInode>>> {
        let found = match row {
            Some(row) => stored_inode(row.bytes, row.revision)?,
            None => self.shown_inode(ino).await?,
        };
        if let Some(inode) = &found {
            self.zone.cache.fill_inode(ticket, ino, inode);
        }
        Ok(found)
    }

    /// Many inodes, in order; the latest ones in one call to the metastore.
    pub(crate) async fn inodes(&self, inos: &[u64]) -> Result<Vec<Option<Arc<CachedInode>>>> {
        if self.at.is_some() {
            let mut found = Vec::with_capacity(inos.len());
            for ino in inos {
                found.push(self.inode(*ino).await?);
            }
            return Ok(found);
        }
        let cache = &self.zone.cache;
        let mut found: Vec<_> = inos.iter().map(|ino| cache.inode(*ino)).collect();
        let missing: Vec<usize> = (0..inos.len()).filter(|i| found[*i].is_none()).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let tickets: Vec<_> = missing
            .iter()
            .map(|i| cache.inode_ticket(inos[*i]))
            .collect();
        let keys: Vec<Bytes> = missing.iter().map(|i| keys::inode(inos[*i])).collect();
        let values = self
            .zone
            .metastore
            .get_many(&keys, Freshness::Linearizable)
            .await?;
        for ((i, ticket), value) in missing.into_iter().zip(tickets).zip(values) {
            found[i] = self.take_in(&ticket, inos[i], value).await?;
        }
        Ok(found)
    }

    /// When a directory's entries last changed. Its own history is not kept: a view of the
    /// past does not know, and answers the epoch.
    pub(crate) async fn directory_time(&self, ino: u64) -> Result<i64> {
        if self.at.is_some() {
            return Ok(0);
        }
        if let Some(time) = self.zone.cache.time(ino) {
            return Ok(time);
        }
        let ticket = self.zone.cache.time_ticket(ino);
        let value = self.get(&keys::directory_time(ino)).await?;
        let time = match value {
            Some(v) => v.bytes.first_chunk().map_or(0, |b| i64::from_be_bytes(*b)),
            None => self.part(ino).await?.map_or(0, |part| part.record.time),
        };
        self.zone.cache.fill_time(&ticket, ino, time);
        Ok(time)
    }

    /// Up to `limit` names of a directory after `after`, and the name to go on after, if there
    /// may be more. Of the past none may be found on the way, so that no call is a long one.
    pub(crate) async fn children(
        &self,
        dir: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Child>, Option<String>)> {
        if let Some(regrown) = self.regrown
            && let Some(then) = regrown.then(*self, dir).await?
        {
            return Box::pin(then.children(dir, after, limit)).await;
        }
        if is_forked(dir) {
            return self.forked_children(dir, after, limit).await;
        }
        if let Some(at) = self.at {
            return self.past_children(dir, after, limit, at).await;
        }
        let page = self.scan(keys::dentries(dir, after), limit).await?;
        let entries = page.entries.into_iter();
        let children = entries.map(|entry| child(&entry.key, entry.value.bytes));
        let children: Vec<Child> = children.collect::<Result<_>>()?;
        let last = children.last().filter(|_| page.more);
        let last = last.map(|child| child.name.clone());
        Ok((children, last))
    }

    /// The names at `at` among a page of today's and a page of the ended ones, as far as both
    /// reach.
    async fn past_children(
        &self,
        dir: u64,
        after: Option<&str>,
        limit: usize,
        at: Revision,
    ) -> Result<(Vec<Child>, Option<String>)> {
        let page = self.scan(keys::dentries(dir, after), limit).await?;
        let last = page.entries.last().filter(|_| page.more);
        let last = match last {
            Some(entry) => Some(child(&entry.key, entry.value.bytes.clone())?.name),
            None => None,
        };
        let mut names = BTreeMap::new();
        for entry in page.entries.into_iter().filter(|e| e.value.revision <= at) {
            let child = child(&entry.key, entry.value.bytes)?;
            names.insert(child.name, child.dentry);
        }
        let rows = limit.max(PAST_ROWS_MIN);
        let end = self.merge_past(dir, after, rows, at, &mut names).await?;
        let mut last = last.into_iter().chain(end).min();
        let known = |name: &String| last.as_ref().is_none_or(|last| name <= last);
        let mut children = names
            .into_iter()
            .filter(|(name, _)| known(name))
            .map(|(name, dentry)| Child { name, dentry })
            .collect::<Vec<_>>();
        if children.len() > limit {
            children.truncate(limit);
            last = children.last().map(|child| child.name.clone());
        }
        Ok((children, last))
    }

    /// Adds the names that a page of ended ones tells were there at `at`; and answers the last
    /// name that it tells of, if there are more.
    async fn merge_past(
        &self,
        dir: u64,
        after: Option<&str>,
        rows: usize,
        at: Revision,
        merged: &mut BTreeMap<String, DentryRecord>,
    ) -> Result<Option<String>> {
        let page = self.scan(keys::dentries_history(dir, after), rows).await?;
        let mut last = None;
        for entry in page.entries {
            let parsed = keys::parse_dentry_history(&entry.key);
            let (name, end) = parsed.ok_or_else(|| records::unreadable("dentry history"))?;
            let ended: Ended = records::decode(entry.value.bytes)?;
            if end > at && ended.since <= at.0 {
                merged.insert(name.to_owned(), records::decode(ended.into_state(end)?)?);
            }
            last = Some(name.to_owned());
        }
        self.zone.check_not_collected(at).await?;
        let Some(last) = last.filter(|_| page.more) else {
            return Ok(None);
        };
        // What else ended under the last name may be on the next page.
        let range = keys::dentry_history_after(dir, &last, at);
        if let Some(past) = self.state_at(at, None, range).await? {
            merged.insert(last.clone(), records::decode(past.record)?);
        }
        Ok(Some(last))
    }

    /// As [`children`](Self::children), in a fork: what has a row is as the row says, and the
    /// rest as the origin shows it. Today some are found on the way, if there are any.
    async fn forked_children(
        &self,
        dir: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Child>, Option<String>)> {
        let mut after = after.map(str::to_owned);
        loop {
            let (children, last) = self.forked_page(dir, after.as_deref(), limit).await?;
            if self.at.is_some() || !children.is_empty() || last.is_none() {
                return Ok((children, last));
            }
            after = last;
        }
    }

    async fn forked_page(
        &self,
        dir: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Child>, Option<String>)> {
        let (shown, shown_to) = self.shown_children(dir, after, limit).await?;
        let page = self.scan(keys::dentries(dir, after), limit).await?;
        let mut written = BTreeSet::new();
        let mut of_rows = BTreeMap::new();
        let mut rows_to = None;
        for entry in page.entries {
            let holds = self.at.is_none_or(|at| entry.value.revision <= at);
            let Child { name, dentry } = child(&entry.key, entry.value.bytes)?;
            rows_to = Some(name.clone()).filter(|_| page.more);
            if holds && dentry.ino != 0 {
                of_rows.insert(name.clone(), dentry);
            }
            written.insert(name);
        }
        let rows = limit.max(PAST_ROWS_MIN);
        let ended_to = match self.at {
            Some(at) => self.merge_past(dir, after, rows, at, &mut of_rows).await?,
            None => None,
        };
        // What ever had a row has one still: it hides what the origin has.
        let unwritten = shown
            .into_iter()
            .filter(|child| !written.contains(&child.name));
        of_rows.extend(unwritten.map(|child| (child.name, child.dentry)));
        let mut last = [shown_to, rows_to, ended_to].into_iter().flatten().min();
        let known = |name: &String| last.as_ref().is_none_or(|last| name <= last);
        let mut children = of_rows
            .into_iter()
            .filter(|(name, _)| known(name))
            .map(|(name, dentry)| Child { name, dentry })
            .collect::<Vec<_>>();
        if children.len() > limit {
            children.truncate(limit);
            last = children.last().map(|child| child.name.clone());
        }
        Ok((children, last))
    }

    /// Which of a live value and the ended ones in `after_at` held at `at`.
    pub(crate) async fn state_at(
        &self,
        at: Revision,
        live: Option<Value>,
        after_at: KeyRange,
    ) -> Result<Option<Past>> {
        match self.row_at(at, live, after_at).await? {
            RowAt::Was(past) => Ok(Some(past)),
            RowAt::WasNot | RowAt::NoRow => Ok(None),
        }
    }

    /// As [`state_at`](Self::state_at), with the difference between what was not and what never
    /// was written. In a fork no row goes again, so without a live row there are no ended ones.
    async fn row_at(&self, at: Revision, live: Option<Value>, after_at: KeyRange) -> Result<RowAt> {
        let written = live.is_some();
        if let Some(live) = live
            && live.revision <= at
        {
            return Ok(RowAt::Was(Past {
                since: live.revision,
                record: live.bytes,
            }));
        }
        let page = self.scan(after_at, 1).await?;
        self.zone.check_not_collected(at).await?;
        let Some(entry) = page.entries.into_iter().next() else {
            return Ok(if written { RowAt::WasNot } else { RowAt::NoRow });
        };
        let end = Revision(keys::last_number(&entry.key));
        let ended: Ended = records::decode(entry.value.bytes)?;
        let since = Revision(ended.since);
        if since > at {
            return Ok(RowAt::WasNot);
        }
        let record = ended.into_state(end)?;
        Ok(RowAt::Was(Past { since, record }))
    }

    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.zone.metastore.get(key, Freshness::Linearizable).await
    }

    pub(crate) async fn scan(&self, range: KeyRange, limit: usize) -> Result<nexus_kernel::Page> {
        self.zone
            .metastore
            .scan(Scan::forward(range, limit), Freshness::Linearizable)
            .await
    }
}

/// What a row that may be a whiteout says of a name.
fn named(row: Bytes, since: Revision) -> Result<CachedDentry> {
    if row.is_empty() {
        return Ok(None);
    }
    Ok(Some((records::decode(row)?, since)))
}

/// What a row that may be a whiteout says of an inode.
fn stored_inode(row: Bytes, revision: Revision) -> Result<Option<Arc<CachedInode>>> {
    if row.is_empty() {
        return Ok(None);
    }
    let record = records::decode(row)?;
    Ok(Some(Arc::new(CachedInode { record, revision })))
}

fn child(key: &[u8], value: Bytes) -> Result<Child> {
    let name = key.get(9..).and_then(|name| std::str::from_utf8(name).ok());
    let name = name
        .ok_or_else(|| records::unreadable("dentry"))?
        .to_owned();
    Ok(Child {
        name,
        dentry: records::decode(value)?,
    })
}

/// The first key after `key`.
pub(crate) fn next_key(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}
