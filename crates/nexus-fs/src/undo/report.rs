//! What an undo tells, and whether the caller may do it.

use std::collections::BTreeMap;

use nexus_kernel::{Kind, Result, Revision};
use nexus_service_api::Action;

use super::collect::{Name, RECORDS};
use super::engine::{Settled, Work};
use super::places::{Found, Places};
use super::plan::{Moves, Plan};
use super::rows::Rows;
use super::{UndoConflict, UndoEffect, UndoKind};
use crate::session::{Asked, Session};
use crate::tx::Tx;
use crate::types::Ino;

/// What becomes of one name or inode, and where.
pub(super) struct Step {
    pub ino: u64,
    pub kind: UndoKind,
    pub at: Found,
    /// Of what is renamed back, where it is.
    pub from: Option<(Name, Found)>,
}

impl Step {
    /// The directory of the name.
    pub(super) fn parent(&self) -> u64 {
        let (_, chain) = &self.at;
        let above = chain.len().checked_sub(2);
        above.map_or(Ino::ROOT.0, |above| chain[above])
    }
}

/// The steps of a plan, as far as they are in the tree before or after it.
pub(super) async fn steps(tx: &Tx<'_>, plan: &Plan) -> Result<Vec<Step>> {
    let mut paths = Paths {
        now: Places::now(tx.view()),
        after: Places::after(tx.view(), plan),
    };
    let mut steps = Vec::new();
    for (ino, moves) in &plan.moves {
        paths.of_moves(*ino, moves, &mut steps).await?;
    }
    for (ino, changed) in &plan.inodes {
        let moves = plan.moves.get(ino);
        let links = tx
            .stored_inode(*ino)
            .map_or(0, |(record, _)| record.links as usize);
        let goes = |moves: &Moves| moves.is_removal() && moves.lost.len() >= links;
        let comes = links == 0 && moves.is_some();
        if comes || moves.is_some_and(goes) {
            continue;
        }
        let Some(at) = paths.after.file(*ino).await? else {
            continue;
        };
        let kinds = [
            (UndoKind::RestoreContent, changed.contents.is_some()),
            (UndoKind::Attributes, changed.attributes.is_some()),
            (UndoKind::Metadata, !changed.metadata.is_empty()),
        ];
        for (kind, _) in kinds.into_iter().filter(|(_, changes)| *changes) {
            steps.push(step(*ino, kind, at.clone()));
        }
    }
    Ok(steps)
}

struct Paths<'p> {
    now: Places<'p>,
    after: Places<'p>,
}

impl Paths<'_> {
    async fn of_moves(&mut self, ino: u64, moves: &Moves, steps: &mut Vec<Step>) -> Result<()> {
        let renamed = moves.lost.len().min(moves.gained.len());
        let (from, lost) = moves.lost.split_at(renamed);
        let (to, gained) = moves.gained.split_at(renamed);
        for (from, to) in from.iter().zip(to) {
            let was = self.now.name(from, ino).await?;
            let Some(at) = self.after.name(to, ino).await? else {
                continue;
            };
            let kind = match was {
                Some(_) => UndoKind::RenameBack,
                None => UndoKind::BringBack,
            };
            steps.push(Step {
                ino,
                kind,
                at,
                from: was.map(|was| (from.clone(), was)),
            });
        }
        for name in lost {
            if let Some(at) = self.now.name(name, ino).await? {
                steps.push(step(ino, UndoKind::Remove, at));
            }
        }
        for name in gained {
            if let Some(at) = self.after.name(name, ino).await? {
                steps.push(step(ino, UndoKind::BringBack, at));
            }
        }
        Ok(())
    }
}

fn step(ino: u64, kind: UndoKind, at: Found) -> Step {
    Step {
        ino,
        kind,
        at,
        from: None,
    }
}

pub(super) fn effects(steps: &[Step]) -> Vec<UndoEffect> {
    let effects = steps.iter().map(|step| UndoEffect {
        path: step.at.0.clone(),
        kind: step.kind,
        from: step.from.as_ref().map(|(_, (path, _))| path.clone()),
    });
    let mut effects: Vec<UndoEffect> = effects.collect();
    effects.sort_unstable();
    effects
}

