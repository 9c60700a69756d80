//! [`VfsRouter`] in a `BTreeMap`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use nexus_kernel::{Error, Mount, Result, Routed, VfsRouter};
use parking_lot::RwLock;

/// Most mounts in one table.
const MOUNTS_MAX: usize = 10_000;

/// The reference [`VfsRouter`]: mounts by mount point, found from the path upwards.
#[derive(Default)]
pub struct MemoryRouter {
    mounts: RwLock<BTreeMap<String, Mount>>,
}

impl MemoryRouter {
    /// A router without mounts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl VfsRouter for MemoryRouter {
    fn add(&self, mount: Mount) -> Result<()> {
        check(&mount.point)?;
        let mut mounts = self.mounts.write();
        let full = mounts.len() >= MOUNTS_MAX;
        match mounts.entry(mount.point.clone()) {
            Entry::Occupied(_) => Err(Error::already_exists(
                "something is mounted there; remove it first or choose another mount point",
            )
            .with("mount point", mount.point)),
            Entry::Vacant(_) if full => {
                Err(Error::limit("no more mounts fit; remove one first").with("most", MOUNTS_MAX))
            }
            Entry::Vacant(free) => {
                free.insert(mount);
                Ok(())
            }
        }
    }

    fn remove(&self, point: &str) -> Result<Mount> {
        check(point)?;
        let removed = self.mounts.write().remove(point);
        removed.ok_or_else(|| {
            Error::not_found("nothing is mounted exactly there; list the mounts to see where")
                .with("mount point", point)
        })
    }

    fn list(&self) -> Vec<Mount> {
        self.mounts.read().values().cloned().collect()
    }

    fn resolve(&self, path: &str) -> Result<Routed> {
        check(path)?;
        let mounts = self.mounts.read();
        let found = self_and_ancestors(path).find_map(|point| Some((point, mounts.get(point)?)));
        let (point, mount) = found.ok_or_else(|| {
            Error::not_found("no mount serves this path; add one at it or above").with("path", path)
        })?;
        Ok(Routed {
            mount: mount.clone(),
            rest: below(path, point).to_owned(),
        })
    }
}

/// `/a/b`, `/a`, `/`.
fn self_and_ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/')? {
        0 if *path == "/" => None,
        0 => Some("/"),
        slash => Some(&path[..slash]),
    })
}

fn below<'a>(path: &'a str, point: &str) -> &'a str {
    if point == "/" {
        return path;
    }
    match &path[point.len()..] {
        "" => "/",
        rest => rest,
    }
}

fn check(path: &str) -> Result<()> {
    let normal = |part: &str| !matches!(part, "" | "." | "..");
    let legal = match path.strip_prefix('/') {
        None => false,
        Some("") => true,
        Some(rest) => rest.split('/').all(normal),
    };
    if legal && !path.contains('\0') {
        return Ok(());
    }
    Err(Error::invalid(
        "a path starts with / and has no empty, . or .. component and no trailing /",
    )
    .with("path", path.escape_debug()))
}
