//! What the disk shows, what it would show after power loss, and what is between.

use super::*;

const SECTOR_BYTES: usize = 512;
const ROOT: Inode = Inode(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inode(usize);

/// A place in a directory.
pub(super) type Name = (Inode, String);

#[derive(Clone, Debug)]
pub(super) struct State {
    nodes: Vec<Node>,
    /// Changes of directories that are not durable, oldest first.
    changes: Vec<Change>,
    pub(super) power: Power,
    pub(super) trouble: Trouble,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) now: Vec<u8>,
    pub(super) durable: Vec<u8>,
    writes: Vec<(usize, Vec<u8>)>,
    /// How much can be written even to a full disk.
    pub(super) reserved: u64,
    pub(super) modified: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) now: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
}

/// A change of one name, or of two at once.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) unlink: Option<Name>,
    pub(super) link: Option<(Name, Inode)>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::dir()],
            changes: Vec::new(),
            power: Power::default(),
            trouble: Trouble::None,
        }
    }

    /// Counts an operation, unless the power goes off before it.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.power.draw()
    }

    pub(super) fn begin_growing(&mut self) -> io::Result<()> {
        self.begin()?;
        if self.trouble == Trouble::Full {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    pub(super) fn restart(&mut self) {
        self.power = Power::default();
        self.trouble = Trouble::None;
    }

    pub(super) fn add(&mut self, node: Node) -> Inode {
        self.nodes.push(node);
        Inode(self.nodes.len() - 1)
    }

    pub(super) fn find(&self, path: &str) -> io::Result<Inode> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        segments.try_fold(ROOT, |inode, segment| {
            let found = self.dir(inode)?.now.get(segment).copied();
            found.ok_or_else(|| Errno::NOENT.into())
        })
    }

    pub(super) fn name(&self, path: &str) -> io::Result<Name> {
        let dir = parent(path);
        let name = path[dir.len()..].trim_start_matches('/');
        Ok((self.find(dir)?, name.to_owned()))
    }

    pub(super) fn dir(&self, inode: Inode) -> io::Result<&DirNode> {
        match &self.nodes[inode.0] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(Errno::NOTDIR.into()),
        }
    }

    fn dir_mut(&mut self, inode: Inode) -> &mut DirNode {
        match &mut self.nodes[inode.0] {
            Node::Dir(dir) => dir,
            Node::File(_) => unreachable!("names are in directories"),
        }
    }

    pub(super) fn file_mut(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match &mut self.nodes[inode.0] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut FileNode> {
        self.nodes.iter_mut().filter_map(|node| match node {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        })
    }

    pub(super) fn link(&mut self, path: &str, inode: Inode) -> io::Result<()> {
        let name = self.name(path)?;
        self.change(Change {
            unlink: None,
            link: Some((name, inode)),
        });
        Ok(())
    }

    pub(super) fn change(&mut self, change: Change) {
        self.apply(&change, |dir| &mut dir.now);
        self.changes.push(change);
    }

    fn apply(
        &mut self,
        change: &Change,
        side: impl Fn(&mut DirNode) -> &mut BTreeMap<String, Inode>,
    ) {
        if let Some((dir, name)) = &change.unlink {
            side(self.dir_mut(*dir)).remove(name);
        }
        if let Some(((dir, name), inode)) = &change.link {
            side(self.dir_mut(*dir)).insert(name.clone(), *inode);
        }
    }

    /// Makes the chosen changes durable, and every earlier one of the same names and of the
    /// directories they are in.
    pub(super) fn keep_changes(&mut self, chosen: impl Fn(&Change) -> bool) {
        let mut needed: HashSet<Name> = HashSet::new();
        let mut needed_dirs: HashSet<Inode> = HashSet::new();
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut self.changes).into_iter().rev() {
            let makes_a_dir = change.link.as_ref();
            let makes_a_dir = makes_a_dir.is_some_and(|(_, inode)| needed_dirs.contains(inode));
            let is_needed = makes_a_dir || change.names().any(|name| needed.contains(name));
            if is_needed || chosen(&change) {
                needed.extend(change.names().cloned());
                needed_dirs.extend(change.names().map(|(dir, _)| *dir));
                kept.push(change);
            } else {
                left.push(change);
            }
        }
        for change in kept.iter().rev() {
            self.apply(change, |dir| &mut dir.durable);
        }
        left.reverse();
        self.changes = left;
    }

    /// Power loss: by chance some of what is not durable stays.
    pub(super) fn lose(&mut self, random: &mut StdRng) {
        let chance = random.random_range(0..=4);
        let mut stays = move || random.random_ratio(chance, 4);
        self.lose_changes(&mut stays);
        for file in self.files_mut() {
            file.lose(&mut stays);
        }
        for node in &mut self.nodes {
            if let Node::Dir(dir) = node {
                dir.now = dir.durable.clone();
            }
        }
    }

    fn lose_changes(&mut self, stays: &mut impl FnMut() -> bool) {
        let mut lost: HashSet<Name> = HashSet::new();
        let mut lost_inodes: HashSet<Inode> = HashSet::new();
        for change in std::mem::take(&mut self.changes) {
            let depends = |(dir, name): &Name| {
                lost_inodes.contains(dir) || lost.contains(&(*dir, name.clone()))
            };
            if stays() && !change.names().any(depends) {
                self.apply(&change, |dir| &mut dir.durable);
            } else {
                lost.extend(change.names().cloned());
                lost_inodes.extend(change.link.map(|(_, inode)| inode));
            }
        }
    }
}

impl Node {
    pub(super) fn file() -> Self {
        Self::File(FileNode::default())
    }

    pub(super) fn dir() -> Self {
        Self::Dir(DirNode::default())
    }
}

impl Change {
    fn names(&self) -> impl Iterator<Item = &Name> {
        let linked = self.link.as_ref().map(|(name, _)| name);
        self.unlink.iter().chain(linked)
    }

    pub(super) fn touches(&self, dir: Inode) -> bool {
        self.names().any(|(inode, _)| *inode == dir)
    }
}

impl FileNode {
    pub(super) fn facts(&self) -> Facts {
        Facts {
            size: self.now.len() as u64,
            modified: self.modified,
        }
    }

    pub(super) fn write(&mut self, at: u64, bytes: Vec<u8>) {
        let at = usize::try_from(at).expect("files are small here");
        place(&mut self.now, at, &bytes);
        self.writes.push((at, bytes));
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.now);
        self.writes.clear();
    }

    fn lose(&mut self, stays: &mut impl FnMut() -> bool) {
        for (at, bytes) in std::mem::take(&mut self.writes) {
            for (start, sector) in sectors(at, &bytes) {
                if stays() {
                    place(&mut self.durable, start, sector);
                }
            }
        }
        self.now.clone_from(&self.durable);
    }
}

fn place(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// The parts of a write that a disk writes whole.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let rest = rest.chunks(SECTOR_BYTES).enumerate();
    let rest = rest.map(move |(i, sector)| (at + first + i * SECTOR_BYTES, sector));
    std::iter::once((at, head)).chain(rest)
}
