use proptest::prelude::*;

use super::*;
use crate::records::ChangeRecord;

fn changes(longest: usize) -> impl Strategy<Value = Vec<ChangeRecord>> {
    let change = (0..longest, any::<u64>()).prop_map(|(length, ino)| ChangeRecord {
        kind: 1,
        path: "p".repeat(length),
        ino,
        ..ChangeRecord::default()
    });
    prop::collection::vec(change, 0..60)
}

proptest! {
    /// The rows one after the other are the record, and none is larger than it may be.
    #[test]
    fn rows_make_the_record_again(
        about in prop::collection::vec(any::<u64>(), 0..200),
        changes in changes(180),
        row_bytes_max in 300_usize..2_000,
    ) {
        let record = LogRecord {
            time: 5,
            actor: "user:a".into(),
            session: Some("run".into()),
            about,
            changes,
            ..LogRecord::default()
        };
        let rows = match split(record.clone(), row_bytes_max) {
            Err(too_long) => {
                prop_assert_eq!(too_long.bytes, record.encoded_len());
                // What the rows leave free is less than the largest change.
                let least = RECORD_ROWS_MAX * (row_bytes_max - 230);
                prop_assert!(too_long.bytes > least, "{too_long:?}, of {least}");
                return Ok(());
            }
            Ok(rows) => rows,
        };
        prop_assert!(rows.iter().all(|row| row.len() <= row_bytes_max));
        prop_assert!(rows.len() <= RECORD_ROWS_MAX);
        let mut merged = LogRecord::decode(&rows.concat()[..]).unwrap();
        prop_assert_eq!(merged.more_rows as usize, rows.len() - 1);
        merged.more_rows = 0;
        prop_assert_eq!(merged, record);
    }
}

#[test]
fn a_record_that_fits_has_one_row() {
    let record = LogRecord {
        changes: vec![
            ChangeRecord {
                path: "p".repeat(100),
                ..ChangeRecord::default()
            };
            10
        ],
        ..LogRecord::default()
    };
    let bytes = record.encoded_len();
    assert_eq!(split(record.clone(), bytes).unwrap().len(), 1);
    assert_eq!(split(record, bytes - 1).unwrap().len(), 2);
}
