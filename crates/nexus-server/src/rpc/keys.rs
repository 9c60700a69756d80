//! Keys.

use nexus_kernel::{Error, Timestamp};
use nexus_service_api::{KeyInfo, KeyUpdate, NewKey, Rights};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Reply;
use super::call::{Call, Outcome};
use super::value::TypedTime;
use crate::rest::principal_kind;

const NANOS_OF_DAY: f64 = 86_400e9;
/// Keys read at a time.
const PAGE: usize = 1_000;

/// Names that are not known are refused: one may be meant to restrict the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    user_id: Option<String>,
    zone_id: Option<String>,
    tenant_id: Option<String>,
    is_admin: Option<bool>,
    rights: Option<String>,
    prefix: Option<String>,
    expires_days: Option<f64>,
    subject_type: Option<String>,
    subject_id: Option<String>,
}

pub(super) async fn create(call: &Call, ask: Create) -> Outcome {
    let id = ask.subject_id.or(ask.user_id);
    let zone = asked_zone(call, ask.zone_id.or(ask.tenant_id));
    let new = NewKey {
        name: ask.name,
        kind: principal_kind(ask.subject_type.as_deref().unwrap_or("user"))?,
        id: id.ok_or_else(|| Error::invalid("say whose key it is, as user_id or subject_id"))?,
        zone: zone.unwrap_or_else(|| call.context.principal.zone.clone()),
        rights: match named_rights(ask.rights.as_deref(), ask.is_admin)? {
            Some(rights) => rights,
            None if ask.is_admin.unwrap_or(false) => Rights::Admin,
            None => Rights::ReadWrite,
        },
        prefix: ask.prefix,
        expires: ask
            .expires_days
            .map(|days| in_days(call, days))
            .transpose()?,
    };
    let created = call.shared.app.keys.create(&call.context, new).await?;
    let mut reply = described(&created.info);
    for name in ["api_key", "raw_key", "key"] {
        reply[name] = json!(created.secret);
    }
    Reply::of(&reply)
}

/// The zone a call names. A client whose user named none sends `default`: its own.
fn asked_zone(call: &Call, zone: Option<String>) -> Option<String> {
    const UNNAMED: &str = "default";
    match zone {
        Some(zone) if zone == UNNAMED => Some(call.context.principal.zone.clone()),
        zone => zone,
    }
}

/// Rights by name, which existing clients do not send: they know two sorts of keys.
fn named_rights(name: Option<&str>, is_admin: Option<bool>) -> Result<Option<Rights>, Error> {
    let Some(name) = name else { return Ok(None) };
    let rights: Rights = name.parse()?;
    match is_admin {
        Some(is_admin) if is_admin != (rights == Rights::Admin) => Err(Error::invalid(
            "rights and is_admin contradict each other; leave is_admin out",
        )),
        _ => Ok(Some(rights)),
    }
}

fn in_days(call: &Call, days: f64) -> Result<Timestamp, Error> {
    let nanos = days * NANOS_OF_DAY;
    if nanos.is_finite() && nanos > 0.0 {
        // A float that is too large becomes the largest time.
        return Ok(call.shared.app.clock.now().plus_nanos(nanos as i64));
    }
    Err(Error::invalid("a key expires in a positive number of days").with("expires_days", days))
}

fn described(key: &KeyInfo) -> Value {
    json!({
        "key_id": key.key_id,
        "name": key.name,
        "user_id": key.id,
        "subject_type": key.kind.as_str(),
        "subject_id": key.id,
        "zone_id": key.zone,
        "tenant_id": key.zone,
        "is_admin": key.rights == Rights::Admin,
        "rights": key.rights.as_str(),
        "prefix": key.prefix,
        "created_at": TypedTime(key.created),
        "expires_at": key.expires.map(TypedTime),
        "revoked": key.revoked.is_some(),
        "revoked_at": key.revoked.map(TypedTime),
    })
}

#[derive(Deserialize)]
pub(super) struct List {
    user_id: Option<String>,
    zone_id: Option<String>,
    tenant_id: Option<String>,
    is_admin: Option<bool>,
    include_revoked: Option<bool>,
    include_expired: Option<bool>,
}

impl List {
    fn shows(&self, key: &KeyInfo, now: Timestamp) -> bool {
        let expired = key.expires.is_some_and(|expires| expires <= now);
        self.user_id.as_ref().is_none_or(|id| *id == key.id)
            && self.zone_id.as_ref().is_none_or(|zone| *zone == key.zone)
            && self
                .is_admin
                .is_none_or(|is_admin| is_admin == (key.rights == Rights::Admin))
            && (self.include_revoked.unwrap_or(false) || key.revoked.is_none())
            && (self.include_expired.unwrap_or(false) || !expired)
    }
}

pub(super) async fn list(call: &Call, mut ask: List) -> Outcome {
    ask.zone_id = asked_zone(call, ask.zone_id.or(ask.tenant_id.take()));
    let now = call.shared.app.clock.now();
    let mut keys = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = call
            .shared
            .app
            .keys
            .list(&call.context, PAGE, cursor.as_deref())
            .await?;
        keys.extend(
            page.keys
                .iter()
                .filter(|key| ask.shows(key, now))
                .map(described),
        );
        call.check_entries(keys.len())?;
        match page.next {
            None => return Reply::of(&json!({ "keys": keys })),
            next => cursor = next,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct OfKey {
    key_id: String,
}

pub(super) async fn get(call: &Call, ask: OfKey) -> Outcome {
    let key = call.shared.app.keys.get(&call.context, &ask.key_id).await?;
    let mut reply = described(&key);
    // Where the client of today looks for it; others read it flat.
    reply["key"] = described(&key);
    Reply::of(&reply)
}

pub(super) async fn revoke(call: &Call, ask: OfKey) -> Outcome {
    let key = call
        .shared
        .app
        .keys
        .revoke(&call.context, &ask.key_id)
        .await?;
    let mut reply = described(&key);
    reply["success"] = json!(true);
    Reply::of(&reply)
}

/// Names that are not known are refused: one may be meant to restrict the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    key_id: String,
    name: Option<String>,
    /// `false` takes admin rights away and leaves lower ones as they are.
    is_admin: Option<bool>,
    rights: Option<String>,
    expires_days: Option<f64>,
}

pub(super) async fn update(call: &Call, ask: Update) -> Outcome {
    let expires = ask
        .expires_days
        .map(|days| in_days(call, days))
        .transpose()?;
    let named = named_rights(ask.rights.as_deref(), ask.is_admin)?;
    let (admin, no_admin) = (ask.is_admin == Some(true), ask.is_admin == Some(false));
    let update = KeyUpdate {
        name: ask.name,
        rights: named.or(admin.then_some(Rights::Admin)),
        rights_max: no_admin.then_some(Rights::ReadWrite),
        expires: expires.map(Some),
    };
    let key = call
        .shared
        .app
        .keys
        .update(&call.context, &ask.key_id, update)
        .await?;
    let mut reply = described(&key);
    reply["success"] = json!(true);
    Reply::of(&reply)
}
