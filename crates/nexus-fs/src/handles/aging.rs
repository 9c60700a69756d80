//! Files that stay open for long: what is written to them becomes a version by and by, as a
//! kernel writes its page cache back.

use std::sync::Arc;
use std::time::Duration;

use nexus_kernel::Timestamp;

use super::system;
use crate::zone::Shared;

/// How often is looked in the time that a write may wait.
const LOOKS: u32 = 4;
const LOOK_AFTER_MIN: Duration = Duration::from_millis(100);
/// A file that is slow to write back waits so many times as long as that took.
const REST: i64 = 20;

/// Looks for as long as the zone is served.
pub(crate) async fn run(zone: Arc<Shared>) {
    let pause = zone.config.draft_age_max / LOOKS;
    loop {
        tokio::time::sleep(pause.max(LOOK_AFTER_MIN)).await;
        write_back(&zone).await;
    }
}

/// Writes the files back that have waited too long, one after the other.
async fn write_back(zone: &Arc<Shared>) {
    let session = system(zone);
    let now = || zone.config.clock.now();
    let age_max = zone.config.draft_age_max;
    for file in zone.handles.drafted() {
        let begun = now();
        if !file.is_due(begun, oldest(begun, age_max)) {
            continue;
        }
        if let Err(error) = file.write_back(&session).await {
            let ino = file.ino();
            tracing::warn!(
                ?error,
                ino,
                "writing an open file back failed; it stays in memory"
            );
        }
        let took = now().0.saturating_sub(begun.0).max(0);
        let rest = took.saturating_mul(REST);
        file.rest_until(Timestamp(begun.0.saturating_add(rest)));
    }
}

/// What was written before this has waited too long.
fn oldest(now: Timestamp, age_max: Duration) -> Timestamp {
    let age_max = i64::try_from(age_max.as_nanos()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(age_max))
}
