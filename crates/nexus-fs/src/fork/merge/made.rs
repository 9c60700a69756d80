//! What the fork has and the target gets as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::Result;

use crate::content::Stored;
use crate::lineage::SourceKind;
use crate::path;
use crate::records::{InodeRecord, unreadable};
use crate::steps::{Step, put_metadata};
use crate::tx::Tx;
use crate::types::{FileKind, MkdirOptions, WriteOptions};
use crate::view::View;

/// A file, link or directory of the fork, with all that is said of it but times.
pub(super) struct Made {
    what: What,
    mode: u32,
    uid: u32,
    gid: u32,
    metadata: BTreeMap<String, Bytes>,
}

enum What {
    Directory,
    Link(String),
    File {
        content: Arc<Stored>,
        source: Source,
    },
}

/// The file of the fork that a content is of.
#[derive(Clone)]
pub(super) struct Source {
    pub ino: u64,
    pub path: String,
}

impl Made {
    /// What the fork has at a path.
    pub(super) async fn of(
        view: View<'_>,
        path: &str,
        ino: u64,
        record: &InodeRecord,
    ) -> Result<Self> {
        let what = match record.file_kind() {
            FileKind::Directory => What::Directory,
            FileKind::Symlink => What::Link(target_of(record)),
            FileKind::File => What::File {
                content: Stored::shared(record)?.into(),
                source: Source {
                    ino,
                    path: path.to_owned(),
                },
            },
        };
        Ok(Self {
            what,
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            metadata: view.metadata_of(ino).await?,
        })
    }

    /// Makes it under a name that is free.
    pub(super) async fn make(self, tx: &mut Tx<'_>, path: String) -> Result<()> {
        self.make_as(tx, path, false).await
    }

    /// Makes it with the directories that it is in; one may be there already that was made for
    /// what is in it.
    pub(super) async fn make_with_parents(self, tx: &mut Tx<'_>, path: String) -> Result<()> {
        if let Some((directory, _)) = path::split(&path) {
            make_directory(tx, directory.to_owned(), true).await?;
        }
        self.make_as(tx, path, true).await
    }

    async fn make_as(self, tx: &mut Tx<'_>, path: String, exist_ok: bool) -> Result<()> {
        let ino = match self.what {
            What::Directory => make_directory(tx, path, exist_ok).await?,
            What::Link(target) => applied(tx, &Step::Symlink { target, path }).await?,
            What::File { content, source } => {
                let options = WriteOptions::default();
                write(tx, path, content, options, &source).await?
            }
        };
        let record = tx.inode_mut(ino).await?;
        (record.mode, record.uid, record.gid) = (self.mode, self.uid, self.gid);
        for (key, value) in self.metadata {
            put_metadata(tx, ino, &key, Some(value)).await?;
        }
        Ok(())
    }
}

async fn make_directory(tx: &mut Tx<'_>, path: String, exist_ok: bool) -> Result<u64> {
    let options = MkdirOptions {
        parents: exist_ok,
        exist_ok,
        ..MkdirOptions::default()
    };
    applied(tx, &Step::Mkdir { path, options }).await
}

/// Writes what a file of the fork has, and notes that it comes from there.
pub(super) async fn write(
    tx: &mut Tx<'_>,
    path: String,
    content: Arc<Stored>,
    options: WriteOptions,
    source: &Source,
) -> Result<u64> {
    // Insisted on, so that its content is not collected before the commit.
    tx.inode(source.ino).await?;
    let step = Step::Write {
        path: path.clone(),
        content,
        options,
        source: None,
    };
    let ino = applied(tx, &step).await?;
    let source = tx.as_source(SourceKind::Merge, source.ino, &source.path);
    tx.derived(ino, &path, source);
    Ok(ino)
}

pub(super) async fn applied(tx: &mut Tx<'_>, step: &Step) -> Result<u64> {
    let ino = step.apply(tx).await?;
    ino.ok_or_else(|| unreadable("inode of a name"))
}

/// Where a link leads.
pub(super) fn target_of(record: &InodeRecord) -> String {
    String::from_utf8_lossy(&record.inline).into_owned()
}
