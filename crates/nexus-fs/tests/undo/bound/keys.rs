//! The rights of keys that are bound to a prefix, as a node grants them.

use async_trait::async_trait;
use nexus_kernel::{Error, Result};
use nexus_service_api::{Action, Authorizer, Context, Target};

/// Users have their prefix, and may stat what leads there.
pub(super) struct Keys;

pub(super) fn is_within(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix == "/" || rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn is_above(path: &str, prefix: &str) -> bool {
    is_within(prefix, path)
}

impl Keys {
    fn allows(who: &Context, action: Action, path: &str) -> bool {
        let Some(prefix) = &who.principal.prefix else {
            return true;
        };
        let within = is_within(path, prefix);
        action != Action::Administer
            && (within || (action == Action::Stat && is_above(path, prefix)))
    }
}

#[async_trait]
impl Authorizer for Keys {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        if Self::allows(who, action, target.path) {
            return Ok(());
        }
        Err(
            Error::denied("this key reaches nothing outside of its prefix")
                .with("path", target.path),
        )
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        let seen = |target: &Target<'_>| Self::allows(who, Action::Stat, target.path);
        Ok(targets.iter().map(seen).collect())
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        Self::allows(who, Action::Read, target.path)
    }
}
