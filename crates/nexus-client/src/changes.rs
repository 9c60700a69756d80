//! Changing: content, names, attributes, metadata.

use bytes::Bytes;
use futures::channel::oneshot;
use futures::stream::{self, Stream, StreamExt};
use nexus_kernel::{ByteStream, Durability, Error, Result, Revision};
use nexus_proto::v1::{self, write_request::Part};

use crate::connection::Client;
use crate::convert;
use crate::error::from_status_of_change;
use crate::types::changes::{
    BatchStep, Changed, Edit, EditOptions, Edited, MkdirOptions, MoveOptions, RemoveOptions,
    SetAttributes, WriteOptions,
};

/// Most bytes in one message of a streamed write.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Calls that answer `Changed`.
macro_rules! change {
    ($client:expr, $call:ident, $request:expr) => {{
        let answer = $client
            .files()
            .$call($request)
            .await
            .map_err(from_status_of_change)?;
        convert::changed(answer.into_inner())
    }};
}

impl Client {
    /// Creates a file or replaces its content.
    ///
    /// # Errors
    ///
    /// `Conflict` or `AlreadyExists` if the precondition does not hold, `NotFound` if the parent
    /// is missing, `WrongType` if a directory is there.
    pub async fn write(
        &self,
        path: &str,
        content: Bytes,
        options: WriteOptions,
    ) -> Result<Changed> {
        let body = Box::pin(stream::once(async { Ok(content) }));
        self.write_stream(path, body, options).await
    }

