//! What the files of a fork come from. No row says so: an inode of a fork tells by its number which
//! of the origin's it shows.

use nexus_kernel::{Result, Revision};

use super::{DerivedRecord, Origin, Source, SourceKind, SourceRecord};
use crate::session::Session;
use crate::view::View;

/// That an inode of a fork was forked from one of the origin.
pub(super) struct Forked {
    /// The commit that made the fork.
    pub at: Revision,
    pub derived: DerivedRecord,
    pub source: SourceRecord,
}

impl Session {
    /// How an inode came to be in a fork by then; none for one that was made there, is of no fork,
    /// or is the fork's top, which has a row.
    pub(super) async fn forked(&self, ino: u64, until: Revision) -> Result<Option<Forked>> {
        let at = |revision| View {
            zone: &self.zone,
            at: Some(revision),
            fresh: false,
            regrown: None,
        };
        let Some(part) = at(until).part(ino).await? else {
            return Ok(None);
        };
        if ino == part.root() {
            return Ok(None);
        }
        let Some((origin, was)) = at(until).history_before_fork(ino).await? else {
            return Ok(None);
        };
        let paths = (
            at(part.base()).path_of(origin).await?,
            at(part.since).path_of(ino).await?,
        );
        let (Some((from, _)), Some((path, _))) = paths else {
            return Ok(None);
        };
        let version = was.record.version;
        let source = Source {
            kind: SourceKind::Fork,
            origin: Origin::Inode {
                ino: origin,
                version,
                since: Some(was.revision),
                path: from,
            },
        };
        let derived = DerivedRecord {
            time: part.record.time,
            actor: part.record.owner.clone(),
            path,
            version,
            sources: Vec::new(),
        };
        Ok(Some(Forked {
            at: part.since,
            derived,
            source: source.into(),
        }))
    }
}
