//! Reads what rows were since the operations that are to be undone first touched them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Error, KeyRange, Result, Revision};

use super::collect::{Name, Touched};
use super::timeline::{Span, Timeline};
use crate::fork::is_forked;
use crate::keys;
use crate::records::{self, DentryRecord, Ended, InodeRecord, unreadable};
use crate::tx::Tx;
use crate::view::{View, next_key};

/// History rows read at a time.
const PAGE: usize = 1_000;
/// Most states of one row that are looked at.
const STATES_MAX: usize = 100_000;

/// What touched rows were, and are.
#[derive(Default)]
pub(super) struct Rows {
    pub names: BTreeMap<Name, Timeline<DentryRecord>>,
    pub inodes: BTreeMap<u64, InodeRows>,
}

pub(super) struct InodeRows {
    pub states: Vec<Span<InodeRecord>>,
    pub timeline: Timeline<InodeRecord>,
    pub metadata: BTreeMap<String, Timeline<Bytes>>,
}

impl InodeRows {
    /// The newest state there was.
    pub(super) fn last(&self) -> Option<&InodeRecord> {
        self.states.last().map(|span| &span.value)
    }
}

impl Rows {
    /// Reads the touched rows; `ours` tells which writes are to be undone.
    pub(super) async fn load(
        tx: &mut Tx<'_>,
        touched: &Touched,
        ours: impl Fn(Revision) -> bool,
    ) -> Result<Self> {
        let mut rows = Self::default();
        let names = touched.names.keys().cloned();
        tx.preload(touched.inodes.keys().copied(), names).await?;
        let mut inodes = touched.inodes.clone();
        let mut metadata = touched.metadata.clone();
        for (name, first) in &touched.names {
            let timeline = read_name(tx, name, *first).await?;
            add_inodes(&timeline, *first, &ours, &mut inodes, &mut metadata);
            rows.names.insert(name.clone(), timeline);
        }
        let named = rows.names.values().filter_map(|name| *name.now());
        let named = named.map(|dentry| dentry.ino);
        let all: Vec<u64> = inodes.keys().copied().chain(named).collect();
        tx.preload(all, []).await?;
        for (ino, first) in inodes {
            tx.session.check_goes_on()?;
            let mut found = read_inode(tx, ino, first).await?;
            let foreign = |(revision, _): &(Revision, _)| !ours(*revision);
            if metadata.contains(&ino) || found.timeline.writes.iter().any(foreign) {
                found.metadata = read_metadata(tx.view(), ino, first).await?;
            }
            rows.inodes.insert(ino, found);
        }
        Ok(rows)
    }

    /// Every revision that wrote one of the rows.
    pub(super) fn revisions(&self) -> BTreeSet<Revision> {
        let names = self.names.values().flat_map(revisions);
        let inodes = self.inodes.values().flat_map(|inode| {
            let metadata = inode.metadata.values().flat_map(revisions);
            revisions(&inode.timeline).chain(metadata)
        });
        names.chain(inodes).collect()
    }
}

impl Timeline<DentryRecord> {
    /// Every inode that the name has named since just before the first write.
    pub(super) fn inos(&self) -> BTreeSet<u64> {
        let values = self.writes.iter().filter_map(|(_, value)| *value);
        let all = values.chain(self.before);
        all.map(|dentry| dentry.ino).collect()
    }
}

fn revisions<V>(timeline: &Timeline<V>) -> impl Iterator<Item = Revision> {
    timeline.writes.iter().map(|(revision, _)| *revision)
}

/// Adds the inodes that a name had to do with: what it named before, which an operation may
/// have replaced, and what they made it name.
fn add_inodes(
    timeline: &Timeline<DentryRecord>,
    first: Revision,
    ours: &impl Fn(Revision) -> bool,
    inodes: &mut BTreeMap<u64, Revision>,
    metadata: &mut BTreeSet<u64>,
) {
    let mut before = timeline.before;
    for (revision, value) in &timeline.writes {
        if ours(*revision) {
            for dentry in before.iter().chain(value) {
                let known = inodes.entry(dentry.ino).or_insert(first);
                *known = first.min(*known);
            }
            let replaced = before.filter(|dentry| value.is_some_and(|new| new.ino != dentry.ino));
            metadata.extend(replaced.map(|dentry| dentry.ino));
        }
        before = *value;
    }
}

pub(super) async fn read_name(
    tx: &Tx<'_>,
    name: &Name,
    first: Revision,
) -> Result<Timeline<DentryRecord>> {
    let range = keys::dentry_history_after(name.0, &name.1, before(first));
    let mut spans = ended(tx.view(), range).await?;
    let now = match tx.stored_name(name) {
        Some(stored) => Some(*stored),
        None => tx.view().dentry(name.0, &name.1).await?,
    };
    spans.extend(now.as_ref().map(live));
    Ok(Timeline::new(&spans, first))
}

