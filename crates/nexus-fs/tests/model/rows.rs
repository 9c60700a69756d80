//! Reads the rows of a zone as they lie in the metastore and checks everything that must
//! hold between them. Knows the layout from its documentation, not from the code.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Entry, Freshness, KeyRange, Metastore, Scan};
use prost::Message;

const ROOT: u64 = 1;
const FILE: u32 = 0;
const DIRECTORY: u32 = 1;
const BLOB: u32 = 1;
const CHUNKS: u32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Inode {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "bytes", tag = "3")]
    etag: Bytes,
    #[prost(uint64, tag = "4")]
    version: u64,
    #[prost(uint32, tag = "5")]
    place: u32,
    #[prost(uint32, tag = "11")]
    links: u32,
    #[prost(uint64, tag = "15")]
    parent: u64,
    #[prost(string, tag = "16")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint32, tag = "12")]
    more_rows: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Dentry {
    #[prost(uint64, tag = "1")]
    ino: u64,
    #[prost(uint32, tag = "2")]
    kind: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Ended {
    #[prost(uint64, tag = "1")]
    since: u64,
    #[prost(bytes = "bytes", tag = "2")]
    record: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct ManifestPage {
    #[prost(message, repeated, tag = "1")]
    chunks: Vec<Chunk>,
}

#[derive(Clone, PartialEq, Message)]
struct Chunk {
    #[prost(bytes = "bytes", tag = "1")]
    etag: Bytes,
}

type Name = (u64, String);

/// The rows of a zone and what was found wrong with them.
struct Check {
    rows: Vec<Entry>,
    inodes: BTreeMap<u64, (Inode, u64)>,
    /// The names of each inode.
    names: BTreeMap<u64, BTreeSet<Name>>,
    problems: Vec<String>,
}

/// What is wrong with a zone that is at rest: nothing queued to be cleared away, no file
/// open.
pub(crate) async fn problems(metastore: &dyn Metastore) -> Vec<String> {
    let mut check = Check {
        rows: all_rows(metastore).await,
        inodes: BTreeMap::new(),
        names: BTreeMap::new(),
        problems: Vec::new(),
    };
    check.load();
    // The rows of a fork are only half of what is in it.
    let forks = check.tagged(b'w').any(|row| row.key.starts_with(b"wp"));
    if !forks {
        check.names();
        check.links();
        check.reachability();
        check.metadata();
    }
    check.log();
    check.history(b'h', 9);
    check.history_of_names();
    check.references();
    for tag in *b"qo" {
        let left = check.tagged(tag).count();
        check.expect(left == 0, || {
            format!("{left} rows {:?} are left", char::from(tag))
        });
    }
    check.problems
}

async fn all_rows(metastore: &dyn Metastore) -> Vec<Entry> {
    let mut range = KeyRange {
        start: Bytes::from_static(b"A"),
        end: Bytes::from_static(b"{"),
    };
    let mut rows: Vec<Entry> = Vec::new();
    loop {
        let scan = Scan::forward(range.clone(), 10_000);
        let page = metastore.scan(scan, Freshness::Linearizable).await.unwrap();
        rows.extend(page.entries);
        if !page.more {
            return rows;
        }
        let mut next = rows.last().unwrap().key.to_vec();
        next.push(0);
        range.start = next.into();
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

fn last_number(key: &[u8]) -> u64 {
    number(&key[key.len() - 8..])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Check {
    /// A record of the log has as many further rows as its first says.
    fn log(&mut self) {
        let mut further: BTreeMap<u64, u32> = BTreeMap::new();
        for row in self.tagged(b'L') {
            *further.entry(last_number(&row.key)).or_default() += 1;
        }
        let mut problems = Vec::new();
        for row in self.tagged(b'l') {
            let record = Record::decode(row.value.bytes.clone()).unwrap();
            let revision = last_number(&row.key);
            let found = further.remove(&revision).unwrap_or_default();
            if found != record.more_rows {
                problems.push(format!("record {revision} has {found} further rows"));
            }
        }
        problems.extend(further.keys().map(|of| format!("rows of no record {of}")));
        self.problems.extend(problems);
    }

    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(problem());
        }
    }

    fn tagged(&self, tag: u8) -> impl Iterator<Item = &Entry> {
        self.rows.iter().filter(move |row| row.key[0] == tag)
    }

    fn load(&mut self) {
        let inodes = self.tagged(b'i').map(|row| {
            let inode = Inode::decode(row.value.bytes.clone()).unwrap();
            (number(&row.key[1..]), (inode, row.value.revision.0))
        });
        self.inodes = inodes.collect();
    }

    /// Every name lies in a directory and names an inode of its kind.
    fn names(&mut self) {
        let dentries: Vec<(u64, String, Dentry)> = self
            .tagged(b'd')
            .map(|row| {
                let dentry = Dentry::decode(row.value.bytes.clone()).unwrap();
                (number(&row.key[1..]), text(&row.key[9..]), dentry)
            })
            .collect();
        for (parent, name, dentry) in dentries {
            let directory = self.inodes.get(&parent).map(|(inode, _)| inode.kind);
            self.expect(directory == Some(DIRECTORY), || {
                format!("name {name:?} lies in {parent}, which is no directory")
            });
            let kind = self.inodes.get(&dentry.ino).map(|(inode, _)| inode.kind);
            self.expect(kind == Some(dentry.kind), || {
                format!("name {name:?} in {parent} says {dentry:?}, the inode is {kind:?}")
            });
            let names = self.names.entry(dentry.ino).or_default();
            names.insert((parent, name));
        }
    }

    /// Each inode knows how many names it has and what they are.
    fn links(&mut self) {
        let mut extra: BTreeMap<u64, BTreeSet<Name>> = BTreeMap::new();
        for row in self.tagged(b'p') {
            let name = (number(&row.key[9..]), text(&row.key[17..]));
            extra.entry(number(&row.key[1..])).or_default().insert(name);
        }
        for (ino, (inode, _)) in self.inodes.clone() {
            let mut names = self.names.get(&ino).cloned().unwrap_or_default();
            let extra = extra.remove(&ino).unwrap_or_default();
            if ino == ROOT {
                self.expect(names.is_empty(), || "the root has a name".into());
                continue;
            }
            self.expect(names.len() == inode.links as usize, || {
                format!("inode {ino} counts {} links and has {names:?}", inode.links)
            });
            let first = (inode.parent, inode.name.clone());
            let known = names.remove(&first);
            self.expect(known, || {
                format!("inode {ino}: {first:?} is its first name, but not among {names:?}")
            });
            self.expect(names == extra, || {
                format!("inode {ino}: its other names are {names:?}, recorded are {extra:?}")
            });
        }
        self.expect(extra.is_empty(), || {
            format!("extra names of no inode: {extra:?}")
        });
        let times: Vec<u64> = self.tagged(b't').map(|row| number(&row.key[1..])).collect();
        for ino in times {
            let directory = self.inodes.get(&ino).map(|(inode, _)| inode.kind);
            self.expect(directory == Some(DIRECTORY), || {
                format!("a directory time is kept for {ino}, which is none")
            });
        }
    }

    /// Every inode can be reached from the root.
    fn reachability(&mut self) {
        for (ino, mut names) in self.names.clone() {
            let mut steps = 0;
            while let Some((parent, _)) = names.first().cloned() {
                steps += 1;
                if parent == ROOT {
                    break;
                }
                names = self.names.get(&parent).cloned().unwrap_or_default();
                self.expect(!names.is_empty() && steps < 2000, || {
                    format!("inode {ino} cannot be reached from the root")
                });
                if steps >= 2000 {
                    break;
                }
            }
        }
    }

    /// Metadata belongs to an inode and is in the index, and nothing else is.
    fn metadata(&mut self) {
        let values: BTreeSet<(u64, String)> = self
            .tagged(b'x')
            .map(|row| (number(&row.key[1..]), text(&row.key[9..])))
            .collect();
        let index: BTreeSet<(u64, String)> = self
            .tagged(b'm')
            .map(|row| (last_number(&row.key), text(&row.key[1..row.key.len() - 9])))
            .collect();
        self.expect(values == index, || {
            format!("metadata {values:?} does not agree with its index {index:?}")
        });
        for (ino, key) in values {
            let known = self.inodes.contains_key(&ino);
            self.expect(known, || {
                format!("metadata {key:?} of {ino}, which is gone")
            });
        }
    }

    /// The states of each inode follow one another; what was deleted may have come back.
    fn history(&mut self, tag: u8, prefix: usize) {
        let mut end: BTreeMap<Bytes, u64> = BTreeMap::new();
        let mut problems = Vec::new();
        for row in self.tagged(tag) {
            let ended = Ended::decode(row.value.bytes.clone()).unwrap();
            let until = last_number(&row.key);
            let thing = row.key.slice(..prefix);
            let before = end.insert(thing.clone(), until);
            if ended.since >= until || before.is_some_and(|before| before > ended.since) {
                problems.push(format!(
                    "history of {thing:?}: {}..{until} after {before:?}",
                    ended.since
                ));
            }
        }
        for (ino, (_, revision)) in &self.inodes {
            let key = [&[tag][..], &ino.to_be_bytes()].concat();
            if end.get(&key[..]).is_some_and(|end| end > revision) {
                problems.push(format!(
                    "inode {ino} began at {revision}, before its past ended"
                ));
            }
        }
        self.problems.extend(problems);
    }

    /// A name points to one thing at a time.
    fn history_of_names(&mut self) {
        let mut end: BTreeMap<Bytes, u64> = BTreeMap::new();
        let mut problems = Vec::new();
        for row in self.tagged(b'e') {
            let ended = Ended::decode(row.value.bytes.clone()).unwrap();
            let until = last_number(&row.key);
            let thing = row.key.slice(..row.key.len() - 8);
            let before = end.insert(thing.clone(), until);
            if ended.since >= until || before.is_some_and(|before| before > ended.since) {
                problems.push(format!(
                    "history of {thing:?}: {}..{until} after {before:?}",
                    ended.since
                ));
            }
        }
        self.problems.extend(problems);
    }

    /// A content is counted once for each version of a file that has it.
    fn references(&mut self) {
        let mut expected: BTreeMap<Bytes, i64> = BTreeMap::new();
        for (tag, etag) in self.versions() {
            *expected.entry(counter(tag, &etag)).or_default() += 1;
        }
        let manifests: BTreeSet<Bytes> =
            self.tagged(b'n').map(|row| row.key.slice(1..34)).collect();
        for row in self.tagged(b'n') {
            let page = ManifestPage::decode(row.value.bytes.clone()).unwrap();
            for chunk in page.chunks {
                *expected.entry(counter(b'c', &chunk.etag)).or_default() += 1;
            }
        }
        let mut counted: BTreeMap<Bytes, i64> = BTreeMap::new();
        for row in self.tagged(b'c').chain(self.tagged(b'f')) {
            let count = i64::from_be_bytes(row.value.bytes[..].try_into().unwrap());
            if count != 0 {
                counted.insert(row.key.clone(), count);
            }
        }
        self.expect(counted == expected, || {
            format!("contents are counted {counted:?}, used are {expected:?}")
        });
        for key in expected.keys().filter(|key| key[0] == b'f') {
            let known = manifests.contains(&key[1..]);
            self.expect(known, || format!("{key:?} has no manifest"));
        }
    }

    /// The counter's tag and the etag of each version that is not inline, past or present.
    fn versions(&self) -> Vec<(u8, Bytes)> {
        let mut states: Vec<(u64, Inode)> = self
            .inodes
            .iter()
            .map(|(ino, (inode, _))| (*ino, inode.clone()))
            .collect();
        for row in self.tagged(b'h') {
            let ended = Ended::decode(row.value.bytes.clone()).unwrap();
            let inode = Inode::decode(ended.record).unwrap();
            states.push((number(&row.key[1..]), inode));
        }
        let mut versions = BTreeMap::new();
        for (ino, inode) in states.into_iter().filter(|(_, inode)| inode.kind == FILE) {
            let tag = match inode.place {
                BLOB => b'c',
                CHUNKS => b'f',
                _ => continue,
            };
            versions.insert((ino, inode.version), (tag, inode.etag));
        }
        versions.into_values().collect()
    }
}

fn counter(tag: u8, etag: &Bytes) -> Bytes {
    [&[tag][..], etag].concat().into()
}
