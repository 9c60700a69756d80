//! A machine with a zone on it that loses its power again and again.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use nexus_fs::{Handle, MkdirOptions, OpenMode, Session, Stores, Zone};
use nexus_kernel::{Durability, Freshness, KeyRange, Result, Revision, Scan};
use nexus_service_api::Context;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;

use crate::books::{Books, Violation};
use crate::deeds::{Client, Deed};
use crate::disks::{Disks, Lie};
use crate::inspect::Inspection;
use crate::ops::{Draw, Mix, Op};
use crate::zone::{ManualClock, TICK, open, tight_config};

pub(crate) struct Machine {
    disks: Disks,
    books: Books,
    clients: Vec<Client>,
    clock: Arc<ManualClock>,
    ticks: i64,
    random: StdRng,
    /// How often the power went off.
    power_losses: u64,
}

/// A zone while it is served.
struct Running {
    /// Open while their files may be removed.
    held: Vec<Handle>,
    session: Session,
    zone: Zone,
    stores: Stores,
}

impl Machine {
    pub(crate) fn new(seed: u64, lie: Lie) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        // One that may do everything everywhere, or some at once.
        let homes: &[&str] = match seed % 2 {
            0 => &[""],
            _ => &["/x", "/y", "/z"],
        };
        let mix = Mix {
            reopens: false,
            large_one_in: 25,
            forks: seed.is_multiple_of(3),
        };
        let clients = homes.iter().map(|home| Client {
            home: (*home).to_owned(),
            draw: Draw {
                random: StdRng::seed_from_u64(random.random()),
                mix,
            },
        });
        Self {
            clients: clients.collect(),
            disks: Disks::new(&mut random, lie),
            books: Books::new(),
            clock: Arc::default(),
            ticks: 0,
            random,
            power_losses: 0,
        }
    }

    /// Goes through so many times of service; says how often the power went off.
    pub(crate) fn live_through(mut self, services: u32) -> Result<u64, Violation> {
        let lived = self.live(services);
        lived.map_err(|violation| self.books.tell(violation))?;
        Ok(self.power_losses)
    }

    fn live(&mut self, services: u32) -> Result<(), Violation> {
        self.disks.power.off_after(self.random.random_range(0..150));
        self.disks.create_database(&mut self.random);
        runtime().block_on(self.start_and_stop())?;
        self.lose_power();
        self.interrupted_starts()?;
        for _ in 0..services {
            runtime().block_on(self.serve())?;
            self.lose_power();
            self.interrupted_starts()?;
        }
        runtime().block_on(async {
            let mut running = self.start().await?;
            self.inspect(&mut running).await
        })
    }

    /// Does this and no more, with the power going off after so many operations of the disks;
    /// says whether the story took more than those.
    pub(crate) fn follow(mut self, story: &[Deed], operations: u64) -> Result<bool, Violation> {
        self.disks.power.off_after(operations);
        self.disks.create_database(&mut self.random);
        let followed = runtime().block_on(self.do_all(story));
        let power = &self.disks.power;
        let was_longer = power.is_off() || power.operations() > operations;
        self.lose_power();
        let checked = followed.and_then(|()| {
            runtime().block_on(async {
                let mut running = self.start().await?;
                self.inspect(&mut running).await
            })
        });
        checked.map_err(|violation| self.books.tell(violation))?;
        Ok(was_longer)
    }

    async fn do_all(&mut self, story: &[Deed]) -> Result<(), Violation> {
        let running = match self.start().await {
            Err(_) if self.disks.power.is_off() => return Ok(()),
            running => running?,
        };
        for deed in story {
            self.ticks += 1;
            self.clock.set(self.ticks * TICK);
            let answer = deed.perform(&running.session).await;
            let is_off = self.disks.power.is_off();
            self.books.learn(deed, self.ticks * TICK, &answer, is_off)?;
            if is_off {
                return Ok(());
            }
            assert!(answer.is_ok(), "{deed:?} is part of the story: {answer:?}");
        }
        if running.zone.close().await.is_ok() {
            self.books.promise_all();
        }
        Ok(())
    }

    fn lose_power(&mut self) {
        self.power_losses += 1;
        self.disks = self.disks.after_power_loss(&mut self.random);
    }

    /// Starts that the power does not last for.
    fn interrupted_starts(&mut self) -> Result<(), Violation> {
        for _ in 0..self.random.random_range(0..3) {
            self.disks.power.off_after(self.random.random_range(0..30));
            runtime().block_on(self.start_and_stop())?;
            self.lose_power();
        }
        Ok(())
    }

    async fn start_and_stop(&mut self) -> Result<(), Violation> {
        let Ok(stores) = self.disks.stores(self.clock.clone()) else {
            return Ok(());
        };
        let Ok(logged) = last_logged(&stores).await else {
            return Ok(());
        };
        self.books.found(newest(&stores), logged)?;
        if let Ok(zone) = open(&stores, &tight_config(self.clock.clone())).await {
            // Deleted trees go on being cleared away.
            for _ in 0..self.random.random_range(0..30) {
                tokio::task::yield_now().await;
            }
            drop(zone);
        }
        self.disks.power.off();
        Ok(())
    }

    async fn start(&mut self) -> Result<Running, Violation> {
        let stores = self.disks.stores(self.clock.clone());
        let stores = stores.map_err(|error| format!("no start: {error:?}"))?;
        let logged = last_logged(&stores).await;
        let logged = logged.map_err(|error| format!("the log cannot be read: {error:?}"))?;
        self.books.found(newest(&stores), logged)?;
        let zone = open(&stores, &tight_config(self.clock.clone())).await;
        let zone = zone.map_err(|error| format!("the zone does not open: {error:?}"))?;
        Ok(Running {
            session: zone.session(Context::system()),
            held: Vec::new(),
            zone,
            stores,
        })
    }

    async fn inspect(&mut self, running: &mut Running) -> Result<(), Violation> {
        let mut inspection = Inspection {
            session: &running.session,
            stores: &running.stores,
            random: &mut self.random,
        };
        inspection.everything(&mut self.books).await
    }

    /// From a start to a power loss or an orderly end.
    async fn serve(&mut self) -> Result<(), Violation> {
        let mut running = self.start().await?;
        self.inspect(&mut running).await?;
        self.make_homes(&running).await?;
        self.disks.power.off_after(self.random.random_range(0..220));
        for _ in 0..self.random.random_range(1..25) {
            self.round(&mut running).await?;
            if self.disks.power.is_off() {
                break;
            }
        }
        if self.random.random_ratio(1, 4) && running.zone.close().await.is_ok() {
            self.books.promise_all();
        } else {
            self.disks.power.off();
        }
        Ok(())
    }

    async fn make_homes(&mut self, running: &Running) -> Result<(), Violation> {
        let homes = self.clients.iter().map(|client| client.home.clone());
        for home in homes.filter(|home| !home.is_empty()).collect::<Vec<_>>() {
            let options = MkdirOptions {
                exist_ok: true,
                ..MkdirOptions::default()
            };
            let deed = Deed::Change(Op::Mkdir(home, options), Durability::Sync);
            let answer = deed.perform(&running.session).await;
            let now = self.ticks * TICK;
            self.books.learn(&deed, now, &answer, false)?;
        }
        Ok(())
    }

    /// All clients do something at the same time.
    async fn round(&mut self, running: &mut Running) -> Result<(), Violation> {
        self.ticks += 1;
        let now = self.ticks * TICK;
        self.clock.set(now);
        self.hold_something(running).await;
        let tree = &self.books.current;
        let drawn = self.clients.iter_mut().map(|client| client.draw(tree));
        let mut deeds: Vec<Deed> = drawn.collect();
        match self.random.random_range(0..10) {
            0 => deeds.push(Deed::Sync),
            1 => deeds.push(Deed::Gc),
            _ => {}
        }
        let answers = join_all(deeds.iter().map(|deed| deed.perform(&running.session))).await;
        let failing = self.disks.power.is_off();
        for (deed, answer) in deeds.iter().zip(&answers) {
            self.books.learn(deed, now, answer, failing)?;
        }
        Ok(())
    }

    /// Opens a file and lets go of others: what is removed meanwhile goes with the last handle.
    async fn hold_something(&mut self, running: &mut Running) {
        if self.random.random() {
            running.held.clear();
        }
        let paths = self.books.current.paths();
        if let Some((path, _)) = paths.choose(&mut self.random)
            && let Ok(stat) = running.session.stat(path, Default::default()).await
            && let Ok(handle) = running.session.open_handle(stat.ino, OpenMode::Read).await
        {
            running.held.push(handle);
        }
    }
}

/// How far the metastore has come.
fn newest(stores: &Stores) -> Revision {
    let newest = stores.metastore.changed(Revision::ZERO).now_or_never();
    newest.map_or(Revision::ZERO, Result::unwrap_or_default)
}

/// The last commit that the log tells of.
async fn last_logged(stores: &Stores) -> Result<Revision> {
    let last = Scan::backward(KeyRange::prefix("l"), 1);
    let last = stores.metastore.scan(last, Freshness::Local).await?;
    let last = last.entries.first();
    Ok(last.map_or(Revision::ZERO, |record| record.value.revision))
}

/// One for each time the machine is on: what it left running ends with it.
pub(crate) fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap()
}
