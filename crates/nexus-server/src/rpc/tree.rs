//! Names, attributes, listings and searches.

use futures::TryStreamExt;
use nexus_fs::{
    At, DirEntry, FileKind, GlobQuery, GrepQuery, ListOptions, ListPage, MkdirOptions, MoveOptions,
    RemoveOptions, Replace, Stat,
};
use nexus_kernel::{Error, Kind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Reply;
use super::call::{Call, Outcome};
use super::value::{Point, TypedTime, iso8601};

#[derive(Deserialize)]
pub(super) struct OfPath {
    path: String,
    #[serde(default)]
    at: Point,
}

#[derive(Deserialize)]
pub(super) struct Delete {
    path: String,
    if_match: Option<String>,
}

pub(super) async fn delete(call: &Call, ask: Delete) -> Outcome {
    let options = RemoveOptions {
        if_match: call.if_match(&ask.path, ask.if_match.as_deref()).await?,
        ..RemoveOptions::default()
    };
    call.files.remove(&ask.path, options).await?;
    Reply::of(&json!({ "deleted": true }))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    old_path: String,
    new_path: String,
}

pub(super) async fn rename(call: &Call, ask: Rename) -> Outcome {
    move_to(call, &ask.old_path, &ask.new_path).await?;
    Reply::of(&json!({ "renamed": true }))
}

/// Renames as these clients expect it: nothing is replaced, missing parents are made.
pub(super) async fn move_to(call: &Call, from: &str, to: &str) -> Result<(), Error> {
    let options = MoveOptions {
        replace: Replace::Refuse,
        parents: true,
        ..MoveOptions::default()
    };
    call.files.rename(from, to, options).await.map(drop)
}

#[derive(Deserialize)]
pub(super) struct Copy {
    src_path: String,
    dst_path: String,
}

pub(super) async fn copy(call: &Call, ask: Copy) -> Outcome {
    let options = MoveOptions {
        parents: true,
        ..MoveOptions::default()
    };
    call.files
        .copy(&ask.src_path, &ask.dst_path, options)
        .await?;
    Reply::of(&json!({ "copied": true }))
}

#[derive(Deserialize)]
pub(super) struct Mkdir {
    path: String,
    parents: Option<bool>,
    exist_ok: Option<bool>,
}

pub(super) async fn mkdir(call: &Call, ask: Mkdir) -> Outcome {
    let options = MkdirOptions {
        parents: ask.parents.unwrap_or(false),
        exist_ok: ask.exist_ok.unwrap_or(false),
        ..MkdirOptions::default()
    };
    call.files.mkdir(&ask.path, options).await?;
    Reply::of(&json!({ "created": true }))
}

#[derive(Deserialize)]
pub(super) struct Rmdir {
    path: String,
    recursive: Option<bool>,
}

pub(super) async fn rmdir(call: &Call, ask: Rmdir) -> Outcome {
    let recursive = ask.recursive.unwrap_or(false);
    call.files
        .rmdir(
            &ask.path,
            RemoveOptions {
                recursive,
                ..RemoveOptions::default()
            },
        )
        .await?;
    Reply::of(&json!({ "removed": true }))
}

pub(super) async fn exists(call: &Call, ask: OfPath) -> Outcome {
    Reply::of(&json!({ "exists": call.files.exists(&ask.path, ask.at.0).await? }))
}

pub(super) async fn is_directory(call: &Call, ask: OfPath) -> Outcome {
    let stat = existing(call, &ask.path, ask.at.0).await?;
    Reply::of(&json!({ "is_directory": stat.is_some_and(|stat| stat.is_dir()) }))
}

/// The attributes of a path, none where there is nothing.
pub(super) async fn existing(call: &Call, path: &str, at: At) -> Result<Option<Stat>, Error> {
    match call.files.stat(path, at).await {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a path leads nowhere; not whether there is such a point.
fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::WrongType) && error.fact("path").is_some()
}

pub(super) async fn stat(call: &Call, ask: OfPath) -> Outcome {
    let stat = call.files.stat(&ask.path, ask.at.0).await?;
    Reply::of(&json!({
        "size": stat.size,
        "etag": etag(&stat),
        "version": stat.version,
        "modified_at": iso8601(stat.modified),
        "is_directory": stat.is_dir(),
    }))
}

pub(super) async fn get_etag(call: &Call, ask: OfPath) -> Outcome {
    let stat = existing(call, &ask.path, ask.at.0).await?;
    Reply::of(&json!({ "etag": stat.as_ref().and_then(etag) }))
}

pub(super) fn etag(stat: &Stat) -> Option<String> {
    stat.etag.map(|etag| etag.to_string())
}

pub(super) async fn get_metadata(call: &Call, ask: OfPath) -> Outcome {
    let Some(stat) = existing(call, &ask.path, ask.at.0).await? else {
        return Reply::of(&json!({ "metadata": null }));
    };
    Reply::of(&json!({ "metadata": {
        "path": ask.path,
        "size": stat.size,
        "mime_type": mime_type(&ask.path, stat.kind),
        "etag": etag(&stat),
        "version": stat.version,
        "created_at": TypedTime(stat.created),
        "modified_at": TypedTime(stat.modified),
        "is_directory": stat.is_dir(),
        "owner": stat.owner,
        "group": stat.gid.to_string(),
        "mode": stat.mode,
    }}))
}

pub(super) fn mime_type(path: &str, kind: FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "inode/directory",
        FileKind::Symlink => "inode/symlink",
        FileKind::File => mime_guess::from_path(path)
            .first_raw()
            .unwrap_or("application/octet-stream"),
    }
}

