//! The precondition that a lease is still held.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use nexus_kernel::{Error, Result};

/// Most fences that one request carries.
pub const FENCES_MAX: usize = 8;

/// A lease that must still be held when a change is committed: the token that its grant gave
/// and what it is on. As in Kleppmann's "How to do distributed locking", so that a holder that
/// was paused past its lease cannot write; but checked in the commit itself, not by what is
/// written to.
///
/// It is no credential: it can only keep a change from happening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease.
    pub token: u64,
    /// What it is on: `/a/path`, `ino:42` or `name:deploy`.
    pub resource: Arc<str>,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.token, self.resource)
    }
}

impl FromStr for Fence {
    type Err = Error;

    /// Reads `TOKEN RESOURCE`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(' ').filter(|(_, rest)| !rest.is_empty());
        let fence = parts.and_then(|(token, resource)| {
            Some(Self {
                token: token.parse().ok()?,
                resource: resource.into(),
            })
        });
        fence.ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            Error::invalid(
                "a fence is the token of a lease and what it is on, like `4711 /docs/a.txt` or \
                 `4711 name:deploy`",
            )
            .with("given", shown.escape_debug())
        })
    }
}

#[cfg(test)]
mod tests;
