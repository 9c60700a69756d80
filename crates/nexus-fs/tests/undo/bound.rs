//! Random work of two, one of whom is bound to a prefix: that one is told nothing of what lies
//! outside and changes nothing there, whatever both do and whatever of it is undone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use nexus_fs::{
    At, ChangeKind, DiffTreeOptions, FeedQuery, FileKind, GlobQuery, LineageQuery, ListOptions,
    LogQuery, OnConflict, Record, RestoreOptions, Session, Stores, UndoOptions, UndoReport,
    UndoWhat, Zone, ZoneConfig,
};
use nexus_kernel::{Durability, Error, Revision};
use nexus_service_api::{Context, Principal, PrincipalKind};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::common::{Entry, assert_sound, cleared, everything, operation};
use crate::ops::{Draw, Mix, Op};
use crate::support::memory_stores;
use crate::tree::Tree;
use crate::zone::{TICK, change};
use keys::{Keys, is_above, is_within};

mod keys;

/// More of them look further; every seed is another story, and a failure prints its seed.
const STORIES: u64 = 100;
const OPS: usize = 40;
const PREFIXES: [&str; 3] = ["/a", "/b", "/a/b"];

struct Story {
    seed: u64,
    prefix: &'static str,
    stores: Stores,
    _zone: Zone,
    system: Session,
    bound: Session,
    draw: Draw,
    tree: Tree,
    /// Those of all that has been inside.
    etags: BTreeSet<String>,
    /// Where links have led that the bound caller could stat.
    led_to: BTreeSet<String>,
    revisions: Vec<Revision>,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let prefix = *PREFIXES.choose(&mut random).unwrap();
        let stores = memory_stores();
        let zone = Zone::open(stores.clone(), Arc::new(Keys), ZoneConfig::default());
        let zone = zone.await.unwrap();
        let principal = Principal {
            kind: PrincipalKind::User,
            id: "ada".to_owned(),
            prefix: Some(prefix.to_owned()),
            ..Principal::system()
        };
        let context = Context {
            session: Some(Arc::from("bound")),
            ..Context::new(Arc::new(principal))
        };
        Self {
            seed,
            prefix,
            stores,
            system: zone.session(Context::system()),
            bound: zone.session(context),
            _zone: zone,
            draw: Draw {
                random,
                mix: Mix {
                    forks: seed.is_multiple_of(2),
                    ..Mix::default()
                },
            },
            tree: Tree::new(0),
            etags: BTreeSet::new(),
            led_to: BTreeSet::new(),
            revisions: Vec::new(),
        }
    }

    fn is_inside(&self, path: &str) -> bool {
        is_within(path, self.prefix)
    }

    async fn now(&self) -> Vec<Entry> {
        cleared(&self.stores).await;
        everything(&self.system).await
    }

    /// An operation, mostly one that the bound caller may do.
    fn draw(&mut self, bound: bool) -> Op {
        let tries = match self.draw.random.random_ratio(1, 8) {
            true => 1,
            false => 12,
        };
        for _ in 0..tries {
            let op = self.draw.op(&self.tree);
            if !bound || paths(&op).iter().all(|path| self.is_inside(path)) {
                return op;
            }
        }
        self.draw.op(&self.tree)
    }

    async fn work(&mut self) {
        let mut before = self.now().await;
        for step in 0..OPS {
            let bound = self.draw.random.random();
            let op = self.draw(bound);
            if matches!(op, Op::Reopen { .. } | Op::Gc) {
                continue;
            }
            let session = match bound {
                true => &self.bound,
                false => &self.system,
            };
            let have = change(session, &op, Durability::Relaxed).await;
            let after = self.now().await;
            if bound {
                self.assert_outside(&before, &after, &op);
            }
            let mut tree = self.tree.clone();
            let want = tree.apply(&op, TICK * (step as i64 + 1));
            match have {
                Ok(_) => {
                    assert!(
                        want.is_ok(),
                        "seed {}: {op:?} should be {want:?}",
                        self.seed
                    );
                    self.tree = tree;
                }
                Err(error) => {
                    assert_eq!(before, after, "seed {}: {op:?} was refused", self.seed);
                    if bound {
                        self.check_refused(&op, &error, want.is_err());
                    }
                }
            }
            before = after;
            self.revisions.push(self.system.revision().await.unwrap());
            self.note_etags().await;
            self.note_links();
        }
    }

    /// What is refused to the bound caller is either out of its reach, or refused to anybody.
    fn check_refused(&self, op: &Op, error: &Error, is_wrong: bool) {
        let named = paths(op);
        self.check_error(error, &named);
        let links = self.tree.nodes.values();
        let mut links = links.filter(|node| node.kind == FileKind::Symlink);
        let is_inside = named.iter().all(|path| self.is_inside(path))
            && links.next().is_none()
            && self.has_parent_of_prefix();
        if is_inside {
            assert!(is_wrong, "seed {}: {op:?}: {error}", self.seed);
        }
    }

    /// Notes where links lead that the bound caller may stat.
    fn note_links(&mut self) {
        let paths = self.tree.paths().into_iter();
        let paths = paths.filter(|(path, _)| self.is_inside(path) || is_above(path, self.prefix));
        let links = paths.filter(|(_, id)| self.tree.node(*id).kind == FileKind::Symlink);
        let links = links.map(|(path, id)| lead(&path, &self.tree.node(id).target));
        let links: Vec<String> = links.collect();
        self.led_to.extend(links);
    }

    fn has_parent_of_prefix(&self) -> bool {
        let (parent, _) = self.prefix.rsplit_once('/').unwrap();
        let mut paths = self.tree.paths().into_iter();
        parent.is_empty() || paths.any(|(path, id)| path == parent && self.tree.node(id).is_dir())
    }

    /// Contents that the bound caller may have read.
    async fn note_etags(&mut self) {
        let options = ListOptions {
            recursive: true,
            details: true,
            limit: 10_000,
            ..ListOptions::default()
        };
        let page = self.system.list("/", options).await.unwrap();
        for entry in page.entries {
            if !is_within(&entry.path, self.prefix) || entry.kind != FileKind::File {
                continue;
            }
            for version in self
                .system
                .versions(&entry.path, 1_000, None)
                .await
                .unwrap()
            {
                self.etags.insert(version.etag.to_string());
            }
        }
    }

    /// What the bound caller cannot reach is as it was. A file that has a name inside can be
    /// reached.
    fn assert_outside(&self, before: &[Entry], after: &[Entry], what: &impl Debug) {
        let all = || before.iter().chain(after);
        let inside = all().filter(|entry| self.is_inside(&entry.path));
        let reached: BTreeSet<u64> = inside.map(|entry| entry.ino).collect();
        let outside = |entries: &[Entry]| -> Vec<Entry> {
            let entries = entries.iter();
            let out = entries.filter(|entry| !self.is_inside(&entry.path));
            out.filter(|entry| !reached.contains(&entry.ino))
                .cloned()
                .collect()
        };
        let (before, after) = (outside(before), outside(after));
        assert_eq!(before, after, "seed {}: {what:?}", self.seed);
    }

    /// Absolute paths in what was told that lie out of sight.
    fn paths_told(&self, told: &str) -> Vec<String> {
        let quoted = told.split('"').filter(|text| text.starts_with('/'));
        let told = quoted.filter(|path| !self.is_inside(path) && !is_above(path, self.prefix));
        told.map(str::to_owned).collect()
    }

    /// No fact of an error is out of sight, but for what was named or leads there.
    fn check_error(&self, error: &Error, named: &[&str]) {
        for (fact, value) in error.context() {
            let value = value.to_string();
            let told = self.paths_told(&format!("\"{value}\""));
            let is_named = named.iter().any(|named| is_within(named, &value));
            let mut led_to = self.led_to.iter();
            assert!(
                told.is_empty() || is_named || led_to.any(|to| is_within(&value, to)),
                "seed {}: {fact} {value}: {error:?} {named:?}",
                self.seed,
            );
        }
    }

    /// Nothing of this is out of sight.
    fn check_told(&self, what: &str, told: &impl Debug) {
        let text = format!("{told:?}");
        // What a link points to is what is in it.
        let without_targets: String = text
            .split("target: Some(\"")
            .enumerate()
            .map(|(i, part)| match i {
                0 => part,
                _ => part.split_once('"').unwrap().1,
            })
            .collect();
        let paths = self.paths_told(&without_targets);
        assert!(
            paths.is_empty(),
            "seed {}: {what} tells of {paths:?}: {told:#?}",
            self.seed
        );
        let etags = text.split("blake3:").skip(1);
        for etag in etags {
            let hash: String = etag.chars().take_while(char::is_ascii_hexdigit).collect();
            let known = self.etags.iter().any(|known| known.ends_with(&hash));
            assert!(
                known,
                "seed {}: {what} tells of {hash}: {told:#?}",
                self.seed
            );
        }
    }

    /// The log and the feed tell the same, all that happened inside and nothing else; answers the
    /// revisions.
    async fn check_log(&self) -> BTreeSet<Revision> {
        let all = LogQuery {
            limit: 10_000,
            ..LogQuery::default()
        };
        let log = self.bound.log(all.clone()).await.unwrap().records;
        self.check_told("the log", &log);
        let whole = self.system.log(all).await.unwrap().records;
        let seen = |path: &str| self.is_inside(path);
        let told: BTreeMap<Revision, &Record> =
            log.iter().map(|record| (record.revision, record)).collect();
        for record in &whole {
            for change in &record.changes {
                let old = change.old_path.as_deref();
                if !seen(&change.path) && !old.is_some_and(seen) {
                    continue;
                }
                // A copy, link or fork of what is inside changes nothing there.
                let moved = matches!(change.kind, ChangeKind::FileRename | ChangeKind::DirRename);
                if seen(&change.path) || moved {
                    assert!(
                        told.contains_key(&record.revision),
                        "seed {}: {record:#?} was not told",
                        self.seed
                    );
                }
            }
        }
        let is_told = |revision: &Revision| told.contains_key(revision);
        for record in &whole {
            let Some(told) = told.get(&record.revision) else {
                continue;
            };
            // What others undid may be out of sight in part.
            let is_undo = record.operation.as_deref() == Some("undo");
            let may_tell = match record.actor == "user:ada" {
                _ if !is_undo => true,
                true => told.about.iter().all(is_told),
                false => told.changes == record.changes || told.about.is_empty(),
            };
            assert!(may_tell, "seed {}: {told:#?}", self.seed);
        }
        let revisions: BTreeSet<Revision> = told.into_keys().collect();
        let query = FeedQuery {
            start: Revision(0).into(),
            ..FeedQuery::default()
        };
        let feed = self.bound.watch(query).take(log.len());
        let fed: Vec<Record> = feed.map(|record| record.unwrap()).collect().await;
        assert_eq!(fed, log, "seed {}: the feed and the log", self.seed);
        revisions
    }

    /// All is as in the model.
    async fn check_tree(&self) {
        let found = self.now().await.into_iter().map(|entry| entry.path);
        let model = self.tree.paths().into_iter().map(|(path, _)| path);
        assert!(found.eq(model), "seed {}: another tree", self.seed);
    }

    async fn check_reads(&mut self) {
        let options = || ListOptions {
            recursive: true,
            details: true,
            limit: 10_000,
            ..ListOptions::default()
        };
        let own = self.bound.list("/", options()).await.unwrap().entries;
        let mut all = self.system.list("/", options()).await.unwrap().entries;
        all.retain(|entry| self.is_inside(&entry.path) || is_above(&entry.path, self.prefix));
        assert_eq!(own, all, "seed {}: what there is", self.seed);
        for entry in own.iter().filter(|entry| self.is_inside(&entry.path)) {
            let lineage = self.bound.lineage(&entry.path, LineageQuery::default());
            if let Ok(lineage) = lineage.await {
                self.check_told("a lineage", &lineage);
            }
        }
        for key in ["color", "k"] {
            let found = self
                .bound
                .find_by_metadata(key, None, 1_000, None)
                .await
                .unwrap();
            self.check_told("what has metadata", &found);
        }
        let found: Vec<_> = self.bound.glob(GlobQuery::default()).collect().await;
        self.check_told("a glob", &found);
        self.check_diffs().await;
    }

    async fn check_diffs(&mut self) {
        for _ in 0..6 {
            let mut point = || At::Revision(*self.revisions.choose(&mut self.draw.random).unwrap());
            let (from, to) = (point(), point());
            let options = DiffTreeOptions {
                expand: self.draw.random.random(),
            };
            let own = self
                .bound
                .diff_tree(self.prefix, from.clone(), to.clone(), options);
            let own = own.await;
            if let Ok(own) = &own {
                self.check_told("a difference", own);
                let all = self
                    .system
                    .diff_tree(self.prefix, from.clone(), to.clone(), options);
                let all = all.await.unwrap();
                // The prefix may be a link that leads elsewhere.
                if all
                    .changes
                    .iter()
                    .all(|change| self.is_inside(&change.path))
                {
                    assert_eq!(own, &all, "seed {}", self.seed);
                }
            }
            let of_all = self.bound.diff_tree("/", from.clone(), to.clone(), options);
            let of_all = of_all.await.unwrap();
            self.check_told("a difference of all", &of_all);
        }
    }

    /// Undoes as the bound caller; none if it was refused.
    async fn undo(&mut self, options: UndoOptions) -> Option<UndoReport> {
        let visible = self.check_log().await;
        let before = self.now().await;
        let dry_run = UndoOptions {
            dry_run: true,
            ..options.clone()
        };
        let would = self.bound.undo(dry_run).await;
        assert_eq!(before, self.now().await, "seed {}: a dry run", self.seed);
        let did = self.bound.undo(options.clone()).await;
        let after = self.now().await;
        self.assert_outside(&before, &after, &options);
        assert_sound(&self.stores, &self.system).await;
        self.note_etags().await;
        for report in [&would, &did] {
            let report = match report {
                Ok(report) => report,
                Err(error) => {
                    self.check_error(error, &[]);
                    continue;
                }
            };
            self.check_told("an undo", report);
            let conflicts = report.conflicts.iter().filter_map(|told| told.revision);
            for revision in report.operations.iter().copied().chain(conflicts) {
                assert!(
                    visible.contains(&revision),
                    "seed {}: {revision} is out of sight: {report:#?}",
                    self.seed
                );
            }
        }
        if did.is_err() {
            assert_eq!(before, after, "seed {}: {options:?} was refused", self.seed);
        }
        self.revisions.push(self.system.revision().await.unwrap());
        did.ok()
    }

    fn options(&mut self) -> UndoOptions {
        let on_conflict = match self.seed % 3 {
            0 => OnConflict::Abort,
            1 => OnConflict::Skip,
            _ => OnConflict::Force,
        };
        UndoOptions {
            on_conflict,
            ..UndoOptions::new(self.what())
        }
    }

    fn what(&mut self) -> UndoWhat {
        let newest = *self.revisions.last().unwrap();
        match self.draw.random.random_range(0..3) {
            0 => UndoWhat::OfSession("bound".to_owned()),
            1 => UndoWhat::Operation(Revision(self.draw.random.random_range(1..=newest.0))),
            _ => UndoWhat::Range {
                from: Revision(self.draw.random.random_range(1..=newest.0)),
                to: newest,
            },
        }
    }
}

