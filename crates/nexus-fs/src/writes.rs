//! Changing files: the methods of a session.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use nexus_kernel::{ByteStream, Durability, Error, Kind, Result};

use crate::Etag;
use crate::cache::CachedInode;
use crate::content::{CONTENT_BYTES_MAX, Stored};
use crate::lineage::Source;
use crate::path;
use crate::resolve::not_found;
use crate::session::Session;
use crate::steps::Step;
use crate::types::{
    At, Changed, MkdirOptions, MoveOptions, Precondition, RemoveOptions, SetAttributes, Stat,
    WriteOptions,
};

/// How often a read-modify-write is tried when others write the same file.
pub(crate) const REWRITES_MAX: usize = 64;

/// What else a write commits.
#[derive(Default)]
pub(crate) struct Extra {
    /// Attributes to set.
    pub set: Option<SetAttributes>,
    /// What in the zone the content comes from.
    pub source: Option<Source>,
}

impl Extra {
    pub(crate) fn derived_from(source: Source) -> Self {
        Self {
            source: Some(source),
            ..Self::default()
        }
    }
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum BatchStep {
    /// As [`Session::write`].
    Write {
        /// The file.
        path: String,
        /// Its content.
        content: Bytes,
        /// How; the durability of the batch counts.
        options: WriteOptions,
    },
    /// As [`Session::remove`].
    Remove {
        /// What goes.
        path: String,
        /// With all below it.
        recursive: bool,
        /// The etag the file must have; a directory has none.
        if_match: Option<Etag>,
    },
    /// As [`Session::rename`].
    Rename {
        /// The old path.
        from: String,
        /// The new one.
        to: String,
        /// How; the durability of the batch counts.
        options: MoveOptions,
    },
    /// As [`Session::copy`].
    Copy {
        /// The source.
        from: String,
        /// The copy.
        to: String,
        /// How; the durability of the batch counts.
        options: MoveOptions,
    },
    /// As [`Session::mkdir`].
    Mkdir {
        /// The directory.
        path: String,
        /// How; the durability of the batch counts.
        options: MkdirOptions,
    },
}

impl Session {
    /// Creates a file or gives it a new version. Up to the inline limit this is one flush;
    /// beyond, the content is stored first.
    ///
    /// # Errors
    ///
    /// `NotFound` for a missing parent (unless `parents`), `WrongType` for a directory,
    /// `Conflict` (with `current_etag`) or `AlreadyExists` for a failed precondition,
    /// `LimitExceeded` for a full disk or too large a content.
    ///
    /// # Cancel safety
    ///
    /// A dropped write may still apply, whole.
    pub async fn write(
        &self,
        path: &str,
        content: Bytes,
        options: WriteOptions,
    ) -> Result<Changed> {
        self.write_with(path, content, options, Extra::default())
            .await
    }

    pub(crate) async fn write_with(
        &self,
        path: &str,
        content: Bytes,
        options: WriteOptions,
        extra: Extra,
    ) -> Result<Changed> {
        path::normalize(path)?;
        if !self.zone.content.is_inline(content.len()) {
            self.foresee(path, &options).await?;
        }
        let content = self.zone.content.store(content, options.durability).await?;
        self.write_stored(path, content, options, extra).await
    }

    /// As [`write`](Self::write), with a content of any length as it arrives; the file
    /// changes when all of it has.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); what `body` yields.
    pub async fn write_stream(
        &self,
        path: &str,
        body: ByteStream,
        options: WriteOptions,
    ) -> Result<Changed> {
        path::normalize(path)?;
        self.stream_in(path, body, options, None).await
    }

    async fn stream_in(
        &self,
        path: &str,
        body: ByteStream,
        options: WriteOptions,
        set: Option<SetAttributes>,
    ) -> Result<Changed> {
        self.foresee(path, &options).await?;
        let content = self.zone.content.store_stream(body, options.durability);
        let content = content.await?;
        let extra = Extra {
            set,
            ..Extra::default()
        };
        self.write_stored(path, content, options, extra).await
    }

    /// Refuses a write before its content is stored, so that refused ones cost next to nothing.
    async fn foresee(&self, path: &str, options: &WriteOptions) -> Result<()> {
        let step = Step::Write {
            path: path.to_owned(),
            content: Arc::new(self.zone.content.nothing()),
            options: options.clone(),
            source: None,
        };
        self.rehearse(&[step]).await
    }

    pub(crate) async fn write_stored(
        &self,
        path: &str,
        content: Stored,
        options: WriteOptions,
        extra: Extra,
    ) -> Result<Changed> {
        let durability = options.durability;
        let mut steps = vec![Step::Write {
            path: path.to_owned(),
            content: Arc::new(content),
            options,
            source: extra.source,
        }];
        steps.extend(extra.set.map(|set| Step::SetAttributes {
            path: path.to_owned(),
            set,
        }));
        let mut changed = self.run_all(&steps, durability).await?;
        Ok(changed.pop().expect("each step has a result"))
    }

