//! The service `Undo`.

use nexus_fs::{RestoreOptions, Session, UndoOptions, UndoReport, UndoWhat};
use nexus_kernel::{Error, Result, Revision};
use nexus_proto::v1 as proto;
use nexus_proto::v1::undo_request::What;
use nexus_proto::v1::undo_server::Undo;
use nexus_proto::v1::{RestoreRequest, UndoRequest, UndoResponse};
use tonic::Request;

use super::convert::{at, durability, unknown};
use super::{Reply, answer};
use crate::app::Shared;

pub(super) struct UndoDoor(pub(super) Shared);

#[tonic::async_trait]
impl Undo for UndoDoor {
    async fn undo(&self, request: Request<UndoRequest>) -> Reply<UndoResponse> {
        let undo = |files: Session, ask: UndoRequest| async move {
            let options = UndoOptions {
                what: what(ask.what)?,
                dry_run: ask.dry_run,
                on_conflict: on_conflict(ask.on_conflict)?,
                path_prefix: ask.path_prefix,
                durability: durability(ask.durability)?,
            };
            files.undo(options).await.map(report)
        };
        answer(&self.0, request, undo).await
    }

    async fn restore(&self, request: Request<RestoreRequest>) -> Reply<UndoResponse> {
        let restore = |files: Session, ask: RestoreRequest| async move {
            let options = RestoreOptions {
                dry_run: ask.dry_run,
                paths: ask.paths,
                durability: durability(ask.durability)?,
            };
            let restored = files.restore(&ask.path, at(&ask.at)?, options);
            restored.await.map(report)
        };
        answer(&self.0, request, restore).await
    }
}

fn what(what: Option<What>) -> Result<UndoWhat> {
    let point = |text: String| Some(text).filter(|text| !text.is_empty());
    let what = what.ok_or_else(|| {
        Error::invalid("say what to undo: an operation, a range, a session or an actor")
    })?;
    Ok(match what {
        What::Operation(revision) => UndoWhat::Operation(Revision(revision)),
        What::Range(range) => UndoWhat::Range {
            from: Revision(range.from),
            to: Revision(range.to),
        },
        What::Session(session) => UndoWhat::OfSession(session),
        What::Actor(range) => UndoWhat::OfActor {
            actor: range.actor,
            since: point(range.since).map(|text| at(&text)).transpose()?,
            until: point(range.until).map(|text| at(&text)).transpose()?,
        },
    })
}

fn on_conflict(value: i32) -> Result<nexus_fs::OnConflict> {
    use nexus_fs::OnConflict as Choice;
    match proto::OnConflict::try_from(value) {
        Ok(proto::OnConflict::Unspecified | proto::OnConflict::Abort) => Ok(Choice::Abort),
        Ok(proto::OnConflict::Skip) => Ok(Choice::Skip),
        Ok(proto::OnConflict::Force) => Ok(Choice::Force),
        Err(_) => Err(unknown("on_conflict", value)),
    }
}

fn report(report: UndoReport) -> UndoResponse {
    let numbers = |revisions: Vec<Revision>| revisions.into_iter().map(|r| r.0).collect();
    let effects = report.effects.into_iter().map(|effect| proto::UndoEffect {
        path: effect.path,
        kind: kind(effect.kind).into(),
        from: effect.from,
    });
    let conflicts = report.conflicts.into_iter();
    let conflicts = conflicts.map(|conflict| proto::UndoConflict {
        path: conflict.path,
        revision: conflict.revision.map(|revision| revision.0),
        actor: conflict.actor,
        can_force: conflict.can_force,
        collected: conflict.collected,
    });
    UndoResponse {
        revisions: numbers(report.revisions),
        operations: numbers(report.operations),
        effects: effects.collect(),
        conflicts: conflicts.collect(),
    }
}

fn kind(kind: nexus_fs::UndoKind) -> proto::UndoKind {
    use nexus_fs::UndoKind as Kind;
    match kind {
        Kind::Remove => proto::UndoKind::Remove,
        Kind::BringBack => proto::UndoKind::BringBack,
        Kind::RenameBack => proto::UndoKind::RenameBack,
        Kind::RestoreContent => proto::UndoKind::RestoreContent,
        Kind::Attributes => proto::UndoKind::Attributes,
        Kind::Metadata => proto::UndoKind::Metadata,
    }
}
