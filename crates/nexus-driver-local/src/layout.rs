//! Which file holds what.
//!
//! ```text
//! LOCK                        held while the store is open
//! blobs/b/ab/abcdef,          the blob `b/ab/abcdef`
//! blobs/<200 bytes>+/<rest>,  a segment of a key that is longer than a file name may be
//! staged/<id>                 a large blob before the journal was applied, or half of a file
//! journal/<number>.log        a segment of the journal
//! journal/<number>.spare      a segment to be written again
//! ```
//!
//! A comma and a plus cannot occur in a key: so the blob `a` and the folder of `a/b` never meet.

use nexus_kernel::ObjectKey;

pub(crate) const BLOBS: &str = "blobs";
pub(crate) const STAGED: &str = "staged";
pub(crate) const JOURNAL: &str = "journal";

const BLOB_MARK: char = ',';
const CONTINUED_MARK: char = '+';
/// Longest piece of a key's segment that makes one file name.
const PIECE_BYTES_MAX: usize = 200;

pub(crate) fn blob(key: &ObjectKey) -> String {
    let mut path = directory(key.as_str());
    path.push(BLOB_MARK);
    path
}

/// The directory of the keys that begin with `folder` and a slash.
pub(crate) fn directory(folder: &str) -> String {
    let mut path = String::with_capacity(BLOBS.len() + folder.len() + 8);
    path.push_str(BLOBS);
    for segment in folder.split('/').filter(|segment| !segment.is_empty()) {
        path.push('/');
        let mut rest = segment;
        while rest.len() > PIECE_BYTES_MAX {
            let (piece, more) = rest.split_at(PIECE_BYTES_MAX);
            path.extend([piece, "+/"]);
            rest = more;
        }
        path.push_str(rest);
    }
    path
}

/// What a name in a directory of blobs stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// The last piece of a key.
    Blob(&'a str),
    /// The beginning of a segment.
    Continued(&'a str),
    /// A whole segment, or the end of one, with more behind a slash.
    Folder(&'a str),
}

/// `None` for what this store did not make.
pub(crate) fn named(name: &str, is_dir: bool) -> Option<Named<'_>> {
    match (
        is_dir,
        name.strip_suffix(BLOB_MARK),
        name.strip_suffix(CONTINUED_MARK),
    ) {
        (false, Some(piece), _) => Some(Named::Blob(piece)),
        (true, _, Some(piece)) => Some(Named::Continued(piece)),
        (true, None, None) => Some(Named::Folder(name)),
        _ => None,
    }
}

pub(crate) fn staged(id: u64) -> String {
    format!("{STAGED}/{id:016x}")
}

/// A staged file that will be a blob's own file in a moment; no record names it.
pub(crate) fn half(counter: u64) -> String {
    format!("{STAGED}/half-{counter:016x}")
}

/// The id in the name of a staged file.
pub(crate) fn staged_id(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok())?
}

pub(crate) fn log(number: u64) -> String {
    format!("{JOURNAL}/{number:016x}.log")
}

pub(crate) fn spare(number: u64) -> String {
    format!("{JOURNAL}/{number:016x}.spare")
}

/// A file of the journal's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JournalFile {
    Log(u64),
    Spare(u64),
}

pub(crate) fn journal_file(name: &str) -> Option<JournalFile> {
    let (number, extension) = name.split_once('.')?;
    let number = u64::from_str_radix(number, 16).ok()?;
    match extension {
        "log" => Some(JournalFile::Log(number)),
        "spare" => Some(JournalFile::Spare(number)),
        _ => None,
    }
}
