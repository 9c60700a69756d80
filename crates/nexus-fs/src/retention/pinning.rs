//! What must stay readable: the pins of snapshots and forks.

use std::collections::BTreeSet;

use bytes::Bytes;
use nexus_kernel::{Guard, Op, Result, Revision, Value};

use crate::keys;
use crate::records::{self, Pin};
use crate::tx::Tx;
use crate::types::At;
use crate::view::next_key;
use crate::zone::Shared;

/// Rows read at a time.
const PAGE: usize = 1_000;

/// The revisions within a span that are held on to.
#[derive(Default)]
pub(super) struct Pins(BTreeSet<u64>);

impl Pins {
    /// Reads those from `since` on and before `end`, but for the rows that are left out.
    ///
    /// Read after the rows whose states it is to keep: a snapshot pins the revision of its own
    /// commit, so that one whose pin is not there yet needs none of the states that have ended.
    pub(super) async fn read(
        zone: &Shared,
        span: (Revision, Revision),
        left_out: &BTreeSet<Bytes>,
    ) -> Result<Self> {
        Self::read_those(zone, span, left_out, |_| true).await
    }

    async fn read_those(
        zone: &Shared,
        (since, end): (Revision, Revision),
        left_out: &BTreeSet<Bytes>,
        counts: impl Fn(Pin) -> bool + Send,
    ) -> Result<Self> {
        let view = zone.view(At::Latest).await?;
        let mut range = keys::pins_between(since, end);
        let mut pins = BTreeSet::new();
        loop {
            let page = view.scan(range.clone(), PAGE).await?;
            for entry in page.entries {
                let pin: Pin = records::decode(entry.value.bytes)?;
                if counts(pin) && !left_out.contains(&entry.key) {
                    pins.insert(keys::pinned_revision(&entry.key).0);
                }
                range.start = next_key(&entry.key);
            }
            if !page.more {
                return Ok(Self(pins));
            }
        }
    }

    /// Whether a state that held in this span is needed.
    pub(super) fn need(&self, since: Revision, end: Revision) -> bool {
        since < end && self.0.range(since.0..end.0).next().is_some()
    }
}

/// Whether a pin is no longer needed once history begins at `floor`: its time has come, and
/// nothing in between is held in which it may still be needed.
pub(super) async fn has_lapsed(
    zone: &Shared,
    revision: Revision,
    pin: Pin,
    floor: Revision,
    left_out: &BTreeSet<Bytes>,
) -> Result<bool> {
    let stays = |pin: Pin| pin.until == 0 || pin.until > floor.0;
    if stays(pin) {
        return Ok(false);
    }
    let span = (revision.next(), Revision(pin.until).max(revision.next()));
    let between = Pins::read_those(zone, span, left_out, stays).await?;
    Ok(between.0.is_empty())
}

impl Tx<'_> {
    /// Holds on to a revision of the past, which must still be readable, by this pin. Pins of the
    /// past and steps of the collector insist on the same row, so that neither misses the other.
    pub(crate) async fn hold_revision(&mut self, revision: Revision, pin: Bytes) -> Result<()> {
        let collecting = self.collecting().await?;
        self.zone().check_readable(revision).await?;
        self.before_collection_goes_on(collecting);
        self.also(Op::Put(pin, records::encode(&Pin::default())));
        Ok(())
    }

    /// How far the collector is, to be read before what it must not pass over.
    pub(super) async fn collecting(&self) -> Result<Option<Value>> {
        self.view().get(keys::COLLECTING).await
    }

    /// Commits only if the collector has taken no step since, and has it look anew before its
    /// next one.
    pub(super) fn before_collection_goes_on(&mut self, collecting: Option<Value>) {
        let key = Bytes::from_static(keys::COLLECTING);
        let (guard, value) = match collecting {
            Some(row) => (Guard::RevisionIs(key.clone(), row.revision), row.bytes),
            None => (Guard::Absent(key.clone()), Bytes::new()),
        };
        self.insist(guard);
        self.also(Op::Put(key, value));
    }
}
