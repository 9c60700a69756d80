//! What is in a folder, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Everything below a folder, itself too, by its path from there.
#[derive(Debug)]
pub(super) struct Snapshot(BTreeMap<PathBuf, Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    modified: Option<SystemTime>,
    content: Content,
}

#[derive(PartialEq, Eq)]
enum Content {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory => write!(out, "directory"),
            Self::File(bytes) => write!(out, "file of {} bytes", bytes.len()),
            Self::Link(target) => write!(out, "link to {}", target.display()),
        }
    }
}

impl Snapshot {
    #[track_caller]
    pub(super) fn of(folder: &Path) -> Self {
        let mut entries = BTreeMap::new();
        add(folder, Path::new(""), &mut entries);
        Self(entries)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The regular files, by their path from the top.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.0
            .iter()
            .filter_map(|(path, entry)| match &entry.content {
                Content::File(bytes) => Some((path.as_path(), bytes.as_slice())),
                _ => None,
            })
    }

    /// Panics with the first difference.
    #[track_caller]
    pub(super) fn assert_same(&self, original: &Self) {
        for path in self.0.keys().chain(original.0.keys()) {
            let (found, expected) = (self.0.get(path), original.0.get(path));
            // Not assert_eq: it would print whole files.
            assert!(
                found == expected,
                "{}: found {found:?}, expected {expected:?}",
                path.display()
            );
        }
    }
}

fn add(top: &Path, path: &Path, entries: &mut BTreeMap<PathBuf, Entry>) {
    let here = top.join(path);
    let metadata = fs::symlink_metadata(&here).expect("what is listed is there");
    let kind = metadata.file_type();
    let content = if kind.is_dir() {
        for child in fs::read_dir(&here).expect("the folder can be read") {
            let name = child.expect("the folder can be read").file_name();
            add(top, &path.join(name), entries);
        }
        Content::Directory
    } else if kind.is_symlink() {
        Content::Link(fs::read_link(&here).expect("it is a link"))
    } else {
        Content::File(fs::read(&here).expect("the file can be read"))
    };
    // Linux gives every link the same mode, and nobody looks at its time.
    let is_link = kind.is_symlink();
    let entry = Entry {
        mode: if is_link { 0 } else { metadata.mode() & 0o7777 },
        modified: metadata.modified().ok().filter(|_| !is_link),
        content,
    };
    entries.insert(path.to_owned(), entry);
}