    /// Adds to the end of a file, creating it if need be. Concurrent appends all land, in
    /// some order. Makes the whole content anew, so it costs as much as reading the file.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn append(
        &self,
        path: &str,
        content: Bytes,
        options: WriteOptions,
    ) -> Result<Changed> {
        self.rewrite(path, options, None, |stat| {
            let size = stat.map_or(0, |stat| stat.size);
            Ok((size, content.clone()))
        })
        .await
    }

    /// Changes attributes; with `size`, truncates or extends with zeros.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and `NotFound`.
    pub async fn set_attributes(
        &self,
        path: &str,
        set: SetAttributes,
        durability: Durability,
    ) -> Result<Changed> {
        if let Some(size) = set.size {
            let others = SetAttributes { size: None, ..set };
            let others = Some(others).filter(|others| *others != SetAttributes::default());
            return self.truncate(path, size, others, durability).await;
        }
        self.run(
            Step::SetAttributes {
                path: path.to_owned(),
                set,
            },
            durability,
        )
        .await
    }

    async fn truncate(
        &self,
        path: &str,
        size: u64,
        others: Option<SetAttributes>,
        durability: Durability,
    ) -> Result<Changed> {
        if size > CONTENT_BYTES_MAX {
            return Err(Error::limit("a file has at most 64 GiB").with("size", size));
        }
        let options = WriteOptions {
            precondition: Precondition::Exists,
            durability,
            ..WriteOptions::default()
        };
        self.rewrite(path, options, others, |stat| {
            stat.ok_or_else(|| not_found(path))?;
            Ok((size, Bytes::new()))
        })
        .await
    }

    /// Replaces a file by its own beginning, up to a length (filled up with zeros), and a tail.
    async fn rewrite(
        &self,
        path: &str,
        options: WriteOptions,
        set: Option<SetAttributes>,
        edit: impl Fn(Option<&Stat>) -> Result<(u64, Bytes)> + Send + Sync,
    ) -> Result<Changed> {
        let asked = &options.precondition;
        let path = path::normalize(path)?;
        let _turn = self.zone.turns.wait(path).await;
        for _ in 0..REWRITES_MAX {
            self.check_goes_on()?;
            let before = match self.file(path, At::Latest).await {
                Ok(file) => Some(file),
                Err(error) if error.kind() == Kind::NotFound => None,
                Err(error) => return Err(error),
            };
            let (keep, tail) = edit(before.as_ref().map(|(stat, _)| stat))?;
            let etag = before.as_ref().and_then(|(stat, _)| stat.etag);
            let precondition = match (etag, asked) {
                (Some(etag), Precondition::None | Precondition::Exists) => Precondition::Etag(etag),
                (None, Precondition::None) => Precondition::Absent,
                (_, asked) => asked.clone(),
            };
            let own = precondition != *asked;
            let body = self.beginning(before, keep, tail).await?;
            let options = WriteOptions {
                precondition,
                ..options.clone()
            };
            match self.stream_in(path, body, options, set).await {
                Err(error)
                    if own && matches!(error.kind(), Kind::Conflict | Kind::AlreadyExists) =>
                {
                    tokio::task::yield_now().await;
                }
                result => return result,
            }
        }
        Err(busy(path))
    }

    /// The first `keep` bytes of a file, zeros if it is shorter, then `tail`.
    async fn beginning(
        &self,
        file: Option<(Stat, Arc<CachedInode>)>,
        keep: u64,
        tail: Bytes,
    ) -> Result<ByteStream> {
        let (size, head): (u64, ByteStream) = match file {
            Some((stat, inode)) => {
                let range = 0..keep.min(stat.size);
                (
                    stat.size,
                    self.zone.content_stream(&inode.record, range).await?,
                )
            }
            None => (0, Box::pin(futures::stream::empty())),
        };
        let tail = futures::stream::once(async move { Ok(tail) });
        Ok(Box::pin(
            head.chain(zeros(keep.saturating_sub(size))).chain(tail),
        ))
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` unless `exist_ok`, `NotFound` for a missing parent unless `parents`.
    pub async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<Changed> {
        self.run(
            Step::Mkdir {
                path: path.to_owned(),
                options,
            },
            options.durability,
        )
        .await
    }

    /// Removes a file, a link, an empty directory, or with `recursive` a whole tree, which
    /// takes one commit whatever its size.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotEmpty`, `Conflict` for another content than `if_match`.
    pub async fn remove(&self, path: &str, options: RemoveOptions) -> Result<Changed> {
        let step = Step::Remove {
            path: path.to_owned(),
            options,
            only_directory: false,
        };
        self.run(step, options.durability).await
    }

    /// As [`remove`](Self::remove), of a directory only.
    ///
    /// # Errors
    ///
    /// `WrongType` when it is not a directory; as [`remove`](Self::remove).
    pub async fn rmdir(&self, path: &str, options: RemoveOptions) -> Result<Changed> {
        let step = Step::Remove {
            path: path.to_owned(),
            options,
            only_directory: true,
        };
        self.run(step, options.durability).await
    }

    /// Moves a file or a whole tree, in one commit whatever its size.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists` or `NotEmpty` when the destination is in the way,
    /// `WrongType` for a directory over a file or the reverse, `InvalidArgument` for a
    /// directory into itself.
    pub async fn rename(&self, from: &str, to: &str, options: MoveOptions) -> Result<Changed> {
        let step = Step::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            options,
        };
        self.run(step, options.durability).await
    }

