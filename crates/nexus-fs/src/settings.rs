//! Small values kept with the zone.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{
    Commit, Durability, Error, Freshness, Guard, KeyRange, Op, Result, Revision, Scan, Txn,
};
use nexus_service_api::{Expect, Setting, Settings};

use crate::keys;
use crate::view::next_key;
use crate::zone::{Shared, Zone};

const NAME_BYTES_MAX: usize = 512;

impl Zone {
    /// The settings of this zone.
    #[must_use]
    pub fn settings(&self) -> Arc<dyn Settings> {
        Arc::new(ZoneSettings(Arc::clone(&self.shared)))
    }
}

struct ZoneSettings(Arc<Shared>);

fn check_name(name: &str) -> Result<()> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0') {
        return Ok(());
    }
    Err(
        Error::invalid("the name of a setting has 1 to 512 bytes and no NUL")
            .with("name", crate::path::shown(name)),
    )
}

#[async_trait]
impl Settings for ZoneSettings {
    async fn get(&self, name: &str) -> Result<Option<Setting>> {
        check_name(name)?;
        let found = self
            .0
            .metastore
            .get(&keys::setting(name), Freshness::Linearizable)
            .await?;
        Ok(found.map(|value| Setting {
            name: name.to_owned(),
            value: value.bytes,
            revision: value.revision,
        }))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Setting>> {
        let mut range = KeyRange::prefix(keys::setting(prefix));
        if let Some(after) = after {
            range.start = range.start.max(next_key(&keys::setting(after)));
        }
        let page = self
            .0
            .metastore
            .scan(Scan::forward(range, limit), Freshness::Linearizable)
            .await?;
        let settings = page.entries.into_iter().map(|entry| Setting {
            name: String::from_utf8_lossy(&entry.key[1..]).into_owned(),
            value: entry.value.bytes,
            revision: entry.value.revision,
        });
        Ok(settings.collect())
    }

    async fn put(&self, name: &str, value: Option<Bytes>, expect: Expect) -> Result<Revision> {
        check_name(name)?;
        let key = keys::setting(name);
        let guards = match expect {
            Expect::Any => vec![],
            Expect::Absent => vec![Guard::Absent(key.clone())],
            Expect::Revision(revision) => vec![Guard::RevisionIs(key.clone(), revision)],
        };
        let op = match value {
            Some(value) => Op::Put(key, value),
            None => Op::Delete(key),
        };
        let txn = Txn {
            id: None,
            guards,
            ops: vec![op],
            durability: Durability::Sync,
        };
        match self.0.metastore.commit(txn).await? {
            Commit::Applied(revision) => Ok(revision),
            Commit::Conflict { .. } => Err(Error::conflict(
                "the setting changed meanwhile; read it again",
            )
            .with("name", name)),
        }
    }
}
