//! A filesystem as simple as it can be: a map of nodes.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::FileKind;
use nexus_kernel::Kind;

pub(crate) type Id = u64;
pub(crate) const ROOT: Id = 0;

/// As many links as one resolution follows.
const LINKS_MAX: usize = 40;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub kind: FileKind,
    pub children: BTreeMap<String, Id>,
    pub links: u32,
    pub version: u64,
    /// Each content that a commit has left in the file, by its version.
    pub versions: BTreeMap<u64, Bytes>,
    pub target: String,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub created: i64,
    pub modified: i64,
    pub changed: i64,
    /// When a name in this directory last changed.
    pub names_changed: i64,
    pub metadata: BTreeMap<String, Bytes>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub nodes: BTreeMap<Id, Node>,
    next: Id,
    pub now: i64,
}

/// Where a path leads.
pub(crate) struct Place {
    /// With links followed.
    pub path: String,
    /// The nodes on the way, the root first.
    pub chain: Vec<Id>,
    pub end: End,
}

#[derive(Clone, Copy)]
pub(crate) enum End {
    Found(Id),
    /// So many names are missing.
    Missing(usize),
    /// Something on the way is not a directory.
    Blocked,
    /// Links lead in a circle, or through too many others.
    Circle,
}

impl Place {
    pub(crate) fn found(&self) -> Result<Id, Kind> {
        match self.end {
            End::Found(id) => Ok(id),
            End::Missing(_) => Err(Kind::NotFound),
            End::Blocked | End::Circle => Err(self.obstacle()),
        }
    }

    /// Why nothing can be made here.
    pub(crate) fn obstacle(&self) -> Kind {
        match self.end {
            End::Circle => Kind::LimitExceeded,
            _ => Kind::WrongType,
        }
    }

    /// The directory and name of what was found; none for the root.
    pub(crate) fn name(&self) -> Option<(Id, String)> {
        let name = self.path.rsplit('/').next()?;
        let parent = self.chain.len().checked_sub(2)?;
        Some((self.chain[parent], name.to_owned()))
    }
}

impl Node {
    pub(crate) fn new(kind: FileKind, mode: u32, now: i64) -> Self {
        Self {
            kind,
            children: BTreeMap::new(),
            links: 1,
            version: u64::from(kind != FileKind::Directory),
            versions: BTreeMap::new(),
            target: String::new(),
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
            created: now,
            modified: now,
            changed: now,
            names_changed: 0,
            metadata: BTreeMap::new(),
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    pub(crate) fn content(&self) -> Bytes {
        self.versions
            .get(&self.version)
            .cloned()
            .unwrap_or_default()
    }
}

impl Tree {
    pub(crate) fn new(now: i64) -> Self {
        let root = Node::new(FileKind::Directory, 0o755, now);
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            now,
        }
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[&id]
    }

    pub(crate) fn node_mut(&mut self, id: Id) -> &mut Node {
        self.nodes.get_mut(&id).expect("ids come from the tree")
    }

    pub(crate) fn add(&mut self, node: Node) -> Id {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    /// Points a name at a node, or removes it.
    pub(crate) fn set_name(&mut self, parent: Id, name: &str, id: Option<Id>) {
        let now = self.now;
        let dir = self.node_mut(parent);
        dir.names_changed = now;
        match id {
            Some(id) => dir.children.insert(name.to_owned(), id),
            None => dir.children.remove(name),
        };
    }

    /// Removes a name, its node with the last one, and all below a directory.
    pub(crate) fn remove(&mut self, parent: Id, name: &str) {
        let id = self.node(parent).children[name];
        for child in self.node(id).children.clone().into_keys() {
            self.remove(id, &child);
        }
        self.set_name(parent, name, None);
        let now = self.now;
        let node = self.node_mut(id);
        node.links -= 1;
        node.changed = now;
        if node.links == 0 {
            self.nodes.remove(&id);
        }
    }

    /// Every path but the root, parents first, names in byte order.
    pub(crate) fn paths(&self) -> Vec<(String, Id)> {
        let mut paths = Vec::new();
        self.add_paths(ROOT, "", &mut paths);
        paths
    }

    fn add_paths(&self, dir: Id, path: &str, paths: &mut Vec<(String, Id)>) {
        for (name, id) in &self.node(dir).children {
            let path = format!("{path}/{name}");
            paths.push((path.clone(), *id));
            self.add_paths(*id, &path, paths);
        }
    }

    pub(crate) fn resolve(&self, path: &str, follow: bool) -> Place {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            match self.walk(&path, follow) {
                (_, Some(next)) => path = next,
                (place, None) => return place,
            }
        }
        self.walk(&path, follow).0
    }

    /// Where a path leads, and the path that a link on it makes of it.
    fn walk(&self, path: &str, follow: bool) -> (Place, Option<String>) {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let mut chain = vec![ROOT];
        let mut end = End::Found(ROOT);
        let mut next = None;
        for (i, name) in names.iter().enumerate() {
            let here = self.node(chain[i]);
            if !here.is_dir() {
                end = End::Blocked;
                break;
            }
            let Some(id) = here.children.get(*name) else {
                end = End::Missing(names.len() - i);
                break;
            };
            let last = i + 1 == names.len();
            if self.node(*id).kind == FileKind::Symlink && (follow || !last) {
                next = Some(follow_link(&names, i, &self.node(*id).target));
                end = End::Circle;
                break;
            }
            chain.push(*id);
            end = End::Found(*id);
        }
        let path = format!("/{}", names.join("/"));
        (Place { path, chain, end }, next)
    }
}

/// A path whose name number `at` is a link; `..` goes by the text.
fn follow_link(names: &[&str], at: usize, target: &str) -> String {
    let mut path: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        path.extend(&names[..at]);
    }
    for name in target.split('/').chain(names[at + 1..].iter().copied()) {
        match name {
            "" | "." => {}
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    format!("/{}", path.join("/"))
}
