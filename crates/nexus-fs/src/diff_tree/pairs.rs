//! Bringing together what went and what came: the same in another place, or another in the
//! same place.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_kernel::Result;
use nexus_service_api::Target;

use super::gather::Found;
use super::side::{Located, NEW, Name, OLD, Side};
use crate::records::DentryRecord;
use crate::session::Session;

/// A name in one of the trees, and where it is.
#[derive(Clone)]
pub(super) struct Leaf {
    pub path: String,
    pub dentry: DentryRecord,
    /// The directory that holds it; none of the top.
    pub directory: Option<Arc<Located>>,
}

/// What is compared with what.
pub(super) struct Pair {
    pub sides: [Option<Leaf>; 2],
    /// Whether it is one thing in two places.
    pub moved: bool,
}

impl Pair {
    fn of(old: Leaf, new: Leaf, moved: bool) -> Self {
        Self {
            sides: [Some(old), Some(new)],
            moved,
        }
    }
}

/// Pairs what was found.
pub(super) async fn pairs(sides: &mut [Side<'_>; 2], found: Found) -> Result<Vec<Pair>> {
    let [old, new] = found.differ;
    let mut pairing = Pairing {
        tops: [OLD, NEW].map(|side| sides[side].place().path.clone()),
        pairs: Vec::with_capacity(found.kept.len()),
    };
    for (new_name, (old_name, dentries)) in found.kept {
        let old = leaf(&mut sides[OLD], &old_name, dentries[OLD]).await?;
        let new = leaf(&mut sides[NEW], &new_name, dentries[NEW]).await?;
        pairing.pairs.push(Pair::of(old, new, false));
    }
    let old = leaves(&mut sides[OLD], old).await?;
    let new = leaves(&mut sides[NEW], new).await?;
    let rest = pairing.by_inode([old, new]);
    let rest = pairing.by_path(rest);
    for (side, leaves) in rest.into_iter().enumerate() {
        let alone = leaves.into_iter().map(|leaf| {
            let mut sides = [None, None];
            sides[side] = Some(leaf);
            Pair {
                sides,
                moved: false,
            }
        });
        pairing.pairs.extend(alone);
    }
    Ok(pairing.pairs)
}

async fn leaves(side: &mut Side<'_>, names: HashMap<Name, DentryRecord>) -> Result<Vec<Leaf>> {
    let mut leaves = Vec::with_capacity(names.len());
    for (name, dentry) in names {
        leaves.push(leaf(side, &name, dentry).await?);
    }
    leaves.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(leaves)
}

async fn leaf(side: &mut Side<'_>, name: &Name, dentry: DentryRecord) -> Result<Leaf> {
    let (path, directory) = side.locate(name).await?;
    Ok(Leaf {
        path,
        dentry,
        directory,
    })
}

struct Pairing {
    /// The paths of the tops, below which paths are compared.
    tops: [String; 2],
    pairs: Vec<Pair>,
}

impl Pairing {
    /// Pairs names of the same inode: those in the same place, then the rest in order. Answers
    /// the names that are left.
    fn by_inode(&mut self, [old, new]: [Vec<Leaf>; 2]) -> [Vec<Leaf>; 2] {
        let mut came: HashMap<u64, Vec<Leaf>> = HashMap::new();
        for leaf in new {
            came.entry(leaf.dentry.ino).or_default().push(leaf);
        }
        let mut moved = Vec::new();
        for leaf in old {
            let there = came.get(&leaf.dentry.ino).into_iter().flatten();
            let same = { there }.position(|other| self.same_place(&leaf, other));
            match same {
                Some(at) => {
                    let other = came
                        .get_mut(&leaf.dentry.ino)
                        .expect("just found")
                        .remove(at);
                    self.pairs.push(Pair::of(leaf, other, false));
                }
                None => moved.push(leaf),
            }
        }
        let mut gone = Vec::new();
        for leaf in moved {
            match came
                .get_mut(&leaf.dentry.ino)
                .filter(|there| !there.is_empty())
            {
                Some(there) => {
                    let other = there.remove(0);
                    self.pairs.push(Pair::of(leaf, other, true));
                }
                None => gone.push(leaf),
            }
        }
        [gone, came.into_values().flatten().collect()]
    }

    /// Pairs names that are left in the same place, if both are of one kind.
    fn by_path(&mut self, [old, new]: [Vec<Leaf>; 2]) -> [Vec<Leaf>; 2] {
        let mut came: HashMap<String, Leaf> = HashMap::with_capacity(new.len());
        for leaf in new {
            came.insert(self.below(NEW, &leaf).to_owned(), leaf);
        }
        let mut gone = Vec::new();
        for leaf in old {
            let below = self.below(OLD, &leaf);
            let there = came.get(below);
            if there.is_some_and(|other| other.dentry.kind == leaf.dentry.kind) {
                let other = came.remove(below).expect("just found");
                self.pairs.push(Pair::of(leaf, other, false));
            } else {
                gone.push(leaf);
            }
        }
        [gone, came.into_values().collect()]
    }

    fn same_place(&self, old: &Leaf, new: &Leaf) -> bool {
        self.below(OLD, old) == self.below(NEW, new)
    }

    /// The path below the top, which for the whole zone is the path.
    fn below<'l>(&self, side: usize, leaf: &'l Leaf) -> &'l str {
        let top = self.tops[side].trim_end_matches('/');
        leaf.path.strip_prefix(top).unwrap_or(&leaf.path)
    }
}

/// Takes out of pairs what the caller may not see.
pub(super) async fn hide(
    session: &Session,
    sides: &[Side<'_>; 2],
    pairs: &mut Vec<Pair>,
) -> Result<()> {
    for side in [OLD, NEW] {
        let top = Target {
            path: &sides[side].place().path,
            inodes: &sides[side].place().chain,
        };
        let authorizer = &session.zone.authorizer;
        if authorizer.sees_all_below(&session.context, top).await {
            continue;
        }
        let seen = seen(
            session,
            &sides[side],
            pairs.iter().map(|pair| &pair.sides[side]),
        )
        .await?;
        for (pair, seen) in pairs.iter_mut().zip(seen) {
            if !seen {
                pair.sides[side] = None;
                pair.moved = false;
            }
        }
    }
    pairs.retain(|pair| pair.sides.iter().any(Option::is_some));
    Ok(())
}

async fn seen<'l>(
    session: &Session,
    side: &Side<'_>,
    leaves: impl Iterator<Item = &'l Option<Leaf>>,
) -> Result<Vec<bool>> {
    let leaves: Vec<Option<&Leaf>> = leaves.map(Option::as_ref).collect();
    let there: Vec<&Leaf> = leaves.iter().copied().flatten().collect();
    let chains: Vec<Vec<u64>> = there.iter().map(|leaf| chain(side, leaf)).collect();
    let targets: Vec<Target<'_>> = there
        .iter()
        .zip(&chains)
        .map(|(leaf, inodes)| Target {
            path: &leaf.path,
            inodes,
        })
        .collect();
    let authorizer = &session.zone.authorizer;
    let seen = authorizer.visible(&session.context, &targets).await?;
    let mut seen = seen.into_iter();
    let all = leaves
        .iter()
        .map(|leaf| leaf.is_none() || seen.next().unwrap_or(false));
    Ok(all.collect())
}

fn chain(side: &Side<'_>, leaf: &Leaf) -> Vec<u64> {
    match &leaf.directory {
        Some(directory) => [&directory.chain[..], &[leaf.dentry.ino]].concat(),
        None => side.place().chain.clone(),
    }
}
