//! Going from a file to what it comes from and to what was made of it.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use nexus_kernel::{Error, Freshness, KeyRange, Kind, Result, Revision, Scan, Timestamp};
use nexus_service_api::Action;

use super::cursor::StepName;
use super::{
    DerivedRecord, LineageDirection, LineageEntry, LineageFile, LineageSource, SourceRecord,
};
use crate::keys;
use crate::records::{self, unreadable};
use crate::session::Session;
use crate::types::{At, Ino};
use crate::view::next_key;

/// Rows read at a time.
const PAGE: usize = 100;
/// Most steps that are looked at for one answer.
const LOOK_MAX: usize = 100_000;

/// One derivation of an inode, from one of its sources.
struct Step {
    ino: u64,
    at: Revision,
    derived: DerivedRecord,
    /// Which of its sources.
    number: usize,
    source: SourceRecord,
}

impl Step {
    fn name(&self, direction: LineageDirection) -> StepName {
        StepName {
            direction,
            ino: self.ino,
            at: self.at,
            source: self.number,
        }
    }
}

/// An inode whose derivations are being read, one way.
struct Level {
    ino: u64,
    direction: LineageDirection,
    range: KeyRange,
    /// Up: only what was made until this revision.
    until: Revision,
    /// Down: only what was made at or after this revision.
    since: Revision,
    ready: VecDeque<Step>,
    more: bool,
}

/// A walk over a lineage.
pub(super) struct Trace<'a> {
    session: &'a Session,
    until: Revision,
    depth_max: usize,
    levels: Vec<Level>,
    /// Ways that are to be gone after the present one.
    then: Vec<Level>,
    /// Steps that were looked at on this way: one may be reached more than once.
    seen: HashSet<(u64, Revision, SourceId)>,
    paths_now: HashMap<u64, Option<String>>,
    pub hidden: u64,
}

/// What tells the sources of one derivation apart.
type SourceId = (u32, u64, u64, String);

impl<'a> Trace<'a> {
    pub(super) fn new(session: &'a Session, until: Revision, depth_max: usize) -> Self {
        Self {
            session,
            until,
            depth_max,
            levels: Vec::new(),
            then: Vec::new(),
            seen: HashSet::new(),
            paths_now: HashMap::new(),
            hidden: 0,
        }
    }

    pub(super) fn begin(&mut self, ino: u64, direction: LineageDirection) {
        if direction != LineageDirection::Ancestors {
            self.then.push(Level::down(ino, Revision::ZERO));
        }
        if direction != LineageDirection::Descendants {
            self.then.push(Level::up(ino, self.until));
        }
    }

    /// Goes on to where a page ended. What was hidden on the way was counted there.
    ///
    /// # Errors
    ///
    /// `Conflict` when it is told no more.
    pub(super) async fn pass(&mut self, last: &StepName) -> Result<()> {
        while let Some((name, _)) = self.next().await? {
            if name == *last {
                self.hidden = 0;
                return Ok(());
            }
        }
        Err(Error::conflict(
            "the step that this page goes on after is told no more: its history was collected, or \
             it is not of this lineage; begin with the first page",
        )
        .with("ino", last.ino)
        .with("revision", last.at))
    }

    /// The next step that the caller may see.
    pub(super) async fn next(&mut self) -> Result<Option<(StepName, LineageEntry)>> {
        loop {
            let Some(level) = self.levels.last_mut() else {
                let Some(level) = self.then.pop() else {
                    return Ok(None);
                };
                self.levels.push(level);
                self.seen.clear();
                continue;
            };
            let Some(step) = level.ready.pop_front() else {
                if level.more {
                    self.load().await?;
                } else {
                    self.levels.pop();
                }
                continue;
            };
            let direction = level.direction;
            if !self.is_new(&step)? {
                continue;
            }
            let depth = self.levels.len();
            match self.entry(&step, direction, depth).await? {
                Some(entry) => {
                    self.go_on(&step, direction);
                    return Ok(Some((step.name(direction), entry)));
                }
                None => self.hidden += 1,
            }
        }
    }

    /// Whether a step was not looked at yet.
    fn is_new(&mut self, step: &Step) -> Result<bool> {
        if self.seen.len() >= LOOK_MAX {
            return Err(Error::limit(
                "this lineage is too large to go through; ask for fewer steps away from the file, or for one direction",
            )
            .with("steps_max", LOOK_MAX));
        }
        let source = &step.source;
        let id = (source.kind, source.ino, source.version, source.path.clone());
        Ok(self.seen.insert((step.ino, step.at, id)))
    }

    /// Goes on from a step, if it leads to another file and not too far.
    fn go_on(&mut self, step: &Step, direction: LineageDirection) {
        if self.levels.len() >= self.depth_max || step.source.ino == step.ino {
            return;
        }
        match direction {
            LineageDirection::Descendants => self.levels.push(Level::down(step.ino, step.at)),
            _ if step.source.ino == 0 => {}
            _ => {
                let since = match step.source.since {
                    0 => step.at,
                    since => Revision(since),
                };
                self.levels.push(Level::up(step.source.ino, since));
            }
        }
    }

    async fn load(&mut self) -> Result<()> {
        self.session.check_goes_on()?;
        let level = self.levels.last_mut().expect("there is a level to load");
        let steps = match level.direction {
            LineageDirection::Descendants => level.load_down(self.session, self.until).await,
            _ => level.load_up(self.session).await,
        };
        level.ready.extend(steps?);
        Ok(())
    }

