//! Doing what was planned.

use std::collections::{HashMap, HashSet};

use nexus_kernel::{Error, Result};

use super::made::Made;
use super::names::Going;
use super::places::{Directory, Is, Spot};
use super::plan::Plan;
use crate::path;
use crate::steps::{Step, is_empty};
use crate::tx::Tx;
use crate::types::{MoveOptions, RemoveOptions, Replace};

/// What takes a name in the target.
pub(super) enum Placement {
    /// A new directory, for this one of the fork.
    Make { ino: u64, made: Made, at: Spot },
    /// Something that is at a path before the merge moves.
    Move { from: String, to: Spot },
}

/// A new file or link, or what the target has no directory for; it is made when all directories
/// are where they belong.
pub(super) struct Addition {
    pub at: Where,
    pub made: Made,
}

pub(super) enum Where {
    Spot(Spot),
    /// With the directories that it is in.
    Path(String),
}

/// Where directories have come to be since the merge began.
#[derive(Default)]
struct Moves {
    made: HashMap<u64, String>,
    moved: Vec<(String, String)>,
    /// What was put aside, by its path before the merge.
    aside: HashSet<String>,
}

impl Plan {
    /// Does all of it; says whether there was anything to do. What stays in its place changes
    /// first; directories are removed when nothing is left in them.
    pub(super) async fn apply(mut self, tx: &mut Tx<'_>, top: &str) -> Result<bool> {
        let mut any =
            !(self.deeds.is_empty() && self.placements.is_empty() && self.additions.is_empty());
        for deed in self.deeds {
            deed.apply(tx).await?;
        }
        let mut moves = Moves::default();
        // The names of these are waited for.
        let (wanted, rest): (Vec<Going>, Vec<Going>) = { self.emptied.drain(..) }
            .partition(|going| above(&going.path).any(|path| self.taken.contains(path)));
        any |= !wanted.is_empty();
        let left = moves.place_all(tx, self.placements, wanted, top).await?;
        for Addition { at, made } in self.additions {
            match at {
                Where::Path(path) => made.make_with_parents(tx, path).await?,
                Where::Spot(spot) => {
                    let path = moves.path_of(&spot).expect("its directory is made");
                    made.make(tx, path).await?;
                }
            }
        }
        for directory in left.iter().chain(&rest) {
            any |= remove_if_empty(tx, directory.ino, moves.now(&directory.path)).await?;
        }
        Ok(any)
    }
}

/// A path, and those of the directories that it is in.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path::split(path).map(|(directory, _)| directory)
    })
}

impl Moves {
    /// Gives everything its name, each as soon as that is free and its directory is there, and
    /// removes directories, the inner ones first, as soon as they are empty. Answers those that
    /// are not.
    async fn place_all(
        &mut self,
        tx: &mut Tx<'_>,
        mut rest: Vec<Placement>,
        mut going: Vec<Going>,
        top: &str,
    ) -> Result<Vec<Going>> {
        loop {
            tx.session.check_goes_on()?;
            let before = rest.len() + going.len();
            let mut full = Vec::new();
            for directory in going {
                if !remove_if_empty(tx, directory.ino, self.now(&directory.path)).await? {
                    full.push(directory);
                }
            }
            going = full;
            let mut waiting = Vec::new();
            for placement in rest {
                waiting.extend(self.place(tx, placement).await?);
            }
            rest = waiting;
            if rest.len() + going.len() < before {
                continue;
            }
            if rest.is_empty() {
                return Ok(going);
            }
            self.put_aside(tx, &rest, top).await?;
        }
    }

    /// Gives something its name, and answers it if it has to wait for that.
    async fn place(&mut self, tx: &mut Tx<'_>, placement: Placement) -> Result<Option<Placement>> {
        let (Placement::Make { at, .. } | Placement::Move { to: at, .. }) = &placement;
        let Some(to) = self.path_of(at) else {
            return Ok(Some(placement));
        };
        if tx.resolve(&to, false).await?.found().is_ok() {
            return Ok(Some(placement));
        }
        match placement {
            Placement::Make { ino, made, .. } => {
                made.make(tx, to.clone()).await?;
                self.made.insert(ino, to);
            }
            Placement::Move { ref from, .. } => {
                let from = self.now(from);
                if is_within(&to, &from) {
                    // The directory that it goes into is still in it.
                    return Ok(Some(placement));
                }
                self.rename(tx, from, to).await?;
            }
        }
        Ok(None)
    }

    /// Breaks a circle: what waits goes from where it is, one at a time, so that others can have
    /// its name.
    async fn put_aside(&mut self, tx: &mut Tx<'_>, waiting: &[Placement], top: &str) -> Result<()> {
        let from = waiting.iter().find_map(|placement| match placement {
            Placement::Move { from, .. } if !self.aside.contains(from) => Some(from.clone()),
            _ => None,
        });
        let from = from.ok_or_else(|| {
            Error::conflict(
                "the names of these files depend on each other; rename one of them in the target first",
            )
        })?;
        let mut number = 0;
        let aside = loop {
            let aside = path::join(top, &format!(".merging-{number}"));
            if tx.resolve(&aside, false).await?.found().is_err() {
                break aside;
            }
            number += 1;
        };
        let now = self.now(&from);
        self.aside.insert(from);
        self.rename(tx, now, aside).await
    }

    async fn rename(&mut self, tx: &mut Tx<'_>, from: String, to: String) -> Result<()> {
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
        Ok(())
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

/// The path of something after a move.
fn moved(path: &str, from: &str, to: &str) -> String {
    match is_within(path, from) {
        true => format!("{to}{}", &path[from.len()..]),
        false => path.to_owned(),
    }
}

fn is_within(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes a directory that is at a path by now.
async fn remove_if_empty(tx: &mut Tx<'_>, ino: u64, path: String) -> Result<bool> {
    let place = tx.resolve(&path, false).await?;
    if !place.found().is_ok_and(|dentry| dentry.ino == ino) || !is_empty(tx, ino).await? {
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
