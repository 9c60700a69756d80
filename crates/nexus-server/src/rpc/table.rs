//! The methods: one table dispatches and lists them.

use futures::future::BoxFuture;

use super::call::{Call, Outcome, parse};
use super::{bulk, content, history, keys, tree, workspaces};

/// A method.
pub(super) struct Method {
    pub(super) name: &'static str,
    /// Runs it with its parameters, a JSON object.
    pub(super) run: for<'a> fn(&'a Call, &'a str) -> BoxFuture<'a, Outcome>,
}

pub(super) fn find(name: &str) -> Option<&'static Method> {
    let index = METHODS.binary_search_by(|method| method.name.cmp(name));
    index.ok().map(|index| &METHODS[index])
}

macro_rules! methods {
    ($($name:ident: $handler:path,)*) => {
        /// All methods, by name.
        pub(super) const METHODS: &[Method] = &[$(
            Method {
                name: stringify!($name),
                run: |call, params| Box::pin(async move { $handler(call, parse(params)?).await }),
            },
        )*];
    };
}

methods! {
    admin_create_key: keys::create,
    admin_get_key: keys::get,
    admin_list_keys: keys::list,
    admin_revoke_key: keys::revoke,
    admin_update_key: keys::update,
    append: content::append,
    batch_get_content_ids: bulk::content_ids,
    copy: tree::copy,
    delete: tree::delete,
    delete_bulk: bulk::delete,
    diff_versions: history::diff,
    edit: content::edit,
    exists: tree::exists,
    get_available_namespaces: tree::namespaces,
    get_etag: tree::get_etag,
    get_metadata: tree::get_metadata,
    get_version: history::get_version,
    get_workspace_info: workspaces::info,
    glob: tree::glob,
    grep: tree::grep,
    is_directory: tree::is_directory,
    list: tree::list,
    list_versions: history::list_versions,
    list_workspaces: workspaces::list,
    mkdir: tree::mkdir,
    read: content::read,
    read_bulk: bulk::read,
    read_range: content::read_range,
    register_workspace: workspaces::register,
    rename: tree::rename,
    rename_bulk: bulk::rename,
    rmdir: tree::rmdir,
    rollback: history::rollback,
    stat: tree::stat,
    unregister_workspace: workspaces::unregister,
    workspace_diff: workspaces::diff,
    workspace_log: workspaces::log,
    workspace_restore: workspaces::restore,
    workspace_snapshot: workspaces::snapshot,
    write: content::write,
    write_batch: bulk::write,
    write_stream: content::write_stream,
}

#[cfg(test)]
mod tests;
