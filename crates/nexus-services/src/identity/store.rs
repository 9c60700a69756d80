//! The keys of a zone: durable in its settings, and all of them in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use nexus_kernel::{Error, Outcome, Result, Revision};
use nexus_service_api::{
    CreatedKey, Expect, KeyInfo, KeyUpdate, NewKey, Principal, Revocation, Setting, Settings,
};
use tokio::sync::{Mutex, MutexGuard};

use super::record::Record;
use super::secret::Secret;
use super::{KEYS_MAX, KeyParts, rules};

/// Where the settings of keys begin.
const FOLDER: &str = "key/";
/// How many settings are read at once when starting.
pub(super) const PAGE: usize = 1_000;
/// How often a fresh id is drawn before giving up: one clash of 48 random bits among 10,000
/// keys is as good as impossible.
const DRAWS_MAX: usize = 4;

/// Every key by id.
pub(super) type Table = BTreeMap<String, Arc<Stored>>;

/// A key and the revision that wrote it.
pub(super) struct Stored {
    pub(super) record: Record,
    /// Ends what came with this record, once it is replaced.
    pub(super) revocation: Revocation,
    revision: Revision,
}

/// The table and what it stands on.
pub(super) struct KeyStore {
    pub(super) parts: KeyParts,
    pub(super) table: ArcSwap<Table>,
    /// Held through every change, so that limits and the last admin key are judged on what
    /// is there.
    changes: Mutex<()>,
}

/// Shows that `changes` is held.
type Changing<'a> = MutexGuard<'a, ()>;

impl KeyStore {
    pub(super) async fn open(parts: KeyParts) -> Result<Self> {
        let table = read_all(&*parts.settings).await?;
        Ok(Self {
            parts,
            table: ArcSwap::from_pointee(table),
            changes: Mutex::new(()),
        })
    }

    pub(super) fn find(&self, key_id: &str) -> Result<Arc<Stored>> {
        self.table.load().get(key_id).cloned().ok_or_else(|| {
            Error::not_found("there is no key of that id; list the keys to see which there are")
                .with(
                    "key",
                    key_id.chars().take(64).collect::<String>().escape_debug(),
                )
        })
    }

    /// Refuses whoever's own key has ended since it was read.
    pub(super) fn check_in_force(&self, who: &Principal) -> Result<()> {
        who.check_in_force(|| self.parts.clock.now())
    }

