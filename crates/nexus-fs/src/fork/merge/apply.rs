//! Doing what was planned.

use std::collections::HashMap;

use nexus_kernel::{Error, Result};

use super::places::{Directory, Is, Spot};
use super::plan::Plan;
use crate::lineage::SourceKind;
use crate::path;
use crate::steps::{Step, is_empty};
use crate::tx::Tx;
use crate::types::{MkdirOptions, MoveOptions, RemoveOptions, Replace};

/// A step, and the file of the fork that the content it brings is of.
pub(super) struct Deed {
    pub step: Step,
    pub source: Option<(u64, String)>,
}

/// What takes a name in the target.
pub(super) enum Placement {
    /// A new directory, for this one of the fork.
    Make { ino: u64, mode: u32, at: Spot },
    /// Something that is at a path before the merge moves.
    Move { from: String, to: Spot },
}

/// A new file or link, which is told its path when all directories are where they belong.
pub(super) struct Addition {
    pub at: Spot,
    pub deed: Box<dyn FnOnce(String) -> Deed + Send + Sync>,
}

/// Where directories have come to be since the merge began.
#[derive(Default)]
struct Moves {
    made: HashMap<u64, String>,
    moved: Vec<(String, String)>,
}

impl Plan {
    /// Does all of it; says whether there was anything to do. What stays in its place changes
    /// first; directories are removed last, if nothing is left in them.
    pub(super) async fn apply(self, tx: &mut Tx<'_>) -> Result<bool> {
        let mut any = false;
        for deed in self.deeds {
            any = true;
            deed.apply(tx).await?;
        }
        any |= !(self.placements.is_empty() && self.additions.is_empty());
        let mut moves = Moves::default();
        moves.place_all(tx, self.placements).await?;
        for Addition { at, deed } in self.additions {
            deed(moves.path_of(&at).expect("its directory is made"))
                .apply(tx)
                .await?;
        }
        for directory in self.removed_directories.iter().rev() {
            any |= remove_if_empty(tx, moves.now(directory)).await?;
        }
        Ok(any)
    }
}

impl Deed {
    pub(super) fn plain(step: Step) -> Self {
        Self { step, source: None }
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        if let Some((source, _)) = &self.source {
            // Insisted on, so that its content is not collected before the commit.
            tx.inode(*source).await?;
        }
        let ino = self.step.apply(tx).await?;
        if let (Some(ino), Some((source, path)), Some(target)) =
            (ino, &self.source, self.step.written())
        {
            let source = tx.as_source(SourceKind::Merge, *source, path);
            tx.derived(ino, target, source);
        }
        Ok(())
    }
}

impl Moves {
    /// Gives everything its name, each as soon as that is free and its directory is there.
    async fn place_all(&mut self, tx: &mut Tx<'_>, mut rest: Vec<Placement>) -> Result<()> {
        while !rest.is_empty() {
            let before = rest.len();
            let mut waiting = Vec::new();
            for placement in rest {
                if !self.place(tx, &placement).await? {
                    waiting.push(placement);
                }
            }
            if waiting.len() == before {
                return Err(Error::conflict(
                    "names were exchanged in a circle; rename one of them in the target first",
                ));
            }
            rest = waiting;
        }
        Ok(())
    }

    async fn place(&mut self, tx: &mut Tx<'_>, placement: &Placement) -> Result<bool> {
        let (Placement::Make { at, .. } | Placement::Move { to: at, .. }) = placement;
        let Some(to) = self.path_of(at) else {
            return Ok(false);
        };
        if tx.resolve(&to, false).await?.found().is_ok() {
            return Ok(false);
        }
        match placement {
            Placement::Make { ino, mode, .. } => {
                let step = Step::Mkdir {
                    path: to.clone(),
                    options: MkdirOptions {
                        mode: Some(*mode),
                        ..MkdirOptions::default()
                    },
                };
                step.apply(tx).await?;
                self.made.insert(*ino, to);
            }
            Placement::Move { from, .. } => {
                let from = self.now(from);
                let step = Step::Rename {
                    from: from.clone(),
                    to: to.clone(),
                    options: MoveOptions {
                        replace: Replace::Refuse,
                        ..MoveOptions::default()
                    },
                };
                step.apply(tx).await?;
                for path in self.made.values_mut() {
                    *path = moved(path, &from, &to);
                }
                self.moved.push((from, to));
            }
        }
        Ok(true)
    }

    /// The path that something in a directory has by now; none before the directory is made.
    fn path_of(&self, spot: &Spot) -> Option<String> {
        let Directory { path, is } = &spot.directory;
        let directory = match is {
            Is::There(_) => self.now(path),
            Is::New(ino) => self.made.get(ino)?.clone(),
        };
        Some(path::join(&directory, &spot.name))
    }

    /// The path of what had this one before the merge.
    fn now(&self, path: &str) -> String {
        let moves = self.moved.iter();
        moves.fold(path.to_owned(), |path, (from, to)| moved(&path, from, to))
    }
}

fn moved(path: &str, from: &str, to: &str) -> String {
    match path.strip_prefix(from) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
        _ => path.to_owned(),
    }
}

async fn remove_if_empty(tx: &mut Tx<'_>, path: String) -> Result<bool> {
    let place = tx.resolve(&path, false).await?;
    let Ok(dentry) = place.found() else {
        return Ok(false);
    };
    if !is_empty(tx, dentry.ino).await? {
        return Ok(false);
    }
    let step = Step::Remove {
        path: path.clone(),
        options: RemoveOptions::default(),
        only_directory: true,
    };
    step.apply(tx).await?;
    Ok(true)
}
