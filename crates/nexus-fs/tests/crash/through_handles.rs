//! The power goes off while files are changed as a mount changes them: through handles and by the
//! inodes of directories, relaxed, and durable from an `fsync` on, of a file or of a directory.
//!
//! What is found is the tree as it was at some step since the last `fsync` that was answered: all
//! before that `fsync` is there, and of what came after it nothing without all that came before.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use nexus_fs::{At, Handle, Ino, NewInode, NewKind, OpenMode, Replace, Session};
use nexus_kernel::{Durability, Result};
use nexus_service_api::Context;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::disks::{Disks, Lie};
use crate::machine::runtime;
use crate::ops::noise;
use crate::rows;
use crate::zone::{ManualClock, open, problems, tight_config};

const SEEDS: u64 = 300;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const RELAXED: Durability = Durability::Relaxed;

type Tree = BTreeMap<&'static str, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    Open(&'static str),
    Rename(&'static str, &'static str),
    Unlink(&'static str),
    SyncDirectory,
    /// What is done through one of the open handles.
    Through(usize, Deed),
}

#[derive(Clone, Debug)]
enum Deed {
    Write(usize, Vec<u8>),
    Truncate(usize),
    Flush,
    Fsync,
    Close,
}

impl Step {
    fn promises(&self) -> bool {
        matches!(self, Self::SyncDirectory | Self::Through(_, Deed::Fsync))
    }
}

/// What the files are, by the number of their inode in the order they were made.
#[derive(Default)]
struct Model {
    stored: Vec<Vec<u8>>,
    drafts: Vec<Option<Vec<u8>>>,
    names: BTreeMap<&'static str, usize>,
    handles: Vec<usize>,
}

impl Model {
    fn draw(&self, random: &mut StdRng) -> Step {
        let name = *NAMES.choose(random).unwrap();
        let is_there = self.names.contains_key(name);
        match random.random_range(0..20) {
            0..=3 if !is_there => Step::Create(name),
            0..=3 if self.handles.len() < 4 => Step::Open(name),
            4..=6 if is_there => {
                let others = NAMES.into_iter().filter(|other| *other != name);
                let to = *others.collect::<Vec<_>>().choose(random).unwrap();
                Step::Rename(name, to)
            }
            7 if is_there => Step::Unlink(name),
            8 | 9 => Step::SyncDirectory,
            _ if self.handles.is_empty() => self.draw(random),
            _ => Step::Through(random.random_range(0..self.handles.len()), deed(random)),
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Create(name) => {
                self.names.insert(name, self.stored.len());
                self.handles.push(self.stored.len());
                self.stored.push(Vec::new());
                self.drafts.push(None);
            }
            Step::Open(name) => self.handles.push(self.names[name]),
            Step::Rename(from, to) => {
                let inode = self.names.remove(from).unwrap();
                self.names.insert(to, inode);
            }
            Step::Unlink(name) => {
                self.names.remove(name);
            }
            Step::SyncDirectory => {}
            Step::Through(handle, deed) => self.apply_to(self.handles[*handle], deed),
        }
        if let Step::Through(handle, Deed::Close) = step {
            self.handles.remove(*handle);
        }
    }

    fn apply_to(&mut self, inode: usize, deed: &Deed) {
        match deed {
            Deed::Write(offset, bytes) => {
                let (content, end) = (self.draft(inode), offset + bytes.len());
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Deed::Truncate(size) => self.draft(inode).resize(*size, 0),
            Deed::Flush | Deed::Fsync | Deed::Close => {
                if let Some(content) = self.drafts[inode].take() {
                    self.stored[inode] = content;
                }
            }
        }
    }

    fn draft(&mut self, inode: usize) -> &mut Vec<u8> {
        let stored = &self.stored[inode];
        self.drafts[inode].get_or_insert_with(|| stored.clone())
    }

    fn tree(&self) -> Tree {
        let names = self.names.iter();
        let files = names.map(|(name, inode)| (*name, self.stored[*inode].clone()));
        files.collect()
    }
}

/// Contents that lie in the inode, in the journal, in a file of their own, and in chunks.
fn deed(random: &mut StdRng) -> Deed {
    match random.random_range(0..10) {
        0..=4 => {
            let length = match random.random_range(0..40) {
                0 => 1_500_000,
                _ => random.random_range(1..50),
            };
            Deed::Write(random.random_range(0..30), noise(random.random(), length))
        }
        5 => Deed::Truncate(random.random_range(0..50)),
        6 => Deed::Flush,
        7 => Deed::Close,
        _ => Deed::Fsync,
    }
}

/// A program at work.
struct Program {
    files: Session,
    handles: Vec<Handle>,
}

impl Program {
    async fn perform(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Create(name) => {
                let new = NewInode {
                    kind: NewKind::File,
                    mode: 0o644,
                    uid: 0,
                    gid: 0,
                };
                let made = self.files.make_at(Ino::ROOT, name, new, RELAXED).await?;
                self.open(made.ino).await
            }
            Step::Open(name) => {
                let found = self.files.lookup(Ino::ROOT, name).await?;
                self.open(found.ino).await
            }
            Step::Rename(from, to) => {
                let (from, to) = ((Ino::ROOT, *from), (Ino::ROOT, *to));
                let renamed = self.files.rename_at(from, to, Replace::Allow, RELAXED);
                renamed.await.map(drop)
            }
            Step::Unlink(name) => {
                let unlinked = self.files.unlink_at(Ino::ROOT, name, RELAXED);
                unlinked.await.map(drop)
            }
            Step::SyncDirectory => self.files.sync().await.map(drop),
            Step::Through(handle, Deed::Close) => self.handles.remove(*handle).close().await,
            Step::Through(handle, deed) => through(&self.handles[*handle], deed).await,
        }
    }

