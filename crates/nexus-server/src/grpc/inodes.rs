//! The service `Inodes`.

use std::sync::Arc;

use bytes::Bytes;
use nexus_fs::{Ino, NewKind, OpenMode, Session};
use nexus_kernel::{Error, Kind, Result};
use nexus_proto::v1::inodes_server::Inodes;
use nexus_proto::v1::*;
use tonic::Request;

use super::convert::{self, changed, durability, past};
use super::{Reply, answer};
use crate::app::Shared;
use crate::paging::page_limit;

use written::written;

pub(crate) use handles::{Handles, SWEEP_EVERY};

mod handles;
mod messages;
mod written;

/// With details, a page of so many entries fits into a message.
const PAGE_ENTRIES_MAX: usize = 512;
/// Most bytes that are answered when a file is opened.
const HEAD_BYTES_MAX: u32 = 64 << 10;
const READ_BYTES_MAX: u32 = 2 << 20;
/// Most handles named in one call.
const NAMED_MAX: usize = 16_384;

pub(super) struct InodesDoor(pub(super) Shared);

impl InodesDoor {
    async fn open_handle(&self, files: &Session, ino: Ino, mode: OpenMode) -> Result<Opened> {
        let mut context = files.context().clone();
        // A handle outlives the call that opened it.
        context.deadline = None;
        let session = self.0.files(context);
        let handle = Arc::new(session.open_handle(ino, mode).await?);
        let stat = handle.stat().await?;
        let number = self.0.handles.insert(files, handle)?;
        Ok(Opened {
            stat: Some(convert::stat(stat)),
            handle: Some(number),
            head: Bytes::new(),
        })
    }
}

#[tonic::async_trait]
impl Inodes for InodesDoor {
    async fn lookup(&self, request: Request<LookupRequest>) -> Reply<Stat> {
        let lookup = |files: Session, ask: LookupRequest| async move {
            let parent = Ino(ask.parent);
            let found = match past(&ask.at)? {
                None => files.lookup(parent, &ask.name).await,
                Some(at) => files.as_of(at).await?.lookup(parent, &ask.name).await,
            };
            found.map(convert::stat)
        };
        answer(&self.0, request, lookup).await
    }

    async fn get_attributes(&self, request: Request<GetAttributesRequest>) -> Reply<Stat> {
        let get = |files: Session, ask: GetAttributesRequest| async move {
            let found = match past(&ask.at)? {
                None => files.getattr(Ino(ask.ino)).await,
                Some(at) => files.as_of(at).await?.getattr(Ino(ask.ino)).await,
            };
            found.map(convert::stat)
        };
        answer(&self.0, request, get).await
    }

    async fn set_attributes(&self, request: Request<SetInodeAttributesRequest>) -> Reply<Stat> {
        let set = |files: Session, ask: SetInodeAttributesRequest| async move {
            let (ino, durability) = (Ino(ask.ino), durability(ask.durability)?);
            let set = files.setattr(ino, messages::attributes(&ask), durability);
            set.await.map(convert::stat)
        };
        answer(&self.0, request, set).await
    }

    async fn make(&self, request: Request<MakeRequest>) -> Reply<Opened> {
        let make = |files: Session, ask: MakeRequest| async move {
            let (parent, open) = (Ino(ask.parent), ask.open);
            let durability = durability(ask.durability)?;
            let (name, new) = messages::new_inode(ask)?;
            if open && new.kind != NewKind::File {
                return Err(Error::invalid("only a file can be opened"));
            }
            let stat = files.make_at(parent, &name, new, durability).await?;
            if open {
                match self
                    .open_handle(&files, stat.ino, OpenMode::ReadWrite)
                    .await
                {
                    // It is made all the same; opening it will say so.
                    Err(error) if error.kind() == Kind::LimitExceeded => {}
                    opened => return opened,
                }
            }
            Ok(Opened {
                stat: Some(convert::stat(stat)),
                handle: None,
                head: Bytes::new(),
            })
        };
        answer(&self.0, request, make).await
    }

    async fn remove(&self, request: Request<RemoveNameRequest>) -> Reply<Changed> {
        let remove = |files: Session, ask: RemoveNameRequest| async move {
            let (parent, durability) = (Ino(ask.parent), durability(ask.durability)?);
            let removed = match ask.directory {
                true => files.rmdir_at(parent, &ask.name, durability).await,
                false => files.unlink_at(parent, &ask.name, durability).await,
            };
            removed.map(changed)
        };
        answer(&self.0, request, remove).await
    }

