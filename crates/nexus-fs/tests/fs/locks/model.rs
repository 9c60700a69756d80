//! Random use of one lock by many, against what is known of it outside: which leases were
//! granted, extended and ended, and who asked before whom.

use std::collections::BTreeMap;
use std::time::Duration;

use nexus_fs::{AcquireOptions, At, Lease, LockMode, LockState, Session};
use nexus_kernel::{Durability, Kind, Result, Timestamp};
use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::{World, fenced, settle};

const LOCK: &str = "name:model";
const AGENTS: [&str; 3] = ["ada", "bob", "cy"];

#[derive(Clone, Debug)]
enum Deed {
    Ask {
        who: usize,
        mode: LockMode,
        ttl_secs: u64,
        wait_secs: u64,
    },
    Extend {
        lease: usize,
        ttl_secs: u64,
    },
    Release {
        lease: usize,
    },
    Force {
        lease: usize,
    },
    /// A request is dropped.
    Leave {
        ask: usize,
    },
    Pass {
        secs: u64,
    },
    /// A write with the fence of a lease, in force or not.
    Write {
        lease: usize,
    },
}

fn mode() -> impl Strategy<Value = LockMode> {
    prop_oneof![
        Just(LockMode::Exclusive),
        Just(LockMode::Shared),
        Just(LockMode::Counting { permits: 2 }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => (0..AGENTS.len(), mode(), 1..60_u64, 0..40_u64)
            .prop_map(|(who, mode, ttl_secs, wait_secs)| Deed::Ask { who, mode, ttl_secs, wait_secs }),
        2 => (any::<usize>(), 1..60_u64).prop_map(|(lease, ttl_secs)| Deed::Extend { lease, ttl_secs }),
        3 => any::<usize>().prop_map(|lease| Deed::Release { lease }),
        1 => any::<usize>().prop_map(|lease| Deed::Force { lease }),
        1 => any::<usize>().prop_map(|ask| Deed::Leave { ask }),
        3 => (1..30_u64).prop_map(|secs| Deed::Pass { secs }),
        3 => any::<usize>().prop_map(|lease| Deed::Write { lease }),
    ]
}

/// Somebody who waits.
struct Asking {
    /// Who asked before has a smaller one.
    order: usize,
    mode: LockMode,
    task: JoinHandle<Result<Lease>>,
}

struct Known {
    world: World,
    /// Every lease ever granted by its token, and whether it was ended early.
    granted: BTreeMap<u64, (Lease, bool)>,
    asking: Vec<Asking>,
    asked: usize,
    /// The largest order of a request that had to wait and was granted.
    served: Option<usize>,
    written: usize,
}

impl Known {
    async fn new() -> Self {
        Self {
            world: World::new().await,
            granted: BTreeMap::new(),
            asking: Vec::new(),
            asked: 0,
            served: None,
            written: 0,
        }
    }

    fn now(&self) -> Timestamp {
        self.world.admin().now()
    }

    fn holder(&self, lease: &Lease) -> Session {
        self.world
            .agent(lease.holder.strip_prefix("agent:").unwrap())
    }

    fn any_lease(&self, choice: usize) -> Option<Lease> {
        let count = self.granted.len();
        let chosen = self.granted.values().nth(choice.checked_rem(count)?);
        chosen.map(|(lease, _)| lease.clone())
    }

    fn is_held(&self, token: u64) -> bool {
        let (lease, ended) = &self.granted[&token];
        !ended && self.now() < lease.expires
    }

    async fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Ask {
                who,
                mode,
                ttl_secs,
                wait_secs,
            } => {
                let asked = AcquireOptions {
                    mode,
                    ttl: Duration::from_secs(ttl_secs),
                    wait: Duration::from_secs(wait_secs),
                    durability: Durability::Relaxed,
                };
                let session = self.world.agent(AGENTS[who]);
                let task = tokio::spawn(async move { session.acquire_lock(LOCK, asked).await });
                self.asking.push(Asking {
                    order: self.asked,
                    mode,
                    task,
                });
                self.asked += 1;
            }
            Deed::Extend { lease, ttl_secs } => self.extend(lease, ttl_secs).await,
            Deed::Release { lease } => self.release(lease).await,
            Deed::Force { lease } => self.force(lease).await,
            Deed::Leave { ask } => {
                if let Some(choice) = ask.checked_rem(self.asking.len()) {
                    self.asking.remove(choice).task.abort();
                }
            }
            Deed::Pass { secs } => tokio::time::sleep(Duration::from_secs(secs)).await,
            Deed::Write { lease } => self.write(lease).await,
        }
    }

    async fn extend(&mut self, choice: usize, ttl_secs: u64) {
        let Some(lease) = self.any_lease(choice) else {
            return;
        };
        let held = self.is_held(lease.token);
        let ttl = Duration::from_secs(ttl_secs);
        let holder = self.holder(&lease);
        match holder
            .extend_lock(LOCK, lease.token, ttl, Durability::Relaxed)
            .await
        {
            Ok(extended) => {
                assert!(held && extended.expires >= lease.expires);
                self.granted.insert(lease.token, (extended, false));
            }
            Err(error) => assert!(!held, "{error:?}"),
        }
    }

    async fn release(&mut self, choice: usize) {
        let Some(lease) = self.any_lease(choice) else {
            return;
        };
        let held = self.is_held(lease.token);
        let released = super::release(&self.holder(&lease), &lease).await;
        assert_eq!(released.is_ok(), held, "{released:?}");
        self.granted.get_mut(&lease.token).unwrap().1 |= held;
    }

    async fn force(&mut self, choice: usize) {
        let Some(lease) = self.any_lease(choice) else {
            return;
        };
        let held = self.is_held(lease.token);
        let forced = self
            .world
            .admin()
            .force_unlock(LOCK, Some(lease.token))
            .await;
        match &forced {
            // What has expired may still have a row.
            Ok(forced) => assert_eq!(forced.leases.len(), 1, "{forced:?}"),
            Err(_) => assert!(!held, "{forced:?}"),
        }
        self.granted.get_mut(&lease.token).unwrap().1 |= held;
    }

    async fn write(&mut self, choice: usize) {
        let Some(lease) = self.any_lease(choice) else {
            return;
        };
        let held = self.is_held(lease.token);
        let session = fenced(&self.holder(&lease), lease.token, LOCK);
        let written = session.append("/a", ".".into(), Default::default()).await;
        assert_eq!(written.is_ok(), held, "{written:?}");
        self.written += usize::from(held);
        let stored = self
            .world
            .admin()
            .read("/a", At::Latest)
            .await
            .unwrap()
            .bytes;
        assert_eq!(
            stored.len(),
            "one".len() + self.written,
            "a stale fence never lands"
        );
    }

    /// Takes note of the requests that were answered.
    async fn hear(&mut self) {
        let asking = std::mem::take(&mut self.asking);
        let mut answered = Vec::new();
        for asking in asking {
            if asking.task.is_finished() {
                answered.push((asking.order, asking.task.await.unwrap()));
            } else {
                self.asking.push(asking);
            }
        }
        let mut granted = Vec::new();
        for (order, answer) in answered {
            match answer {
                Ok(lease) => granted.push((lease, order)),
                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error:?}"),
            }
        }
        granted.sort_by_key(|(lease, _)| lease.token);
        for (lease, order) in granted {
            let newest = self.granted.last_key_value().map(|(token, _)| *token);
            assert!(
                newest.is_none_or(|newest| newest < lease.token),
                "tokens only grow"
            );
            assert!(
                self.served.is_none_or(|served| served < order),
                "first come, first served"
            );
            self.served = Some(order);
            self.granted.insert(lease.token, (lease, false));
        }
    }

    async fn check(&self) {
        let state = match self.world.admin().inspect_lock(LOCK).await {
            Ok(state) => state,
            Err(error) => {
                assert_eq!(error.kind(), Kind::NotFound);
                assert!(
                    self.asking.is_empty()
                        && !self.granted.keys().any(|token| self.is_held(*token))
                );
                return;
            }
        };
        let held: Vec<u64> = self
            .granted
            .keys()
            .copied()
            .filter(|token| self.is_held(*token))
            .collect();
        assert_eq!(super::tokens(&state), held);
        let modes: Vec<LockMode> = state.leases.iter().map(|lease| lease.mode).collect();
        assert!(go_together(&modes), "{modes:?}");
        let waiting: Vec<LockMode> = self.asking.iter().map(|asking| asking.mode).collect();
        let queue: Vec<LockMode> = state.waiters.iter().map(|waiter| waiter.mode).collect();
        assert_eq!(queue, waiting);
        check_nobody_waits_in_vain(&state, modes);
    }
}

fn go_together(modes: &[LockMode]) -> bool {
    match modes.first() {
        None => true,
        Some(LockMode::Exclusive) => modes.len() == 1,
        Some(LockMode::Shared) => modes.iter().all(|mode| *mode == LockMode::Shared),
        Some(LockMode::Counting { permits }) => {
            modes.len() <= *permits as usize && modes.iter().all(|mode| *mode == modes[0])
        }
    }
}

fn check_nobody_waits_in_vain(state: &LockState, mut modes: Vec<LockMode>) {
    if let Some(first) = state.waiters.first() {
        modes.push(first.mode);
        assert!(!go_together(&modes), "{state:?}");
    }
}

fn run(deeds: &[Deed]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(async {
        let mut known = Known::new().await;
        for deed in deeds {
            known.act(deed).await;
            settle().await;
            known.hear().await;
            known.check().await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// One holder or those who go together; first come, first served; tokens grow; a write with
    /// a stale fence never lands; nobody waits for what is free.
    #[test]
    fn a_lock_keeps_its_promises_whatever_is_done_with_it(
        deeds in proptest::collection::vec(deed(), 1..60),
    ) {
        run(&deeds);
    }
}
