//! Bringing an archive into stores that hold nothing.

use bytes::Bytes;
use nexus_archive::{BlobName, Block, ChainHash, Header, Progress, Reader};
use nexus_kernel::{
    Durability, Entry, Error, Kind, Metastore, ObjectStore, PutMode, PutOptions, PutOutcome,
    RestoreStep, Restoring, Result, Revision,
};
use prost::Message;
use tokio::io::AsyncRead;

use super::rows::ZoneRows;
use crate::content::{blob_key, collect};
use crate::etag::Etag;
use crate::records::encode;
use crate::zone::{Stores, Zone};

/// Bytes of blobs after which what was stored becomes durable and is noted.
const NOTE_EVERY: u64 = 64 << 20;

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What the archive is of.
    pub header: Header,
    /// How much there was of it.
    pub progress: Progress,
    /// How much of it an earlier import had brought in already.
    pub resumed_after_bytes: u64,
}

impl Zone {
    /// Brings an archive into stores that were never used, or goes on with it where an earlier
    /// import stopped. The zone can be opened once this has succeeded, and not before: until then
    /// the metastore refuses everything else. The archive is read from its beginning each time;
    /// what is there already is checked against it and not written again. `watch` is told after
    /// each block how far it is.
    ///
    /// # Errors
    ///
    /// `Conflict` for stores that are in use already or hold a part of another archive, `Corrupt`
    /// for an archive that is cut short, was changed or holds what no zone has, `Unsupported` for
    /// one of a newer version; whatever the stores answer. After all of these but the first an
    /// import may go on with a good archive, or [`abandon_import`](Self::abandon_import).
    pub async fn import(
        stores: &Stores,
        archive: impl AsyncRead + Unpin,
        mut watch: impl FnMut(&Header, &Progress),
    ) -> Result<Imported> {
        let mut reader = Reader::begin(archive).await?;
        let header = reader.header().clone();
        let mut import = Import::begin(stores, &header, reader.progress()).await?;
        import.check_note(reader.progress())?;
        while let Some(block) = reader.next().await? {
            import.take(block, reader.progress()).await?;
            watch(&header, reader.progress());
        }
        Ok(Imported {
            header,
            progress: *reader.progress(),
            resumed_after_bytes: import.noted.bytes,
        })
    }

    /// Removes what an import has brought in that has not ended, so that another archive may be
    /// imported. Blobs stay behind; the next zone's garbage collection takes them.
    ///
    /// # Errors
    ///
    /// `Conflict` when no import has begun.
    pub async fn abandon_import(stores: &Stores) -> Result<()> {
        stores.metastore.restore(RestoreStep::Abandon).await
    }
}

/// How far an import has come, as its metastore remembers it.
#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(uint64, tag = "1")]
    blocks: u64,
    #[prost(uint64, tag = "2")]
    bytes: u64,
    #[prost(bytes = "bytes", tag = "3")]
    chain: Bytes,
}

impl Note {
    fn of(progress: &Progress) -> Self {
        Self {
            blocks: progress.blocks,
            bytes: progress.bytes,
            chain: Bytes::copy_from_slice(progress.chain.as_bytes()),
        }
    }
}

struct Import<'a> {
    metastore: &'a dyn Metastore,
    objects: &'a dyn ObjectStore,
    rows: ZoneRows,
    /// What was brought in before this import went on.
    noted: Note,
    /// Bytes of blobs that nothing says are durable.
    unsynced: u64,
}

impl<'a> Import<'a> {
    async fn begin(stores: &'a Stores, header: &Header, at: &Progress) -> Result<Self> {
        let metastore = &*stores.metastore;
        let noted = match metastore.restoring().await? {
            Some(begun) => go_on(&begun, header.revision())?,
            None => {
                let note = Note::of(at);
                let begin = RestoreStep::Begin {
                    revision: header.revision(),
                    note: encode(&note),
                };
                metastore.restore(begin).await?;
                note
            }
        };
        Ok(Self {
            metastore,
            objects: &*stores.objects,
            rows: ZoneRows::new(header)?,
            noted,
            unsynced: 0,
        })
    }

