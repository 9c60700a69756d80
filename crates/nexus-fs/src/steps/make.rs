//! Making directories.

use nexus_kernel::Result;
use nexus_service_api::Action;

use super::{Slot, exists};
use crate::log::ChangeKind;
use crate::records::{DentryRecord, kind_code};
use crate::resolve::End;
use crate::tx::Tx;
use crate::types::{FileKind, MkdirOptions};

pub(crate) const DIRECTORY_MODE: u32 = 0o755;

pub(super) async fn mkdir(tx: &mut Tx<'_>, path: &str, options: &MkdirOptions) -> Result<u64> {
    let place = tx.resolve(path, true).await?;
    match place.end {
        End::Found(dentry) => {
            tx.permit(Action::Stat, &place).await?;
            let directory = place.kind() == Some(FileKind::Directory);
            if !(directory && options.exist_ok) {
                return Err(exists(&place.path));
            }
            tx.inode(dentry.ino).await?;
            Ok(dentry.ino)
        }
        End::Blocked | End::Circle => {
            tx.permit(Action::Create, &place).await?;
            Err(place.obstacle())
        }
        End::Missing(_) => {
            tx.permit(Action::Create, &place).await?;
            let Slot { parent, name } = tx.slot(&place, options.parents).await?;
            let mode = options.mode.unwrap_or(DIRECTORY_MODE);
            make_directory(tx, parent, &name, &place.path, mode).await
        }
    }
}

/// Makes one directory under a name that must be free.
pub(crate) async fn make_directory(
    tx: &mut Tx<'_>,
    parent: u64,
    name: &str,
    path: &str,
    mode: u32,
) -> Result<u64> {
    let ino = create_directory(tx, parent, name, mode).await?;
    tx.note(ChangeKind::DirCreate, path, ino, parent);
    Ok(ino)
}

/// As [`make_directory`]; what the log is told is up to the caller.
pub(super) async fn create_directory(
    tx: &mut Tx<'_>,
    parent: u64,
    name: &str,
    mode: u32,
) -> Result<u64> {
    let ino = tx.new_ino(parent).await?;
    let record = tx.blank(FileKind::Directory, mode, parent, name);
    tx.create_inode(ino, record);
    let dentry = DentryRecord {
        ino,
        kind: kind_code(FileKind::Directory),
    };
    tx.set_name(parent, name, Some(dentry)).await?;
    Ok(ino)
}
