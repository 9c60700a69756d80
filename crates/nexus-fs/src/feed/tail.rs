//! The newest end of the log, read and decoded once for all who follow it.
//!
//! One task reads: when somebody has asked for more than there is, it waits for the next commit,
//! reads what came and puts it on the ring. Readers take what they want from there in their own
//! time. Who is behind the ring reads the store until it has caught up. So nobody waits for a
//! slow reader, writers least of all, and a ring takes the same memory however many read.
//!
//! The segments of a ring follow each other without a gap: each begins where the one before it
//! ends, and holds every commit between its ends. A reader at a position takes the segment that
//! the position is in, or after which it comes, and then stands at that segment's end; so it
//! meets every commit, and each once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nexus_kernel::{Result, Revision};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::places::{Owner, Places};
use super::segment::Segment;
use crate::session::Session;
use crate::zone::Shared;

#[cfg(test)]
mod tests;

/// Most memory for what was read, about.
const WEIGHT_MAX: usize = 32 << 20;
/// How long the reader looks away after it told of something, for each who was told: waking all
/// of them for each commit would cost more than the commit.
const PAUSE_EACH: Duration = Duration::from_micros(15);
const PAUSE_MAX: Duration = Duration::from_millis(2);
/// Shorter than this is not worth a timer.
const PAUSE_MIN: Duration = Duration::from_micros(500);
/// How long the reader rests when the store failed.
const REST: Duration = Duration::from_secs(1);

/// The ring, and who follows it.
pub(crate) struct Tail {
    ring: Mutex<Ring>,
    /// Where the ring ends; wakes readers.
    end: watch::Sender<Revision>,
    /// Where those are who want more than there is.
    asked: Mutex<Option<Asked>>,
    asks: Notify,
    readers: Places,
    /// Up to here everything is known to be durable.
    durable: AtomicU64,
}

/// Positions that more is wanted from. The store has reached them.
#[derive(Clone, Copy, Debug)]
struct Asked {
    earliest: Revision,
    latest: Revision,
}

/// Consecutive segments, oldest first.
#[derive(Debug, Default)]
struct Ring {
    segments: VecDeque<Arc<Segment>>,
    /// Where the first begins.
    start: Revision,
    /// Where the last ends.
    end: Revision,
    weight: usize,
}

/// What the ring has for a reader.
#[derive(Debug)]
pub(super) enum Found {
    Segment(Arc<Segment>),
    /// It was dropped already.
    Behind,
    /// It is still to come.
    AtEnd,
}

impl Ring {
    fn find(&self, after: Revision) -> Found {
        if after < self.start {
            return Found::Behind;
        }
        let at = self.segments.partition_point(|one| one.until <= after);
        self.segments
            .get(at)
            .map_or(Found::AtEnd, |segment| Found::Segment(Arc::clone(segment)))
    }

    fn push(&mut self, segment: Segment) {
        debug_assert_eq!(segment.after, self.end, "a gap in the ring");
        self.end = segment.until;
        self.weight += segment.weight;
        self.segments.push_back(Arc::new(segment));
        while self.weight > WEIGHT_MAX && self.segments.len() > 1 {
            let oldest = self.segments.pop_front().expect("there is more than one");
            self.weight -= oldest.weight;
            self.start = oldest.until;
        }
    }

    /// Forgets everything, to go on at `end`.
    fn restart(&mut self, end: Revision) {
        *self = Self {
            start: end,
            end,
            ..Self::default()
        };
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            end: watch::Sender::new(Revision::ZERO),
            asked: Mutex::default(),
            asks: Notify::new(),
            readers: Places::default(),
            durable: AtomicU64::new(0),
        }
    }
}

/// One who follows; counted as long as it is held.
pub(super) struct Reader {
    zone: Arc<Shared>,
    owner: Owner,
    end: watch::Receiver<Revision>,
}

