//! Extended attributes: custom metadata in the namespace `user`.

use std::ffi::OsStr;

use bytes::Bytes;
use fuser::{Errno, INodeNo};
use nexus_fs::{Ino, KeyPresence};
use rustix::fs::XattrFlags;

use crate::bridge::Answer;
use crate::facts;
use crate::filesystem::Core;

const NAMESPACE: &str = "user.";
const NAME_BYTES_MAX: usize = 255;
/// Tags are metadata too, with an interface of their own.
const TAG: &str = "tag:";

impl Core {
    pub(crate) async fn getxattr(&self, ino: INodeNo, name: &OsStr) -> Answer<Bytes> {
        let (ino, key) = (Ino(ino.0), key(name)?);
        if let Some(fact) = key.strip_prefix(facts::PREFIX) {
            return self.fact(ino, fact).await;
        }
        Ok(self.volume.metadata_value(ino, key).await?)
    }

    /// The names, each with a NUL after it.
    pub(crate) async fn listxattr(&self, ino: INodeNo) -> Answer<Bytes> {
        let keys = self.volume.metadata_keys(Ino(ino.0)).await?;
        let names = keys
            .iter()
            .filter(|key| !key.starts_with(TAG) && !key.starts_with(facts::PREFIX))
            .filter(|key| NAMESPACE.len() + key.len() <= NAME_BYTES_MAX);
        let list: String = names.map(|key| format!("{NAMESPACE}{key}\0")).collect();
        Ok(list.into())
    }

    pub(crate) async fn setxattr(
        &self,
        ino: INodeNo,
        name: &OsStr,
        value: Bytes,
        flags: i32,
    ) -> Answer<()> {
        let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
        let must = if flags.contains(XattrFlags::CREATE) {
            KeyPresence::Absent
        } else if flags.contains(XattrFlags::REPLACE) {
            KeyPresence::Present
        } else {
            KeyPresence::Any
        };
        self.change_xattr(ino, name, Some(value), must).await
    }

    pub(crate) async fn removexattr(&self, ino: INodeNo, name: &OsStr) -> Answer<()> {
        self.change_xattr(ino, name, None, KeyPresence::Present)
            .await
    }

    async fn change_xattr(
        &self,
        ino: INodeNo,
        name: &OsStr,
        value: Option<Bytes>,
        must: KeyPresence,
    ) -> Answer<()> {
        self.check_writable()?;
        let (ino, key) = (Ino(ino.0), key(name)?);
        if key.starts_with(facts::PREFIX) {
            return Err(Errno::EPERM.into());
        }
        let set = self.volume.set_metadata_value(ino, key, value, must);
        Ok(set.await?)
    }
}

/// The metadata key that an attribute's name stands for.
fn key(name: &OsStr) -> Answer<&str> {
    let key = name.to_str().and_then(|name| name.strip_prefix(NAMESPACE));
    match key {
        Some(key) if !key.is_empty() && !key.starts_with(TAG) => Ok(key),
        // Access control lists, capabilities and labels are not kept.
        _ => Err(Errno::EOPNOTSUPP.into()),
    }
}
