//! Reading the log: filtered, in pages, forwards and back.

use futures::StreamExt;
use futures::stream::BoxStream;
use nexus_kernel::{Error, Freshness, KeyRange, Result, Revision, Scan};

use super::{Change, ChangeKind, HEADS_BYTES_MAX, Head, Record, Whole, decode};
use crate::keys;
use crate::path;
use crate::session::Session;
use crate::types::At;

/// Rows read at a time.
const PAGE: usize = 32;
/// Most bytes of records, as stored, that a page of the log gathers.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Largest page of the log.
pub const LOG_LIMIT_MAX: usize = 10_000;
/// Most records a page may look through for its filters; past that it returns what it has
/// and a cursor.
const LOOK_MAX: usize = 50_000;

/// Which records to read: those that all of these hold for. A record matches if one of its
/// changes does, and is answered with all that the caller may see.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Changes of this path or below it (new or old path).
    pub path_prefix: Option<String>,
    /// Of one of these kinds; of any if there are none.
    pub kinds: Vec<ChangeKind>,
    /// By this actor, as `kind:id`.
    pub actor: Option<String>,
    /// For this principal, as `kind:id`.
    pub on_behalf_of: Option<String>,
    /// With the key of this public id.
    pub key_id: Option<String>,
    /// By this program.
    pub program: Option<String>,
    /// Of this agent run. Its operations are found by an index, however long the log is.
    pub session: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Of this operation as a whole: `undo`, `restore`, `merge`.
    pub operation: Option<String>,
    /// After this point.
    pub since: Option<At>,
    /// Up to and with this point.
    pub until: Option<At>,
    /// Backwards.
    pub newest_first: bool,
    /// Most records in the page; 0 stands for 100.
    pub limit: usize,
    /// The page that a page of the same query named as `next` or `previous`.
    pub cursor: Option<String>,
}

/// One page of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPage {
    /// The records, in the order asked for.
    pub records: Vec<Record>,
    /// The page after this one; none after the last.
    pub next: Option<String>,
    /// The page before this one; none before the first.
    pub previous: Option<String>,
}

impl Session {
    /// Reads the operation log.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad cursor, path or point, `LimitExceeded` for too large a page.
    pub async fn log(&self, query: LogQuery) -> Result<LogPage> {
        let limit = if query.limit == 0 { 100 } else { query.limit };
        if limit > LOG_LIMIT_MAX {
            return Err(
                Error::limit("a page of the log has at most 10000 records").with("limit", limit)
            );
        }
        let filter = Filter::new(&query)?;
        let mut rest = self.rest(&query).await?;
        let found = self.gather(&filter, &mut rest, limit).await?;
        Ok(rest.page(found))
    }

    /// Every record that matches, from the cursor on, as they are read.
    #[must_use]
    pub fn log_stream(&self, mut query: LogQuery) -> BoxStream<'static, Result<Record>> {
        let session = self.clone();
        let stream = async_stream::try_stream! {
            loop {
                let page = session.log(query.clone()).await?;
                for record in page.records {
                    yield record;
                }
                match page.next {
                    Some(next) => query.cursor = Some(next),
                    None => break,
                }
            }
        };
        stream.boxed()
    }

    async fn rest(&self, query: &LogQuery) -> Result<Rest> {
        let after = match &query.since {
            Some(at) => self.point(at).await?,
            None => Revision::ZERO,
        };
        let until = match &query.until {
            Some(at) => self.point(at).await?,
            None => Revision(u64::MAX - 1),
        };
        let mut rest = Rest {
            session: query.session.clone(),
            after,
            until,
            backward: query.newest_first,
            turned: false,
            goes_on: false,
        };
        if let Some(cursor) = &query.cursor {
            rest.go_to(parse_cursor(cursor)?);
        }
        Ok(rest)
    }

    async fn gather(&self, filter: &Filter<'_>, rest: &mut Rest, limit: usize) -> Result<Found> {
        let mut found = Found::default();
        let (mut looked, mut bytes) = (0, 0);
        loop {
            let (rows, more) = self.log_rows(rest).await?;
            let mut rows = rows.into_iter();
            while let Some(row) = rows.next() {
                let revision = row.record.revision;
                rest.goes_on_after(revision);
                looked += 1;
                found.reach(revision);
                if let Some(whole) = self.matching(filter, row).await? {
                    found.records.push(whole.record);
                    bytes += whole.bytes;
                }
                let full = found.records.len() >= limit || bytes >= PAGE_BYTES_MAX;
                if full || looked >= LOOK_MAX {
                    found.more = more || rows.len() > 0;
                    return Ok(found);
                }
            }
            self.check_goes_on()?;
            if !more {
                return Ok(found);
            }
        }
    }

    /// A few of the records that the query may be about.
    async fn log_rows(&self, rest: &Rest) -> Result<(Vec<Head>, bool)> {
        let metastore = &self.zone.metastore;
        let page = metastore.scan(rest.scan(), Freshness::Linearizable).await?;
        if rest.session.is_none() {
            let rows = page.entries.into_iter();
            let rows = rows.map(|entry| decode(&entry.key, entry.value.bytes));
            return Ok((rows.collect::<Result<_>>()?, page.more));
        }
        let revisions = page
            .entries
            .iter()
            .map(|entry| keys::last_number(&entry.key));
        let keys: Vec<_> = revisions.map(|r| keys::log(Revision(r))).collect();
        let values = metastore.get_many(&keys, Freshness::Linearizable).await?;
        // A record that has been collected leaves its entry of the index for a moment.
        let rows = keys.iter().zip(values);
        let rows = rows.filter_map(|(key, value)| Some(decode(key, value?.bytes)));
        Ok((rows.collect::<Result<_>>()?, page.more))
    }

    /// A record as the caller may see it, if it matches.
    async fn matching(&self, filter: &Filter<'_>, head: Head) -> Result<Option<Whole>> {
        if !filter.may_match(&head.record) {
            return Ok(None);
        }
        let Some(Whole { record, bytes }) = head.whole(&*self.zone.metastore).await? else {
            return Ok(None);
        };
        let seen = self.visible_part(record).await?;
        let fitting = seen.filter(|record| record.changes.iter().any(|one| filter.fits(one)));
        Ok(fitting.map(|record| Whole { record, bytes }))
    }
}