    async fn rename(&self, request: Request<RenameNameRequest>) -> Reply<Changed> {
        let rename = |files: Session, ask: RenameNameRequest| async move {
            let from = (Ino(ask.from_parent), ask.from_name.as_str());
            let to = (Ino(ask.to_parent), ask.to_name.as_str());
            let replace = convert::replace(ask.replace)?;
            let durability = durability(ask.durability)?;
            files
                .rename_at(from, to, replace, durability)
                .await
                .map(changed)
        };
        answer(&self.0, request, rename).await
    }

    async fn link(&self, request: Request<LinkNameRequest>) -> Reply<Stat> {
        let link = |files: Session, ask: LinkNameRequest| async move {
            let (ino, parent) = (Ino(ask.ino), Ino(ask.parent));
            let linked = files.link_at(ino, parent, &ask.name, durability(ask.durability)?);
            linked.await.map(convert::stat)
        };
        answer(&self.0, request, link).await
    }

    async fn read_directory(&self, request: Request<ReadDirectoryRequest>) -> Reply<DirectoryPage> {
        let read = |files: Session, ask: ReadDirectoryRequest| async move {
            let (ino, details) = (Ino(ask.ino), ask.details);
            let after = (!ask.after.is_empty()).then_some(ask.after.as_str());
            let limit = (ask.limit as usize).min(PAGE_ENTRIES_MAX);
            let entries = match past(&ask.at)? {
                None if details => files.readdir_plus(ino, after, limit).await?,
                None => files.readdir(ino, after, limit).await?,
                Some(at) => {
                    let then = files.as_of(at).await?;
                    then.readdir(ino, after, limit, details).await?
                }
            };
            let entries = entries.into_iter().map(messages::entry).collect();
            Ok(DirectoryPage { entries })
        };
        answer(&self.0, request, read).await
    }

    async fn parent_of(&self, request: Request<ParentOfRequest>) -> Reply<ParentOfResponse> {
        let parent = |files: Session, ask: ParentOfRequest| async move {
            let parent = match past(&ask.at)? {
                None => files.parent_of(Ino(ask.ino)).await?,
                Some(at) => files.as_of(at).await?.parent_of(Ino(ask.ino)).await?,
            };
            Ok(ParentOfResponse { ino: parent.0 })
        };
        answer(&self.0, request, parent).await
    }

    async fn get_metadata_value(
        &self,
        request: Request<GetMetadataValueRequest>,
    ) -> Reply<MetadataValue> {
        let get = |files: Session, ask: GetMetadataValueRequest| async move {
            let (ino, key) = (Ino(ask.ino), ask.key.as_str());
            let value = match past(&ask.at)? {
                None => files.metadata_value(ino, key).await?,
                Some(at) => files.as_of(at).await?.metadata_value(ino, key).await?,
            };
            Ok(MetadataValue { value })
        };
        answer(&self.0, request, get).await
    }

    async fn list_metadata_keys(
        &self,
        request: Request<ListMetadataKeysRequest>,
    ) -> Reply<MetadataKeys> {
        let list = |files: Session, ask: ListMetadataKeysRequest| async move {
            let keys = match past(&ask.at)? {
                None => files.metadata_keys(Ino(ask.ino)).await?,
                Some(at) => files.as_of(at).await?.metadata_keys(Ino(ask.ino)).await?,
            };
            Ok(MetadataKeys { keys })
        };
        answer(&self.0, request, list).await
    }

    async fn set_metadata_value(
        &self,
        request: Request<SetMetadataValueRequest>,
    ) -> Reply<Changed> {
        let set = |files: Session, ask: SetMetadataValueRequest| async move {
            let must = messages::presence(ask.must)?;
            let (ino, durability) = (Ino(ask.ino), durability(ask.durability)?);
            let set = files.set_metadata_value(ino, &ask.key, ask.value, must, durability);
            set.await.map(changed)
        };
        answer(&self.0, request, set).await
    }

