//! Random operations on a mount and on a directory of the disk, which say what is right.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use nexus_fuse::Options;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::{Mounted, memory_stores};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const STEPS: usize = 1_500;

#[derive(Debug)]
enum Op {
    Write(String, u64, usize),
    Append(String, usize),
    Create(String),
    Truncate(String, u64),
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String),
    Exchange(String, String),
    NoReplace(String, String),
    Link(String, String),
    Symlink(String, String),
    Mode(String, u32),
}

fn path(random: &mut StdRng) -> String {
    let depth = random.random_range(1..=3);
    let names = (0..depth).map(|_| *NAMES.choose(random).unwrap());
    names.collect::<Vec<_>>().join("/")
}

fn op(random: &mut StdRng) -> Op {
    let at = path(random);
    match random.random_range(0..16) {
        0..=2 => Op::Write(
            at,
            random.random_range(0..20_000),
            random.random_range(0..20_000),
        ),
        3 => Op::Append(at, random.random_range(1..5_000)),
        4 => Op::Create(at),
        5 => Op::Truncate(at, random.random_range(0..30_000)),
        6..=7 => Op::Mkdir(at),
        8 => Op::Rmdir(at),
        9 => Op::Unlink(at),
        10..=11 => Op::Rename(at, path(random)),
        12 => Op::Exchange(at, path(random)),
        13 => Op::NoReplace(at, path(random)),
        14 if random.random() => Op::Link(at, path(random)),
        14 => Op::Symlink(at, path(random)),
        _ => Op::Mode(at, random.random_range(0..0o1000)),
    }
}

fn content(step: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i + step) as u8).collect()
}

fn apply(root: &Path, op: &Op, step: usize) -> io::Result<()> {
    let at = |path: &String| root.join(path);
    let rename = |from, to, flags| Ok(renameat_with(CWD, at(from), CWD, at(to), flags)?);
    let mut open = OpenOptions::new();
    match op {
        Op::Write(path, offset, length) => {
            let open = open.write(true).create(true).truncate(false);
            open.open(at(path))?
                .write_all_at(&content(step, *length), *offset)
        }
        Op::Append(path, length) => {
            let mut file = open.append(true).open(at(path))?;
            io::Write::write_all(&mut file, &content(step, *length))
        }
        Op::Create(path) => open.write(true).create_new(true).open(at(path)).map(drop),
        Op::Truncate(path, size) => open.write(true).open(at(path))?.set_len(*size),
        Op::Mkdir(path) => fs::create_dir(at(path)),
        Op::Rmdir(path) => fs::remove_dir(at(path)),
        Op::Unlink(path) => fs::remove_file(at(path)),
        Op::Rename(from, to) => fs::rename(at(from), at(to)),
        Op::Exchange(from, to) => rename(from, to, RenameFlags::EXCHANGE),
        Op::NoReplace(from, to) => rename(from, to, RenameFlags::NOREPLACE),
        Op::Link(from, to) => fs::hard_link(at(from), at(to)),
        Op::Symlink(target, path) => symlink(target, at(path)),
        Op::Mode(path, mode) => fs::set_permissions(at(path), Permissions::from_mode(*mode)),
    }
}

/// Everything there is to see below a directory.
fn seen(root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, found) = (entry.path(), entry.metadata().unwrap());
            let what = if found.is_dir() {
                todo.push(path.clone());
                "directory".to_owned()
            } else if found.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                let content = fs::read(&path).unwrap();
                let sum = content.iter().fold(0_u64, |sum, byte| {
                    sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
                });
                format!("{} {} {sum}", found.len(), found.nlink())
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            seen.push(format!("{name} {:o} {what}", found.mode()));
        }
    }
    seen.sort();
    seen
}

fn compare(seed: u64, options: Options) {
    let mounted = Mounted::with(&memory_stores(), options);
    let oracle = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    for step in 0..STEPS {
        let op = op(&mut random);
        let code = |result: io::Result<()>| result.err().map(|error| error.raw_os_error());
        let here = code(apply(mounted.root(), &op, step));
        let there = code(apply(oracle.path(), &op, step));
        assert_eq!(here, there, "seed {seed}, step {step}: {op:?}");
        if step % 50 == 0 {
            let (here, there) = (seen(mounted.root()), seen(oracle.path()));
            assert_eq!(here, there, "seed {seed}, step {step}: {op:?}");
        }
    }
    assert_eq!(seen(mounted.root()), seen(oracle.path()), "seed {seed}");
}

#[test]
fn a_mount_does_what_a_disk_does() {
    for seed in 0..4 {
        compare(seed, Options::default());
    }
}

#[test]
fn a_mount_whose_kernel_gathers_writes_does_what_a_disk_does() {
    for seed in 10..12 {
        let mut options = Options::default();
        options.write_cache = true;
        compare(seed, options);
    }
}
