//! Durable names for how far consumers of the change feed have come.
//!
//! A cursor belongs to the principal that made it. Its consumer handles what a feed tells, and
//! then acknowledges it; after a stop it goes on at the cursor. So it meets every change at least
//! once, and exactly once where it keeps what it made of the changes and the position together.

use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, Freshness, Guard, KeyRange, Op, Result, Revision, Scan, Timestamp,
    Txn, Value,
};
use nexus_service_api::Action;
use prost::Message;

use super::FeedPosition;
use crate::keys;
use crate::path::shown;
use crate::records;
use crate::session::Session;
use crate::types::Ino;
use crate::view::next_key;

mod name;

pub use name::{CURSOR_NAME_BYTES_MAX, CursorName};

/// Most cursors of one principal.
pub const CURSORS_MAX: u32 = 256;
/// Most cursors in a page of them.
pub const CURSORS_LIMIT_MAX: usize = 1_000;
/// How often a change of a cursor that others change too is tried.
const ATTEMPTS_MAX: usize = 32;

/// How far a consumer of the change feed has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedCursor {
    /// Its name, unique among those of its owner.
    pub name: String,
    /// The principal it belongs to, as `kind:id`.
    pub owner: String,
    /// Everything up to here was acknowledged.
    pub position: FeedPosition,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last moved.
    pub moved: Timestamp,
}

/// One page of cursors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorPage {
    /// By owner and name.
    pub cursors: Vec<FeedCursor>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// Whose cursors to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CursorOwner {
    /// The caller's.
    #[default]
    Caller,
    /// This principal's, as `kind:id`.
    Principal(String),
    /// Everybody's.
    Anyone,
}

/// A stored cursor.
#[derive(Clone, PartialEq, prost::Message)]
struct CursorRecord {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(uint32, optional, tag = "2")]
    sequence: Option<u32>,
    #[prost(sfixed64, tag = "3")]
    created: i64,
    #[prost(sfixed64, tag = "4")]
    moved: i64,
    /// The zone that the position is one of.
    #[prost(string, tag = "5")]
    zone: String,
}

/// What is stored of an owner.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct OwnerRecord {
    #[prost(uint32, tag = "1")]
    cursors: u32,
}

/// Whether a row, with its key, is one of a cursor or its owner, at a position that there is; if
/// not, why.
pub(crate) fn check_row(key: &[u8], value: &Bytes, end: Revision) -> Result<(), &'static str> {
    let unreadable = "a record that cannot be read";
    let text = std::str::from_utf8(key).map_err(|_| "a name that is not UTF-8")?;
    let (owner, name) = text[1..].split_once('\0').ok_or("no end of its owner")?;
    if owner.is_empty() || owner.contains(char::is_control) {
        return Err("a cursor of nobody");
    }
    if name.is_empty() {
        let record = OwnerRecord::decode(value.clone()).map_err(|_| unreadable)?;
        return match record.cursors <= CURSORS_MAX {
            true => Ok(()),
            false => Err("more cursors than can be"),
        };
    }
    if !name::is_name(name) {
        return Err("a name that no cursor can have");
    }
    let record = CursorRecord::decode(value.clone()).map_err(|_| unreadable)?;
    match record.revision <= end.0 {
        true => Ok(()),
        false => Err("a revision that the archive does not have"),
    }
}

/// What a cursor is moved for.
#[derive(Clone, Copy)]
enum Move {
    Acknowledge,
    Rewind,
}

impl Session {
    /// Makes a cursor at a position, or where the feed is now. One that was made in another zone
    /// gives way to it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when there is one, `LimitExceeded` when the owner has [`CURSORS_MAX`],
    /// `PermissionDenied` for another principal's without admin rights, `InvalidArgument` for a
    /// position that is still to come, `NotFound` for one that is kept no longer.
    pub async fn create_cursor(
        &self,
        name: &CursorName,
        at: Option<FeedPosition>,
    ) -> Result<FeedCursor> {
        let owner = self.cursor_owner(name).await?;
        let position = match at {
            None => self.zone.revision().await?.into(),
            Some(position) => position,
        };
        self.zone.check_position(position).await?;
        let now = self.now().0;
        let record = CursorRecord {
            revision: position.revision.0,
            sequence: position.sequence,
            created: now,
            moved: now,
            zone: self.context.principal.zone.clone(),
        };
        let row = keys::cursor(&owner, &name.name);
        for _ in 0..ATTEMPTS_MAX {
            let (count, owned) = self.cursors_of(&owner).await?;
            let (guard, owns) = match self.row(&row).await? {
                None => (Guard::Absent(row.clone()), owned + 1),
                Some(found) if self.is_of_this_zone(&records::decode(found.bytes.clone())?) => {
                    return Err(Error::already_exists(
                        "there is a cursor of that name; use it, or take another name",
                    )
                    .with("cursor", name));
                }
                Some(found) => (Guard::RevisionIs(row.clone(), found.revision), owned),
            };
            if owns > CURSORS_MAX {
                return Err(
                    Error::limit("delete a cursor that is not needed any more first")
                        .with("cursors_max", CURSORS_MAX),
                );
            }
            let guards = vec![count, guard];
            let ops = vec![
                owner_row(&owner, owns),
                Op::Put(row.clone(), records::encode(&record)),
            ];
            if self.applied(guards, ops, Durability::Sync).await? {
                return Ok(cursor(owner, name.name.clone(), &record));
            }
        }
        Err(contended(name))
    }

