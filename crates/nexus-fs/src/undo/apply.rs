//! Turns a plan into the rows of a transaction.

use std::collections::BTreeSet;

use bytes::Bytes;
use nexus_kernel::{Guard, Op, Result};

use super::UndoKind;
use super::judge::Contents;
use super::plan::{InodePlan, Moves, Plan};
use super::report::Step;
use super::rows::{InodeRows, Rows};
use crate::fork::is_forked;
use crate::keys;
use crate::lineage::{Origin, Source, SourceKind};
use crate::log::ChangeKind;
use crate::purge::BEGUN;
use crate::records::{InodeRecord, place, unreadable};
use crate::steps::{clear_metadata, stays_empty};
use crate::tx::Tx;
use crate::types::FileKind;

pub(super) async fn apply(
    tx: &mut Tx<'_>,
    rows: &Rows,
    plan: &Plan,
    steps: &[Step],
    kind: SourceKind,
) -> Result<()> {
    let removals = steps.iter().filter(|step| step.kind == UndoKind::Remove);
    removals.for_each(|step| note(tx, step));
    for ((parent, name), dentry) in &plan.names {
        tx.set_name(*parent, name, *dentry).await?;
    }
    stop_clearing(tx, plan).await?;
    for (ino, moves) in &plan.moves {
        move_inode(tx, *ino, moves, rows).await?;
    }
    for (ino, changed) in &plan.inodes {
        let moves = plan.moves.get(ino);
        let Some(rows) = rows.inodes.get(ino) else {
            continue;
        };
        if moves.is_none_or(|moves| !moves.is_removal()) || tx.loaded_inode(*ino).is_some() {
            change_inode(tx, *ino, changed, rows).await?;
        }
    }
    let others = steps.iter().filter(|step| step.kind != UndoKind::Remove);
    for step in others {
        note(tx, step);
        derive(tx, step, rows, kind);
    }
    Ok(())
}

/// Tells where a content comes from that a file is given back.
fn derive(tx: &mut Tx<'_>, step: &Step, rows: &Rows, kind: SourceKind) {
    let (record, rows) = (tx.loaded_inode(step.ino), rows.inodes.get(&step.ino));
    let (Some(record), Some(rows)) = (record, rows) else {
        return;
    };
    let contents = Contents::of(record);
    let mut states = rows.known().rev();
    let state = states.find(|(state, _)| Contents::of(state) == contents);
    let Some((state, span)) = state.filter(|(state, _)| state.version < record.version) else {
        return;
    };
    let origin = Origin::Inode {
        ino: step.ino,
        version: state.version,
        since: Some(span.since),
        path: step.at.0.clone(),
    };
    tx.derived(step.ino, &step.at.0, Source { kind, origin });
}

/// Gives an inode the names that it is to have: it may come back by that, or go.
async fn move_inode(tx: &mut Tx<'_>, ino: u64, moves: &Moves, rows: &Rows) -> Result<()> {
    let Some((record, _)) = tx.stored_inode(ino).cloned() else {
        return revive(tx, ino, moves, rows.inodes.get(&ino));
    };
    if record.is_dir() {
        return move_directory(tx, ino, moves).await;
    }
    let links = record.links as usize + moves.gained.len();
    let links = links.saturating_sub(moves.lost.len());
    let now = tx.now.0;
    let changed = tx.inode_mut(ino).await?;
    changed.links = u32::try_from(links).unwrap_or(u32::MAX);
    changed.changed = now;
    if links == 0 {
        let first = (record.parent, record.name);
        for (parent, name) in moves.lost.iter().filter(|name| **name != first) {
            tx.set_other_name(ino, *parent, name, false);
        }
        return remove_file(tx, ino).await;
    }
    if record.links == 0 {
        tx.also(Op::Delete(keys::orphan(ino)));
    }
    rename_file(tx, ino, &record, moves).await
}

async fn remove_file(tx: &mut Tx<'_>, ino: u64) -> Result<()> {
    if !tx.begin_removal(ino) {
        tx.leave_orphan(ino).await?;
        return Ok(());
    }
    clear_metadata(tx, ino).await?;
    tx.remove_inode(ino).await
}

