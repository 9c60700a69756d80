//! Reading: attributes, listings, content, metadata.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use nexus_kernel::{ByteStream, Error, Result, Revision};
use nexus_proto::v1::{self, read_response::Part};
use tonic::Streaming;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, misunderstood};
use crate::types::files::{
    At, Content, DirEntry, Duplicates, FileBytes, ListOptions, Page, ReadOptions, Stat, Usage,
};

/// Most bytes that [`Client::read`] holds in memory.
const READ_BYTES_MAX: u64 = 64 << 20;

impl Client {
    /// The attributes of what `path` names; symbolic links are followed.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn stat(&self, path: &str, at: At) -> Result<Stat> {
        self.attributes(path, at, false).await
    }

    /// The attributes of what `path` names, of a symbolic link its own.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn lstat(&self, path: &str, at: At) -> Result<Stat> {
        self.attributes(path, at, true).await
    }

    async fn attributes(&self, path: &str, at: At, no_follow: bool) -> Result<Stat> {
        let request = v1::StatRequest {
            path: path.to_owned(),
            at: at.into_wire(),
            no_follow,
        };
        let answer = self.files().stat(request).await.map_err(from_status)?;
        convert::stat(answer.into_inner())
    }

    /// One page of a directory, or of all below it: by name in byte order, depth first.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` if it is not a directory.
    pub async fn list(&self, path: &str, options: ListOptions) -> Result<Page<DirEntry>> {
        let request = v1::ListRequest {
            path: path.to_owned(),
            at: options.at.into_wire(),
            recursive: options.recursive,
            details: options.details,
            limit: options.limit,
            cursor: options.cursor.unwrap_or_default(),
        };
        let answer = self.files().list(request).await.map_err(from_status)?;
        convert::page(answer.into_inner())
    }

    /// Every entry of a directory, or of all below it, asked for page by page as it is
    /// consumed. Name a revision in `options.at` to see one state across pages.
    #[must_use]
    pub fn list_all(
        &self,
        path: &str,
        options: ListOptions,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (client, path) = (self.clone(), path.to_owned());
        pages(options.cursor.clone(), move |cursor| {
            let (client, path) = (client.clone(), path.clone());
            let options = ListOptions {
                cursor,
                ..options.clone()
            };
            async move { client.list(&path, options).await }
        })
    }

    /// Opens a file, or a range or a version of it.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` if it is not a file, `InvalidArgument` for a range that begins
    /// beyond the end. The body ends with an error if the connection is lost.
    pub async fn open(&self, path: &str, options: ReadOptions) -> Result<Content> {
        let request = v1::ReadRequest {
            path: path.to_owned(),
            at: options.at.into_wire(),
            offset: options.offset,
            length: options.length,
            version: options.version,
        };
        let answer = self.files().read(request).await.map_err(from_status)?;
        let mut parts = answer.into_inner();
        let first = parts.message().await.map_err(from_status)?;
        let Some(Part::Header(header)) = first.and_then(|response| response.part) else {
            return Err(misunderstood("a read without a header"));
        };
        let range = header.offset..header.offset + header.length;
        let stat = convert::required_stat(header.stat)?;
        Ok(Content {
            stat,
            body: body(parts, header.length),
            range,
        })
    }

    /// Reads a file, or a range or a version of it, into memory.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and `LimitExceeded` for more than 64 MiB.
    pub async fn read(&self, path: &str, options: ReadOptions) -> Result<FileBytes> {
        let mut content = self.open(path, options).await?;
        let length = content.range.end - content.range.start;
        if length > READ_BYTES_MAX {
            return Err(
                Error::limit("too much to read into memory; open the file and stream it")
                    .with("path", path)
                    .with("bytes", length)
                    .with("bytes_max", READ_BYTES_MAX),
            );
        }
        let mut bytes = BytesMut::new();
        while let Some(piece) = content.body.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(FileBytes {
            stat: content.stat,
            bytes: bytes.freeze(),
        })
    }

    /// What a subtree holds.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn usage(&self, path: &str, at: At) -> Result<Usage> {
        let request = v1::UsageRequest {
            path: path.to_owned(),
            at: at.into_wire(),
        };
        let usage = self
            .files()
            .usage(request)
            .await
            .map_err(from_status)?
            .into_inner();
        Ok(Usage {
            files: usage.files,
            directories: usage.directories,
            symlinks: usage.symlinks,
            bytes: usage.bytes,
        })
    }

    /// Custom metadata, by key.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn metadata(&self, path: &str, at: At) -> Result<Vec<(String, Bytes)>> {
        let request = v1::GetMetadataRequest {
            path: path.to_owned(),
            at: at.into_wire(),
        };
        let answer = self
            .files()
            .get_metadata(request)
            .await
            .map_err(from_status)?;
        let mut metadata: Vec<_> = answer.into_inner().metadata.into_iter().collect();
        metadata.sort();
        Ok(metadata)
    }

    /// The tags of a file or directory.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn tags(&self, path: &str, at: At) -> Result<Vec<String>> {
        let request = v1::TagsRequest {
            path: path.to_owned(),
            at: at.into_wire(),
        };
        let answer = self.files().tags(request).await.map_err(from_status)?;
        Ok(answer.into_inner().tags)
    }

    /// Files with equal content, at least `min_bytes` large; at most `limit` sets of them, or
    /// the node's default if 0.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn duplicates(
        &self,
        path: &str,
        min_bytes: u64,
        limit: u32,
    ) -> Result<Vec<Duplicates>> {
        let request = v1::DuplicatesRequest {
            path: path.to_owned(),
            min_bytes,
            limit,
        };
        let answer = self
            .files()
            .duplicates(request)
            .await
            .map_err(from_status)?;
        let set = |set: v1::DuplicateSet| Duplicates {
            etag: set.etag,
            size: set.size,
            paths: set.paths,
        };
        Ok(answer.into_inner().sets.into_iter().map(set).collect())
    }

    /// The newest revision.
    ///
    /// # Errors
    ///
    /// Only those of any call.
    pub async fn revision(&self) -> Result<Revision> {
        let answer = self
            .files()
            .revision(v1::RevisionRequest {})
            .await
            .map_err(from_status)?;
        Ok(Revision(answer.into_inner().revision))
    }
}

