//! The power goes at any write, resize or sync: while groups are committed, while the file
//! is closed, while a restart recovers, while the file is first created. After each
//! restart the store must hold exactly the first R transactions, and at least every
//! acknowledged `Sync` one.
//!
//! While it runs, every read must answer what the model does, whatever is in memory, on its way
//! into the file, or there. The committer is driven without its thread, so that a seed replays
//! exactly.

mod running;

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use nexus_driver_memory::MemoryMetastore;
use nexus_kernel::{
    Commit, Durability, Entry, Freshness, Guard, KeyRange, Metastore, Op, Revision, Scan,
    ScanDirection, Txn, TxnId,
};
use nexus_testkit::power_loss::SimulatedDisk;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

pub(super) use self::running::Running;
use crate::config::RedbConfig;
use crate::open;

/// Crashes of one simulated machine.
const CRASHES: u64 = 20;

const RELAXED_COMMITS_MAX: u64 = 20;

/// From memtables that hold nothing to one that is never full.
const MEMTABLE_BYTES_MAX: [usize; 4] = [0, 1000, 20_000, 8 << 20];

/// What went wrong; none of it may.
type Violation = String;

#[test]
fn no_acknowledged_commit_is_lost_at_any_of_4000_power_losses() {
    for seed in 0..200 {
        if let Err(violation) = Machine::new(seed).live_through(CRASHES) {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let caught = (0..10).any(|seed| {
        let machine = Machine::new(seed);
        machine.disk.lie_about_syncs();
        machine.live_through(CRASHES).is_err()
    });
    assert!(caught, "the simulation would not notice a lost write");
}

struct Machine {
    disk: SimulatedDisk,
    random: StdRng,
    /// The transactions that applied, in order: the nth became revision n. A revision that was
    /// left out is one that changed nothing.
    log: Vec<Txn>,
    /// Holds what `log` says.
    model: MemoryMetastore,
    /// What must survive.
    promised: Revision,
    /// What some caller has heard of.
    seen: Revision,
    next_id: u128,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self {
            disk: SimulatedDisk::new(seed),
            random: StdRng::seed_from_u64(!seed),
            log: Vec::new(),
            model: MemoryMetastore::new(),
            promised: Revision::ZERO,
            seen: Revision::ZERO,
            next_id: 0,
        }
    }

    fn live_through(mut self, crashes: u64) -> Result<(), Violation> {
        self.create();
        for crash in 0..crashes {
            self.live_until_the_next()
                .map_err(|v| format!("crash {crash}: {v}"))?;
        }
        Ok(())
    }

    /// The first creation happens under another name: what a crash leaves of it is thrown
    /// away, and only a finished one becomes the store.
    fn create(&mut self) {
        loop {
            self.disk.lose_power_after(self.random.random_range(0..120));
            let created = open::backend(&config(0), self.disk.clone());
            let whole = created.is_ok();
            drop(created);
            if whole && self.disk.has_power() {
                return;
            }
            let fresh = SimulatedDisk::new(self.random.random());
            self.disk = fresh;
        }
    }

    fn live_until_the_next(&mut self) -> Result<(), Violation> {
        let mut running = self.recover()?;
        self.check(&running)?;
        self.disk.lose_power_after(self.random.random_range(0..150));
        for _ in 0..self.random.random_range(1..10) {
            self.commit_a_group(&mut running)?;
            match self.random.random_range(0..4) {
                0 | 1 => running.begin_flush(),
                2 => running.end_flush(),
                _ => {}
            }
            self.check_reads(&running)?;
        }
        self.stop(running);
        self.disk = self.disk.restart();
        Ok(())
    }

    /// Opens what a crash left, with more crashes on the way.
    fn recover(&mut self) -> Result<Running, Violation> {
        for _ in 0..self.random.random_range(0..3) {
            self.disk.lose_power_after(self.random.random_range(0..12));
            drop(Running::open(&self.disk, &config(0)));
            self.disk = self.disk.restart();
        }
        self.disk.keep_power();
        let memtable_bytes_max = MEMTABLE_BYTES_MAX.choose(&mut self.random);
        let config = config(*memtable_bytes_max.expect("there are some"));
        Running::open(&self.disk, &config).map_err(|error| format!("does not open: {error:?}"))
    }

    /// Reads answer what the model does, as long as there is a disk to read.
    fn check_reads(&mut self, running: &Running) -> Result<(), Violation> {
        if !self.disk.has_power() {
            return Ok(());
        }
        let key = self.random_key();
        let (have, want) = (
            running.get(&key),
            now(self.model.get(&key, Freshness::Local)),
        );
        if have != want.unwrap() {
            return Err(format!("{key:?} reads {have:?}"));
        }
        let range = self.random_range();
        let direction = [ScanDirection::Forward, ScanDirection::Backward];
        let scan = Scan {
            range: [range, KeyRange::prefix("k/"), KeyRange::prefix("l/")]
                .choose(&mut self.random)
                .expect("there are some")
                .clone(),
            limit: self.random.random_range(1..12),
            bytes_max: usize::MAX,
            direction: *direction.choose(&mut self.random).expect("there are two"),
        };
        let have = running.scan(&scan);
        let want = now(self.model.scan(scan.clone(), Freshness::Local)).unwrap();
        if have != want {
            return Err(format!("{scan:?} reads {have:?}, not {want:?}"));
        }
        Ok(())
    }

    /// The store holds the first R transactions and no trace of another.
    fn check(&mut self, running: &Running) -> Result<(), Violation> {
        let (found, promised) = (running.survived, self.promised);
        let issued = self.log.len() as u64;
        let lost = found.0.min(issued)..promised.0.max(found.0);
        let lost = self.log.get(lost.start as usize..lost.end as usize);
        if lost.is_none_or(|lost| lost.iter().any(|txn| *txn != left_out())) {
            return Err(format!(
                "found revision {found}, promised {promised}, issued {issued}"
            ));
        }
        let (next, seen) = (running.revision, self.seen);
        if next < seen || next < found || next.0 > issued + 1 + RELAXED_COMMITS_MAX {
            return Err(format!(
                "goes on at {next}; found {found}, seen {seen}, issued {issued}"
            ));
        }
        self.log.truncate(found.0 as usize);
        self.log.resize(next.0 as usize, left_out());
        self.model = MemoryMetastore::new();
        for txn in &self.log {
            let replayed = now(self.model.commit(txn.clone()));
            assert!(matches!(replayed, Ok(Commit::Applied(_))));
        }
        match first_difference(&running.rows(), &rows(&self.model)) {
            Some(key) => Err(format!("at revision {found} the row {key:?} is wrong")),
            None => Ok(()),
        }
    }

    fn commit_a_group(&mut self, running: &mut Running) -> Result<(), Violation> {
        let txns: Vec<_> = (0..self.random.random_range(1..8))
            .map(|_| self.random_txn())
            .collect();
        let asks_for_sync = self.random.random_ratio(1, 4);
        let answers: Vec<_> = txns.iter().map(|txn| running.push(txn)).collect();
        let synced = asks_for_sync.then(|| running.push_sync());
        running.serve();
        for (txn, mut answer) in txns.into_iter().zip(answers) {
            let want = now(self.model.commit(txn.clone()));
            if let Ok(Commit::Applied(revision)) = want
                && revision.0 > self.log.len() as u64
            {
                self.log.push(txn.clone());
            }
            if !self.disk.has_power() {
                continue;
            }
            let have = answer.try_recv().map_err(|_| "a caller got no answer")?;
            let (have, want) = (have.map_err(|e| e.kind()), want.map_err(|e| e.kind()));
            if have != want {
                return Err(format!("answered {have:?}, not {want:?}"));
            }
            if let Ok(Commit::Applied(revision)) = have {
                self.seen = self.seen.max(revision);
                if txn.durability == Durability::Sync {
                    self.promised = self.promised.max(revision);
                }
            }
        }
        if let Some(mut synced) = synced
            && let Ok(Ok(revision)) = synced.try_recv()
        {
            self.promised = self.promised.max(revision);
        }
        Ok(())
    }

    /// Pulls the plug, or closes in order, which makes everything durable.
    fn stop(&mut self, running: Running) {
        if self.random.random_ratio(2, 3) {
            self.disk.lose_power();
        }
        running.close();
        if self.disk.has_power() {
            self.promised = Revision(self.log.len() as u64);
        }
    }

    fn random_txn(&mut self) -> Txn {
        let ops = (0..self.random.random_range(1..6)).map(|_| self.random_op());
        let ops = ops.collect();
        let guards = match self.random.random_range(0..6) {
            0 => vec![Guard::Absent(self.random_key())],
            1 => vec![Guard::Present(self.random_key())],
            2 => vec![Guard::RangeEmpty(self.random_range())],
            _ => Vec::new(),
        };
        Txn {
            id: self.random_id(),
            guards,
            ops,
            durability: [Durability::Sync, Durability::Relaxed][self.random.random_range(0..2)],
        }
    }

    fn random_op(&mut self) -> Op {
        let key = self.random_key();
        match self.random.random_range(0..12) {
            0..=4 => Op::Put(key, self.random_value()),
            5 => Op::Delete(key),
            6 => Op::DeleteRange(self.random_range()),
            7 | 8 => Op::Add("n".into(), self.random.random_range(-9..9)),
            9 => Op::Add(key, 1),
            10 => Op::Max(key, self.random_value()),
            _ => Op::PutStamped("l/".into(), self.random_value()),
        }
    }

    fn random_key(&mut self) -> Bytes {
        format!("k/{:02}", self.random.random_range(0..40)).into()
    }

    fn random_range(&mut self) -> KeyRange {
        let start = self.random.random_range(0..40);
        let end = start + self.random.random_range(0..4);
        KeyRange {
            start: format!("k/{start:02}").into(),
            end: format!("k/{end:02}").into(),
        }
    }

    /// Mostly small; at times larger than a page.
    fn random_value(&mut self) -> Bytes {
        let length = match self.random.random_range(0..10) {
            0 => self.random.random_range(3000..10_000),
            1 => 8,
            _ => self.random.random_range(0..100),
        };
        vec![self.random.random(); length].into()
    }

    /// A third of the transactions have an id, and some of those had it before.
    fn random_id(&mut self) -> Option<TxnId> {
        match self.random.random_range(0..9) {
            0 if self.next_id > 0 => Some(TxnId(self.random.random_range(0..self.next_id))),
            0..=2 => {
                self.next_id += 1;
                Some(TxnId(self.next_id - 1))
            }
            _ => None,
        }
    }
}

/// Stands for a revision that no commit has.
fn left_out() -> Txn {
    Txn {
        ops: vec![Op::Delete("none".into())],
        ..Txn::default()
    }
}

fn rows(model: &MemoryMetastore) -> Vec<Entry> {
    let all = KeyRange {
        start: "".into(),
        end: "z".into(),
    };
    let page = model.scan(Scan::forward(all, 10_000), Freshness::Linearizable);
    now(page).unwrap().entries
}

fn first_difference(have: &[Entry], want: &[Entry]) -> Option<Bytes> {
    let pairs = have.iter().zip(want);
    let prefix = pairs.take_while(|(have, want)| have == want).count();
    let next = have.get(prefix).or(want.get(prefix));
    next.map(|row| row.key.clone())
}

fn config(memtable_bytes_max: usize) -> RedbConfig {
    RedbConfig {
        cache_bytes: 1 << 20,
        relaxed_delay_max: Duration::from_secs(3600),
        relaxed_commits_max: RELAXED_COMMITS_MAX,
        memtable_bytes_max,
        ..RedbConfig::new("")
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing here has to wait")
}
