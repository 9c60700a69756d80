//! How two contents differ: line by line, word by word, or in short.

use bytes::Bytes;
use nexus_kernel::{Error, Kind, Result};

use crate::compute::compute;
use crate::edit::LineDiff;
use crate::history::VersionAt;
use crate::path;
use crate::records::InodeRecord;
use crate::session::Session;
use crate::types::{At, Stat};

/// The largest content that is compared.
pub const DIFF_BYTES_MAX: u64 = 16 << 20;
/// What stands for a side that is not there.
const NOTHING: &str = "/dev/null";

/// How a difference is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiffMode {
    /// As `diff -u` prints it.
    #[default]
    Unified,
    /// By words, as `git diff --word-diff=porcelain` prints it.
    Words,
    /// Sizes and counts only.
    Summary,
}

impl DiffMode {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unified => "unified",
            Self::Words => "words",
            Self::Summary => "summary",
        }
    }
}

impl std::str::FromStr for DiffMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Unified, Self::Words, Self::Summary];
        let found = all.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| {
            Error::invalid("a difference is told as unified, words or summary")
                .with("mode", path::shown(text))
        })
    }
}

/// How two contents differ.
#[derive(Clone, Debug, PartialEq)]
pub struct FileDiff {
    /// The old file; none if there was none.
    pub old: Option<Stat>,
    /// The new one; none if there is none.
    pub new: Option<Stat>,
    /// Whether they differ.
    pub differs: bool,
    /// The difference as asked for; empty if there is none, or if only a summary was. Of what is
    /// not text, one line that says that it differs.
    pub text: String,
    /// Lines that only the new text has.
    pub added: u64,
    /// Lines that only the old text has.
    pub removed: u64,
    /// Of contents that are not UTF-8 text, or too large to be compared as such, where they
    /// differ.
    pub binary: Option<BinaryDiff>,
}

/// Where two contents differ that are not compared as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinaryDiff {
    /// How many bytes at the beginning are the same, which is where the first that differs is;
    /// unknown of contents above [`DIFF_BYTES_MAX`].
    pub common_prefix: Option<u64>,
    /// How many bytes after that are the same at the end.
    pub common_suffix: Option<u64>,
}

impl Session {
    /// The unified diff between two states of a file; of what is not text, a line that says so.
    ///
    /// # Errors
    ///
    /// As [`diff_files`](Self::diff_files).
    pub async fn diff(&self, path: &str, from: VersionAt, to: VersionAt) -> Result<String> {
        let diff = self.diff_files((path, from), (path, to), DiffMode::Unified);
        Ok(diff.await?.text)
    }

    /// How two files differ, or two states of one. A path that names nothing at its point counts
    /// as an empty file, unless neither names anything.
    ///
    /// # Errors
    ///
    /// `NotFound` for a version that is not there, `WrongType` for a directory,
    /// `LimitExceeded` for contents above [`DIFF_BYTES_MAX`], but not for a summary of them; as
    /// [`read`](Self::read).
    pub async fn diff_files(
        &self,
        old: (&str, VersionAt),
        new: (&str, VersionAt),
        mode: DiffMode,
    ) -> Result<FileDiff> {
        let sides = (self.side(&old).await, self.side(&new).await);
        let (old_side, new_side) = match sides {
            (Ok(None), Err(error)) | (Err(error), _) | (_, Err(error)) => return Err(error),
            (Ok(None), Ok(None)) => return Err(nothing_to_compare(new.0)),
            (Ok(old), Ok(new)) => (old, new),
        };
        let etag = |side: &Option<Side>| side.as_ref().map(|side| side.stat.etag);
        let mut diff = FileDiff {
            differs: etag(&old_side) != etag(&new_side),
            old: old_side.as_ref().map(|side| side.stat.clone()),
            new: new_side.as_ref().map(|side| side.stat.clone()),
            text: String::new(),
            added: 0,
            removed: 0,
            binary: None,
        };
        if !diff.differs {
            return Ok(diff);
        }
        if let Some(size) = diff.too_large() {
            if mode != DiffMode::Summary {
                return Err(Error::limit(
                    "a content to compare has at most 16 MiB; ask for a summary",
                )
                .with("size", size));
            }
            diff.binary = Some(BinaryDiff::default());
            return Ok(diff);
        }
        let contents = [
            self.content_of(old_side).await?,
            self.content_of(new_side).await?,
        ];
        let names = [label(&old, &diff.old), label(&new, &diff.new)];
        compute(move || {
            diff.tell(&contents, &names, mode);
            diff
        })
        .await
    }

