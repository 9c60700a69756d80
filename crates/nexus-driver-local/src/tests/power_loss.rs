//! Power loss, at every moment and again and again.
//!
//! The journal and the checkpoint run here without their threads, on a disk that forgets what was
//! not synced, so that a seed replays exactly.

use std::sync::Arc;

use nexus_kernel::{Error, Kind, Outcome, PutMode, Timestamp};
use nexus_testkit::object_store::key;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;

use crate::checkpoint::checkpoint;
use crate::core::Core;
use crate::disk::sim::{SimDisk, Trouble};
use crate::error::Result;
use crate::journal::Journal;
use crate::lookup::Source;
use crate::queue::{Change, Content, Done, Held, Request};
use crate::staging::Stager;
use crate::{LocalConfig, layout, listing, recovery};

mod model;
mod troubled;

use model::{Model, State};

const KEYS: [&str; 6] = ["a", "a/b", "b/00/k1", "b/00/k2", "b/ff/k3", "c"];
/// Blobs above this are staged.
const JOURNALED_BYTES_MAX: usize = 1500;

fn config() -> LocalConfig {
    LocalConfig {
        journal_blob_bytes_max: JOURNALED_BYTES_MAX,
        relaxed_journal_blob_bytes_max: JOURNALED_BYTES_MAX,
        segment_bytes: 6000,
        // Nothing waits where there is only one thread.
        segments_resting_max: 0,
        segments_behind_max: 1000,
        ..LocalConfig::new("")
    }
}

/// A store without its threads, and what it owes.
struct Machine {
    disk: SimDisk,
    core: Arc<Core>,
    journal: Journal,
    model: Model,
    random: StdRng,
}

/// A change to be, and what it would make of its key.
struct Planned {
    at: usize,
    state: State,
    mode: PutMode,
    durable: bool,
}

impl Machine {
    fn start(disk: SimDisk, model: Model, random: StdRng) -> Result<Self> {
        let (core, journal) = recovery::open(config(), Arc::new(disk.clone()))?;
        Ok(Self {
            disk,
            core,
            journal,
            model,
            random,
        })
    }

    /// Does something at random. Errors are for the model to remember, until the power is off.
    fn step(&mut self) {
        match self.random.random_range(0..20) {
            0..=12 => self.change_some(),
            13 | 14 => self.sync(),
            15 => drop(self.journal.rotate()),
            16..=18 => self.checkpoint_first(),
            _ => drop(self.journal.settle()),
        }
    }

    fn change_some(&mut self) {
        let count = self.random.random_range(1..=4);
        let planned: Vec<Planned> = (0..count).map(|_| self.plan()).collect();
        self.commit(planned);
    }

    fn plan(&mut self) -> Planned {
        let random = &mut self.random;
        let seed: u8 = random.random();
        let state = match random.random_range(0..10) {
            0 | 1 => None,
            2..=7 => Some((seed, random.random_range(0..JOURNALED_BYTES_MAX))),
            _ => Some((seed, JOURNALED_BYTES_MAX + 1000)),
        };
        Planned {
            at: random.random_range(0..KEYS.len()),
            durable: state.is_some() && random.random_ratio(2, 3),
            mode: if random.random() {
                PutMode::Overwrite
            } else {
                PutMode::IfAbsent
            },
            state,
        }
    }

    /// Commits changes as one group.
    fn commit(&mut self, planned: Vec<Planned>) {
        let mut group = Vec::new();
        let mut waiting = Vec::new();
        for planned in planned {
            let Ok(change) = self.change(&planned) else {
                continue;
            };
            let (reply, done) = oneshot::channel();
            group.push(Request {
                change,
                durable: planned.durable,
                reply,
                held: Held::default(),
            });
            waiting.push((planned, done));
        }
        self.journal.commit(group);
        let mut unlogged = false;
        for (planned, mut done) in waiting {
            let done = done.try_recv().expect("every change is answered");
            unlogged |= matches!(done, Ok(Done::Taken { unlogged: true }));
            self.learn(&planned, done);
        }
        if unlogged {
            self.sync();
        }
    }

    fn change(&self, planned: &Planned) -> Result<Change> {
        let key = key(KEYS[planned.at]);
        let (mode, modified) = (planned.mode, Timestamp::EPOCH);
        let Some((seed, size)) = planned.state else {
            return Ok(Change::Delete { key, modified });
        };
        let mut content = Content::default();
        content.push(vec![seed; size].into());
        if size <= JOURNALED_BYTES_MAX {
            return Ok(Change::Put {
                key,
                content,
                modified,
                mode,
            });
        }
        let mut stager = Stager::create(Arc::clone(&self.core), modified)?;
        stager.write(&content)?;
        let file = stager.finish(planned.durable)?;
        Ok(Change::Place { key, file, mode })
    }

