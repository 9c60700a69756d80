//! Custom metadata and tags.

use std::collections::BTreeMap;

use nexus_kernel::Error;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Blob, Changed, Durability, EntryPage, at};
use super::problem::{Answer, Body};
use crate::paging::page_limit;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MetadataQuery {
    path: String,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
}

/// Custom metadata.
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    metadata: BTreeMap<String, Blob>,
}

/// A file's custom metadata.
#[utoipa::path(
    get, path = "/api/v2/metadata", tag = "metadata", params(MetadataQuery),
    responses((status = 200, body = Metadata), (status = "default", body = Body)),
)]
pub(super) async fn metadata(
    Files(files): Files,
    Query(query): Query<MetadataQuery>,
) -> Answer<Json<Metadata>> {
    let pairs = files
        .metadata(&query.path, at(query.at.as_deref())?)
        .await?;
    let metadata = pairs
        .into_iter()
        .map(|(key, value)| (key, Blob(value)))
        .collect();
    Ok(Json(Metadata { metadata }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetMetadata {
    path: String,
    #[serde(default)]
    set: BTreeMap<String, Blob>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    durability: Durability,
}

/// Set and remove custom metadata, in one commit.
#[utoipa::path(
    post, path = "/api/v2/metadata", tag = "metadata", request_body = SetMetadata,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn set_metadata(
    Files(files): Files,
    Json(body): Json<SetMetadata>,
) -> Answer<Changed> {
    let set = body
        .set
        .into_iter()
        .map(|(key, value)| (key, Some(value.0)));
    let pairs = set
        .chain(body.remove.into_iter().map(|key| (key, None)))
        .collect();
    Ok(files
        .set_metadata(&body.path, pairs, body.durability.into())
        .await?
        .into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TagsQuery {
    path: String,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
}

/// Tags.
#[derive(Serialize, ToSchema)]
pub(super) struct Tags {
    tags: Vec<String>,
}

/// A file's tags.
#[utoipa::path(
    get, path = "/api/v2/tags", tag = "metadata", params(TagsQuery),
    responses((status = 200, body = Tags), (status = "default", body = Body)),
)]
pub(super) async fn tags(
    Files(files): Files,
    Query(query): Query<TagsQuery>,
) -> Answer<Json<Tags>> {
    Ok(Json(Tags {
        tags: files.tags(&query.path, at(query.at.as_deref())?).await?,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetTags {
    path: String,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    durability: Durability,
}

/// Add and remove tags, in one commit.
#[utoipa::path(
    post, path = "/api/v2/tags", tag = "metadata", request_body = SetTags,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn set_tags(Files(files): Files, Json(body): Json<SetTags>) -> Answer<Changed> {
    let durability = body.durability.into();
    Ok(files
        .set_tags(&body.path, &body.add, &body.remove, durability)
        .await?
        .into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FindQuery {
    /// What has this tag.
    tag: Option<String>,
    /// What has this key in its custom metadata.
    key: Option<String>,
    /// With `key`: what has this value under it.
    value: Option<String>,
    /// Most entries; 1,000 unless given, at most 10,000.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Find by tag or by custom metadata.
#[utoipa::path(
    get, path = "/api/v2/find", tag = "metadata", params(FindQuery),
    responses((status = 200, body = EntryPage), (status = "default", body = Body)),
)]
pub(super) async fn find(
    Files(files): Files,
    Query(query): Query<FindQuery>,
) -> Answer<Json<EntryPage>> {
    let (limit, cursor) = (page_limit(query.limit)?, query.cursor.as_deref());
    let page = match (query.tag, query.key, query.value) {
        (Some(tag), None, None) => files.find_by_tag(&tag, limit, cursor).await?,
        (None, Some(key), value) => {
            let value = value.as_ref().map(String::as_bytes);
            files.find_by_metadata(&key, value, limit, cursor).await?
        }
        _ => {
            return Err(Error::invalid("ask for a tag, or for a key and perhaps its value").into());
        }
    };
    Ok(Json(page.into()))
}
