//! The name of a principal, as records keep it.

use std::sync::Arc;

use nexus_kernel::{Error, Result};

use crate::PrincipalKind;

/// Most bytes in the name of somebody who is acted for.
pub const ACTOR_BYTES_MAX: usize = 128;

/// Reads `user:ID` or `agent:ID`: whom one can act for. The system is nobody to act for.
/// Whether there is such a user or agent is not asked.
///
/// # Errors
///
/// `InvalidArgument` for another kind, for an id that is empty or has spaces or control
/// characters, and for a name of more than [`ACTOR_BYTES_MAX`] bytes.
pub fn parse_actor(text: &str) -> Result<Arc<str>> {
    if text.len() <= ACTOR_BYTES_MAX && is_actor(text) {
        return Ok(text.into());
    }
    let shown: String = text.chars().take(ACTOR_BYTES_MAX).collect();
    Err(Error::invalid(
        "whom to act for is user:ID or agent:ID, of up to 128 bytes, without spaces and control \
         characters",
    )
    .with("given", shown.escape_debug()))
}

fn is_actor(text: &str) -> bool {
    let kinds = [PrincipalKind::User, PrincipalKind::Agent];
    let odd = |c: char| c.is_control() || c.is_whitespace();
    text.split_once(':').is_some_and(|(kind, id)| {
        kinds.iter().any(|known| known.as_str() == kind) && !id.is_empty() && !id.contains(odd)
    })
}

#[cfg(test)]
mod tests;