/// Keeps what an inode knows of its names true.
async fn rename_file(tx: &mut Tx<'_>, ino: u64, record: &InodeRecord, moves: &Moves) -> Result<()> {
    let first = (record.parent, record.name.clone());
    let keeps_first = record.links > 0 && !moves.lost.contains(&first);
    for (parent, name) in moves.lost.iter().filter(|name| **name != first) {
        tx.set_other_name(ino, *parent, name, false);
    }
    let mut gained = moves.gained.iter();
    if !keeps_first {
        let next = match gained.next() {
            Some(name) => Some(name.clone()),
            None => tx.other_name(ino).await?,
        };
        let (parent, name) = next.ok_or_else(|| unreadable("names of an inode"))?;
        if !moves.gained.contains(&(parent, name.clone())) {
            tx.set_other_name(ino, parent, &name, false);
        }
        let record = tx.inode_mut(ino).await?;
        (record.parent, record.name) = (parent, name);
    }
    for (parent, name) in gained {
        tx.set_other_name(ino, *parent, name, true);
    }
    Ok(())
}

async fn move_directory(tx: &mut Tx<'_>, ino: u64, moves: &Moves) -> Result<()> {
    tx.moves_directory();
    if let Some((parent, name)) = moves.gained.first() {
        let now = tx.now.0;
        let record = tx.inode_mut(ino).await?;
        (record.parent, record.name) = (*parent, name.clone());
        record.changed = now;
        return Ok(());
    }
    if !stays_empty(tx, ino).await? {
        tx.detach(ino);
        return Ok(());
    }
    clear_metadata(tx, ino).await?;
    tx.remove_inode(ino).await
}

/// Whether an inode that was preloaded is a directory; none if it is not there.
pub(super) async fn is_dir_there(tx: &Tx<'_>, ino: u64) -> Result<Option<bool>> {
    if let Some((record, _)) = tx.stored_inode(ino) {
        return Ok(Some(record.is_dir()));
    }
    if !is_forked(ino) {
        return Ok(None);
    }
    // What a fork only shows has no row, and is there.
    let shown = tx.view().inode(ino).await?;
    Ok(shown.map(|inode| inode.record.is_dir()))
}

/// Takes trees that come back out of the queue of those to be cleared away. Where only a part of
/// one comes back, whoever clears the rest looks anew what that is.
async fn stop_clearing(tx: &mut Tx<'_>, plan: &Plan) -> Result<()> {
    let mut tops = BTreeSet::new();
    for (ino, moves) in &plan.moves {
        if moves.is_removal() {
            continue;
        }
        match is_dir_there(tx, *ino).await? {
            Some(true) => tops.extend(tx.view().detached_top(*ino).await?),
            Some(false) => {}
            // A fork that was empty went at once, and is queued for what it held to be released.
            None if is_forked(*ino) => {
                tops.insert(*ino);
            }
            None => {}
        }
    }
    for top in tops {
        let comes_back = plan.moves.get(&top);
        let comes_back = comes_back.is_some_and(|moves| !moves.is_removal());
        let page = tx.view().scan(keys::purges_of(top), 2).await?;
        for entry in page.entries {
            tx.insist(match entry.value.bytes == BEGUN {
                false => Guard::RevisionIs(entry.key.clone(), entry.value.revision),
                // Clearing has begun since it was made whole: this attempt is lost.
                true => Guard::Absent(entry.key.clone()),
            });
            tx.also(Op::Delete(entry.key));
            if !comes_back {
                tx.also(Op::PutStamped(keys::purge_entry(top), Bytes::new()));
            }
        }
    }
    Ok(())
}

