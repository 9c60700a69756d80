//! What files there are, and what is in them.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures::TryStreamExt;
use nexus_client::{Client, FileKind, Kind, ListOptions, ReadOptions};

/// The files below a folder, by absolute path.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Tree(pub(super) BTreeMap<String, Bytes>);

impl Tree {
    /// As the node has it now, every byte of it read.
    pub(super) async fn read(client: &Client, root: &str) -> Self {
        let options = ListOptions {
            recursive: true,
            ..ListOptions::default()
        };
        let entries: Vec<_> = match client.list_all(root, options).try_collect().await {
            Err(error) if error.kind() == Kind::NotFound => return Self::default(),
            entries => entries.expect("a folder can be listed"),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            if entry.kind == FileKind::File {
                let file = client.read(&entry.path, ReadOptions::default()).await;
                let file = file.expect("what is listed can be read");
                files.insert(entry.path, file.bytes);
            }
        }
        Self(files)
    }

    /// The files in a folder, by the rest of their paths.
    pub(super) fn below(&self, folder: &str) -> Vec<(String, Bytes)> {
        let lead = format!("{folder}/");
        let inside = self.0.iter().filter_map(|(path, content)| {
            let rest = path.strip_prefix(&lead)?;
            Some((rest.to_owned(), content.clone()))
        });
        inside.collect()
    }

    pub(super) fn remove_below(&mut self, folder: &str) {
        let lead = format!("{folder}/");
        self.0.retain(|path, _| !path.starts_with(&lead));
    }
}

/// Paths, sizes and the first bytes: enough to see what differs.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |content: &Bytes| {
            let first = &content[..content.len().min(4)];
            format!("{} bytes, {first:x?}", content.len())
        };
        let files = self.0.iter().map(|(path, content)| (path, short(content)));
        f.debug_map().entries(files).finish()
    }
}