    fn learn(&mut self, planned: &Planned, done: Result<Done>) {
        let model = &mut self.model;
        match done {
            Ok(Done::Taken { unlogged }) => {
                assert!(
                    model.may_exist(planned.at, true),
                    "only what is there is taken"
                );
                if planned.durable && !unlogged {
                    model.promise(planned.at);
                }
            }
            Ok(Done::Deleted { existed }) => {
                assert!(
                    model.may_exist(planned.at, existed),
                    "it existed: {existed}"
                );
                model.change(planned.at, None);
            }
            Ok(_) => {
                model.change(planned.at, planned.state);
                if planned.durable {
                    model.promise(planned.at);
                }
            }
            Err(failure) if Error::from(failure.clone()).outcome() == Outcome::Unknown => {
                model.maybe(planned.at, planned.state);
            }
            Err(_) => {}
        }
    }

    fn sync(&mut self) {
        let logged = self.core.flush_staged().and_then(|staged| {
            let (reply, mut done) = oneshot::channel();
            self.journal.commit(vec![Request {
                change: Change::Log { staged },
                durable: true,
                reply,
                held: Held::default(),
            }]);
            done.try_recv().expect("every change is answered")
        });
        if logged.is_ok() {
            (0..KEYS.len()).for_each(|at| self.model.promise(at));
        }
    }

    fn checkpoint_first(&mut self) {
        if self.core.backlog.len() > 0 {
            let sealed = self.core.backlog.wait_for_work().expect("one waits");
            let ended = checkpoint(&self.core, &sealed);
            drop(sealed);
            self.core.backlog.ended(ended);
            // A failure stands until somebody asks again.
            drop(self.core.backlog.wait_for_room());
        }
    }

    /// Compares every key, read and listed, with what the model allows.
    fn check(&self, allowed: impl Fn(&Model, usize, State) -> bool) -> Result<Vec<State>, String> {
        let page = listing::list(&self.core, "", None, 100).map_err(|f| format!("{f:?}"))?;
        let listed: Vec<&str> = page.objects.iter().map(|meta| meta.key.as_str()).collect();
        let mut found = Vec::new();
        for (at, name) in KEYS.iter().enumerate() {
            let state = self.read(name)?;
            if !allowed(&self.model, at, state) {
                let model = &self.model;
                return Err(format!(
                    "{name} is {state:?}, not of {}",
                    model.describe(at)
                ));
            }
            if listed.contains(name) != state.is_some() {
                return Err(format!("{name} is {state:?}, but listed are {listed:?}"));
            }
            found.push(state);
        }
        Ok(found)
    }

    /// Reads a blob and recognises it by its first byte and its length.
    fn read(&self, name: &str) -> Result<State, String> {
        let opened = match self.core.open(&key(name)) {
            Err(failure) if failure.is_not_found() => return Ok(None),
            opened => opened.map_err(|failure| format!("{name}: {failure:?}"))?,
        };
        let size = usize::try_from(opened.meta.size).expect("blobs are small here");
        let bytes = match opened.source {
            Source::File(file) => file.read_at(0, size),
            Source::Journal { segment, at } => segment.file.read_at(at, size),
        };
        let bytes = bytes.map_err(|cause| format!("{name}: {cause}"))?;
        let seed = bytes.first().copied().unwrap_or(0);
        if bytes != vec![seed; size] {
            return Err(format!("{name} is torn"));
        }
        Ok(Some((seed, size)))
    }

    /// Checks the running store, which shows the newest of everything.
    fn check_now(&self) -> Result<(), String> {
        self.check(Model::shows).map(drop)
    }
}

/// How a machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    PowerLoss,
    Kill,
}

/// Stops the machine and starts it again, interrupted by `interruptions` more power losses.
fn restart(mut machine: Machine, stop: Stop, interruptions: u32) -> Result<Machine, String> {
    let mut disk = match stop {
        Stop::PowerLoss => machine.disk.after_power_loss(machine.random.random()),
        Stop::Kill => machine.disk.after_kill(),
    };
    for _ in 0..interruptions {
        disk.power_off_after(machine.random.random_range(0..12));
        if let Ok(mut woken) =
            Machine::start(disk.clone(), Model::default(), machine.random.clone())
        {
            while !disk.is_off() && woken.core.backlog.len() > 0 {
                woken.checkpoint_first();
            }
        }
        disk = disk.after_power_loss(machine.random.random());
    }
    let started = Machine::start(disk, machine.model, machine.random);
    let mut machine = started.map_err(|failure| format!("no start: {failure:?}"))?;
    let found = machine.check(Model::allows)?;
    let all_durable = stop == Stop::PowerLoss || interruptions > 0;
    machine.model.settle(&found, all_durable);
    Ok(machine)
}

