//! The three trees of a merge: the fork as it was, the fork as it is, and the target.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{Error, Guard, Kind, Op, Result, Revision};
use nexus_service_api::Action;
use prost::Message;

use crate::fork::parts::{Part, part_of};
use crate::keys;
use crate::log::MERGE;
use crate::records;
use crate::resolve::Place;
use crate::steps::not_a_directory;
use crate::tx::Tx;
use crate::types::FileKind;
use crate::view::View;

/// How far a fork has been merged into a directory.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct MergedRecord {
    /// The state of the fork that was.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
}

/// A directory that a fork is merged into.
pub(super) struct Target {
    pub path: String,
    pub ino: u64,
    /// If it is a fork itself, of the same directory.
    sibling: Option<Arc<Part>>,
}

pub(super) struct Sides<'a> {
    part: Arc<Part>,
    pub fork_path: String,
    /// The inodes on its path.
    pub fork_chain: Vec<u64>,
    /// The fork's states: what was merged before, and what is to be now.
    pub base: Revision,
    pub merged: Revision,
    pub target: Target,
    view: View<'a>,
    /// The row that tells how far it was merged, and that it is still as it was read.
    record: Bytes,
    guard: Guard,
}

impl<'a> Sides<'a> {
    pub(super) async fn find(tx: &mut Tx<'a>, fork: &str, into: Option<&str>) -> Result<Self> {
        let place = tx.resolve(fork, true).await?;
        tx.permit(Action::Read, &place).await?;
        let part = root_of(tx, &place).await?;
        let target = find_target(tx, &part, into).await?;
        let record = keys::merged(part.fork(), target.ino);
        let view = tx.view();
        let row = view.get(&record).await?;
        let guard = match &row {
            Some(row) => Guard::RevisionIs(record.clone(), row.revision),
            None => Guard::Absent(record.clone()),
        };
        let base = match row {
            Some(row) => Revision(records::decode::<MergedRecord>(row.bytes)?.revision),
            None => part.since,
        };
        Ok(Self {
            fork_chain: place.chain.to_vec(),
            fork_path: place.path.into_owned(),
            base,
            merged: tx.zone().revision().await?,
            target,
            view,
            record,
            guard,
            part,
        })
    }

    /// The fork as it was when it was made, or last merged.
    pub(super) fn before(&self) -> View<'a> {
        self.at(self.base)
    }

    /// The fork as it is.
    pub(super) fn theirs(&self) -> View<'a> {
        self.at(self.merged)
    }

    fn at(&self, revision: Revision) -> View<'a> {
        View {
            at: Some(revision),
            ..self.view
        }
    }

    pub(super) fn root(&self) -> u64 {
        self.part.root()
    }

    /// The inode of the target that an inode of the fork comes from, or has in common with it.
    pub(super) async fn counterpart(&self, ino: u64) -> Result<Option<u64>> {
        if ino == self.root() {
            return Ok(Some(self.target.ino));
        }
        let part = self.view.zone.part(part_of(ino)).await?;
        let Some(part) = part.filter(|part| part.fork() == self.part.fork()) else {
            return Ok(None);
        };
        let source = part.source_of(ino);
        Ok(match &self.target.sibling {
            Some(sibling) => sibling.shown(source),
            None => Some(source),
        })
    }

    /// Whether an inode of the target is the counterpart of something that the fork had.
    pub(super) async fn has_before(&self, ino: u64) -> Result<bool> {
        let source = match &self.target.sibling {
            Some(_) => match self.view.zone.part(part_of(ino)).await? {
                Some(part) => part.source_of(ino),
                None => return Ok(false),
            },
            None => ino,
        };
        let Some(shown) = self.part.shown(source) else {
            return Ok(false);
        };
        let before = self.before();
        match before.inode(shown).await? {
            Some(inode) => before.is_below(inode.record.parent, self.root()).await,
            None => Ok(false),
        }
    }

    /// Notes how far the fork is merged, and keeps that state for the next time.
    pub(super) async fn note_merge(&self, tx: &mut Tx<'_>) -> Result<()> {
        let merged = MergedRecord {
            revision: self.merged.0,
        };
        tx.insist(self.guard.clone());
        tx.also(Op::Put(self.record.clone(), records::encode(&merged)));
        let holder = |revision| keys::merge_pin(revision, self.part.fork(), self.target.ino);
        if self.base != self.part.since && self.base != self.merged {
            tx.also(Op::Delete(holder(self.base)));
        }
        tx.hold_revision(self.merged, holder(self.merged)).await?;
        tx.as_operation(MERGE, vec![self.base.0, self.merged.0]);
        Ok(())
    }
}

/// The fork that a place is the top of.
async fn root_of(tx: &Tx<'_>, place: &Place<'_>) -> Result<Arc<Part>> {
    let ino = place.found()?.ino;
    let part = tx.zone().part(part_of(ino)).await?;
    part.filter(|part| part.root() == ino).ok_or_else(|| {
        Error::invalid("this is no fork; name the directory that a fork has made")
            .with("path", &place.path)
    })
}

async fn find_target(tx: &mut Tx<'_>, part: &Part, into: Option<&str>) -> Result<Target> {
    let origin = part.record.origin;
    let path = match into {
        Some(into) => into.to_owned(),
        None => path_of_origin(tx, origin).await?,
    };
    let place = tx.resolve(&path, true).await?;
    let permitted = tx.permit(Action::Write, &place).await;
    permitted.map_err(|error| match (error.kind(), into) {
        // Where that is may be out of the caller's sight.
        (Kind::PermissionDenied, None) => {
            Error::denied("the directory that was forked is not yours to change")
        }
        _ => error,
    })?;
    let ino = place.found()?.ino;
    if place.kind() != Some(FileKind::Directory) {
        return Err(not_a_directory(&place.path));
    }
    let unrelated = || {
        Error::invalid(
            "the two have nothing in common; merge a fork into the directory that it is of, or into another fork of that",
        )
        .with("into", &place.path)
    };
    let sibling = if ino == origin {
        None
    } else {
        let other = tx.zone().part(part_of(ino)).await?;
        let related = other.filter(|other| {
            other.root() == ino && other.record.origin == origin && other.fork() != part.fork()
        });
        Some(related.ok_or_else(unrelated)?)
    };
    Ok(Target {
        path: place.path.into_owned(),
        ino,
        sibling,
    })
}

async fn path_of_origin(tx: &Tx<'_>, origin: u64) -> Result<String> {
    let found = tx.view().path_of(origin).await?;
    let (path, _) = found.ok_or_else(|| {
        Error::not_found(
            "the directory that was forked is gone; name another fork of it to merge into",
        )
    })?;
    Ok(path)
}
