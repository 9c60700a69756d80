//! What an undo does, and what stands in its way, told by a model of what it means: what nobody
//! has changed after us becomes what it were if we had never been there.

use std::collections::{BTreeMap, BTreeSet};

use nexus_fs::{At, OnConflict, UndoOptions, UndoReport};
use nexus_kernel::{Kind, Result, Revision};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::common::{World, label, mode, of, operation, remove, undo};
use crate::support::put;

/// Each seed is another story.
const STORIES: u64 = 150;
const OPS: usize = 30;
const KEYS: [&str; 2] = ["color", "shape"];
const MODES: [u32; 3] = [0o600, 0o640, 0o644];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Ours,
    Others,
}

/// A side of a file; each is undone by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Content,
    Mode,
    Key(&'static str),
}

/// What a side was made; none for a file, or a value, that is not there.
type Value = Option<String>;

/// One change of a side.
#[derive(Clone, Debug)]
struct Write {
    who: Who,
    revision: Revision,
    value: Value,
}

#[derive(Clone, Debug, Default)]
struct File(BTreeMap<Side, Vec<Write>>);

impl File {
    fn now(&self, side: Side) -> Value {
        last(self.0.get(&side).map_or(&[], Vec::as_slice))
    }

    fn is_there(&self) -> bool {
        self.now(Side::Content).is_some()
    }

    fn write(&mut self, side: Side, who: Who, revision: Revision, value: Value) {
        // What changes nothing is no change.
        if self.now(side) != value {
            let write = Write {
                who,
                revision,
                value,
            };
            self.0.entry(side).or_default().push(write);
        }
    }

    fn remove(&mut self, who: Who, revision: Revision) {
        for side in self.0.keys().copied().collect::<Vec<_>>() {
            self.write(side, who, revision, None);
        }
    }

    /// What a side was before our first change of it, if it has to go back to that.
    fn before(&self, side: Side) -> Option<Value> {
        if side != Side::Content && self.was_only_ours() {
            return None;
        }
        let writes = self.0.get(&side)?;
        let first = writes.iter().position(|write| write.who == Who::Ours)?;
        let before = last(&writes[..first]);
        (before != last(writes)).then_some(before)
    }

    /// Made and deleted by us, whatever others did with it.
    fn was_only_ours(&self) -> bool {
        let writes = self.0.get(&Side::Content).into_iter().flatten();
        let is_ours = |write: Option<&Write>| write.is_some_and(|write| write.who == Who::Ours);
        !self.is_there() && is_ours(writes.clone().next()) && is_ours(writes.last())
    }

    fn goes(&self) -> bool {
        self.before(Side::Content) == Some(None)
    }

    /// The changes of others that stand on ours: those of the same side, and of a file that goes
    /// those of any.
    fn conflicts(&self) -> BTreeSet<Revision> {
        let mut by = BTreeSet::new();
        for (side, writes) in &self.0 {
            let ours = writes.iter().position(|write| write.who == Who::Ours);
            let from = match self.before(*side) {
                _ if self.goes() => 0,
                Some(_) => ours.unwrap_or_default(),
                None => continue,
            };
            let others = writes[from..].iter().filter(|w| w.who == Who::Others);
            by.extend(others.map(|write| write.revision));
        }
        // What others have deleted does not come back for a value that it had.
        let is_touched = self.0.keys().any(|side| self.before(*side).is_some());
        by.extend(
            self.lost()
                .filter(|_| is_touched)
                .map(|write| write.revision),
        );
        by
    }

    /// What it is after an undo.
    fn after(&self, on_conflict: OnConflict) -> BTreeMap<Side, Value> {
        let sides = self.0.keys().copied();
        let stays = !self.conflicts().is_empty() && on_conflict != OnConflict::Force;
        if stays || self.lost().is_some() {
            return sides.map(|side| (side, self.now(side))).collect();
        }
        let goes = self.goes();
        let after = |side| match self.before(side) {
            _ if goes => None,
            Some(before) => before,
            None => self.now(side),
        };
        sides.map(|side| (side, after(side))).collect()
    }

