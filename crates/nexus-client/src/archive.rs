//! The archive of a whole zone.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use nexus_archive::{BlobName, Progress};
use nexus_kernel::{ByteStream, Result};
use nexus_proto::v1::export_request::Part;
use nexus_proto::v1::{BlobNames, ExportBegin, ExportRequest, ExportResume};

use crate::connection::Client;
use crate::error::from_status;

/// Blobs that one message names.
const NAMES_PER_MESSAGE: usize = 1000;

/// What an archive has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// With the settings of the zone, among them the hashes of its keys: a zone that is restored
    /// from it takes the same keys.
    pub secrets: bool,
}

impl Client {
    /// The bytes of an archive of the whole zone as it is now, while others go on. They end with an
    /// error if the connection is lost; what came until then is the beginning of an archive.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without admin rights or with a prefix, `LimitExceeded` while other
    /// exports are under way.
    pub async fn export_zone(&self, options: ExportOptions) -> Result<ByteStream> {
        let begin = Part::Begin(ExportBegin {
            secrets: options.secrets,
        });
        self.export(stream::iter([request(begin)]).boxed()).await
    }

    /// The rest of an archive that was cut short at `progress`, after all its rows. `blobs` are the
    /// names that are still wanted, in the order of the rows.
    ///
    /// # Errors
    ///
    /// As [`export_zone`](Self::export_zone); `Conflict` when the node has a blob no more.
    pub async fn export_rest(
        &self,
        progress: &Progress,
        blobs: BoxStream<'static, BlobName>,
    ) -> Result<ByteStream> {
        let resume = Part::Resume(ExportResume {
            revision: progress.revision.0,
            blocks: progress.blocks,
            bytes: progress.bytes,
            chain: Bytes::copy_from_slice(progress.chain.as_bytes()),
            rows: progress.rows,
            blobs_named: progress.blobs_named,
            blobs: progress.blobs,
            blob_bytes: progress.blob_bytes,
        });
        let names = blobs.chunks(NAMES_PER_MESSAGE).map(|names| {
            let name = |name: BlobName| Bytes::copy_from_slice(name.as_bytes());
            request(Part::Blobs(BlobNames {
                names: names.into_iter().map(name).collect(),
            }))
        });
        let first = stream::iter([request(resume)]);
        self.export(first.chain(names).boxed()).await
    }

    async fn export(&self, requests: BoxStream<'static, ExportRequest>) -> Result<ByteStream> {
        let answer = self
            .archives()
            .export(requests)
            .await
            .map_err(from_status)?;
        let pieces = answer.into_inner().map_err(from_status);
        Ok(Box::pin(pieces.map_ok(|piece| piece.data)))
    }
}

fn request(part: Part) -> ExportRequest {
    ExportRequest { part: Some(part) }
}
