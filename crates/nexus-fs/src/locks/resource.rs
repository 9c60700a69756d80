//! What a lock is on.

use bytes::Bytes;
use nexus_kernel::{Error, Kind, Result};
use nexus_service_api::Action;

use super::{LOCK_NAME_BYTES_MAX, ROOT};
use crate::keys;
use crate::path;
use crate::resolve::resolve;
use crate::session::Session;
use crate::types::{At, Ino};

/// What a lock is on, found.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What the keys of its rows begin with.
    pub lock: Bytes,
    /// Its name, which renames do not change: `ino:42` or `name:deploy`.
    pub name: String,
    on: On,
    /// Where a file is now, if it is anywhere.
    pub path: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Inode(Ino),
    Name,
}

impl Target {
    pub(super) fn inode(ino: Ino, path: Option<String>) -> Self {
        Self {
            lock: keys::lock_of_inode(ino.0),
            name: format!("ino:{ino}"),
            on: On::Inode(ino),
            path,
        }
    }

    pub(super) fn free_name(name: &str) -> Self {
        Self {
            lock: keys::lock_of_name(name),
            name: format!("name:{name}"),
            on: On::Name,
            path: None,
        }
    }

    pub(super) fn ino(&self) -> Option<Ino> {
        match self.on {
            On::Inode(ino) => Some(ino),
            On::Name => None,
        }
    }

    /// What people call it.
    pub(super) fn shown(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }
}

/// What somebody calls a resource.
enum Named<'r> {
    Path(&'r str),
    Inode(Ino),
    Free(&'r str),
}

fn parse(resource: &str) -> Result<Named<'_>> {
    if resource.starts_with('/') {
        return Ok(Named::Path(resource));
    }
    let named = match resource.split_once(':') {
        Some(("ino", number)) => number.parse().ok().map(|ino| Named::Inode(Ino(ino))),
        Some(("name", name)) if is_free_name(name) => Some(Named::Free(name)),
        _ => None,
    };
    named.ok_or_else(|| {
        Error::invalid(
            "a lock is on a file or directory, /a/path or ino:42, or on a name of 1 to 255 bytes \
             without control characters, name:deploy",
        )
        .with("resource", path::shown(resource))
    })
}

/// Whether this is how the log names a lock that is not on a path.
pub(crate) fn is_lock_name(shown: &str) -> bool {
    let number = shown.strip_prefix("ino:");
    let name = shown.strip_prefix("name:");
    number.is_some_and(|number| number.parse::<u64>().is_ok()) || name.is_some_and(is_free_name)
}

pub(super) fn is_free_name(name: &str) -> bool {
    (1..=LOCK_NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control)
}

impl Session {
    /// What a resource is, if the caller may do that with it. Links are followed. A free name
    /// belongs to the zone as a whole: what may be done with it is what may be done with the
    /// root.
    pub(super) async fn lock_target(&self, resource: &str, action: Action) -> Result<Target> {
        match parse(resource)? {
            Named::Path(path) => {
                let view = self.zone.view(At::Latest).await?;
                let place = resolve(&view, path, true).await?;
                self.permit_at(action, &place).await?;
                let ino = Ino(place.found()?.ino);
                Ok(Target::inode(ino, Some(place.path.into_owned())))
            }
            Named::Inode(ino) => {
                let (path, _) = self.permit_inode(action, ino).await?;
                Ok(Target::inode(ino, Some(path)))
            }
            Named::Free(name) => {
                self.permit(action, "/", ROOT).await?;
                Ok(Target::free_name(name))
            }
        }
    }

    /// The same of a lease that somebody has a token of, which outlives its file.
    pub(super) async fn leased_target(&self, resource: &str, action: Action) -> Result<Target> {
        match self.lock_target(resource, action).await {
            Err(error) if error.kind() == Kind::NotFound => match parse(resource)? {
                Named::Inode(ino) => Ok(Target::inode(ino, None)),
                Named::Path(_) | Named::Free(_) => Err(error),
            },
            found => found,
        }
    }

    /// Whether the caller may still do that with what was found earlier, wherever it is by now.
    pub(super) async fn permit_lock(&self, target: &mut Target, action: Action) -> Result<()> {
        match target.ino() {
            Some(ino) => {
                let (path, _) = self.permit_inode(action, ino).await?;
                target.path = Some(path);
                Ok(())
            }
            None => self.permit(action, "/", ROOT).await,
        }
    }
}
