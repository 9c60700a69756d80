//! Undo and restore.

use nexus_fs::{RestoreOptions, UndoOptions, UndoWhat};
use nexus_kernel::{Error, Result, Revision};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Files, Json};
use super::model::{Durability, at};
use super::problem::{Answer, Body};

/// Exactly one of `operation`, `from` with `to`, `session` and `actor` says what to undo.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Undo {
    /// One operation, by its revision.
    operation: Option<u64>,
    /// All from this revision up to and with `to`.
    from: Option<u64>,
    to: Option<u64>,
    /// All of one run of an agent.
    session: Option<String>,
    /// All of an actor, as `kind:id`.
    actor: Option<String>,
    /// Of an actor: only after this point, as `at` of a read.
    since: Option<String>,
    /// Of an actor: only up to this point.
    until: Option<String>,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
    /// What becomes of files that others have changed since: `abort` (default) undoes nothing at
    /// all, `skip` leaves them as they are, `force` undoes them too.
    on_conflict: Option<String>,
    /// Only what was done at this path or below it.
    path_prefix: Option<String>,
    #[serde(default)]
    durability: Durability,
}

impl Undo {
    fn what(&self) -> Result<UndoWhat> {
        let bounds = self.since.is_some() || self.until.is_some();
        let range = (self.from, self.to);
        match (self.operation, range, &self.session, &self.actor) {
            (Some(revision), (None, None), None, None) if !bounds => {
                Ok(UndoWhat::Operation(Revision(revision)))
            }
            (None, (Some(from), Some(to)), None, None) if !bounds => Ok(UndoWhat::Range {
                from: Revision(from),
                to: Revision(to),
            }),
            (None, (None, None), Some(session), None) if !bounds => {
                Ok(UndoWhat::OfSession(session.clone()))
            }
            (None, (None, None), None, Some(actor)) => Ok(UndoWhat::OfActor {
                actor: actor.clone(),
                since: self
                    .since
                    .as_deref()
                    .map(|text| at(Some(text)))
                    .transpose()?,
                until: self
                    .until
                    .as_deref()
                    .map(|text| at(Some(text)))
                    .transpose()?,
            }),
            _ => Err(Error::invalid(
                "say what to undo by one of operation, from with to, session, and actor, which may \
                 come with since and until",
            )),
        }
    }
}

/// What was done, or would be.
#[derive(Serialize, ToSchema)]
pub(super) struct UndoReport {
    /// The commits that did it, oldest first; none of a dry run, or if there was nothing to do.
    revisions: Vec<u64>,
    /// The operations that were undone, oldest first; none of a restore.
    operations: Vec<u64>,
    /// What became of each file, by path.
    effects: Vec<UndoEffect>,
    /// The files that stay as they are, or were overruled.
    conflicts: Vec<UndoConflict>,
}

#[derive(Serialize, ToSchema)]
struct UndoEffect {
    /// Where it is afterwards; of what is removed, where it was.
    path: String,
    /// `remove`, `bring_back`, `rename_back`, `restore_content`, `attributes` or `metadata`.
    kind: &'static str,
    /// Of what is renamed back, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct UndoConflict {
    path: String,
    /// What stands on it; absent if it is not the caller's to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// Whether `force` would overrule it.
    can_force: bool,
    /// Nothing stands on it: what the file was has been collected from history by retention.
    collected: bool,
}

impl From<nexus_fs::UndoReport> for UndoReport {
    fn from(report: nexus_fs::UndoReport) -> Self {
        let numbers = |revisions: Vec<Revision>| revisions.into_iter().map(|r| r.0).collect();
        let effects = report.effects.into_iter().map(|effect| UndoEffect {
            path: effect.path,
            kind: effect.kind.as_str(),
            from: effect.from,
        });
        let conflicts = report.conflicts.into_iter().map(|conflict| UndoConflict {
            path: conflict.path,
            revision: conflict.revision.map(|revision| revision.0),
            actor: conflict.actor,
            can_force: conflict.can_force,
            collected: conflict.collected,
        });
        Self {
            revisions: numbers(report.revisions),
            operations: numbers(report.operations),
            effects: effects.collect(),
            conflicts: conflicts.collect(),
        }
    }
}

/// Undo operations.
///
/// They are taken back by a new one, which can be undone itself. Refused with `already_exists`
/// when the operation is undone already, with `not_found` when there is nothing to undo, and with
/// `conflict` when later work of others stands on it and `on_conflict` says nothing else.
#[utoipa::path(
    post, path = "/api/v2/undo", tag = "history", request_body = Undo,
    responses((status = 200, body = UndoReport), (status = "default", body = Body)),
)]
pub(super) async fn undo(Files(files): Files, Json(body): Json<Undo>) -> Answer<Json<UndoReport>> {
    let options = UndoOptions {
        what: body.what()?,
        dry_run: body.dry_run,
        on_conflict: body.on_conflict.as_deref().unwrap_or("abort").parse()?,
        path_prefix: body.path_prefix,
        durability: body.durability.into(),
    };
    Ok(Json(files.undo(options).await?.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    /// A directory or a file.
    path: String,
    /// The point it is to be as of; what `at` of a read takes.
    at: String,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
    /// Only these, at or below the path, which need not be repeated; all if empty.
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    durability: Durability,
}

/// Make a directory, some paths of it or a file what it was at a point.
///
/// What was added since goes, what was deleted comes back, what was moved gets its old name back.
/// It is one operation, which can be undone.
#[utoipa::path(
    post, path = "/api/v2/restore", tag = "history", request_body = Restore,
    responses((status = 200, body = UndoReport), (status = "default", body = Body)),
)]
pub(super) async fn restore(
    Files(files): Files,
    Json(body): Json<Restore>,
) -> Answer<Json<UndoReport>> {
    let options = RestoreOptions {
        dry_run: body.dry_run,
        paths: body.paths,
        durability: body.durability.into(),
    };
    let restored = files.restore(&body.path, at(Some(&body.at))?, options);
    Ok(Json(restored.await?.into()))
}