    /// How others have deleted it: that cannot be overruled, for the deletion is not ours to undo.
    fn lost(&self) -> Option<&Write> {
        let last = self.0.get(&Side::Content)?.last()?;
        Some(last).filter(|write| write.who == Who::Others && write.value.is_none())
    }

    /// What it would be if we had never been there, as far as the changes of others can be made
    /// without ours.
    fn without_us(&self) -> BTreeMap<Side, Value> {
        let made_by = self.0.get(&Side::Content).and_then(|writes| writes.first());
        let is_made = made_by.is_some_and(|write| write.who == Who::Others);
        let others = |writes: &Vec<Write>| {
            let others = writes.iter();
            let others = others.filter(|write| write.who == Who::Others && is_made);
            others
                .map(|write| write.value.clone())
                .next_back()
                .flatten()
        };
        let sides = self.0.iter();
        sides
            .map(|(side, writes)| (*side, others(writes)))
            .collect()
    }

    /// Whether others have not used what we made, and changed no side of it after us.
    fn is_ours_last(&self) -> bool {
        let conflicts = self.conflicts().is_empty();
        conflicts
            && self.0.values().all(|writes| {
                let ours = writes.iter().position(|write| write.who == Who::Ours);
                ours.is_none_or(|first| writes[first..].iter().all(|w| w.who == Who::Ours))
            })
    }
}

fn last(writes: &[Write]) -> Value {
    writes.last().and_then(|write| write.value.clone())
}

struct Story {
    world: World,
    random: StdRng,
    /// By path. No path is used again.
    files: BTreeMap<String, File>,
}

impl Story {
    async fn work(&mut self, who: Who) {
        let there = self.files.iter().filter(|(_, file)| file.is_there());
        let there: Vec<String> = there.map(|(path, _)| path.clone()).collect();
        let session = match who {
            Who::Ours => self.world.ours.clone(),
            Who::Others => self.world.others.clone(),
        };
        let chosen = there.choose(&mut self.random).cloned();
        let what = self.random.random_range(0..10);
        let (Some(path), 2..) = (chosen, what) else {
            let path = format!("/{}", self.files.len());
            let content = self.content();
            put(&session, &path, &content).await;
            let revision = session.revision().await.unwrap();
            let file = self.files.entry(path).or_default();
            file.write(Side::Content, who, revision, Some(content));
            file.write(Side::Mode, who, revision, Some(0o644.to_string()));
            return;
        };
        let content = self.content();
        let key = *KEYS.choose(&mut self.random).unwrap();
        let random = &mut self.random;
        let file = self.files.get_mut(&path).unwrap();
        match what {
            2 => file.remove(who, remove(&session, &path).await),
            3..=5 => {
                put(&session, &path, &content).await;
                let revision = session.revision().await.unwrap();
                file.write(Side::Content, who, revision, Some(content));
            }
            6 | 7 => {
                let bits = *MODES.choose(random).unwrap();
                let revision = mode(&session, &path, bits).await;
                file.write(Side::Mode, who, revision, Some(bits.to_string()));
            }
            _ => {
                let value = ["red", "round"].choose(random).copied();
                let value = value.filter(|_| file.now(Side::Key(key)).is_none());
                let revision = label(&session, &path, key, value).await;
                file.write(Side::Key(key), who, revision, value.map(str::to_owned));
            }
        }
    }

    /// One that no file has had.
    fn content(&mut self) -> String {
        format!("{:x}", self.random.random::<u64>())
    }

    async fn undo(&self, on_conflict: OnConflict, dry_run: bool) -> Result<UndoReport> {
        let options = UndoOptions {
            on_conflict,
            dry_run,
            ..of("ours")
        };
        self.world.others.undo(options).await
    }

    /// An undo and its undoing leave no trace.
    async fn there_and_back(&self) {
        if let Ok(report) = self.undo(OnConflict::Skip, false).await
            && let Some(by) = report.revisions.first()
        {
            undo(&self.world.others, *by).await;
        }
    }

