//! Keys, and whose they are.
//!
//! A key is kept as one setting of the zone, `key/<id>`, with a hash in place of its secret.
//! All of them are also held in memory, so that the hot path of every request is a lookup, a
//! hash and a comparison; this process is the only one that writes them, and it changes
//! memory before a change returns.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use nexus_kernel::{Error, Outcome, Result, Revision};
use nexus_service_api::{
    Action, Authorizer, Clock, Context, CreatedKey, Entropy, Expect, KeyInfo, KeyPage, KeyService,
    KeyUpdate, NewKey, Principal, PrincipalKind, Rights, Settings, Target,
};
use tokio::sync::{Mutex, MutexGuard};

use record::Record;
use secret::Secret;

mod record;
mod rules;
mod secret;

#[cfg(test)]
mod tests;

/// Most keys, counting those that ended and are still remembered.
pub const KEYS_MAX: usize = 10_000;

/// Where the settings of keys begin.
const FOLDER: &str = "key/";
/// How many settings are read at once when starting.
const PAGE: usize = 1_000;
/// How often a fresh id is drawn before giving up: a clash of 48 random bits among 10,000
/// keys is as good as impossible once.
const DRAWS_MAX: usize = 4;

/// What keys stand on.
#[derive(Clone)]
pub struct KeyParts {
    /// The zone the keys are for.
    pub zone: String,
    /// Where they are kept.
    pub settings: Arc<dyn Settings>,
    /// Who decides whether somebody may manage them.
    pub authorizer: Arc<dyn Authorizer>,
    /// Tells when they end.
    pub clock: Arc<dyn Clock>,
    /// Makes secrets.
    pub entropy: Arc<dyn Entropy>,
}

/// The keys of a zone.
///
/// When [`KEYS_MAX`] is reached, a new key takes the place of the one that ended longest ago.
pub struct Keys {
    parts: KeyParts,
    table: ArcSwap<Table>,
    /// Held through every change, so that limits and the last admin key are judged on what
    /// is there.
    changes: Mutex<()>,
}

/// Every key by id.
type Table = BTreeMap<String, Arc<Stored>>;

/// A key and the revision that wrote it.
struct Stored {
    record: Record,
    revision: Revision,
}

impl Keys {
    /// Reads the keys of a zone.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a record that cannot be read, and whatever the settings answer.
    pub async fn open(parts: KeyParts) -> Result<Self> {
        let table = read_all(&*parts.settings).await?;
        Ok(Self {
            parts,
            table: ArcSwap::from_pointee(table),
            changes: Mutex::new(()),
        })
    }

    /// Makes the first admin key, if there is none that lasts.
    ///
    /// # Errors
    ///
    /// As [`create`](KeyService::create).
    pub async fn bootstrap(&self) -> Result<Option<CreatedKey>> {
        let guard = self.changes.lock().await;
        if self
            .table
            .load()
            .values()
            .any(|stored| stored.record.is_lasting_admin())
        {
            return Ok(None);
        }
        let first = NewKey {
            name: "first admin key".into(),
            kind: PrincipalKind::User,
            id: "admin".into(),
            zone: self.parts.zone.clone(),
            rights: Rights::Admin,
            prefix: None,
            expires: None,
        };
        self.make(&guard, first).await.map(Some)
    }

    async fn permit(&self, who: &Context) -> Result<()> {
        let zone = Target {
            path: "/",
            inodes: &[],
        };
        self.parts
            .authorizer
            .authorize(who, Action::Administer, zone)
            .await
    }

    fn find(&self, key_id: &str) -> Result<Arc<Stored>> {
        self.table.load().get(key_id).cloned().ok_or_else(|| {
            Error::not_found("there is no key of that id; list the keys to see which there are")
                .with(
                    "key",
                    key_id.chars().take(64).collect::<String>().escape_debug(),
                )
        })
    }

