//! Retention beside a model of it: random changes, snapshots, policies and collections. Every
//! state that the model keeps reads as it was, and of every other the reader is told that it was
//! collected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nexus_fs::{At, CompactReport, FileKind, ListOptions, NewSnapshot, RetentionLimits, Session};
use nexus_kernel::{Error, Freshness, KeyRange, Kind, Metastore, Revision, Scan, Timestamp};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::ops::{Draw, Mix, Op};
use crate::rows;
use crate::subject::{Subject, memory_stores};
use crate::tree::{Id, Node, Tree};
use crate::zone::problems;

/// Between two steps.
const TICK: i64 = 10_000_000_000;
/// From the most specific to the least.
const PATTERNS: [&str; 3] = ["/**/*.b", "/**/a", "/**"];

type Failure = String;
type Policies = BTreeMap<&'static str, RetentionLimits>;

#[test]
fn every_state_that_is_kept_reads_as_it_was_and_the_others_are_told_of() {
    let (mut kept, mut gone) = (0, 0);
    for seed in 0..25 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        match runtime.block_on(run(seed, 75)) {
            Ok(seen) => (kept, gone) = (kept + seen.kept, gone + seen.gone),
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
    assert!(kept > 1_000 && gone > 1_000, "{kept} kept, {gone} gone");
}

/// How many states were looked at that the model keeps, and does not.
#[derive(Default)]
struct Seen {
    kept: usize,
    gone: usize,
}

async fn run(seed: u64, steps: usize) -> Result<Seen, Failure> {
    let mut run = Run {
        subject: Subject::new(memory_stores(), 1 << 20).await,
        draw: Draw {
            random: StdRng::seed_from_u64(seed),
            mix: Mix {
                large_one_in: 60,
                ..Mix::default()
            },
        },
        tree: Tree::new(0),
        past: Vec::new(),
        policies: Policies::new(),
        snapshots: BTreeMap::new(),
        floor: 0,
        collections: Vec::new(),
        seen: Seen::default(),
    };
    for _ in 0..steps {
        run.step().await?;
    }
    run.collect().await?;
    run.look().await?;
    Ok(run.seen)
}

struct Run {
    subject: Subject,
    draw: Draw,
    tree: Tree,
    /// The state after each step.
    past: Vec<Past>,
    policies: Policies,
    /// The step at which each was made.
    snapshots: BTreeMap<String, usize>,
    /// The step before which nothing can be read that is not pinned.
    floor: usize,
    collections: Vec<Collection>,
    seen: Seen,
}

struct Past {
    /// After which nothing moved.
    revision: Revision,
    /// Of the commit of the step, if it made one.
    commit: Option<Revision>,
    tree: Tree,
}

/// What the model knows of a collection.
struct Collection {
    /// The newest step then.
    step: usize,
    policies: Policies,
    pins: BTreeSet<usize>,
    floor: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    Gone,
    /// Its end lies among the commits of one step.
    Either,
}

impl Run {
    fn now(&self) -> i64 {
        i64::try_from(self.past.len() + 1).unwrap() * TICK
    }

    async fn step(&mut self) -> Result<(), Failure> {
        self.subject.clock.set(self.now());
        match self.draw.random.random_range(0..20) {
            0 => self.snapshot().await,
            1 => self.drop_snapshot().await,
            2 | 3 => self.set_policy().await,
            4 => {
                self.collect().await?;
                self.look().await
            }
            _ => self.change().await,
        }
    }

    async fn change(&mut self) -> Result<(), Failure> {
        let op = self.draw.op(&self.tree);
        let now = self.now();
        let before = self.tree.clone();
        let want = self.tree.apply(&op, now);
        let have = self.subject.apply(&op).await;
        if told(have.as_ref().err()).is_ok() && self.may_be_gone(&op, &before) {
            self.tree = before;
            self.remember(None).await;
            return Ok(());
        }
        if have.is_ok() != want.is_ok() {
            return Err(format!("{op:?} answered {have:?}, should be {want:?}"));
        }
        let commit = have.ok().flatten().filter(|_| want == Ok(true));
        self.remember(commit.map(|changed| changed.revision)).await;
        Ok(())
    }

    /// Whether an operation goes back to a version that need not be kept.
    fn may_be_gone(&self, op: &Op, tree: &Tree) -> bool {
        let Op::Rollback(path, version) = op else {
            return false;
        };
        let found = tree.paths().into_iter().find(|(known, _)| known == path);
        let Some((_, id)) = found else { return false };
        let had = |past: &Past| {
            let node = past.tree.nodes.get(&id);
            node.is_some_and(|node| node.version == *version)
        };
        let last = self.past.iter().rposition(had);
        last.is_some_and(|step| self.verdict(step, id) != Verdict::Kept)
    }

    async fn remember(&mut self, commit: Option<Revision>) {
        let revision = self.subject.session.revision().await.unwrap();
        self.past.push(Past {
            revision,
            commit,
            tree: self.tree.clone(),
        });
    }

    async fn snapshot(&mut self) -> Result<(), Failure> {
        let name = format!("s-{}", self.past.len());
        let new = NewSnapshot {
            name: Some(name.clone()),
            ..NewSnapshot::default()
        };
        let made = self.subject.session.create_snapshot("/", new).await;
        let made = made.map_err(|error| format!("{error:?}"))?;
        self.snapshots.insert(name, self.past.len());
        self.remember(Some(made.revision)).await;
        Ok(())
    }

    async fn drop_snapshot(&mut self) -> Result<(), Failure> {
        let names: Vec<_> = self.snapshots.keys().cloned().collect();
        let Some(name) = names.choose(&mut self.draw.random) else {
            return Ok(());
        };
        let session = &self.subject.session;
        let gone = session.delete_snapshot(name).await;
        gone.map_err(|error| format!("{error:?}"))?;
        let name = name.clone();
        self.snapshots.remove(&name);
        self.remember_last().await
    }

    async fn set_policy(&mut self) -> Result<(), Failure> {
        let random = &mut self.draw.random;
        let pattern = *PATTERNS.choose(random).unwrap();
        let session = &self.subject.session;
        if random.random_ratio(1, 4) && self.policies.remove(pattern).is_some() {
            let removed = session.remove_retention(pattern).await;
            removed.map_err(|error| format!("{error:?}"))?;
            return self.remember_last().await;
        }
        let ticks = random.random_range(1..25_u32);
        let age = Duration::from_nanos(TICK.unsigned_abs()) * ticks;
        let limits = RetentionLimits {
            max_age: random.random_ratio(3, 4).then_some(age),
            max_versions: random.random_ratio(1, 3).then(|| random.random_range(1..4)),
        };
        self.policies.insert(pattern, limits);
        let set = session.set_retention(pattern, limits).await;
        set.map_err(|error| format!("{error:?}"))?;
        self.remember_last().await
    }

    /// A commit of this step that says not which it is.
    async fn remember_last(&mut self) -> Result<(), Failure> {
        let commit = self.subject.session.revision().await.unwrap();
        self.remember(Some(commit)).await;
        Ok(())
    }

    async fn collect(&mut self) -> Result<(), Failure> {
        if self.past.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let ages: Option<Vec<_>> = self.policies.values().map(|l| l.max_age).collect();
        if let Some(ages) = ages.filter(|_| self.policies.contains_key("/**")) {
            let reach = ages.into_iter().max().unwrap();
            let cutoff = self.cutoff(now, reach).unwrap_or(0);
            self.floor = self.floor.max(cutoff);
        }
        self.collections.push(Collection {
            step: self.past.len() - 1,
            policies: self.policies.clone(),
            pins: self.snapshots.values().copied().collect(),
            floor: self.floor,
        });
        let session = &self.subject.session;
        let time = Timestamp(now + TICK / 2);
        let would = session.compact(time, true).await.unwrap();
        let did = session.compact(time, false).await.unwrap();
        if (CompactReport {
            dry_run: true,
            ..did
        }) != would
        {
            return Err(format!("a dry run told {would:?}, then it was {did:?}"));
        }
        let again = session.compact(time, false).await.unwrap();
        if again.versions != 0 {
            return Err(format!("a second collection removed {again:?}"));
        }
        self.check_stores().await
    }

    /// What is left is counted right, and collection leaves no blob without a use.
    async fn check_stores(&mut self) -> Result<(), Failure> {
        if self.draw.random.random() {
            self.subject.session.gc(false).await.unwrap();
            let stores = &self.subject.stores;
            let blobs = stores.objects.list("b/", None, 10_000).await.unwrap();
            let used = blobs_in_use(&*stores.metastore).await;
            if blobs.objects.len() != used {
                let left = blobs.objects.len();
                return Err(format!("{left} blobs are left, {used} are in use"));
            }
        }
        let mut found = rows::problems(&*self.subject.stores.metastore).await;
        found.extend(problems(&self.subject.session).await);
        match found.is_empty() {
            true => Ok(()),
            false => Err(format!("the rows do not agree: {found:#?}")),
        }
    }

    /// The last step with a commit so long ago.
    fn cutoff(&self, now: i64, age: Duration) -> Option<usize> {
        let then = now + TICK / 2 - i64::try_from(age.as_nanos()).unwrap();
        let old = |step: &usize| i64::try_from(step + 1).unwrap() * TICK <= then;
        let steps = (0..self.past.len()).rev().filter(old);
        let mut made = steps.filter(|step| self.past[*step].commit.is_some());
        made.next()
    }

    async fn look(&mut self) -> Result<(), Failure> {
        for step in 0..self.past.len() {
            let told = self.look_at(step).await;
            told.map_err(|failure| format!("as of step {step}: {failure}"))?;
        }
        Ok(())
    }

    async fn look_at(&mut self, step: usize) -> Result<(), Failure> {
        let Past { revision, tree, .. } = &self.past[step];
        let session = &self.subject.session;
        let at = At::Revision(*revision);
        let mut pins = self
            .snapshots
            .values()
            .map(|step| self.past[*step].revision);
        if step < self.floor && !pins.any(|pinned| pinned == *revision) {
            let refused = session.stat("/", at).await.err();
            return told(refused.as_ref());
        }
        let options = ListOptions {
            at: at.clone(),
            recursive: true,
            limit: 10_000,
            ..ListOptions::default()
        };
        let listed = session.list("/", options).await;
        let listed = listed.map_err(|error| format!("{error:?}"))?.entries;
        let names: Vec<_> = listed.into_iter().map(|entry| entry.path).collect();
        let paths = tree.paths();
        if !names.iter().eq(paths.iter().map(|(path, _)| path)) {
            return Err(format!("it holds {names:?}, should hold {paths:?}"));
        }
        for (path, id) in paths {
            let node = tree.node(id);
            let verdict = self.verdict(step, id);
            match verdict {
                Verdict::Kept => self.seen.kept += 1,
                Verdict::Gone => self.seen.gone += 1,
                Verdict::Either => {}
            }
            let seen = look_at_file(session, &path, &at, node, verdict).await;
            seen.map_err(|failure| format!("{path} ({verdict:?}): {failure}"))?;
        }
        Ok(())
    }

    /// Whether the state that an inode had at a step is kept.
    fn verdict(&self, step: usize, id: Id) -> Verdict {
        let state = self.facets(step, id);
        let same = |other: &usize| self.facets(*other, id) == state;
        let end = (step..self.past.len()).find(|other| !same(other));
        let Some(end) = end.filter(|_| !self.past[step].tree.node(id).is_dir()) else {
            return Verdict::Kept;
        };
        let begin = (0..step).rev().find(|other| !same(other));
        let span = begin.map_or(0, |before| before + 1)..end;
        let mut verdict = Verdict::Kept;
        for collection in self.collections.iter().filter(|c| end <= c.step) {
            if collection.pins.range(span.clone()).next().is_some() {
                continue;
            }
            match self.goes(collection, &span, id) {
                Verdict::Gone => return Verdict::Gone,
                Verdict::Either => verdict = Verdict::Either,
                Verdict::Kept => {}
            }
        }
        verdict
    }

    fn goes(&self, collection: &Collection, span: &std::ops::Range<usize>, id: Id) -> Verdict {
        let now = i64::try_from(collection.step + 2).unwrap() * TICK;
        let removed = !self.past[span.end].tree.nodes.contains_key(&id);
        // What a recursive removal leaves is cleared by later commits of the same step.
        let by_age = |cutoff: usize| match span.end.cmp(&cutoff) {
            std::cmp::Ordering::Less => Verdict::Gone,
            std::cmp::Ordering::Equal if removed => Verdict::Either,
            std::cmp::Ordering::Equal => Verdict::Gone,
            std::cmp::Ordering::Greater => Verdict::Kept,
        };
        let last = (0..=collection.step)
            .rev()
            .find(|step| self.past[*step].tree.nodes.contains_key(&id))
            .unwrap();
        let newest = self.past[last].tree.node(id).version;
        let version = self.past[span.start].tree.node(id).version;
        let of_policy = |limits: Option<&RetentionLimits>| {
            let limits = limits.copied().unwrap_or_default();
            let many = limits
                .max_versions
                .is_some_and(|most| version + most <= newest);
            let cutoff = limits.max_age.and_then(|age| self.cutoff(now, age));
            match (many, cutoff.map(by_age)) {
                (true, _) => Verdict::Gone,
                (false, verdict) => verdict.unwrap_or(Verdict::Kept),
            }
        };
        let names = names(&self.past[last].tree, id);
        let of_names = names
            .iter()
            .map(|(_, name)| of_policy(policy(collection, name)));
        let mut verdicts: Vec<Verdict> = of_names.collect();
        verdicts.dedup();
        let of_paths = match verdicts[..] {
            [one] => one,
            _ => Verdict::Either,
        };
        match (of_paths, by_age(collection.floor)) {
            (_, Verdict::Gone) | (Verdict::Gone, _) => Verdict::Gone,
            (Verdict::Either, _) | (_, Verdict::Either) => Verdict::Either,
            _ => Verdict::Kept,
        }
    }

    /// What the row of an inode tells: what ends when this changes.
    fn facets(&self, step: usize, id: Id) -> Option<(Node, BTreeSet<(Id, String)>)> {
        let tree = &self.past[step].tree;
        let mut node = tree.nodes.get(&id)?.clone();
        node.children.clear();
        node.metadata.clear();
        node.versions.clear();
        node.names_changed = 0;
        Some((node, names(tree, id)))
    }
}

fn policy<'c>(collection: &'c Collection, name: &str) -> Option<&'c RetentionLimits> {
    let of = |pattern| collection.policies.get(pattern);
    let suffix = of("/**/*.b").filter(|_| name.ends_with(".b"));
    let exact = of("/**/a").filter(|_| name == "a");
    suffix.or(exact).or(of("/**"))
}

