//! Keys: the credentials callers come with.

use async_trait::async_trait;
use nexus_kernel::{Result, Timestamp};

use crate::{Context, Principal, PrincipalKind, Rights};

/// Makes, checks and ends keys. A door gives it the secret a request came with and gets the
/// caller's identity; nothing else in a request says who the caller is.
///
/// A key is two things: its public id, which logs, listings and operation records show, and
/// its secret (`sk-…`), which is returned once by [`create`](Self::create) and kept only as a
/// hash.
///
/// Everything but [`authenticate`](Self::authenticate) needs
/// [`Action::Administer`](crate::Action::Administer) and asks the authorizer for it itself:
/// `PermissionDenied` is among the errors of each.
#[async_trait]
pub trait KeyService: Send + Sync + 'static {
    /// Whose secret this is. On the hot path of every request: answers known keys from
    /// memory. A key that was revoked or has expired is refused from that moment on.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for anything that is not the secret of a key in force, without
    /// saying which of the reasons it is; `Unavailable` when keys cannot be looked up.
    async fn authenticate(&self, secret: &str) -> Result<Principal>;

    /// Makes a key, durably before it returns.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a name, id, zone or prefix that no key can have, or an expiry in
    /// the past; `LimitExceeded` when there are too many keys.
    async fn create(&self, who: &Context, new: NewKey) -> Result<CreatedKey>;

    /// Up to `limit` keys, revoked and expired ones included, by id, beginning after the
    /// page that gave `cursor`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a limit of 0 or a cursor that no page gave.
    async fn list(&self, who: &Context, limit: usize, cursor: Option<&str>) -> Result<KeyPage>;

    /// What is known of a key.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no key of that id.
    async fn get(&self, who: &Context, key_id: &str) -> Result<KeyInfo>;

    /// Ends a key: durably before it returns, and at once. Ending it again changes nothing.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no key of that id.
    async fn revoke(&self, who: &Context, key_id: &str) -> Result<KeyInfo>;

    /// Changes a key, durably before it returns, and with effect on the next request that
    /// comes with it.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no key of that id; `InvalidArgument` for a key that was
    /// revoked, and as [`create`](Self::create).
    async fn update(&self, who: &Context, key_id: &str, update: KeyUpdate) -> Result<KeyInfo>;
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// Which sort of caller its bearer is; never `System`.
    pub kind: PrincipalKind,
    /// Who its bearer is.
    pub id: String,
    /// The zone it is bound to.
    pub zone: String,
    /// What it grants.
    pub rights: Rights,
    /// If given, an absolute path: nothing outside of it may be touched.
    pub prefix: Option<String>,
    /// If given, it is refused from then on.
    pub expires: Option<Timestamp>,
}

/// Changes to a key; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUpdate {
    /// What people call it.
    pub name: Option<String>,
    /// What it grants.
    pub rights: Option<Rights>,
    /// The most that it grants: lowers what is more, and raises nothing.
    pub rights_max: Option<Rights>,
    /// When it ends; `Some(None)` for never.
    pub expires: Option<Option<Timestamp>>,
}

/// What is known of a key; never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its public id.
    pub key_id: String,
    /// What people call it.
    pub name: String,
    /// Which sort of caller its bearer is.
    pub kind: PrincipalKind,
    /// Who its bearer is.
    pub id: String,
    /// The zone it is bound to.
    pub zone: String,
    /// What it grants.
    pub rights: Rights,
    /// If given, nothing outside of this path may be touched.
    pub prefix: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A key just made.
#[derive(Clone, PartialEq, Eq)]
pub struct CreatedKey {
    /// What will be known of it.
    pub info: KeyInfo,
    /// The secret, `sk-…`: shown to whoever asked, and never again.
    pub secret: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// One page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys, by id.
    pub keys: Vec<KeyInfo>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}
