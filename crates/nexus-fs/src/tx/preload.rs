//! Reading many rows at once, past the caches, for changes that go by rows and not by paths.

use bytes::Bytes;
use nexus_kernel::{Freshness, Result, Revision, Value};

use super::{Slot, Tx};
use crate::fork::is_forked;
use crate::keys;
use crate::records::{self, DentryRecord, InodeRecord};

impl Tx<'_> {
    /// Reads inodes and names; the commit insists on each as it was found.
    pub(crate) async fn preload(
        &mut self,
        inos: impl IntoIterator<Item = u64>,
        names: impl IntoIterator<Item = (u64, String)>,
    ) -> Result<()> {
        let inos = inos
            .into_iter()
            .filter(|ino| !self.inodes.contains_key(ino));
        let by_rows = self.view.regrown.is_none();
        let one_by_one = |ino: u64| is_forked(ino) || !by_rows;
        let (forked, inos): (Vec<u64>, Vec<u64>) = inos.partition(|ino| one_by_one(*ino));
        for ino in forked {
            // It may be there without a row.
            let found = self.view.inode(ino).await?;
            let base = found.map(|inode| (inode.record.clone(), inode.revision));
            let slot = self.inode_slot(ino, base).await?;
            self.inodes.insert(ino, slot);
        }
        let keys: Vec<Bytes> = inos.iter().map(|ino| keys::inode(*ino)).collect();
        for (ino, found) in inos.into_iter().zip(self.get_many(&keys).await?) {
            let base = found.map(decoded::<InodeRecord>).transpose()?;
            self.inodes.insert(ino, Slot::read(base));
        }
        let names = names.into_iter();
        let names = names.filter(|name| !self.dentries.contains_key(name));
        let (forked, names): (Vec<_>, Vec<_>) = names.partition(|(parent, _)| one_by_one(*parent));
        for (parent, name) in forked {
            self.name(parent, &name).await?;
        }
        let keys = names
            .iter()
            .map(|(parent, name)| keys::dentry(*parent, name));
        let keys: Vec<Bytes> = keys.collect();
        for (name, found) in names.into_iter().zip(self.get_many(&keys).await?) {
            let base = found.map(decoded::<DentryRecord>).transpose()?;
            self.dentries.insert(name, Slot::read(base));
        }
        Ok(())
    }

    /// Values of the store, in order, whatever their number.
    pub(crate) async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Value>>> {
        let metastore = &self.zone().metastore;
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(metastore.limits().txn_items_max) {
            values.extend(metastore.get_many(keys, Freshness::Linearizable).await?);
        }
        Ok(values)
    }

    /// An inode that was preloaded, as the store has it.
    pub(crate) fn stored_inode(&self, ino: u64) -> Option<&(InodeRecord, Revision)> {
        self.inodes.get(&ino)?.base.as_ref()
    }

    /// A name that was preloaded, as the store has it.
    pub(crate) fn stored_name(&self, name: &(u64, String)) -> Option<&(DentryRecord, Revision)> {
        self.dentries.get(name)?.base.as_ref()
    }
}

fn decoded<M: prost::Message + Default>(value: Value) -> Result<(M, Revision)> {
    Ok((records::decode(value.bytes)?, value.revision))
}
