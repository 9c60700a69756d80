//! `Files.Watch`, which encodes each commit once for all who are told the same.
//!
//! Generated code encodes a message for each stream that it goes out on. So this call is served
//! beside the others, by a codec whose messages are encoded already.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::{BufMut, Bytes};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use nexus_fs::{Feed, FeedBatch};
use nexus_kernel::Result;
use nexus_proto::v1::WatchRequest;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService};
use tonic::{Request, Status};

use super::{Answers, FEW_NAMES_BYTES_MAX, Reply, answer, convert, feed, status};
use crate::app::Shared;

/// Where it is served.
pub(super) const PATH: &str = "/nexus.v1.Files/Watch";

pub(super) async fn serve(State(shared): State<Shared>, request: http::Request<Body>) -> Response {
    let bytes_max = FEW_NAMES_BYTES_MAX.min(shared.app.limits.message_bytes_max);
    let mut grpc = Grpc::new(Encoded).max_decoding_message_size(bytes_max);
    let response = grpc.server_streaming(Watch(shared), request).await;
    response.map(Body::new)
}

struct Watch(Shared);

impl ServerStreamingService<WatchRequest> for Watch {
    type Response = Bytes;
    type ResponseStream = Answers<Bytes>;
    type Future = BoxFuture<'static, Reply<Self::ResponseStream>>;

    fn call(&mut self, request: Request<WatchRequest>) -> Self::Future {
        let shared = self.0.clone();
        let closing = shared.app.closing.clone().cancelled_owned();
        Box::pin(async move {
            let watch = |files: nexus_fs::Session, ask: WatchRequest| async move {
                let feed = files.feed(feed::query(ask)?).await?;
                let told = messages(feed).take_until(closing);
                Ok(told.map_err(status).boxed())
            };
            answer(&shared, request, watch).await
        })
    }
}

/// The commits that a feed tells, each as a message.
fn messages(feed: Feed) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let batches = stream::try_unfold(feed, |mut feed| async move {
        let batch = feed.next().await?;
        Ok(Some((encoded(&batch), feed)))
    });
    let each = |batch: Arc<Messages>| {
        let count = batch.0.len();
        stream::iter((0..count).map(move |number| Ok(batch.0[number].clone())))
    };
    batches.map_ok(each).try_flatten()
}

/// The commits of a batch, each as a message.
struct Messages(Vec<Bytes>);

fn encoded(batch: &FeedBatch) -> Arc<Messages> {
    let message = |record: &nexus_fs::Record| convert::record(record.clone()).encode_to_vec();
    batch.derived(|records| {
        let messages = records.iter().map(|record| message(record).into());
        Messages(messages.collect())
    })
}

/// Takes requests of the interface, and answers what is encoded already.
#[derive(Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = WatchRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = WatchRequest;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<WatchRequest>, Status> {
        let request = WatchRequest::decode(bytes);
        // As generated code answers it.
        request
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