    async fn versions(
        &self,
        request: Request<InodeVersionsRequest>,
    ) -> Reply<InodeVersionsResponse> {
        let versions = |files: Session, ask: InodeVersionsRequest| async move {
            let (ino, limit) = (Ino(ask.ino), page_limit(Some(ask.limit as usize))?);
            let versions = match past(&ask.at)? {
                None => files.versions_of(ino, limit).await?,
                Some(at) => files.as_of(at).await?.versions(ino, limit).await?,
            };
            let versions = versions.into_iter().map(convert::version).collect();
            Ok(InodeVersionsResponse { versions })
        };
        answer(&self.0, request, versions).await
    }

    async fn as_of(&self, request: Request<AsOfRequest>) -> Reply<AsOfResponse> {
        let as_of = |files: Session, ask: AsOfRequest| async move {
            let then = files.as_of(convert::at(&ask.at)?).await?;
            let revision = then.revision().0;
            Ok(AsOfResponse { revision })
        };
        answer(&self.0, request, as_of).await
    }

    async fn read_past(&self, request: Request<ReadPastRequest>) -> Reply<ReadHandleResponse> {
        let read = |files: Session, ask: ReadPastRequest| async move {
            check_length(ask.length)?;
            let then = files.as_of(convert::at(&ask.at)?).await?;
            let file = then.open(Ino(ask.ino)).await?;
            let data = file.read(ask.offset, ask.length as usize).await?;
            Ok(ReadHandleResponse { data })
        };
        answer(&self.0, request, read).await
    }

    async fn open(&self, request: Request<OpenRequest>) -> Reply<Opened> {
        let open = |files: Session, ask: OpenRequest| async move {
            let mode = match ask.write {
                true => OpenMode::ReadWrite,
                false => OpenMode::Read,
            };
            let mut opened = self.open_handle(&files, Ino(ask.ino), mode).await?;
            if let Some(number) = opened.handle.filter(|_| ask.head > 0) {
                let open = self.0.handles.get(&files, number)?;
                let length = ask.head.min(HEAD_BYTES_MAX);
                opened.head = open.handle.read(0, length as usize).await?;
            }
            Ok(opened)
        };
        answer(&self.0, request, open).await
    }

    async fn read(&self, request: Request<ReadHandleRequest>) -> Reply<ReadHandleResponse> {
        let read = |files: Session, ask: ReadHandleRequest| async move {
            check_length(ask.length)?;
            let open = self.0.handles.get(&files, ask.handle)?;
            let data = open.handle.read(ask.offset, ask.length as usize).await?;
            Ok(ReadHandleResponse { data })
        };
        answer(&self.0, request, read).await
    }

    async fn write(&self, request: Request<WriteHandleRequest>) -> Reply<WriteHandleResponse> {
        let write = |files: Session, ask: WriteHandleRequest| async move {
            let open = self.0.handles.get(&files, ask.handle)?;
            let finish = messages::finish(ask.finish)?;
            let written = written(&open, ask.sequence, ask.pieces).await?;
            match finish {
                Finish::Unspecified => {}
                Finish::Flush => open.handle.flush().await?,
                Finish::Fsync => open.handle.fsync().await?,
            }
            Ok(written)
        };
        answer(&self.0, request, write).await
    }

    async fn close(&self, request: Request<CloseRequest>) -> Reply<CloseResponse> {
        let close = |files: Session, ask: CloseRequest| async move {
            check_named(&ask.handles)?;
            for number in ask.handles {
                self.0.handles.close(&files, number).await?;
            }
            Ok(CloseResponse {})
        };
        answer(&self.0, request, close).await
    }

    async fn keep_alive(&self, request: Request<KeepAliveRequest>) -> Reply<KeepAliveResponse> {
        let keep = |files: Session, ask: KeepAliveRequest| async move {
            check_named(&ask.handles)?;
            let known = |number: &u64| self.0.handles.get(&files, *number).is_err();
            let unknown = ask.handles.into_iter().filter(known).collect();
            Ok(KeepAliveResponse { unknown })
        };
        answer(&self.0, request, keep).await
    }
}

fn check_length(length: u32) -> Result<()> {
    if length <= READ_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit("at most 2 MiB can be read in one call").with("limit", READ_BYTES_MAX))
}

fn check_named(handles: &[u64]) -> Result<()> {
    if handles.len() <= NAMED_MAX {
        return Ok(());
    }
    Err(Error::limit("name at most 16,384 handles in one call").with("limit", NAMED_MAX))
}
