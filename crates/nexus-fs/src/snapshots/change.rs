//! Making, changing and deleting snapshots: each is one commit.

use bytes::Bytes;
use nexus_kernel::{Error, Guard, Op, Result, Timestamp};
use nexus_service_api::Action;

use super::{
    Expiry, FILE_KIND, NewSnapshot, SNAPSHOT_DESCRIPTION_BYTES_MAX, SNAPSHOT_TAG_BYTES_MAX,
    SNAPSHOT_TAGS_MAX, SnapshotRecord, SnapshotUpdate,
};
use crate::keys;
use crate::log::ChangeKind;
use crate::path;
use crate::records::{self, Pin};
use crate::steps::not_a_directory;
use crate::tx::Tx;
use crate::types::{At, FileKind};

pub(super) enum SnapshotChange<'c> {
    Create {
        path: &'c str,
        new: NewSnapshot,
    },
    Update {
        name: &'c str,
        update: SnapshotUpdate,
    },
    Delete {
        name: &'c str,
    },
    /// As `Delete`, of one that has expired by then.
    Expire {
        name: &'c str,
        now: Timestamp,
    },
}

impl SnapshotChange<'_> {
    /// Refuses what could never be stored.
    pub(super) fn check(&self, now: Timestamp) -> Result<()> {
        match self {
            Self::Create { new, .. } => {
                new.name.as_deref().map_or(Ok(()), check_name)?;
                check_description(&new.description)?;
                check_tags(&new.tags)?;
                check_expiry(new.expires, now)
            }
            Self::Update { update, .. } => {
                update
                    .description
                    .as_deref()
                    .map_or(Ok(()), check_description)?;
                update.tags.as_deref().map_or(Ok(()), check_tags)?;
                match update.expires {
                    Some(Expiry::At(time)) => check_expiry(Some(time), now),
                    Some(Expiry::Never) | None => Ok(()),
                }
            }
            Self::Delete { .. } | Self::Expire { .. } => Ok(()),
        }
    }

    /// Answers the snapshot as it will be, or was.
    pub(super) async fn apply(&self, tx: &mut Tx<'_>) -> Result<(String, SnapshotRecord)> {
        match self {
            Self::Create { path, new } => create(tx, path, new).await,
            Self::Update { name, update } => {
                Ok(((*name).to_owned(), change(tx, name, update).await?))
            }
            Self::Delete { name } => {
                let record = writable(tx, name).await?;
                Ok(((*name).to_owned(), delete(tx, name, record)?))
            }
            Self::Expire { name, now } => {
                let record = writable(tx, name).await?;
                if !record.has_expired(*now) {
                    return Err(Error::conflict("the snapshot was given more time"));
                }
                Ok(((*name).to_owned(), delete(tx, name, record)?))
            }
        }
    }
}

async fn create(
    tx: &mut Tx<'_>,
    path: &str,
    new: &NewSnapshot,
) -> Result<(String, SnapshotRecord)> {
    tx.depends_on_path();
    let place = tx.resolve(path, true).await?;
    tx.permit(Action::Write, &place).await?;
    let directory = place.found()?.ino;
    if place.kind() != Some(FileKind::Directory) {
        return Err(not_a_directory(&place.path));
    }
    tx.inode(directory).await?;
    let number = next_number(tx, directory).await?;
    let name = match &new.name {
        Some(name) => name.clone(),
        None => made_name(directory, number),
    };
    let key = keys::snapshot(&name);
    if tx.view().get(&key).await?.is_some() {
        return Err(taken(&name));
    }
    tx.insist(Guard::Absent(key.clone()));
    let record = SnapshotRecord {
        directory,
        number,
        path: place.path.into_owned(),
        description: new.description.clone(),
        tags: sorted(&new.tags),
        actor: tx.session.actor(),
        time: tx.now.0,
        pinned: new.pinned,
        expires: new.expires.map(|time| time.0),
        ..SnapshotRecord::default()
    };
    tx.also(Op::Put(key, records::encode(&record)));
    let by_number = keys::numbered_snapshot(directory, number);
    tx.also(Op::Put(by_number, Bytes::copy_from_slice(name.as_bytes())));
    // The stamp is the whole of the key: no other commit holds on to its own revision so.
    tx.also(Op::PutStamped(
        keys::own_pin(),
        records::encode(&Pin::default()),
    ));
    note(tx, ChangeKind::SnapshotCreate, &name, &record);
    Ok((name, record))
}

/// Takes the next number of a directory's snapshots.
async fn next_number(tx: &mut Tx<'_>, directory: u64) -> Result<u64> {
    let key = keys::numbered_snapshot(directory, 0);
    let last = tx.view().get(&key).await?;
    let number = 1 + last
        .as_ref()
        .map_or(0, |last| keys::last_number(&last.bytes));
    tx.insist(match last {
        Some(last) => Guard::RevisionIs(key.clone(), last.revision),
        None => Guard::Absent(key.clone()),
    });
    let value = Bytes::copy_from_slice(&number.to_be_bytes());
    tx.also(Op::Put(key, value));
    Ok(number)
}

