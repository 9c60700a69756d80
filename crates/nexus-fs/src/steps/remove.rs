//! Removing names, and what they named.

use nexus_kernel::{Error, Result};
use nexus_service_api::Action;

use super::not_a_directory;
use super::write::check_present;
use crate::fork::{is_forked, part_of};
use crate::log::ChangeKind;
use crate::records::{DentryRecord, kind_of};
use crate::resolve::Place;
use crate::tx::Tx;
use crate::types::{FileKind, Precondition, RemoveOptions};
use crate::view::Child;

/// Names of a directory of a fork read at a time, to see whether there are any.
const FORKED_PAGE: usize = 256;

pub(super) async fn remove(
    tx: &mut Tx<'_>,
    path: &str,
    options: &RemoveOptions,
    only_directory: bool,
) -> Result<()> {
    let place = tx.resolve(path, false).await?;
    remove_place(tx, &place, options, only_directory).await
}

pub(super) async fn remove_place(
    tx: &mut Tx<'_>,
    place: &Place<'_>,
    options: &RemoveOptions,
    only_directory: bool,
) -> Result<()> {
    tx.permit(Action::Delete, place).await?;
    let dentry = place.found()?;
    let Some((parent, name)) = Tx::name_of(place) else {
        return Err(Error::invalid(
            "the root cannot be removed; remove what is in it",
        ));
    };
    tx.name(parent, name).await?;
    check_etag(tx, dentry.ino, options, &place.path).await?;
    if place.kind() != Some(FileKind::Directory) {
        if only_directory {
            return Err(not_a_directory(&place.path));
        }
        tx.note(ChangeKind::FileDelete, &place.path, dentry.ino, parent);
        return unlink(tx, parent, name, dentry).await;
    }
    tx.note(ChangeKind::DirDelete, &place.path, dentry.ino, parent);
    if options.recursive && !is_empty(tx, dentry.ino).await? {
        return detach(tx, parent, name, dentry).await;
    }
    remove_empty(tx, parent, name, dentry.ino, &place.path).await
}

/// Loads the inode, and checks its content where the caller named one.
async fn check_etag(tx: &mut Tx<'_>, ino: u64, options: &RemoveOptions, path: &str) -> Result<()> {
    match (options.if_match, tx.inode(ino).await?) {
        (Some(etag), Some(record)) => check_present(&Precondition::Etag(etag), record, path),
        // If the inode is gone already, what removes it finds that out.
        _ => Ok(()),
    }
}

/// Takes a whole tree out of the namespace in one step; a background task clears it away
/// afterwards (see `purge`).
pub(super) async fn detach(
    tx: &mut Tx<'_>,
    parent: u64,
    name: &str,
    dir: DentryRecord,
) -> Result<()> {
    tx.set_name(parent, name, None).await?;
    tx.detach(dir.ino);
    Ok(())
}

/// Removes a directory, which must be empty.
pub(super) async fn remove_empty(
    tx: &mut Tx<'_>,
    parent: u64,
    name: &str,
    dir: u64,
    path: &str,
) -> Result<()> {
    if !stays_empty(tx, dir).await? {
        return Err(Error::not_empty(
            "the directory is not empty; empty it, or remove it recursively",
        )
        .with("path", path));
    }
    tx.set_name(parent, name, None).await?;
    if part_of(parent) != part_of(dir) {
        // The last way into a fork may have gone, which then needs its origin no more.
        tx.detach(dir);
    }
    clear_metadata(tx, dir).await?;
    tx.remove_inode(dir).await
}

/// As [`is_empty`], and insists on it: nothing comes into it before the commit.
pub(crate) async fn stays_empty(tx: &mut Tx<'_>, dir: u64) -> Result<bool> {
    if is_forked(dir) {
        tx.watch_names(dir).await?;
        return is_empty(tx, dir).await;
    }
    let empty = is_empty(tx, dir).await?;
    if empty {
        tx.must_be_empty(dir);
    }
    Ok(empty)
}

/// Whether a directory has no entries, as this transaction leaves it.
pub(crate) async fn is_empty(tx: &Tx<'_>, dir: u64) -> Result<bool> {
    let (gone, made): (Vec<_>, Vec<_>) = tx.pending_names(dir).partition(|(_, exists)| !exists);
    if !made.is_empty() {
        return Ok(false);
    }
    let view = tx.view();
    // What has gone from a fork is passed over, and there may be much of it.
    let more = if is_forked(dir) { FORKED_PAGE } else { 1 };
    let mut after: Option<String> = None;
    loop {
        let page = view
            .children(dir, after.as_deref(), gone.len() + more)
            .await?;
        let (stored, last) = page;
        let is_gone = |child: &Child| gone.iter().any(|(name, _)| *name == child.name);
        if !stored.iter().all(is_gone) {
            return Ok(false);
        }
        if last.is_none() {
            return Ok(true);
        }
        after = last;
    }
}

/// Removes one name of a file or symbolic link, and the inode with its last name.
pub(crate) async fn unlink(
    tx: &mut Tx<'_>,
    parent: u64,
    name: &str,
    dentry: DentryRecord,
) -> Result<()> {
    debug_assert_ne!(kind_of(dentry.kind).ok(), Some(FileKind::Directory));
    tx.set_name(parent, name, None).await?;
    let now = tx.now.0;
    let record = tx.inode_mut(dentry.ino).await?;
    record.links = record.links.saturating_sub(1);
    record.changed = now;
    if record.links > 0 {
        return drop_name(tx, dentry.ino, parent, name).await;
    }
    if !tx.begin_removal(dentry.ino) {
        // The last close removes it; see `handles`.
        tx.leave_orphan(dentry.ino).await?;
        return Ok(());
    }
    clear_metadata(tx, dentry.ino).await?;
    tx.remove_inode(dentry.ino).await
}

/// Keeps an inode's record of its names true when one of several goes.
pub(super) async fn drop_name(tx: &mut Tx<'_>, ino: u64, parent: u64, name: &str) -> Result<()> {
    let record = tx.inode_mut(ino).await?;
    if record.parent != parent || record.name != name {
        tx.set_other_name(ino, parent, name, false);
        return Ok(());
    }
    // If it is gone already, so is the inode as it was read here, and the commit will fail.
    if let Some((parent, name)) = tx.other_name(ino).await? {
        tx.set_other_name(ino, parent, &name, false);
        let record = tx.inode_mut(ino).await?;
        (record.parent, record.name) = (parent, name);
    }
    Ok(())
}

/// Ends all custom metadata of an inode that goes.
pub(crate) async fn clear_metadata(tx: &mut Tx<'_>, ino: u64) -> Result<()> {
    for key in tx.metadata_keys(ino).await?.clone() {
        tx.set_metadata(ino, &key, None).await?;
    }
    Ok(())
}