/// A life of many stops.
fn live(seed: u64, trouble: Trouble) -> Result<u32, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = SimDisk::new();
    let first: u64 = random.random_range(0..40);
    disk.power_off_after(first);
    let mut machine = match Machine::start(disk.clone(), Model::default(), random.clone()) {
        Ok(machine) => machine,
        Err(_) => {
            let disk = disk.after_power_loss(seed);
            let started = Machine::start(disk, Model::default(), random.clone());
            started.map_err(|failure| format!("no first start: {failure:?}"))?
        }
    };
    let stops = 5;
    for _ in 0..stops {
        machine.disk.set_trouble(trouble);
        if random.random_ratio(3, 4) {
            machine.disk.power_off_after(random.random_range(0..120));
        }
        for _ in 0..random.random_range(5..40) {
            machine.step();
            if machine.disk.is_off() {
                break;
            }
            machine.check_now()?;
        }
        let stop = if random.random_ratio(1, 4) {
            Stop::Kill
        } else {
            Stop::PowerLoss
        };
        machine = restart(machine, stop, random.random_range(0..3))?;
    }
    Ok(stops)
}

#[test]
fn nothing_promised_is_lost_and_nothing_torn_is_shown() {
    for seed in 0..600 {
        live(seed, Trouble::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn what_a_failed_write_left_never_shows() {
    for seed in 0..600 {
        let lived = live(seed, Trouble::SomeWritesFail);
        lived.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn a_disk_whose_syncs_lie_is_caught() {
    for lie in [
        Trouble::SyncLies,
        Trouble::SyncDirLies,
        Trouble::SyncAllLies,
    ] {
        let caught = (0..200).any(|seed| live(seed, lie).is_err());
        assert!(
            caught,
            "{lie:?} was never noticed, so these tests prove nothing"
        );
    }
}

/// Puts, replaces and deletes blobs of both kinds, and lets some of them become files.
fn scenario(machine: &mut Machine) {
    let puts = [
        (0, Some((1, 900))),
        (1, Some((2, 2500))),
        (0, Some((3, 1200))),
        (2, Some((4, 0))),
    ];
    let more = [
        (1, Some((5, 2600))),
        (3, Some((6, 1400))),
        (0, None),
        (4, Some((7, 1000))),
    ];
    for (round, changes) in [puts, more].into_iter().enumerate() {
        for (at, state) in changes {
            machine.commit(vec![Planned {
                at,
                state,
                mode: PutMode::Overwrite,
                durable: state.is_some() && (at + round) % 3 != 0,
            }]);
        }
        machine.sync();
        drop(machine.journal.rotate());
        machine.checkpoint_first();
    }
    drop(machine.journal.settle());
    machine.checkpoint_first();
}

#[test]
fn a_store_survives_power_loss_at_every_single_operation() {
    let whole = SimDisk::new();
    let begin = |disk: &SimDisk| {
        let random = StdRng::seed_from_u64(1);
        Machine::start(disk.clone(), Model::default(), random)
    };
    scenario(&mut begin(&whole).unwrap());
    for operations in 0..whole.operations() {
        for seed in 0..4 {
            let disk = SimDisk::new();
            disk.power_off_after(operations);
            let Ok(mut machine) = begin(&disk) else {
                begin(&disk.after_power_loss(seed)).expect("an unfinished creation is finished");
                continue;
            };
            scenario(&mut machine);
            machine.random = StdRng::seed_from_u64(seed);
            let again = restart(machine, Stop::PowerLoss, 0);
            again.unwrap_or_else(|why| panic!("after {operations} operations, seed {seed}: {why}"));
        }
    }
}

#[test]
fn a_recovery_survives_power_loss_at_every_single_operation() {
    let random = StdRng::seed_from_u64(1);
    let mut machine = Machine::start(SimDisk::new(), Model::default(), random.clone()).unwrap();
    let states = [
        (0, 900),
        (1, 2500),
        (2, 1200),
        (3, 1400),
        (1, 2600),
        (0, 1300),
        (4, 1450),
    ];
    for (seed, (at, size)) in (1..).zip(states) {
        machine.commit(vec![Planned {
            at,
            state: Some((seed, size)),
            mode: PutMode::Overwrite,
            durable: true,
        }]);
    }
    let crashed = machine.disk.after_power_loss(1);
    for operations in 0..60 {
        let disk = crashed.after_kill();
        disk.power_off_after(operations);
        let model = machine.model.clone();
        if let Ok(mut woken) = Machine::start(disk.clone(), model.clone(), random.clone()) {
            while !disk.is_off() && woken.core.backlog.len() > 0 {
                woken.checkpoint_first();
            }
        }
        let disk = disk.after_power_loss(operations);
        let again = Machine::start(disk, model, random.clone()).expect("a second start succeeds");
        again
            .check_now()
            .unwrap_or_else(|why| panic!("after {operations} operations: {why}"));
    }
}
