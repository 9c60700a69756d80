//! Changes: each kind is a step that runs against a transaction in the making; one or many
//! steps make one commit.

use std::sync::Arc;

use nexus_kernel::{Durability, Error, Result, Timestamp};
use nexus_service_api::Action;

use crate::content::{Placement, Stored};
use crate::fork::{fork, in_part, part_of};
use crate::lineage::Source;
use crate::log::ChangeKind;
use crate::path;
use crate::records::{ChangeRecord, InodeRecord, kind_code};
use crate::resolve::{End, Place, not_found, resolve};
use crate::session::Session;
use crate::tx::{Committed, Tx};
use crate::types::{
    Changed, FileKind, ForkOptions, Ino, MkdirOptions, MoveOptions, RemoveOptions, SetAttributes,
    WriteOptions,
};

mod attributes;
mod by_inode;
mod copy;
mod link;
mod make;
mod remove;
mod rename;
mod write;

pub use attributes::{FACT_KEYS, KEY_BYTES_MAX, KEYS_MAX, VALUE_BYTES_MAX};
pub(crate) use attributes::{put_metadata, set_attributes_of, set_metadata_of};
pub(crate) use by_inode::{ByInode, Child, no_such_key};
pub(crate) use link::LINKS_MAX;
pub(crate) use remove::{clear_metadata, is_empty, stays_empty, unlink};
pub(crate) use write::replace_content;

/// How often a change that keeps losing races is tried. Each round some other change won,
/// so this many writers of the same row all get through.
pub(crate) const ATTEMPTS_MAX: usize = 128;
/// How often a name without an inode is taken for a race; after that it is damage.
pub(crate) const TORN_MAX: usize = 16;
/// Most steps in one commit.
pub const BATCH_STEPS_MAX: usize = 10_000;

pub(crate) enum Step {
    Write {
        path: String,
        content: Arc<Stored>,
        options: WriteOptions,
        /// What in the zone the content comes from.
        source: Option<Source>,
    },
    Mkdir {
        path: String,
        options: MkdirOptions,
    },
    Remove {
        path: String,
        options: RemoveOptions,
        only_directory: bool,
    },
    Rename {
        from: String,
        to: String,
        options: MoveOptions,
    },
    Copy {
        from: String,
        to: String,
        options: MoveOptions,
    },
    Symlink {
        target: String,
        path: String,
    },
    HardLink {
        existing: String,
        path: String,
    },
    SetAttributes {
        path: String,
        set: SetAttributes,
    },
    SetMetadata {
        path: String,
        set: Vec<(String, Option<bytes::Bytes>)>,
    },
    Fork {
        from: String,
        to: String,
        options: ForkOptions,
    },
    /// A change of names and attributes by inode number.
    ByInode(ByInode),
}

impl Step {
    /// Whether it brings content that lies in the object store.
    pub(crate) fn brings_a_blob(&self) -> bool {
        matches!(self, Self::Write { content, .. } if matches!(content.placement, Placement::Blob))
    }

    /// Runs against `tx`; answers the inode the step is about, if it still exists after it.
    pub(crate) async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<u64>> {
        tx.depends_on_path();
        match self {
            Self::Write {
                path,
                content,
                options,
                source,
            } => write::write(tx, path, content, options, source.as_ref())
                .await
                .map(Some),
            Self::Mkdir { path, options } => make::mkdir(tx, path, options).await.map(Some),
            Self::Remove {
                path,
                options,
                only_directory,
            } => remove::remove(tx, path, options, *only_directory)
                .await
                .map(|()| None),
            Self::Rename { from, to, options } => {
                rename::rename(tx, from, to, options).await.map(Some)
            }
            Self::Copy { from, to, options } => copy::copy(tx, from, to, options).await.map(Some),
            Self::Symlink { target, path } => link::symlink(tx, target, path).await.map(Some),
            Self::HardLink { existing, path } => {
                link::hard_link(tx, existing, path).await.map(Some)
            }
            Self::SetAttributes { path, set } => {
                attributes::set_attributes(tx, path, set).await.map(Some)
            }
            Self::SetMetadata { path, set } => {
                attributes::set_metadata(tx, path, set).await.map(Some)
            }
            Self::Fork { from, to, options } => fork(tx, from, to, options).await.map(|()| None),
            Self::ByInode(step) => by_inode::apply(tx, step).await,
        }
    }
}

impl Session {
    /// Runs one step as one commit.
    pub(crate) async fn run(&self, step: Step, durability: Durability) -> Result<Changed> {
        let mut changed = self.run_all(&[step], durability).await?;
        Ok(changed.pop().expect("one step has one result"))
    }

    /// Runs steps in order as one commit, all or none.
    pub(crate) async fn run_all(
        &self,
        steps: &[Step],
        durability: Durability,
    ) -> Result<Vec<Changed>> {
        if steps.len() > BATCH_STEPS_MAX {
            return Err(Error::limit("a batch has at most 10000 steps; split it")
                .with("steps", steps.len()));
        }
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            let mut inos = Vec::with_capacity(steps.len());
            match apply_all(steps, &mut tx, &mut inos).await {
                Err(_) if tx.is_torn() && attempt < TORN_MAX => continue,
                applied => applied?,
            }
            if let Some(committed) = tx.commit(durability).await? {
                return inos
                    .into_iter()
                    .map(|ino| changed(&committed, ino))
                    .collect();
            }
            tokio::task::yield_now().await;
        }
        Err(
            Error::conflict("others kept changing the same files first; try again")
                .with("attempts", ATTEMPTS_MAX),
        )
    }

    /// Runs steps as things are now and drops what they would do: an error tells that they would
    /// be refused.
    pub(crate) async fn rehearse(&self, steps: &[Step]) -> Result<()> {
        let mut tx = Tx::begin(self, 0);
        match apply_all(steps, &mut tx, &mut Vec::new()).await {
            Err(_) if tx.is_torn() => Ok(()),
            Ok(()) => tx.check_fences().await,
            refused => refused,
        }
    }
}

