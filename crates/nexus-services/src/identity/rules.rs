//! What a key may be.

use nexus_kernel::{Error, Result, Timestamp};
use nexus_service_api::{KeyInfo, KeyUpdate, NewKey, PrincipalKind, Rights};

use super::secret;
use crate::prefix;

/// Most bytes in a name or in an id.
const TEXT_BYTES_MAX: usize = 200;

/// Checks a key to be made; its prefix comes back normalised.
pub(super) fn check_new(mut new: NewKey, zone: &str, now: Timestamp) -> Result<NewKey> {
    check_name(&new.name)?;
    check_id(&new.id)?;
    if new.kind == PrincipalKind::System {
        return Err(Error::invalid(
            "a key is for a user or an agent; the system has none",
        ));
    }
    if new.zone != zone {
        return Err(
            Error::invalid("a key is made in the zone it is for; leave the zone out")
                .with("zone", shown(&new.zone))
                .with("this zone", zone),
        );
    }
    new.prefix = new.prefix.as_deref().map_or(Ok(None), prefix::parse)?;
    check_rights(new.rights, new.prefix.as_deref())?;
    check_expiry(new.expires, now)?;
    Ok(new)
}

/// What a key becomes.
pub(super) fn updated(mut info: KeyInfo, update: KeyUpdate, now: Timestamp) -> Result<KeyInfo> {
    if info.revoked.is_some() {
        return Err(
            Error::invalid("a revoked key cannot be changed; make a new one")
                .with("key", &info.key_id),
        );
    }
    if let Some(name) = update.name {
        check_name(&name)?;
        info.name = name;
    }
    if let Some(rights) = update.rights {
        check_rights(rights, info.prefix.as_deref())?;
        info.rights = rights;
    }
    if let Some(most) = update.rights_max {
        info.rights = info.rights.min(most);
    }
    if let Some(expires) = update.expires {
        check_expiry(expires, now)?;
        info.expires = expires;
    }
    Ok(info)
}

/// Checks what a listing asks for.
pub(super) fn check_page(limit: usize, cursor: Option<&str>) -> Result<()> {
    if limit == 0 {
        return Err(Error::invalid(
            "a page has at least one key; ask for a limit of 1 or more",
        ));
    }
    match cursor {
        Some(cursor) if !secret::is_key_id(cursor) => Err(Error::invalid(
            "this is not the cursor of a page of keys; begin again without one",
        )
        .with("cursor", shown(cursor))),
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<()> {
    let fine = !name.trim().is_empty() && !name.contains(char::is_control);
    if fine && name.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(
        "a key's name has 1 to 200 bytes, not only spaces, and no control characters",
    )
    .with("name", shown(name)))
}

fn check_id(id: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if !id.is_empty() && id.len() <= TEXT_BYTES_MAX && !id.contains(odd) {
        return Ok(());
    }
    Err(
        Error::invalid("an id has 1 to 200 bytes, without spaces and control characters")
            .with("id", shown(id)),
    )
}

/// Managing keys reaches the whole zone, so a prefix would be no bound.
fn check_rights(rights: Rights, prefix: Option<&str>) -> Result<()> {
    match prefix {
        Some(prefix) if rights == Rights::Admin => Err(Error::invalid(
            "an admin key reaches the whole zone; leave the prefix out, or grant read-write",
        )
        .with("prefix", prefix.escape_debug())),
        _ => Ok(()),
    }
}

fn check_expiry(expires: Option<Timestamp>, now: Timestamp) -> Result<()> {
    match expires {
        Some(end) if end <= now => Err(Error::invalid(
            "an expiry lies in the future; to end a key now, revoke it",
        )),
        _ => Ok(()),
    }
}

/// The beginning of a text from outside, safe to print.
fn shown(text: &str) -> String {
    text.chars()
        .take(TEXT_BYTES_MAX)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
