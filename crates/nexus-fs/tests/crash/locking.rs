//! The power goes off at any operation of either disk while locks are taken, extended and given up,
//! and files are written under them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::{AcquireOptions, Lease, Session, Stores, WriteOptions, Zone};
use nexus_kernel::{Durability, Kind, Result};
use nexus_service_api::{Context, Fence, Principal, PrincipalKind};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::disks::{Disks, Lie};
use crate::forking::{State, check_sound, state};
use crate::machine::runtime;
use crate::zone::{ManualClock, open, tight_config};

const LOCK: &str = "name:deploy";
const SECOND: i64 = 1_000_000_000;
const TTL: Duration = Duration::from_secs(10);

/// What somebody does at some second; durable when it is answered.
#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire,
    Extend,
    Release,
    /// Writes a file, standing on the lease.
    Write(&'static str),
}

use Step::{Acquire, Extend, Release, Write};

/// Ada's second lease is not given up: its time runs out, and the lock is Bob's again.
const STORY: [(i64, &str, Step); 13] = [
    (1, "ada", Acquire),
    (2, "ada", Write("/a")),
    (9, "ada", Extend),
    (15, "ada", Write("/b")),
    (16, "ada", Release),
    (17, "bob", Acquire),
    (18, "bob", Write("/a")),
    (19, "bob", Release),
    (20, "ada", Acquire),
    (21, "ada", Extend),
    (22, "ada", Write("/c")),
    (40, "bob", Acquire),
    (41, "bob", Write("/c")),
];

