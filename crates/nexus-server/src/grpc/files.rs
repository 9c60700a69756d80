//! The service `Files`.

use futures::StreamExt;
use nexus_fs::{EditOptions, GlobQuery, GrepQuery, ListOptions, RemoveOptions, Session};
use nexus_kernel::{Error, Result};
use nexus_proto::v1::files_server::Files;
use nexus_proto::v1::*;
use tonic::{Request, Streaming};

use super::compare;
use super::convert::{self, at, changed, cursor, durability};
use super::incoming::{incoming, outgoing};
use super::{Answers, Reply, answer, answers, internal};
use crate::app::Shared;
use crate::door::expected_etag;
use crate::paging::page_limit;

pub(super) struct FilesDoor(pub(super) Shared);

#[tonic::async_trait]
impl Files for FilesDoor {
    type ReadStream = Answers<ReadResponse>;
    type GlobStream = Answers<DirEntry>;
    type GrepStream = Answers<GrepMatch>;
    type WatchStream = Answers<Record>;

    async fn stat(&self, request: Request<StatRequest>) -> Reply<Stat> {
        let stat = |files: Session, ask: StatRequest| async move {
            let at = at(&ask.at)?;
            let stat = match ask.no_follow {
                false => files.stat(&ask.path, at).await?,
                true => files.lstat(&ask.path, at).await?,
            };
            Ok(convert::stat(stat))
        };
        answer(&self.0, request, stat).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Reply<EntryPage> {
        let list = |files: Session, ask: ListRequest| async move {
            let options = ListOptions {
                at: at(&ask.at)?,
                recursive: ask.recursive,
                details: ask.details,
                limit: page_limit(Some(ask.limit as usize))?,
                cursor: cursor(ask.cursor),
            };
            Ok(convert::page(files.list(&ask.path, options).await?))
        };
        answer(&self.0, request, list).await
    }

    async fn read(&self, request: Request<ReadRequest>) -> Reply<Self::ReadStream> {
        let read = |files: Session, ask: ReadRequest| async move {
            let range = match (ask.offset, ask.length) {
                (0, None) => None,
                (start, length) => Some(start..start.saturating_add(length.unwrap_or(u64::MAX))),
            };
            let content = match ask.version {
                None => files.open(&ask.path, at(&ask.at)?, range).await?,
                Some(version) if range.is_none() && ask.at.is_empty() => {
                    files.open_version(&ask.path, version).await?
                }
                Some(_) => {
                    return Err(Error::invalid(
                        "a version is read whole, and as it was; leave at and the range out",
                    ));
                }
            };
            Ok(outgoing(content))
        };
        answer(&self.0, request, read).await
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Reply<Changed> {
        let write = |files: Session, messages| async move {
            let (path, options, body) = incoming(messages).await?;
            files.write_stream(&path, body, options).await.map(changed)
        };
        answer(&self.0, request, write).await
    }

    async fn append(&self, request: Request<AppendRequest>) -> Reply<Changed> {
        let append = |files: Session, ask: AppendRequest| async move {
            let options = convert::write_options(ask.options)?;
            files
                .append(&ask.path, ask.content, options)
                .await
                .map(changed)
        };
        answer(&self.0, request, append).await
    }

    async fn set_attributes(&self, request: Request<SetAttributesRequest>) -> Reply<Changed> {
        let set = |files: Session, ask: SetAttributesRequest| async move {
            let attributes = convert::set_attributes(&ask);
            let durability = durability(ask.durability)?;
            files
                .set_attributes(&ask.path, attributes, durability)
                .await
                .map(changed)
        };
        answer(&self.0, request, set).await
    }

    async fn mkdir(&self, request: Request<MkdirRequest>) -> Reply<Changed> {
        let mkdir = |files: Session, ask: MkdirRequest| async move {
            let options = convert::mkdir_options(ask.options, durability(ask.durability)?);
            files.mkdir(&ask.path, options).await.map(changed)
        };
        answer(&self.0, request, mkdir).await
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Reply<Changed> {
        let remove = |files: Session, ask: RemoveRequest| async move {
            let durability = durability(ask.durability)?;
            let options = RemoveOptions {
                recursive: ask.recursive,
                if_match: ask.if_match.as_deref().map(expected_etag).transpose()?,
                durability,
            };
            files.remove(&ask.path, options).await.map(changed)
        };
        answer(&self.0, request, remove).await
    }

    async fn rename(&self, request: Request<RenameRequest>) -> Reply<Changed> {
        let rename = |files: Session, ask: RenameRequest| async move {
            let options = convert::move_options(ask.options, durability(ask.durability)?)?;
            files.rename(&ask.from, &ask.to, options).await.map(changed)
        };
        answer(&self.0, request, rename).await
    }

    async fn copy(&self, request: Request<CopyRequest>) -> Reply<Changed> {
        let copy = |files: Session, ask: CopyRequest| async move {
            let options = convert::move_options(ask.options, durability(ask.durability)?)?;
            files.copy(&ask.from, &ask.to, options).await.map(changed)
        };
        answer(&self.0, request, copy).await
    }

    async fn symlink(&self, request: Request<SymlinkRequest>) -> Reply<Changed> {
        let symlink = |files: Session, ask: SymlinkRequest| async move {
            files
                .symlink(&ask.target, &ask.path, durability(ask.durability)?)
                .await
                .map(changed)
        };
        answer(&self.0, request, symlink).await
    }

    async fn hard_link(&self, request: Request<HardLinkRequest>) -> Reply<Changed> {
        let link = |files: Session, ask: HardLinkRequest| async move {
            files
                .hard_link(&ask.existing, &ask.path, durability(ask.durability)?)
                .await
                .map(changed)
        };
        answer(&self.0, request, link).await
    }

    async fn batch(&self, request: Request<BatchRequest>) -> Reply<BatchResponse> {
        let batch = |files: Session, ask: BatchRequest| async move {
            let durability = durability(ask.durability)?;
            let steps: Result<_> = ask
                .steps
                .into_iter()
                .map(|step| convert::batch_step(step, durability))
                .collect();
            let changes = files.batch(steps?, durability).await?;
            Ok(BatchResponse {
                changes: changes.into_iter().map(changed).collect(),
            })
        };
        answer(&self.0, request, batch).await
    }

    async fn edit(&self, request: Request<EditRequest>) -> Reply<EditResponse> {
        let edit = |files: Session, ask: EditRequest| async move {
            let defaults = EditOptions::default();
            let options = EditOptions {
                if_match: ask.if_match.as_deref().map(expected_etag).transpose()?,
                fuzzy_threshold: ask.fuzzy_threshold.unwrap_or(defaults.fuzzy_threshold),
                preview: ask.preview,
                durability: durability(ask.durability)?,
            };
            let edits: Vec<_> = ask.edits.into_iter().map(convert::edit).collect();
            files
                .edit(&ask.path, &edits, options)
                .await
                .map(convert::edited)
        };
        answer(&self.0, request, edit).await
    }

    async fn glob(&self, request: Request<GlobRequest>) -> Reply<Self::GlobStream> {
        let glob = |files: Session, ask: GlobRequest| async move {
            let query = GlobQuery {
                pattern: ask.pattern,
                path: or_root(ask.path),
                at: at(&ask.at)?,
                ignore: ask.ignore,
            };
            Ok(answers(files.glob(query), convert::entry))
        };
        answer(&self.0, request, glob).await
    }

    async fn grep(&self, request: Request<GrepRequest>) -> Reply<Self::GrepStream> {
        let grep = |files: Session, ask: GrepRequest| async move {
            let results_max = ask.max_results.map_or(usize::MAX, convert::saturating);
            let found = files.grep(GrepQuery {
                at: at(&ask.at)?,
                pattern: ask.pattern,
                path: or_root(ask.path),
                file_pattern: ask.file_pattern,
                ignore_case: ask.ignore_case,
                literal: ask.literal,
                multi_line: ask.multi_line,
                before: ask.before as usize,
                after: ask.after as usize,
                max_per_file: ask.max_per_file,
                ignore: ask.ignore,
                file_bytes_max: ask.file_bytes_max.unwrap_or(u64::MAX),
            });
            Ok(answers(
                found.take(results_max).boxed(),
                convert::grep_match,
            ))
        };
        answer(&self.0, request, grep).await
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Reply<UsageResponse> {
        let usage = |files: Session, ask: UsageRequest| async move {
            let nexus_fs::Usage {
                files,
                directories,
                symlinks,
                bytes,
            } = files.usage(&ask.path, at(&ask.at)?).await?;
            Ok(UsageResponse {
                files,
                directories,
                symlinks,
                bytes,
            })
        };
        answer(&self.0, request, usage).await
    }

    async fn get_metadata(
        &self,
        request: Request<GetMetadataRequest>,
    ) -> Reply<GetMetadataResponse> {
        let get = |files: Session, ask: GetMetadataRequest| async move {
            let pairs = files.metadata(&ask.path, at(&ask.at)?).await?;
            Ok(GetMetadataResponse {
                metadata: pairs.into_iter().collect(),
            })
        };
        answer(&self.0, request, get).await
    }

    async fn set_metadata(&self, request: Request<SetMetadataRequest>) -> Reply<Changed> {
        let set = |files: Session, ask: SetMetadataRequest| async move {
            let set = ask.set.into_iter().map(|(key, value)| (key, Some(value)));
            let pairs = set
                .chain(ask.remove.into_iter().map(|key| (key, None)))
                .collect();
            files
                .set_metadata(&ask.path, pairs, durability(ask.durability)?)
                .await
                .map(changed)
        };
        answer(&self.0, request, set).await
    }

    async fn tags(&self, request: Request<TagsRequest>) -> Reply<TagsResponse> {
        let tags = |files: Session, ask: TagsRequest| async move {
            Ok(TagsResponse {
                tags: files.tags(&ask.path, at(&ask.at)?).await?,
            })
        };
        answer(&self.0, request, tags).await
    }

    async fn set_tags(&self, request: Request<SetTagsRequest>) -> Reply<Changed> {
        let set = |files: Session, ask: SetTagsRequest| async move {
            let durability = durability(ask.durability)?;
            files
                .set_tags(&ask.path, &ask.add, &ask.remove, durability)
                .await
                .map(changed)
        };
        answer(&self.0, request, set).await
    }

    async fn find_by_tag(&self, request: Request<FindByTagRequest>) -> Reply<EntryPage> {
        let find = |files: Session, ask: FindByTagRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let cursor = cursor(ask.cursor);
            files
                .find_by_tag(&ask.tag, limit, cursor.as_deref())
                .await
                .map(convert::page)
        };
        answer(&self.0, request, find).await
    }

    async fn find_by_metadata(&self, request: Request<FindByMetadataRequest>) -> Reply<EntryPage> {
        let find = |files: Session, ask: FindByMetadataRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let (value, cursor) = (ask.value.as_deref(), cursor(ask.cursor));
            let page = files
                .find_by_metadata(&ask.key, value, limit, cursor.as_deref())
                .await?;
            Ok(convert::page(page))
        };
        answer(&self.0, request, find).await
    }

    async fn versions(&self, request: Request<VersionsRequest>) -> Reply<VersionsResponse> {
        let versions = |files: Session, ask: VersionsRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let versions = files.versions(&ask.path, limit, ask.before).await?;
            let versions = versions.into_iter().map(convert::version).collect();
            Ok(VersionsResponse { versions })
        };
        answer(&self.0, request, versions).await
    }

    async fn diff(&self, request: Request<DiffRequest>) -> Reply<DiffResponse> {
        let diff = |files: Session, ask: DiffRequest| async move {
            let (from, to) = (convert::version_at(ask.from)?, convert::version_at(ask.to)?);
            let mode = compare::diff_mode(ask.mode)?;
            let to_path = ask.to_path.as_deref().unwrap_or(&ask.path);
            let diff = files.diff_files((&ask.path, from), (to_path, to), mode);
            Ok(compare::file_diff(diff.await?))
        };
        answer(&self.0, request, diff).await
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Reply<Changed> {
        let rollback = |files: Session, ask: RollbackRequest| async move {
            files
                .rollback(&ask.path, ask.version, durability(ask.durability)?)
                .await
                .map(changed)
        };
        answer(&self.0, request, rollback).await
    }

    async fn log(&self, request: Request<LogRequest>) -> Reply<LogResponse> {
        let log = |files: Session, ask: LogRequest| async move {
            let page = files.log(convert::log_query(ask)?).await?;
            let records = page.records.into_iter().map(convert::record).collect();
            Ok(LogResponse {
                records,
                next: page.next.unwrap_or_default(),
                previous: page.previous.unwrap_or_default(),
            })
        };
        answer(&self.0, request, log).await
    }

    /// Goes to [`watch`](super::watch) before it could come here.
    async fn watch(&self, _: Request<WatchRequest>) -> Reply<Self::WatchStream> {
        Err(internal())
    }

    async fn duplicates(&self, request: Request<DuplicatesRequest>) -> Reply<DuplicatesResponse> {
        let duplicates = |files: Session, ask: DuplicatesRequest| async move {
            let limit = page_limit(Some(ask.limit as usize))?;
            let sets = files.duplicates(&ask.path, ask.min_bytes, limit).await?;
            Ok(DuplicatesResponse {
                sets: sets.into_iter().map(convert::duplicates).collect(),
            })
        };
        answer(&self.0, request, duplicates).await
    }

    async fn sync(&self, request: Request<SyncRequest>) -> Reply<RevisionResponse> {
        let sync = |files: Session, SyncRequest {}| async move {
            files.sync().await.map(|revision| RevisionResponse {
                revision: revision.0,
            })
        };
        answer(&self.0, request, sync).await
    }

    async fn revision(&self, request: Request<RevisionRequest>) -> Reply<RevisionResponse> {
        let revision = |files: Session, RevisionRequest {}| async move {
            files.revision().await.map(|revision| RevisionResponse {
                revision: revision.0,
            })
        };
        answer(&self.0, request, revision).await
    }
}

fn or_root(path: String) -> String {
    if path.is_empty() { "/".into() } else { path }
}
