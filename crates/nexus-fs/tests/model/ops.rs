//! Operations, and how they are drawn at random: few names and small trees, so that the
//! hard cases are the common ones.

use std::fmt;

use bytes::Bytes;
use nexus_fs::{FileKind, MkdirOptions, MoveOptions, Precondition, Replace};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::semantics::etag;
use crate::tree::Tree;
use crate::zone::TICK;

const NAMES: [&str; 5] = ["a", "b", "c", "a.b", "é"];
const KEYS: [&str; 2] = ["color", "k"];
const TAGS: [&str; 2] = ["todo", "done"];

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write(String, Write),
    Append(String, Write),
    Truncate(String, u64),
    SetAttributes {
        path: String,
        mode: Option<u32>,
        uid: Option<u32>,
        modified: Option<i64>,
    },
    SetMetadata(String, Vec<(String, Option<Bytes>)>),
    SetTags {
        path: String,
        add: Vec<String>,
        remove: Vec<String>,
    },
    Mkdir(String, MkdirOptions),
    Remove {
        path: String,
        recursive: bool,
        only_directory: bool,
    },
    Rename(String, String, MoveOptions),
    Copy(String, String, MoveOptions),
    Symlink {
        target: String,
        path: String,
    },
    HardLink {
        existing: String,
        path: String,
    },
    Rollback(String, u64),
    Fork {
        from: String,
        to: String,
        parents: bool,
    },
    /// Steps of [`nexus_fs::BatchStep`].
    Batch(Vec<Op>),
    /// The zone is closed and opened again, with this limit for inline contents.
    Reopen {
        inline_bytes_max: usize,
    },
    Gc,
}

#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub content: Data,
    pub precondition: Precondition,
    pub parents: bool,
    pub mode: Option<u32>,
    pub metadata: Vec<(String, Bytes)>,
}

/// A content that prints short.
#[derive(Clone)]
pub(crate) struct Data(pub Bytes);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.0[..self.0.len().min(4)];
        write!(f, "{} bytes {start:02x?}", self.0.len())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// What may be drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mix {
    /// The zone is reopened and collected at times.
    pub reopens: bool,
    /// One content in so many is large enough to be cut into chunks; none if 0.
    pub large_one_in: u32,
    /// Directories are forked.
    pub forks: bool,
}

pub(crate) struct Draw {
    pub random: StdRng,
    pub mix: Mix,
}

impl Draw {
    pub(crate) fn op(&mut self, tree: &Tree) -> Op {
        // Trees stay small: large ones shrink faster than they grow.
        let removals = if tree.nodes.len() > 30 { 25 } else { 8 };
        if self.mix.forks && tree.nodes.len() < 60 && self.random.random_ratio(1, 12) {
            return self.fork(tree);
        }
        match self.random.random_range(0..88 + removals) {
            0..=29 => self.batchable(tree),
            30..=46 => self.change_of_a_file(tree),
            47..=62 => self.change_of_names(tree),
            63..=74 => Op::HardLink {
                existing: self.existing(tree),
                path: self.fresh(tree),
            },
            75..=78 => Op::Symlink {
                target: self.link_target(tree),
                path: self.fresh(tree),
            },
            79..=85 => {
                let steps = self.random.random_range(1..6);
                Op::Batch((0..steps).map(|_| self.batchable(tree)).collect())
            }
            86 if self.mix.reopens => Op::Reopen {
                inline_bytes_max: self.random.random_range(0..40),
            },
            87 if self.mix.reopens => Op::Gc,
            86 | 87 => self.batchable(tree),
            _ => self.removal(tree),
        }
    }

    /// An operation that a batch may hold.
    fn batchable(&mut self, tree: &Tree) -> Op {
        match self.random.random_range(0..20) {
            0..=9 => Op::Write(self.file_or_fresh(tree), self.write(tree)),
            10..=13 => Op::Mkdir(self.fresh(tree), self.mkdir_options()),
            14 | 15 => match self.removal(tree) {
                Op::Remove {
                    path, recursive, ..
                } => Op::Remove {
                    path,
                    recursive,
                    only_directory: false,
                },
                other => other,
            },
            _ => self.change_of_names(tree),
        }
    }

    fn change_of_a_file(&mut self, tree: &Tree) -> Op {
        let path = self.file_or_fresh(tree);
        match self.random.random_range(0..6) {
            0 => Op::Append(path, self.write(tree)),
            1 => Op::Truncate(path, self.random.random_range(0..60)),
            2 => Op::SetAttributes {
                path: self.existing(tree),
                mode: self.maybe(0o7777),
                uid: self.maybe(3),
                modified: self.maybe(300).map(|ticks| i64::from(ticks) * TICK),
            },
            3 => Op::SetMetadata(self.existing(tree), self.metadata()),
            4 => Op::SetTags {
                path: self.existing(tree),
                add: self.tags(),
                remove: self.tags(),
            },
            _ => Op::Rollback(path, self.random.random_range(1..6)),
        }
    }

    fn change_of_names(&mut self, tree: &Tree) -> Op {
        let from = self.existing(tree);
        let to = match self.random.random_range(0..3) {
            0 => self.existing(tree),
            _ => self.fresh(tree),
        };
        if self.random.random_ratio(1, 3) {
            Op::Copy(from, to, self.move_options())
        } else {
            Op::Rename(from, to, self.move_options())
        }
    }

