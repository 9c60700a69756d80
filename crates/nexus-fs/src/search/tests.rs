use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_kernel::{Durability, Error, Kind, Result};
use nexus_service_api::{Action, Authorizer, Context, SystemClock, Target};

use super::*;
use crate::types::{FileKind, MoveOptions, RemoveOptions, WriteOptions};
use crate::zone::{Stores, Zone, ZoneConfig};

mod globs;
mod greps;
mod rules;

/// Hides paths that contain `secret`, and does not let those that contain `sealed` be read. Lets
/// everything be written.
struct Guard;

#[async_trait]
impl Authorizer for Guard {
    async fn authorize(&self, _: &Context, action: Action, target: Target<'_>) -> Result<()> {
        let refused = match action {
            Action::Stat => target.path.contains("secret"),
            Action::Read => target.path.contains("secret") || target.path.contains("sealed"),
            _ => false,
        };
        if refused {
            Err(Error::denied("not for you"))
        } else {
            Ok(())
        }
    }

    async fn visible(&self, _: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        Ok(targets
            .iter()
            .map(|target| !target.path.contains("secret"))
            .collect())
    }

    async fn sees_all_below(&self, _: &Context, _: Target<'_>) -> bool {
        false
    }
}

/// A zone with some files.
async fn tree(files: &[(&str, &str)]) -> Session {
    let clock = Arc::new(SystemClock);
    let stores = Stores {
        metastore: Arc::new(MemoryMetastore::new()),
        objects: Arc::new(MemoryObjectStore::new(clock)),
    };
    let zone = Zone::open(stores, Arc::new(Guard), ZoneConfig::default())
        .await
        .unwrap();
    let session = zone.session(Context::system());
    for (path, content) in files {
        put(&session, path, (*content).to_owned()).await;
    }
    session
}

async fn put(session: &Session, path: &str, content: impl Into<Bytes>) {
    let options = WriteOptions {
        parents: true,
        ..WriteOptions::default()
    };
    session.write(path, content.into(), options).await.unwrap();
}

/// Files that the guard hides.
async fn put_hidden(session: &Session) {
    for path in ["/x-secret/f", "/a-secret", "/x-sealed/f"] {
        put(session, path, "x\n").await;
    }
}
