//! Making an archive of a zone that is in use.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use nexus_archive::{
    BLOCK_BYTES, BlobName, HashAlgorithm as ArchiveHash, Header, Progress, Writer, blob_named_by,
};
use nexus_kernel::{ByteStream, Entry, Error, KeyRange, Kind, MetastoreSnapshot, Result, Scan};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::{PAGE, STALLED_MAX};
use crate::content::{Pinned, blob_key};
use crate::etag::{Etag, HashAlgorithm};
use crate::keys;
use crate::session::Session;
use crate::view::next_key;

/// Most exports of a zone at a time: each holds a state of it.
pub const EXPORTS_MAX: usize = 2;

/// Blocks that are ready before somebody takes them.
const READY_MAX: usize = 2;
/// Blobs read ahead.
const READ_AHEAD: usize = 3;

/// What an archive has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// With the settings of the zone, among them the hashes of its keys: a zone that is restored
    /// from it takes the same keys.
    pub secrets: bool,
}

impl Session {
    /// The whole zone as it is now, as the bytes of an archive, while others go on. Nothing of it
    /// is collected before the stream has ended or is dropped. It ends with an error when nobody
    /// takes from it for five minutes.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without the right to administer the whole zone, `LimitExceeded` while
    /// [`EXPORTS_MAX`] others are under way, `Corrupt` for content that is lost or damaged;
    /// whatever the stores answer.
    pub async fn export_zone(&self, options: ExportOptions) -> Result<ByteStream> {
        let held = self.hold_content().await?;
        let snapshot = self.zone.metastore.snapshot().await?;
        let header = self.header(&*snapshot, options);
        let (writer, first) = Writer::begin(&header)?;
        Ok(self.produce(held, writer, move |mut export| async move {
            export.send(first).await?;
            export.rows(&*snapshot, options).await?;
            export.named_blobs(&*snapshot).await?;
            export.finish().await
        }))
    }

    /// The rest of an archive that was cut short after all its rows. `blobs` are the names that
    /// its rows still want, in order. Needs nothing of the export that began it, and goes on after
    /// a restart too.
    ///
    /// # Errors
    ///
    /// As [`export_zone`](Self::export_zone); `InvalidArgument` for an archive without all its
    /// rows, `Conflict` when a blob has been collected since.
    pub async fn export_rest(
        &self,
        progress: Progress,
        blobs: BoxStream<'static, Result<Vec<BlobName>>>,
    ) -> Result<ByteStream> {
        let held = self.hold_content().await?;
        let writer = Writer::resume(progress)?;
        Ok(self.produce(held, writer, move |mut export| async move {
            let names = blobs
                .map_ok(|names| stream::iter(names).map(Ok))
                .try_flatten();
            export.blobs(names.boxed(), Gone::Collected).await?;
            export.finish().await
        }))
    }

    async fn hold_content(&self) -> Result<Held> {
        self.administer().await?;
        let place = self.zone.exports.clone().try_acquire_owned().map_err(|_| {
            Error::limit("other exports of this zone are under way; wait until one has ended")
                .with("most", EXPORTS_MAX)
        })?;
        let pinned = self.zone.content.pins.pin_all().await;
        Ok(Held {
            _place: place,
            _pinned: pinned,
        })
    }

    fn header(&self, snapshot: &dyn MetastoreSnapshot, options: ExportOptions) -> Header {
        let hash = match self.zone.content.algorithm() {
            HashAlgorithm::Blake3 => ArchiveHash::Blake3,
            HashAlgorithm::Sha256 => ArchiveHash::Sha256,
        };
        Header {
            zone: self.context.principal.zone.clone(),
            revision_number: snapshot.revision().0,
            hash: hash.into(),
            created_ns: self.zone.config.clock.now().0,
            secrets: options.secrets,
            program: concat!("nexus ", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// Runs an export on a task of its own, a few blocks ahead of whoever takes them.
    fn produce<F>(
        &self,
        held: Held,
        writer: Writer,
        work: impl FnOnce(Export) -> F + Send + 'static,
    ) -> ByteStream
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (out, mut blocks) = mpsc::channel(READY_MAX);
        let failures = out.clone();
        let export = Export {
            session: self.clone(),
            writer,
            out,
            _held: Arc::new(held),
        };
        let work = work(export);
        tokio::spawn(async move {
            if let Err(error) = work.await {
                // Who has gone does not mind.
                let _ = timeout(STALLED_MAX, failures.send(Err(error))).await;
            }
        });
        Box::pin(stream::poll_fn(move |context| blocks.poll_recv(context)))
    }
}

/// What an export keeps from others while it lasts.
struct Held {
    _place: OwnedSemaphorePermit,
    _pinned: Pinned,
}

/// What it means that a blob is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It was held: the store has lost it.
    Lost,
    /// Nobody held it for some time.
    Collected,
}

/// An export under way.
struct Export {
    session: Session,
    writer: Writer,
    out: mpsc::Sender<Result<Bytes>>,
    _held: Arc<Held>,
}

impl Export {
    async fn send(&self, block: Bytes) -> Result<()> {
        self.session.check_goes_on()?;
        match timeout(STALLED_MAX, self.out.send(Ok(block))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::unavailable("whoever took the export has gone")),
            Err(_) => Err(Error::unavailable(
                "nobody took the export for five minutes; go on with `nexus zone export --resume`",
            )),
        }
    }