/// The pieces of a read, and an error if there are fewer bytes than announced.
fn body(parts: Streaming<v1::ReadResponse>, length: u64) -> ByteStream {
    Box::pin(stream::try_unfold(
        (parts, length),
        |(mut parts, left)| async move {
            match parts
                .message()
                .await
                .map_err(from_status)?
                .map(|response| response.part)
            {
                Some(Some(Part::Data(data))) => {
                    let left = left.checked_sub(data.len() as u64);
                    let left = left.ok_or_else(|| misunderstood("more bytes than announced"))?;
                    Ok(Some((data, (parts, left))))
                }
                Some(_) => Err(misunderstood("a second header in a read")),
                None if left > 0 => Err(Error::unavailable(
                    "the node stopped in the middle of a file; read it again",
                )),
                None => Ok(None),
            }
        },
    ))
}

/// All items of a paged call.
pub(crate) fn pages<T, F>(
    cursor: Option<String>,
    page: impl Fn(Option<String>) -> F + Send + 'static,
) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<Page<T>>> + Send + 'static,
{
    let items = stream::try_unfold(Some((cursor, page)), |state| async move {
        let Some((cursor, page)) = state else {
            return Ok::<_, Error>(None);
        };
        let Page { items, next } = page(cursor).await?;
        let rest = next.map(|next| (Some(next), page));
        Ok(Some((stream::iter(items.into_iter().map(Ok)), rest)))
    });
    items.try_flatten().boxed()
}

/// The items of a streaming call.
pub(crate) fn items<W, T>(
    wire: Streaming<W>,
    convert: impl Fn(W) -> Result<T> + Send + 'static,
) -> BoxStream<'static, Result<T>>
where
    W: Send + 'static,
    T: Send + 'static,
{
    wire.map(move |item| item.map_err(from_status).and_then(&convert))
        .boxed()
}