    async fn make(&self, guard: &MutexGuard<'_, ()>, new: NewKey) -> Result<CreatedKey> {
        let new = rules::check_new(new, &self.parts.zone, self.parts.clock.now())?;
        self.make_room(guard).await?;
        let secret = self.draw()?;
        let info = KeyInfo {
            key_id: secret.key_id().to_owned(),
            name: new.name,
            kind: new.kind,
            id: new.id,
            zone: new.zone,
            rights: new.rights,
            prefix: new.prefix,
            created: self.parts.clock.now(),
            expires: new.expires,
            revoked: None,
        };
        let record = Record {
            info: info.clone(),
            hash: secret.hash(),
        };
        self.store(guard, record, Expect::Absent).await?;
        Ok(CreatedKey {
            info,
            secret: secret.into_text(),
        })
    }

    /// A secret whose public id is free.
    fn draw(&self) -> Result<Secret> {
        let table = self.table.load();
        let mut drawn = (0..DRAWS_MAX).map(|_| Secret::random(&*self.parts.entropy));
        drawn.find(|secret| !table.contains_key(secret.key_id())).ok_or_else(|| {
            Error::unavailable(
                "the source of randomness repeats itself; check the operating system's generator",
            )
        })
    }

    /// Forgets the key that ended longest ago, if there is room for no other.
    async fn make_room(&self, guard: &MutexGuard<'_, ()>) -> Result<()> {
        let now = self.parts.clock.now();
        let oldest = {
            let table = self.table.load();
            if table.len() < KEYS_MAX {
                return Ok(());
            }
            let ended = table
                .values()
                .filter_map(|stored| Some((stored.record.ended(now)?, stored)));
            ended
                .min_by_key(|(when, _)| *when)
                .map(|(_, stored)| Arc::clone(stored))
        };
        let Some(oldest) = oldest else {
            return Err(
                Error::limit("there are too many keys in force; revoke some first")
                    .with("most", KEYS_MAX),
            );
        };
        self.forget(guard, &oldest).await
    }

    async fn forget(&self, _: &MutexGuard<'_, ()>, stored: &Stored) -> Result<()> {
        let key_id = &stored.record.info.key_id;
        let expect = Expect::Revision(stored.revision);
        self.parts
            .settings
            .put(&setting(key_id), None, expect)
            .await?;
        self.replace(key_id, None);
        Ok(())
    }

    /// Changes a key unless that leaves the zone without an admin key that lasts.
    async fn change(
        &self,
        guard: &MutexGuard<'_, ()>,
        before: &Stored,
        after: Record,
    ) -> Result<KeyInfo> {
        if before.record.is_lasting_admin() && !after.is_lasting_admin() {
            self.check_other_admin(&after.info.key_id)?;
        }
        let info = after.info.clone();
        self.store(guard, after, Expect::Revision(before.revision))
            .await?;
        Ok(info)
    }

    fn check_other_admin(&self, key_id: &str) -> Result<()> {
        let table = self.table.load();
        let mut others = table.iter().filter(|(id, _)| id.as_str() != key_id);
        if others.any(|(_, stored)| stored.record.is_lasting_admin()) {
            return Ok(());
        }
        Err(Error::conflict(
            "this is the last admin key that does not expire, and without one nobody could manage the zone; make another first",
        )
        .with("key", key_id))
    }

    /// Writes a record durably, then puts it into memory. Where it is unknown whether it was
    /// written, memory takes what can be read back, or drops the key: no doubt lets a caller in.
    async fn store(&self, _: &MutexGuard<'_, ()>, record: Record, expect: Expect) -> Result<()> {
        let key_id = record.info.key_id.clone();
        let name = setting(&key_id);
        let error = match self
            .parts
            .settings
            .put(&name, Some(record.encode()), expect)
            .await
        {
            Ok(revision) => {
                self.replace(&key_id, Some(Stored { record, revision }));
                return Ok(());
            }
            Err(error) => error,
        };
        if error.outcome() == Outcome::Unknown {
            let found = self.parts.settings.get(&name).await.ok().flatten();
            let stored = found.and_then(|found| Stored::read(&found).ok());
            self.replace(&key_id, stored);
        }
        Err(error)
    }