    async fn rows(
        &mut self,
        snapshot: &dyn MetastoreSnapshot,
        options: ExportOptions,
    ) -> Result<()> {
        let mut block = Gathered::default();
        let mut range = keys::everything();
        while let Some(page) = next_page(snapshot, &mut range).await? {
            for row in page {
                if keys::is_setting(&row.key) && !options.secrets {
                    continue;
                }
                let bytes = row.key.len() + row.value.bytes.len();
                if let Some(rows) = block.add(row, bytes) {
                    let block = self.writer.rows(rows)?;
                    self.send(block).await?;
                }
            }
        }
        if let Some(rows) = block.rest() {
            let block = self.writer.rows(rows)?;
            self.send(block).await?;
        }
        let end = self.writer.rows_end()?;
        self.send(end).await
    }

    /// The blobs that the rows of a snapshot name.
    async fn named_blobs(&mut self, snapshot: &dyn MetastoreSnapshot) -> Result<()> {
        let mut range = keys::all_references();
        while let Some(page) = next_page(snapshot, &mut range).await? {
            let names: Vec<_> = page
                .iter()
                .filter_map(|row| blob_named_by(row).transpose())
                .collect();
            self.blobs(stream::iter(names).boxed(), Gone::Lost).await?;
        }
        Ok(())
    }

    async fn blobs(&mut self, names: BoxStream<'_, Result<BlobName>>, gone: Gone) -> Result<()> {
        let session = self.session.clone();
        let read = |name: BlobName| {
            let session = session.clone();
            async move { Ok((name, session.blob_to_export(name, gone).await?)) }
        };
        let mut blobs = names.map_ok(read).try_buffered(READ_AHEAD);
        let mut block = Gathered::default();
        while let Some((name, bytes)) = blobs.try_next().await? {
            let len = bytes.len();
            if let Some(blobs) = block.add((name, bytes), len) {
                let block = self.writer.blobs(blobs)?;
                self.send(block).await?;
            }
        }
        if let Some(blobs) = block.rest() {
            let block = self.writer.blobs(blobs)?;
            self.send(block).await?;
        }
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        let Self {
            session,
            writer,
            out,
            _held,
        } = self;
        let last = writer.finish()?;
        session.check_goes_on()?;
        // Who has gone does not mind.
        let _ = timeout(STALLED_MAX, out.send(Ok(last))).await;
        Ok(())
    }
}

impl Session {
    async fn blob_to_export(&self, name: BlobName, gone: Gone) -> Result<Bytes> {
        let content = &self.zone.content;
        let etag = Etag::from_bytes(name.as_bytes())?;
        if gone == Gone::Collected
            && let Err(error) = content.objects.head(&blob_key(&etag)).await
        {
            return Err(match error.kind() {
                Kind::NotFound => Error::conflict(
                    "a content of the archive has been collected since it was begun; export the zone anew",
                )
                .with("content", etag),
                _ => error,
            });
        }
        content.read_blob(&etag).await
    }
}

/// What makes one block.
struct Gathered<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
        }
    }
}

impl<T> Gathered<T> {
    /// Adds an item; answers what there is when that is enough for a block.
    fn add(&mut self, item: T, bytes: usize) -> Option<Vec<T>> {
        self.items.push(item);
        self.bytes += bytes;
        if self.bytes < BLOCK_BYTES {
            return None;
        }
        self.rest()
    }

    fn rest(&mut self) -> Option<Vec<T>> {
        self.bytes = 0;
        let items = std::mem::take(&mut self.items);
        (!items.is_empty()).then_some(items)
    }
}

/// The next rows of a range, which goes on after them; none at its end.
async fn next_page(
    snapshot: &dyn MetastoreSnapshot,
    range: &mut KeyRange,
) -> Result<Option<Vec<Entry>>> {
    let page = snapshot.scan(Scan::forward(range.clone(), PAGE)).await?;
    let Some(last) = page.entries.last() else {
        return Ok(None);
    };
    range.start = next_key(&last.key);
    Ok(Some(page.entries))
}
