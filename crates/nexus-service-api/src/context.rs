//! Who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexus_kernel::{Error, Result, Timestamp};

use crate::Fence;

/// Everything a request carries besides its arguments. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks, as the credential says.
    pub principal: Arc<Principal>,
    /// For whom the principal acts, where its credential allows that, as [`parse_actor`] reads it.
    /// It is put on record and decides nothing: what may be done is the principal's alone.
    ///
    /// [`parse_actor`]: crate::parse_actor
    pub on_behalf_of: Option<Arc<str>>,
    /// Names the run of an agent whose operations belong together.
    pub session: Option<Arc<str>>,
    /// The name of the program that asks, as it calls itself; of a mount, the process.
    pub program: Option<Arc<str>>,
    /// Names this request in logs and operation records.
    pub request_id: Option<Arc<str>>,
    /// When the answer is of no more use; long operations stop there.
    pub deadline: Option<Timestamp>,
    /// Leases without which no change is committed; up to [`FENCES_MAX`](crate::FENCES_MAX).
    pub fences: Vec<Fence>,
}

impl Context {
    /// A context with nothing but who asks.
    #[must_use]
    pub fn new(principal: Arc<Principal>) -> Self {
        Self {
            principal,
            on_behalf_of: None,
            session: None,
            program: None,
            request_id: None,
            deadline: None,
            fences: Vec::new(),
        }
    }

    /// The node itself, or a program that embeds it: may do anything.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(Principal::system()))
    }

    /// Refuses to go on past the deadline.
    ///
    /// # Errors
    ///
    /// `Unavailable` when `now` is past it.
    pub fn check_deadline(&self, now: Timestamp) -> Result<()> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(Error::unavailable(
                "the request's deadline passed before it finished; ask for less or allow more time",
            )),
            _ => Ok(()),
        }
    }
}

/// A user, an agent or the system, and what its credential grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Which sort of caller.
    pub kind: PrincipalKind,
    /// Its name, unique within its kind and zone.
    pub id: String,
    /// The key it came with, by public id; none for the system.
    pub key_id: Option<String>,
    /// The zone the credential is bound to.
    pub zone: String,
    /// What it may do there.
    pub rights: Rights,
    /// If given, an absolute path: nothing outside of it may be touched.
    pub prefix: Option<String>,
    /// When the credential ends by itself.
    pub expires: Option<Timestamp>,
    /// Whether it has been ended before that.
    pub revocation: Revocation,
}

/// Tells everyone who holds a principal that its credential is in force no longer: revoked,
/// or changed so that what the principal says of it is not true any more. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Revocation(Arc<AtomicBool>);

impl Revocation {
    /// Ends the credential, for good.
    pub fn revoke(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl PartialEq for Revocation {
    fn eq(&self, other: &Self) -> bool {
        self.is_revoked() == other.is_revoked()
    }
}

impl Eq for Revocation {}

impl Principal {
    /// The node itself.
    #[must_use]
    pub fn system() -> Self {
        Self {
            kind: PrincipalKind::System,
            id: "system".into(),
            key_id: None,
            zone: "root".into(),
            rights: Rights::Admin,
            prefix: None,
            expires: None,
            revocation: Revocation::default(),
        }
    }

    /// Its name as records keep it: `kind:id`.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}:{}", self.kind.as_str(), self.id)
    }

    /// Refuses a principal whose credential has ended since it was read; `now` is asked only
    /// where it matters. So what is under way ends with its credential too.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`.
    pub fn check_in_force(&self, now: impl FnOnce() -> Timestamp) -> Result<()> {
        let expired = || self.expires.is_some_and(|end| end <= now());
        if self.revocation.is_revoked() || expired() {
            return Err(Error::unauthenticated(
                "the key was revoked, changed or has expired; ask an administrator for a new one",
            ));
        }
        Ok(())
    }
}

/// Sorts of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program acting for a person or by itself.
    Agent,
    /// The node.
    System,
}

impl PrincipalKind {
    /// The name as stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }
}

/// What a credential grants, each including the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rights {
    /// Read files, listings, history.
    ReadOnly,
    /// Change files too.
    ReadWrite,
    /// Manage keys, garbage collection and settings too.
    Admin,
}

impl Rights {
    /// The name as stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Rights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "read-only" => Ok(Self::ReadOnly),
            "read-write" => Ok(Self::ReadWrite),
            "admin" => Ok(Self::Admin),
            _ => {
                Err(Error::invalid("rights are read-only, read-write or admin")
                    .with("rights", text))
            }
        }
    }
}
