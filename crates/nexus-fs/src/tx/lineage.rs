//! Writing down where contents come from, in the commit that makes them.

use bytes::Bytes;
use nexus_kernel::{Op, Txn};

use super::Tx;
use crate::keys;
use crate::lineage::{DerivedRecord, Origin, Source, SourceKind, SourceRecord};
use crate::records;

/// What an inode is derived from.
#[derive(Default)]
pub(super) struct Derived {
    path: String,
    /// Each with the version that came from it.
    sources: Vec<(u64, SourceRecord)>,
}

impl Tx<'_> {
    /// Notes that the content that an inode now has comes from elsewhere. It may come from
    /// several sources; what it came from before it was replaced in this commit is forgotten.
    pub(crate) fn derived(&mut self, ino: u64, path: &str, source: Source) {
        let version = self.loaded_inode(ino).map_or(0, |record| record.version);
        let derived = self.derived.entry(ino).or_default();
        path.clone_into(&mut derived.path);
        derived.sources.push((version, source.into()));
    }

    /// An inode as a source, in the state that this transaction has of it, which must have been
    /// read.
    pub(crate) fn as_source(&self, kind: SourceKind, ino: u64, path: &str) -> Source {
        let slot = self.inodes.get(&ino);
        let now = slot.and_then(|slot| slot.now.as_ref());
        let unchanged = slot.filter(|slot| !slot.is_changed());
        let origin = Origin::Inode {
            ino,
            version: now.map_or(0, |record| record.version),
            since: unchanged.and_then(|slot| slot.base.as_ref().map(|(_, since)| *since)),
            path: path.to_owned(),
        };
        Source { kind, origin }
    }

    /// A row for each derived inode, and one at each inode that it is derived from.
    pub(super) fn assemble_lineage(&self, txn: &mut Txn) {
        for (ino, derived) in &self.derived {
            // The root of a fork has no row: it is what its origin is.
            let version = match self.inodes.get(ino).map(|slot| &slot.now) {
                Some(Some(record)) => record.version,
                Some(None) => continue,
                None => 0,
            };
            let sources = derived.sources.iter();
            let sources = sources.filter(|(of, _)| *of == version);
            let sources: Vec<SourceRecord> = sources.map(|(_, source)| source.clone()).collect();
            if sources.is_empty() {
                continue;
            }
            for source in sources.iter().filter(|source| source.ino != 0) {
                // A file's own earlier contents are found by its own rows.
                if source.ino != *ino {
                    let key = keys::descendant(source.ino, *ino);
                    txn.ops.push(Op::PutStamped(key, Bytes::new()));
                }
            }
            let record = records::encode(&DerivedRecord {
                time: self.now.0,
                actor: self.session.actor(),
                path: derived.path.clone(),
                version,
                sources,
            });
            txn.ops.push(Op::PutStamped(keys::derivation(*ino), record));
        }
    }
}
