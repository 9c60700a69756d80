//! Moving trees between the node, the local disk and archives.
//!
//! [`TreeWriter`] writes a tree onto the node from whatever walks one in order: the disk
//! ([`upload`]) or an archive ([`import`]). [`download`] and [`export`] go the other way.
//! Whatever is there already with the same content is not sent again, so that a transfer that
//! was interrupted goes on when it is run again.

use nexus_client::{At, Client, Result};
use serde_json::{Value, json};

mod disk;
mod download;
mod export;
mod import;
mod origin;
mod prepare;
mod progress;
mod tasks;
mod tree_writer;
mod upload;

pub(crate) use download::{Download, download};
pub(crate) use export::{Export, export};
pub(crate) use import::import;
pub(crate) use progress::Progress;
pub(crate) use tree_writer::TreeWriter;
pub(crate) use upload::upload;

use crate::format;

/// A file of at most this size travels whole; a larger one as a stream.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// What a transfer did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Files sent.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Files that were there already.
    pub(crate) unchanged: u64,
    pub(crate) directories: u64,
    /// Symbolic and hard links.
    pub(crate) links: u64,
    /// What the other side has no place for.
    pub(crate) left_out: u64,
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.unchanged += other.unchanged;
        self.directories += other.directories;
        self.links += other.links;
        self.left_out += other.left_out;
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "files": self.files,
            "bytes": self.bytes,
            "unchanged": self.unchanged,
            "directories": self.directories,
            "links": self.links,
            "left_out": self.left_out,
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut parts = vec![format!(
            "copied {}, {}",
            format::count(self.files, "file"),
            format::size(self.bytes)
        )];
        for (number, what) in [
            (self.directories, "in %"),
            (self.links, "with %"),
            (self.unchanged, "% unchanged"),
            (self.left_out, "% left out"),
        ] {
            let noun = match what {
                "in %" => format::count(number, "directory"),
                "with %" => format::count(number, "link"),
                _ => number.to_string(),
            };
            if number > 0 {
                parts.push(what.replace('%', &noun));
            }
        }
        parts.join(", ")
    }
}

/// The state that all of a transfer reads: the newest, unless another is asked for.
async fn pin(client: &Client, at: At) -> Result<At> {
    if at == At::latest() {
        client.revision().await.map(At::revision)
    } else {
        Ok(at)
    }
}

/// Whether `directory` is what holds `path`, both relative to the same top.
fn holds(directory: &str, path: &str) -> bool {
    match path.rsplit_once('/') {
        Some((parent, _)) => parent == directory,
        None => directory.is_empty() && !path.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_holds_its_own_entries_only() {
        assert!(holds("", "a"));
        assert!(holds("a", "a/b"));
        assert!(!holds("", "a/b"));
        assert!(!holds("a", "ab/c"));
        assert!(!holds("", ""));
    }

    #[test]
    fn a_summary_tells_what_there_is_to_tell() {
        let summary = Summary {
            files: 1,
            bytes: 5,
            directories: 2,
            left_out: 1,
            ..Summary::default()
        };
        assert_eq!(
            summary.text(),
            "copied 1 file, 5 B, in 2 directories, 1 left out"
        );
        assert_eq!(Summary::default().text(), "copied 0 files, 0 B");
    }
}
