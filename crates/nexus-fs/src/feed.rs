//! The change feed: every commit once, in order, as it happens.
//!
//! The feed is the operation log read forwards, so nothing has to agree with it. It is pulled:
//! a [`Feed`] holds a position and reads what comes after it when it is asked to, so a slow
//! reader holds up nobody. Those at the newest end share what one task reads (`tail`).

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryFutureExt};
use nexus_kernel::{Error, Result, Revision};
use nexus_service_api::Action;
use tokio::time::Instant;

use crate::log::{ChangeKind, Record};
use crate::path::shown;
use crate::session::Session;
use crate::types::Ino;
use crate::zone::Shared;

mod cursors;
mod filter;
mod places;
mod position;
mod segment;
mod sight;
mod tail;

pub(crate) use cursors::check_row;
pub use cursors::{
    CURSOR_NAME_BYTES_MAX, CURSORS_LIMIT_MAX, CURSORS_MAX, CursorName, CursorOwner, CursorPage,
    FeedCursor,
};
pub use filter::FEED_PATTERNS_MAX;
pub use places::FEEDS_SHARE;
pub use position::FeedPosition;
pub(crate) use tail::{Tail, run};

use filter::Filter;
use segment::Segment;
use tail::{Found, Reader};

/// How often a feed that has nothing to tell looks whether its credential still holds, and
/// whether the store has something that its reader does not know of. One that has something
/// looks each time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Which changes to tell, and from where on. What is not given narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct FeedQuery {
    /// Only changes whose new or old path matches one of these globs; for a directory that went,
    /// moved or was copied, also when it holds a pattern's base. At most [`FEED_PATTERNS_MAX`].
    pub patterns: Vec<String>,
    /// Only changes of these kinds.
    pub kinds: Vec<ChangeKind>,
    /// Only by this actor, as `kind:id`.
    pub actor: Option<String>,
    /// Only of this agent run.
    pub session: Option<String>,
    /// The zone that is meant. A feed tells the changes of the caller's, and of no other.
    pub zone: Option<String>,
    /// Where to begin.
    pub start: FeedStart,
    /// Tells only what is durable, so that no loss of power takes back what was told. Costs a
    /// flush for what is told of others who write without waiting for theirs.
    pub durable: bool,
}

/// Where a feed begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FeedStart {
    /// With what happens from now on.
    #[default]
    Now,
    /// After a position.
    After(FeedPosition),
    /// Where a cursor is.
    Cursor(CursorName),
}

impl From<Revision> for FeedStart {
    /// After all of a commit.
    fn from(revision: Revision) -> Self {
        Self::After(revision.into())
    }
}

/// The changes of a zone as one caller sees them, from a position on.
///
/// It is pulled from: what is not asked for is not read, and takes no memory.
pub struct Feed {
    session: Session,
    filter: Filter,
    durable: bool,
    position: FeedPosition,
    reader: Reader,
}

/// What [`Feed::next`] tells: the changes of some commits, in order.
#[derive(Clone, Debug)]
pub struct FeedBatch {
    segment: Arc<Segment>,
    /// What this caller is told, if that is not all of the segment.
    part: Option<Vec<Record>>,
}

impl Session {
    /// Opens the change feed.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a pattern that is malformed or a position that is still to come,
    /// `NotFound` for a position whose changes are kept no longer, with the `oldest_readable`
    /// revision; `PermissionDenied` for another zone than the caller's; `LimitExceeded` for too
    /// many patterns or too many feeds, of all or of the caller's key; what
    /// [`cursor`](Self::cursor) answers.
    pub async fn feed(&self, query: FeedQuery) -> Result<Feed> {
        self.permit(Action::Stat, "/", &[Ino::ROOT.0]).await?;
        self.check_zone(query.zone.as_deref())?;
        let filter = Filter::new(&query)?;
        let reader = Reader::new(self)?;
        let position = match query.start {
            FeedStart::Now => self.zone.revision().await?.into(),
            FeedStart::After(position) => position,
            FeedStart::Cursor(name) => self.cursor(&name).await?.position,
        };
        self.zone.check_position(position).await?;
        Ok(Feed {
            session: self.clone(),
            filter,
            durable: query.durable,
            position,
            reader,
        })
    }

    fn check_zone(&self, zone: Option<&str>) -> Result<()> {
        let own = &self.context.principal.zone;
        match zone {
            Some(zone) if zone != own => Err(Error::denied(
                "your key opens the feed of its own zone only; use a key of the zone you ask for",
            )
            .with("zone", shown(zone))),
            _ => Ok(()),
        }
    }

    /// The change feed commit by commit: [`feed`](Self::feed), and then each commit that it
    /// tells of. Ends only with an error, or when dropped.
    #[must_use]
    pub fn watch(&self, query: FeedQuery) -> BoxStream<'static, Result<Record>> {
        let session = self.clone();
        let opened = async move { session.feed(query).await.map(Feed::records) };
        opened.try_flatten_stream().boxed()
    }
}

impl Feed {
    /// Where it is: everything up to here was told, or is not asked for.
    #[must_use]
    pub fn position(&self) -> FeedPosition {
        self.position
    }

