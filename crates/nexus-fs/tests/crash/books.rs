//! What a zone owes: kept by whoever hears its answers.

use nexus_kernel::{Outcome, Result, Revision};

use crate::deeds::Deed;
use crate::ops::Op;
use crate::tree::Tree;

/// What went wrong; nothing may.
pub(crate) type Violation = String;

pub(crate) struct Books {
    /// The tree when it was last found to be right.
    settled: Tree,
    /// The tree as it must look while nothing is lost.
    pub current: Tree,
    acknowledged: Vec<Acknowledged>,
    /// What may have happened or not, and when it was tried.
    in_doubt: Vec<(Op, i64)>,
    /// What must survive.
    promised: Revision,
    /// The commits that the log holds.
    commits: Vec<Revision>,
    /// Earlier states, each with the revision after which nothing moved.
    pub past: Vec<(Revision, Tree)>,
    /// What happened, to be told should it end badly.
    story: Vec<String>,
}

struct Acknowledged {
    revision: Revision,
    op: Op,
    now: i64,
}

/// A state that the zone may be in.
pub(crate) struct Candidate {
    pub tree: Tree,
    /// How many commits the log then holds beyond those that were acknowledged.
    more_commits: usize,
}

impl Books {
    pub(crate) fn new() -> Self {
        Self {
            settled: Tree::new(0),
            current: Tree::new(0),
            acknowledged: Vec::new(),
            in_doubt: Vec::new(),
            promised: Revision::ZERO,
            commits: Vec::new(),
            past: Vec::new(),
            story: Vec::new(),
        }
    }

    /// A violation with what led to it. The stores have threads, so a seed alone does not tell.
    pub(crate) fn tell(&self, violation: Violation) -> Violation {
        const LINES_MAX: usize = 40;
        let last = &self.story[self.story.len().saturating_sub(LINES_MAX)..];
        format!("{violation}\nafter:\n  {}", last.join("\n  "))
    }

    /// Takes down an answer. `failing` says that errors are no surprise.
    pub(crate) fn learn(
        &mut self,
        deed: &Deed,
        now: i64,
        answer: &Result<Option<Revision>>,
        failing: bool,
    ) -> Result<(), Violation> {
        self.story.push(format!("{deed:?} answered {answer:?}"));
        if let (Ok(Some(revision)), true) = (answer, deed.promises()) {
            self.promised = self.promised.max(*revision);
        }
        let Some(op) = deed.op() else {
            return match answer {
                Err(error) if !failing => Err(format!("{deed:?} failed: {error:?}")),
                _ => Ok(()),
            };
        };
        match answer {
            Err(error) if failing => {
                if error.outcome() == Outcome::Unknown {
                    self.in_doubt.push((op.clone(), now));
                }
                Ok(())
            }
            answer => self.compare(op, now, answer),
        }
    }

    fn compare(
        &mut self,
        op: &Op,
        now: i64,
        have: &Result<Option<Revision>>,
    ) -> Result<(), Violation> {
        match (have, self.current.apply(op, now)) {
            (Ok(Some(revision)), Ok(true)) => self.acknowledged.push(Acknowledged {
                revision: *revision,
                op: op.clone(),
                now,
            }),
            (Ok(_), Ok(false)) => {}
            (Err(error), Err(kind)) if error.kind() == kind => {}
            (have, want) => return Err(format!("{op:?} answered {have:?}, should be {want:?}")),
        }
        Ok(())
    }

    /// Everything acknowledged so far must survive.
    pub(crate) fn promise_all(&mut self) {
        let newest = self.acknowledged.iter().map(|done| done.revision).max();
        self.promised = self.promised.max(newest.unwrap_or_default());
    }

    /// Strikes out what a power loss has taken, which may be all that was not promised. The zone
    /// goes on after `found`, and `logged` is the last commit of its log.
    pub(crate) fn found(&mut self, found: Revision, logged: Revision) -> Result<(), Violation> {
        self.story
            .push(format!("found revision {found}, logged {logged}"));
        let newest = self.acknowledged.iter().map(|done| done.revision).max();
        if found < self.promised.max(newest.unwrap_or_default()) {
            return Err(format!("goes on after {found}, where others have been"));
        }
        let is_lost = |done: &Acknowledged| done.revision > logged;
        let lost = self.acknowledged.iter().filter(|done| is_lost(done));
        if let Some(lost) = lost.map(|done| done.revision).min()
            && lost <= self.promised
        {
            let promised = self.promised;
            return Err(format!("lost revision {lost}, promised {promised}"));
        }
        self.acknowledged.retain(|done| !is_lost(done));
        // What is found after a power loss is on the disk.
        self.promised = found;
        Ok(())
    }

    /// Every state that the zone may be in: all that was acknowledged, and any of what is in
    /// doubt.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let sure = self
            .replay()
            .last()
            .map_or(self.settled.clone(), |l| l.1.clone());
        let choices = 0..1_u32 << self.in_doubt.len();
        let candidates = choices.filter_map(|choice| {
            let mut tree = sure.clone();
            let mut more_commits = 0;
            for (i, (op, now)) in self.in_doubt.iter().enumerate() {
                if choice & 1 << i != 0 {
                    more_commits += usize::from(tree.apply(op, *now).ok()?);
                }
            }
            Some(Candidate { tree, more_commits })
        });
        candidates.collect()
    }

    /// What was acknowledged, in the order of the commits.
    fn replay(&self) -> Vec<(Revision, Tree)> {
        let mut order: Vec<_> = self.acknowledged.iter().collect();
        order.sort_by_key(|done| done.revision);
        let mut tree = self.settled.clone();
        let states = order.into_iter().map(|done| {
            let applied = tree.apply(&done.op, done.now);
            assert_eq!(applied, Ok(true), "{:?} in the order of commits", done.op);
            (done.revision, tree.clone())
        });
        states.collect()
    }

    /// The zone is in this state, as of `revision`, and its log holds `logged`.
    pub(crate) fn settle(
        &mut self,
        state: Candidate,
        revision: Revision,
        logged: Vec<Revision>,
    ) -> Result<(), Violation> {
        let replayed = self.replay();
        let mut known = self.commits.clone();
        known.extend(replayed.iter().map(|(revision, _)| *revision));
        let missing = known.iter().any(|revision| !logged.contains(revision));
        if missing || logged.len() != known.len() + state.more_commits {
            let more = state.more_commits;
            return Err(format!(
                "the log holds {logged:?}, should hold {known:?} and {more} more"
            ));
        }
        self.past.extend(replayed);
        self.past.push((revision, state.tree.clone()));
        self.settled = state.tree.clone();
        self.current = state.tree;
        self.commits = logged;
        self.acknowledged.clear();
        self.in_doubt.clear();
        Ok(())
    }
}
