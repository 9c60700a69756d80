//! Keys, and whose they are.
//!
//! A key is kept as one setting of the zone, `key/<id>`, with a hash in place of its secret.
//! All of them are also held in memory, so that the hot path of every request is a lookup, a
//! hash and a comparison; this process is the only one that writes them, and it changes
//! memory before a change returns.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use nexus_kernel::{Error, Result};
use nexus_service_api::{
    Action, Authorizer, Clock, Context, CreatedKey, Entropy, KeyInfo, KeyPage, KeyService,
    KeyUpdate, NewKey, Principal, PrincipalKind, Rights, Settings, Target,
};

use secret::Secret;
use store::KeyStore;

mod record;
mod rules;
mod secret;
mod store;

#[cfg(test)]
mod tests;

/// Most keys, counting those that ended and are still remembered.
pub const KEYS_MAX: usize = 10_000;

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

/// The keys of a zone. Cheap to clone.
///
/// When [`KEYS_MAX`] is reached, a new key takes the place of the one that ended longest ago.
/// The last admin key that does not expire can be neither revoked nor weakened: `Conflict`.
///
/// # Cancel safety
///
/// A change that has begun goes on to its end when its future is dropped.
#[derive(Clone)]
pub struct Keys {
    store: Arc<KeyStore>,
}

impl Keys {
    /// Reads the keys of a zone.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a record that cannot be read, `Unsupported` for one of a newer version,
    /// and whatever the settings answer.
    pub async fn open(parts: KeyParts) -> Result<Self> {
        Ok(Self {
            store: Arc::new(KeyStore::open(parts).await?),
        })
    }

    /// Makes the first admin key, if there is none that lasts.
    ///
    /// # Errors
    ///
    /// As [`create`](KeyService::create).
    pub async fn bootstrap(&self) -> Result<Option<CreatedKey>> {
        let first = NewKey {
            name: "first admin key".into(),
            kind: PrincipalKind::User,
            id: "admin".into(),
            zone: self.store.parts.zone.clone(),
            rights: Rights::Admin,
            prefix: None,
            expires: None,
        };
        self.to_the_end(|store| async move { store.create_first(first).await })
            .await
    }

    /// Asked once more before a change, which may have to wait for others.
    async fn permit(&self, who: &Context) -> Result<()> {
        self.store.check_in_force(&who.principal)?;
        let zone = Target {
            path: "/",
            inodes: &[],
        };
        self.store
            .parts
            .authorizer
            .authorize(who, Action::Administer, zone)
            .await
    }

    /// Runs a change as a task of its own: a request that is dropped between the write and
    /// the update of memory would leave a revoked key in force.
    async fn to_the_end<T, F>(&self, change: impl FnOnce(Arc<KeyStore>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let task = tokio::spawn(change(Arc::clone(&self.store)));
        task.await.unwrap_or_else(|stopped| {
            Err(
                Error::unavailable("the change was cut off; read the key before trying again")
                    .outcome_unknown()
                    .because(stopped),
            )
        })
    }
}

#[async_trait]
impl KeyService for Keys {
    async fn authenticate(&self, secret: &str) -> Result<Principal> {
        let principal = Secret::parse(secret).and_then(|secret| {
            let table = self.store.table.load();
            let stored = table.get(secret.key_id())?;
            let record = &stored.record;
            let in_force = record.ended(self.store.parts.clock.now()).is_none();
            // Comparing two BLAKE3 hashes takes the same time wherever they differ.
            (record.hash == secret.hash() && in_force)
                .then(|| record.principal(stored.revocation.clone()))
        });
        principal.ok_or_else(|| {
            Error::unauthenticated(
                "this is not the secret of a key in force; check it, or ask an administrator for a new key",
            )
        })
    }

    async fn create(&self, who: &Context, new: NewKey) -> Result<CreatedKey> {
        self.permit(who).await?;
        let who = Arc::clone(&who.principal);
        self.to_the_end(|store| async move { store.create(&who, new).await })
            .await
    }

    async fn list(&self, who: &Context, limit: usize, cursor: Option<&str>) -> Result<KeyPage> {
        self.permit(who).await?;
        rules::check_page(limit, cursor)?;
        let table = self.store.table.load();
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
        Ok(self.store.find(key_id)?.record.info.clone())
    }

    async fn revoke(&self, who: &Context, key_id: &str) -> Result<KeyInfo> {
        self.permit(who).await?;
        let (who, key_id) = (Arc::clone(&who.principal), key_id.to_owned());
        self.to_the_end(|store| async move { store.revoke(&who, &key_id).await })
            .await
    }

    async fn update(&self, who: &Context, key_id: &str, update: KeyUpdate) -> Result<KeyInfo> {
        self.permit(who).await?;
        let (who, key_id) = (Arc::clone(&who.principal), key_id.to_owned());
        self.to_the_end(|store| async move { store.update(&who, &key_id, update).await })
            .await
    }
}
