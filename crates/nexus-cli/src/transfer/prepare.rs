//! A file on its way to the node: whether it must be sent, and sending it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use nexus_client::{
    BatchStep, ByteStream, Client, Durability, Error, MkdirOptions, Result, SetAttributes, Stat,
    Timestamp, WriteOptions,
};
use tokio_util::io::ReaderStream;

use super::disk::{cannot_read, has_etag};
use super::tasks::blocking;
use super::{Progress, Summary};

/// Bytes of a large file that are read at once.
const PIECE: usize = 256 * 1024;

/// What a copy keeps besides content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) modified: Timestamp,
    /// User and group, where they are kept.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) metadata: Vec<(String, Bytes)>,
    pub(crate) tags: Vec<String>,
}

impl Attributes {
    /// What to set on the node so that the path has these, given what it has.
    fn difference(&self, there: Option<&Stat>) -> Option<SetAttributes> {
        let same = there.is_some_and(|stat| {
            stat.mode == self.mode
                && stat.modified == self.modified
                && self.owner.is_none_or(|owner| owner == (stat.uid, stat.gid))
        });
        (!same).then(|| self.all())
    }

    fn all(&self) -> SetAttributes {
        SetAttributes {
            mode: Some(self.mode),
            modified: Some(self.modified),
            uid: self.owner.map(|(uid, _)| uid),
            gid: self.owner.map(|(_, gid)| gid),
            size: None,
            durability: Durability::Relaxed,
        }
    }

    /// Sets all of them, as is needed after the path was made by other means.
    pub(super) async fn apply(&self, client: &Client, path: &str) -> Result<()> {
        let (metadata, relaxed) = (self.metadata.clone(), Durability::Relaxed);
        if !metadata.is_empty() {
            client
                .set_metadata(path, metadata, Vec::new(), relaxed)
                .await?;
        }
        self.apply_after_write(client, path, Some(self.all())).await
    }

    /// Sets what a write does not.
    async fn apply_after_write(
        &self,
        client: &Client,
        path: &str,
        set: Option<SetAttributes>,
    ) -> Result<()> {
        if !self.tags.is_empty() {
            client
                .set_tags(path, self.tags.clone(), Vec::new(), Durability::Relaxed)
                .await?;
        }
        if let Some(set) = set {
            client.set_attributes(path, set).await?;
        }
        Ok(())
    }
}

/// Where a file's content is.
pub(crate) enum Source {
    Memory(Bytes),
    Disk(PathBuf),
    Stream(ByteStream),
}

/// A file to be made on the node.
pub(super) struct Planned {
    /// Absolute.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) attributes: Attributes,
    pub(super) source: Source,
    /// What names the source in the lineage of the file.
    pub(super) origin: Option<String>,
    /// The file that is there.
    pub(super) there: Option<Stat>,
}

impl Planned {
    fn options(&self) -> WriteOptions {
        WriteOptions {
            durability: Durability::Relaxed,
            // Its directory may still be on its way in another batch.
            parents: true,
            mode: Some(self.attributes.mode),
            metadata: self.attributes.metadata.clone(),
            source: self.origin.clone(),
            ..WriteOptions::default()
        }
    }

    /// Whether the node has this content already.
    fn is_there(&self) -> Result<bool> {
        let same_size = self.there.as_ref().filter(|stat| stat.size == self.size);
        match (
            same_size.and_then(|stat| stat.etag.as_deref()),
            &self.source,
        ) {
            (Some(etag), Source::Disk(path)) => has_etag(path, etag),
            (Some(etag), Source::Memory(bytes)) => {
                let mut hasher = crate::etag::EtagHasher::like(etag)?;
                hasher.update(bytes);
                Ok(hasher.finish() == etag)
            }
            _ => Ok(false),
        }
    }
}

/// One step of a batch on its way to the node.
pub(super) enum Step {
    Mkdir(String),
    File(Box<Planned>),
}

