use bytes::Bytes;
use nexus_kernel::{Entry, Error, Kind, Result, Revision, Value};
use proptest::prelude::*;

use crate::chain::{self, frame};
use crate::messages::RowsBlock;
use crate::*;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(work)
}

fn header(revision: u64) -> Header {
    Header {
        zone: "root".into(),
        revision_number: revision,
        hash: HashAlgorithm::Blake3.into(),
        created_ns: 1,
        secrets: false,
        program: "test".into(),
    }
}

fn row(key: impl Into<Bytes>, value: impl Into<Bytes>, revision: u64) -> Entry {
    Entry {
        key: key.into(),
        value: Value {
            bytes: value.into(),
            revision: Revision(revision),
        },
    }
}

fn name(blob: &[u8]) -> BlobName {
    let mut bytes = vec![1];
    bytes.extend_from_slice(blake3::hash(blob).as_bytes());
    BlobName::new(&bytes).unwrap()
}

fn count(blob: &[u8], uses: u64) -> Entry {
    let key = [b"c", &name(blob).as_bytes()[..]].concat();
    row(key, uses.to_be_bytes().to_vec(), 3)
}

/// Blobs by their names.
fn blobs() -> Vec<(BlobName, Bytes)> {
    let texts = [&b"one"[..], b"two", b"three", b""];
    let blob = |text: &&'static [u8]| (name(text), Bytes::from_static(text));
    let mut blobs: Vec<_> = texts.iter().map(blob).collect();
    blobs.sort_by_key(|(name, _)| *name);
    blobs
}

fn rows() -> Vec<Entry> {
    let mut rows = vec![row("a", "1", 1), row("b", "", 5), row("z", "2", 4)];
    rows.extend(blobs().iter().map(|(_, bytes)| count(bytes, 2)));
    rows.push(count(b"unused", 0));
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    rows
}