    fn replace(&self, key_id: &str, stored: Option<Stored>) {
        let mut table = Table::clone(&self.table.load());
        match stored {
            Some(stored) => table.insert(key_id.to_owned(), Arc::new(stored)),
            None => table.remove(key_id),
        };
        self.table.store(Arc::new(table));
    }
}

#[async_trait]
impl KeyService for Keys {
    async fn authenticate(&self, secret: &str) -> Result<Principal> {
        let principal = Secret::parse(secret).and_then(|secret| {
            let table = self.table.load();
            let record = &table.get(secret.key_id())?.record;
            let in_force = record.ended(self.parts.clock.now()).is_none();
            // Comparing two BLAKE3 hashes takes the same time wherever they differ.
            (record.hash == secret.hash() && in_force).then(|| record.principal())
        });
        principal.ok_or_else(|| {
            Error::unauthenticated(
                "this is not the secret of a key in force; check it, or ask an administrator for a new key",
            )
        })
    }

    async fn create(&self, who: &Context, new: NewKey) -> Result<CreatedKey> {
        self.permit(who).await?;
        let guard = self.changes.lock().await;
        self.make(&guard, new).await
    }

    async fn list(&self, who: &Context, limit: usize, cursor: Option<&str>) -> Result<KeyPage> {
        self.permit(who).await?;
        rules::check_page(limit, cursor)?;
        let table = self.table.load();
        let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = table
            .range::<str, _>((after, Bound::Unbounded))
            .map(|(_, stored)| stored);
        let keys: Vec<KeyInfo> = rest
            .by_ref()
            .take(limit)
            .map(|stored| stored.record.info.clone())
            .collect();
        let last = keys.last().map(|key| key.key_id.clone());
        Ok(KeyPage {
            keys,
            next: rest.next().and(last),
        })
    }

    async fn get(&self, who: &Context, key_id: &str) -> Result<KeyInfo> {
        self.permit(who).await?;
        Ok(self.find(key_id)?.record.info.clone())
    }

    async fn revoke(&self, who: &Context, key_id: &str) -> Result<KeyInfo> {
        self.permit(who).await?;
        let guard = self.changes.lock().await;
        let stored = self.find(key_id)?;
        if stored.record.info.revoked.is_some() {
            return Ok(stored.record.info.clone());
        }
        let mut record = stored.record.clone();
        record.info.revoked = Some(self.parts.clock.now());
        self.change(&guard, &stored, record).await
    }

    async fn update(&self, who: &Context, key_id: &str, update: KeyUpdate) -> Result<KeyInfo> {
        self.permit(who).await?;
        let guard = self.changes.lock().await;
        let stored = self.find(key_id)?;
        let mut record = stored.record.clone();
        record.info = rules::updated(record.info, update, self.parts.clock.now())?;
        self.change(&guard, &stored, record).await
    }
}

impl Stored {
    fn read(setting: &nexus_service_api::Setting) -> Result<Self> {
        let key_id = setting.name.strip_prefix(FOLDER).unwrap_or(&setting.name);
        let record = Record::decode(key_id, &setting.value)?;
        Ok(Self {
            record,
            revision: setting.revision,
        })
    }
}

fn setting(key_id: &str) -> String {
    format!("{FOLDER}{key_id}")
}

async fn read_all(settings: &dyn Settings) -> Result<Table> {
    let mut table = Table::new();
    let mut after: Option<String> = None;
    loop {
        let page = settings.list(FOLDER, after.as_deref(), PAGE).await?;
        after = page.last().map(|setting| setting.name.clone());
        let full = page.len() == PAGE;
        for setting in &page {
            let stored = Stored::read(setting)?;
            table.insert(stored.record.info.key_id.clone(), Arc::new(stored));
        }
        if !full {
            return Ok(table);
        }
    }
}
