//! What a credential's rights and prefix allow.

use async_trait::async_trait;
use nexus_kernel::{Error, Result};
use nexus_service_api::{Action, Authorizer, Context, Principal, PrincipalKind, Rights, Target};

use crate::prefix::{Place, place};

#[cfg(test)]
mod tests;

/// Decides by the facts of the principal alone: its zone, its rights, its prefix.
///
/// * The system may do anything.
/// * A credential of another zone may do nothing.
/// * At and below the prefix, rights decide: read-only may stat and read, read-write may
///   change files too.
/// * What lies between the root and the prefix may be stat-ed, so that listings lead to the
///   prefix; everything else outside of it is refused.
/// * Administration takes admin rights without a prefix, since it reaches the whole zone.
///
/// The prefix is a path: what is moved out of it is out of reach, what is moved into it
/// comes within reach.
#[derive(Clone, Debug)]
pub struct KeyAuthorizer {
    zone: String,
}

impl KeyAuthorizer {
    /// Guards the zone of this name.
    #[must_use]
    pub fn new(zone: impl Into<String>) -> Self {
        Self { zone: zone.into() }
    }

    fn decide(&self, who: &Principal, action: Action, path: &str) -> Result<(), Refusal> {
        if who.kind == PrincipalKind::System {
            return Ok(());
        }
        if who.zone != self.zone {
            return Err(Refusal::Zone);
        }
        if who.rights < needed(action) {
            return Err(Refusal::Rights);
        }
        let Some(prefix) = &who.prefix else {
            return Ok(());
        };
        match (action, place(path, prefix)) {
            (Action::Administer, _) => Err(Refusal::Confined),
            (_, Place::Within) | (Action::Stat, Place::Above) => Ok(()),
            (_, Place::Above | Place::Outside) => Err(Refusal::Prefix),
        }
    }

    fn refusal(&self, why: Refusal, who: &Principal, action: Action, path: &str) -> Error {
        let error = match why {
            Refusal::Zone => Error::denied("this key belongs to another zone; use a key of this one")
                .with("zone", &self.zone)
                .with("key's zone", &who.zone),
            Refusal::Rights => Error::denied(
                "this key's rights do not allow that; ask an administrator for a key with the rights needed",
            )
            .with("rights", who.rights.as_str())
            .with("needed", needed(action).as_str()),
            Refusal::Confined => Error::denied(
                "a key that is bound to a prefix cannot administer the zone; use an admin key without one",
            ),
            Refusal::Prefix => Error::denied(
                "this key reaches nothing outside of its prefix; use a path below it, or ask an administrator for a key with a wider one",
            ),
        };
        let error = error
            .with("action", action.as_str())
            .with("path", path.escape_debug());
        match &who.prefix {
            Some(prefix) => error.with("prefix", prefix.escape_debug()),
            None => error,
        }
    }
}

#[async_trait]
impl Authorizer for KeyAuthorizer {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        let who = &*who.principal;
        self.decide(who, action, target.path)
            .map_err(|why| self.refusal(why, who, action, target.path))
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        let seen = |target: &Target<'_>| {
            self.decide(&who.principal, Action::Stat, target.path)
                .is_ok()
        };
        Ok(targets.iter().map(seen).collect())
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        let within = match &who.principal.prefix {
            Some(prefix) => place(target.path, prefix) == Place::Within,
            None => true,
        };
        within
            && self
                .decide(&who.principal, Action::Stat, target.path)
                .is_ok()
    }
}

/// Why not.
#[derive(Clone, Copy)]
enum Refusal {
    Zone,
    Rights,
    Confined,
    Prefix,
}

/// The least rights that include an action.
const fn needed(action: Action) -> Rights {
    match action {
        Action::Stat | Action::Read => Rights::ReadOnly,
        Action::Write | Action::Create | Action::Delete => Rights::ReadWrite,
        Action::Administer => Rights::Admin,
    }
}
