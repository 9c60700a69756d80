//! Reads what rows were since the operations that are to be undone first touched them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Error, Freshness, KeyRange, Page, Result, Revision, Scan};

use super::collect::{Name, Touched};
use super::timeline::{Known, Span, Timeline};
use crate::fork::is_forked;
use crate::keys;
use crate::records::{self, DentryRecord, Ended, InodeRecord, unreadable};
use crate::retention::collected;
use crate::tx::Tx;
use crate::view::{View, next_key};

/// History rows read at a time.
const PAGE: usize = 1_000;
/// And of their bytes, but for the last one.
const PAGE_BYTES: usize = 1 << 20;
/// Most states of one file that are looked at.
const STATES_MAX: usize = 100_000;
/// Most bytes of states, of all that is undone at once.
const BYTES_MAX: usize = 256 << 20;

/// A revision that no operation has.
const RETURN: Revision = Revision(u64::MAX - 1);

/// What touched rows were, and are.
#[derive(Default)]
pub(super) struct Rows {
    pub names: BTreeMap<Name, Timeline<DentryRecord>>,
    pub inodes: BTreeMap<u64, InodeRows>,
}

pub(super) struct InodeRows {
    pub states: Vec<Span<Known<InodeRecord>>>,
    pub timeline: Timeline<Known<InodeRecord>>,
    pub metadata: BTreeMap<String, Timeline<Known<Bytes>>>,
    /// The newest version there was.
    pub newest_version: u64,
    /// How large this is, as stored.
    bytes: usize,
    /// What is to be undone may have changed more than names.
    pub more_than_names: bool,
}

impl InodeRows {
    /// The states that are known, oldest first.
    pub(super) fn known(
        &self,
    ) -> impl DoubleEndedIterator<Item = (&InodeRecord, &Span<Known<InodeRecord>>)> {
        let states = self.states.iter();
        states.filter_map(|span| Some((span.value.value()?, span)))
    }

    /// The state to bring the inode back in: that before, or the last in which it had a name.
    pub(super) fn to_revive(&self) -> Option<&InodeRecord> {
        let before = self.timeline.before.as_ref().and_then(Known::value);
        let last = self.known().rev().map(|(record, _)| record);
        let mut states = before.into_iter().chain(last);
        states.find(|record| record.links > 0)
    }