/// An archive of many small blocks, and where each ends.
fn archive() -> (Vec<u8>, Vec<usize>) {
    let (mut writer, first) = Writer::begin(&header(5)).unwrap();
    let mut blocks = vec![first];
    for rows in rows().chunks(3) {
        blocks.push(writer.rows(rows.to_vec()).unwrap());
    }
    blocks.push(writer.rows_end().unwrap());
    for blobs in blobs().chunks(1) {
        blocks.push(writer.blobs(blobs.to_vec()).unwrap());
    }
    blocks.push(writer.finish().unwrap());
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for block in blocks {
        bytes.extend_from_slice(&block);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

async fn read_all(bytes: &[u8]) -> Result<Vec<Block>> {
    let mut reader = Reader::begin(bytes).await?;
    let mut blocks = Vec::new();
    while let Some(block) = reader.next().await? {
        blocks.push(block);
    }
    Ok(blocks)
}

fn refusal(bytes: &[u8]) -> Error {
    run(read_all(bytes)).expect_err("it is refused")
}

#[test]
fn what_was_written_is_read() {
    let (bytes, _) = archive();
    let blocks = run(read_all(&bytes)).unwrap();
    let (mut found_rows, mut found_blobs) = (Vec::new(), Vec::new());
    for block in &blocks {
        match block {
            Block::Rows(rows) => found_rows.extend(rows.clone()),
            Block::Blobs(blobs) => found_blobs.extend(blobs.clone()),
            Block::RowsEnd(end) => assert_eq!((end.rows, end.blobs), (8, 4)),
            Block::End(end) => assert_eq!((end.rows, end.blobs, end.blob_bytes), (8, 4, 11)),
        }
    }
    assert_eq!((found_rows, found_blobs), (rows(), blobs()));
    assert!(matches!(blocks.last(), Some(Block::End(_))));
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let (bytes, _) = archive();
    for len in 0..bytes.len() {
        let refused = refusal(&bytes[..len]);
        let expected = if len < 12 {
            Kind::InvalidArgument
        } else {
            Kind::Corrupt
        };
        let found = refused.kind();
        // Cut within its version, it says that of a format that there never was.
        let is_cut_version = (8..12).contains(&len) && found == Kind::Unsupported;
        assert!(found == expected || is_cut_version, "{len}: {refused:?}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (bytes, _) = archive();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        refusal(&changed);
    }
}

#[test]
fn blocks_left_out_repeated_or_swapped_are_noticed() {
    let (bytes, ends) = archive();
    let block = |n: usize| &bytes[ends[n - 1]..ends[n]];
    for n in 1..ends.len() {
        let without = [&bytes[..ends[n - 1]], &bytes[ends[n]..]].concat();
        assert_eq!(refusal(&without).kind(), Kind::Corrupt);
        let twice = [&bytes[..ends[n]], block(n), &bytes[ends[n]..]].concat();
        assert_eq!(refusal(&twice).kind(), Kind::Corrupt);
        if n + 1 < ends.len() {
            let swapped = [
                &bytes[..ends[n - 1]],
                block(n + 1),
                block(n),
                &bytes[ends[n + 1]..],
            ]
            .concat();
            assert_eq!(refusal(&swapped).kind(), Kind::Corrupt);
        }
    }
}

#[test]
fn nothing_is_answered_from_the_first_bad_block_on() {
    let (bytes, ends) = archive();
    let mut changed = bytes.clone();
    changed[ends[2] + 20] ^= 1;
    run(async {
        let mut reader = Reader::begin(&changed[..]).await.unwrap();
        assert!(reader.next().await.is_ok());
        assert!(reader.next().await.is_ok());
        let good = *reader.progress();
        assert_eq!(good.bytes, ends[2] as u64);
        assert!(reader.next().await.is_err());
        assert_eq!(*reader.progress(), good);
    });
}

#[test]
fn another_format_is_refused() {
    let (mut bytes, _) = archive();
    bytes[11] = 2;
    let refused = refusal(&bytes);
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert_eq!(refused.fact("format"), Some("2"));
    assert_eq!(
        refusal(b"a file of another kind").kind(),
        Kind::InvalidArgument
    );
}

#[test]
fn an_archive_with_its_rows_can_be_gone_on_with_wherever_it_was_cut() {
    let (bytes, ends) = archive();
    let with_rows = ends.len() - 6..ends.len() - 1;
    for cut in with_rows.clone() {
        let whole = run(async {
            let mut reader = Reader::begin(&bytes[..ends[cut] + 7]).await.unwrap();
            while let Ok(Some(_)) = reader.next().await {}
            let good = *reader.progress();
            assert_eq!(good.bytes, ends[cut] as u64);
            let mut writer = Writer::resume(good).unwrap();
            let mut whole = bytes[..ends[cut]].to_vec();
            for blob in blobs().into_iter().skip(good.blobs as usize) {
                whole.extend_from_slice(&writer.blobs(vec![blob]).unwrap());
            }
            whole.extend_from_slice(&writer.finish().unwrap());
            whole
        });
        assert_eq!(whole, bytes);
    }
    let without = run(async {
        let mut reader = Reader::begin(&bytes[..ends[1]]).await.unwrap();
        while let Ok(Some(_)) = reader.next().await {}
        Writer::resume(*reader.progress())
    });
    assert_eq!(without.unwrap_err().kind(), Kind::InvalidArgument);
}

/// Somebody who knows how hashes are made can make any archive; what it says must agree all the same.
#[test]
fn a_forged_archive_with_good_hashes_is_refused() {
    type Forge = fn(&mut Writer, &mut Vec<u8>) -> Result<()>;
    let forgeries: [(&str, Forge); 6] = [
        ("rows out of order", |writer, out| {
            out.extend(writer.rows(vec![row("b", "", 1), row("a", "", 1)])?);
            Ok(())
        }),
        ("a revision beyond the end", |writer, out| {
            out.extend(writer.rows(vec![row("a", "", 6)])?);
            Ok(())
        }),
        ("another blob than was named", |writer, out| {
            out.extend(writer.rows(vec![count(b"one", 1)])?);
            out.extend(writer.rows_end()?);
            out.extend(writer.blobs(vec![(name(b"two"), "two".into())])?);
            Ok(())
        }),
        ("a blob that is not its name", |writer, out| {
            out.extend(writer.rows(vec![count(b"one", 1)])?);
            out.extend(writer.rows_end()?);
            out.extend(writer.blobs(vec![(name(b"one"), "two".into())])?);
            Ok(())
        }),
        ("blobs before all rows", |writer, out| {
            out.extend(writer.rows(vec![count(b"one", 1)])?);
            out.extend(writer.blobs(vec![(name(b"one"), "one".into())])?);
            Ok(())
        }),
        ("rows after blobs", |writer, out| {
            out.extend(writer.rows(vec![count(b"one", 1)])?);
            out.extend(writer.rows_end()?);
            out.extend(writer.blobs(vec![(name(b"one"), "one".into())])?);
            out.extend(writer.rows(vec![row("d", "", 1)])?);
            Ok(())
        }),
    ];
    for (what, forge) in forgeries {
        let (mut writer, first) = Writer::begin(&header(5)).unwrap();
        let mut bytes = first.to_vec();
        forge(&mut writer, &mut bytes).unwrap();
        if let Ok(end) = writer.finish() {
            bytes.extend(end);
        }
        let refused = refusal(&bytes);
        assert_eq!(refused.kind(), Kind::Corrupt, "{what}");
        assert!(!refused.message().contains("cut"), "{what}: {refused}");
    }
}

#[test]
fn a_header_of_no_known_hash_or_revision_is_refused() {
    let with = |header: Header| Writer::begin(&header).unwrap().1;
    let hash = Header {
        hash: 9,
        ..header(5)
    };
    assert_eq!(refusal(&with(hash)).kind(), Kind::Unsupported);
    assert_eq!(refusal(&with(header(0))).kind(), Kind::Corrupt);
}

#[test]
fn a_block_beyond_the_limit_is_not_waited_for() {
    let (bytes, ends) = archive();
    let huge = [&bytes[..ends[0]], &[2, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    assert_eq!(refusal(&huge).kind(), Kind::Corrupt);
    let large = vec![row("a", vec![0; PAYLOAD_BYTES_MAX], 1)];
    let (mut writer, _) = Writer::begin(&header(5)).unwrap();
    assert_eq!(writer.rows(large).unwrap_err().kind(), Kind::LimitExceeded);
}

/// A block of nothing but empty rows is small, and what is made of it would not be.
#[test]
fn a_block_of_too_many_rows_is_refused_before_they_are_read() {
    let (bytes, ends) = archive();
    let with = |rows: usize| {
        let block = RowsBlock {
            rows: vec![Default::default(); rows],
        };
        let chain = run(async {
            Reader::begin(&bytes[..ends[0]])
                .await
                .unwrap()
                .progress()
                .chain
        });
        let (block, _) = frame(&chain, chain::Kind::Rows, &block).unwrap();
        refusal(&[&bytes[..ends[0]], &block].concat())
    };
    let (most, more) = (with(BLOCK_ITEMS_MAX), with(BLOCK_ITEMS_MAX + 1));
    assert_eq!((most.kind(), more.kind()), (Kind::Corrupt, Kind::Corrupt));
    assert!(most.fact("why").unwrap().contains("revision"), "{most}");
    assert!(more.fact("why").unwrap().contains("more rows"), "{more}");
    let rows = vec![row("a", "", 1); BLOCK_ITEMS_MAX + 1];
    let (mut writer, _) = Writer::begin(&header(5)).unwrap();
    assert_eq!(writer.rows(rows).unwrap_err().kind(), Kind::LimitExceeded);
}

proptest! {
    #[test]
    fn random_bytes_are_no_archive(tail in prop::collection::vec(any::<u8>(), 0..300), keep in 0_usize..500) {
        let (bytes, _) = archive();
        let keep = keep.min(bytes.len() - 1);
        refusal(&[&bytes[..keep], &tail].concat());
    }
}
