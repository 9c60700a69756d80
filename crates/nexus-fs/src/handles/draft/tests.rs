use bytes::Bytes;
use proptest::prelude::*;

use super::{Draft, Part, zeros};

fn read(draft: &Draft, stored: &[u8]) -> Vec<u8> {
    let parts = draft.parts(0..u64::MAX, stored.len() as u64);
    parts
        .into_iter()
        .flat_map(|part| resolve(part, stored))
        .collect()
}

fn resolve(part: Part, stored: &[u8]) -> Bytes {
    match part {
        Part::Written(bytes) => bytes,
        Part::Stored(range) => {
            Bytes::copy_from_slice(&stored[range.start as usize..range.end as usize])
        }
        Part::Zeros(count) => zeros(count),
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write(u8, Vec<u8>),
    Truncate(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u8>(), prop::collection::vec(1..=u8::MAX, 0..40))
            .prop_map(|(at, b)| Change::Write(at, b)),
        any::<u8>().prop_map(Change::Truncate),
    ]
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(_, bytes) if bytes.is_empty() => {}
        Change::Write(at, bytes) => {
            let (at, end) = (*at as usize, *at as usize + bytes.len());
            content.resize(content.len().max(end), 0);
            content[at..end].copy_from_slice(bytes);
        }
        Change::Truncate(size) => content.resize(*size as usize, 0),
    }
}

proptest! {
    #[test]
    fn a_draft_reads_like_the_array_it_stands_for(
        stored in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec(change(), 0..20),
        from in 0..300_u64,
        length in 0..100_u64,
    ) {
        let mut expected = stored.clone();
        let mut draft = Draft::over(stored.len() as u64);
        for change in &changes {
            apply(&mut expected, change);
            match change {
                Change::Write(at, bytes) => draft.write(u64::from(*at), Bytes::copy_from_slice(bytes)),
                Change::Truncate(size) => draft.truncate(u64::from(*size)),
            }
            prop_assert_eq!(draft.bytes(), draft.pieces.values().map(Bytes::len).sum::<usize>());
        }
        prop_assert_eq!(draft.size(), expected.len() as u64);
        prop_assert_eq!(&read(&draft, &stored), &expected);
        let part: Vec<u8> = draft
            .parts(from..from + length, stored.len() as u64)
            .into_iter()
            .flat_map(|part| resolve(part, &stored))
            .collect();
        let clamp = |at: u64| (at as usize).min(expected.len());
        prop_assert_eq!(&part[..], &expected[clamp(from)..clamp(from + length)]);
    }
}
