//! Making a fork: one commit of a few rows, whatever is below the directory.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use nexus_kernel::{Error, Guard, Op, Result, Revision};
use nexus_service_api::Action;

use super::parts::{PARTS_END, PartPair, PartRecord, in_part, part_of};
use crate::keys;
use crate::lineage::{Origin, Source, SourceKind};
use crate::log::ChangeKind;
use crate::path;
use crate::records::{self, DentryRecord, Pin, kind_code, unreadable};
use crate::resolve::End;
use crate::session::Session;
use crate::steps::{Slot, exists, not_a_directory};
use crate::tx::Tx;
use crate::types::{Changed, FileKind, ForkOptions, Ino};
use crate::view::{View, next_key};
use crate::zone::newest_format;

/// Most parts of one fork: it has one for itself, and one for each fork, and each fork of a fork,
/// within what is forked.
const PARTS_MAX: usize = 1_000;
/// How many forks can lie on each other. What nobody has changed is looked for in all of them.
const DEPTH_MAX: u32 = 64;
/// Names read at a time.
const PAGE: usize = 250;
/// Directories kept in mind of which it is known where they are.
const KNOWN_MAX: usize = 100_000;

impl Session {
    /// Makes `to` a fork of the directory `from`: all that is below it now, to be changed without
    /// the other hearing of it. What is in it is copied when it first changes, and content never:
    /// making one takes one commit of a few rows, and as long for a million files as for ten.
    ///
    /// All attributes, links and metadata are as in `from`, and files keep their versions. What
    /// open handles have not flushed is not in it. A file with names outside of `from` has only
    /// those below it.
    ///
    /// # Errors
    ///
    /// As [`copy`](Self::copy); `WrongType` for a file, `LimitExceeded` where more than 1000 forks
    /// are below `from`.
    pub async fn fork(&self, from: &str, to: &str, options: ForkOptions) -> Result<Changed> {
        let durability = options.durability;
        let step = crate::steps::Step::Fork {
            from: from.to_owned(),
            to: to.to_owned(),
            options,
        };
        let mut changed = self.run(step, durability).await?;
        let at = crate::At::Revision(changed.revision);
        // The fork is there, whether or not it can be looked at now.
        changed.stat = self.lstat(path::normalize(to)?, at).await.ok();
        Ok(changed)
    }
}

pub(crate) async fn fork(
    tx: &mut Tx<'_>,
    from: &str,
    to: &str,
    options: &ForkOptions,
) -> Result<()> {
    let source = tx.resolve(from, true).await?;
    tx.permit(Action::Read, &source).await?;
    let target = tx.resolve(to, false).await?;
    tx.permit(Action::Create, &target).await?;
    let origin = source.found()?.ino;
    if source.kind() != Some(FileKind::Directory) {
        return Err(not_a_directory(&source.path));
    }
    let Slot { parent, name } = match target.end {
        End::Blocked | End::Circle => return Err(target.obstacle()),
        End::Found(_) => return Err(exists(&target.path)),
        End::Missing(_) => tx.slot(&target, options.parents).await?,
    };
    // No directory moves between this and the commit, and nothing comes from one part to another.
    tx.moves_directory();
    insist_on_files(tx).await?;
    // Nor does the origin go.
    tx.inode(origin).await?;
    let base = tx.zone().revision().await?;
    let sources = parts_below(tx, origin).await?;
    let depth = depth_over(tx, &sources).await?;
    let pairs = take_parts(tx, sources).await?;
    let number = pairs[0].part;
    let record = PartRecord {
        base: base.0,
        origin,
        pairs,
        parent,
        name: name.clone(),
        time: tx.now.0,
        owner: tx.session.actor(),
        depth,
        of: 0,
    };
    let root = in_part(number, origin);
    let dentry = DentryRecord {
        ino: root,
        kind: kind_code(FileKind::Directory),
    };
    tx.set_name(parent, &name, Some(dentry)).await?;
    pin_bases(tx, &record).await?;
    tx.also(Op::Put(keys::part(number), records::encode(&record)));
    for pair in &record.pairs[1..] {
        let further = PartRecord::further(number);
        tx.also(Op::Put(keys::part(pair.part), records::encode(&further)));
    }
    // As it is made, merges go by it.
    tx.also(Op::PutStamped(
        keys::own_pin(),
        records::encode(&Pin::default()),
    ));
    tx.also(newest_format(tx.zone().config.hash));
    let path = source.path.into_owned();
    let derived = Source {
        kind: SourceKind::Fork,
        origin: Origin::Inode {
            ino: origin,
            version: 0,
            since: Some(base),
            path: path.clone(),
        },
    };
    tx.derived(root, &target.path, derived);
    tx.note(ChangeKind::DirCopy, &target.path, root, parent)
        .old_path = Some(path);
    tx.as_operation("fork", vec![base.0]);
    Ok(())
}

