//! Files with the same content.

use std::cmp::Reverse;
use std::collections::HashMap;

use nexus_kernel::{Error, Result};

use crate::etag::Etag;
use crate::session::Session;
use crate::types::{FileKind, ListOptions};

/// Most memory that a search for duplicates takes for what it has seen.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// What a file takes of it besides its path.
const FILE_BYTES: usize = 200;

/// Files with the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicates {
    /// The content.
    pub etag: Etag,
    /// Its bytes, once.
    pub size: u64,
    /// Where it is.
    pub paths: Vec<String>,
}

impl Session {
    /// Sets of files below `path` that have the same content, at least `min_bytes` of it;
    /// the sets that waste most come first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list); `LimitExceeded` when the files, about a million, take more than
    /// 256 MiB to compare.
    pub async fn duplicates(
        &self,
        path: &str,
        min_bytes: u64,
        limit: usize,
    ) -> Result<Vec<Duplicates>> {
        let mut options = ListOptions {
            recursive: true,
            details: true,
            ..ListOptions::default()
        };
        let mut seen = Seen::new(KEPT_BYTES_MAX);
        loop {
            let page = self.list(path, options.clone()).await?;
            for entry in page.entries {
                let Some(stat) = entry.stat.filter(|stat| stat.kind == FileKind::File) else {
                    continue;
                };
                let Some(etag) = stat.etag.filter(|_| stat.size >= min_bytes.max(1)) else {
                    continue;
                };
                seen.add(etag, stat.size, entry.path)?;
            }
            match page.next {
                Some(next) => options.cursor = Some(next),
                None => return Ok(seen.costliest(limit)),
            }
        }
    }
}

/// The files seen so far, by content, in bounded memory.
struct Seen {
    sets: HashMap<Etag, Duplicates>,
    bytes: usize,
    bytes_max: usize,
}

impl Seen {
    fn new(bytes_max: usize) -> Self {
        Self {
            sets: HashMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    fn add(&mut self, etag: Etag, size: u64, path: String) -> Result<()> {
        self.bytes += FILE_BYTES + path.len();
        if self.bytes > self.bytes_max {
            return Err(Error::limit(
                "too many files to compare at once; do it by directory, or leave small files out",
            )
            .with("bytes_max", self.bytes_max));
        }
        let set = self.sets.entry(etag).or_insert_with(|| Duplicates {
            etag,
            size,
            paths: Vec::with_capacity(1),
        });
        set.paths.push(path);
        Ok(())
    }

    fn costliest(self, limit: usize) -> Vec<Duplicates> {
        let sets = self.sets.into_values();
        let mut sets: Vec<_> = sets.filter(|set| set.paths.len() > 1).collect();
        sets.sort_unstable_by(|a, b| {
            let (a, b) = (
                (Reverse(a.wasted()), &a.paths),
                (Reverse(b.wasted()), &b.paths),
            );
            a.cmp(&b)
        });
        sets.truncate(limit);
        sets
    }
}

impl Duplicates {
    /// The bytes that one file would save.
    fn wasted(&self) -> u64 {
        self.size * (self.paths.len() as u64 - 1)
    }
}

#[cfg(test)]
mod tests;