async fn apply_all(steps: &[Step], tx: &mut Tx<'_>, inos: &mut Vec<Option<u64>>) -> Result<()> {
    for (position, step) in steps.iter().enumerate() {
        let applied = step.apply(tx).await;
        inos.push(applied.map_err(|error| match steps.len() {
            1 => error,
            _ => error.with("step", position),
        })?);
    }
    Ok(())
}

fn changed(committed: &Committed, ino: Option<u64>) -> Result<Changed> {
    let revision = committed.revision;
    let left = ino.and_then(|ino| Some((ino, committed.inode(ino)?)));
    let stat = left
        .map(|(ino, (record, since))| record.stat(Ino(ino), *since))
        .transpose()?;
    Ok(Changed { revision, stat })
}

/// A place whose parent exists, where a name can be made.
pub(crate) struct Slot {
    pub parent: u64,
    pub name: String,
}

impl Tx<'_> {
    pub(crate) async fn resolve<'p>(&self, path: &'p str, follow: bool) -> Result<Place<'p>> {
        resolve(self, path, follow).await
    }

    /// Asks the authorizer about a place.
    pub(crate) async fn permit(&self, action: Action, place: &Place<'_>) -> Result<()> {
        self.session.permit_at(action, place).await
    }

    /// The directory and name that a missing place would have, making the directories
    /// before it if `parents` is set.
    pub(crate) async fn slot(&mut self, place: &Place<'_>, parents: bool) -> Result<Slot> {
        let End::Missing(missing) = place.end else {
            return Err(place.obstacle());
        };
        let mut parent = *place.chain.last().expect("a chain begins with the root");
        let depth = path::names(&place.path).count() - missing;
        if missing > 1 && !parents {
            let (directory, _) = path::split(&place.path).expect("a missing place has a name");
            return Err(not_found(directory)
                .with("hint", "create the parent directory, or ask for parents"));
        }
        let mut names = path::names(&place.path).skip(depth);
        let mut so_far = format!(
            "/{}",
            path::names(&place.path)
                .take(depth)
                .collect::<Vec<_>>()
                .join("/")
        );
        let mut made = Vec::new();
        for _ in 1..missing {
            let name = names.next().expect("counted");
            so_far = path::join(&so_far, name);
            let chain = [&place.chain[..], &made].concat();
            self.session.permit(Action::Create, &so_far, &chain).await?;
            parent =
                make::make_directory(self, parent, name, &so_far, make::DIRECTORY_MODE).await?;
            made.push(parent);
        }
        let name = names.next().expect("counted").to_owned();
        Ok(Slot { parent, name })
    }

    /// The directory and name of a place that exists; none for the root.
    pub(crate) fn name_of<'s>(place: &'s Place<'_>) -> Option<(u64, &'s str)> {
        let (_, name) = path::split(&place.path)?;
        let parent = place.chain.len().checked_sub(2)?;
        Some((place.chain[parent], name))
    }

    /// A number for an inode that is made in a directory.
    pub(crate) async fn new_ino(&self, parent: u64) -> Result<u64> {
        let fresh = self.zone().inos.next(&*self.zone().metastore).await?;
        Ok(in_part(part_of(parent), fresh))
    }

    /// A record for a new inode of this caller.
    pub(crate) fn blank(&self, kind: FileKind, mode: u32, parent: u64, name: &str) -> InodeRecord {
        InodeRecord {
            kind: kind_code(kind),
            mode: mode & 0o7777,
            owner: self.session.actor(),
            links: 1,
            created: self.now.0,
            modified: self.now.0,
            changed: self.now.0,
            parent,
            name: name.to_owned(),
            ..InodeRecord::default()
        }
    }

    /// Notes a change of an inode for the operation log.
    pub(crate) fn note(
        &mut self,
        kind: ChangeKind,
        path: &str,
        ino: u64,
        parent: u64,
    ) -> &mut ChangeRecord {
        let mut change = ChangeRecord {
            kind: kind.code(),
            path: path.to_owned(),
            ino,
            parent,
            ..ChangeRecord::default()
        };
        if let Some(record) = self.loaded_inode(ino) {
            change.file_kind = record.kind;
            change.version = record.version;
            change.etag = record.etag.clone();
            change.size = record.size;
        }
        self.record(change)
    }
}

pub(crate) fn is_a_directory(path: &str) -> Error {
    Error::wrong_type("this is a directory, not a file")
        .with("expected", "file")
        .with("path", path)
}

pub(crate) fn not_a_directory(path: &str) -> Error {
    Error::wrong_type("this is a file, not a directory")
        .with("expected", "directory")
        .with("path", path)
}

pub(crate) fn exists(path: &str) -> Error {
    Error::already_exists("something with this name exists").with("path", path)
}

/// Stamps an inode whose content changed.
pub(crate) fn touch_content(record: &mut InodeRecord, now: Timestamp, author: String) {
    record.version += 1;
    record.modified = now.0;
    record.changed = now.0;
    record.author = if author == record.owner {
        String::new()
    } else {
        author
    };
}