/// Lets an inode come back under its old number, with the names that it is to have.
fn revive(tx: &mut Tx<'_>, ino: u64, moves: &Moves, rows: Option<&InodeRows>) -> Result<()> {
    let Some((first, others)) = moves.gained.split_first() else {
        return Ok(());
    };
    let rows = rows.ok_or_else(|| unreadable("history of an inode"))?;
    let record = rows.to_revive().cloned();
    let mut record = record.ok_or_else(|| unreadable("history of an inode"))?;
    record.links = u32::try_from(moves.gained.len()).unwrap_or(u32::MAX);
    (record.parent, record.name) = first.clone();
    record.changed = tx.now.0;
    if record.is_dir() {
        tx.moves_directory();
    } else {
        insist_on_history(tx, ino, &Contents::of(&record), rows);
        record.version = rows.newest_version + 1;
    }
    tx.create_inode(ino, record);
    for (parent, name) in others {
        tx.set_other_name(ino, *parent, name, true);
    }
    Ok(())
}

/// History holds the content until the commit does.
fn insist_on_history(tx: &mut Tx<'_>, ino: u64, contents: &Option<Contents>, rows: &InodeRows) {
    let mut states = rows.known().rev();
    let state = states.find(|(state, _)| Contents::of(state) == *contents);
    if let Some(end) = state.and_then(|(_, span)| span.end) {
        tx.insist(Guard::Present(keys::ended_inode(ino, end)));
    }
}

async fn change_inode(
    tx: &mut Tx<'_>,
    ino: u64,
    changed: &InodePlan,
    rows: &InodeRows,
) -> Result<()> {
    let now = tx.now.0;
    let mut record = tx.inode_mut(ino).await?.clone();
    record.changed = now;
    if let Some(contents) = &changed.contents {
        if contents.is_in(&record) {
            // The same bytes may have lain elsewhere, and are counted where they lie now.
            record.modified = contents.modified;
            record.author = contents.author.clone();
        } else {
            record.version = rows.newest_version + 1;
            insist_on_history(tx, ino, &changed.contents, rows);
            set_contents(&mut record, contents);
        }
    }
    if let Some(attributes) = changed.attributes.clone() {
        (record.mode, record.uid) = (attributes.mode, attributes.uid);
        (record.gid, record.owner) = (attributes.gid, attributes.owner);
        record.accessed = attributes.accessed;
    }
    *tx.inode_mut(ino).await? = record;
    for (key, value) in &changed.metadata {
        tx.set_metadata(ino, key, value.clone()).await?;
    }
    Ok(())
}

fn set_contents(record: &mut InodeRecord, contents: &Contents) {
    record.etag = contents.etag.clone();
    record.place = contents.place;
    record.size = contents.size;
    record.inline = match contents.place {
        place::INLINE => contents.inline.clone(),
        _ => Bytes::new(),
    };
    record.modified = contents.modified;
    record.author = contents.author.clone();
}

/// Tells the log what happens, as if it had been done by hand.
fn note(tx: &mut Tx<'_>, step: &Step) {
    let kind = tx
        .loaded_inode(step.ino)
        .map_or(FileKind::File, InodeRecord::file_kind);
    let is_dir = kind == FileKind::Directory;
    let links = tx.loaded_inode(step.ino).map_or(0, |record| record.links);
    let change = match step.kind {
        UndoKind::Remove if is_dir => ChangeKind::DirDelete,
        UndoKind::Remove => ChangeKind::FileDelete,
        UndoKind::RenameBack if is_dir => ChangeKind::DirRename,
        UndoKind::RenameBack => ChangeKind::FileRename,
        UndoKind::BringBack if is_dir => ChangeKind::DirRestore,
        UndoKind::BringBack if links > 1 => ChangeKind::LinkCreate,
        UndoKind::BringBack if kind == FileKind::Symlink => ChangeKind::SymlinkCreate,
        UndoKind::BringBack | UndoKind::RestoreContent => ChangeKind::FileWrite,
        UndoKind::Attributes => ChangeKind::AttributeChange,
        UndoKind::Metadata => ChangeKind::MetadataChange,
    };
    let noted = tx.note(change, &step.at.0, step.ino, step.parent());
    if let Some(((parent, _), (path, _))) = &step.from {
        noted.old_path = Some(path.clone());
        noted.old_parent = *parent;
    }
}