    /// Waits for its turn to change keys; the end of the caller's own may have come before.
    async fn changing(&self, who: &Principal) -> Result<Changing<'_>> {
        let changing = self.changes.lock().await;
        self.check_in_force(who)?;
        Ok(changing)
    }

    pub(super) async fn create(&self, who: &Principal, new: NewKey) -> Result<CreatedKey> {
        let changing = self.changing(who).await?;
        self.make(&changing, new).await
    }

    /// Makes a key if there is no admin key that lasts.
    pub(super) async fn create_first(&self, new: NewKey) -> Result<Option<CreatedKey>> {
        let changing = self.changes.lock().await;
        if self
            .table
            .load()
            .values()
            .any(|stored| stored.record.is_lasting_admin())
        {
            return Ok(None);
        }
        self.make(&changing, new).await.map(Some)
    }

    pub(super) async fn revoke(&self, who: &Principal, key_id: &str) -> Result<KeyInfo> {
        let changing = self.changing(who).await?;
        let stored = self.find(key_id)?;
        let mut record = stored.record.clone();
        if record.info.revoked.is_some() {
            return Ok(record.info);
        }
        record.info.revoked = Some(self.parts.clock.now());
        self.change(&changing, &stored, record).await
    }

    pub(super) async fn update(
        &self,
        who: &Principal,
        key_id: &str,
        update: KeyUpdate,
    ) -> Result<KeyInfo> {
        let changing = self.changing(who).await?;
        let stored = self.find(key_id)?;
        let mut record = stored.record.clone();
        record.info = rules::updated(record.info, update, self.parts.clock.now())?;
        self.change(&changing, &stored, record).await
    }

    async fn make(&self, changing: &Changing<'_>, new: NewKey) -> Result<CreatedKey> {
        let now = self.parts.clock.now();
        let new = rules::check_new(new, &self.parts.zone, now)?;
        self.make_room(changing).await?;
        let secret = self.draw()?;
        let info = KeyInfo {
            key_id: secret.key_id().to_owned(),
            name: new.name,
            kind: new.kind,
            id: new.id,
            zone: new.zone,
            rights: new.rights,
            prefix: new.prefix,
            created: now,
            expires: new.expires,
            revoked: None,
        };
        let record = Record {
            info: info.clone(),
            hash: secret.hash(),
        };
        self.write(changing, record, Expect::Absent).await?;
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
    async fn make_room(&self, changing: &Changing<'_>) -> Result<()> {
        if self.table.load().len() < KEYS_MAX {
            return Ok(());
        }
        let oldest = self.ended_first().ok_or_else(|| {
            Error::limit("there are too many keys in force; revoke some first")
                .with("most", KEYS_MAX)
        })?;
        self.forget(changing, &oldest).await
    }

    fn ended_first(&self) -> Option<Arc<Stored>> {
        let now = self.parts.clock.now();
        let table = self.table.load();
        let ended = table
            .values()
            .filter_map(|stored| Some((stored.record.ended(now)?, stored)));
        ended
            .min_by_key(|(when, _)| *when)
            .map(|(_, stored)| Arc::clone(stored))
    }

    async fn forget(&self, _: &Changing<'_>, stored: &Stored) -> Result<()> {
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
        changing: &Changing<'_>,
        before: &Stored,
        after: Record,
    ) -> Result<KeyInfo> {
        if before.record.is_lasting_admin() && !after.is_lasting_admin() {
            self.check_other_admin(&after.info.key_id)?;
        }
        let info = after.info.clone();
        self.write(changing, after, Expect::Revision(before.revision))
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
    async fn write(&self, _: &Changing<'_>, record: Record, expect: Expect) -> Result<()> {
        let key_id = record.info.key_id.clone();
        let name = setting(&key_id);
        let error = match self
            .parts
            .settings
            .put(&name, Some(record.encode()), expect)
            .await
        {
            Ok(revision) => {
                self.replace(&key_id, Some(Stored::new(record, revision)));
                return Ok(());
            }
            Err(error) => error,
        };
        if error.outcome() == Outcome::Unknown {
            let found = self.parts.settings.get(&name).await.ok().flatten();
            self.replace(&key_id, found.and_then(|found| Stored::read(&found).ok()));
        }
        Err(error)
    }

    fn replace(&self, key_id: &str, stored: Option<Stored>) {
        let mut table = Table::clone(&self.table.load());
        let before = match stored {
            Some(stored) => table.insert(key_id.to_owned(), Arc::new(stored)),
            None => table.remove(key_id),
        };
        self.table.store(Arc::new(table));
        if let Some(before) = before {
            before.revocation.revoke();
        }
    }
}

impl Stored {
    fn new(record: Record, revision: Revision) -> Self {
        Self {
            record,
            revocation: Revocation::default(),
            revision,
        }
    }

    fn read(setting: &Setting) -> Result<Self> {
        let key_id = setting.name.strip_prefix(FOLDER).unwrap_or(&setting.name);
        let record = Record::decode(key_id, &setting.value)?;
        Ok(Self::new(record, setting.revision))
    }
}

/// The setting that holds a key.
pub(super) fn setting(key_id: &str) -> String {
    format!("{FOLDER}{key_id}")
}

async fn read_all(settings: &dyn Settings) -> Result<Table> {
    let mut table = Table::new();
    let mut after: Option<String> = None;
    loop {
        let page = settings.list(FOLDER, after.as_deref(), PAGE).await?;
        after = page.last().map(|setting| setting.name.clone());
        for setting in &page {
            let stored = Stored::read(setting)?;
            table.insert(stored.record.info.key_id.clone(), Arc::new(stored));
        }
        if page.len() < PAGE {
            return Ok(table);
        }
    }
}