    /// What the zone has of a file.
    async fn found(&self, path: &str, file: &File) -> BTreeMap<Side, Value> {
        let files = &self.world.others;
        let is_there = files.exists(path, At::Latest).await.unwrap();
        let mut found = BTreeMap::new();
        for side in file.0.keys().copied() {
            let value = match side {
                _ if !is_there => None,
                Side::Content => Some(crate::support::text(files, path).await),
                Side::Mode => {
                    let stat = files.stat(path, At::Latest).await.unwrap();
                    Some(stat.mode.to_string())
                }
                Side::Key(key) => {
                    let all = files.metadata(path, At::Latest).await.unwrap();
                    let value = all.into_iter().find(|(name, _)| name == key);
                    value.map(|(_, value)| String::from_utf8(value.into()).unwrap())
                }
            };
            found.insert(side, value);
        }
        found
    }

    async fn check(&self, on_conflict: OnConflict) -> Told {
        let mut told = Told::default();
        for (path, file) in &self.files {
            let expected = file.after(on_conflict);
            assert_eq!(self.found(path, file).await, expected, "{path}: {file:#?}");
            if file.is_ours_last() {
                assert_eq!(file.without_us(), expected, "{path}: {file:#?}");
                told.as_if_never += 1;
            }
            told.conflicts += usize::from(!file.conflicts().is_empty());
        }
        told
    }
}

/// How much was compared.
#[derive(Default)]
struct Told {
    as_if_never: usize,
    conflicts: usize,
}

async fn tell(seed: u64) -> Told {
    let mut story = Story {
        world: World::new().await,
        random: StdRng::seed_from_u64(seed),
        files: BTreeMap::new(),
    };
    for step in 0..OPS {
        let who = match step < OPS / 3 || story.random.random_ratio(1, 3) {
            true => Who::Others,
            false => Who::Ours,
        };
        story.work(who).await;
        if story.random.random_ratio(1, 15) {
            story.there_and_back().await;
        }
    }
    let mut expected: BTreeMap<String, BTreeSet<Revision>> = BTreeMap::new();
    for (path, file) in &story.files {
        expected.insert(path.clone(), file.conflicts());
    }
    expected.retain(|_, by| !by.is_empty());
    let on_conflict = match seed % 3 {
        0 => OnConflict::Abort,
        1 => OnConflict::Skip,
        _ => OnConflict::Force,
    };
    if let Ok(report) = story.undo(on_conflict, true).await {
        let mut conflicts: BTreeMap<String, BTreeSet<Revision>> = BTreeMap::new();
        for told in report.conflicts {
            conflicts
                .entry(told.path)
                .or_default()
                .extend(told.revision);
        }
        assert_eq!(conflicts, expected, "seed {seed}: {:#?}", story.files);
    }
    let kind = story
        .undo(on_conflict, false)
        .await
        .map_err(|error| error.kind());
    let on_conflict = match kind {
        Err(Kind::Conflict) => {
            assert!(on_conflict == OnConflict::Abort && !expected.is_empty());
            story.undo(OnConflict::Skip, false).await.unwrap();
            OnConflict::Skip
        }
        // Then the model finds all as it is.
        Err(Kind::NotFound) => {
            assert!(expected.is_empty(), "seed {seed}");
            on_conflict
        }
        undone => {
            let report = undone.unwrap();
            assert!(on_conflict != OnConflict::Abort || expected.is_empty());
            if let (Some(by), 0) = (report.revisions.first(), seed % 2) {
                let redo = undo(&story.world.others, *by).await.revisions[0];
                let redone = story.world.others.undo(operation(redo)).await;
                redone.unwrap();
            }
            on_conflict
        }
    };
    story.world.assert_sound().await;
    story.check(on_conflict).await
}

/// A file is in conflict if others have changed a side of it after us, or used one that was made by
/// us; it is skipped, or what we changed of it is as before. Any other becomes what it were without
/// us, however often the undo was undone before.
#[tokio::test]
async fn an_undo_does_what_a_model_says_and_conflicts_are_those_of_the_model() {
    let mut all = Told::default();
    for seed in 0..STORIES {
        let told = tell(seed).await;
        all.as_if_never += told.as_if_never;
        all.conflicts += told.conflicts;
    }
    let Told {
        as_if_never,
        conflicts,
    } = all;
    assert!(
        as_if_never > 300 && conflicts > 100,
        "{as_if_never} {conflicts}"
    );
}
