//! One caller, one operation after another: after each the model must agree.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{At, Stores};
use nexus_kernel::{Revision, Timestamp};
use nexus_service_api::SystemClock;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::compare::{self, Comparison};
use crate::ops::{Draw, Mix, Op};
use crate::rows;
use crate::subject::{Subject, memory_stores};
use crate::tree::Tree;
use crate::zone::{TICK, problems};

/// What a run looks at, and how often.
#[derive(Clone, Copy)]
struct Looks {
    cache_bytes: u64,
    /// Everything is compared after every so many operations.
    every: usize,
}

const CLOSE: Looks = Looks {
    cache_bytes: 4_000,
    every: 1,
};

type Failure = String;

#[test]
fn every_answer_and_every_tree_agree_with_the_model() {
    for seed in 0..100 {
        let ops = sequence(seed, 120, Mix::default());
        check(seed, &ops, CLOSE, memory_stores);
    }
}

#[test]
fn a_zone_that_is_reopened_and_collected_agrees_with_the_model() {
    let mix = Mix {
        reopens: true,
        large_one_in: 40,
        ..Mix::default()
    };
    let looks = Looks {
        cache_bytes: 1 << 20,
        every: 5,
    };
    for seed in 1000..1015 {
        check(seed, &sequence(seed, 300, mix), looks, memory_stores);
    }
}

/// A fork is as a copy of everything below a directory, whatever changes on either side, in
/// forks of forks, across their borders and in the past.
#[test]
fn a_zone_with_forks_agrees_with_the_model() {
    let mix = Mix {
        forks: true,
        ..Mix::default()
    };
    let (first, count) = seeds();
    for seed in first..first + count {
        check(seed, &sequence(seed, 120, mix), CLOSE, memory_stores);
    }
}

/// Where to begin, and how many; another choice by hand for a longer search.
fn seeds() -> (u64, u64) {
    (3000, 40)
}

#[test]
fn a_zone_on_local_stores_agrees_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut zones = 0;
    let mut on_disk = || {
        zones += 1;
        let path = |kind| folder.path().join(format!("{zones}.{kind}"));
        let metastore = RedbMetastore::open(&RedbConfig::new(path("redb"))).unwrap();
        let objects = LocalConfig::new(path("objects"));
        let objects = LocalObjectStore::open(objects, Arc::new(SystemClock)).unwrap();
        Stores {
            metastore,
            objects: Arc::new(objects),
        }
    };
    let mix = Mix {
        reopens: true,
        large_one_in: 40,
        ..Mix::default()
    };
    for seed in 2000..2006 {
        check(seed, &sequence(seed, 150, mix), CLOSE, &mut on_disk);
    }
}

/// `count` operations that follow from the seed, each drawn where the ones before lead.
fn sequence(seed: u64, count: usize, mix: Mix) -> Vec<Op> {
    let mut draw = Draw {
        random: StdRng::seed_from_u64(seed),
        mix,
    };
    let mut tree = Tree::new(0);
    let mut ops = Vec::with_capacity(count);
    for now in 0..count {
        let op = draw.op(&tree);
        // What fails changes nothing, in the model too.
        let _ = tree.apply(&op, i64::try_from(now).unwrap());
        ops.push(op);
    }
    ops
}

/// Runs operations on a fresh zone; should they fail, looks for fewer that fail too.
fn check(seed: u64, ops: &[Op], looks: Looks, mut stores: impl FnMut() -> Stores) {
    let Err(failure) = run(seed, ops, looks, stores()) else {
        return;
    };
    let mut ops = ops.to_vec();
    let mut last = failure;
    let looks = Looks { every: 1, ..looks };
    // From the end, because what comes after the failure is of no use.
    let mut at = ops.len();
    while at > 0 {
        at -= 1;
        let mut fewer = ops.clone();
        fewer.remove(at);
        if let Err(failure) = run(seed, &fewer, looks, stores()) {
            (ops, last) = (fewer, failure);
            at = at.min(ops.len());
        }
    }
    let mut report = format!("seed {seed}: {last}\nafter:\n");
    for op in &ops {
        writeln!(report, "  {op:?}").unwrap();
    }
    panic!("{report}");
}

