//! How the record of a commit lies in the store.
//!
//! Mostly it is one row. A value of the store is bounded and what a commit changes is much: the
//! undo of a run, a batch, a merge. Such a record goes on in further rows that the same commit
//! writes, so that it is there as a whole or not at all: the feed, the log and the state say the
//! same after any crash, without anything to be taken up again. (Commits that count as one step
//! only together would need all that.) Each row is a message of the same kind, and one after the
//! other they make the record as Protocol Buffers have it: lists go on where the row before ended.
//!
//! Only the first row is in the range of the log. It says how many follow; they are found by
//! their keys, and whoever needs no more than who and when does not read them.

use bytes::Bytes;
use nexus_kernel::{Freshness, Metastore, Result, Revision};
use prost::Message;
use prost::encoding::encoded_len_varint;

use super::{Record, change};
use crate::keys;
use crate::records::{self, LogRecord, unreadable};

#[cfg(test)]
mod tests;

/// Most rows of one record: with values of 1 MiB, 16 MiB, which doors still send whole.
pub(crate) const RECORD_ROWS_MAX: usize = 16;

/// Most bytes of first rows that are read at a time, but for the last of them. A row can have a
/// megabyte.
pub(crate) const HEADS_BYTES_MAX: usize = 1 << 20;

/// The first row of a record.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// With the changes that are in the first row.
    pub record: Record,
    /// How many rows follow.
    more: u32,
    /// How large it is, as stored.
    bytes: usize,
}

/// A record, and how large it is as stored.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub record: Record,
    pub bytes: usize,
}

/// Reads a row of the log.
pub(crate) fn decode(key: &[u8], value: Bytes) -> Result<Head> {
    let bytes = value.len();
    let record: LogRecord = records::decode(value)?;
    Ok(Head {
        more: record.more_rows,
        record: Record::new(Revision(keys::last_number(key)), record)?,
        bytes,
    })
}

impl Head {
    /// The record with all its rows; none if it has been collected since this one was read.
    ///
    /// # Errors
    ///
    /// `Corrupt` if rows are missing; whatever the store answers.
    pub(crate) async fn whole(self, metastore: &dyn Metastore) -> Result<Option<Whole>> {
        let Self {
            mut record,
            more,
            mut bytes,
        } = self;
        if more == 0 {
            return Ok(Some(Whole { record, bytes }));
        }
        let keys = keys_of_more(record.revision, more)?;
        let rows = metastore.get_many(&keys, Freshness::Linearizable).await?;
        for row in rows {
            let Some(row) = row else {
                return gone(metastore, record.revision).await;
            };
            bytes += row.bytes.len();
            let more: LogRecord = records::decode(row.bytes)?;
            record.about.extend(more.about.into_iter().map(Revision));
            for one in more.changes {
                let sequence = u32::try_from(record.changes.len()).unwrap_or(u32::MAX);
                record.changes.push(change((sequence, one))?);
            }
        }
        Ok(Some(Whole { record, bytes }))
    }
}

/// All rows of a record go in one commit, so with the first one the rest has gone too.
async fn gone(metastore: &dyn Metastore, revision: Revision) -> Result<Option<Whole>> {
    let key = keys::log(revision);
    match metastore.get(&key, Freshness::Linearizable).await? {
        None => Ok(None),
        Some(_) => Err(unreadable("further rows of a record of the log")),
    }
}

/// The keys of the rows that follow the first.
///
/// # Errors
///
/// `Corrupt` for more than a record can have.
pub(crate) fn keys_of_more(revision: Revision, more: u32) -> Result<Vec<Bytes>> {
    if more as usize >= RECORD_ROWS_MAX {
        return Err(unreadable("number of rows of a record of the log"));
    }
    Ok((1..=more)
        .map(|row| keys::log_more_at(row, revision))
        .collect())
}

/// A record is larger than the log tells of one commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooLong {
    pub bytes: usize,
    pub bytes_max: usize,
}

/// What the rows of a record hold, none of them more than `row_bytes_max`: one, but for a record
/// that is larger.
///
/// # Errors
///
/// For one that needs more than [`RECORD_ROWS_MAX`] rows.
pub(crate) fn split(record: LogRecord, row_bytes_max: usize) -> Result<Vec<Bytes>, TooLong> {
    let bytes = record.encoded_len();
    if bytes <= row_bytes_max {
        return Ok(vec![records::encode(&record)]);
    }
    let mut rows = Rows::begin(record, row_bytes_max);
    rows.fill();
    let rows = rows.done;
    if rows.len() > RECORD_ROWS_MAX {
        return Err(TooLong {
            bytes,
            bytes_max: RECORD_ROWS_MAX * row_bytes_max,
        });
    }
    Ok(rows.iter().map(records::encode).collect())
}

/// A record that is laid out in rows.
struct Rows {
    rest: LogRecord,
    done: Vec<LogRecord>,
    bytes_max: usize,
    /// What the last row still has room for.
    room: usize,
}

impl Rows {
    fn begin(mut record: LogRecord, bytes_max: usize) -> Self {
        let rest = LogRecord {
            changes: std::mem::take(&mut record.changes),
            about: std::mem::take(&mut record.about),
            ..LogRecord::default()
        };
        // As long as any number of rows.
        record.more_rows = u32::MAX;
        let mut rows = Self {
            rest,
            done: Vec::new(),
            bytes_max,
            room: 0,
        };
        rows.add(record);
        rows
    }

    fn add(&mut self, row: LogRecord) {
        // The list of revisions has one tag and one length in front.
        const LIST_BYTES: usize = 1 + 5;
        let taken = row.encoded_len() + LIST_BYTES;
        self.room = self.bytes_max.saturating_sub(taken);
        self.done.push(row);
    }

    fn fill(&mut self) {
        for about in std::mem::take(&mut self.rest.about) {
            self.make_room(encoded_len_varint(about));
            self.last().about.push(about);
        }
        for change in std::mem::take(&mut self.rest.changes) {
            let bytes = change.encoded_len();
            self.make_room(1 + encoded_len_varint(bytes as u64) + bytes);
            self.last().changes.push(change);
        }
        let more = self.done.len() - 1;
        self.done[0].more_rows = u32::try_from(more).unwrap_or(u32::MAX);
    }

    fn make_room(&mut self, bytes: usize) {
        if bytes > self.room {
            self.add(LogRecord::default());
        }
        self.room = self.room.saturating_sub(bytes);
    }

    fn last(&mut self) -> &mut LogRecord {
        self.done.last_mut().expect("it begins with one")
    }
}
