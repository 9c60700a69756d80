//! Custom metadata and tags, and finding files by them.
//!
//! A tag is a metadata key `tag:<name>` without a value.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_kernel::{Durability, Error, Result, Revision};
use nexus_service_api::{Action, Target};

use crate::fork::is_forked;
use crate::keys;
use crate::path;
use crate::read::stat_of;
use crate::records::{self, Ended, InodeRecord, unreadable};
use crate::resolve::resolve;
use crate::session::Session;
use crate::steps::Step;
use crate::types::{At, Changed, DirEntry, Ino, ListOptions, ListPage};
use crate::view::{View, next_key};

const TAG: &str = "tag:";
/// Index rows read at a time.
const PAGE: usize = 500;
/// Most index rows that one page of a search looks at; past that it returns what it has and a
/// cursor.
const LOOK_MAX: usize = 10_000;
const CURSOR: &str = "i:";

impl Session {
    /// The custom metadata of a file or directory, by key.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat).
    pub async fn metadata(&self, path: &str, at: At) -> Result<Vec<(String, Bytes)>> {
        let all = self.all_metadata(path, at).await?;
        Ok(all
            .into_iter()
            .filter(|(key, _)| !key.starts_with(TAG))
            .collect())
    }

    /// The tags of a file or directory.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat).
    pub async fn tags(&self, path: &str, at: At) -> Result<Vec<String>> {
        let all = self.all_metadata(path, at).await?;
        let tags = all
            .into_keys()
            .filter_map(|key| Some(key.strip_prefix(TAG)?.to_owned()));
        Ok(tags.collect())
    }

    /// Sets custom metadata; a key with `None` is removed.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a key that is empty or begins with `tag:`, `LimitExceeded` for
    /// one that is too long; as [`stat`](Self::stat).
    pub async fn set_metadata(
        &self,
        path: &str,
        set: Vec<(String, Option<Bytes>)>,
        durability: Durability,
    ) -> Result<Changed> {
        set.iter().try_for_each(|(key, _)| check_no_tag(key))?;
        self.run(
            Step::SetMetadata {
                path: path.to_owned(),
                set,
            },
            durability,
        )
        .await
    }

    /// Adds and removes tags.
    ///
    /// # Errors
    ///
    /// As [`set_metadata`](Self::set_metadata).
    pub async fn set_tags(
        &self,
        path: &str,
        add: &[String],
        remove: &[String],
        durability: Durability,
    ) -> Result<Changed> {
        let added = add.iter().map(|tag| (tag, Some(Bytes::new())));
        let removed = remove.iter().map(|tag| (tag, None));
        let mut set = Vec::with_capacity(add.len() + remove.len());
        for (tag, value) in added.chain(removed) {
            if tag.is_empty() {
                return Err(Error::invalid("a tag has at least one character"));
            }
            set.push((format!("{TAG}{tag}"), value));
        }
        self.run(
            Step::SetMetadata {
                path: path.to_owned(),
                set,
            },
            durability,
        )
        .await
    }