fn run(seed: u64, ops: &[Op], looks: Looks, stores: Stores) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let run = async {
        let subject = Subject::new(stores, looks.cache_bytes).await;
        let mut run = Run {
            subject,
            tree: Tree::new(0),
            random: StdRng::seed_from_u64(seed),
            past: Vec::new(),
            commits: Vec::new(),
        };
        for (i, op) in ops.iter().enumerate() {
            let now = (i64::try_from(i).unwrap() + 1) * TICK;
            run.step(op, now)
                .await
                .map_err(|failure| format!("operation {i}, {op:?}: {failure}"))?;
            if i % looks.every == 0 {
                run.look()
                    .await
                    .map_err(|failure| format!("after {op:?}: {failure}"))?;
            }
        }
        run.look_at_everything().await
    };
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)));
    result.unwrap_or_else(|_| Err("it panicked".into()))
}

struct Run {
    subject: Subject,
    tree: Tree,
    random: StdRng,
    /// Earlier states: the revision after which nothing moved, the time, the tree.
    past: Vec<(Revision, i64, Tree)>,
    commits: Vec<Revision>,
}

impl Run {
    async fn step(&mut self, op: &Op, now: i64) -> Result<(), Failure> {
        self.subject.clock.set(now);
        let want = self.tree.apply(op, now);
        let have = self.subject.apply(op).await;
        match (&have, want) {
            (Ok(changed), Ok(changes)) => {
                if let (Some(changed), true) = (changed, changes) {
                    self.commits.push(changed.revision);
                }
            }
            (Err(error), Err(kind)) if error.kind() == kind => {}
            _ => return Err(format!("answered {have:?}, should be {want:?}")),
        }
        if let (Ok(Some(changed)), Op::Write(path, _)) = (&have, op) {
            let stat = self.subject.session.stat(path, At::Latest).await;
            if stat.as_ref().ok() != changed.stat.as_ref() {
                return Err(format!("answered {changed:?}, then {stat:?}"));
            }
        }
        let revision = self.subject.session.revision().await.unwrap();
        self.past.push((revision, now, self.tree.clone()));
        Ok(())
    }

    fn compare<'a>(&'a mut self, at: At, tree: &'a Tree) -> Comparison<'a> {
        Comparison {
            session: &self.subject.session,
            at,
            tree,
            random: &mut self.random,
        }
    }

    /// The tree as it is, as it was some time ago, and the rows beneath.
    async fn look(&mut self) -> Result<(), Failure> {
        let tree = self.tree.clone();
        self.compare(At::Latest, &tree).tree().await?;
        self.compare(At::Latest, &tree).contents().await?;
        let earlier = self.random.random_range(0..self.past.len());
        let (revision, _, tree) = self.past[earlier].clone();
        self.compare(At::Revision(revision), &tree).tree().await?;
        self.compare(At::Revision(revision), &tree)
            .contents()
            .await?;
        let problems = rows::problems(&*self.subject.stores.metastore).await;
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!("the rows do not agree: {problems:#?}"))
    }

    async fn look_at_everything(&mut self) -> Result<(), Failure> {
        self.look().await?;
        let tree = self.tree.clone();
        self.compare(At::Latest, &tree).versions().await?;
        let past = std::mem::take(&mut self.past);
        for (i, (revision, time, tree)) in past.iter().enumerate() {
            if i % 7 == 0 {
                self.compare(At::Revision(*revision), tree).tree().await?;
                self.compare(At::Time(Timestamp(*time + TICK - 1)), tree)
                    .contents()
                    .await?;
            }
        }
        let logged = compare::logged(&self.subject.session).await;
        let logged = logged.map_err(|error| format!("the log: {error:?}"))?;
        if logged != self.commits {
            let commits = &self.commits;
            return Err(format!(
                "the log holds {logged:?}, answered were {commits:?}"
            ));
        }
        let problems = problems(&self.subject.session).await;
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!("verify finds {problems:?}"))
    }
}
