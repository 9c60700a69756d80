//! One of many that change files, and remember what has to be there.

use bytes::{Bytes, BytesMut};
use nexus_client::{
    BatchStep, Client, Durability, Error, Kind, MoveOptions, Outcome, RemoveOptions, Result,
    Revision, WriteOptions,
};
use nexus_tests::Random;
use tokio::sync::mpsc::UnboundedSender;

use super::tree::Tree;

/// A content in its inode, a blob, and many chunks.
const SIZES: [usize; 5] = [0, 200, 9_000, 100 << 10, 3 << 20];
const FILES: usize = 12;
const GROUPS: usize = 3;

/// One that changes files in its own folder.
pub(super) struct Writer {
    root: String,
    random: Random,
    durability: Durability,
    /// What may be found after a crash, oldest first: the last state that is durable, and all
    /// that may have become durable since.
    possible: Vec<Tree>,
    durable: Revision,
}

/// A change.
#[derive(Debug)]
enum Change {
    Write(String, Bytes),
    Append(String, Bytes),
    Remove(String),
    Rename(String, String),
    /// A folder with these files, made anew in one commit.
    Group(String, Vec<(String, Bytes)>),
    RenameGroup(String, String),
    RemoveGroup(String),
    Sync,
}

impl Writer {
    /// The last does not wait until its changes are durable.
    pub(super) fn new(number: u64) -> Self {
        let relaxed = number + 1 == super::WRITERS;
        Self {
            root: format!("/writer-{number}"),
            random: Random::new(number),
            durability: if relaxed {
                Durability::Relaxed
            } else {
                Durability::Sync
            },
            possible: vec![Tree::default()],
            durable: Revision(0),
        }
    }

    /// Where its files are.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The last change of which it was told that it is durable.
    pub(super) fn durable(&self) -> Revision {
        self.durable
    }

    /// Takes what is there after a crash, which has to be a possible state.
    pub(super) fn settle(&mut self, found: Tree, round: u64) {
        let (root, possible) = (&self.root, &self.possible);
        assert!(
            possible.contains(&found),
            "{root} before round {round}: {found:#?} is none of {possible:#?}"
        );
        self.possible = vec![found];
    }

    /// Changes files one after the other until the node is gone.
    pub(super) async fn write_until_ended(
        &mut self,
        client: &Client,
        acknowledged: &UnboundedSender<()>,
    ) {
        loop {
            let change = self.next_change();
            let mut after = self.current().clone();
            change.apply_to(&mut after);
            self.possible.push(after);
            match self.make(client, change).await {
                Ok(revision) => self.was_told(revision),
                Err(error) => return self.was_refused(&error),
            }
            // Nobody listens any more once the node is being ended.
            let _ = acknowledged.send(());
        }
    }

    /// A change was acknowledged; `None` where that does not mean that it is durable.
    fn was_told(&mut self, durable: Option<Revision>) {
        if let Some(revision) = durable {
            self.durable = revision;
            self.possible.drain(..self.possible.len() - 1);
        }
    }

    /// Every change is possible: only the end of the node may keep it from happening, and then
    /// it either says that nothing happened, or nobody knows.
    fn was_refused(&mut self, error: &Error) {
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
        if error.outcome() == Outcome::NotApplied {
            self.possible.pop();
        }
    }

    fn current(&self) -> &Tree {
        self.possible.last().expect("there always is a state")
    }

    fn next_change(&mut self) -> Change {
        let old = self.existing_file();
        match (self.random.below(10), old) {
            (0, Some(path)) => Change::Remove(path),
            (1, Some(path)) => Change::Rename(path, self.file()),
            (2, Some(path)) => Change::Append(path, self.random.content(300)),
            (3 | 4, Some(path)) => {
                let changed = self.change_in_the_middle(&path);
                Change::Write(path, changed)
            }
            (5, _) => Change::Group(self.group(), self.some_files()),
            (6, _) => self.change_of_a_group(),
            (7, _) if self.durability == Durability::Relaxed => Change::Sync,
            _ => Change::Write(self.file(), self.content()),
        }
    }

    fn file(&mut self) -> String {
        format!("{}/file-{}", self.root, self.random.below(FILES))
    }

    fn group(&mut self) -> String {
        format!("{}/group-{}", self.root, self.random.below(GROUPS))
    }

    fn content(&mut self) -> Bytes {
        let size = SIZES[self.random.below(SIZES.len())];
        self.random.content(size)
    }