/// Sends what must be sent of a batch, in one commit.
pub(super) async fn send_batch(
    client: Client,
    steps: Vec<Step>,
    progress: Progress,
) -> Result<Summary> {
    let prepared: Vec<Prepared> =
        blocking(move || steps.into_iter().map(prepare).collect::<Result<_>>()).await?;
    let mut summary = Summary::default();
    let mut batch = Vec::new();
    let mut rest = Vec::new();
    for Prepared {
        step,
        attributes,
        done,
    } in prepared
    {
        summary.add(done);
        batch.extend(step);
        rest.extend(attributes);
    }
    if !batch.is_empty() {
        client.batch(batch, Durability::Relaxed).await?;
    }
    let mut set = futures::stream::iter(rest)
        .map(|(path, attributes, set)| {
            let client = &client;
            async move { attributes.apply_after_write(client, &path, set).await }
        })
        .buffer_unordered(16);
    while let Some(done) = set.next().await {
        done?;
    }
    progress.advance(summary.bytes);
    (0..summary.files + summary.unchanged).for_each(|_| progress.file());
    Ok(summary)
}

struct Prepared {
    step: Option<BatchStep>,
    attributes: Option<(String, Attributes, Option<SetAttributes>)>,
    done: Summary,
}

/// Reads what is on the disk and compares it with what is on the node.
fn prepare(step: Step) -> Result<Prepared> {
    let file = match step {
        Step::Mkdir(path) => return Ok(prepare_directory(path)),
        Step::File(file) => file,
    };
    if file.is_there()? {
        let set = file.attributes.difference(file.there.as_ref());
        let done = Summary {
            unchanged: 1,
            ..Summary::default()
        };
        return Ok(Prepared {
            step: None,
            attributes: Some((file.path, file.attributes, set)),
            done,
        });
    }
    let options = file.options();
    let content = match file.source {
        Source::Memory(bytes) => bytes,
        Source::Disk(path) => read_small(&path)?,
        Source::Stream(_) => unreachable!("a stream is sent by itself"),
    };
    let done = Summary {
        files: 1,
        bytes: content.len() as u64,
        ..Summary::default()
    };
    let set = Some(file.attributes.all());
    let step = BatchStep::Write {
        path: file.path.clone(),
        content,
        options,
    };
    Ok(Prepared {
        step: Some(step),
        attributes: Some((file.path, file.attributes, set)),
        done,
    })
}

fn prepare_directory(path: String) -> Prepared {
    let options = MkdirOptions {
        parents: true,
        exist_ok: true,
        ..MkdirOptions::default()
    };
    let done = Summary {
        directories: 1,
        ..Summary::default()
    };
    Prepared {
        step: Some(BatchStep::Mkdir { path, options }),
        attributes: None,
        done,
    }
}

fn read_small(path: &Path) -> Result<Bytes> {
    use std::io::Read;
    let failed = |error| cannot_read(path, &error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let most = 2 * super::SMALL_BYTES_MAX;
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 == most {
        return Err(Error::conflict(
            "a file grew while it was being copied; run the command again",
        )
        .with("path", path.display()));
    }
    Ok(bytes.into())
}

/// Sends a file by itself, as a stream.
pub(super) async fn send_large(
    client: Client,
    file: Planned,
    progress: Progress,
) -> Result<Summary> {
    let (file, is_there) =
        blocking(move || file.is_there().map(|is_there| (file, is_there))).await?;
    let options = file.options();
    let Planned {
        path,
        size,
        attributes,
        source,
        there,
        ..
    } = file;
    progress.file();
    if is_there {
        progress.advance(size);
        let set = attributes.difference(there.as_ref());
        attributes.apply_after_write(&client, &path, set).await?;
        return Ok(Summary {
            unchanged: 1,
            ..Summary::default()
        });
    }
    let body = counted(open(source).await?, progress);
    let written = client.write_stream(&path, body, options).await?;
    attributes
        .apply_after_write(&client, &path, Some(attributes.all()))
        .await?;
    let bytes = written.stat.map_or(size, |stat| stat.size);
    Ok(Summary {
        files: 1,
        bytes,
        ..Summary::default()
    })
}

async fn open(source: Source) -> Result<ByteStream> {
    match source {
        Source::Memory(bytes) => Ok(Box::pin(futures::stream::iter([Ok(bytes)]))),
        Source::Stream(body) => Ok(body),
        Source::Disk(path) => {
            let file = tokio::fs::File::open(&path)
                .await
                .map_err(|e| cannot_read(&path, &e))?;
            let pieces = ReaderStream::with_capacity(file, PIECE);
            Ok(pieces
                .map(move |piece| piece.map_err(|e| cannot_read(&path, &e)))
                .boxed())
        }
    }
}

fn counted(body: ByteStream, progress: Progress) -> ByteStream {
    body.inspect(move |piece| {
        if let Ok(piece) = piece {
            progress.advance(piece.len() as u64);
        }
    })
    .boxed()
}
