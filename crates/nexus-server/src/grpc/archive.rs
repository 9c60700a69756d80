//! The service `Archive`.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use nexus_archive::{BlobName, ChainHash, Progress};
use nexus_fs::ExportOptions;
use nexus_kernel::{ByteStream, Error, Result, Revision};
use nexus_proto::v1::archive_server::Archive;
use nexus_proto::v1::export_request::Part;
use nexus_proto::v1::{BlobNames, ExportBegin, ExportRequest, ExportResponse, ExportResume};
use tonic::{Request, Response, Status, Streaming};

use super::incoming::{broken_off, cut};
use super::{Answers, caller, status};
use crate::app::Shared;

pub(super) struct ArchiveDoor(pub(super) Shared);

/// Most blobs that one message names.
const NAMES_MAX: usize = 1000;

#[tonic::async_trait]
impl Archive for ArchiveDoor {
    type ExportStream = Answers<ExportResponse>;

    async fn export(
        &self,
        request: Request<Streaming<ExportRequest>>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let (context, mut messages) = caller(request)?;
        let files = self.0.files(context);
        let first = messages
            .message()
            .await
            .map_err(|why| status(broken_off(why)))?;
        let body = match first.and_then(|first| first.part) {
            Some(Part::Begin(ExportBegin { secrets })) => {
                files.export_zone(ExportOptions { secrets }).await
            }
            Some(Part::Resume(resume)) => match progress(resume) {
                Ok(progress) => files.export_rest(progress, names(messages).boxed()).await,
                Err(error) => Err(error),
            },
            _ => Err(Error::invalid(
                "the first message of an export begins or resumes one",
            )),
        };
        Ok(Response::new(outgoing(body.map_err(status)?)))
    }
}

fn progress(resume: ExportResume) -> Result<Progress> {
    Ok(Progress {
        revision: Revision(resume.revision),
        blocks: resume.blocks,
        bytes: resume.bytes,
        chain: ChainHash::new(&resume.chain)?,
        rows: resume.rows,
        blobs_named: resume.blobs_named,
        has_all_rows: true,
        blobs: resume.blobs,
        blob_bytes: resume.blob_bytes,
    })
}

fn names(
    messages: Streaming<ExportRequest>,
) -> impl futures::Stream<Item = Result<Vec<BlobName>>> + Send + 'static {
    messages.map(|message| match message.map_err(broken_off)?.part {
        Some(Part::Blobs(BlobNames { names })) if names.len() <= NAMES_MAX => {
            names.iter().map(|name| asked_name(name)).collect()
        }
        Some(Part::Blobs(_)) => Err(Error::limit(
            "a message names at most 1000 blobs; send more messages",
        )),
        _ => Err(Error::invalid(
            "only names of blobs follow the first message",
        )),
    })
}

fn asked_name(name: &[u8]) -> Result<BlobName> {
    BlobName::new(name).map_err(|why| {
        Error::invalid("a blob's name has 33 bytes; take it from the rows of the archive")
            .because(why)
    })
}

fn outgoing(body: ByteStream) -> Answers<ExportResponse> {
    let pieces = body.map_ok(|piece: Bytes| stream::iter(cut(piece).map(Ok)));
    pieces
        .try_flatten()
        .map_ok(|data| ExportResponse { data })
        .map_err(status)
        .boxed()
}
