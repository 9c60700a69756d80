//! Versions of a file.

use nexus_kernel::{Durability, Entry, Error, Freshness, Kind, Result, Revision, Scan, Timestamp};
use nexus_service_api::Action;

use crate::cache::CachedInode;
use crate::content::Stored;
use crate::etag::Etag;
use crate::fork::is_forked;
use crate::handles::gone;
use crate::keys;
use crate::lineage::{Origin, Source, SourceKind};
use crate::read::existing;
use crate::records::{self, Ended, InodeRecord, unreadable};
use crate::resolve::resolve;
use crate::retention::collected;
use crate::session::Session;
use crate::steps::is_a_directory;
use crate::types::{
    At, Changed, Content, FileBytes, FileKind, Ino, Precondition, Version, WriteOptions,
};
use crate::writes::{Extra, REWRITES_MAX, busy};

/// Most versions of a file in one answer.
pub const VERSIONS_LIMIT_MAX: usize = 10_000;
/// History rows read at a time.
const PAGE: usize = 32;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionAt {
    /// A version of the file that the path names today.
    Version(u64),
    /// What the path named then.
    At(At),
}

/// A state of a file, with the revision that made it.
pub(crate) struct State {
    pub record: InodeRecord,
    pub since: Revision,
}

impl Session {
    /// The versions of a file, newest first; at most `limit` of those before the version
    /// number `before`.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat); `WrongType` for a directory, `LimitExceeded` for more than
    /// [`VERSIONS_LIMIT_MAX`].
    pub async fn versions(
        &self,
        path: &str,
        limit: usize,
        before: Option<u64>,
    ) -> Result<Vec<Version>> {
        check_limit(limit)?;
        let mut states = self.states(path).await?;
        if let Some(before) = before {
            states.skip_to(before.saturating_sub(1)).await?;
        }
        states.versions(limit).await
    }

    /// The versions of a file by its inode, newest first; at most `limit` of them.
    ///
    /// # Errors
    ///
    /// `NotFound`, `WrongType` for a directory, `PermissionDenied`, `LimitExceeded` for more than
    /// [`VERSIONS_LIMIT_MAX`].
    pub async fn versions_of(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        let (path, _) = self.permit_inode(Action::Read, ino).await?;
        let view = self.zone.view(At::Latest).await?;
        let inode = view.inode(ino.0).await?.ok_or_else(|| gone(ino.0))?;
        self.versions_down_from(ino, &inode, &path, limit).await
    }

    /// The versions of an inode from a state of it on.
    pub(crate) async fn versions_down_from(
        &self,
        ino: Ino,
        inode: &CachedInode,
        path: &str,
        limit: usize,
    ) -> Result<Vec<Version>> {
        check_limit(limit)?;
        if inode.record.is_dir() {
            return Err(is_a_directory(path));
        }
        States::new(self, ino.0, inode).versions(limit).await
    }

    /// Opens a past version of a file.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such version; as [`open`](Self::open).
    pub async fn open_version(&self, path: &str, version: u64) -> Result<Content> {
        let (ino, state) = self.version_state(path, version).await?;
        let stat = state.record.stat(ino, state.since)?;
        let range = 0..stat.size;
        let body = self
            .zone
            .content_stream(&state.record, range.clone())
            .await?;
        let body = self.while_in_force(body);
        Ok(Content { stat, range, body })
    }

    /// Reads a past version of a file whole.
    ///
    /// # Errors
    ///
    /// As [`open_version`](Self::open_version); `LimitExceeded` above
    /// [`READ_WHOLE_BYTES_MAX`](crate::READ_WHOLE_BYTES_MAX).
    pub async fn read_version(&self, path: &str, version: u64) -> Result<FileBytes> {
        let (ino, state) = self.version_state(path, version).await?;
        let stat = state.record.stat(ino, state.since)?;
        if stat.size > crate::READ_WHOLE_BYTES_MAX {
            return Err(
                Error::limit("more than 64 MiB cannot be read in one piece; stream it")
                    .with("size", stat.size),
            );
        }
        let bytes = self.zone.content_bytes(&state.record, 0..stat.size).await?;
        Ok(FileBytes { stat, bytes })
    }

