//! Editing text files in place.

use nexus_kernel::{Durability, Error, Kind, Result, Revision};

use crate::compute::compute;
use crate::edit::{self, Edit, EditMatch};
use crate::etag::Etag;
use crate::lineage::{Origin, Source, SourceKind};
use crate::session::Session;
use crate::types::{At, Precondition, Stat, WriteOptions};
use crate::writes::Extra;

/// How often an edit is tried when others write the same file.
const ATTEMPTS_MAX: usize = 64;

/// How an edit is done.
#[derive(Clone, Copy, Debug)]
pub struct EditOptions {
    /// The content the edit was made for; another one is a `Conflict`.
    pub if_match: Option<Etag>,
    /// How alike, 0 to 1, a passage must be to stand for the text that is sought.
    pub fuzzy_threshold: f64,
    /// Show what would happen and change nothing.
    pub preview: bool,
    /// When it is acknowledged.
    pub durability: Durability,
}

impl Default for EditOptions {
    fn default() -> Self {
        Self {
            if_match: None,
            fuzzy_threshold: 0.85,
            preview: false,
            durability: Durability::Sync,
        }
    }
}

/// What an edit did, or would do.
#[derive(Clone, Debug)]
pub struct Edited {
    /// Whether every edit has its place; if not, nothing changed, and not either in a preview.
    pub applied: bool,
    /// What each edit matched, up to the first that failed.
    pub matches: Vec<EditMatch>,
    /// Why not, and what to do about it.
    pub problem: Option<String>,
    /// The change as a unified diff; empty if there is none.
    pub diff: String,
    /// The file's attributes, after the change if there was one.
    pub stat: Stat,
    /// The commit, if there was one.
    pub revision: Option<Revision>,
}

impl Session {
    /// Searches and replaces in a text file: every edit in order, all or none. If others
    /// write the file meanwhile, the edits are applied again to what they wrote, unless
    /// `if_match` names a content.
    ///
    /// # Errors
    ///
    /// An edit without a place is no error but an answer that is not `applied`. `Conflict`
    /// for another content than `if_match`, `InvalidArgument` for a file that is not UTF-8
    /// text or a malformed edit, `LimitExceeded` for too many edits or too large a text; as
    /// [`write`](Self::write).
    pub async fn edit(&self, path: &str, edits: &[Edit], options: EditOptions) -> Result<Edited> {
        for _ in 0..ATTEMPTS_MAX {
            match self.try_edit(path, edits, &options).await {
                Err(error) if options.if_match.is_none() && error.kind() == Kind::Conflict => {
                    tokio::task::yield_now().await;
                }
                result => return result,
            }
        }
        Err(
            Error::conflict("others kept writing the same file first; try again")
                .with("path", path),
        )
    }

    async fn try_edit(&self, path: &str, edits: &[Edit], options: &EditOptions) -> Result<Edited> {
        let file = self.read(path, At::Latest).await?;
        if let (Some(expected), Some(current)) = (options.if_match, file.stat.etag)
            && expected != current
        {
            return Err(Error::conflict(
                "the file changed since it was read; read it again and redo the edit",
            )
            .with("path", path)
            .with("expected_etag", expected)
            .with("current_etag", current));
        }
        let old = String::from_utf8(file.bytes.into()).map_err(|_| {
            Error::invalid("this is not UTF-8 text; write the file instead").with("path", path)
        })?;
        let (named, edits, threshold) = (path.to_owned(), edits.to_vec(), options.fuzzy_threshold);
        let (attempt, diff) = compute(move || {
            let attempt = edit::apply(&old, &edits, threshold)?;
            let new = attempt.text.as_deref();
            let diff = new.map(|new| edit::unified_diff(&old, new, &named, &named));
            Ok((attempt, diff.unwrap_or_default()))
        })
        .await??;
        let problem = attempt.problem();
        let mut edited = Edited {
            applied: attempt.text.is_some(),
            matches: attempt.matches,
            problem,
            diff,
            stat: file.stat,
            revision: None,
        };
        let Some(new) = attempt.text else {
            return Ok(edited);
        };
        if options.preview || edited.diff.is_empty() {
            return Ok(edited);
        }
        let precondition = edited
            .stat
            .etag
            .map_or(Precondition::Exists, Precondition::Etag);
        let write = WriteOptions {
            precondition,
            durability: options.durability,
            ..WriteOptions::default()
        };
        let source = Source {
            kind: SourceKind::Edit,
            origin: Origin::Inode {
                ino: edited.stat.ino.0,
                version: edited.stat.version,
                since: Some(edited.stat.revision),
                path: path.to_owned(),
            },
        };
        let extra = Extra::derived_from(source);
        let changed = self.write_with(path, new.into(), write, extra).await?;
        edited.revision = Some(changed.revision);
        edited.stat = changed.into_stat();
        Ok(edited)
    }
}
