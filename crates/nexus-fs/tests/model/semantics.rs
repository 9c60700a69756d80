//! What each operation means, on the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::{Etag, FileKind, HashAlgorithm, MkdirOptions, MoveOptions, Precondition, Replace};
use nexus_kernel::Kind;

use crate::ops::{Op, Write};
use crate::tree::{End, Id, Node, Place, Tree};

pub(crate) fn etag(content: &[u8]) -> Etag {
    Etag::of(HashAlgorithm::Blake3, content)
}

impl Tree {
    /// Applies an operation whole or not at all; says whether it makes a commit.
    pub(crate) fn apply(&mut self, op: &Op, now: i64) -> Result<bool, Kind> {
        let before = self.clone();
        self.now = now;
        let result = self.step(op);
        match result {
            Err(_) => *self = before,
            // What is forked comes with all its versions.
            Ok(_) if matches!(op, Op::Fork { .. }) => {}
            Ok(_) => self.forget_versions_within(&before),
        }
        result
    }

    /// A content that a later step of the same commit replaced never was a version.
    fn forget_versions_within(&mut self, before: &Self) {
        for (id, node) in &mut self.nodes {
            let known = before.nodes.get(id).map(|node| node.version).unwrap_or(0);
            let current = node.version;
            node.versions
                .retain(|version, _| *version <= known || *version == current);
        }
    }

    fn step(&mut self, op: &Op) -> Result<bool, Kind> {
        match op {
            Op::Write(path, write) => self.write(path, write).map(|()| true),
            Op::Append(path, write) => self.append(path, write).map(|()| true),
            Op::Truncate(path, size) => self.truncate(path, *size).map(|()| true),
            Op::SetAttributes {
                path,
                mode,
                uid,
                modified,
            } => self
                .set_attributes(path, *mode, *uid, *modified)
                .map(|()| true),
            Op::SetMetadata(path, set) => self.set_metadata(path, set).map(|()| true),
            Op::SetTags { path, add, remove } => {
                let key = |tag: &String| format!("tag:{tag}");
                let added = add.iter().map(|tag| (key(tag), Some(Bytes::new())));
                let removed = remove.iter().map(|tag| (key(tag), None));
                let set: Vec<_> = added.chain(removed).collect();
                self.set_metadata(path, &set).map(|()| true)
            }
            Op::Mkdir(path, options) => self.mkdir(path, options),
            Op::Remove {
                path,
                recursive,
                only_directory,
            } => self
                .remove_path(path, *recursive, *only_directory)
                .map(|()| true),
            Op::Rename(from, to, options) => self.rename(from, to, options),
            Op::Copy(from, to, options) => self.copy(from, to, options).map(|()| true),
            Op::Symlink { target, path } => self.symlink(target, path).map(|()| true),
            Op::HardLink { existing, path } => self.hard_link(existing, path).map(|()| true),
            Op::Fork { from, to, parents } => self.fork(from, to, *parents).map(|()| true),
            Op::Rollback(path, version) => self.rollback(path, *version).map(|()| true),
            Op::Batch(steps) => {
                let mut changes = false;
                for step in steps {
                    changes |= self.step(step)?;
                }
                Ok(changes)
            }
            Op::Reopen { .. } | Op::Gc => Ok(false),
        }
    }

    fn write(&mut self, path: &str, write: &Write) -> Result<(), Kind> {
        let place = self.resolve(path, true);
        let id = match place.end {
            End::Blocked | End::Circle => return Err(place.obstacle()),
            End::Found(id) => {
                let node = self.node(id);
                if node.is_dir() {
                    return Err(Kind::WrongType);
                }
                match write.precondition {
                    Precondition::Absent => return Err(Kind::AlreadyExists),
                    Precondition::Etag(wanted) if wanted != etag(&node.content()) => {
                        return Err(Kind::Conflict);
                    }
                    _ => self.put_content(id, write.content.0.clone()),
                }
                id
            }
            End::Missing(_) => {
                if matches!(
                    write.precondition,
                    Precondition::Exists | Precondition::Etag(_)
                ) {
                    return Err(Kind::Conflict);
                }
                let (parent, name) = self.slot(&place, write.parents)?;
                self.create(
                    parent,
                    &name,
                    write.content.0.clone(),
                    write.mode.unwrap_or(0o644),
                )
            }
        };
        for (key, value) in &write.metadata {
            self.node_mut(id)
                .metadata
                .insert(key.clone(), value.clone());
        }
        Ok(())
    }