/// What was gathered on the way through the log.
#[derive(Default)]
struct Found {
    records: Vec<Record>,
    /// The first and the last record that was looked at.
    reached: Option<(Revision, Revision)>,
    more: bool,
}

impl Found {
    fn reach(&mut self, revision: Revision) {
        let (first, _) = self.reached.unwrap_or((revision, revision));
        self.reached = Some((first, revision));
    }
}

/// A place in the log, and which way a reader goes from there.
#[derive(Clone, Copy)]
struct Cursor {
    at: Revision,
    back: bool,
}

fn parse_cursor(cursor: &str) -> Result<Cursor> {
    let (back, digits) = match cursor.split_at_checked(1) {
        Some(("n", digits)) => (false, digits),
        Some(("p", digits)) => (true, digits),
        _ => (false, ""),
    };
    let at = digits.parse().map(Revision);
    at.map(|at| Cursor { at, back }).map_err(|_| {
        Error::invalid("unknown cursor; use one that a page of the log gave")
            .with("cursor", path::shown(cursor))
    })
}

/// The part of the log that a query has not read yet.
struct Rest {
    session: Option<String>,
    after: Revision,
    until: Revision,
    /// Newest first.
    backward: bool,
    /// Reads against the order asked for, towards the page before.
    turned: bool,
    /// There is a page on the side that this one comes from.
    goes_on: bool,
}

impl Rest {
    fn go_to(&mut self, cursor: Cursor) {
        self.turned = cursor.back;
        self.backward ^= cursor.back;
        self.goes_on = true;
        self.goes_on_after(cursor.at);
    }

    fn goes_on_after(&mut self, revision: Revision) {
        if self.backward {
            self.until = self.until.min(Revision(revision.0.saturating_sub(1)));
        } else {
            self.after = self.after.max(revision);
        }
    }

    fn scan(&self) -> Scan {
        let range = self.range();
        let scan = if self.backward {
            Scan::backward(range, PAGE)
        } else {
            Scan::forward(range, PAGE)
        };
        scan.bytes_max(HEADS_BYTES_MAX)
    }

    fn range(&self) -> KeyRange {
        let until = self.until.max(self.after);
        match &self.session {
            Some(session) => keys::session_log_between(session, self.after, until),
            None => keys::log_between(self.after, until),
        }
    }

    /// What was found, in the order asked for, with the pages on both sides.
    fn page(&self, mut found: Found) -> LogPage {
        let (first, last) = found.reached.unzip();
        let ahead = last.filter(|_| found.more);
        let behind = first.filter(|_| self.goes_on);
        let (next, previous) = if self.turned {
            found.records.reverse();
            (behind, ahead)
        } else {
            (ahead, behind)
        };
        LogPage {
            records: found.records,
            next: next.map(|at| format!("n{at}")),
            previous: previous.map(|at| format!("p{at}")),
        }
    }
}

/// A query without its place.
struct Filter<'q> {
    query: &'q LogQuery,
    prefix: Option<&'q str>,
}

impl<'q> Filter<'q> {
    fn new(query: &'q LogQuery) -> Result<Self> {
        let prefix = query.path_prefix.as_deref();
        let prefix = prefix.map(path::normalize).transpose()?;
        Ok(Self { query, prefix })
    }

    /// Whether who made the commit, and as what, is as asked.
    fn may_match(&self, record: &Record) -> bool {
        let query = self.query;
        let pairs = [
            (&query.on_behalf_of, &record.on_behalf_of),
            (&query.key_id, &record.key_id),
            (&query.program, &record.program),
            (&query.session, &record.session),
            (&query.request_id, &record.request_id),
            (&query.operation, &record.operation),
        ];
        let actor = query.actor.as_ref();
        actor.is_none_or(|actor| *actor == record.actor)
            && pairs
                .iter()
                .all(|(wanted, found)| wanted.is_none() || wanted == found)
    }

    fn fits(&self, change: &Change) -> bool {
        let within = |path: &str| {
            self.prefix
                .is_none_or(|prefix| path::is_within(path, prefix))
        };
        let kinds = &self.query.kinds;
        (kinds.is_empty() || kinds.contains(&change.kind))
            && (within(&change.path) || change.old_path.as_deref().is_some_and(within))
    }
}