impl Reader {
    /// Begins to follow.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when as many do as may, or of the caller's.
    pub(super) fn new(session: &Session) -> Result<Self> {
        let zone = &session.zone;
        let owner = Owner::of(&session.context.principal);
        zone.tail.readers.take(&owner, zone.config.feeds_max)?;
        Ok(Self {
            zone: Arc::clone(zone),
            owner,
            end: zone.tail.end.subscribe(),
        })
    }

    pub(super) fn find(&self, after: Revision) -> Found {
        self.zone.tail.ring.lock().find(after)
    }

    /// Waits until the ring has something after `after`.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub(super) async fn more(&mut self, after: Revision) {
        self.zone.tail.ask(after);
        let more = self.end.wait_for(|end| *end > after).await;
        more.expect("the zone keeps the sender, and this the zone");
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let tail = &self.zone.tail;
        if tail.readers.give_back(&self.owner) == 0 {
            let mut ring = tail.ring.lock();
            let end = ring.end;
            ring.restart(end);
        }
    }
}

impl Tail {
    /// How many follow.
    pub(crate) fn readers(&self) -> usize {
        self.readers.taken()
    }

    fn ask(&self, after: Revision) {
        let mut asked = self.asked.lock();
        let others = asked.unwrap_or(Asked {
            earliest: after,
            latest: after,
        });
        *asked = Some(Asked {
            earliest: others.earliest.min(after),
            latest: others.latest.max(after),
        });
        drop(asked);
        self.asks.notify_one();
    }

    /// What was asked for since the last time.
    async fn next_ask(&self) -> Asked {
        loop {
            if let Some(asked) = self.asked.lock().take() {
                return asked;
            }
            self.asks.notified().await;
        }
    }

    fn end(&self) -> Revision {
        self.ring.lock().end
    }

    fn publish(&self, segment: Segment) {
        let end = segment.until;
        self.ring.lock().push(segment);
        self.end.send_replace(end);
    }

    fn restart(&self, end: Revision) {
        self.ring.lock().restart(end);
    }

    /// Where nobody has followed, what was before those who ask is not read: it need not even be
    /// kept any more.
    fn begin_at(&self, earliest: Revision) {
        let mut ring = self.ring.lock();
        if ring.segments.is_empty() && ring.end < earliest {
            ring.restart(earliest);
        }
    }

    /// How long to look away, for what was told to so many.
    fn pause(&self) -> Duration {
        let readers = u32::try_from(self.readers()).unwrap_or(u32::MAX);
        PAUSE_EACH.saturating_mul(readers).min(PAUSE_MAX)
    }
}

impl Shared {
    /// Waits until everything up to `until` is durable.
    pub(super) async fn make_durable(&self, until: Revision) -> Result<()> {
        if self.tail.durable.load(Ordering::Relaxed) < until.0 {
            let durable = self.metastore.sync().await?;
            self.tail.durable.fetch_max(durable.0, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Reads for everybody, until dropped.
pub(crate) async fn run(zone: Arc<Shared>) {
    loop {
        let asked = zone.tail.next_ask().await;
        if let Err(error) = read_on(&zone, asked).await {
            // Whoever waits looks at the store after a while, and is told.
            zone.tail.restart(asked.latest);
            tracing::warn!(?error, "the newest changes could not be read for the feeds");
            tokio::time::sleep(REST).await;
        }
        let pause = zone.tail.pause();
        if pause >= PAUSE_MIN {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Waits for a commit that changes the tree, and goes on until all who asked have something.
async fn read_on(zone: &Shared, asked: Asked) -> Result<()> {
    let tail = &zone.tail;
    tail.begin_at(asked.earliest);
    let mut end = tail.end();
    while tail.end() <= asked.latest {
        let newest = zone.metastore.changed(end).await?;
        let mut segment = zone.segment(end, newest).await?;
        end = segment.until;
        if end < asked.earliest {
            // Nobody has followed for a while: what lies between, nobody waits for.
            end = asked.earliest;
            tail.restart(end);
        } else if !segment.records.is_empty() {
            segment.after = tail.end();
            tail.publish(segment);
        }
    }
    Ok(())
}