    fn append(&mut self, path: &str, write: &Write) -> Result<(), Kind> {
        let mut content = match self.resolve(path, true).end {
            End::Found(id) => self.node(id).content().to_vec(),
            _ => Vec::new(),
        };
        content.extend_from_slice(&write.content.0);
        let whole = Write {
            content: content.into(),
            ..write.clone()
        };
        self.write(path, &whole)
    }

    fn truncate(&mut self, path: &str, size: u64) -> Result<(), Kind> {
        let id = self.resolve(path, true).found()?;
        if self.node(id).is_dir() {
            return Err(Kind::WrongType);
        }
        let mut content = self.node(id).content().to_vec();
        content.resize(usize::try_from(size).unwrap(), 0);
        self.put_content(id, content.into());
        Ok(())
    }

    fn set_attributes(
        &mut self,
        path: &str,
        mode: Option<u32>,
        uid: Option<u32>,
        modified: Option<i64>,
    ) -> Result<(), Kind> {
        let id = self.resolve(path, true).found()?;
        let now = self.now;
        let node = self.node_mut(id);
        node.mode = mode.map_or(node.mode, |mode| mode & 0o7777);
        node.uid = uid.unwrap_or(node.uid);
        if let Some(modified) = modified {
            node.modified = modified;
            node.names_changed = 0;
        }
        node.changed = now;
        Ok(())
    }

    fn set_metadata(&mut self, path: &str, set: &[(String, Option<Bytes>)]) -> Result<(), Kind> {
        let id = self.resolve(path, true).found()?;
        let now = self.now;
        let node = self.node_mut(id);
        node.changed = now;
        for (key, value) in set {
            match value {
                Some(value) => node.metadata.insert(key.clone(), value.clone()),
                None => node.metadata.remove(key),
            };
        }
        Ok(())
    }

    fn mkdir(&mut self, path: &str, options: &MkdirOptions) -> Result<bool, Kind> {
        let place = self.resolve(path, true);
        match place.end {
            End::Found(id) if self.node(id).is_dir() && options.exist_ok => Ok(false),
            End::Found(_) => Err(Kind::AlreadyExists),
            End::Blocked | End::Circle => Err(place.obstacle()),
            End::Missing(_) => {
                let (parent, name) = self.slot(&place, options.parents)?;
                self.make_directory(parent, &name, options.mode.unwrap_or(0o755));
                Ok(true)
            }
        }
    }