    fn some_files(&mut self) -> Vec<(String, Bytes)> {
        let names = ["a", "b", "c/d"].into_iter();
        names
            .map(|name| (name.to_owned(), self.content()))
            .collect()
    }

    fn existing_file(&mut self) -> Option<String> {
        let lead = format!("{}/file-", self.root);
        let paths = self.current().0.keys();
        let paths: Vec<_> = paths
            .filter(|path| path.starts_with(&lead))
            .cloned()
            .collect();
        (!paths.is_empty()).then(|| paths[self.random.below(paths.len())].clone())
    }

    /// Shares most of its chunks with what is there.
    fn change_in_the_middle(&mut self, path: &str) -> Bytes {
        let mut content = BytesMut::from(&self.current().0[path][..]);
        let middle = content.len() / 2;
        for byte in content.iter_mut().skip(middle).take(16) {
            *byte = byte.wrapping_add(1);
        }
        content.freeze()
    }

    fn change_of_a_group(&mut self) -> Change {
        let (from, to) = (self.group(), self.group());
        let is_there = |group: &str| !self.current().below(group).is_empty();
        match (is_there(&from), is_there(&to)) {
            (true, false) => Change::RenameGroup(from, to),
            (true, true) => Change::RemoveGroup(from),
            (false, _) => Change::Group(from, self.some_files()),
        }
    }

    /// Asks for the change; answers its revision if it is durable.
    async fn make(&self, client: &Client, change: Change) -> Result<Option<Revision>> {
        let durability = self.durability;
        let write = WriteOptions {
            parents: true,
            durability,
            ..WriteOptions::default()
        };
        let moving = MoveOptions {
            durability,
            ..MoveOptions::default()
        };
        let removal = RemoveOptions {
            recursive: true,
            if_match: None,
            durability,
        };
        let changed = match change {
            Change::Write(path, content) => client.write(&path, content, write).await,
            Change::Append(path, content) => client.append(&path, content, write).await,
            Change::Remove(path) | Change::RemoveGroup(path) => client.remove(&path, removal).await,
            Change::Rename(from, to) | Change::RenameGroup(from, to) => {
                client.rename(&from, &to, moving).await
            }
            Change::Group(folder, files) => {
                let steps = self.steps(&folder, files);
                let changes = client.batch(steps, durability).await?;
                Ok(changes.into_iter().next_back().expect("one for each step"))
            }
            Change::Sync => return client.sync().await.map(Some),
        }?;
        Ok((durability == Durability::Sync).then_some(changed.revision))
    }

    /// What is there goes, and the files come.
    fn steps(&self, folder: &str, files: Vec<(String, Bytes)>) -> Vec<BatchStep> {
        // The last state is the one that this change leads to.
        let before = &self.possible[self.possible.len() - 2];
        let remove = BatchStep::Remove {
            path: folder.to_owned(),
            recursive: true,
            if_match: None,
        };
        let write = |(name, content)| BatchStep::Write {
            path: format!("{folder}/{name}"),
            content,
            options: WriteOptions {
                parents: true,
                ..WriteOptions::default()
            },
        };
        let remove = (!before.below(folder).is_empty()).then_some(remove);
        let writes = files.into_iter().map(write);
        remove.into_iter().chain(writes).collect()
    }
}

impl Change {
    fn apply_to(&self, tree: &mut Tree) {
        match self {
            Self::Write(path, content) => {
                tree.0.insert(path.clone(), content.clone());
            }
            Self::Append(path, more) => {
                let content = [&tree.0[path][..], more].concat();
                tree.0.insert(path.clone(), content.into());
            }
            Self::Remove(path) => {
                tree.0.remove(path);
            }
            Self::Rename(from, to) => {
                let content = tree.0.remove(from).expect("it is a file that is there");
                tree.0.insert(to.clone(), content);
            }
            Self::Group(folder, files) => {
                tree.remove_below(folder);
                insert_below(tree, folder, files.clone());
            }
            Self::RenameGroup(from, to) => {
                let files = tree.below(from);
                tree.remove_below(from);
                insert_below(tree, to, files);
            }
            Self::RemoveGroup(folder) => tree.remove_below(folder),
            Self::Sync => {}
        }
    }
}

fn insert_below(tree: &mut Tree, folder: &str, files: Vec<(String, Bytes)>) {
    let files = files.into_iter();
    tree.0
        .extend(files.map(|(name, content)| (format!("{folder}/{name}"), content)));
}
