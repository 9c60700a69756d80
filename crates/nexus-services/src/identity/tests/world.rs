//! Settings in memory that can fail, a clock that stands, and keys over both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{Error, Result, Revision, Timestamp};
use nexus_service_api::{
    Clock, Context, CreatedKey, Entropy, Expect, KeyService, NewKey, Principal, PrincipalKind,
    Rights, Setting, Settings,
};

use tokio::sync::{Notify, OwnedRwLockWriteGuard, RwLock};

use crate::authorizer::KeyAuthorizer;
use crate::identity::store::setting;
use crate::identity::{KeyParts, Keys};

pub(super) const DAY: i64 = 86_400_000_000_000;

/// Keys and what they stand on.
pub(super) struct World {
    pub(super) settings: Arc<FakeSettings>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) keys: Arc<Keys>,
}

impl World {
    /// Without any key.
    pub(super) async fn empty() -> Self {
        Self::over(FakeSettings::default().into()).await.unwrap()
    }

    /// With a first admin key.
    pub(super) async fn new() -> Self {
        let world = Self::empty().await;
        world.keys.bootstrap().await.unwrap();
        world
    }

    pub(super) async fn over(settings: Arc<FakeSettings>) -> Result<Self> {
        Self::with_clock(settings, Arc::default()).await
    }

    /// The same settings read by a new process.
    pub(super) async fn restarted(self) -> Self {
        Self::with_clock(self.settings, self.clock).await.unwrap()
    }

    async fn with_clock(settings: Arc<FakeSettings>, clock: Arc<FakeClock>) -> Result<Self> {
        let parts = KeyParts {
            zone: "root".into(),
            settings: settings.clone(),
            authorizer: Arc::new(KeyAuthorizer::new("root")),
            clock: clock.clone(),
            entropy: Arc::new(Counting),
        };
        let keys = Arc::new(Keys::open(parts).await?);
        Ok(Self {
            settings,
            clock,
            keys,
        })
    }

    pub(super) async fn make(&self, new: Wanted) -> CreatedKey {
        self.keys
            .create(&Context::system(), new.build())
            .await
            .unwrap()
    }

    /// Many keys at once: stored, then read by a new process, since making them one by one
    /// copies the table every time.
    pub(super) async fn fill(&mut self, count: usize) {
        let sample = self.make(agent("many", Rights::ReadOnly)).await.info.key_id;
        let sample = self.settings.get(&setting(&sample)).await.unwrap().unwrap();
        for i in 1..count {
            let name = setting(&format!("{i:012x}"));
            self.settings
                .put(&name, Some(sample.value.clone()), Expect::Any)
                .await
                .unwrap();
        }
        let parts = self.keys.store.parts.clone();
        self.keys = Arc::new(Keys::open(parts).await.unwrap());
    }

    pub(super) async fn is_in_force(&self, key: &CreatedKey) -> bool {
        self.keys.authenticate(&key.secret).await.is_ok()
    }
}

/// A key to be made.
#[derive(Clone)]
pub(super) struct Wanted(pub(super) NewKey);

pub(super) fn admin() -> Wanted {
    let mut wanted = agent("boss", Rights::Admin);
    wanted.0.kind = PrincipalKind::User;
    wanted
}

pub(super) fn agent(id: &str, rights: Rights) -> Wanted {
    Wanted(NewKey {
        name: format!("key of {id}"),
        kind: PrincipalKind::Agent,
        id: id.into(),
        zone: "root".into(),
        rights,
        prefix: None,
        expires: None,
    })
}

impl Wanted {
    pub(super) fn below(mut self, prefix: &str) -> Self {
        self.0.prefix = Some(prefix.into());
        self
    }

    pub(super) fn until(mut self, nanos: i64) -> Self {
        self.0.expires = Some(Timestamp(nanos));
        self
    }

    pub(super) fn build(self) -> NewKey {
        self.0
    }
}

pub(super) fn context_of(principal: &Principal) -> Context {
    Context::new(Arc::new(principal.clone()))
}

/// Stands until it is set. Begins at 1 ns after the epoch.
pub(super) struct FakeClock(AtomicI64);

impl FakeClock {
    pub(super) fn set(&self, nanos: i64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(1))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Never the same bytes twice, not even after a restart.
struct Counting;

static DRAWN: AtomicU64 = AtomicU64::new(0);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let seed = DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        blake3::Hasher::new()
            .update(&seed)
            .finalize_xof()
            .fill(bytes);
    }

    fn id(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }
}

/// How the next put fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NotApplied,
    /// Applied, but the answer is lost.
    AnswerLost,
    /// Not applied, but nobody can tell, and reading back fails too.
    Blind,
}

/// Settings in memory.
#[derive(Default)]
pub(super) struct FakeSettings {
    state: Mutex<State>,
    gate: Arc<RwLock<()>>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    values: BTreeMap<String, (Bytes, Revision)>,
    revision: u64,
    fault: Option<Fault>,
}

impl FakeSettings {
    pub(super) fn fail_next(&self, fault: Fault) {
        self.state.lock().unwrap().fault = Some(fault);
    }

    /// Puts wait until what is returned is dropped.
    pub(super) fn hold_puts(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate)
            .try_write_owned()
            .expect("no put is under way")
    }

    /// Until a put has come.
    pub(super) async fn put_waits(&self) {
        self.arrived.notified().await;
    }

    pub(super) fn heal(&self) {
        self.state.lock().unwrap().fault = None;
    }
}

impl State {
    fn apply(&mut self, name: &str, value: Option<Bytes>, expect: Expect) -> Result<Revision> {
        let present = self.values.get(name).map(|(_, revision)| *revision);
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => present.is_none(),
            Expect::Revision(revision) => present == Some(revision),
        };
        if !holds {
            return Err(Error::conflict(
                "the setting was changed meanwhile; read it again",
            ));
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        match value {
            Some(value) => self.values.insert(name.to_owned(), (value, revision)),
            None => self.values.remove(name),
        };
        Ok(revision)
    }
}

#[async_trait]
impl Settings for FakeSettings {
    async fn get(&self, name: &str) -> Result<Option<Setting>> {
        let state = self.state.lock().unwrap();
        if state.fault == Some(Fault::Blind) {
            return Err(Error::unavailable("the store is gone; try again"));
        }
        let found = state.values.get(name);
        Ok(found.map(|(value, revision)| entry(name, value, *revision)))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Setting>> {
        let state = self.state.lock().unwrap();
        let wanted =
            |name: &str| name.starts_with(prefix) && after.is_none_or(|after| name > after);
        let found = state
            .values
            .iter()
            .filter(|(name, _)| wanted(name))
            .take(limit);
        Ok(found
            .map(|(name, (value, revision))| entry(name, value, *revision))
            .collect())
    }

    async fn put(&self, name: &str, value: Option<Bytes>, expect: Expect) -> Result<Revision> {
        self.arrived.notify_one();
        let _open = self.gate.read().await;
        let mut state = self.state.lock().unwrap();
        let lost = Error::unavailable("the store did not answer; read before you try again");
        match state.fault {
            None => state.apply(name, value, expect),
            Some(Fault::Blind) => Err(lost.outcome_unknown()),
            Some(Fault::NotApplied) => {
                state.fault = None;
                Err(lost)
            }
            Some(Fault::AnswerLost) => {
                state.fault = None;
                state.apply(name, value, expect)?;
                Err(lost.outcome_unknown())
            }
        }
    }
}

fn entry(name: &str, value: &Bytes, revision: Revision) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.clone(),
        revision,
    }
}