    /// Makes a past version of a file its newest one again.
    ///
    /// # Errors
    ///
    /// As [`open_version`](Self::open_version) and [`write`](Self::write). The content is shared,
    /// not copied.
    pub async fn rollback(
        &self,
        path: &str,
        version: u64,
        durability: Durability,
    ) -> Result<Changed> {
        for _ in 0..REWRITES_MAX {
            let now = self.stat(path, At::Latest).await?;
            let (ino, state) = self.version_state(path, version).await?;
            let source = Source {
                kind: SourceKind::Rollback,
                origin: Origin::Inode {
                    ino: ino.0,
                    version,
                    since: Some(state.since),
                    path: path.to_owned(),
                },
            };
            let extra = Extra::derived_from(source);
            let options = WriteOptions {
                precondition: now.etag.map_or(Precondition::Exists, Precondition::Etag),
                durability,
                ..WriteOptions::default()
            };
            let content = Stored::of_the_past(&state.record)?;
            match self.write_stored(path, content, options, extra).await {
                Err(error)
                    if error.kind() == Kind::Conflict && error.fact("current_etag").is_some() => {}
                result => return result,
            }
        }
        Err(busy(path))
    }

    pub(crate) async fn version_state(&self, path: &str, version: u64) -> Result<(Ino, State)> {
        let mut states = self.states(path).await?;
        let ino = Ino(states.ino);
        let newer = states.skip_to(version).await?;
        match states.first_of_version().await? {
            Some(state) if state.record.version == version => Ok((ino, state)),
            _ if newer.hides_older && (1..states.newest).contains(&version) => {
                let oldest = newer.readable.max(self.zone.floor.get());
                Err(collected(oldest)
                    .with("path", path)
                    .with("version", version))
            }
            _ => Err(
                Error::not_found("the file has no such version; list its versions")
                    .with("path", path)
                    .with("version", version),
            ),
        }
    }

    /// The states of the file a path names today, from the newest down.
    async fn states(&self, path: &str) -> Result<States<'_>> {
        let view = self.zone.view(At::Latest).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Read, &place).await?;
        let ino = place.found()?.ino;
        if place.kind() == Some(FileKind::Directory) {
            return Err(is_a_directory(&place.path));
        }
        let inode = existing(&view, ino, &place).await?;
        Ok(States::new(self, ino, &inode))
    }
}

/// Walks the states of an inode backwards.
struct States<'a> {
    session: &'a Session,
    ino: u64,
    /// Its version in the state begun with.
    newest: u64,
    /// When that state began.
    newest_since: Revision,
    pending: Option<State>,
    /// History rows from here on have been read.
    before: Revision,
    /// Rows read and not yet used, the newest last.
    page: Vec<State>,
}

impl<'a> States<'a> {
    /// From a state on: the newest, or one of the past.
    fn new(session: &'a Session, ino: u64, newest: &CachedInode) -> Self {
        let pending = State {
            record: newest.record.clone(),
            since: newest.revision,
        };
        Self {
            session,
            ino,
            newest: newest.record.version,
            newest_since: newest.revision,
            pending: Some(pending),
            before: newest.revision.next(),
            page: Vec::new(),
        }
    }