/// Insists that no file comes from one part to another before the commit.
async fn insist_on_files(tx: &mut Tx<'_>) -> Result<()> {
    let key = Bytes::from_static(keys::FILES_CROSSED);
    let crossed = tx.view().get(&key).await?;
    tx.insist(match crossed {
        Some(row) => Guard::RevisionIs(key, row.revision),
        None => Guard::Absent(key),
    });
    Ok(())
}

/// What the fork shows stays readable.
async fn pin_bases(tx: &mut Tx<'_>, record: &PartRecord) -> Result<()> {
    let mut bases = BTreeSet::from([record.base]);
    for pair in &record.pairs {
        if let Some(part) = tx.zone().part(pair.source).await? {
            bases.extend(tx.zone().bases_of(&part).await?);
        }
    }
    for base in bases {
        let key = keys::fork_pin(Revision(base), record.pairs[0].part);
        tx.hold_revision(Revision(base), key).await?;
    }
    Ok(())
}

/// The parts that inodes at and below a directory can have, its own first: those that names lead
/// into from directories below it, and with any part of a fork all of that fork.
async fn parts_below(tx: &Tx<'_>, dir: u64) -> Result<Vec<u64>> {
    let view = tx.view();
    let mut parts = vec![part_of(dir)];
    add_fork_of(tx, part_of(dir), &mut parts).await?;
    let mut below = Below::of(view, dir);
    let mut range = keys::all_borders();
    loop {
        let page = view.scan(range.clone(), PAGE).await?;
        for row in page.entries.iter() {
            if row.key < range.start {
                continue;
            }
            let (part, parent) =
                keys::parse_border(&row.key).ok_or_else(|| unreadable("name in another part"))?;
            range.start = next_key(&row.key);
            if !parts.contains(&part) {
                if !below.has(parent).await? {
                    continue;
                }
                parts.push(part);
                add_fork_of(tx, part, &mut parts).await?;
            }
            // One name that leads into it is enough.
            range.start = keys::borders_into(part).end;
        }
        tx.session.check_goes_on()?;
        if !page.more {
            return Ok(parts);
        }
    }
}

/// What is known of which directories are below another.
struct Below<'v> {
    view: View<'v>,
    known: HashMap<u64, bool>,
}

impl<'v> Below<'v> {
    fn of(view: View<'v>, top: u64) -> Self {
        let known = HashMap::from([(top, true), (Ino::ROOT.0, top == Ino::ROOT.0)]);
        Self { view, known }
    }

    async fn has(&mut self, dir: u64) -> Result<bool> {
        let mut passed = Vec::new();
        let mut here = dir;
        let is_below = loop {
            if let Some(known) = self.known.get(&here) {
                break *known;
            }
            passed.push(here);
            match self.view.directory_above(here).await? {
                Some(above) if passed.len() <= path::DEPTH_MAX => here = above,
                _ => break false,
            }
        };
        let room = KNOWN_MAX.saturating_sub(self.known.len());
        let told = passed.into_iter().take(room).map(|dir| (dir, is_below));
        self.known.extend(told);
        Ok(is_below)
    }
}

async fn add_fork_of(tx: &Tx<'_>, part: u64, parts: &mut Vec<u64>) -> Result<()> {
    if let Some(part) = tx.zone().part(part).await? {
        for pair in &part.record.pairs {
            if !parts.contains(&pair.part) {
                parts.push(pair.part);
            }
        }
    }
    if parts.len() <= PARTS_MAX {
        return Ok(());
    }
    Err(Error::limit(
        "there are too many forks below this directory; fork a part of it, or move forks out of it",
    )
    .with("forks_max", PARTS_MAX))
}

/// The depth of a fork of these parts.
async fn depth_over(tx: &Tx<'_>, sources: &[u64]) -> Result<u32> {
    let mut deepest = 0;
    for source in sources {
        let part = tx.zone().part(*source).await?;
        deepest = deepest.max(part.map_or(0, |part| part.record.depth));
    }
    if deepest < DEPTH_MAX {
        return Ok(deepest + 1);
    }
    Err(Error::limit(
        "too many forks lie on each other; merge this one back and fork from there, or copy it",
    )
    .with("depth_max", DEPTH_MAX))
}

/// Gives each part of the origin one of the fork.
async fn take_parts(tx: &mut Tx<'_>, sources: Vec<u64>) -> Result<Vec<PartPair>> {
    let counter = tx.view().get(keys::NEXT_PART).await?;
    let key = Bytes::from_static(keys::NEXT_PART);
    let first = counter
        .as_ref()
        .map_or(1, |row| keys::last_number(&row.bytes));
    let end = first + sources.len() as u64;
    if end > PARTS_END {
        return Err(Error::limit(
            "all numbers for forks of this zone are used up; export it and import it into a new one",
        ));
    }
    tx.insist(match counter {
        Some(row) => Guard::RevisionIs(key.clone(), row.revision),
        None => Guard::Absent(key.clone()),
    });
    tx.also(Op::Put(key, Bytes::copy_from_slice(&end.to_be_bytes())));
    let pairs = sources.into_iter().zip(first..);
    Ok(pairs
        .map(|(source, part)| PartPair { source, part })
        .collect())
}
