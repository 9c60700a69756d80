//! Keys, and care of the zone.

use axum::extract::State;
use axum::response::Response;
use futures::StreamExt;
use nexus_kernel::{Error, Result};
use nexus_service_api::{KeyInfo, KeyUpdate, NewKey, PrincipalKind, Rights};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Caller, Files, Json, Name, Query};
use super::model::Time;
use super::ndjson::ndjson;
use super::problem::{Answer, Body};
use crate::app::Shared;
use crate::paging::page_limit;

/// Who the key says the caller is.
#[derive(Serialize, ToSchema)]
pub(super) struct Whoami {
    /// `user` or `agent`.
    kind: &'static str,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    zone: String,
    /// `read-only`, `read-write` or `admin`.
    rights: &'static str,
    /// Nothing outside of this path may be touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
}

/// Who the key says the caller is.
#[utoipa::path(
    get, path = "/api/v2/whoami", tag = "keys",
    responses((status = 200, body = Whoami), (status = "default", body = Body)),
)]
pub(super) async fn whoami(Caller(context): Caller) -> Json<Whoami> {
    let principal = &context.principal;
    Json(Whoami {
        kind: principal.kind.as_str(),
        id: principal.id.clone(),
        key_id: principal.key_id.clone(),
        zone: principal.zone.clone(),
        rights: principal.rights.as_str(),
        prefix: principal.prefix.clone(),
    })
}

/// What is known of a key; never its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    key_id: String,
    name: String,
    /// `user` or `agent`.
    kind: &'static str,
    id: String,
    zone: String,
    /// `read-only`, `read-write` or `admin`.
    rights: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    created: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Time>,
}

impl From<KeyInfo> for Key {
    fn from(key: KeyInfo) -> Self {
        Self {
            key_id: key.key_id,
            name: key.name,
            kind: key.kind.as_str(),
            id: key.id,
            zone: key.zone,
            rights: key.rights.as_str(),
            prefix: key.prefix,
            created: Time(key.created),
            expires: key.expires.map(Time),
            revoked: key.revoked.map(Time),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateKey {
    /// What people call it.
    name: String,
    /// `user` (default) or `agent`.
    kind: Option<String>,
    /// Who the key's bearer is.
    id: String,
    /// The caller's zone unless given.
    zone: Option<String>,
    /// `read-only`, `read-write` or `admin`.
    rights: String,
    /// An absolute path: nothing outside of it may be touched.
    prefix: Option<String>,
    expires: Option<Time>,
}

/// A key just made.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedKey {
    key: Key,
    /// `sk-...`: kept nowhere, shown once.
    secret: String,
}

/// Make a key.
#[utoipa::path(
    post, path = "/api/v2/keys", tag = "keys", request_body = CreateKey,
    responses((status = 200, body = CreatedKey), (status = "default", body = Body)),
)]
pub(super) async fn create_key(
    Caller(context): Caller,
    State(shared): State<Shared>,
    Json(body): Json<CreateKey>,
) -> Answer<Json<CreatedKey>> {
    let new = NewKey {
        name: body.name,
        kind: principal_kind(body.kind.as_deref().unwrap_or("user"))?,
        id: body.id,
        zone: body.zone.unwrap_or_else(|| context.principal.zone.clone()),
        rights: body.rights.parse()?,
        prefix: body.prefix,
        expires: body.expires.map(|time| time.0),
    };
    let created = shared.app.keys.create(&context, new).await?;
    Ok(Json(CreatedKey {
        key: created.info.into(),
        secret: created.secret,
    }))
}

/// A sort of caller that a key can be made for.
pub(crate) fn principal_kind(text: &str) -> Result<PrincipalKind> {
    match text {
        "user" => Ok(PrincipalKind::User),
        "agent" => Ok(PrincipalKind::Agent),
        _ => {
            Err(Error::invalid("a key is for a user or an agent").with("kind", text.escape_debug()))
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListKeys {
    /// Most keys; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyPage {
    keys: Vec<Key>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List keys, those revoked or expired too.
#[utoipa::path(
    get, path = "/api/v2/keys", tag = "keys", params(ListKeys),
    responses((status = 200, body = KeyPage), (status = "default", body = Body)),
)]
pub(super) async fn list_keys(
    Caller(context): Caller,
    State(shared): State<Shared>,
    Query(query): Query<ListKeys>,
) -> Answer<Json<KeyPage>> {
    let limit = page_limit(query.limit)?;
    let page = shared
        .app
        .keys
        .list(&context, limit, query.cursor.as_deref())
        .await?;
    Ok(Json(KeyPage {
        keys: page.keys.into_iter().map(Key::from).collect(),
        next: page.next,
    }))
}

/// What is known of a key.
#[utoipa::path(
    get, path = "/api/v2/keys/{key_id}", tag = "keys",
    params(("key_id" = String, Path)),
    responses((status = 200, body = Key), (status = "default", body = Body)),
)]
pub(super) async fn get_key(
    Caller(context): Caller,
    State(shared): State<Shared>,
    Name(key_id): Name,
) -> Answer<Json<Key>> {
    Ok(Json(shared.app.keys.get(&context, &key_id).await?.into()))
}

