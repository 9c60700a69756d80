//! The archive of a whole zone.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use nexus_fs::ExportOptions;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Files, Query};
use super::problem::{self, Answer};
use crate::door;

const MEDIA_TYPE: &str = "application/vnd.nexus.zone-archive";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ArchiveQuery {
    /// With the settings of the zone, among them the hashes of its keys.
    #[serde(default)]
    secrets: bool,
}

/// The whole zone as it is now, with its history.
///
/// An answer that breaks off leaves an archive that `nexus zone export --resume` completes, and
/// `nexus zone verify` tells from a whole one. Needs admin rights.
#[utoipa::path(
    get, path = "/api/v2/zone/archive", tag = "care", params(ArchiveQuery),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/vnd.nexus.zone-archive"),
        (status = "default", body = problem::Body),
    ),
)]
pub(super) async fn archive(
    Files(files): Files,
    Query(query): Query<ArchiveQuery>,
) -> Answer<Response> {
    let options = ExportOptions {
        secrets: query.secrets,
    };
    let mut blocks = files.export_zone(options).await?;
    // What fails at once is an error and not a body that breaks off.
    let first = blocks.try_next().await?;
    let rest = blocks.inspect_err(door::log);
    let body = Body::from_stream(stream::iter(first.map(Ok)).chain(rest));
    let headers = [
        (CONTENT_TYPE, MEDIA_TYPE),
        (CONTENT_DISPOSITION, "attachment; filename=\"zone.nxz\""),
    ];
    Ok((headers, body).into_response())
}