    fn remove_path(
        &mut self,
        path: &str,
        recursive: bool,
        only_directory: bool,
    ) -> Result<(), Kind> {
        let place = self.resolve(path, false);
        let node = self.node(place.found()?);
        let (parent, name) = place.name().ok_or(Kind::InvalidArgument)?;
        if only_directory && !node.is_dir() {
            return Err(Kind::WrongType);
        }
        if !recursive && !node.children.is_empty() {
            return Err(Kind::NotEmpty);
        }
        self.remove(parent, &name);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, options: &MoveOptions) -> Result<bool, Kind> {
        let source = self.resolve(from, false);
        let target = self.resolve(to, false);
        let moved = source.found()?;
        let old = source.name().ok_or(Kind::InvalidArgument)?;
        let new = match target.end {
            End::Found(_) => target.name().ok_or(Kind::InvalidArgument)?,
            End::Missing(_) => (0, String::new()),
            End::Blocked | End::Circle => return Err(target.obstacle()),
        };
        check_not_within(moved, &target)?;
        let End::Found(other) = target.end else {
            if options.replace == Replace::Exchange {
                return Err(Kind::NotFound);
            }
            let (parent, name) = self.slot(&target, options.parents)?;
            self.move_name(old, (parent, name), moved);
            return Ok(true);
        };
        match options.replace {
            Replace::Refuse => return Err(Kind::AlreadyExists),
            _ if other == moved => return Ok(false),
            Replace::Exchange => {
                check_not_within(other, &source)?;
                self.set_name(old.0, &old.1, Some(other));
                self.set_name(new.0, &new.1, Some(moved));
                let now = self.now;
                self.node_mut(other).changed = now;
                self.node_mut(moved).changed = now;
            }
            Replace::Allow => {
                let (moved_node, other_node) = (self.node(moved), self.node(other));
                if moved_node.is_dir() != other_node.is_dir() {
                    return Err(Kind::WrongType);
                }
                if !other_node.children.is_empty() {
                    return Err(Kind::NotEmpty);
                }
                self.remove(new.0, &new.1);
                self.move_name(old, new, moved);
            }
        }
        Ok(true)
    }

    fn move_name(&mut self, old: (Id, String), new: (Id, String), id: Id) {
        self.set_name(old.0, &old.1, None);
        self.set_name(new.0, &new.1, Some(id));
        let now = self.now;
        self.node_mut(id).changed = now;
    }

    fn copy(&mut self, from: &str, to: &str, options: &MoveOptions) -> Result<(), Kind> {
        let source = self.resolve(from, true);
        let target = self.resolve(to, true);
        let id = source.found()?;
        if options.replace == Replace::Exchange {
            return Err(Kind::InvalidArgument);
        }
        let directory = self.node(id).is_dir();
        if directory && target.chain.contains(&id) {
            return Err(Kind::InvalidArgument);
        }
        match target.end {
            End::Blocked | End::Circle => Err(target.obstacle()),
            End::Found(_) if options.replace == Replace::Refuse || directory => {
                Err(Kind::AlreadyExists)
            }
            End::Found(other) if self.node(other).is_dir() => Err(Kind::WrongType),
            End::Found(other) => {
                self.put_content(other, self.node(id).content());
                Ok(())
            }
            End::Missing(_) => {
                let (parent, name) = self.slot(&target, options.parents)?;
                self.copy_tree(id, parent, &name);
                Ok(())
            }
        }
    }

    fn copy_tree(&mut self, id: Id, parent: Id, name: &str) {
        let source = self.node(id).clone();
        match source.kind {
            FileKind::Directory => {
                let copy = self.make_directory(parent, name, source.mode);
                for (name, child) in source.children {
                    self.copy_tree(child, copy, &name);
                }
            }
            FileKind::File => {
                self.create(parent, name, source.content(), source.mode);
            }
            FileKind::Symlink => {
                let mut link = Node::new(FileKind::Symlink, source.mode, self.now);
                link.target = source.target;
                let link = self.add(link);
                self.set_name(parent, name, Some(link));
            }
        }
    }

    fn fork(&mut self, from: &str, to: &str, parents: bool) -> Result<(), Kind> {
        let origin = self.clone();
        let id = self.resolve(from, true).found()?;
        let target = self.resolve(to, false);
        if !self.node(id).is_dir() {
            return Err(Kind::WrongType);
        }
        let (parent, name) = match target.end {
            End::Found(_) => return Err(Kind::AlreadyExists),
            _ => self.slot(&target, parents)?,
        };
        let mut forked = BTreeMap::new();
        let root = self.fork_node(&origin, id, &mut forked);
        let now = self.now;
        self.node_mut(root).changed = now;
        self.set_name(parent, &name, Some(root));
        Ok(())
    }