    /// A step as the caller may see it; none if it may not.
    async fn entry(
        &mut self,
        step: &Step,
        direction: LineageDirection,
        depth: usize,
    ) -> Result<Option<LineageEntry>> {
        let derived = &step.derived;
        let file = self.file(step.ino, derived.version, &derived.path).await?;
        let source = match step.source.ino {
            0 => LineageSource::External(step.source.path.clone()),
            ino => {
                let source = &step.source;
                let from = self.file(ino, source.version, &source.path).await?;
                // The near end is in sight, or it would not have been reached.
                if !from.is_seen() {
                    return Ok(None);
                }
                LineageSource::File(from)
            }
        };
        if !file.is_seen() {
            return Ok(None);
        }
        Ok(Some(LineageEntry {
            direction,
            depth,
            kind: step.source.source_kind()?,
            source,
            file,
            revision: step.at,
            time: Timestamp(derived.time),
            actor: derived.actor.clone(),
        }))
    }

    async fn file(&mut self, ino: u64, version: u64, then: &str) -> Result<LineageFile> {
        Ok(LineageFile {
            ino: Ino(ino),
            version,
            path: self
                .sees(then, &[Ino::ROOT.0, ino])
                .await?
                .then(|| then.to_owned()),
            path_now: self.path_now(ino).await?,
        })
    }

    /// A path that an inode has now, if the caller may see that.
    pub(super) async fn path_now(&mut self, ino: u64) -> Result<Option<String>> {
        if let Some(known) = self.paths_now.get(&ino) {
            return Ok(known.clone());
        }
        let view = self.session.zone.view(At::Latest).await?;
        let found = match view.path_of(ino).await? {
            Some((path, chain)) if self.sees(&path, &chain).await? => Some(path),
            _ => None,
        };
        self.paths_now.insert(ino, found.clone());
        Ok(found)
    }

    async fn sees(&self, path: &str, inodes: &[u64]) -> Result<bool> {
        match self.session.permit(Action::Read, path, inodes).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl LineageFile {
    fn is_seen(&self) -> bool {
        self.path.is_some() || self.path_now.is_some()
    }
}

impl Level {
    fn up(ino: u64, until: Revision) -> Self {
        let range = keys::derivations_until(ino, until);
        Self {
            until,
            ..Self::new(ino, LineageDirection::Ancestors, range)
        }
    }

    fn down(ino: u64, since: Revision) -> Self {
        let range = keys::descendants(ino);
        Self {
            since,
            ..Self::new(ino, LineageDirection::Descendants, range)
        }
    }

    fn new(ino: u64, direction: LineageDirection, range: KeyRange) -> Self {
        Self {
            ino,
            direction,
            range,
            until: Revision::MAX,
            since: Revision::ZERO,
            ready: VecDeque::new(),
            more: true,
        }
    }

    /// What the inode was derived from, newest first; where it was forked from comes last.
    async fn load_up(&mut self, session: &Session) -> Result<Vec<Step>> {
        let store = &session.zone.metastore;
        let scan = Scan::backward(self.range.clone(), PAGE);
        let page = store.scan(scan, Freshness::Linearizable).await?;
        self.more = page.more;
        let mut steps = Vec::new();
        for entry in page.entries {
            let at = Revision(keys::last_number(&entry.key));
            steps.extend(self::steps(self.ino, at, entry.value.bytes)?);
            self.range.end = entry.key;
        }
        if !self.more {
            let forked = session.forked(self.ino, self.until).await?;
            steps.extend(forked.map(|forked| Step {
                ino: self.ino,
                at: forked.at,
                derived: forked.derived,
                number: 0,
                source: forked.source,
            }));
        }
        Ok(steps)
    }

    /// What was derived from the inode.
    async fn load_down(&mut self, session: &Session, until: Revision) -> Result<Vec<Step>> {
        let store = &session.zone.metastore;
        let scan = Scan::forward(self.range.clone(), PAGE);
        let page = store.scan(scan, Freshness::Linearizable).await?;
        self.more = page.more;
        if let Some(last) = page.entries.last() {
            self.range.start = next_key(&last.key);
        }
        let mut found = Vec::new();
        for entry in &page.entries {
            let descendant = keys::parse_descendant(&entry.key);
            let (ino, at) = descendant.ok_or_else(|| unreadable("descendant"))?;
            if (self.since..=until).contains(&at) {
                found.push((ino, at));
            }
        }
        let keys: Vec<Bytes> = found
            .iter()
            .map(|(ino, at)| keys::derivation_at(*ino, *at))
            .collect();
        let rows = store.get_many(&keys, Freshness::Linearizable).await?;
        let mut steps = Vec::new();
        for ((ino, at), row) in found.into_iter().zip(rows) {
            // A row that was collected with the history of its file leaves nothing to tell.
            let Some(row) = row else { continue };
            let all = self::steps(ino, at, row.bytes)?.into_iter();
            steps.extend(all.filter(|step| step.source.ino == self.ino));
        }
        Ok(steps)
    }
}

/// What one commit derived an inode from.
fn steps(ino: u64, at: Revision, row: Bytes) -> Result<Vec<Step>> {
    let mut derived: DerivedRecord = records::decode(row)?;
    let sources = std::mem::take(&mut derived.sources).into_iter();
    let steps = sources.enumerate().map(|(number, source)| Step {
        ino,
        at,
        derived: derived.clone(),
        number,
        source,
    });
    Ok(steps.collect())
}