/// Asks for each step what it would take to make the change by hand.
pub(super) async fn permit(session: &Session, steps: &[Step]) -> Result<()> {
    for step in steps {
        let (path, chain) = &step.at;
        let above = &chain[..chain.len() - 1];
        let inodes = match step.kind {
            UndoKind::BringBack | UndoKind::RenameBack => above,
            _ => chain,
        };
        let action = match step.kind {
            UndoKind::Remove => Action::Delete,
            UndoKind::BringBack | UndoKind::RenameBack => Action::Create,
            _ => Action::Write,
        };
        permit_one(session, action, step.ino, (path, inodes)).await?;
        if let Some((_, (path, chain))) = &step.from {
            permit_one(session, Action::Delete, step.ino, (path, chain)).await?;
        }
    }
    Ok(())
}

/// A refusal names the path only if the caller may see it.
pub(super) async fn permit_one(
    session: &Session,
    action: Action,
    ino: u64,
    (path, inodes): (&str, &[u64]),
) -> Result<()> {
    let Err(error) = session.permit(action, path, inodes).await else {
        return Ok(());
    };
    let denied = error.kind() == Kind::PermissionDenied;
    if denied && session.permit(Action::Stat, path, inodes).await.is_err() {
        return Err(Asked::inode(ino).without_path(&error));
    }
    Err(error)
}

/// Who did these operations, if the caller may see something of them.
async fn visible_actors(
    session: &Session,
    revisions: &[Revision],
) -> Result<BTreeMap<Revision, Option<String>>> {
    let mut actors = BTreeMap::new();
    for revisions in revisions.chunks(RECORDS) {
        for whole in session.some_records(revisions).await? {
            let revision = whole.record.revision;
            let seen = session.visible_part(whole.record).await?;
            actors.insert(revision, seen.map(|record| record.actor));
        }
    }
    Ok(actors)
}

impl Work<'_> {
    /// The conflicts as this caller may know them.
    pub(super) async fn conflicts(
        &self,
        tx: &Tx<'_>,
        rows: &Rows,
        settled: &Settled,
    ) -> Result<Vec<UndoConflict>> {
        let conflicts = &settled.conflicts;
        let session = tx.session;
        let revisions = conflicts.values().flatten();
        let mut revisions: Vec<Revision> = revisions.filter_map(|cause| cause.by).collect();
        revisions.sort_unstable();
        revisions.dedup();
        let actors = visible_actors(session, &revisions).await?;
        let mut now = Places::now(tx.view());
        let mut told = Vec::new();
        for (ino, by) in conflicts {
            let Some(path) = self.path_of_conflict(session, *ino, rows, &mut now).await? else {
                continue;
            };
            for cause in by {
                let revision = match &cause.by {
                    Some(by) if !actors.contains_key(by) => tx.view().removal_of(*ino).await?,
                    by => *by,
                };
                let actor = revision.and_then(|by| actors.get(&by).cloned()).flatten();
                told.push(UndoConflict {
                    path: path.clone(),
                    revision: revision.filter(|_| actor.is_some()),
                    actor,
                    can_force: cause.can_force,
                    collected: cause.collected,
                });
            }
        }
        told.extend(self.lost(session, &settled.plan).await?);
        told.sort_unstable();
        told.dedup();
        Ok(told)
    }

    /// What does not come back with the trees that do.
    async fn lost(&self, session: &Session, plan: &Plan) -> Result<Vec<UndoConflict>> {
        let mut told = Vec::new();
        for (top, path) in &self.lost {
            let comes_back = plan.moves.get(top).filter(|moves| !moves.is_removal());
            if comes_back.is_none() {
                continue;
            }
            let chain = [Ino::ROOT.0, *top];
            let is_seen = session.permit(Action::Stat, path, &chain).await.is_ok();
            let top = self.touched.paths.get(top).filter(|_| !is_seen);
            told.push(UndoConflict {
                path: top.unwrap_or(path).clone(),
                revision: None,
                actor: None,
                can_force: false,
                collected: true,
            });
        }
        Ok(told)
    }

    /// Where a file is, if the caller may see it there; else where the operations knew it.
    async fn path_of_conflict(
        &self,
        session: &Session,
        ino: u64,
        rows: &Rows,
        now: &mut Places<'_>,
    ) -> Result<Option<String>> {
        if let Some((path, chain)) = now.file(ino).await? {
            match session.permit(Action::Read, &path, &chain).await {
                Ok(()) => return Ok(Some(path)),
                Err(error) if error.kind() == Kind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        let touched = self.touched;
        if let Some(path) = touched.paths.get(&ino) {
            return Ok(Some(path.clone()));
        }
        let mut names = rows.names.iter();
        let name = names.find(|(_, timeline)| timeline.inos().contains(&ino));
        Ok(name.and_then(|(name, _)| touched.name_paths.get(name).cloned()))
    }
}