    /// A side; none if nothing was there then.
    async fn side(&self, (path, at): &(&str, VersionAt)) -> Result<Option<Side>> {
        match at {
            VersionAt::Version(version) => {
                let (ino, state) = self.version_state(path, *version).await?;
                let stat = state.record.stat(ino, state.since)?;
                let record = state.record;
                Ok(Some(Side { stat, record }))
            }
            VersionAt::At(at) => match self.file(path, at.clone()).await {
                Ok((stat, inode)) => Ok(Some(Side {
                    stat,
                    record: inode.record.clone(),
                })),
                Err(error) if error.kind() == Kind::NotFound && error.fact("path").is_some() => {
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn content_of(&self, side: Option<Side>) -> Result<Bytes> {
        match side {
            Some(Side { stat, record }) => self.zone.content_bytes(&record, 0..stat.size).await,
            None => Ok(Bytes::new()),
        }
    }
}

/// One of the two contents.
struct Side {
    stat: Stat,
    record: InodeRecord,
}

impl FileDiff {
    fn too_large(&self) -> Option<u64> {
        let sizes = [&self.old, &self.new].map(|stat| stat.as_ref().map_or(0, |stat| stat.size));
        sizes.into_iter().find(|size| *size > DIFF_BYTES_MAX)
    }

    fn tell(&mut self, [old, new]: &[Bytes; 2], names: &[String; 2], mode: DiffMode) {
        let names = [&*names[0], &*names[1]];
        let (Ok(old_text), Ok(new_text)) = (std::str::from_utf8(old), std::str::from_utf8(new))
        else {
            self.binary = Some(BinaryDiff::of(old, new));
            if mode != DiffMode::Summary {
                let [old, new] = names.map(|name| name.escape_debug().to_string());
                self.text = format!("Binary files {old} and {new} differ\n");
            }
            return;
        };
        let lines = LineDiff::new(old_text, new_text);
        (self.added, self.removed) = lines.counts();
        self.text = match mode {
            DiffMode::Unified => lines.unified(names),
            DiffMode::Words => lines.by_words(names),
            DiffMode::Summary => String::new(),
        };
    }
}

impl BinaryDiff {
    fn of(old: &[u8], new: &[u8]) -> Self {
        let same = |(a, b): &(&u8, &u8)| a == b;
        let prefix = old.iter().zip(new).take_while(same).count();
        let (old, new) = (old[prefix..].iter().rev(), new[prefix..].iter().rev());
        let suffix = old.zip(new).take_while(same).count();
        Self {
            common_prefix: Some(prefix as u64),
            common_suffix: Some(suffix as u64),
        }
    }
}

fn label((path, at): &(&str, VersionAt), stat: &Option<Stat>) -> String {
    match at {
        _ if stat.is_none() => NOTHING.to_owned(),
        VersionAt::Version(version) => format!("{path}@v{version}"),
        VersionAt::At(At::Latest | At::AtLeast(_)) => (*path).to_owned(),
        VersionAt::At(at) => format!("{path}@{at}"),
    }
}

fn nothing_to_compare(path: &str) -> Error {
    Error::not_found("there is no such file at either of the two points")
        .with("path", path::shown(path))
}

#[cfg(test)]
mod tests;