    /// Copies a file, or a tree to a path that is free. Content is shared, so this costs
    /// nothing per byte.
    ///
    /// # Errors
    ///
    /// As [`rename`](Self::rename); `LimitExceeded` for a tree too large for one commit.
    pub async fn copy(&self, from: &str, to: &str, options: MoveOptions) -> Result<Changed> {
        let step = Step::Copy {
            from: from.to_owned(),
            to: to.to_owned(),
            options,
        };
        self.run(step, options.durability).await
    }

    /// Makes a symbolic link; what it points to need not exist.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `NotFound` for a missing parent.
    pub async fn symlink(
        &self,
        target: &str,
        path: &str,
        durability: Durability,
    ) -> Result<Changed> {
        let step = Step::Symlink {
            target: target.to_owned(),
            path: path.to_owned(),
        };
        self.run(step, durability).await
    }

    /// Gives a file another name.
    ///
    /// # Errors
    ///
    /// `WrongType` for a directory, `AlreadyExists`, `NotFound`.
    pub async fn hard_link(
        &self,
        existing: &str,
        path: &str,
        durability: Durability,
    ) -> Result<Changed> {
        let step = Step::HardLink {
            existing: existing.to_owned(),
            path: path.to_owned(),
        };
        self.run(step, durability).await
    }

    /// Applies changes in order, in one commit: all or none. Later ones see earlier ones.
    /// Answers what each did.
    ///
    /// # Errors
    ///
    /// What the first change that fails answers, with its position, from 0, as `step`.
    pub async fn batch(
        &self,
        steps: Vec<BatchStep>,
        durability: Durability,
    ) -> Result<Vec<Changed>> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        self.check_batch(&steps).await?;
        let mut prepared = Vec::with_capacity(steps.len());
        for step in steps {
            prepared.push(self.prepare(step).await?);
        }
        if durability == Durability::Sync && prepared.iter().any(Step::brings_a_blob) {
            self.zone.content.sync().await?;
        }
        self.run_all(&prepared, durability).await
    }

    /// Refuses a batch that the caller may not make before its contents are stored.
    async fn check_batch(&self, steps: &[BatchStep]) -> Result<()> {
        let store = &self.zone.content;
        let is_stored = |step: &BatchStep| matches!(step, BatchStep::Write { content, .. } if !store.is_inline(content.len()));
        if !steps.iter().any(is_stored) {
            return Ok(());
        }
        let nothing = Arc::new(store.nothing());
        let steps = steps.iter().cloned();
        let steps: Vec<Step> = steps
            .map(|step| step.bringing(Arc::clone(&nothing)))
            .collect();
        match self.rehearse(&steps).await {
            // Only this does not depend on the contents that the batch itself writes.
            Err(error)
                if matches!(error.kind(), Kind::PermissionDenied | Kind::Unauthenticated) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Stores what a step brings along; one flush for the whole batch follows.
    async fn prepare(&self, step: BatchStep) -> Result<Step> {
        let stored = match &step {
            BatchStep::Write { content, .. } => {
                let content = content.clone();
                self.zone
                    .content
                    .store(content, Durability::Relaxed)
                    .await?
            }
            _ => self.zone.content.nothing(),
        };
        Ok(step.bringing(Arc::new(stored)))
    }
}

impl BatchStep {
    /// The step; a write brings `stored` along.
    fn bringing(self, stored: Arc<Stored>) -> Step {
        match self {
            Self::Write { path, options, .. } => Step::Write {
                path,
                content: stored,
                options,
                source: None,
            },
            Self::Remove {
                path,
                recursive,
                if_match,
            } => Step::Remove {
                path,
                options: RemoveOptions {
                    recursive,
                    if_match,
                    ..RemoveOptions::default()
                },
                only_directory: false,
            },
            Self::Rename { from, to, options } => Step::Rename { from, to, options },
            Self::Copy { from, to, options } => Step::Copy { from, to, options },
            Self::Mkdir { path, options } => Step::Mkdir { path, options },
        }
    }
}

/// Others were faster each time.
pub(crate) fn busy(path: &str) -> Error {
    Error::conflict("others kept writing the same file first; try again").with("path", path)
}

/// `count` zeros, in pieces.
fn zeros(count: u64) -> impl futures::Stream<Item = Result<Bytes>> + Send {
    const PIECE: usize = 256 << 10;
    let piece = BytesMut::zeroed(PIECE).freeze();
    futures::stream::unfold(count, move |left| {
        let take = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = piece.slice(..take);
        async move { (left > 0).then(|| (Ok(piece), left - take as u64)) }
    })
}