    /// A page of the files and directories with a tag, with details. It can have fewer entries
    /// than asked for, even none, and yet a cursor: then most of what it looked at did not match
    /// or was not the caller's to see.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for too large a page, `InvalidArgument` for an unknown cursor.
    pub async fn find_by_tag(
        &self,
        tag: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<ListPage> {
        self.find(&format!("{TAG}{tag}"), None, limit, cursor).await
    }

    /// A page of the files and directories with a metadata key, and a value if given.
    ///
    /// # Errors
    ///
    /// As [`find_by_tag`](Self::find_by_tag).
    pub async fn find_by_metadata(
        &self,
        key: &str,
        value: Option<&[u8]>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<ListPage> {
        self.find(key, value, limit, cursor).await
    }

    async fn find(
        &self,
        key: &str,
        value: Option<&[u8]>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<ListPage> {
        if !(1..=ListOptions::LIMIT_MAX).contains(&limit) {
            return Err(Error::limit("a page has 1 to 10000 entries").with("limit", limit));
        }
        if key.contains('\0') {
            return Err(Error::invalid("a metadata key has no NUL"));
        }
        let view = self.zone.view(At::Latest).await?;
        let mut after = cursor.map_or(Ok(0), parse_cursor)?;
        let mut entries = Vec::new();
        let mut looked = 0;
        loop {
            let page = view
                .scan(keys::metadata_index_after(key, after), PAGE)
                .await?;
            for entry in &page.entries {
                after = keys::last_number(&entry.key);
                if let Some(found) = self.found(&view, after, key, value).await? {
                    entries.push(found);
                }
                looked += 1;
                if entries.len() == limit || looked == LOOK_MAX {
                    return Ok(ListPage {
                        entries,
                        next: Some(format!("{CURSOR}{after}")),
                    });
                }
            }
            self.check_goes_on()?;
            if !page.more {
                return Ok(ListPage {
                    entries,
                    next: None,
                });
            }
        }
    }

    async fn found(
        &self,
        view: &View<'_>,
        ino: u64,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<Option<DirEntry>> {
        if let Some(wanted) = value {
            let found = view.metadata_value(ino, key).await?;
            if found.is_none_or(|found| found != wanted) {
                return Ok(None);
            }
        }
        let Some((path, chain)) = view.path_of(ino).await? else {
            return Ok(None);
        };
        let target = Target {
            path: &path,
            inodes: &chain,
        };
        let visible = self
            .zone
            .authorizer
            .visible(&self.context, &[target])
            .await?;
        if !visible[0] || self.permit(Action::Read, &path, &chain).await.is_err() {
            return Ok(None);
        }
        let Some(inode) = view.inode(ino).await? else {
            return Ok(None);
        };
        let stat = stat_of(view, ino, &inode).await?;
        Ok(Some(DirEntry {
            path,
            ino: Ino(ino),
            kind: stat.kind,
            stat: Some(stat),
        }))
    }

    async fn all_metadata(&self, path: &str, at: At) -> Result<BTreeMap<String, Bytes>> {
        let view = self.view(at).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Read, &place).await?;
        view.metadata_of(place.found()?.ino).await
    }
}

/// Refuses a key that is a tag's.
pub(crate) fn check_no_tag(key: &str) -> Result<()> {
    if !key.starts_with(TAG) {
        return Ok(());
    }
    Err(
        Error::invalid("keys that begin with tag: are tags; set them as tags")
            .with("key", path::shown(key)),
    )
}

/// Adds the values that held at `at` and have ended since.
async fn add_ended(
    view: &View<'_>,
    ino: u64,
    at: Revision,
    all: &mut BTreeMap<String, Bytes>,
) -> Result<()> {
    let mut range = keys::all_metadata_history(ino);
    loop {
        let page = view.scan(range.clone(), PAGE).await?;
        for entry in &page.entries {
            let end = keys::last_number(&entry.key);
            let ended: Ended = records::decode(entry.value.bytes.clone())?;
            if end > at.0 && ended.since <= at.0 {
                let key = text(&entry.key[9..entry.key.len() - 9])?;
                all.insert(key.to_owned(), ended.into_state(Revision(end))?);
            }
        }
        match page.entries.last().filter(|_| page.more) {
            Some(last) => range.start = next_key(&last.key),
            None => return Ok(()),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| unreadable("metadata key"))
}

fn parse_cursor(cursor: &str) -> Result<u64> {
    let ino = cursor
        .strip_prefix(CURSOR)
        .and_then(|digits| digits.parse().ok());
    ino.ok_or_else(|| {
        Error::invalid("unknown cursor; use one that a page of this search gave")
            .with("cursor", path::shown(cursor))
    })
}

impl View<'_> {
    /// The custom metadata of an inode, tags included.
    pub(crate) async fn metadata_of(&self, ino: u64) -> Result<BTreeMap<String, Bytes>> {
        if let Some(shown) = self.shown_metadata(ino).await? {
            return Ok(shown);
        }
        let mut all = BTreeMap::new();
        let page = self
            .scan(keys::all_metadata(ino), crate::steps::KEYS_MAX)
            .await?;
        for entry in page.entries {
            if self.at.is_none_or(|at| entry.value.revision <= at) {
                all.insert(text(&entry.key[9..])?.to_owned(), entry.value.bytes);
            }
        }
        if let Some(at) = self.at {
            add_ended(self, ino, at, &mut all).await?;
            self.zone.check_not_collected(at).await?;
        }
        Ok(all)
    }

    /// One custom metadata value of an inode.
    pub(crate) async fn metadata_value(&self, ino: u64, key: &str) -> Result<Option<Bytes>> {
        if let Some(mut shown) = self.shown_metadata(ino).await? {
            return Ok(shown.remove(key));
        }
        let live = self.get(&keys::metadata(ino, key)).await?;
        let Some(at) = self.at else {
            return Ok(live.map(|live| live.bytes));
        };
        let ended = keys::metadata_history_after(ino, key, at);
        let past = self.state_at(at, live, ended).await?;
        Ok(past.map(|past| past.record))
    }

    /// A path of an inode and the inodes on it: by its first name, or the first other one that
    /// leads to it. None if it is not in the tree.
    pub(crate) async fn path_of(&self, ino: u64) -> Result<Option<(String, Vec<u64>)>> {
        let Some(inode) = self.inode(ino).await? else {
            return Ok(None);
        };
        let InodeRecord {
            parent,
            name,
            links,
            ..
        } = &inode.record;
        let first = self.path_by(ino, *parent, name).await?;
        if first.is_some() || *links < 2 {
            return Ok(first);
        }
        // The first name lies in a deleted tree that is still to be cleared away.
        if is_forked(ino) {
            for (parent, name) in self.names_of(ino, &inode.record).await? {
                if let Some(found) = self.path_by(ino, parent, &name).await? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        let mut range = keys::extra_names(ino);
        loop {
            let page = self.scan(range.clone(), PAGE).await?;
            for entry in &page.entries {
                let other = keys::parse_extra_name(&entry.key);
                let (parent, name) = other.ok_or_else(|| unreadable("name of an inode"))?;
                if let Some(found) = self.path_by(ino, parent, name).await? {
                    return Ok(Some(found));
                }
            }
            match page.entries.last().filter(|_| page.more) {
                Some(last) => range.start = next_key(&last.key),
                None => return Ok(None),
            }
        }
    }

    /// The path of an inode by one of its names, if that is in the tree.
    async fn path_by(
        &self,
        ino: u64,
        parent: u64,
        name: &str,
    ) -> Result<Option<(String, Vec<u64>)>> {
        let (mut names, mut chain) = (Vec::new(), vec![ino]);
        let (mut here, mut parent, mut name) = (ino, parent, name.to_owned());
        while here != Ino::ROOT.0 {
            let dentry = self.dentry(parent, &name).await?;
            if dentry.is_none_or(|(dentry, _)| dentry.ino != here) || names.len() > path::DEPTH_MAX
            {
                return Ok(None);
            }
            let Some(directory) = self.inode(parent).await? else {
                return Ok(None);
            };
            names.push(name);
            chain.push(parent);
            here = parent;
            (parent, name) = (directory.record.parent, directory.record.name.clone());
        }
        chain.reverse();
        names.reverse();
        Ok(Some((format!("/{}", names.join("/")), chain)))
    }
}
