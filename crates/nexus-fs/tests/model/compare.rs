//! The tree that the filesystem shows beside the one that the model has.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::{At, DirEntry, FileKind, Ino, ListOptions, LogQuery, Session, Stat};
use nexus_kernel::{Result, Revision};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::semantics::etag;
use crate::tree::{Id, Node, ROOT, Tree};
use crate::zone::TICK;

/// What is compared, and how.
pub(crate) struct Comparison<'a> {
    pub session: &'a Session,
    pub at: At,
    pub tree: &'a Tree,
    pub random: &'a mut StdRng,
}

/// Says where the two first differ.
pub(crate) type Difference = String;

impl Comparison<'_> {
    /// Every path with its attributes and metadata.
    pub(crate) async fn tree(&mut self) -> Result<(), Difference> {
        let have = self.lines().await.map_err(|error| format!("{error:?}"))?;
        let want = self.expected_lines();
        if have == want {
            return Ok(());
        }
        let missing: Vec<_> = want.iter().filter(|line| !have.contains(line)).collect();
        let added: Vec<_> = have.iter().filter(|line| !want.contains(line)).collect();
        Err(format!(
            "as of {:?} the tree is not as it should be\n is: {added:#?}\n should be: {missing:#?}",
            self.at
        ))
    }

    /// Every content, read back; one directory, listed by itself.
    pub(crate) async fn contents(&mut self) -> Result<(), Difference> {
        let paths = self.tree.paths();
        for (path, id) in &paths {
            let node = self.tree.node(*id);
            if node.kind != FileKind::File {
                continue;
            }
            let file = self.session.read(path, self.at.clone()).await;
            let file = file.map_err(|error| format!("{path}: {error:?}"))?;
            if file.bytes != node.content() {
                return Err(format!("{path}: another content as of {:?}", self.at));
            }
            let by_inode = self.by_inode(path, &file.stat).await;
            let by_inode = by_inode.map_err(|error| format!("{path}: {error:?}"))?;
            if by_inode != file.bytes {
                return Err(format!(
                    "{path}: another content by inode as of {:?}",
                    self.at
                ));
            }
        }
        let dirs: Vec<_> = paths
            .iter()
            .filter(|(_, id)| self.tree.node(*id).is_dir())
            .collect();
        let Some((path, id)) = dirs.choose(self.random) else {
            return Ok(());
        };
        let entries = self.list(path, false).await;
        let entries = entries.map_err(|error| format!("{path}: {error:?}"))?;
        let have: Vec<_> = entries.iter().map(DirEntry::name).collect();
        let want: Vec<_> = self.tree.node(*id).children.keys().collect();
        if have == want {
            return Ok(());
        }
        Err(format!("{path} holds {have:?}, should hold {want:?}"))
    }

    /// The content of a file, found from directory to directory in the state as of then.
    async fn by_inode(&self, path: &str, stat: &Stat) -> Result<Bytes> {
        let state = self.session.as_of(self.at.clone()).await?;
        let mut here = Ino::ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            here = state.lookup(here, name).await?.ino;
        }
        assert_eq!(here, stat.ino);
        if stat.links > 1 {
            // Which of its names is the first may be beyond knowing.
            return Ok(self.session.read(path, self.at.clone()).await?.bytes);
        }
        assert_eq!(&state.getattr(here).await?, stat);
        assert_eq!(state.path_of(here).await?, path);
        let file = state.open(here).await?;
        file.read(0, usize::try_from(stat.size).unwrap()).await
    }

    /// The versions of every file.
    pub(crate) async fn versions(&mut self) -> Result<(), Difference> {
        for (path, id) in self.tree.paths() {
            let node = self.tree.node(id);
            if node.kind == FileKind::File {
                self.versions_of(&path, node)
                    .await
                    .map_err(|error| format!("versions of {path}: {error}"))?;
            }
        }
        Ok(())
    }

    async fn versions_of(&mut self, path: &str, node: &Node) -> Result<(), Difference> {
        let mut have = Vec::new();
        let mut before = None;
        loop {
            let limit = self.random.random_range(1..5);
            let page = self.session.versions(path, limit, before).await;
            let page = page.map_err(|error| format!("{error:?}"))?;
            before = page.last().map(|version| version.version);
            if page.is_empty() {
                break;
            }
            have.extend(page.into_iter().map(|v| (v.version, v.etag, v.size)));
        }
        let facts =
            |(version, content): (&u64, &Bytes)| (*version, etag(content), content.len() as u64);
        let want: Vec<_> = node.versions.iter().rev().map(facts).collect();
        if have != want {
            return Err(format!("are {have:?}, should be {want:?}"));
        }
        let versions: Vec<_> = node.versions.iter().collect();
        let (version, content) = versions.choose(self.random).unwrap();
        let read = self.session.read_version(path, **version).await;
        let read = read.map_err(|error| format!("{error:?}"))?;
        if read.bytes != **content {
            return Err(format!("{version} has another content"));
        }
        Ok(())
    }

    async fn lines(&mut self) -> Result<Vec<String>> {
        let root = self.session.stat("/", self.at.clone()).await?;
        let mut lines = vec![self.line("/", "/", &root).await?];
        let mut first: BTreeMap<u64, String> = BTreeMap::new();
        for entry in self.list("/", true).await? {
            let stat = entry.stat.expect("details were asked for");
            let first = first.entry(stat.ino.0).or_insert(entry.path.clone());
            lines.push(self.line(&entry.path, first, &stat).await?);
        }
        Ok(lines)
    }

    async fn line(&self, path: &str, first: &str, stat: &Stat) -> Result<String> {
        let mut metadata = Vec::new();
        if stat.kind != FileKind::Symlink {
            metadata = self.session.metadata(path, self.at.clone()).await?;
            let tags = self.session.tags(path, self.at.clone()).await?;
            metadata.extend(
                tags.into_iter()
                    .map(|tag| (format!("tag:{tag}"), Bytes::new())),
            );
        }
        let metadata: BTreeMap<_, _> = metadata.into_iter().collect();
        Ok(format!(
            "{path} (as {first}) {:?} v{} {} bytes {:?} links {} mode {:o} uid {} created {} modified {} changed {} to {:?} {metadata:?}",
            stat.kind,
            stat.version,
            stat.size,
            stat.etag,
            stat.links,
            stat.mode,
            stat.uid,
            stat.created.0 / TICK,
            stat.modified.0 / TICK,
            stat.changed.0 / TICK,
            stat.target,
        ))
    }

    fn expected_lines(&self) -> Vec<String> {
        let mut first: BTreeMap<Id, String> = BTreeMap::new();
        let mut paths = vec![("/".to_owned(), ROOT)];
        paths.extend(self.tree.paths());
        let lines = paths.into_iter().map(|(path, id)| {
            let first = first.entry(id).or_insert(path.clone());
            self.expected_line(&path, first, self.tree.node(id))
        });
        lines.collect()
    }

    fn expected_line(&self, path: &str, first: &str, node: &Node) -> String {
        let content = match node.kind {
            FileKind::Symlink => Bytes::from(node.target.clone()),
            _ => node.content(),
        };
        // The past of a directory's entries does not tell when they changed.
        let names_changed = match self.at {
            At::Latest | At::AtLeast(_) => node.names_changed,
            _ => 0,
        };
        let target = (node.kind == FileKind::Symlink).then_some(&node.target);
        let etag = (!node.is_dir()).then(|| etag(&content));
        format!(
            "{path} (as {first}) {:?} v{} {} bytes {etag:?} links {} mode {:o} uid {} created {} modified {} changed {} to {target:?} {:?}",
            node.kind,
            node.version,
            content.len(),
            node.links,
            node.mode,
            node.uid,
            node.created / TICK,
            node.modified.max(names_changed) / TICK,
            node.changed.max(names_changed) / TICK,
            node.metadata,
        )
    }

    /// A listing in pages of random size.
    async fn list(&mut self, path: &str, recursive: bool) -> Result<Vec<DirEntry>> {
        let mut options = ListOptions {
            at: self.at.clone(),
            recursive,
            details: true,
            limit: self.random.random_range(1..9),
            cursor: None,
        };
        let mut entries = Vec::new();
        loop {
            let page = self.session.list(path, options.clone()).await?;
            assert!(page.entries.len() <= options.limit);
            entries.extend(page.entries);
            match page.next {
                Some(next) => options.cursor = Some(next),
                None => return Ok(entries),
            }
        }
    }
}

/// The commits that the log holds, in order.
pub(crate) async fn logged(session: &Session) -> Result<Vec<Revision>> {
    let mut query = LogQuery {
        limit: 37,
        ..LogQuery::default()
    };
    let mut commits = Vec::new();
    loop {
        let page = session.log(query.clone()).await?;
        commits.extend(page.records.into_iter().map(|record| record.revision));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(commits),
        }
    }
}
