//! Listings: the directories of blobs and the overlay, merged in key order.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

use nexus_kernel::{ObjectKey, ObjectMeta, ObjectPage};

use crate::core::Core;
use crate::error::{Failure, Result};
use crate::layout::{self, Named};

/// Up to `limit` blobs. Blocks.
pub(crate) fn list(
    core: &Core,
    prefix: &str,
    after: Option<&ObjectKey>,
    limit: usize,
) -> Result<ObjectPage> {
    if !begins_a_key(prefix) {
        return Ok(ObjectPage {
            objects: Vec::new(),
            more: false,
        });
    }
    // The overlay first: what moves from it into a file in the meantime is then seen twice, not
    // missed.
    let wanted = limit.saturating_add(1);
    let newest = core.overlay.read().page(prefix, after, wanted);
    let mut merge = Merge::new(newest, wanted);
    let walk = Walk {
        core,
        prefix,
        after: after.map_or("", ObjectKey::as_str),
    };
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    let start = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let visited = walk.visit(&layout::directory(folder), &start, &mut merge);
    if let ControlFlow::Break(Some(failure)) = visited {
        return Err(failure);
    }
    Ok(merge.page(limit))
}

/// Whether any key can begin so.
fn begins_a_key(prefix: &str) -> bool {
    ObjectKey::new(prefix).is_ok() || ObjectKey::new(format!("{prefix}x")).is_ok()
}

/// Blobs from two sources in one order.
struct Merge {
    newest: std::iter::Peekable<std::vec::IntoIter<(ObjectKey, Option<ObjectMeta>)>>,
    objects: Vec<ObjectMeta>,
    wanted: usize,
}

impl Merge {
    fn new(newest: Vec<(ObjectKey, Option<ObjectMeta>)>, wanted: usize) -> Self {
        Self {
            newest: newest.into_iter().peekable(),
            objects: Vec::new(),
            wanted,
        }
    }

    fn is_full(&self) -> bool {
        self.objects.len() >= self.wanted
    }

    /// Adds what the overlay knows before `key`; says whether it knows `key` itself.
    fn advance(&mut self, key: &ObjectKey) -> bool {
        while let Some((newer, meta)) = self.newest.next_if(|(newer, _)| newer <= key) {
            self.objects.extend(meta);
            if newer == *key {
                return true;
            }
        }
        false
    }

    fn page(mut self, limit: usize) -> ObjectPage {
        self.objects
            .extend(self.newest.filter_map(|(_, meta)| meta));
        let more = self.objects.len() > limit;
        self.objects.truncate(limit);
        ObjectPage {
            objects: self.objects,
            more,
        }
    }
}

/// Stops early when the page is full, or because of an error.
type Step = ControlFlow<Option<Failure>>;

struct Walk<'a> {
    core: &'a Core,
    prefix: &'a str,
    after: &'a str,
}

enum Node {
    Blob,
    Folder { path: String },
}

impl Walk<'_> {
    /// Visits the blobs in `dir`, whose keys begin with `start`, in key order.
    fn visit(&self, dir: &str, start: &str, merge: &mut Merge) -> Step {
        let mut nodes = BTreeMap::new();
        self.read(dir, start, &mut nodes)?;
        for (name, node) in nodes {
            match node {
                Node::Blob => self.visit_blob(&name, merge)?,
                Node::Folder { path } => self.visit(&path, &name, merge)?,
            }
        }
        ControlFlow::Continue(())
    }

    /// Reads one level of keys. In the map a folder is named with its slash: so the map's order is
    /// that of all keys below.
    fn read(&self, dir: &str, start: &str, nodes: &mut BTreeMap<String, Node>) -> Step {
        let items = match self.core.disk.list(dir) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
            items => attempt(items)?,
        };
        for item in items {
            let path = format!("{dir}/{}", item.name);
            match layout::named(&item.name, item.is_dir) {
                Some(Named::Blob(piece)) => {
                    let key = format!("{start}{piece}");
                    if key.as_str() > self.after && key.starts_with(self.prefix) {
                        nodes.insert(key, Node::Blob);
                    }
                }
                Some(Named::Folder(piece)) => {
                    let folder = format!("{start}{piece}/");
                    if self.may_hold(&folder) {
                        nodes.insert(folder, Node::Folder { path });
                    }
                }
                Some(Named::Continued(piece)) => {
                    self.read(&path, &format!("{start}{piece}"), nodes)?;
                }
                None => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether keys that begin with `folder` may be wanted.
    fn may_hold(&self, folder: &str) -> bool {
        let fits = folder.starts_with(self.prefix) || self.prefix.starts_with(folder);
        fits && (folder > self.after || self.after.starts_with(folder))
    }

    fn visit_blob(&self, name: &str, merge: &mut Merge) -> Step {
        let Ok(key) = ObjectKey::new(name) else {
            return ControlFlow::Continue(());
        };
        if !merge.advance(&key) && !merge.is_full() {
            match self.core.head(&key) {
                // Deleted in the meantime, or not made here.
                Err(failure) if failure.is_not_found() => {}
                meta => merge.objects.push(attempt(meta)?),
            }
        }
        if merge.is_full() {
            return ControlFlow::Break(None);
        }
        ControlFlow::Continue(())
    }
}

fn attempt<T>(result: Result<T, impl Into<Failure>>) -> ControlFlow<Option<Failure>, T> {
    match result {
        Ok(value) => ControlFlow::Continue(value),
        Err(cause) => ControlFlow::Break(Some(cause.into())),
    }
}