/// A node, and those who call it with the tokens that they know.
struct Running {
    stores: Stores,
    zone: Zone,
    clock: Arc<ManualClock>,
    /// The last of each.
    tokens: BTreeMap<&'static str, u64>,
    /// All that were ever told, in order.
    told: Vec<(&'static str, u64)>,
}

impl Running {
    async fn start(disks: &Disks, told: Vec<(&'static str, u64)>) -> Self {
        let clock = Arc::<ManualClock>::default();
        let stores = disks.stores(clock.clone()).unwrap();
        let zone = open(&stores, &tight_config(clock.clone())).await.unwrap();
        Self {
            stores,
            zone,
            clock,
            tokens: told.iter().copied().collect(),
            told,
        }
    }

    fn session(&self, who: &str) -> Session {
        let principal = Principal {
            kind: PrincipalKind::Agent,
            id: who.into(),
            ..Principal::system()
        };
        self.zone.session(Context::new(Arc::new(principal)))
    }

    fn system(&self) -> Session {
        self.zone.session(Context::system())
    }

    async fn perform(&mut self, (second, who, step): (i64, &'static str, Step)) -> Result<()> {
        self.clock.set(second * SECOND);
        let files = self.session(who);
        let token = self.tokens.get(who).copied().unwrap_or_default();
        let sync = Durability::Sync;
        match step {
            Acquire => {
                let options = AcquireOptions {
                    ttl: TTL,
                    ..AcquireOptions::default()
                };
                let lease = files.acquire_lock(LOCK, options).await?;
                self.learn(who, lease.token);
                Ok(())
            }
            Extend => files.extend_lock(LOCK, token, TTL, sync).await.map(drop),
            Release => files.release_lock(LOCK, token, sync).await.map(drop),
            Write(path) => write_under(&files, token, path).await,
        }
    }

    /// Tokens only grow, over the end of whoever gives them.
    fn learn(&mut self, who: &'static str, token: u64) {
        let before = self.told.iter().map(|(_, token)| *token).max();
        assert!(before < Some(token), "{token} after {before:?}");
        self.tokens.insert(who, token);
        self.told.push((who, token));
    }

    /// Whoever was not told of a lease finds it, as it lies there.
    async fn ask_for_lease(&mut self, who: &'static str) {
        let lease = self.lease().await.unwrap();
        self.learn(who, lease.token);
    }

    async fn lease(&self) -> Option<Lease> {
        let mut leases = match self.system().inspect_lock(LOCK).await {
            Err(error) if error.kind() == Kind::NotFound => return None,
            lock => lock.unwrap().leases,
        };
        assert!(leases.len() < 2, "{leases:?}");
        leases.pop()
    }

    async fn look(&self) -> (State, Option<(String, i64)>) {
        let held = self.lease().await;
        let held = held.map(|lease| (lease.holder, lease.expires.0 / SECOND));
        (state(&self.system(), &self.stores).await, held)
    }

    /// Nobody writes with a lease that is not held any more.
    async fn check_fences(&self) {
        let held = self.lease().await.map(|lease| lease.token);
        for (who, token) in self.told.iter().filter(|(_, token)| Some(*token) != held) {
            let late = write_under(&self.session(who), *token, "/late").await;
            assert_eq!(late.unwrap_err().kind(), Kind::Conflict, "{who} {token}");
        }
    }

    /// How many steps were acknowledged before the power went off.
    async fn perform_all(&mut self, disks: &Disks, from: usize) -> usize {
        for (at, step) in STORY.into_iter().enumerate().skip(from) {
            if let Err(error) = self.perform(step).await {
                assert!(disks.power.is_off(), "{step:?}: {error:?}");
                return at;
            }
        }
        STORY.len()
    }
}

async fn write_under(files: &Session, token: u64, path: &str) -> Result<()> {
    let fence = Fence {
        token,
        resource: LOCK.into(),
    };
    let files = files.standing_on(vec![fence]);
    let content = "a content that takes a blob of its own".into();
    let written = files.write(path, content, WriteOptions::default());
    written.await.map(drop)
}

/// What each step leaves, and who holds the lock until when.
type Left = (State, Option<(String, i64)>);

/// Wherever the story is cut off, the step under way has happened or not, a lease that was told of
/// holds and stands behind the files that are written under it, one that was given up does not, and
/// the story goes on from there to the same end.
#[test]
fn a_lock_that_is_cut_off_anywhere_is_held_or_not() {
    let states = whole_story();
    for operations in 0.. {
        if !is_cut_off(operations, &states) {
            assert!(operations > 25, "it took {operations} operations");
            return;
        }
    }
}

/// What is before the first step and after each.
fn whole_story() -> Vec<Left> {
    let disks = Disks::new(&mut StdRng::seed_from_u64(0), Lie::None);
    runtime().block_on(async {
        let mut running = Running::start(&disks, Vec::new()).await;
        let mut states = vec![running.look().await];
        for step in STORY {
            running.perform(step).await.unwrap();
            states.push(running.look().await);
            running.check_fences().await;
        }
        states
    })
}

/// Whether the power went off before the story had ended.
fn is_cut_off(operations: u64, states: &[Left]) -> bool {
    let mut random = StdRng::seed_from_u64(operations);
    let mut disks = Disks::new(&mut random, Lie::None);
    disks.create_database(&mut random);
    let (done, told) = runtime().block_on(async {
        let mut running = Running::start(&disks, Vec::new()).await;
        disks.power.off_after(operations);
        let done = running.perform_all(&disks, 0).await;
        (done, running.told)
    });
    let cut = disks.power.is_off();
    let disks = disks.after_power_loss(&mut random);
    runtime().block_on(async {
        let mut running = Running::start(&disks, told).await;
        let under_way = (done + 1).min(STORY.len());
        let second = |at: usize| at.checked_sub(1).map_or(0, |last| STORY[last].0);
        let mut found = None;
        for (at, left) in states.iter().enumerate().take(under_way + 1).skip(done) {
            running.clock.set(second(at) * SECOND);
            if running.look().await == *left {
                found = Some(at);
                break;
            }
        }
        let Some(at) = found else {
            let found = running.look().await;
            panic!("cut at {operations}, after {done} steps: {found:#?}");
        };
        if at > done && matches!(STORY[done].2, Acquire) {
            running.ask_for_lease(STORY[done].1).await;
        }
        running.check_fences().await;
        check_sound(&running.system(), &running.stores, &mut random).await;
        assert_eq!(running.perform_all(&disks, at).await, STORY.len());
        assert!(
            running.look().await == states[STORY.len()],
            "cut at {operations}"
        );
        check_sound(&running.system(), &running.stores, &mut random).await;
    });
    cut
}