#[derive(Deserialize)]
pub(super) struct List {
    path: Option<String>,
    recursive: Option<bool>,
    details: Option<bool>,
    prefix: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    #[serde(default)]
    at: Point,
}

/// A listing with a limit is one page; without, it is everything or an error. Only where
/// entries say what they are does a recursive one show directories too.
pub(super) async fn list(call: &Call, ask: List) -> Outcome {
    let path = ask.path.as_deref().unwrap_or("/");
    let (recursive, details) = (ask.recursive.unwrap_or(true), ask.details.unwrap_or(false));
    let options = ListOptions {
        recursive,
        details,
        limit: ask.limit.unwrap_or(ListOptions::LIMIT_MAX),
        cursor: ask.cursor,
        at: ask.at.0,
    };
    let page = match ask.limit {
        Some(_) => page_of(call, path, options).await?,
        None => whole_list(call, path, options).await?,
    };
    let shown = |entry: &&DirEntry| {
        let named = ask
            .prefix
            .as_ref()
            .is_none_or(|prefix| entry.path.starts_with(prefix));
        named && (details || !recursive || entry.kind != FileKind::Directory)
    };
    let entries = page.entries.iter().filter(shown);
    let files: Vec<Value> = match details {
        true => entries.map(detailed).collect(),
        false => entries.map(|entry| json!(entry.path)).collect(),
    };
    let complete = page.next.is_none() && ask.limit.is_none();
    Reply::of(&json!({
        "total_count": complete.then_some(files.len()),
        "files": files,
        "has_more": page.next.is_some(),
        "next_cursor": page.next,
    }))
}

/// A page of a directory; a missing one is empty.
async fn page_of(call: &Call, path: &str, options: ListOptions) -> Result<ListPage, Error> {
    match call.files.list(path, options).await {
        Err(error) if error.kind() == Kind::NotFound && is_missing(&error) => Ok(ListPage {
            entries: Vec::new(),
            next: None,
        }),
        page => page,
    }
}