/// The paths that an operation names.
fn paths(op: &Op) -> Vec<&str> {
    match op {
        Op::Write(path, _)
        | Op::Append(path, _)
        | Op::Truncate(path, _)
        | Op::SetAttributes { path, .. }
        | Op::SetMetadata(path, _)
        | Op::SetTags { path, .. }
        | Op::Mkdir(path, _)
        | Op::Remove { path, .. }
        | Op::Symlink { path, .. }
        | Op::Rollback(path, _) => vec![path],
        Op::Rename(from, to, _)
        | Op::Copy(from, to, _)
        | Op::HardLink {
            existing: from,
            path: to,
        }
        | Op::Fork { from, to, .. } => vec![from, to],
        Op::Batch(steps) => steps.iter().flat_map(paths).collect(),
        Op::Reopen { .. } | Op::Gc => vec![],
    }
}

/// Where a link leads, by its path and target.
fn lead(link: &str, target: &str) -> String {
    let (directory, _) = link.rsplit_once('/').unwrap();
    let whole = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("{directory}/{target}"),
    };
    let mut names = Vec::new();
    for name in whole.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

async fn live_through(seed: u64) -> bool {
    let mut story = Story::begin(seed).await;
    story.work().await;
    story.check_tree().await;
    story.check_log().await;
    story.check_reads().await;
    // Some of it is undone by who sees all.
    if seed.is_multiple_of(5) {
        let options = story.options();
        _ = story.system.undo(options).await;
        story.revisions.push(story.system.revision().await.unwrap());
        story.note_etags().await;
        story.check_log().await;
    }
    let done = story.now().await;
    let options = story.options();
    let undone = story.undo(options).await;
    let by = undone.as_ref().and_then(|report| report.revisions.first());
    if let Some(by) = by
        && story.undo(operation(*by)).await.is_some()
    {
        assert_eq!(
            story.now().await,
            done,
            "seed {seed}: undone and done again"
        );
    }
    story.check_log().await;
    story.check_reads().await;
    let before = story.now().await;
    let point = *story.revisions.choose(&mut story.draw.random).unwrap();
    let prefix = story.prefix;
    let restored = story
        .bound
        .restore(prefix, At::Revision(point), RestoreOptions::default());
    let restored = restored.await;
    let after = story.now().await;
    story.assert_outside(&before, &after, &"a restore");
    story.note_etags().await;
    match restored {
        Ok(report) => story.check_told("a restore", &report),
        Err(error) => {
            assert_eq!(before, after, "seed {seed}: {error}");
            story.check_error(&error, &[]);
        }
    }
    assert_sound(&story.stores, &story.system).await;
    story.check_log().await;
    undone.is_some()
}

/// Who is bound to a prefix is told nothing of what lies outside and changes nothing there, and finds
/// inside what anybody would.
#[tokio::test]
async fn who_is_bound_to_a_prefix_neither_sees_nor_changes_what_is_outside() {
    let mut undone = 0;
    for seed in 0..STORIES {
        undone += u64::from(live_through(seed).await);
    }
    assert!(
        undone > STORIES / 4,
        "only {undone} stories undid something"
    );
}
