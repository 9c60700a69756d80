//! REST: files under their paths, everything else under its name, described by OpenAPI.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::Paths;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Shared;

mod admin;
mod archive;
mod changes;
mod compare;
mod conditions;
mod content;
mod cursors;
mod events;
mod extract;
mod history;
mod lineage;
mod locks;
mod meta;
mod model;
mod ndjson;
mod problem;
mod range;
mod reads;
mod retention;
mod snapshots;
mod steps;
mod undo;
mod workspaces;

pub(crate) use admin::principal_kind;
pub(crate) use conditions::not_modified;
pub(crate) use extract::{Caller, Name, whole_body};
pub(crate) use problem::{Problem, internal};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nexus",
        description = "Files of one zone. Every request but this one needs a key, as \
            `Authorization: Bearer sk-...`. Every change answers its revision; every read takes \
            `at`: a revision, `>=revision`, a time, or how long ago, like `2h`."
    ),
    security(("key" = []))
)]
struct Description;

/// The routes that need a key, and the one that describes them, which needs none.
pub(crate) fn router() -> (Router<Shared>, Router<Shared>) {
    let (routes, mut api) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(routes())
        .split_for_parts();
    let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    api.components
        .get_or_insert_default()
        .add_security_scheme("key", key);
    api.paths = plain_paths(api.paths);
    let json = Bytes::from(api.to_json().expect("the description is plain data"));
    let describe = get(|| async move { ([(CONTENT_TYPE, "application/json")], json) });
    (
        routes,
        Router::new().route("/api/v2/openapi.json", describe),
    )
}

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(
            content::read,
            content::head,
            content::write,
            content::append,
            content::remove,
            content::set_attributes
        ))
        .routes(routes!(reads::stat))
        .routes(routes!(reads::list))
        .routes(routes!(reads::usage))
        .routes(routes!(reads::glob))
        .routes(routes!(reads::grep))
        .routes(routes!(reads::duplicates))
        .routes(routes!(changes::mkdir))
        .routes(routes!(changes::rename))
        .routes(routes!(changes::copy))
        .routes(routes!(changes::symlink))
        .routes(routes!(changes::hard_link))
        .routes(routes!(changes::edit))
        .routes(routes!(changes::batch))
        .routes(routes!(meta::metadata, meta::set_metadata))
        .routes(routes!(meta::tags, meta::set_tags))
        .routes(routes!(meta::find))
        .routes(routes!(history::versions))
        .routes(routes!(compare::diff))
        .routes(routes!(compare::diff_tree))
        .routes(routes!(lineage::lineage))
        .routes(routes!(history::rollback))
        .routes(routes!(undo::undo))
        .routes(routes!(undo::restore))
        .routes(routes!(history::log))
        .routes(routes!(events::events))
        .routes(routes!(events::events_ws))
        .routes(routes!(cursors::create, cursors::list))
        .routes(routes!(cursors::get, cursors::delete))
        .routes(routes!(cursors::acknowledge))
        .routes(routes!(cursors::rewind))
        .routes(routes!(history::revision))
        .routes(routes!(history::sync))
        .routes(routes!(admin::whoami))
        .routes(routes!(admin::create_key, admin::list_keys))
        .routes(routes!(
            admin::get_key,
            admin::update_key,
            admin::revoke_key
        ))
        .routes(routes!(archive::archive))
        .routes(routes!(admin::gc))
        .routes(routes!(admin::verify))
        .routes(routes!(locks::acquire, locks::list))
        .routes(routes!(locks::inspect))
        .routes(routes!(locks::extend))
        .routes(routes!(locks::release))
        .routes(routes!(locks::force_unlock))
        .routes(routes!(snapshots::create, snapshots::list))
        .routes(routes!(
            snapshots::get,
            snapshots::update,
            snapshots::delete
        ))
        .routes(routes!(retention::set, retention::list, retention::remove))
        .routes(routes!(retention::run))
        .routes(routes!(workspaces::register, workspaces::list))
        .routes(routes!(workspaces::info))
        .routes(routes!(workspaces::unregister))
        .routes(routes!(workspaces::fork, workspaces::forks))
        .routes(routes!(workspaces::merge))
}

/// The router's `{*path}` is an ordinary `{path}` to OpenAPI.
fn plain_paths(mut paths: Paths) -> Paths {
    paths.paths = paths
        .paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
    paths
}
