//! Workspaces: directories that are registered under a name, with what somebody wants to know of
//! them; and the forks that were made of a directory.
//!
//! A registration is of the directory, not of its path, and follows it where it moves. It gives
//! nobody any right, and takes none.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use nexus_kernel::{
    Durability, Entry, Error, Guard, KeyRange, Kind, Op, Result, Revision, Timestamp,
};
use nexus_service_api::{Action, Target};
use prost::Message;

use crate::fork::PartRecord;
use crate::keys;
use crate::log::ChangeKind;
use crate::path;
use crate::records;
use crate::resolve::resolve;
use crate::session::Session;
use crate::steps::{ATTEMPTS_MAX, TORN_MAX, not_a_directory};
use crate::tx::Tx;
use crate::types::{At, FileKind, Ino};
use crate::view::{View, next_key};

/// Longest name of a workspace, in bytes.
pub const WORKSPACE_NAME_BYTES_MAX: usize = 255;
/// Longest description of a workspace, in bytes.
pub const WORKSPACE_DESCRIPTION_BYTES_MAX: usize = 4_096;
/// Most tags of a workspace.
pub const WORKSPACE_TAGS_MAX: usize = 64;
/// Most that all tags and metadata of a workspace take together, in bytes.
pub const WORKSPACE_FACTS_BYTES_MAX: usize = 64 << 10;
/// Largest page of workspaces, or of forks.
pub const WORKSPACES_LIMIT_MAX: usize = 10_000;
/// Longest a registration holds that ends by itself.
const TTL_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Rows read at a time.
const PAGE: usize = 500;
/// Most rows that one page looks at; past that it returns what it has and a cursor.
const LOOK_MAX: usize = 10_000;
const CURSOR: &str = "w:";

/// A registered directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Where it is.
    pub path: String,
    /// The directory.
    pub directory: Ino,
    /// What it is called, if anything.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// To find it by.
    pub tags: Vec<String>,
    /// Whatever else there is to say.
    pub metadata: BTreeMap<String, String>,
    /// The run of an agent that it is for.
    pub session: Option<String>,
    /// Who registered it, as `kind:id`.
    pub created_by: String,
    /// When.
    pub created: Timestamp,
    /// When the registration ends by itself, if ever.
    pub expires: Option<Timestamp>,
}

/// What is said of a directory that is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewWorkspace {
    /// What it is called.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// To find it by.
    pub tags: Vec<String>,
    /// Whatever else there is to say.
    pub metadata: BTreeMap<String, String>,
    /// The run of an agent that it is for.
    pub session: Option<String>,
    /// When the registration ends by itself, if it shall; at most 366 days.
    pub ttl: Option<Duration>,
}

/// A page of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspacePage<T> {
    /// By the number of the directory, or of the fork.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// A fork that is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Where it is.
    pub path: String,
    /// The directory at its top.
    pub directory: Ino,
    /// The directory that it is of.
    pub origin: Ino,
    /// Where that is; none if it has gone, or is out of the caller's sight.
    pub origin_path: Option<String>,
    /// The state of the origin that it is of.
    pub base: Revision,
    /// The commit that made it.
    pub revision: Revision,
    /// Who made it, as `kind:id`.
    pub created_by: String,
    /// When.
    pub created: Timestamp,
}

#[derive(Clone, PartialEq, Message)]
struct WorkspaceRecord {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    description: Option<String>,
    #[prost(string, repeated, tag = "3")]
    tags: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    metadata: BTreeMap<String, String>,
    #[prost(string, optional, tag = "5")]
    session: Option<String>,
    #[prost(string, tag = "6")]
    actor: String,
    #[prost(sfixed64, tag = "7")]
    time: i64,
    #[prost(sfixed64, optional, tag = "8")]
    expires: Option<i64>,
}

/// Whether the value of a row is a workspace; if not, why.
pub(crate) fn check_row(value: &Bytes) -> Result<(), &'static str> {
    let record = WorkspaceRecord::decode(value.clone());
    record.map(drop).map_err(|_| "a record that cannot be read")
}

