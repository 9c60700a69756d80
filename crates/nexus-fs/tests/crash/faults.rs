//! Stores that fail, before or after the fact: every answer agrees with what is found after it.

use std::sync::Arc;

use nexus_driver_memory::MemoryMetastore;
use nexus_fs::{Session, Stores, Zone};
use nexus_kernel::{Error, Outcome};
use nexus_service_api::Context;
use nexus_testkit::metastore::{self, FaultyMetastore};
use nexus_testkit::object_store::{self, FaultyObjectStore};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::books::{Books, Violation};
use crate::deeds::{Client, Deed};
use crate::disks::{Disks, Lie};
use crate::inspect::Inspection;
use crate::machine::runtime;
use crate::ops::{Draw, Mix};
use crate::zone::{ManualClock, TICK, open, stores, tight_config};

/// Each seed is a run of its own. More of them look further.
const RUNS: u64 = 20;
const STEPS: i64 = 120;

#[test]
fn every_answer_is_true_while_stores_in_memory_fail() {
    check(in_memory);
}

#[test]
fn every_answer_is_true_while_redb_and_the_local_store_fail() {
    check(|random| {
        let disks = Disks::new(random, Lie::None);
        disks.stores(Arc::<ManualClock>::default()).unwrap()
    });
}

/// Who takes an unknown outcome for a failure is wrong at times.
#[test]
fn an_unknown_outcome_is_not_a_failure() {
    let wrong = (0..RUNS).any(|seed| run(seed, in_memory, Reading::Rash).is_err());
    assert!(
        wrong,
        "no commit took effect late, so these tests prove nothing"
    );
}

fn in_memory(_: &mut StdRng) -> Stores {
    stores(Arc::new(MemoryMetastore::new()))
}

fn check(new_stores: impl Fn(&mut StdRng) -> Stores) {
    let mut injected = 0;
    for seed in 0..RUNS {
        let ended = run(seed, &new_stores, Reading::Careful);
        injected += ended.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
    assert!(injected > RUNS * 15, "only {injected} faults were injected");
}

/// How answers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Careful,
    /// An unknown outcome says that nothing happened.
    Rash,
}

/// Answers how many faults there were.
fn run(
    seed: u64,
    new_stores: impl Fn(&mut StdRng) -> Stores,
    reading: Reading,
) -> Result<u64, Violation> {
    let mut random = StdRng::seed_from_u64(seed);
    let stores = new_stores(&mut random);
    runtime().block_on(async {
        let mut run = Run::new(random, stores, reading).await;
        let ended = run.live().await;
        ended.map_err(|violation| run.books.tell(violation))?;
        Ok(run.injected())
    })
}

struct Run {
    /// What the zone stands on, and what that stands on.
    failing: Stores,
    sound: Stores,
    metastore: Arc<FaultyMetastore>,
    objects: Arc<FaultyObjectStore>,
    clock: Arc<ManualClock>,
    zone: Zone,
    session: Session,
    client: Client,
    books: Books,
    random: StdRng,
    reading: Reading,
}

impl Run {
    async fn new(mut random: StdRng, sound: Stores, reading: Reading) -> Self {
        let seed = random.random();
        let (metastore, objects) = (sound.metastore.clone(), sound.objects.clone());
        let metastore = FaultyMetastore::new(metastore, seed, metastore::Faults::OFF);
        let objects = FaultyObjectStore::new(objects, seed, object_store::Faults::OFF);
        let (metastore, objects) = (Arc::new(metastore), Arc::new(objects));
        let failing = Stores {
            metastore: metastore.clone(),
            objects: objects.clone(),
        };
        let clock = Arc::<ManualClock>::default();
        let zone = open(&failing, &tight_config(clock.clone())).await.unwrap();
        let mix = Mix {
            reopens: false,
            large_one_in: 25,
            forks: seed.is_multiple_of(3),
        };
        let draw = Draw {
            random: StdRng::seed_from_u64(random.random()),
            mix,
        };
        Self {
            session: zone.session(Context::system()),
            zone,
            failing,
            sound,
            metastore,
            objects,
            clock,
            client: Client {
                home: String::new(),
                draw,
            },
            books: Books::new(),
            random,
            reading,
        }
    }

    async fn live(&mut self) -> Result<(), Violation> {
        for step in 1..=STEPS {
            self.clock.set(step * TICK);
            self.step(step * TICK).await?;
        }
        // What an answer that was lost kept from being collected is free after a restart.
        self.zone = open(&self.failing, &tight_config(self.clock.clone()))
            .await
            .map_err(|error| format!("the zone does not open: {error:?}"))?;
        self.session = self.zone.session(Context::system());
        let mut inspection = inspection(&self.session, &self.sound, &mut self.random);
        inspection.everything(&mut self.books).await?;
        inspection.garbage().await
    }

    async fn step(&mut self, now: i64) -> Result<(), Violation> {
        let deed = match self.random.random_range(0..12) {
            0 => Deed::Gc,
            1 => Deed::Sync,
            _ => self.client.draw(&self.books.current),
        };
        let before = self.injected();
        // A handle tries again by itself, so one that fails may write twice.
        if !matches!(deed, Deed::Patch(..)) && self.random.random_ratio(3, 5) {
            self.fall_ill();
        }
        let mut answer = deed.perform(&self.session).await;
        let unknown = |error: &Error| error.outcome() == Outcome::Unknown;
        if self.reading == Reading::Rash && answer.as_ref().is_err_and(unknown) {
            answer = Err(Error::unavailable("it has failed, so nothing happened"));
        }
        self.heal().await;
        let failed = self.injected() > before;
        self.books.learn(&deed, now, &answer, failed)?;
        let mut inspection = inspection(&self.session, &self.sound, &mut self.random);
        inspection.settle(&mut self.books).await
    }

    fn fall_ill(&mut self) {
        self.metastore.set_faults(metastore::Faults {
            before_per_mille: 60,
            after_per_mille: 250,
            late_per_mille: 250,
        });
        self.objects.set_faults(object_store::Faults {
            before_per_mille: 100,
            after_per_mille: 100,
            short_body_per_mille: 100,
            disk_full: self.random.random_ratio(1, 10),
        });
    }

    /// Ends the faults, and waits for the commits whose answers were lost before.
    async fn heal(&self) {
        self.metastore.heal();
        self.objects.heal();
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.sound.metastore.sync().await.unwrap();
    }

    fn injected(&self) -> u64 {
        self.metastore.injected() + self.objects.injected()
    }
}

fn inspection<'a>(
    session: &'a Session,
    stores: &'a Stores,
    random: &'a mut StdRng,
) -> Inspection<'a> {
    Inspection {
        session,
        stores,
        random,
    }
}
