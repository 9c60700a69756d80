//! Undo and restore.

use nexus_kernel::{Result, Revision};
use nexus_proto::v1;
use nexus_proto::v1::undo_request::What;

use crate::connection::Client;
use crate::convert;
use crate::error::from_status_of_change;
use crate::types::files::At;
use crate::types::undo::{
    OnConflict, RestoreOptions, UndoConflict, UndoEffect, UndoKind, UndoOptions, UndoReport,
    UndoWhat,
};

impl Client {
    /// Takes operations back by a new one, which can be undone itself.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` with `undone_by` for an operation that is undone already; `NotFound` if
    /// there is nothing to undo or history does not reach back to it; `Conflict` when others have
    /// worked on since and that is to abort it: a dry run lists what; `PermissionDenied`.
    pub async fn undo(&self, options: UndoOptions) -> Result<UndoReport> {
        let on_conflict = match options.on_conflict {
            OnConflict::Abort => v1::OnConflict::Abort,
            OnConflict::Skip => v1::OnConflict::Skip,
            OnConflict::Force => v1::OnConflict::Force,
        };
        let request = v1::UndoRequest {
            what: Some(what(options.what)),
            dry_run: options.dry_run,
            on_conflict: on_conflict.into(),
            path_prefix: options.path_prefix,
            durability: convert::durability(options.durability),
        };
        let answer = self.undos().undo(request).await;
        Ok(report(answer.map_err(from_status_of_change)?.into_inner()))
    }

    /// Makes a directory with all below it, or a file, what it was at a point; one operation,
    /// which can be undone.
    ///
    /// # Errors
    ///
    /// `NotFound` if there was nothing then, or history does not reach back to the point;
    /// `InvalidArgument`, `Conflict`, `PermissionDenied`, `LimitExceeded`.
    pub async fn restore(&self, path: &str, at: At, options: RestoreOptions) -> Result<UndoReport> {
        let request = v1::RestoreRequest {
            path: path.to_owned(),
            at: at.into_wire(),
            dry_run: options.dry_run,
            paths: options.paths,
            durability: convert::durability(options.durability),
        };
        let answer = self.undos().restore(request).await;
        Ok(report(answer.map_err(from_status_of_change)?.into_inner()))
    }
}

fn what(what: UndoWhat) -> What {
    let point = |at: Option<At>| at.map(At::into_wire).unwrap_or_default();
    match what {
        UndoWhat::Operation(revision) => What::Operation(revision.0),
        UndoWhat::Range { from, to } => What::Range(v1::RevisionRange {
            from: from.0,
            to: to.0,
        }),
        UndoWhat::OfSession(session) => What::Session(session),
        UndoWhat::OfActor {
            actor,
            since,
            until,
        } => What::Actor(v1::ActorRange {
            actor,
            since: point(since),
            until: point(until),
        }),
    }
}

fn report(answer: v1::UndoResponse) -> UndoReport {
    let revisions = |numbers: Vec<u64>| numbers.into_iter().map(Revision).collect();
    let effects = answer.effects.into_iter().map(|effect| UndoEffect {
        kind: kind(effect.kind()),
        path: effect.path,
        from: effect.from,
    });
    let conflicts = answer.conflicts.into_iter().map(|conflict| UndoConflict {
        path: conflict.path,
        revision: conflict.revision.map(Revision),
        actor: conflict.actor,
        can_force: conflict.can_force,
        collected: conflict.collected,
    });
    UndoReport {
        revisions: revisions(answer.revisions),
        operations: revisions(answer.operations),
        effects: effects.collect(),
        conflicts: conflicts.collect(),
    }
}

fn kind(kind: v1::UndoKind) -> UndoKind {
    match kind {
        v1::UndoKind::Remove => UndoKind::Remove,
        v1::UndoKind::BringBack => UndoKind::BringBack,
        v1::UndoKind::RenameBack => UndoKind::RenameBack,
        v1::UndoKind::RestoreContent => UndoKind::RestoreContent,
        v1::UndoKind::Attributes => UndoKind::Attributes,
        v1::UndoKind::Metadata => UndoKind::Metadata,
        v1::UndoKind::Unspecified => UndoKind::Unknown,
    }
}
