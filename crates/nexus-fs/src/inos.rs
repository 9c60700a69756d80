//! Fresh inode numbers.

use std::ops::Range;

use bytes::Bytes;
use nexus_kernel::{Commit, Durability, Error, Freshness, Guard, Metastore, Op, Result, Txn};
use tokio::sync::Mutex;

use crate::fork::PART_SHIFT;
use crate::keys;
use crate::records::unreadable;

/// How many numbers one commit reserves. What a stop leaves over is never used.
const BLOCK: u64 = 4096;

/// Hands out inode numbers from blocks reserved in the metastore, so that numbers stay
/// dense (neighbours in the key space) and a create costs no commit of its own.
#[derive(Default)]
pub(crate) struct InoAllocator {
    block: Mutex<Range<u64>>,
}

impl InoAllocator {
    pub(crate) async fn next(&self, metastore: &dyn Metastore) -> Result<u64> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = reserve(metastore).await?;
        }
        Ok(block.next().expect("a reserved block is not empty"))
    }
}

/// Takes the next block. `Relaxed` is enough: a crash that loses the reservation loses
/// every later commit too, and with them all uses of its numbers.
async fn reserve(metastore: &dyn Metastore) -> Result<Range<u64>> {
    loop {
        let found = metastore
            .get(keys::NEXT_INO, Freshness::Linearizable)
            .await?;
        let found = found.ok_or_else(|| unreadable("inode counter"))?;
        let first = found
            .bytes
            .as_ref()
            .try_into()
            .map_err(|_| unreadable("inode counter"))?;
        let first = u64::from_be_bytes(first);
        let end = first + BLOCK;
        if end > 1 << PART_SHIFT {
            return Err(Error::limit(
                "all inode numbers of this zone are used up; export it and import it into a new one",
            ));
        }
        let key = Bytes::from_static(keys::NEXT_INO);
        let txn = Txn {
            id: None,
            guards: vec![Guard::RevisionIs(key.clone(), found.revision)],
            ops: vec![Op::Put(key, Bytes::copy_from_slice(&end.to_be_bytes()))],
            durability: Durability::Relaxed,
        };
        if let Commit::Applied(_) = metastore.commit(txn).await? {
            return Ok(first..end);
        }
    }
}
