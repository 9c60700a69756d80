use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nexus_kernel::Timestamp;

use super::{system_time, timestamp};

#[test]
fn times_keep_their_nanoseconds_also_before_1970() {
    for nanoseconds in [0, 1, -1, 1_700_000_000_123_456_789, -86_400_000_000_001] {
        let time = Timestamp(nanoseconds);
        assert_eq!(timestamp(system_time(time)), time);
    }
}

#[test]
fn a_time_out_of_reach_becomes_the_nearest_one() {
    let far = Duration::from_secs(1 << 40);
    assert_eq!(timestamp(UNIX_EPOCH + far), Timestamp(i64::MAX));
    assert_eq!(
        timestamp(SystemTime::UNIX_EPOCH - far),
        Timestamp(-i64::MAX)
    );
}