    /// Takes over a node with all below it; what has several names there stays one node.
    fn fork_node(&mut self, origin: &Self, id: Id, forked: &mut BTreeMap<Id, Id>) -> Id {
        if let Some(known) = forked.get(&id) {
            self.node_mut(*known).links += 1;
            return *known;
        }
        let mut node = origin.node(id).clone();
        node.links = 1;
        if node.is_dir() {
            node.names_changed = self.now;
        }
        let children = std::mem::take(&mut node.children);
        let new = self.add(node);
        forked.insert(id, new);
        for (name, child) in children {
            let child = self.fork_node(origin, child, forked);
            self.node_mut(new).children.insert(name, child);
        }
        new
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<(), Kind> {
        let place = self.resolve(path, false);
        let (parent, name) = self.free_slot(&place)?;
        let mut link = Node::new(FileKind::Symlink, 0o777, self.now);
        target.clone_into(&mut link.target);
        let link = self.add(link);
        self.set_name(parent, &name, Some(link));
        Ok(())
    }

    fn hard_link(&mut self, existing: &str, path: &str) -> Result<(), Kind> {
        let source = self.resolve(existing, false);
        let place = self.resolve(path, false);
        let id = source.found()?;
        if self.node(id).is_dir() {
            return Err(Kind::WrongType);
        }
        let (parent, name) = self.free_slot(&place)?;
        self.set_name(parent, &name, Some(id));
        let now = self.now;
        let node = self.node_mut(id);
        node.links += 1;
        node.changed = now;
        Ok(())
    }

    fn rollback(&mut self, path: &str, version: u64) -> Result<(), Kind> {
        let id = self.resolve(path, true).found()?;
        if self.node(id).is_dir() {
            return Err(Kind::WrongType);
        }
        let content = self.node(id).versions.get(&version);
        let content = content.ok_or(Kind::NotFound)?.clone();
        self.put_content(id, content);
        Ok(())
    }

    fn free_slot(&mut self, place: &Place) -> Result<(Id, String), Kind> {
        match place.end {
            End::Found(_) => Err(Kind::AlreadyExists),
            _ => self.slot(place, false),
        }
    }

    /// The directory and name of a missing place, with the directories before it if asked.
    fn slot(&mut self, place: &Place, parents: bool) -> Result<(Id, String), Kind> {
        let missing = match place.end {
            End::Missing(missing) if missing > 1 && !parents => return Err(Kind::NotFound),
            End::Missing(missing) => missing,
            _ => return Err(place.obstacle()),
        };
        let names: Vec<&str> = place.path.split('/').skip(1).collect();
        let mut parent = *place.chain.last().unwrap();
        for name in &names[names.len() - missing..names.len() - 1] {
            parent = self.make_directory(parent, name, 0o755);
        }
        Ok((parent, (*names.last().unwrap()).to_owned()))
    }

    fn make_directory(&mut self, parent: Id, name: &str, mode: u32) -> Id {
        let directory = self.add(Node::new(FileKind::Directory, mode, self.now));
        self.set_name(parent, name, Some(directory));
        directory
    }

    fn create(&mut self, parent: Id, name: &str, content: Bytes, mode: u32) -> Id {
        let mut file = Node::new(FileKind::File, mode, self.now);
        file.versions.insert(1, content);
        let file = self.add(file);
        self.set_name(parent, name, Some(file));
        file
    }

    fn put_content(&mut self, id: Id, content: Bytes) {
        let now = self.now;
        let node = self.node_mut(id);
        node.version += 1;
        node.versions.insert(node.version, content);
        node.modified = now;
        node.changed = now;
    }
}

/// A directory cannot go to a place below itself.
fn check_not_within(moved: Id, target: &Place) -> Result<(), Kind> {
    let above = match target.end {
        End::Found(_) => &target.chain[..target.chain.len() - 1],
        _ => &target.chain[..],
    };
    if above.contains(&moved) {
        return Err(Kind::InvalidArgument);
    }
    Ok(())
}