    /// How far a consumer has come.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such cursor; `PermissionDenied` for another principal's without
    /// admin rights, and for one that was made in another zone.
    pub async fn cursor(&self, name: &CursorName) -> Result<FeedCursor> {
        let owner = self.cursor_owner(name).await?;
        let (_, record) = self.stored_cursor(&owner, name).await?;
        Ok(cursor(owner, name.name.clone(), &record))
    }

    /// Lists cursors, `limit` at most, on from where the page before ended.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` for other principals' without admin rights, `LimitExceeded` for too
    /// large a page, `InvalidArgument` for a cursor of pages that no page gave.
    pub async fn cursors(
        &self,
        of: &CursorOwner,
        limit: usize,
        after: Option<&str>,
    ) -> Result<CursorPage> {
        if !(1..=CURSORS_LIMIT_MAX).contains(&limit) {
            return Err(Error::limit("ask for 1 to 1000 cursors at a time").with("limit", limit));
        }
        let mut range = match of {
            CursorOwner::Caller => keys::cursors(&self.owner_of(None).await?),
            CursorOwner::Principal(owner) => keys::cursors(&self.owner_of(Some(owner)).await?),
            CursorOwner::Anyone => {
                self.administer().await?;
                KeyRange::prefix(keys::all_cursors())
            }
        };
        if let Some(after) = after {
            range.start = next_key(&after_page(after)?).max(range.start);
            range.end = range.end.max(range.start.clone());
        }
        self.page_of_cursors(range, limit).await
    }

    /// Notes that everything up to a position has been handled. Once it is past it already, and
    /// with [`rewind_cursor`](Self::rewind_cursor) alone can it go back.
    ///
    /// # Errors
    ///
    /// `Conflict` when the cursor is further than that, with where it is; `InvalidArgument` for a
    /// position that is still to come; otherwise as [`cursor`](Self::cursor).
    pub async fn acknowledge(
        &self,
        name: &CursorName,
        until: FeedPosition,
        durability: Durability,
    ) -> Result<FeedCursor> {
        self.move_cursor(name, until, durability, Move::Acknowledge)
            .await
    }

    /// Takes a cursor back, or forward, to any position whose changes are kept.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a position that is still to come, `NotFound` for one whose changes
    /// are kept no longer; otherwise as [`cursor`](Self::cursor).
    pub async fn rewind_cursor(&self, name: &CursorName, to: FeedPosition) -> Result<FeedCursor> {
        self.move_cursor(name, to, Durability::Sync, Move::Rewind)
            .await
    }

    /// Forgets how far a consumer has come, in whichever zone.
    ///
    /// # Errors
    ///
    /// As [`cursor`](Self::cursor), but for another zone.
    pub async fn delete_cursor(&self, name: &CursorName) -> Result<()> {
        let owner = self.cursor_owner(name).await?;
        for _ in 0..ATTEMPTS_MAX {
            let (count, owned) = self.cursors_of(&owner).await?;
            let key = keys::cursor(&owner, &name.name);
            let row = self.row(&key).await?.ok_or_else(|| no_such_cursor(name))?;
            let guards = vec![count, Guard::RevisionIs(key.clone(), row.revision)];
            let ops = vec![owner_row(&owner, owned.saturating_sub(1)), Op::Delete(key)];
            if self.applied(guards, ops, Durability::Sync).await? {
                return Ok(());
            }
        }
        Err(contended(name))
    }

    async fn move_cursor(
        &self,
        name: &CursorName,
        to: FeedPosition,
        durability: Durability,
        why: Move,
    ) -> Result<FeedCursor> {
        let owner = self.cursor_owner(name).await?;
        match why {
            Move::Acknowledge => self.zone.check_reached(to.revision).await?,
            Move::Rewind => self.zone.check_position(to).await?,
        }
        for _ in 0..ATTEMPTS_MAX {
            let (row, mut record) = self.stored_cursor(&owner, name).await?;
            let is = position(&record);
            if matches!(why, Move::Acknowledge) && is > to {
                return Err(Error::conflict(
                    "the cursor is further than that already; to go back, rewind it",
                )
                .with("cursor", name)
                .with("position", is));
            }
            if is != to {
                record.revision = to.revision.0;
                record.sequence = to.sequence;
                record.moved = self.now().0;
            }
            let key = keys::cursor(&owner, &name.name);
            let guards = vec![Guard::RevisionIs(key.clone(), row.revision)];
            let ops = vec![Op::Put(key, records::encode(&record))];
            // What is there already is written once more: it may not be durable yet.
            if self.applied(guards, ops, durability).await? {
                return Ok(cursor(owner, name.name.clone(), &record));
            }
        }
        Err(contended(name))
    }

