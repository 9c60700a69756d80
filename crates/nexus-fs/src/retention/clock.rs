//! The time of collections in the background.

use std::time::Duration;

use nexus_kernel::Timestamp;
use tokio::time::Instant;

use crate::zone::Shared;

/// How much faster than time passes the time of collections may go, with each of them.
const AHEAD_MAX: Duration = Duration::from_secs(3600);

/// Tells when it is, as the clock does, but goes with a clock that was set forward by an hour a
/// collection only: what a wrong clock takes from history does not come back when it is right again.
///
/// It begins with the newest time that was in the log when the zone was opened; where nothing was,
/// with the clock's.
pub(super) struct SlowClock {
    time: Timestamp,
    told: Instant,
}

impl SlowClock {
    pub(super) fn begin(zone: &Shared) -> Self {
        Self {
            time: zone.opened_at,
            told: Instant::now(),
        }
    }

    pub(super) fn now(&mut self, zone: &Shared) -> Timestamp {
        let told = Instant::now();
        let passed = told.duration_since(self.told).saturating_add(AHEAD_MAX);
        let passed = i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX);
        let latest = Timestamp(self.time.0.saturating_add(passed));
        *self = Self {
            time: zone.config.clock.now().min(latest),
            told,
        };
        self.time
    }
}