    async fn versions(&mut self, limit: usize) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        while versions.len() < limit {
            let Some(state) = self.first_of_version().await? else {
                break;
            };
            versions.push(version(&state, self.newest)?);
        }
        Ok(versions)
    }

    /// Goes on with the newest state of at most this version that history has. Versions never
    /// decrease along the history, so a binary search finds it however long that is. Answers what
    /// follows them.
    async fn skip_to(&mut self, version: u64) -> Result<Newer> {
        let hides_older = self.session.zone.floor.get() > Revision::ZERO;
        let mut newer = Newer {
            readable: self.newest_since,
            hides_older,
        };
        while let Some(state) = &self.pending {
            if state.record.version <= version {
                return Ok(newer);
            }
            newer.readable = state.since;
            if !is_forked(self.ino) {
                break;
            }
            // What the file was before the fork is another inode's history.
            self.pending = self.older().await?;
        }
        let (mut low, mut high) = (Revision::ZERO, self.before);
        // Whether the rows to either side of what is sought are markers.
        let (mut above, mut below) = (false, false);
        while low < high {
            let middle = Revision(low.0 + (high.0 - low.0) / 2);
            match self.ended_from(middle).await? {
                Some(row) if row.version <= version => {
                    below = row.is_marker;
                    low = row.end.next();
                }
                row => {
                    if let Some(row) = row {
                        above = row.is_marker;
                        newer.readable = row.readable;
                    }
                    high = middle;
                }
            }
        }
        newer.hides_older |= above || below;
        self.before = low;
        self.pending = self.older().await?;
        Ok(newer)
    }

    /// The row of the first state that ended at or after a revision.
    async fn ended_from(&self, revision: Revision) -> Result<Option<EndedRow>> {
        let after = Revision(revision.0.saturating_sub(1));
        let scan = Scan::forward(keys::inode_history_after(self.ino, after), 1);
        let store = &self.session.zone.metastore;
        let page = store.scan(scan, Freshness::Linearizable).await?;
        let entry = page.entries.into_iter().next();
        entry.map(EndedRow::read).transpose()
    }

    /// The oldest state that has the version of the next newest one: the one whose commit
    /// made the version.
    async fn first_of_version(&mut self) -> Result<Option<State>> {
        let Some(mut first) = self.pending.take() else {
            return Ok(None);
        };
        loop {
            match self.older().await? {
                Some(state) if state.record.version == first.record.version => first = state,
                other => {
                    self.pending = other;
                    return Ok(Some(first));
                }
            }
        }
    }

    async fn older(&mut self) -> Result<Option<State>> {
        while self.page.is_empty() {
            self.session.check_goes_on()?;
            let range = keys::inode_history_before(self.ino, self.before);
            let store = &self.session.zone.metastore;
            let page = store
                .scan(Scan::backward(range, PAGE), Freshness::Linearizable)
                .await?;
            let Some(oldest) = page.entries.last() else {
                break;
            };
            self.before = Revision(keys::last_number(&oldest.key));
            for entry in page.entries.into_iter().rev() {
                self.page.extend(ended(entry)?);
            }
        }
        match self.page.pop() {
            None if is_forked(self.ino) => self.before_fork().await,
            older => Ok(older),
        }
    }

    /// Goes on with the history of what was forked, from its state then on.
    async fn before_fork(&mut self) -> Result<Option<State>> {
        let view = self.session.zone.view(At::Latest).await?;
        let Some((source, inode)) = view.history_before_fork(self.ino).await? else {
            return Ok(None);
        };
        self.ino = source;
        self.before = inode.revision.next();
        Ok(Some(State {
            record: inode.record.clone(),
            since: inode.revision,
        }))
    }
}

fn check_limit(limit: usize) -> Result<()> {
    if limit <= VERSIONS_LIMIT_MAX {
        return Ok(());
    }
    Err(
        Error::limit("at most 10000 versions are told at a time; go on before the last of them")
            .with("limit", limit)
            .with("limit_max", VERSIONS_LIMIT_MAX),
    )
}

/// The state that a row of history holds; none if it was collected.
fn ended(entry: Entry) -> Result<Option<State>> {
    let end = Revision(keys::last_number(&entry.key));
    let ended: Ended = records::decode(entry.value.bytes)?;
    if ended.collected().is_some() {
        return Ok(None);
    }
    let since = Revision(ended.since);
    let record = records::decode(ended.into_state(end)?)?;
    Ok(Some(State { record, since }))
}

/// What follows the versions that were asked for.
struct Newer {
    /// From when on it can be read.
    readable: Revision,
    /// Older versions may have been collected.
    hides_older: bool,
}

/// A row of the history of an inode.
struct EndedRow {
    end: Revision,
    version: u64,
    /// From when on the inode can be read, as far as this row tells.
    readable: Revision,
    is_marker: bool,
}

impl EndedRow {
    fn read(entry: Entry) -> Result<Self> {
        let end = Revision(keys::last_number(&entry.key));
        let ended: Ended = records::decode(entry.value.bytes)?;
        if let Some(version) = ended.collected() {
            let readable = end;
            return Ok(Self {
                end,
                version,
                readable,
                is_marker: true,
            });
        }
        let readable = Revision(ended.since);
        let record: InodeRecord = records::decode(ended.into_state(end)?)?;
        Ok(Self {
            end,
            version: record.version,
            readable,
            is_marker: false,
        })
    }
}

fn version(state: &State, current: u64) -> Result<Version> {
    let record = &state.record;
    let etag: Option<Etag> = record.content_etag()?;
    let author = if record.author.is_empty() {
        &record.owner
    } else {
        &record.author
    };
    Ok(Version {
        version: record.version,
        etag: etag.ok_or_else(|| unreadable("file content"))?,
        size: record.size,
        revision: state.since,
        created: Timestamp(record.changed),
        author: author.clone(),
        current: record.version == current,
    })
}
