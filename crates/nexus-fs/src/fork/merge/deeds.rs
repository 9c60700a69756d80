//! What a merge does to something in its place.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::Result;

use super::made::{Source, applied, write};
use crate::content::Stored;
use crate::steps::{Step, put_metadata, set_attributes_of, set_metadata_of};
use crate::tx::Tx;
use crate::types::{RemoveOptions, SetAttributes, WriteOptions};

/// What is done to what a path leads to before anything moves; a link is not followed.
pub(super) struct Deed {
    pub path: String,
    pub act: Act,
}

pub(super) enum Act {
    /// A file gets a content.
    Write {
        content: Arc<Stored>,
        source: Source,
    },
    /// A link leads elsewhere.
    Relink(String),
    Remove,
    SetAttributes(SetAttributes),
    SetMetadata(Vec<(String, Option<Bytes>)>),
}

impl Deed {
    pub(super) async fn apply(self, tx: &mut Tx<'_>) -> Result<()> {
        let path = self.path;
        match self.act {
            Act::Write { content, source } => {
                let options = WriteOptions::default();
                write(tx, path, content, options, &source).await?;
            }
            Act::Relink(target) => relink(tx, path, target).await?,
            Act::Remove => remove(tx, path).await?,
            Act::SetAttributes(set) => {
                let place = tx.resolve(&path, false).await?;
                set_attributes_of(tx, &place, &set).await?;
            }
            Act::SetMetadata(set) => {
                let place = tx.resolve(&path, false).await?;
                set_metadata_of(tx, &place, &set).await?;
            }
        }
        Ok(())
    }
}

async fn remove(tx: &mut Tx<'_>, path: String) -> Result<()> {
    let step = Step::Remove {
        path,
        options: RemoveOptions::default(),
        only_directory: false,
    };
    step.apply(tx).await.map(drop)
}

/// A link leads where it led when it was made: another takes its place, of which the same is said.
async fn relink(tx: &mut Tx<'_>, path: String, target: String) -> Result<()> {
    let before = tx.resolve(&path, false).await?.found()?.ino;
    let mut metadata = Vec::new();
    for key in tx.metadata_keys(before).await?.clone() {
        let value = tx.metadata(before, &key).await?.cloned();
        metadata.push((key, value));
    }
    let record = tx.inode_mut(before).await?;
    let (mode, uid, gid) = (record.mode, record.uid, record.gid);
    remove(tx, path.clone()).await?;
    let ino = applied(tx, &Step::Symlink { target, path }).await?;
    let record = tx.inode_mut(ino).await?;
    (record.mode, record.uid, record.gid) = (mode, uid, gid);
    for (key, value) in metadata {
        put_metadata(tx, ino, &key, value).await?;
    }
    Ok(())
}
