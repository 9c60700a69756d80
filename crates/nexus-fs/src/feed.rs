//! The change feed: every commit once, in order, as it happens.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use nexus_kernel::{Freshness, Result, Revision, Scan};
use nexus_service_api::Action;

use crate::keys;
use crate::log::{Change, Record, decode};
use crate::path;
use crate::pattern::PathPattern;
use crate::session::Session;
use crate::types::Ino;
use crate::zone::Shared;

mod sight;

/// Records read at a time. One can have a megabyte.
const PAGE: usize = 32;
/// How often a watch that has nothing to tell looks whether its credential still holds. One
/// that has something looks each time.
const IN_FORCE_CHECK: Duration = Duration::from_secs(1);

/// Which changes to wait for.
#[derive(Clone, Debug, Default)]
pub struct WatchQuery {
    /// Only changes whose new or old path matches this glob; for a directory that went, moved or
    /// was copied, also when it holds the pattern's base.
    pub pattern: Option<String>,
    /// From after this revision; from now on if not given.
    pub after: Option<Revision>,
}

impl Session {
    /// Every commit from `after` on, in order, without loss; waits for more at the end.
    /// Ends only with an error, or when dropped.
    #[must_use]
    pub fn watch(&self, query: WatchQuery) -> BoxStream<'static, Result<Record>> {
        let session = self.clone();
        let stream = async_stream::try_stream! {
            let pattern = query.pattern.as_deref().map(|glob| PathPattern::new(glob, "/")).transpose()?;
            let mut after = match query.after {
                Some(revision) => {
                    session.zone.check_reached(revision).await?;
                    revision
                }
                None => session.zone.revision().await?,
            };
            loop {
                let newest = session.next_change(after).await?;
                let page = session.zone.log_after(after, newest).await?;
                let last = page.last().map_or(newest, |record| record.revision);
                let whole = page.len() < PAGE;
                for record in page {
                    let Some(mut record) = session.visible_part(record).await? else { continue };
                    if let Some(pattern) = &pattern {
                        record.changes.retain(|change| change_matches(pattern, change));
                    }
                    if !record.changes.is_empty() {
                        yield record;
                    }
                }
                after = if whole { newest } else { last };
            }
        };
        stream.boxed()
    }

    /// Waits for a commit after `after`, for as long as the caller's credential is in force.
    async fn next_change(&self, after: Revision) -> Result<Revision> {
        loop {
            self.permit(Action::Stat, "/", &[Ino::ROOT.0]).await?;
            let changed = self.zone.metastore.changed(after);
            if let Ok(newest) = tokio::time::timeout(IN_FORCE_CHECK, changed).await {
                return newest;
            }
        }
    }
}

fn change_matches(pattern: &PathPattern, change: &Change) -> bool {
    let paths = [Some(change.path.as_str()), change.old_path.as_deref()];
    let whole_tree = change.kind.is_of_a_tree();
    paths.into_iter().flatten().any(|path| {
        pattern.matches(path) || (whole_tree && path::is_within(&pattern.base_dir(), path))
    })
}

impl Shared {
    async fn log_after(&self, after: Revision, until: Revision) -> Result<Vec<Record>> {
        let scan = Scan::forward(keys::log_between(after, until), PAGE);
        let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
        page.entries
            .into_iter()
            .map(|entry| decode(&entry.key, entry.value.bytes))
            .collect()
    }
}