/// The record of a snapshot that the caller may change, insisting that it does not change
/// until the commit.
async fn writable(tx: &mut Tx<'_>, name: &str) -> Result<SnapshotRecord> {
    let (record, written) = tx.session.seen_snapshot(name).await?;
    tx.session.permit_snapshot(Action::Write, &record).await?;
    tx.insist(Guard::RevisionIs(keys::snapshot(name), written));
    Ok(record)
}

async fn change(tx: &mut Tx<'_>, name: &str, update: &SnapshotUpdate) -> Result<SnapshotRecord> {
    let mut record = writable(tx, name).await?;
    if let Some(description) = &update.description {
        record.description.clone_from(description);
    }
    if let Some(tags) = &update.tags {
        record.tags = sorted(tags);
    }
    if let Some(pinned) = update.pinned {
        record.pinned = pinned;
    }
    match update.expires {
        Some(Expiry::Never) => record.expires = None,
        Some(Expiry::At(time)) => record.expires = Some(time.0),
        None => {}
    }
    tx.also(Op::Put(keys::snapshot(name), records::encode(&record)));
    note(tx, ChangeKind::SnapshotUpdate, name, &record);
    Ok(record)
}

fn delete(tx: &mut Tx<'_>, name: &str, record: SnapshotRecord) -> Result<SnapshotRecord> {
    if record.pinned {
        return Err(
            Error::conflict("the snapshot is pinned; unpin it before you delete it")
                .with("snapshot", name),
        );
    }
    tx.also(Op::Delete(keys::snapshot(name)));
    tx.also(Op::Delete(keys::numbered_snapshot(
        record.directory,
        record.number,
    )));
    tx.also(Op::Delete(keys::pin(record.revision(), "")));
    note(tx, ChangeKind::SnapshotDelete, name, &record);
    Ok(record)
}

fn note(tx: &mut Tx<'_>, kind: ChangeKind, name: &str, record: &SnapshotRecord) {
    let change = tx.note(kind, &record.path, record.directory, 0);
    change.file_kind = FILE_KIND;
    change.subject = Some(name.to_owned());
}

fn check_name(name: &str) -> Result<()> {
    if !At::is_snapshot_name(name) {
        return Err(Error::invalid(
            "the name of a snapshot has 1 to 128 bytes, begins with a letter, is no other point \
             in time, and has no / : ^ { } nor control characters; choose another",
        )
        .with("snapshot", path::shown(name)));
    }
    if is_made_name(name) {
        return Err(Error::invalid(
            "names like this one are given to snapshots that are made without a name; choose \
             another, or none",
        )
        .with("snapshot", name));
    }
    Ok(())
}

/// The name of a snapshot that was given none. Nobody may choose such a name: it would keep the
/// directory from having another snapshot.
fn made_name(directory: u64, number: u64) -> String {
    format!("s{directory}.{number}")
}

fn is_made_name(name: &str) -> bool {
    let numbers = name.strip_prefix('s').and_then(|name| name.split_once('.'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(directory, number)| is_number(directory) && is_number(number))
}

fn check_description(description: &str) -> Result<()> {
    if description.len() <= SNAPSHOT_DESCRIPTION_BYTES_MAX {
        return Ok(());
    }
    Err(
        Error::limit("the description is too long; keep it in a file of the directory")
            .with("bytes", description.len())
            .with("bytes_max", SNAPSHOT_DESCRIPTION_BYTES_MAX),
    )
}

fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > SNAPSHOT_TAGS_MAX {
        return Err(Error::limit("these are too many tags; choose some")
            .with("tags", tags.len())
            .with("tags_max", SNAPSHOT_TAGS_MAX));
    }
    let is_tag = |tag: &String| {
        (1..=SNAPSHOT_TAG_BYTES_MAX).contains(&tag.len()) && !tag.contains(char::is_control)
    };
    match tags.iter().find(|tag| !is_tag(tag)) {
        Some(tag) => Err(Error::invalid(
            "a tag of a snapshot has 1 to 128 bytes and no control characters",
        )
        .with("tag", path::shown(tag))),
        None => Ok(()),
    }
}

fn check_expiry(expires: Option<Timestamp>, now: Timestamp) -> Result<()> {
    match expires {
        Some(time) if time <= now => Err(Error::invalid(
            "the snapshot would have expired already; name a time to come",
        )
        .with("expires", crate::time::format_rfc3339(time))),
        _ => Ok(()),
    }
}

fn taken(name: &str) -> Error {
    Error::already_exists("this name of a snapshot is taken; choose another").with("snapshot", name)
}

fn sorted(tags: &[String]) -> Vec<String> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    tags
}
