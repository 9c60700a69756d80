//! Symbolic and hard links.

use bytes::Bytes;
use nexus_kernel::{Error, Result};
use nexus_service_api::Action;

use super::{Slot, exists, is_a_directory};
use crate::etag::Etag;
use crate::log::ChangeKind;
use crate::path::PATH_BYTES_MAX;
use crate::records::{DentryRecord, kind_code};
use crate::resolve::{End, Place, not_found};
use crate::tx::Tx;
use crate::types::FileKind;

/// As many names as ext4 allows one file.
pub(crate) const LINKS_MAX: u32 = 65_000;

pub(super) async fn symlink(tx: &mut Tx<'_>, target: &str, path: &str) -> Result<u64> {
    check_target(target)?;
    let place = tx.resolve(path, false).await?;
    tx.permit(Action::Create, &place).await?;
    let Slot { parent, name } = free_slot(tx, &place).await?;
    let ino = make_symlink(tx, target, parent, &name).await?;
    tx.note(ChangeKind::SymlinkCreate, &place.path, ino, parent);
    Ok(ino)
}

/// Makes a link under a name that must be free.
pub(super) async fn make_symlink(
    tx: &mut Tx<'_>,
    target: &str,
    parent: u64,
    name: &str,
) -> Result<u64> {
    let ino = tx.new_ino(parent).await?;
    let mut record = tx.blank(FileKind::Symlink, 0o777, parent, name);
    record.inline = Bytes::copy_from_slice(target.as_bytes());
    record.size = target.len() as u64;
    record.etag = etag_of(tx, target);
    record.version = 1;
    tx.create_inode(ino, record);
    let dentry = DentryRecord {
        ino,
        kind: kind_code(FileKind::Symlink),
    };
    tx.set_name(parent, name, Some(dentry)).await?;
    Ok(ino)
}

fn etag_of(tx: &Tx<'_>, target: &str) -> Bytes {
    let etag = Etag::of(tx.zone().content.algorithm(), target.as_bytes());
    Bytes::copy_from_slice(&etag.to_bytes())
}

pub(super) fn check_target(target: &str) -> Result<()> {
    if target.is_empty() || target.contains('\0') {
        return Err(Error::invalid("a link's target is a path without NUL"));
    }
    if target.len() > PATH_BYTES_MAX {
        return Err(
            Error::limit("a link's target has at most 4096 bytes").with("bytes", target.len())
        );
    }
    Ok(())
}

pub(super) async fn hard_link(tx: &mut Tx<'_>, existing: &str, path: &str) -> Result<u64> {
    let source = tx.resolve(existing, false).await?;
    let place = tx.resolve(path, false).await?;
    hard_link_of(tx, source, &place).await
}

pub(super) async fn hard_link_of(
    tx: &mut Tx<'_>,
    source: Place<'_>,
    place: &Place<'_>,
) -> Result<u64> {
    tx.permit(Action::Write, &source).await?;
    tx.permit(Action::Create, place).await?;
    let dentry = source.found()?;
    if source.kind() == Some(FileKind::Directory) {
        return Err(is_a_directory(&source.path));
    }
    let Slot { parent, name } = free_slot(tx, place).await?;
    let now = tx.now.0;
    let record = tx.inode_mut(dentry.ino).await?;
    if record.links == 0 {
        // Only a handle holds it: a file that is gone does not come back.
        return Err(not_found(&source.path));
    }
    if record.links >= LINKS_MAX {
        return Err(Error::limit("a file has at most 65000 names")
            .with("names_max", LINKS_MAX)
            .with("path", source.path));
    }
    record.links += 1;
    record.changed = now;
    tx.set_name(parent, &name, Some(dentry)).await?;
    tx.set_other_name(dentry.ino, parent, &name, true);
    tx.note(ChangeKind::LinkCreate, &place.path, dentry.ino, parent)
        .old_path = Some(source.path.into_owned());
    Ok(dentry.ino)
}

pub(super) async fn free_slot(tx: &mut Tx<'_>, place: &Place<'_>) -> Result<Slot> {
    if let End::Found(_) = place.end {
        return Err(exists(&place.path));
    }
    tx.slot(place, false).await
}