/// Changes to a key; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateKey {
    name: Option<String>,
    /// `read-only`, `read-write` or `admin`.
    rights: Option<String>,
    /// `null`: it ends no more by itself.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Time>)]
    expires: Option<Option<Time>>,
}

/// Reads a field that is there, so that `null` is not taken for its absence.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Change a key.
#[utoipa::path(
    patch, path = "/api/v2/keys/{key_id}", tag = "keys",
    params(("key_id" = String, Path)), request_body = UpdateKey,
    responses((status = 200, body = Key), (status = "default", body = Body)),
)]
pub(super) async fn update_key(
    Caller(context): Caller,
    State(shared): State<Shared>,
    Name(key_id): Name,
    Json(body): Json<UpdateKey>,
) -> Answer<Json<Key>> {
    let update = KeyUpdate {
        name: body.name,
        rights: body
            .rights
            .as_deref()
            .map(str::parse::<Rights>)
            .transpose()?,
        rights_max: None,
        expires: body.expires.map(|end| end.map(|time| time.0)),
    };
    Ok(Json(
        shared
            .app
            .keys
            .update(&context, &key_id, update)
            .await?
            .into(),
    ))
}

/// End a key, at once.
#[utoipa::path(
    delete, path = "/api/v2/keys/{key_id}", tag = "keys",
    params(("key_id" = String, Path)),
    responses((status = 200, body = Key), (status = "default", body = Body)),
)]
pub(super) async fn revoke_key(
    Caller(context): Caller,
    State(shared): State<Shared>,
    Name(key_id): Name,
) -> Answer<Json<Key>> {
    Ok(Json(
        shared.app.keys.revoke(&context, &key_id).await?.into(),
    ))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Gc {
    /// Change nothing, just count.
    #[serde(default)]
    dry_run: bool,
}

/// What garbage collection removed, or would.
#[derive(Serialize, ToSchema)]
pub(super) struct GcReport {
    /// Rows of history that the policies of retention let go.
    rows: u64,
    /// Versions of files that went with them.
    versions: u64,
    blobs: u64,
    bytes: u64,
    dry_run: bool,
}

/// Remove what retention lets go of history, and content that nothing refers to any more.
#[utoipa::path(
    post, path = "/api/v2/gc", tag = "care", params(Gc),
    responses((status = 200, body = GcReport), (status = "default", body = Body)),
)]
pub(super) async fn gc(Files(files): Files, Query(query): Query<Gc>) -> Answer<Json<GcReport>> {
    let nexus_fs::GcReport {
        rows,
        versions,
        blobs,
        bytes,
        dry_run,
    } = files.gc(query.dry_run).await?;
    Ok(Json(GcReport {
        rows,
        versions,
        blobs,
        bytes,
        dry_run,
    }))
}

/// How far verification is, and what it found wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct VerifyProgress {
    checked_files: u64,
    checked_blobs: u64,
    checked_bytes: u64,
    /// What is wrong, and where; none in a mere report of progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The last line.
    done: bool,
}

impl From<nexus_fs::VerifyProgress> for VerifyProgress {
    fn from(progress: nexus_fs::VerifyProgress) -> Self {
        let nexus_fs::VerifyProgress {
            checked_files,
            checked_blobs,
            checked_bytes,
            problem,
            done,
        } = progress;
        Self {
            checked_files,
            checked_blobs,
            checked_bytes,
            problem,
            done,
        }
    }
}

/// Read everything back and compare it with its hashes.
///
/// Answers one JSON object a line, as it goes.
#[utoipa::path(
    post, path = "/api/v2/verify", tag = "care",
    responses(
        (status = 200, body = VerifyProgress, content_type = "application/x-ndjson"),
        (status = "default", body = Body),
    ),
)]
pub(super) async fn verify(Files(files): Files) -> Answer<Response> {
    Ok(ndjson(
        files
            .verify()
            .map(|step| step.map(VerifyProgress::from))
            .boxed(),
    )
    .await?)
}