    fn fork(&mut self, tree: &Tree) -> Op {
        let mut dirs = tree.paths();
        dirs.retain(|(_, id)| tree.node(*id).is_dir());
        let from = match dirs.choose(&mut self.random) {
            Some((path, _)) if self.random.random_ratio(4, 5) => path.clone(),
            _ => self.any_path(),
        };
        let to = match self.random.random_ratio(9, 10) {
            true => self.fresh(tree),
            false => self.any_path(),
        };
        Op::Fork {
            from,
            to,
            parents: self.random.random(),
        }
    }

    fn removal(&mut self, tree: &Tree) -> Op {
        Op::Remove {
            path: self.existing(tree),
            recursive: self.random.random_ratio(1, 3),
            only_directory: self.random.random_ratio(1, 5),
        }
    }

    /// Mostly a path that exists.
    fn existing(&mut self, tree: &Tree) -> String {
        let paths = tree.paths();
        match paths.choose(&mut self.random) {
            Some((path, _)) if self.random.random_ratio(9, 10) => path.clone(),
            _ => self.any_path(),
        }
    }

    /// Mostly a name in a directory that exists; often it is free.
    fn fresh(&mut self, tree: &Tree) -> String {
        let mut dirs = vec![String::new()];
        let paths = tree.paths().into_iter();
        dirs.extend(paths.filter_map(|(path, id)| {
            let node = tree.node(id);
            (node.kind != FileKind::File).then_some(path)
        }));
        let dir = dirs.choose(&mut self.random).unwrap();
        let name = NAMES.choose(&mut self.random).unwrap();
        match self.random.random_range(0..20) {
            0 => self.any_path(),
            1 => format!("{}/{name}", self.existing(tree).trim_end_matches('/')),
            _ => format!("{dir}/{name}"),
        }
    }

    fn file_or_fresh(&mut self, tree: &Tree) -> String {
        let paths = tree.paths().into_iter();
        let files = paths.filter(|(_, id)| !tree.node(*id).is_dir());
        let files: Vec<_> = files.collect();
        match files.choose(&mut self.random) {
            Some((path, _)) if self.random.random() => path.clone(),
            _ => self.fresh(tree),
        }
    }

    fn any_path(&mut self) -> String {
        let depth = self.random.random_range(0..5);
        if depth == 0 {
            return "/".to_owned();
        }
        let names = (0..depth).map(|_| NAMES.choose(&mut self.random).unwrap());
        names.map(|name| format!("/{name}")).collect()
    }

    fn link_target(&mut self, tree: &Tree) -> String {
        let name = NAMES.choose(&mut self.random).unwrap();
        match self.random.random_range(0..6) {
            0 | 1 => self.existing(tree),
            2 => format!("../{name}"),
            3 => format!("x/.././{name}"),
            4 => ".".to_owned(),
            _ => (*name).to_owned(),
        }
    }

    fn write(&mut self, tree: &Tree) -> Write {
        Write {
            content: self.content(),
            precondition: self.precondition(tree),
            parents: self.random.random_ratio(1, 3),
            mode: self.maybe(0o7777),
            metadata: match self.random.random_ratio(1, 5) {
                true => self
                    .metadata()
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value?)))
                    .collect(),
                false => vec![],
            },
        }
    }

    fn precondition(&mut self, tree: &Tree) -> Precondition {
        match self.random.random_range(0..10) {
            0 if self.random.random() => Precondition::Absent,
            0 => Precondition::Exists,
            1 => {
                let nodes: Vec<_> = tree.nodes.values().collect();
                let node = nodes.choose(&mut self.random).unwrap();
                Precondition::Etag(etag(&node.content()))
            }
            _ => Precondition::None,
        }
    }

    /// Small enough to be inline, or a blob; from few, so that many are equal.
    fn content(&mut self) -> Data {
        let large = self.mix.large_one_in;
        if large > 0 && self.random.random_ratio(1, large) {
            return noise(self.random.random_range(0..2), 1_500_000).into();
        }
        let length = self.random.random_range(0..50);
        vec![self.random.random_range(b'p'..b't'); length].into()
    }

    fn metadata(&mut self) -> Vec<(String, Option<Bytes>)> {
        let key = |random: &mut StdRng| (*KEYS.choose(random).unwrap()).to_owned();
        let count = self.random.random_range(0..3);
        let set = (0..count).map(|_| {
            let value = vec![b'v'; self.random.random_range(0..3)];
            let value = self.random.random_ratio(2, 3).then(|| Bytes::from(value));
            (key(&mut self.random), value)
        });
        set.collect()
    }

    fn tags(&mut self) -> Vec<String> {
        let count = self.random.random_range(0..=TAGS.len());
        TAGS[..count].iter().map(|tag| (*tag).to_owned()).collect()
    }

    fn mkdir_options(&mut self) -> MkdirOptions {
        MkdirOptions {
            parents: self.random.random(),
            exist_ok: self.random.random(),
            mode: self.maybe(0o7777),
            ..MkdirOptions::default()
        }
    }

    fn move_options(&mut self) -> MoveOptions {
        let replaces = [
            Replace::Allow,
            Replace::Allow,
            Replace::Allow,
            Replace::Refuse,
            Replace::Exchange,
        ];
        MoveOptions {
            replace: *replaces.choose(&mut self.random).unwrap(),
            parents: self.random.random_ratio(1, 3),
            ..MoveOptions::default()
        }
    }

    fn maybe(&mut self, max: u32) -> Option<u32> {
        let some = self.random.random_ratio(1, 2);
        some.then(|| self.random.random_range(0..=max))
    }
}

/// Bytes that look random and are the same every time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_be_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}
