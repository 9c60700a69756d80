//! Copying files and trees; content is shared, not copied.

use nexus_kernel::{Error, Result};
use nexus_service_api::Action;

use super::make::create_directory;
use super::{Slot, exists, is_a_directory, not_a_directory, write};
use crate::content::Stored;
use crate::lineage::SourceKind;
use crate::log::ChangeKind;
use crate::path;
use crate::records::{DentryRecord, InodeRecord, kind_code, unreadable};
use crate::resolve::End;
use crate::tx::Tx;
use crate::types::{FileKind, MoveOptions, Replace};
use crate::view::Child;

/// Names read at a time.
const PAGE: usize = 1_000;
/// Most guards and operations that copying one entry takes.
const ROWS_PER_ENTRY: usize = 9;

pub(super) async fn copy(
    tx: &mut Tx<'_>,
    from: &str,
    to: &str,
    options: &MoveOptions,
) -> Result<u64> {
    let source = tx.resolve(from, true).await?;
    tx.permit(Action::Read, &source).await?;
    let target = tx.resolve(to, true).await?;
    let found = matches!(target.end, End::Found(_));
    tx.permit(if found { Action::Write } else { Action::Create }, &target)
        .await?;
    let dentry = source.found()?;
    if options.replace == Replace::Exchange {
        return Err(Error::invalid("exchange is for rename, not for copy"));
    }
    let directory = source.kind() == Some(FileKind::Directory);
    if directory && path::is_within(&target.path, &source.path) {
        return Err(Error::invalid("a directory cannot be copied into itself")
            .with("from", source.path)
            .with("to", target.path));
    }
    let slot = match target.end {
        End::Blocked | End::Circle => return Err(target.obstacle()),
        End::Found(_) if options.replace == Replace::Refuse || directory => {
            return Err(exists(&target.path));
        }
        End::Found(other) => {
            if target.kind() == Some(FileKind::Directory) {
                return Err(is_a_directory(&target.path));
            }
            return copy_over(tx, dentry.ino, other.ino, &source.path, &target.path).await;
        }
        End::Missing(_) => tx.slot(&target, options.parents).await?,
    };
    let (from, to) = (source.path.into_owned(), target.path.into_owned());
    copy_tree(tx, dentry, slot, from, to).await
}

/// Gives an existing file the content of another.
async fn copy_over(tx: &mut Tx<'_>, from: u64, to: u64, old: &str, new: &str) -> Result<u64> {
    let source = read(tx, from).await?;
    if source.is_dir() {
        return Err(not_a_directory(new));
    }
    let content = Stored::shared(&source)?;
    let mut record = tx.inode_mut(to).await?.clone();
    write::replace_content(tx, &mut record, &content).await?;
    let parent = record.parent;
    *tx.inode_mut(to).await? = record;
    let source = tx.as_source(SourceKind::Copy, from, old);
    tx.derived(to, new, source);
    tx.note(ChangeKind::FileCopy, new, to, parent).old_path = Some(old.to_owned());
    Ok(to)
}

/// One directory entry still to be copied.
struct Work {
    dentry: DentryRecord,
    slot: Slot,
    from: String,
    to: String,
}

async fn copy_tree(
    tx: &mut Tx<'_>,
    dentry: DentryRecord,
    slot: Slot,
    from: String,
    to: String,
) -> Result<u64> {
    let parent = slot.parent;
    let top = Work {
        dentry,
        slot,
        from: from.clone(),
        to: to.clone(),
    };
    let ino = copy_one(tx, &top).await?;
    let kind = match read(tx, dentry.ino).await?.is_dir() {
        true => {
            let source = tx.as_source(SourceKind::Copy, dentry.ino, &from);
            tx.derived(ino, &to, source);
            copy_below(tx, &top, ino).await?;
            ChangeKind::DirCopy
        }
        false => ChangeKind::FileCopy,
    };
    tx.note(kind, &to, ino, parent).old_path = Some(from);
    Ok(ino)
}

async fn copy_below(tx: &mut Tx<'_>, top: &Work, copy: u64) -> Result<()> {
    let (mut work, mut copied) = (Vec::new(), 1);
    add_children(tx, top, copy, &mut work, copied).await?;
    while let Some(next) = work.pop() {
        let ino = copy_one(tx, &next).await?;
        copied += 1;
        if read(tx, next.dentry.ino).await?.is_dir() {
            add_children(tx, &next, ino, &mut work, copied).await?;
        }
    }
    Ok(())
}

async fn add_children(
    tx: &Tx<'_>,
    dir: &Work,
    copy: u64,
    work: &mut Vec<Work>,
    copied: usize,
) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        tx.session.check_goes_on()?;
        let (children, last) = tx.children(dir.dentry.ino, after.as_deref(), PAGE).await?;
        work.extend(children.into_iter().map(|Child { name, dentry }| Work {
            dentry,
            from: path::join(&dir.from, &name),
            to: path::join(&dir.to, &name),
            slot: Slot { parent: copy, name },
        }));
        check_entries(tx, copied + work.len())?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

fn check_entries(tx: &Tx<'_>, entries: usize) -> Result<()> {
    let entries_max = tx.zone().metastore.limits().txn_items_max / ROWS_PER_ENTRY;
    if entries <= entries_max {
        return Ok(());
    }
    Err(
        Error::limit("the tree is too large to copy in one commit; copy it in parts")
            .with("entries_max", entries_max),
    )
}

async fn copy_one(tx: &mut Tx<'_>, work: &Work) -> Result<u64> {
    let Slot { parent, name } = &work.slot;
    path::normalize(&work.to)?;
    let source = read(tx, work.dentry.ino).await?;
    let ino = match source.file_kind() {
        FileKind::Directory => {
            return create_directory(tx, *parent, name, source.mode).await;
        }
        FileKind::File => {
            let content = Stored::shared(&source)?;
            write::create(tx, *parent, name, &content, Some(source.mode)).await?
        }
        FileKind::Symlink => copy_link(tx, *parent, name, &source).await?,
    };
    let source = tx.as_source(SourceKind::Copy, work.dentry.ino, &work.from);
    tx.derived(ino, &work.to, source);
    Ok(ino)
}

async fn copy_link(tx: &mut Tx<'_>, parent: u64, name: &str, source: &InodeRecord) -> Result<u64> {
    let ino = tx.new_ino(parent).await?;
    let mut record = tx.blank(FileKind::Symlink, source.mode, parent, name);
    record.inline = source.inline.clone();
    record.size = source.size;
    record.etag = source.etag.clone();
    record.version = 1;
    tx.create_inode(ino, record);
    let dentry = DentryRecord {
        ino,
        kind: kind_code(FileKind::Symlink),
    };
    tx.set_name(parent, name, Some(dentry)).await?;
    Ok(ino)
}

async fn read(tx: &mut Tx<'_>, ino: u64) -> Result<InodeRecord> {
    let record = tx.inode(ino).await?;
    record.cloned().ok_or_else(|| unreadable("inode of a name"))
}
