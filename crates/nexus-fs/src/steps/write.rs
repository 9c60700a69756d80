//! Writing a whole content.

use nexus_kernel::{Error, Result};
use nexus_service_api::Action;

use super::{Slot, is_a_directory, touch_content};
use crate::content::Stored;
use crate::lineage::{Origin, Source, SourceKind, check_external};
use crate::log::ChangeKind;
use crate::records::{DentryRecord, InodeRecord, kind_code};
use crate::resolve::End;
use crate::tx::Tx;
use crate::types::{FileKind, Precondition, WriteOptions};

const FILE_MODE: u32 = 0o644;

pub(super) async fn write(
    tx: &mut Tx<'_>,
    path: &str,
    content: &Stored,
    options: &WriteOptions,
    source: Option<&Source>,
) -> Result<u64> {
    if let Some(external) = &options.source {
        check_external(external)?;
    }
    let place = tx.resolve(path, true).await?;
    let (ino, parent) = match place.end {
        End::Blocked | End::Circle => {
            tx.permit(Action::Create, &place).await?;
            return Err(place.obstacle());
        }
        End::Found(dentry) => {
            tx.permit(Action::Write, &place).await?;
            let Some((parent, name)) = Tx::name_of(&place) else {
                return Err(is_a_directory("/"));
            };
            // The name is read again to insist on it: replaced by another file meanwhile, the
            // write must not land in the one that went.
            tx.name(parent, name).await?;
            overwrite(tx, dentry.ino, &place.path, content, options).await?;
            (dentry.ino, parent)
        }
        End::Missing(_) => {
            tx.permit(Action::Create, &place).await?;
            check_absent(&options.precondition, &place.path)?;
            let Slot { parent, name } = tx.slot(&place, options.parents).await?;
            (
                create(tx, parent, &name, content, options.mode).await?,
                parent,
            )
        }
    };
    for (key, value) in &options.metadata {
        super::attributes::put_metadata(tx, ino, key, Some(value.clone())).await?;
    }
    let external = options.source.clone().map(|external| Source {
        kind: SourceKind::Import,
        origin: Origin::External(external),
    });
    for source in source.cloned().into_iter().chain(external) {
        tx.derived(ino, &place.path, source);
    }
    tx.note(ChangeKind::FileWrite, &place.path, ino, parent);
    Ok(ino)
}

async fn overwrite(
    tx: &mut Tx<'_>,
    ino: u64,
    path: &str,
    content: &Stored,
    options: &WriteOptions,
) -> Result<()> {
    let mut record = tx.inode_mut(ino).await?.clone();
    if record.is_dir() {
        return Err(is_a_directory(path));
    }
    check_present(&options.precondition, &record, path)?;
    replace_content(tx, &mut record, content).await?;
    *tx.inode_mut(ino).await? = record;
    Ok(())
}

/// Gives a record its next version.
pub(crate) async fn replace_content(
    tx: &mut Tx<'_>,
    record: &mut InodeRecord,
    content: &Stored,
) -> Result<()> {
    tx.place_content(content, record).await?;
    touch_content(record, tx.now, tx.session.actor());
    Ok(())
}

/// Makes a file with this content under a name that must be free.
pub(crate) async fn create(
    tx: &mut Tx<'_>,
    parent: u64,
    name: &str,
    content: &Stored,
    mode: Option<u32>,
) -> Result<u64> {
    let ino = tx.new_ino(parent).await?;
    let mut record = tx.blank(FileKind::File, mode.unwrap_or(FILE_MODE), parent, name);
    record.version = 1;
    tx.place_content(content, &mut record).await?;
    tx.create_inode(ino, record);
    let dentry = DentryRecord {
        ino,
        kind: kind_code(FileKind::File),
    };
    tx.set_name(parent, name, Some(dentry)).await?;
    Ok(ino)
}

fn check_absent(precondition: &Precondition, path: &str) -> Result<()> {
    match precondition {
        Precondition::None | Precondition::Absent => Ok(()),
        Precondition::Exists => Err(stale("the file does not exist", path)),
        Precondition::Etag(etag) => Err(stale(
            "the file does not exist any more; read again before writing",
            path,
        )
        .with("expected_etag", etag)),
    }
}

pub(super) fn check_present(
    precondition: &Precondition,
    record: &InodeRecord,
    path: &str,
) -> Result<()> {
    let current = record.content_etag()?;
    match precondition {
        Precondition::None | Precondition::Exists => Ok(()),
        Precondition::Absent => Err(super::exists(path)),
        Precondition::Etag(expected) if Some(*expected) == current => Ok(()),
        Precondition::Etag(expected) => {
            let error = stale(
                "the file changed since it was read; read it again and redo the change",
                path,
            )
            .with("expected_etag", expected);
            Err(match current {
                Some(etag) => error.with("current_etag", etag),
                None => error,
            })
        }
    }
}

fn stale(why: &'static str, path: &str) -> Error {
    Error::conflict(why).with("path", path)
}