async fn whole_list(call: &Call, path: &str, options: ListOptions) -> Result<ListPage, Error> {
    let mut entries = Vec::new();
    let mut cursor = options.cursor.clone();
    loop {
        let page = page_of(
            call,
            path,
            ListOptions {
                cursor,
                ..options.clone()
            },
        )
        .await?;
        entries.extend(page.entries);
        call.check_entries(entries.len())?;
        match page.next {
            None => {
                return Ok(ListPage {
                    entries,
                    next: None,
                });
            }
            next => cursor = next,
        }
    }
}

fn detailed(entry: &DirEntry) -> Value {
    let stat = entry.stat.as_ref();
    json!({
        "path": entry.path,
        "size": stat.map(|stat| stat.size),
        "is_directory": entry.kind == FileKind::Directory,
        "entry_type": entry_type(entry.kind),
        "etag": stat.and_then(etag),
        "modified_at": stat.map(|stat| iso8601(stat.modified)),
        "created_at": stat.map(|stat| iso8601(stat.created)),
        "mime_type": mime_type(&entry.path, entry.kind),
    })
}

/// The numbers by which these clients know the sorts of entries.
const fn entry_type(kind: FileKind) -> u8 {
    match kind {
        FileKind::File => 0,
        FileKind::Directory => 1,
        FileKind::Symlink => 10,
    }
}

#[derive(Deserialize)]
pub(super) struct Glob {
    pattern: String,
    path: Option<String>,
    #[serde(default)]
    at: Point,
}

/// Files and links that match, newest first.
pub(super) async fn glob(call: &Call, ask: Glob) -> Outcome {
    let query = GlobQuery {
        pattern: ask.pattern,
        path: ask.path.unwrap_or_else(|| "/".into()),
        at: ask.at.0,
        ..GlobQuery::default()
    };
    let mut found = call.files.glob(query);
    let mut matches = Vec::new();
    while let Some(entry) = found.try_next().await? {
        if entry.kind != FileKind::Directory {
            matches.push(entry);
            call.check_entries(matches.len())?;
        }
    }
    matches.sort_by_key(|entry| std::cmp::Reverse(entry.stat.as_ref().map(|stat| stat.modified)));
    let paths: Vec<_> = matches.into_iter().map(|entry| entry.path).collect();
    Reply::of(&json!({ "matches": paths }))
}

#[derive(Deserialize)]
pub(super) struct Grep {
    pattern: String,
    path: Option<String>,
    file_pattern: Option<String>,
    ignore_case: Option<bool>,
    max_results: Option<usize>,
    #[serde(default)]
    at: Point,
}

pub(super) async fn grep(call: &Call, ask: Grep) -> Outcome {
    let mut found = call.files.grep(GrepQuery {
        pattern: ask.pattern,
        path: ask.path.unwrap_or_else(|| "/".into()),
        file_pattern: ask.file_pattern,
        ignore_case: ask.ignore_case.unwrap_or(false),
        at: ask.at.0,
        ..GrepQuery::default()
    });
    let mut results = Vec::new();
    let mut bytes = 0;
    while results.len() < ask.max_results.unwrap_or(usize::MAX) {
        let Some(found) = found.try_next().await? else {
            break;
        };
        bytes += found.path.len() + found.content.len() + found.matched.len();
        call.check_bytes(bytes)?;
        results.push(json!({
            "file": found.path,
            "line": found.line,
            "content": found.content,
            "match": found.matched,
        }));
        call.check_entries(results.len())?;
    }
    Reply::of(&json!({ "results": results }))
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

/// The directories at the top.
pub(super) async fn namespaces(call: &Call, Nothing {}: Nothing) -> Outcome {
    let options = ListOptions {
        limit: ListOptions::LIMIT_MAX,
        ..ListOptions::default()
    };
    let top = whole_list(call, "/", options).await?;
    let directories = top
        .entries
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory);
    let names: Vec<_> = directories.map(DirEntry::name).collect();
    Reply::of(&json!({ "namespaces": names }))
}