fn names(tree: &Tree, id: Id) -> BTreeSet<(Id, String)> {
    let names = tree.nodes.iter().flat_map(|(parent, node)| {
        let here = node.children.iter().filter(|(_, child)| **child == id);
        here.map(|(name, _)| (*parent, name.clone()))
    });
    names.collect()
}

/// A refusal that tells from when on there is something to read.
fn told(refused: Option<&Error>) -> Result<(), Failure> {
    let told =
        |error: &Error| error.kind() == Kind::NotFound && error.fact("oldest_readable").is_some();
    match refused.is_some_and(told) {
        true => Ok(()),
        false => Err(format!("it was collected, but answered {refused:?}")),
    }
}

async fn look_at_file(
    session: &Session,
    path: &str,
    at: &At,
    node: &Node,
    verdict: Verdict,
) -> Result<(), Failure> {
    let stat = session.lstat(path, at.clone()).await;
    let refused = stat.as_ref().err();
    if verdict == Verdict::Gone || (verdict == Verdict::Either && refused.is_some()) {
        told(refused)?;
        if node.kind == FileKind::File {
            told(session.read(path, at.clone()).await.err().as_ref())?;
        }
        return Ok(());
    }
    let stat = stat.map_err(|error| format!("{error:?}"))?;
    if (stat.kind, stat.mode, stat.version, stat.links)
        != (node.kind, node.mode, node.version, node.links)
    {
        return Err(format!("it was {stat:?}, should be {node:?}"));
    }
    if node.kind == FileKind::File {
        let read = session.read(path, at.clone()).await;
        if read.as_ref().map(|read| &read.bytes).ok() != Some(&node.content()) {
            return Err(format!("another content: {read:?}"));
        }
    }
    match session.metadata(path, at.clone()).await {
        _ if node.kind == FileKind::Symlink => Ok(()),
        Err(error) => told(Some(&error)),
        Ok(metadata) => {
            let values = node
                .metadata
                .iter()
                .filter(|(key, _)| !key.starts_with("tag:"));
            match metadata.iter().map(|(key, value)| (key, value)).eq(values) {
                true => Ok(()),
                false => Err(format!(
                    "metadata {metadata:?}, should be {:?}",
                    node.metadata
                )),
            }
        }
    }
}

/// How many blobs something refers to.
async fn blobs_in_use(metastore: &dyn Metastore) -> usize {
    let counts = Scan::forward(KeyRange::prefix("c"), 10_000);
    let counts = metastore.scan(counts, Freshness::Linearizable).await;
    let counts = counts.unwrap().entries;
    let used = counts
        .iter()
        .filter(|row| row.value.bytes.iter().any(|byte| *byte != 0));
    used.count()
}
