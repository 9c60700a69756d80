//! Changes of names and attributes by inode number, as a mount asks for them. The commit
//! insists that the inode still is where it was found, so that who may change it is decided
//! by the path it has then.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Error, Kind, Result};
use nexus_service_api::Action;
use smallvec::SmallVec;

use super::link::{check_target, free_slot, hard_link_of, make_symlink};
use super::make::make_directory;
use super::remove::remove_place;
use super::rename::rename_place;
use super::write::create;
use super::{Slot, attributes, is_a_directory};
use crate::content::Stored;
use crate::handles::gone;
use crate::log::ChangeKind;
use crate::path;
use crate::records::{DentryRecord, kind_of};
use crate::resolve::{End, Names, Place, blocked};
use crate::session::Asked;
use crate::tx::Tx;
use crate::types::{
    FileKind, KeyPresence, MoveOptions, NewInode, NewKind, RemoveOptions, Replace, SetAttributes,
};

/// A name in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub parent: u64,
    pub name: String,
}

pub(crate) enum ByInode {
    Make {
        at: Child,
        new: NewInode,
        /// What a new file holds.
        empty: Arc<Stored>,
    },
    Remove {
        at: Child,
        directory: bool,
    },
    Rename {
        from: Child,
        to: Child,
        replace: Replace,
    },
    Link {
        ino: u64,
        at: Child,
    },
    SetAttributes {
        ino: u64,
        set: SetAttributes,
    },
    SetMetadata {
        ino: u64,
        key: String,
        value: Option<Bytes>,
        must: KeyPresence,
    },
}

pub(super) async fn apply(tx: &mut Tx<'_>, step: &ByInode) -> Result<Option<u64>> {
    match step {
        ByInode::Make { at, new, empty } => make(tx, at, new, empty).await.map(Some),
        ByInode::Remove { at, directory } => remove(tx, at, *directory).await.map(|()| None),
        ByInode::Rename { from, to, replace } => rename(tx, from, to, *replace).await.map(Some),
        ByInode::Link { ino, at } => {
            let source = place_of(tx, *ino).await?;
            let place = child(tx, at).await?;
            hard_link_of(tx, source, &place).await.map(Some)
        }
        ByInode::SetAttributes { ino, set } => {
            let place = place_of(tx, *ino).await?;
            attributes::set_attributes_of(tx, &place, set)
                .await
                .map(Some)
        }
        ByInode::SetMetadata {
            ino,
            key,
            value,
            must,
        } => {
            let place = place_of(tx, *ino).await?;
            tx.permit(Action::Write, &place).await?;
            check_presence(tx, *ino, key, *must).await?;
            let set = [(key.clone(), value.clone())];
            attributes::set_metadata_of(tx, &place, &set)
                .await
                .map(Some)
        }
    }
}

async fn make(tx: &mut Tx<'_>, at: &Child, new: &NewInode, empty: &Stored) -> Result<u64> {
    if let NewKind::Symlink(target) = &new.kind {
        check_target(target)?;
    }
    let place = child(tx, at).await?;
    tx.permit(Action::Create, &place).await?;
    let Slot { parent, name } = free_slot(tx, &place).await?;
    let ino = match &new.kind {
        NewKind::File => create(tx, parent, &name, empty, Some(new.mode)).await?,
        NewKind::Directory => make_directory(tx, parent, &name, &place.path, new.mode).await?,
        NewKind::Symlink(target) => make_symlink(tx, target, parent, &name).await?,
    };
    let record = tx.inode_mut(ino).await?;
    (record.uid, record.gid) = (new.uid, new.gid);
    match &new.kind {
        NewKind::File => drop(tx.note(ChangeKind::FileWrite, &place.path, ino, parent)),
        NewKind::Symlink(_) => drop(tx.note(ChangeKind::SymlinkCreate, &place.path, ino, parent)),
        // Noted where it was made.
        NewKind::Directory => {}
    }
    Ok(ino)
}

async fn remove(tx: &mut Tx<'_>, at: &Child, directory: bool) -> Result<()> {
    let place = child(tx, at).await?;
    if !directory && place.kind() == Some(FileKind::Directory) {
        tx.permit(Action::Delete, &place).await?;
        return Err(is_a_directory(&place.path));
    }
    remove_place(tx, &place, &RemoveOptions::default(), directory).await
}

async fn rename(tx: &mut Tx<'_>, from: &Child, to: &Child, replace: Replace) -> Result<u64> {
    let source = child(tx, from).await?;
    tx.permit(Action::Delete, &source).await?;
    let target = child(tx, to).await?;
    let options = MoveOptions {
        replace,
        ..MoveOptions::default()
    };
    rename_place(tx, &source, &target, &options).await
}

async fn check_presence(tx: &mut Tx<'_>, ino: u64, key: &str, must: KeyPresence) -> Result<()> {
    let there = tx.metadata(ino, key).await?.is_some();
    match must {
        KeyPresence::Absent if there => Err(Error::already_exists(
            "the metadata key has a value already",
        )
        .with("key", path::shown(key))),
        KeyPresence::Present if !there => Err(no_such_key(key)),
        _ => Ok(()),
    }
}

pub(crate) fn no_such_key(key: &str) -> Error {
    Error::not_found("no such metadata key").with("key", path::shown(key))
}

/// Where a name in a directory leads, a link not followed.
async fn child<'c>(tx: &mut Tx<'_>, at: &'c Child) -> Result<Place<'c>> {
    path::check_name(&at.name)?;
    let asked = Asked::child(at.parent, &at.name);
    let (directory, kind, mut chain) = located(tx, at.parent).await?;
    if kind_of(kind)? != FileKind::Directory {
        return Err(asked.without_path(&blocked(&directory)));
    }
    let path = path::join(&directory, &at.name);
    path::normalize(&path).map_err(|error| asked.without_path(&error))?;
    let found = Names::dentry(tx, at.parent, &at.name).await?;
    let end = match found {
        Some((dentry, _)) => {
            chain.push(dentry.ino);
            End::Found(dentry)
        }
        None => End::Missing(1),
    };
    Ok(place(asked, path, chain, end))
}

/// The place of an inode: of one without a name that is still open, where it was.
async fn place_of(tx: &mut Tx<'_>, ino: u64) -> Result<Place<'static>> {
    let (path, kind, chain) = located(tx, ino).await?;
    let dentry = DentryRecord { ino, kind };
    let end = End::Found(dentry);
    Ok(place(Asked::inode(ino), path, chain, end))
}

fn place(asked: Asked<'_>, path: String, chain: Vec<u64>, end: End) -> Place<'_> {
    Place {
        path: Cow::Owned(path),
        chain: SmallVec::from_vec(chain),
        links: Vec::new(),
        end,
        asked: Some(asked),
    }
}

/// The path of an inode, its kind, and the inodes on the path.
async fn located(tx: &mut Tx<'_>, ino: u64) -> Result<(String, u32, Vec<u64>)> {
    let view = tx.view();
    let found = tx.session.place_in(&view, ino).await;
    if found
        .as_ref()
        .is_err_and(|error| error.kind() == Kind::NotFound)
    {
        // Perhaps it was on the move.
        tx.tear();
    }
    let (path, chain) = found?;
    let inode = view.inode(ino).await?.ok_or_else(|| gone(ino))?;
    Ok((path, inode.record.kind, chain))
}
