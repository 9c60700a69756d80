//! Operations, and how they are drawn at random: few names and small trees, so that the
//! hard cases are the common ones.

use std::fmt;

use bytes::Bytes;
use nexus_fs::{MkdirOptions, MoveOptions, Precondition, Replace};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::semantics::etag;
use crate::subject::TICK;
use crate::tree::Tree;

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
}

/// `count` operations that follow from the seed, each drawn where the ones before lead.
pub(crate) fn sequence(seed: u64, count: usize, mix: Mix) -> Vec<Op> {
    let mut draw = Draw {
        random: StdRng::seed_from_u64(seed),
        mix,
    };
    let mut tree = Tree::new(0);
    let mut ops = Vec::with_capacity(count);
    for now in 0..count {
        let op = draw.op(&tree);
        // What fails changes nothing, in the model too.
        let _ = tree.apply(&op, i64::try_from(now).unwrap());
        ops.push(op);
    }
    ops
}

pub(crate) struct Draw {
    pub random: StdRng,
    pub mix: Mix,
}

impl Draw {
    pub(crate) fn op(&mut self, tree: &Tree) -> Op {
        match self.random.random_range(0..100) {
            0..=29 => self.batchable(tree),
            30..=45 => self.change_of_a_file(tree),
            46..=63 => self.change_of_names(tree),
            64..=75 => self.removal(tree),
            76..=85 => Op::HardLink {
                existing: self.path(tree),
                path: self.path(tree),
            },
            86..=90 => Op::Symlink {
                target: self.link_target(tree),
                path: self.path(tree),
            },
            91..=97 => {
                let steps = self.random.random_range(1..6);
                Op::Batch((0..steps).map(|_| self.batchable(tree)).collect())
            }
            98 if self.mix.reopens => Op::Reopen {
                inline_bytes_max: self.random.random_range(0..40),
            },
            _ if self.mix.reopens => Op::Gc,
            _ => self.batchable(tree),
        }
    }

    /// An operation that a batch may hold.
    fn batchable(&mut self, tree: &Tree) -> Op {
        match self.random.random_range(0..10) {
            0..=3 => Op::Write(self.path(tree), self.write(tree)),
            4 => Op::Mkdir(self.path(tree), self.mkdir_options()),
            5 | 6 => Op::Remove {
                path: self.path(tree),
                recursive: self.random.random(),
                only_directory: false,
            },
            _ => self.change_of_names(tree),
        }
    }

    fn change_of_a_file(&mut self, tree: &Tree) -> Op {
        let path = self.path(tree);
        match self.random.random_range(0..6) {
            0 => Op::Append(path, self.write(tree)),
            1 => Op::Truncate(path, self.random.random_range(0..60)),
            2 => Op::SetAttributes {
                path,
                mode: self.maybe(0o7777),
                uid: self.maybe(3),
                modified: self.maybe(300).map(|ticks| i64::from(ticks) * TICK),
            },
            3 => Op::SetMetadata(path, self.metadata()),
            4 => Op::SetTags {
                path,
                add: self.tags(),
                remove: self.tags(),
            },
            _ => Op::Rollback(path, self.random.random_range(1..6)),
        }
    }

    fn change_of_names(&mut self, tree: &Tree) -> Op {
        let (from, to) = (self.path(tree), self.path(tree));
        if self.random.random_ratio(1, 3) {
            Op::Copy(from, to, self.move_options())
        } else {
            Op::Rename(from, to, self.move_options())
        }
    }

    fn removal(&mut self, tree: &Tree) -> Op {
        Op::Remove {
            path: self.path(tree),
            recursive: self.random.random_ratio(1, 3),
            only_directory: self.random.random_ratio(1, 3),
        }
    }

    /// Mostly a path that exists or would be new in a directory that exists.
    fn path(&mut self, tree: &Tree) -> String {
        let mut paths = vec![String::new()];
        paths.extend(tree.paths().into_iter().map(|(path, _)| path));
        let known = paths.choose(&mut self.random).unwrap();
        let name = NAMES.choose(&mut self.random).unwrap();
        match self.random.random_range(0..20) {
            0 => "/".to_owned(),
            1..=9 if !known.is_empty() => known.clone(),
            1..=17 => format!("{known}/{name}"),
            _ => self.any_path(),
        }
    }

    fn any_path(&mut self) -> String {
        let depth = self.random.random_range(1..5);
        let names = (0..depth).map(|_| NAMES.choose(&mut self.random).unwrap());
        names.map(|name| format!("/{name}")).collect()
    }

    fn link_target(&mut self, tree: &Tree) -> String {
        let name = NAMES.choose(&mut self.random).unwrap();
        match self.random.random_range(0..6) {
            0 | 1 => self.path(tree),
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
            0 => Precondition::Absent,
            1 => Precondition::Exists,
            2 => {
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
        let replaces = [Replace::Allow, Replace::Refuse, Replace::Exchange];
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
