//! Moving names, by the rules of POSIX `rename` and Linux `renameat2`.

use nexus_kernel::{Error, Result};
use nexus_service_api::Action;

use super::remove::{is_empty, remove_empty, unlink};
use super::{Slot, exists, is_a_directory, not_a_directory};
use crate::log::ChangeKind;
use crate::records::{DentryRecord, kind_of};
use crate::resolve::{End, Place, not_found};
use crate::tx::Tx;
use crate::types::{FileKind, MoveOptions, Replace};

/// A name and what it points to.
struct Named {
    parent: u64,
    name: String,
    dentry: DentryRecord,
    path: String,
}

impl Named {
    fn is_dir(&self) -> bool {
        kind_of(self.dentry.kind).ok() == Some(FileKind::Directory)
    }
}

pub(super) async fn rename(
    tx: &mut Tx<'_>,
    from: &str,
    to: &str,
    options: &MoveOptions,
) -> Result<u64> {
    let source = tx.resolve(from, false).await?;
    tx.permit(Action::Delete, &source).await?;
    let target = tx.resolve(to, false).await?;
    rename_place(tx, &source, &target, options).await
}

pub(super) async fn rename_place(
    tx: &mut Tx<'_>,
    source: &Place<'_>,
    target: &Place<'_>,
    options: &MoveOptions,
) -> Result<u64> {
    tx.permit(Action::Create, target).await?;
    let moved = named(source)?;
    let taken = match target.end {
        End::Found(_) => Some(named(target)?),
        End::Missing(_) => None,
        End::Blocked | End::Circle => return Err(target.obstacle()),
    };
    check_not_within(&moved, target)?;
    tx.name(moved.parent, &moved.name).await?;
    match taken {
        Some(other) if options.replace == Replace::Refuse => return Err(exists(&other.path)),
        Some(other) if other.dentry.ino == moved.dentry.ino => {
            // Two names of one file: POSIX leaves both.
            tx.inode(moved.dentry.ino).await?;
        }
        Some(other) if options.replace == Replace::Exchange => {
            tx.permit(Action::Delete, target).await?;
            check_not_within(&other, source)?;
            exchange(tx, &moved, &other).await?;
        }
        Some(other) => {
            tx.permit(Action::Delete, target).await?;
            replace(tx, &moved, &other).await?;
        }
        None if options.replace == Replace::Exchange => return Err(not_found(&target.path)),
        None => {
            let Slot { parent, name } = tx.slot(target, options.parents).await?;
            put(tx, &moved, parent, &name, &target.path).await?;
        }
    }
    Ok(moved.dentry.ino)
}

fn named(place: &Place<'_>) -> Result<Named> {
    let dentry = place.found()?;
    let Some((parent, name)) = Tx::name_of(place) else {
        return Err(Error::invalid("the root cannot be renamed or replaced"));
    };
    Ok(Named {
        parent,
        name: name.to_owned(),
        dentry,
        path: place.path.to_string(),
    })
}

/// A directory cannot become its own descendant.
fn check_not_within(moved: &Named, target: &Place<'_>) -> Result<()> {
    let above = match target.end {
        End::Found(_) => &target.chain[..target.chain.len() - 1],
        _ => &target.chain[..],
    };
    if above.contains(&moved.dentry.ino) {
        return Err(Error::invalid("a directory cannot be moved into itself")
            .with("from", &moved.path)
            .with("to", &target.path));
    }
    Ok(())
}

async fn replace(tx: &mut Tx<'_>, moved: &Named, other: &Named) -> Result<()> {
    match (moved.is_dir(), other.is_dir()) {
        (true, false) => return Err(not_a_directory(&other.path)),
        (false, true) => return Err(is_a_directory(&other.path)),
        (true, true) => {
            if !is_empty(tx, other.dentry.ino).await? {
                return Err(
                    Error::not_empty("the directory to be replaced is not empty")
                        .with("path", &other.path),
                );
            }
            tx.name(other.parent, &other.name).await?;
            remove_empty(tx, other.parent, &other.name, other.dentry.ino, &other.path).await?;
        }
        (false, false) => {
            tx.name(other.parent, &other.name).await?;
            unlink(tx, other.parent, &other.name, other.dentry).await?;
        }
    }
    put(tx, moved, other.parent, &other.name, &other.path).await
}

async fn exchange(tx: &mut Tx<'_>, one: &Named, other: &Named) -> Result<()> {
    for (moved, place) in [(one, other), (other, one)] {
        tx.set_name(place.parent, &place.name, Some(moved.dentry))
            .await?;
    }
    for (moved, place) in [(one, other), (other, one)] {
        renamed(tx, moved, place.parent, &place.name, &place.path).await?;
    }
    Ok(())
}

/// Moves a name to one that is free.
async fn put(tx: &mut Tx<'_>, moved: &Named, parent: u64, name: &str, path: &str) -> Result<()> {
    tx.set_name(moved.parent, &moved.name, None).await?;
    tx.set_name(parent, name, Some(moved.dentry)).await?;
    renamed(tx, moved, parent, name, path).await
}

/// Writes the new name into the inode, and the change into the log.
async fn renamed(
    tx: &mut Tx<'_>,
    moved: &Named,
    parent: u64,
    name: &str,
    path: &str,
) -> Result<()> {
    let (ino, now) = (moved.dentry.ino, tx.now.0);
    let record = tx.inode_mut(ino).await?;
    record.changed = now;
    if record.parent == moved.parent && record.name == moved.name {
        (record.parent, record.name) = (parent, name.to_owned());
    } else {
        tx.set_other_name(ino, moved.parent, &moved.name, false);
        tx.set_other_name(ino, parent, name, true);
    }
    let kind = if moved.is_dir() {
        ChangeKind::DirRename
    } else {
        ChangeKind::FileRename
    };
    if moved.is_dir() {
        tx.moves_directory();
    }
    let change = tx.note(kind, path, ino, parent);
    change.old_path = Some(moved.path.clone());
    change.old_parent = moved.parent;
    Ok(())
}
