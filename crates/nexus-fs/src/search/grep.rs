//! The stream of matches: batches are searched two at a time, on threads where computing does no
//! harm, and shown in order.

use std::sync::Arc;

use async_stream::try_stream;
use futures::stream::{BoxStream, StreamExt};
use nexus_kernel::Result;

use super::batches::batches;
use super::lines::{Batch, Found, Plan};
use super::{GrepMatch, GrepQuery};
use crate::compute::compute;
use crate::session::Session;

/// Batches searched at the same time.
const PARALLEL: usize = 2;

pub(super) fn grep(session: Session, query: GrepQuery) -> BoxStream<'static, Result<GrepMatch>> {
    Box::pin(try_stream! {
        let plan = Arc::new(Plan::new(&query)?);
        let mut quota = Quota::new(plan.max_per_file);
        let batches = batches(session, Arc::clone(&plan), query);
        let mut searched =
            batches.map(|batch| search(Arc::clone(&plan), batch)).buffered(PARALLEL);
        while let Some(found) = searched.next().await {
            let mut found = found?;
            loop {
                for matched in found.matches {
                    if quota.admits(&matched) {
                        yield matched;
                    }
                }
                if found.rest.is_empty() {
                    break;
                }
                found = search(Arc::clone(&plan), Ok(found.rest)).await?;
            }
        }
    })
}

async fn search(plan: Arc<Plan>, batch: Result<Batch>) -> Result<Found> {
    let batch = batch?;
    compute(move || plan.search(batch)).await?
}

/// Counts the matches of the current file, whose pieces do not know of each other.
struct Quota {
    max: u64,
    path: String,
    count: u64,
}

impl Quota {
    fn new(max: u64) -> Self {
        Self {
            max,
            path: String::new(),
            count: 0,
        }
    }

    fn admits(&mut self, matched: &GrepMatch) -> bool {
        if self.path != matched.path {
            self.path.clone_from(&matched.path);
            self.count = 0;
        }
        self.count += 1;
        self.count <= self.max
    }
}