    async fn open(&mut self, ino: Ino) -> Result<()> {
        let handle = self.files.open_handle(ino, OpenMode::ReadWrite).await?;
        self.handles.push(handle);
        Ok(())
    }
}

async fn through(handle: &Handle, deed: &Deed) -> Result<()> {
    match deed {
        Deed::Write(offset, bytes) => {
            let bytes = Bytes::copy_from_slice(bytes);
            handle.write(*offset as u64, bytes).await.map(drop)
        }
        Deed::Truncate(size) => handle.truncate(*size as u64).await,
        Deed::Flush => handle.flush().await,
        Deed::Fsync => handle.fsync().await,
        Deed::Close => unreachable!("it takes the handle"),
    }
}

/// The trees that may be found, from the last that was promised on.
async fn work(disks: &Disks, random: &mut StdRng, clock: &Arc<ManualClock>) -> Vec<Tree> {
    let stores = disks.stores(clock.clone()).unwrap();
    let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
    let mut program = Program {
        files: zone.session(Context::system()),
        handles: Vec::new(),
    };
    // Every machine begins with a root that is durable.
    program.files.sync().await.unwrap();
    disks.power.off_after(random.random_range(0..120));
    let (mut model, mut possible) = (Model::default(), vec![Tree::new()]);
    for _ in 0..random.random_range(1..80) {
        let step = model.draw(random);
        model.apply(&step);
        possible.push(model.tree());
        let done = program.perform(&step).await;
        if disks.power.is_off() {
            return possible;
        }
        done.unwrap_or_else(|error| panic!("{step:?}: {error:?}"));
        if step.promises() {
            possible.drain(..possible.len() - 1);
        }
    }
    disks.power.off();
    possible
}

async fn found(disks: &Disks, clock: &Arc<ManualClock>) -> (Tree, Vec<String>) {
    let stores = disks.stores(clock.clone()).unwrap();
    let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
    let files = zone.session(Context::system());
    let mut tree = Tree::new();
    for entry in files.readdir(Ino::ROOT, None, 100).await.unwrap() {
        let name = NAMES
            .into_iter()
            .find(|name| entry.path == format!("/{name}"));
        let content = files.read(&entry.path, At::Latest).await.unwrap();
        tree.insert(name.unwrap(), content.bytes.to_vec());
    }
    let mut wrong = problems(&files).await;
    wrong.extend(rows::problems(&*stores.metastore).await);
    (tree, wrong)
}

fn lengths(tree: &Tree) -> BTreeMap<&str, usize> {
    let lengths = tree.iter().map(|(name, content)| (*name, content.len()));
    lengths.collect()
}

fn live(seed: u64, lie: Lie) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut disks, clock) = (Disks::new(&mut random, lie), Arc::<ManualClock>::default());
    disks.create_database(&mut random);
    let possible = runtime().block_on(work(&disks, &mut random, &clock));
    let disks = disks.after_power_loss(&mut random);
    let (tree, wrong) = runtime().block_on(found(&disks, &clock));
    assert!(
        possible.contains(&tree),
        "seed {seed}: {:?} is none of {:?}",
        lengths(&tree),
        possible.iter().map(lengths).collect::<Vec<_>>()
    );
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
}

#[test]
fn what_was_synced_through_handles_survives_power_loss() {
    for seed in 0..SEEDS {
        live(seed, Lie::None);
    }
}

/// The test above proves nothing if it finds nothing where there is something.
#[test]
fn a_disk_that_lies_is_caught_through_handles() {
    let caught = (0..60).filter(|seed| {
        let lived = catch_unwind(AssertUnwindSafe(|| live(*seed, Lie::OfTheMetadata)));
        lived.is_err()
    });
    let caught = caught.count();
    assert!(caught > 20, "noticed {caught} times of 60");
}
