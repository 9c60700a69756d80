//! Where the versions of a file come from.

use std::collections::BTreeMap;

use nexus_kernel::Result;
use nexus_service_api::Action;

use super::trace::Trace;
use super::{LineageDirection, LineageEntry};
use crate::resolve::resolve;
use crate::session::Session;
use crate::types::{At, Version};

impl Session {
    /// Where some versions of a file come from, by their numbers, as far as that is on record
    /// and the caller may know it; of several sources, the first.
    ///
    /// # Errors
    ///
    /// As [`versions`](Self::versions), which tells of the versions.
    pub async fn version_sources(
        &self,
        path: &str,
        versions: &[Version],
    ) -> Result<BTreeMap<u64, LineageEntry>> {
        let mut sources = BTreeMap::new();
        let revisions = versions.iter().map(|version| version.revision);
        let (Some(newest), Some(oldest)) = (revisions.clone().max(), revisions.min()) else {
            return Ok(sources);
        };
        let view = self.zone.view(At::Latest).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Read, &place).await?;
        let mut trace = Trace::new(self, newest, 1);
        trace.begin(place.found()?.ino, LineageDirection::Ancestors);
        while let Some((_, entry)) = trace.next().await? {
            if entry.revision < oldest {
                break;
            }
            sources.entry(entry.file.version).or_insert(entry);
        }
        Ok(sources)
    }
}