    /// Creates a file or replaces its content from a body of any length. A body that fails
    /// changes nothing, and its error is returned.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_stream(
        &self,
        path: &str,
        body: ByteStream,
        options: WriteOptions,
    ) -> Result<Changed> {
        let options = Some(convert::write_options(options));
        let header = v1::WriteHeader {
            path: path.to_owned(),
            options,
        };
        let (failed, failure) = oneshot::channel();
        let mut files = self.files();
        let call = files.write(write_parts(header, body, failed));
        tokio::select! {
            biased;
            Ok(error) = failure => Err(error),
            answer = call => {
                convert::changed(answer.map_err(from_status_of_change)?.into_inner())
            }
        }
    }

    /// Adds bytes at the end of a file, creating it where it is missing.
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
        let options = Some(convert::write_options(options));
        change!(
            self,
            append,
            v1::AppendRequest {
                path: path.to_owned(),
                content,
                options
            }
        )
    }

    /// Changes permission bits, owner, modification time or the size.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn set_attributes(&self, path: &str, set: SetAttributes) -> Result<Changed> {
        let request = v1::SetAttributesRequest {
            path: path.to_owned(),
            mode: set.mode,
            uid: set.uid,
            gid: set.gid,
            modified_ns: set.modified.map(|time| time.0),
            size: set.size,
            durability: convert::durability(set.durability),
        };
        change!(self, set_attributes, request)
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, `NotFound` if the parent is missing.
    pub async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<Changed> {
        let request = v1::MkdirRequest {
            path: path.to_owned(),
            durability: convert::durability(options.durability),
            options: Some(convert::mkdir_options(options)),
        };
        change!(self, mkdir, request)
    }

    /// Removes a file, a link, an empty directory or, if asked to, a tree.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotEmpty`, `Conflict` where the file has another etag.
    pub async fn remove(&self, path: &str, options: RemoveOptions) -> Result<Changed> {
        let request = v1::RemoveRequest {
            path: path.to_owned(),
            recursive: options.recursive,
            if_match: options.if_match,
            durability: convert::durability(options.durability),
        };
        change!(self, remove, request)
    }

    /// Renames a file or a whole tree, in one commit.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists`, `NotEmpty`, `WrongType` by POSIX rules, `InvalidArgument` into
    /// itself.
    pub async fn rename(&self, from: &str, to: &str, options: MoveOptions) -> Result<Changed> {
        let request = v1::RenameRequest {
            from: from.to_owned(),
            to: to.to_owned(),
            durability: convert::durability(options.durability),
            options: Some(convert::move_options(options)),
        };
        change!(self, rename, request)
    }

    /// Copies a file or a whole tree inside the zone; content is shared, not copied.
    ///
    /// # Errors
    ///
    /// As [`rename`](Self::rename).
    pub async fn copy(&self, from: &str, to: &str, options: MoveOptions) -> Result<Changed> {
        let request = v1::CopyRequest {
            from: from.to_owned(),
            to: to.to_owned(),
            durability: convert::durability(options.durability),
            options: Some(convert::move_options(options)),
        };
        change!(self, copy, request)
    }

    /// Makes a symbolic link at `path` that says `target`.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, `NotFound` if the parent is missing.
    pub async fn symlink(
        &self,
        target: &str,
        path: &str,
        durability: Durability,
    ) -> Result<Changed> {
        let request = v1::SymlinkRequest {
            target: target.to_owned(),
            path: path.to_owned(),
            durability: convert::durability(durability),
        };
        change!(self, symlink, request)
    }

    /// Gives an existing file one more name.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists`, `WrongType` for a directory.
    pub async fn hard_link(
        &self,
        existing: &str,
        path: &str,
        durability: Durability,
    ) -> Result<Changed> {
        let request = v1::HardLinkRequest {
            existing: existing.to_owned(),
            path: path.to_owned(),
            durability: convert::durability(durability),
        };
        change!(self, hard_link, request)
    }

    /// Makes several changes in one commit, or none of them.
    ///
    /// # Errors
    ///
    /// That of the first step that fails.
    pub async fn batch(
        &self,
        steps: Vec<BatchStep>,
        durability: Durability,
    ) -> Result<Vec<Changed>> {
        let request = v1::BatchRequest {
            steps: steps.into_iter().map(convert::step).collect(),
            durability: convert::durability(durability),
        };
        let answer = self
            .files()
            .batch(request)
            .await
            .map_err(from_status_of_change)?;
        answer
            .into_inner()
            .changes
            .into_iter()
            .map(convert::changed)
            .collect()
    }

    /// Replaces passages of a text file, each edit on what the one before left.
    ///
    /// # Errors
    ///
    /// `Conflict` for a stale `if_match`. A passage that is not found is no error: see
    /// [`Edited::applied`].
    pub async fn edit(&self, path: &str, edits: Vec<Edit>, options: EditOptions) -> Result<Edited> {
        let edit = |edit: Edit| v1::Edit {
            old: edit.old,
            new: edit.new,
            hint_line: edit.hint_line,
            all: edit.all,
        };
        let request = v1::EditRequest {
            path: path.to_owned(),
            edits: edits.into_iter().map(edit).collect(),
            if_match: options.if_match,
            fuzzy_threshold: options.fuzzy_threshold,
            preview: options.preview,
            durability: convert::durability(options.durability),
        };
        let answer = self
            .files()
            .edit(request)
            .await
            .map_err(from_status_of_change)?;
        convert::edited(answer.into_inner())
    }

    /// Sets and removes custom metadata.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn set_metadata(
        &self,
        path: &str,
        set: Vec<(String, Bytes)>,
        remove: Vec<String>,
        durability: Durability,
    ) -> Result<Changed> {
        let request = v1::SetMetadataRequest {
            path: path.to_owned(),
            set: set.into_iter().collect(),
            remove,
            durability: convert::durability(durability),
        };
        change!(self, set_metadata, request)
    }

    /// Adds and removes tags.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn set_tags(
        &self,
        path: &str,
        add: Vec<String>,
        remove: Vec<String>,
        durability: Durability,
    ) -> Result<Changed> {
        let durability = convert::durability(durability);
        change!(
            self,
            set_tags,
            v1::SetTagsRequest {
                path: path.to_owned(),
                add,
                remove,
                durability
            }
        )
    }

    /// Makes everything acknowledged so far durable.
    ///
    /// # Errors
    ///
    /// Only those of any call.
    pub async fn sync(&self) -> Result<Revision> {
        let answer = self
            .files()
            .sync(v1::SyncRequest {})
            .await
            .map_err(from_status_of_change)?;
        Ok(Revision(answer.into_inner().revision))
    }
}

/// The messages of a streamed write. A body that fails must not end the stream, which would
/// mean that the file is complete: it reports the failure, and the call is dropped.
fn write_parts(
    header: v1::WriteHeader,
    body: ByteStream,
    failed: oneshot::Sender<Error>,
) -> impl Stream<Item = v1::WriteRequest> + Send + 'static {
    let message = |part| v1::WriteRequest { part: Some(part) };
    let first = stream::once(async move { message(Part::Header(header)) });
    let rest = stream::unfold((body, Some(failed)), |(mut body, mut failed)| async move {
        match body.next().await? {
            Ok(piece) => Some((piece, (body, failed))),
            Err(error) => {
                failed.take().map(|failed| failed.send(error));
                futures::future::pending().await
            }
        }
    });
    first.chain(
        rest.flat_map(pieces)
            .map(move |piece| message(Part::Data(piece))),
    )
}

/// A piece cut so that each fits a message.
fn pieces(mut piece: Bytes) -> impl Stream<Item = Bytes> + Send {
    stream::iter(std::iter::from_fn(move || {
        let length = piece.len().min(PIECE_BYTES_MAX);
        (length > 0).then(|| piece.split_to(length))
    }))
}