    /// Whether what was brought in before is the beginning of this archive.
    fn check_note(&self, at: &Progress) -> Result<()> {
        let is_there = at.blocks == self.noted.blocks;
        if is_there && ChainHash::new(&self.noted.chain)? != at.chain {
            return Err(another_archive());
        }
        Ok(())
    }

    async fn take(&mut self, block: Block, at: &Progress) -> Result<()> {
        self.check_note(at)?;
        let is_new = at.blocks > self.noted.blocks;
        match block {
            Block::Rows(rows) => {
                rows.iter().try_for_each(|row| self.rows.check(row))?;
                if is_new {
                    self.store_rows(rows, at).await?;
                }
                Ok(())
            }
            Block::RowsEnd(_) => self.rows.check_all(),
            Block::Blobs(blobs) if is_new => self.store_blobs(blobs, at).await,
            Block::Blobs(blobs) => self.check_blobs(&blobs).await,
            // What is noted is never the end: this archive is shorter than the one it was of.
            Block::End(_) if !is_new => Err(another_archive()),
            Block::End(_) => {
                self.objects.sync().await?;
                self.metastore.restore(RestoreStep::Finish).await
            }
        }
    }

    async fn store_rows(&self, rows: Vec<Entry>, at: &Progress) -> Result<()> {
        let note = encode(&Note::of(at));
        self.metastore
            .restore(RestoreStep::Rows { rows, note })
            .await
    }

    async fn store_blobs(&mut self, blobs: Vec<(BlobName, Bytes)>, at: &Progress) -> Result<()> {
        for (name, bytes) in blobs {
            self.unsynced += bytes.len() as u64;
            self.store_blob(name, bytes).await?;
        }
        if self.unsynced >= NOTE_EVERY {
            self.objects.sync().await?;
            self.store_rows(Vec::new(), at).await?;
            self.unsynced = 0;
        }
        Ok(())
    }

    async fn store_blob(&self, name: BlobName, bytes: Bytes) -> Result<()> {
        let key = blob_key(&Etag::from_bytes(name.as_bytes())?);
        let options = PutOptions {
            mode: PutMode::IfAbsent,
            durability: Durability::Relaxed,
        };
        let body = Box::pin(futures::stream::once(async { Ok(bytes) }));
        match self.objects.put(&key, body, options).await? {
            PutOutcome::Stored { .. } => Ok(()),
            PutOutcome::AlreadyExists => {
                let blob = self.objects.get(&key, None).await?;
                let size = usize::try_from(blob.meta.size).unwrap_or(usize::MAX);
                let there = collect(blob.body, size).await?;
                if name.is_of(&there) {
                    return Ok(());
                }
                Err(damaged_blob(name))
            }
        }
    }

    /// What an earlier import stored is still there. Whether it is good is for `nexus verify`.
    async fn check_blobs(&self, blobs: &[(BlobName, Bytes)]) -> Result<()> {
        for (name, bytes) in blobs {
            let key = blob_key(&Etag::from_bytes(name.as_bytes())?);
            match self.objects.head(&key).await {
                Ok(there) if there.size == bytes.len() as u64 => {}
                Err(error) if error.kind() != Kind::NotFound => return Err(error),
                Ok(_) | Err(_) => return Err(damaged_blob(*name)),
            }
        }
        Ok(())
    }
}

fn go_on(begun: &Restoring, revision: Revision) -> Result<Note> {
    let note = Note::decode(begun.note.clone()).map_err(|_| another_archive())?;
    if begun.revision != revision {
        return Err(another_archive());
    }
    Ok(note)
}

fn another_archive() -> Error {
    Error::conflict(
        "a part of another archive is in these stores; go on with that one, or abandon it and begin anew",
    )
}

fn damaged_blob(name: BlobName) -> Error {
    Error::corrupt("the object store holds a damaged content; empty it, and begin the import anew")
        .with("content", name)
}