    /// When the hole in history ends that a revision lies in.
    pub(super) fn hole_at(&self, revision: Revision) -> Option<Revision> {
        let holes = self
            .states
            .iter()
            .filter(|span| span.value.value().is_none());
        holes.fold(None, |known: Option<Revision>, span| match span.end {
            Some(end) if span.since <= known.unwrap_or(revision) && revision < end => Some(end),
            _ => known,
        })
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
        let mut replaced = BTreeSet::new();
        for (name, first) in &touched.names {
            let timeline = read_name(tx, name, *first).await?;
            add_inodes(&timeline, *first, &ours, &mut inodes, &mut replaced);
            rows.names.insert(name.clone(), timeline);
        }
        metadata.extend(&replaced);
        let named = rows.names.values().filter_map(|name| *name.now());
        let named = named.map(|dentry| dentry.ino);
        let all: Vec<u64> = inodes.keys().copied().chain(named).collect();
        tx.preload(all, []).await?;
        let mut bytes = 0;
        for (ino, first) in inodes {
            tx.session.check_goes_on()?;
            let more_than_names = touched.values.contains(&ino) || replaced.contains(&ino);
            let own = touched.inodes.get(&ino).copied();
            let mut found = read_inode(tx, ino, first, own.filter(|_| more_than_names)).await?;
            found.more_than_names = more_than_names;
            let foreign = |(revision, _): &(Revision, _)| !ours(*revision);
            let of_ours = metadata.contains(&ino);
            if of_ours || found.timeline.writes.iter().any(foreign) {
                let own = own.filter(|_| of_ours);
                let (metadata, more) = read_metadata(tx.view(), ino, first, own).await?;
                found.metadata = metadata;
                found.bytes += more;
            }
            bytes += found.bytes;
            check_bytes(bytes)?;
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
    replaced: &mut BTreeSet<u64>,
) {
    let mut before = timeline.before;
    for (revision, value) in &timeline.writes {
        if ours(*revision) {
            for dentry in before.iter().chain(value) {
                let known = inodes.entry(dentry.ino).or_insert(first);
                *known = first.min(*known);
            }
            let old = before.filter(|dentry| value.is_some_and(|new| new.ino != dentry.ino));
            replaced.extend(old.map(|dentry| dentry.ino));
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
    let ended: Ends<DentryRecord> = ended(tx.view(), range).await?;
    // No policy makes holes in the history of names.
    let spans = ended.spans.into_iter().map(|span| match span.value {
        Known::Is(value) => Ok(Span {
            since: span.since,
            end: span.end,
            value,
        }),
        Known::Collected => Err(collected(span.end.unwrap_or(span.since))),
    });
    let mut spans: Vec<Span<DentryRecord>> = spans.collect::<Result<_>>()?;
    let now = match tx.stored_name(name) {
        Some(stored) => Some(*stored),
        None => tx.view().dentry(name.0, &name.1).await?,
    };
    goes_on(&mut spans, now.as_ref().map(live));
    Ok(Timeline::new(&spans, first))
}

/// `own` is the first that is to be undone of the writes to the inode itself, if it may have
/// changed more than names: in a hole of history it is still known to be there.
pub(super) async fn read_inode(
    tx: &Tx<'_>,
    ino: u64,
    first: Revision,
    own: Option<Revision>,
) -> Result<InodeRows> {
    let range = keys::inode_history_after(ino, before(first));
    let ended: Ends<InodeRecord> = ended(tx.view(), range).await?;
    let mut states = divide_holes(ended.spans, own);
    let now = match tx.stored_inode(ino) {
        Some(stored) => Some(stored.clone()),
        None => {
            let inode = tx.view().inode(ino).await?;
            inode.map(|inode| (inode.record.clone(), inode.revision))
        }
    };
    let now = now.as_ref().map(live).map(|live| Span {
        since: live.since,
        end: live.end,
        value: Known::Is(live.value),
    });
    goes_on(&mut states, now);
    let versions = states.iter().filter_map(|span| span.value.value());
    let newest = versions.map(|record| record.version).max();
    Ok(InodeRows {
        timeline: Timeline::new(&states, first),
        newest_version: newest.unwrap_or_default().max(ended.collected_version),
        bytes: ended.bytes,
        states,
        metadata: BTreeMap::new(),
        more_than_names: true,
    })
}

/// Adds the present state. One that ended, and is shown as it was, comes back later by no operation.
fn goes_on<V>(spans: &mut Vec<Span<V>>, now: Option<Span<V>>) {
    let Some(mut now) = now else { return };
    if spans.last().is_some_and(|last| last.end > Some(now.since)) {
        now.since = RETURN;
    }
    spans.push(now);
}

/// Divides the hole that a write lies in, so that it is one of the writes that are told.
fn divide_holes<V>(spans: Vec<Span<Known<V>>>, own: Option<Revision>) -> Vec<Span<Known<V>>> {
    let Some(own) = own else { return spans };
    let divide = |span: Span<Known<V>>| {
        let is_within = span.since < own && span.end.is_some_and(|end| own < end);
        if span.value.value().is_some() || !is_within {
            return [Some(span), None];
        }
        let part = |since, end| Span {
            since,
            end,
            value: Known::Collected,
        };
        [Some(part(span.since, Some(own))), Some(part(own, span.end))]
    };
    spans.into_iter().flat_map(divide).flatten().collect()
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

/// Ended states, and the newest version of those that were collected.
struct Ends<M> {
    spans: Vec<Span<Known<M>>>,
    collected_version: u64,
    bytes: usize,
}

/// The ended states in a range, as their end is in the keys.
async fn ended<M: prost::Message + Default>(
    view: View<'_>,
    mut range: KeyRange,
) -> Result<Ends<M>> {
    let (mut spans, mut collected_version, mut bytes) = (Vec::new(), 0, 0);
    loop {
        let page = states(view, &range).await?;
        for entry in &page.entries {
            bytes += entry.value.bytes.len();
            let ended: Ended = records::decode(entry.value.bytes.clone())?;
            collected_version = collected_version.max(ended.collected().unwrap_or_default());
            spans.push(Span {
                since: Revision(ended.since),
                end: Some(Revision(keys::last_number(&entry.key))),
                value: match ended.collected() {
                    Some(_) => Known::Collected,
                    None => Known::Is(records::decode(ended.into_known())?),
                },
            });
        }
        check_states(spans.len())?;
        check_bytes(bytes)?;
        match page.entries.last().filter(|_| page.more) {
            Some(last) => range.start = next_key(&last.key),
            None => {
                return Ok(Ends {
                    spans,
                    collected_version,
                    bytes,
                });
            }
        }
    }
}

/// Some states of a range, however large they are.
async fn states(view: View<'_>, range: &KeyRange) -> Result<Page> {
    let scan = Scan::forward(range.clone(), PAGE).bytes_max(PAGE_BYTES);
    let metastore = &view.zone.metastore;
    metastore.scan(scan, Freshness::Linearizable).await
}

fn check_bytes(bytes: usize) -> Result<()> {
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit(
        "what these files were since is too much to be looked at at once; undo or restore fewer of them",
    )
    .with("history_bytes_max", BYTES_MAX))
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
    own: Option<Revision>,
) -> Result<(BTreeMap<String, Timeline<Known<Bytes>>>, usize)> {
    let (mut count, mut bytes) = (0, 0);
    let mut spans: BTreeMap<String, Vec<Span<Known<Bytes>>>> = BTreeMap::new();
    let mut range = keys::all_metadata_history(ino);
    loop {
        let page = states(view, &range).await?;
        for entry in &page.entries {
            let end = Revision(keys::last_number(&entry.key));
            if end < first {
                continue;
            }
            count += 1;
            bytes += entry.value.bytes.len();
            let key = &entry.key[9..entry.key.len() - 9];
            let key = std::str::from_utf8(key).map_err(|_| unreadable("metadata key"))?;
            let ended: Ended = records::decode(entry.value.bytes.clone())?;
            spans.entry(key.to_owned()).or_default().push(Span {
                since: Revision(ended.since),
                end: Some(end),
                value: match ended.collected() {
                    Some(_) => Known::Collected,
                    None => Known::Is(ended.into_known()),
                },
            });
        }
        check_states(count)?;
        check_bytes(bytes)?;
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
            value: Known::Is(entry.value.bytes),
        });
    }
    if let Some(regrown) = view.regrown
        && view.get(&keys::inode(ino)).await?.is_none()
        && let Some((_, then)) = regrown.inode_then(view, ino).await?
    {
        // What it had when it was deleted it has on.
        let all = spans.values_mut().filter_map(|spans| spans.last_mut());
        let had = all.filter(|last| last.since <= then && last.end > Some(then));
        had.for_each(|last| last.end = None);
    }
    let timelines = spans.into_iter().map(|(key, spans)| {
        let spans = divide_holes(spans, own);
        (key, Timeline::new(&spans, first))
    });
    let mut timelines = timelines.collect();
    if is_forked(ino) {
        add_shown(view, ino, first, &mut timelines).await?;
    }
    Ok((timelines, bytes))
}

/// Adds the values that a fork showed without rows, until the first of them changed.
async fn add_shown(
    view: View<'_>,
    ino: u64,
    first: Revision,
    timelines: &mut BTreeMap<String, Timeline<Known<Bytes>>>,
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
        timeline.before.get_or_insert(Known::Is(value));
    }
    for timeline in timelines.values_mut() {
        timeline.forget_repeated();
    }
    Ok(())
}