    /// The next changes, at least one; waits until there are some.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` when the credential has ended; `NotFound` when it has fallen behind what
    /// is kept, with the `oldest_readable` revision; whatever the store answers.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will: what was not returned comes again.
    pub async fn next(&mut self) -> Result<FeedBatch> {
        loop {
            if let Some(batch) = self.next_within(LOOK_EVERY).await? {
                return Ok(batch);
            }
        }
    }

    /// The next changes, if there are some or come within that time. None when there are not, and
    /// when so long a part of the log had none that is asked for: then
    /// [`position`](Self::position) is further.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As [`next`](Self::next).
    pub async fn next_within(&mut self, wait: Duration) -> Result<Option<FeedBatch>> {
        let until = Instant::now() + wait;
        while let Some(segment) = self.read(until).await? {
            let batch = self.told(segment).await?;
            let (end, is_empty) = (batch.segment.until, batch.records().is_empty());
            if self.durable && !is_empty {
                self.session.zone.make_durable(end).await?;
            }
            self.position = self.position.max(end.into());
            if !is_empty {
                return Ok(Some(batch));
            }
            if Instant::now() >= until + LOOK_EVERY {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The changes commit by commit. Ends only with an error, or when dropped.
    #[must_use]
    pub fn records(mut self) -> BoxStream<'static, Result<Record>> {
        let stream = async_stream::try_stream! {
            loop {
                for record in self.next().await?.into_records() {
                    yield record;
                }
            }
        };
        stream.boxed()
    }

    /// The commits after the position; waits for some, for as long as the caller's credential is
    /// in force.
    async fn read(&mut self, until: Instant) -> Result<Option<Arc<Segment>>> {
        let after = self.position.whole_until();
        loop {
            self.session
                .permit(Action::Stat, "/", &[Ino::ROOT.0])
                .await?;
            match self.reader.find(after) {
                Found::Segment(segment) => return Ok(Some(segment)),
                Found::Behind => return self.stored(after).await.map(Some),
                Found::AtEnd => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            let more = tokio::time::timeout(left.min(LOOK_EVERY), self.reader.more(after));
            if more.await.is_ok() {
                continue;
            }
            // Nobody may have read it for the ring yet.
            if self.session.zone.revision().await? > after {
                return self.stored(after).await.map(Some);
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    async fn stored(&self, after: Revision) -> Result<Arc<Segment>> {
        let zone = &self.session.zone;
        let newest = zone.revision().await?;
        zone.own_segment(after, newest).await.map(Arc::new)
    }

    /// The part of a segment that is after the position, visible and asked for.
    async fn told(&self, segment: Arc<Segment>) -> Result<FeedBatch> {
        let sees_all = self.session.sees_all().await?;
        let first = segment.records.first();
        let is_new = first.is_none_or(|record| self.position.is_before(record.revision, 0));
        if sees_all && is_new && self.filter.is_open() {
            return Ok(FeedBatch {
                segment,
                part: None,
            });
        }
        let mut part = Vec::new();
        for record in &segment.records {
            part.extend(self.part_of(record, sees_all).await?);
        }
        Ok(FeedBatch {
            segment,
            part: Some(part),
        })
    }

    async fn part_of(&self, record: &Record, sees_all: bool) -> Result<Option<Record>> {
        if !self.filter.takes_maker(record) {
            return Ok(None);
        }
        // What the caller may know of a change is at its new or old path, so nothing that will
        // pass is left out here, and little that will not is copied.
        let changes = record.changes.iter().filter(|change| {
            self.position.is_before(record.revision, change.sequence)
                && self.filter.takes_place(change)
        });
        let changes: Vec<_> = changes.cloned().collect();
        if changes.is_empty() {
            return Ok(None);
        }
        let record = record.with_changes(changes);
        let seen = match sees_all {
            true => Some(record),
            false => self.session.visible_part(record).await?,
        };
        let asked_for = seen.map(|mut record| {
            let filter = &self.filter;
            let passes = |change: &_| filter.takes_place(change) && filter.takes_kind(change);
            record.changes.retain(passes);
            record
        });
        Ok(asked_for.filter(|record| !record.changes.is_empty()))
    }
}

impl Shared {
    /// Refuses a position that is still to come, and one whose changes are kept no longer.
    async fn check_position(&self, position: FeedPosition) -> Result<()> {
        self.check_reached(position.revision).await?;
        self.check_kept(position.whole_until())
    }
}

impl FeedBatch {
    /// The commits, each with what the caller is told of it.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.part.as_deref().unwrap_or(&self.segment.records)
    }

    /// Where to go on after it.
    #[must_use]
    pub fn position(&self) -> FeedPosition {
        self.segment.until.into()
    }

    /// The value that `make` makes of the commits. Where callers are told the same, it is made
    /// once for all of them: so `make` must go by nothing but the commits, and be the only one
    /// for its type.
    pub fn derived<T: Send + Sync + 'static>(&self, make: impl FnOnce(&[Record]) -> T) -> Arc<T> {
        match &self.part {
            Some(part) => Arc::new(make(part)),
            None => self.segment.derived(make),
        }
    }

    fn into_records(self) -> Vec<Record> {
        self.part.unwrap_or_else(|| self.segment.records.clone())
    }
}