impl WorkspaceRecord {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now.0)
    }

    fn workspace(self, path: String, directory: u64) -> Workspace {
        Workspace {
            path,
            directory: Ino(directory),
            name: self.name,
            description: self.description,
            tags: self.tags,
            metadata: self.metadata,
            session: self.session,
            created_by: self.actor,
            created: Timestamp(self.time),
            expires: self.expires.map(Timestamp),
        }
    }
}

impl Session {
    /// Registers a directory as a workspace, durably.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` for one that is registered, `LimitExceeded` for too much to say of it,
    /// `InvalidArgument` for a time to live of zero or beyond 366 days, `WrongType` for a file,
    /// `NotFound`, `PermissionDenied` without the right to write to the directory.
    pub async fn register_workspace(&self, path: &str, new: NewWorkspace) -> Result<Workspace> {
        check(&new)?;
        self.change_workspace(Some(&new), path).await
    }

    /// Ends the registration of a workspace; the directory stays. Answers what it was.
    ///
    /// # Errors
    ///
    /// `NotFound` for a directory that is not registered; as
    /// [`register_workspace`](Self::register_workspace).
    pub async fn unregister_workspace(&self, path: &str) -> Result<Workspace> {
        self.change_workspace(None, path).await
    }

    async fn change_workspace(&self, new: Option<&NewWorkspace>, path: &str) -> Result<Workspace> {
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            let changed = match new {
                Some(new) => register(&mut tx, path, new).await,
                None => unregister(&mut tx, path).await,
            };
            let workspace = match changed {
                Err(_) if tx.is_torn() && attempt < TORN_MAX => continue,
                changed => changed?,
            };
            if tx.commit(Durability::Sync).await?.is_some() {
                return Ok(workspace);
            }
            tokio::task::yield_now().await;
        }
        Err(Error::conflict(
            "others kept changing the same directory first; try again",
        ))
    }

    /// What is registered of a directory.
    ///
    /// # Errors
    ///
    /// `NotFound` for a directory that is not registered; as [`stat`](Self::stat).
    pub async fn workspace(&self, path: &str) -> Result<Workspace> {
        let view = self.zone.view(At::Latest).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Stat, &place).await?;
        let directory = place.found()?.ino;
        let (record, _) = self.registered(&view, directory).await?;
        let record = record.ok_or_else(|| not_registered(&place.path))?;
        Ok(record.workspace(place.path.into_owned(), directory))
    }

    /// The workspaces that the caller may see; those whose time has come are left out.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for too large a page, `InvalidArgument` for an unknown cursor.
    pub async fn workspaces(
        &self,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<WorkspacePage<Workspace>> {
        let now = self.zone.config.clock.now();
        let view = self.zone.view(At::Latest).await?;
        let mut rows = Rows::new(view, keys::all_workspaces(), limit, cursor)?;
        let mut items = Vec::new();
        while let Some(row) = rows.next(self, items.len()).await? {
            let record: WorkspaceRecord = records::decode(row.value.bytes)?;
            let directory = keys::last_number(&row.key);
            if record.has_expired(now) {
                continue;
            }
            if let Some(path) = self.visible_path(&view, directory).await? {
                items.push(record.workspace(path, directory));
            }
        }
        Ok(rows.page(items))
    }

    /// The forks that the caller may see: of the directory that `of` names, or all.
    ///
    /// # Errors
    ///
    /// As [`workspaces`](Self::workspaces), and as [`stat`](Self::stat) of `of`.
    pub async fn forks(
        &self,
        of: Option<&str>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<WorkspacePage<Fork>> {
        let origin = match of {
            Some(of) => Some(self.stat(of, At::Latest).await?.ino.0),
            None => None,
        };
        let view = self.zone.view(At::Latest).await?;
        let mut rows = Rows::new(view, keys::all_parts(), limit, cursor)?;
        let mut items = Vec::new();
        while let Some(row) = rows.next(self, items.len()).await? {
            let number = keys::last_number(&row.key);
            let record: PartRecord = records::decode(row.value.bytes)?;
            // A fork has a row for each of its parts; the first is its own.
            let first = record.pairs.first().map(|pair| pair.part);
            if first == Some(number) && origin.is_none_or(|origin| origin == record.origin) {
                items.extend(self.fork_of(&view, record, row.value.revision).await?);
            }
        }
        Ok(rows.page(items))
    }

    async fn fork_of(
        &self,
        view: &View<'_>,
        record: PartRecord,
        revision: Revision,
    ) -> Result<Option<Fork>> {
        let root = record.root();
        let Some(path) = self.visible_path(view, root).await? else {
            return Ok(None);
        };
        Ok(Some(Fork {
            path,
            directory: Ino(root),
            origin: Ino(record.origin),
            origin_path: self.visible_path(view, record.origin).await?,
            base: Revision(record.base),
            revision,
            created_by: record.owner,
            created: Timestamp(record.time),
        }))
    }

    /// Where a directory is, if that is in the tree and in the caller's sight.
    async fn visible_path(&self, view: &View<'_>, directory: u64) -> Result<Option<String>> {
        let Some((path, chain)) = view.path_of(directory).await? else {
            return Ok(None);
        };
        let target = Target {
            path: &path,
            inodes: &chain,
        };
        let authorizer = &self.zone.authorizer;
        let visible = authorizer.visible(&self.context, &[target]).await?;
        if !visible[0] {
            return Ok(None);
        }
        match self.permit(Action::Stat, &path, &chain).await {
            Ok(()) => Ok(Some(path)),
            Err(error) if error.kind() == Kind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The registration of a directory, unless its time has come, and that it is as it was read.
    async fn registered(
        &self,
        view: &View<'_>,
        directory: u64,
    ) -> Result<(Option<WorkspaceRecord>, Guard)> {
        let key = keys::workspace(directory);
        let Some(row) = view.get(&key).await? else {
            return Ok((None, Guard::Absent(key)));
        };
        let record: WorkspaceRecord = records::decode(row.bytes)?;
        let now = self.zone.config.clock.now();
        let standing = Some(record).filter(|record| !record.has_expired(now));
        Ok((standing, Guard::RevisionIs(key, row.revision)))
    }
}

/// The rows of a list from a cursor on, as far as one page goes.
struct Rows<'v> {
    view: View<'v>,
    range: KeyRange,
    limit: usize,
    ready: VecDeque<Entry>,
    more: bool,
    looked: usize,
    last: Option<u64>,
}

impl<'v> Rows<'v> {
    fn new(
        view: View<'v>,
        mut range: KeyRange,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Self> {
        if !(1..=WORKSPACES_LIMIT_MAX).contains(&limit) {
            return Err(Error::limit("a page has 1 to 10000 entries").with("limit", limit));
        }
        if let Some(cursor) = cursor {
            let mut after = range.start.to_vec();
            after.extend(parse_cursor(cursor)?.to_be_bytes());
            range.start = next_key(&after);
        }
        Ok(Self {
            view,
            range,
            limit,
            ready: VecDeque::new(),
            more: true,
            looked: 0,
            last: None,
        })
    }

    /// The next row; none at the end, or when the page, which has so many by now, is full.
    async fn next(&mut self, session: &Session, found: usize) -> Result<Option<Entry>> {
        if found == self.limit || self.looked == LOOK_MAX {
            return Ok(None);
        }
        while self.ready.is_empty() && self.more {
            session.check_goes_on()?;
            let page = self.view.scan(self.range.clone(), PAGE).await?;
            self.more = page.more;
            self.ready.extend(page.entries);
            if let Some(last) = self.ready.back() {
                self.range.start = next_key(&last.key);
            }
        }
        let row = self.ready.pop_front();
        self.looked += 1;
        self.last = row.as_ref().map(|row| keys::last_number(&row.key));
        Ok(row)
    }

    fn page<T>(self, items: Vec<T>) -> WorkspacePage<T> {
        let next = self.last.map(|last| format!("{CURSOR}{last}"));
        WorkspacePage { items, next }
    }
}

async fn register(tx: &mut Tx<'_>, path: &str, new: &NewWorkspace) -> Result<Workspace> {
    let (path, directory) = directory(tx, path).await?;
    let session = tx.session;
    let (standing, guard) = session.registered(&tx.view(), directory).await?;
    tx.insist(guard);
    if standing.is_some() {
        return Err(Error::already_exists(
            "the directory is a workspace already; unregister it first",
        )
        .with("path", path));
    }
    let record = WorkspaceRecord {
        name: new.name.clone(),
        description: new.description.clone(),
        tags: new.tags.clone(),
        metadata: new.metadata.clone(),
        session: new.session.clone(),
        actor: session.actor(),
        time: tx.now.0,
        expires: new.ttl.map(|ttl| tx.now.0.saturating_add(nanos(ttl))),
    };
    tx.also(Op::Put(
        keys::workspace(directory),
        records::encode(&record),
    ));
    let change = tx.note(ChangeKind::WorkspaceRegister, &path, directory, 0);
    change.subject.clone_from(&record.name);
    Ok(record.workspace(path, directory))
}

async fn unregister(tx: &mut Tx<'_>, path: &str) -> Result<Workspace> {
    let (path, directory) = directory(tx, path).await?;
    let (standing, guard) = tx.session.registered(&tx.view(), directory).await?;
    tx.insist(guard);
    let record = standing.ok_or_else(|| not_registered(&path))?;
    tx.also(Op::Delete(keys::workspace(directory)));
    let change = tx.note(ChangeKind::WorkspaceUnregister, &path, directory, 0);
    change.subject.clone_from(&record.name);
    Ok(record.workspace(path, directory))
}

async fn directory(tx: &mut Tx<'_>, path: &str) -> Result<(String, u64)> {
    tx.depends_on_path();
    let place = tx.resolve(path, true).await?;
    tx.permit(Action::Write, &place).await?;
    let directory = place.found()?.ino;
    if place.kind() != Some(FileKind::Directory) {
        return Err(not_a_directory(&place.path));
    }
    // It does not change, but it has to be there still.
    tx.inode(directory).await?;
    Ok((place.path.into_owned(), directory))
}

fn not_registered(path: &str) -> Error {
    Error::not_found("the directory is no workspace; register it first").with("path", path)
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn check(new: &NewWorkspace) -> Result<()> {
    let bytes = |text: &Option<String>| text.as_deref().map_or(0, str::len);
    if bytes(&new.name) > WORKSPACE_NAME_BYTES_MAX {
        return Err(Error::limit(
            "the name of a workspace has at most 255 bytes",
        ));
    }
    if bytes(&new.description) > WORKSPACE_DESCRIPTION_BYTES_MAX {
        return Err(Error::limit(
            "the description of a workspace has at most 4096 bytes",
        ));
    }
    let tags: usize = new.tags.iter().map(String::len).sum();
    let facts = new.metadata.iter();
    let metadata: usize = facts.map(|(key, value)| key.len() + value.len()).sum();
    let facts = tags + metadata + bytes(&new.session);
    if new.tags.len() > WORKSPACE_TAGS_MAX || facts > WORKSPACE_FACTS_BYTES_MAX {
        return Err(Error::limit(
            "a workspace has at most 64 tags, and they and its metadata 64 KiB; put more into a file",
        ));
    }
    match new.ttl {
        Some(ttl) if ttl.is_zero() || ttl > TTL_MAX => Err(Error::invalid(
            "a registration holds for more than no time and at most 366 days; leave it out to hold for ever",
        )),
        _ => Ok(()),
    }
}

fn parse_cursor(cursor: &str) -> Result<u64> {
    let number = cursor
        .strip_prefix(CURSOR)
        .and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| {
        Error::invalid("unknown cursor; use one that a page of this list gave")
            .with("cursor", path::shown(cursor))
    })
}