    /// The owner that a name is meant of, if the caller may use that one's cursors.
    async fn cursor_owner(&self, name: &CursorName) -> Result<String> {
        self.owner_of(name.owner.as_deref()).await
    }

    async fn owner_of(&self, owner: Option<&str>) -> Result<String> {
        self.permit(Action::Stat, "/", &[Ino::ROOT.0]).await?;
        let caller = self.actor();
        let owner = owner.unwrap_or(&caller);
        if owner != caller {
            self.administer().await?;
        }
        Ok(owner.to_owned())
    }

    async fn stored_cursor(&self, owner: &str, name: &CursorName) -> Result<(Value, CursorRecord)> {
        let row = self.row(&keys::cursor(owner, &name.name)).await?;
        let row = row.ok_or_else(|| no_such_cursor(name))?;
        let record: CursorRecord = records::decode(row.bytes.clone())?;
        if !self.is_of_this_zone(&record) {
            return Err(Error::denied(
                "the cursor is of another zone, whose revisions may mean nothing here; make it anew in this zone",
            )
            .with("cursor", name));
        }
        Ok((row, record))
    }

    fn is_of_this_zone(&self, record: &CursorRecord) -> bool {
        record.zone == self.context.principal.zone
    }

    /// How many cursors an owner has, and the guard that it stays so.
    async fn cursors_of(&self, owner: &str) -> Result<(Guard, u32)> {
        let key = keys::cursor_owner(owner);
        let Some(row) = self.row(&key).await? else {
            return Ok((Guard::Absent(key), 0));
        };
        let record: OwnerRecord = records::decode(row.bytes)?;
        Ok((Guard::RevisionIs(key, row.revision), record.cursors))
    }

    async fn page_of_cursors(&self, range: KeyRange, limit: usize) -> Result<CursorPage> {
        let metastore = &self.zone.metastore;
        let mut page = CursorPage {
            cursors: Vec::new(),
            next: None,
        };
        let mut scan = Scan::forward(range, limit + 1);
        loop {
            let rows = metastore
                .scan(scan.clone(), Freshness::Linearizable)
                .await?;
            for row in &rows.entries {
                let Some((owner, name)) = keys::parse_cursor(&row.key) else {
                    continue;
                };
                if page.cursors.len() == limit {
                    let last = page.cursors.last().expect("a page is not empty");
                    page.next = Some(format!("{}/{}", last.owner, last.name));
                    return Ok(page);
                }
                let record = records::decode(row.value.bytes.clone())?;
                page.cursors
                    .push(cursor(owner.to_owned(), name.to_owned(), &record));
            }
            match rows.entries.last() {
                Some(last) if rows.more => scan.range.start = next_key(&last.key),
                _ => return Ok(page),
            }
        }
    }

    async fn row(&self, key: &[u8]) -> Result<Option<Value>> {
        self.zone.metastore.get(key, Freshness::Linearizable).await
    }

    /// Whether the guards held. A request whose lease is lost moves no cursor: the next holder
    /// would never meet what it skipped.
    async fn applied(
        &self,
        mut guards: Vec<Guard>,
        ops: Vec<Op>,
        durability: Durability,
    ) -> Result<bool> {
        guards.extend(self.fence_guards(self.zone.now()).await?);
        let txn = Txn {
            id: None,
            guards,
            ops,
            durability,
        };
        let answer = self.zone.metastore.commit(txn).await?;
        Ok(matches!(answer, Commit::Applied(_)))
    }
}

fn no_such_cursor(name: &CursorName) -> Error {
    Error::not_found("there is no such cursor; make it first").with("cursor", name)
}

fn owner_row(owner: &str, cursors: u32) -> Op {
    Op::Put(
        keys::cursor_owner(owner),
        records::encode(&OwnerRecord { cursors }),
    )
}

fn position(record: &CursorRecord) -> FeedPosition {
    FeedPosition {
        revision: Revision(record.revision),
        sequence: record.sequence,
    }
}

fn cursor(owner: String, name: String, record: &CursorRecord) -> FeedCursor {
    FeedCursor {
        name,
        owner,
        position: position(record),
        created: Timestamp(record.created),
        moved: Timestamp(record.moved),
    }
}

/// The key of the last cursor of a page.
fn after_page(after: &str) -> Result<bytes::Bytes> {
    let last = after
        .rsplit_once('/')
        .filter(|(_, name)| name::is_name(name));
    let (owner, name) = last.ok_or_else(|| {
        Error::invalid("use the `next` of a page of cursors").with("cursor", shown(after))
    })?;
    Ok(keys::cursor(owner, name))
}

fn contended(name: &CursorName) -> Error {
    Error::conflict("the cursor is being changed by many at once; try again").with("cursor", name)
}
