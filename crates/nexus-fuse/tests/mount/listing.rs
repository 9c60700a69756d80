use std::collections::HashSet;
use std::fs::{self, File};

use rustix::fs::Dir;

use crate::support::{Mounted, names};

#[test]
fn a_directory_is_listed_with_itself_and_the_one_above() {
    let mounted = Mounted::in_memory();
    fs::create_dir(mounted.path("d")).unwrap();
    let listed = |path| {
        let dir = Dir::read_from(File::open(path).unwrap()).unwrap();
        let entries = dir.map(|entry| entry.unwrap());
        let mut entries: Vec<_> = entries
            .map(|entry| (entry.file_name().to_str().unwrap().to_owned(), entry.ino()))
            .collect();
        entries.sort();
        entries
    };
    let root = listed(mounted.root().to_owned());
    let inner = listed(mounted.path("d"));
    let of = |entries: &[(String, u64)], name: &str| {
        let found = entries.iter().find(|(entry, _)| entry == name);
        found.unwrap().1
    };
    assert_eq!(of(&root, "."), of(&root, ".."));
    assert_eq!(of(&inner, ".."), of(&root, "."));
    assert_eq!(of(&inner, "."), of(&root, "d"));
}

#[test]
fn nothing_is_missed_while_a_directory_shrinks() {
    let mounted = Mounted::in_memory();
    let count = 5_000;
    for n in 0..count {
        fs::write(mounted.path(&format!("{n:05}")), "").unwrap();
    }
    let mut seen = HashSet::new();
    for entry in fs::read_dir(mounted.root()).unwrap() {
        let entry = entry.unwrap();
        fs::remove_file(entry.path()).unwrap();
        assert!(seen.insert(entry.file_name()));
    }
    assert_eq!(seen.len(), count);
    assert!(names(mounted.root()).is_empty());
}

#[test]
fn a_reader_goes_back_and_on() {
    let mounted = Mounted::in_memory();
    for n in 0..300 {
        fs::write(mounted.path(&format!("{n:03}")), "").unwrap();
    }
    let mut dir = Dir::read_from(File::open(mounted.root()).unwrap()).unwrap();
    let all = |dir: &mut Dir| -> Vec<_> {
        dir.map(|entry| entry.unwrap().file_name().to_owned())
            .collect()
    };
    let first = all(&mut dir);
    fs::write(mounted.path("later"), "").unwrap();
    dir.rewind();
    assert_eq!(all(&mut dir).len(), first.len() + 1);
}

#[test]
fn attributes_come_with_the_names() {
    let mounted = Mounted::in_memory();
    for n in 0..200 {
        fs::write(mounted.path(&format!("{n:03}")), vec![0; n]).unwrap();
    }
    for entry in fs::read_dir(mounted.root()).unwrap() {
        let entry = entry.unwrap();
        let size: u64 = entry.file_name().to_str().unwrap().parse().unwrap();
        assert_eq!(entry.metadata().unwrap().len(), size);
    }
}
