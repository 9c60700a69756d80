//! Options of changes, as JSON bodies give them.

use std::collections::BTreeMap;

use nexus_fs::{BatchStep, MkdirOptions, MoveOptions, Precondition, Replace, WriteOptions};
use nexus_kernel::{Durability, Error, Result};
use serde::Deserialize;
use utoipa::ToSchema;

use super::conditions::if_match;
use super::model::{Blob, Mode};
use crate::door::expected_etag;

/// What to do when the destination exists.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Existing {
    /// As POSIX: a file replaces a file, a directory an empty directory.
    #[default]
    Allow,
    /// It is an error.
    Refuse,
    /// The two change places; for rename only.
    Exchange,
}

impl From<Existing> for Replace {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Allow => Self::Allow,
            Existing::Refuse => Self::Refuse,
            Existing::Exchange => Self::Exchange,
        }
    }
}

/// One change of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Create or replace a file.
    Write {
        path: String,
        content: Blob,
        /// The etag of the content to replace, or `*` for any.
        if_match: Option<String>,
        /// `*`: replace nothing.
        if_none_match: Option<String>,
        /// Make missing parent directories.
        #[serde(default)]
        parents: bool,
        mode: Option<Mode>,
        /// Custom metadata to set with it.
        #[serde(default)]
        metadata: BTreeMap<String, Blob>,
        /// Where outside of the zone the content comes from, for its lineage.
        source: Option<String>,
    },
    /// Remove a file, a link, an empty directory, or a tree.
    Remove {
        path: String,
        #[serde(default)]
        recursive: bool,
        /// The etag that the file must have.
        if_match: Option<String>,
    },
    /// Rename a file or a tree.
    Rename {
        from: String,
        to: String,
        #[serde(default)]
        replace: Existing,
        #[serde(default)]
        parents: bool,
    },
    /// Make a directory.
    Mkdir {
        path: String,
        #[serde(default)]
        parents: bool,
        #[serde(default)]
        exist_ok: bool,
        mode: Option<Mode>,
    },
    /// Copy a file or a tree.
    Copy {
        from: String,
        to: String,
        #[serde(default)]
        replace: Existing,
        #[serde(default)]
        parents: bool,
    },
}

impl Step {
    /// The step as the filesystem takes it.
    pub(super) fn into_step(self, durability: Durability) -> Result<BatchStep> {
        Ok(match self {
            Self::Write {
                path,
                content,
                if_match,
                if_none_match,
                parents,
                mode,
                metadata,
                source,
            } => {
                let metadata = metadata.into_iter().map(|(key, value)| (key, value.0));
                let options = WriteOptions {
                    precondition: precondition(if_match.as_deref(), if_none_match.as_deref())?,
                    durability,
                    parents,
                    mode: mode.map(|mode| mode.0),
                    metadata: metadata.collect(),
                    source,
                };
                BatchStep::Write {
                    path,
                    content: content.0,
                    options,
                }
            }
            Self::Remove {
                path,
                recursive,
                if_match,
            } => BatchStep::Remove {
                path,
                recursive,
                if_match: if_match.as_deref().map(expected_etag).transpose()?,
            },
            Self::Rename {
                from,
                to,
                replace,
                parents,
            } => BatchStep::Rename {
                from,
                to,
                options: moving(replace, parents, durability),
            },
            Self::Mkdir {
                path,
                parents,
                exist_ok,
                mode,
            } => BatchStep::Mkdir {
                path,
                options: MkdirOptions {
                    parents,
                    exist_ok,
                    mode: mode.map(|mode| mode.0),
                    durability,
                },
            },
            Self::Copy {
                from,
                to,
                replace,
                parents,
            } => BatchStep::Copy {
                from,
                to,
                options: moving(replace, parents, durability),
            },
        })
    }
}

fn moving(replace: Existing, parents: bool, durability: Durability) -> MoveOptions {
    MoveOptions {
        replace: replace.into(),
        parents,
        durability,
    }
}

fn precondition(match_: Option<&str>, none_match: Option<&str>) -> Result<Precondition> {
    match (match_, none_match) {
        (None, None) => Ok(Precondition::None),
        (Some(etag), None) => if_match(etag),
        (None, Some("*")) => Ok(Precondition::Absent),
        _ => Err(Error::invalid(
            "give if_match as an etag or *, or if_none_match as *, not both",
        )),
    }
}
