//! Changing attributes and custom metadata.

use bytes::Bytes;
use nexus_kernel::{Error, Result};
use nexus_service_api::Action;

use crate::log::ChangeKind;
use crate::path::shown;
use crate::resolve::Place;
use crate::tx::Tx;
use crate::types::SetAttributes;

/// Most custom metadata keys of one file.
pub const KEYS_MAX: usize = 1_000;
/// Longest custom metadata key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// How metadata keys begin that nobody can set: a mount shows by them what the zone itself knows
/// of a file.
pub const FACT_KEYS: &str = "nexus.";
/// Longest custom metadata value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

pub(super) async fn set_attributes(
    tx: &mut Tx<'_>,
    path: &str,
    set: &SetAttributes,
) -> Result<u64> {
    let place = tx.resolve(path, true).await?;
    set_attributes_of(tx, &place, set).await
}

pub(crate) async fn set_attributes_of(
    tx: &mut Tx<'_>,
    place: &Place<'_>,
    set: &SetAttributes,
) -> Result<u64> {
    tx.permit(Action::Write, place).await?;
    let ino = place.found()?.ino;
    let now = tx.now.0;
    let record = tx.inode_mut(ino).await?;
    record.mode = set.mode.map_or(record.mode, |mode| mode & 0o7777);
    record.uid = set.uid.unwrap_or(record.uid);
    record.gid = set.gid.unwrap_or(record.gid);
    record.accessed = set.accessed.map_or(record.accessed, |time| time.0);
    record.modified = set.modified.map_or(record.modified, |time| time.0);
    record.changed = now;
    let parent = record.parent;
    if record.is_dir() && set.modified.is_some() {
        tx.set_directory_time(ino);
    }
    tx.note(ChangeKind::AttributeChange, &place.path, ino, parent);
    Ok(ino)
}

pub(super) async fn set_metadata(
    tx: &mut Tx<'_>,
    path: &str,
    set: &[(String, Option<Bytes>)],
) -> Result<u64> {
    let place = tx.resolve(path, true).await?;
    set_metadata_of(tx, &place, set).await
}

pub(crate) async fn set_metadata_of(
    tx: &mut Tx<'_>,
    place: &Place<'_>,
    set: &[(String, Option<Bytes>)],
) -> Result<u64> {
    tx.permit(Action::Write, place).await?;
    let ino = place.found()?.ino;
    for (key, value) in set {
        put_metadata(tx, ino, key, value.clone()).await?;
    }
    let now = tx.now.0;
    let record = tx.inode_mut(ino).await?;
    record.changed = now;
    let parent = record.parent;
    tx.note(ChangeKind::MetadataChange, &place.path, ino, parent);
    Ok(ino)
}

pub(crate) async fn put_metadata(
    tx: &mut Tx<'_>,
    ino: u64,
    key: &str,
    value: Option<Bytes>,
) -> Result<()> {
    if key.is_empty() || key.contains('\0') {
        return Err(
            Error::invalid("a metadata key is not empty and has no NUL").with("key", shown(key))
        );
    }
    if key.starts_with(FACT_KEYS) && value.is_some() {
        return Err(Error::invalid(
            "keys that begin with nexus. name what the zone itself knows of a file; choose another",
        )
        .with("key", shown(key)));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::limit("a metadata key has at most 255 bytes").with("bytes", key.len()));
    }
    if let Some(value) = &value
        && value.len() > VALUE_BYTES_MAX
    {
        return Err(Error::limit(
            "a metadata value has at most 64 KiB; put larger data into a file",
        )
        .with("bytes", value.len()));
    }
    let adds = value.is_some();
    tx.set_metadata(ino, key, value).await?;
    if adds && tx.metadata_keys(ino).await?.len() > KEYS_MAX {
        return Err(Error::limit(
            "a file has at most 1000 metadata keys; remove some, or put more into one value",
        ));
    }
    Ok(())
}