pub(super) async fn read_inode(tx: &Tx<'_>, ino: u64, first: Revision) -> Result<InodeRows> {
    let range = keys::inode_history_after(ino, before(first));
    let mut states = ended(tx.view(), range).await?;
    let now = match tx.stored_inode(ino) {
        Some(stored) => Some(stored.clone()),
        None => {
            let inode = tx.view().inode(ino).await?;
            inode.map(|inode| (inode.record.clone(), inode.revision))
        }
    };
    states.extend(now.as_ref().map(live));
    Ok(InodeRows {
        timeline: Timeline::new(&states, first),
        states,
        metadata: BTreeMap::new(),
    })
}

fn live<M: Clone>((record, since): &(M, Revision)) -> Span<M> {
    Span {
        since: *since,
        end: None,
        value: record.clone(),
    }
}

pub(super) fn before(revision: Revision) -> Revision {
    Revision(revision.0.saturating_sub(1))
}

/// The ended states in a range, as their end is in the keys.
async fn ended<M: prost::Message + Default>(
    view: View<'_>,
    mut range: KeyRange,
) -> Result<Vec<Span<M>>> {
    let mut spans = Vec::new();
    loop {
        let page = view.scan(range.clone(), PAGE).await?;
        for entry in &page.entries {
            let ended: Ended = records::decode(entry.value.bytes.clone())?;
            let end = Revision(keys::last_number(&entry.key));
            spans.push(Span {
                since: Revision(ended.since),
                end: Some(end),
                value: records::decode(ended.into_state(end)?)?,
            });
        }
        check_states(spans.len())?;
        match page.entries.last().filter(|_| page.more) {
            Some(last) => range.start = next_key(&last.key),
            None => return Ok(spans),
        }
    }
}

fn check_states(states: usize) -> Result<()> {
    if states <= STATES_MAX {
        return Ok(());
    }
    Err(Error::limit(
        "a file has changed more than 100000 times since; roll it back to a version instead",
    ))
}

/// Every value of custom metadata that an inode has had since `first`.
async fn read_metadata(
    view: View<'_>,
    ino: u64,
    first: Revision,
) -> Result<BTreeMap<String, Timeline<Bytes>>> {
    let mut spans: BTreeMap<String, Vec<Span<Bytes>>> = BTreeMap::new();
    let mut range = keys::all_metadata_history(ino);
    loop {
        let page = view.scan(range.clone(), PAGE).await?;
        for entry in &page.entries {
            let end = Revision(keys::last_number(&entry.key));
            if end < first {
                continue;
            }
            let key = &entry.key[9..entry.key.len() - 9];
            let key = std::str::from_utf8(key).map_err(|_| unreadable("metadata key"))?;
            let ended: Ended = records::decode(entry.value.bytes.clone())?;
            spans.entry(key.to_owned()).or_default().push(Span {
                since: Revision(ended.since),
                end: Some(end),
                value: ended.into_state(end)?,
            });
        }
        check_states(spans.len())?;
        match page.entries.last().filter(|_| page.more) {
            Some(last) => range.start = next_key(&last.key),
            None => break,
        }
    }
    let live = view.scan(keys::all_metadata(ino), crate::steps::KEYS_MAX);
    for entry in live.await?.entries {
        let key = std::str::from_utf8(&entry.key[9..]);
        let key = key.map_err(|_| unreadable("metadata key"))?;
        spans.entry(key.to_owned()).or_default().push(Span {
            since: entry.value.revision,
            end: None,
            value: entry.value.bytes,
        });
    }
    let timelines = spans.into_iter();
    let timelines = timelines.map(|(key, spans)| (key, Timeline::new(&spans, first)));
    let mut timelines = timelines.collect();
    if is_forked(ino) {
        add_shown(view, ino, first, &mut timelines).await?;
    }
    Ok(timelines)
}

/// Adds the values that a fork showed without rows, until the first of them changed.
async fn add_shown(
    view: View<'_>,
    ino: u64,
    first: Revision,
    timelines: &mut BTreeMap<String, Timeline<Bytes>>,
) -> Result<()> {
    let Some(own) = view.get(&keys::own_metadata(ino)).await? else {
        return Ok(());
    };
    let then = View {
        at: Some(before(first)),
        ..view
    };
    for (key, value) in then.metadata_of(ino).await? {
        let timeline = timelines.entry(key).or_insert_with(|| Timeline {
            before: None,
            writes: vec![(own.revision, None)],
        });
        timeline.before.get_or_insert(value);
    }
    for timeline in timelines.values_mut() {
        timeline.forget_repeated();
    }
    Ok(())
}
