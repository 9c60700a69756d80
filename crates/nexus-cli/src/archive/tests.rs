use nexus_client::{Kind, Result, Timestamp};
use proptest::prelude::*;

use super::order::Order;
use super::*;

fn etag(content: &[u8]) -> String {
    format!("b3-{}", blake3::hash(content).to_hex())
}

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: Timestamp(1_700_000_000_123_456_789),
        metadata: Vec::new(),
        tags: Vec::new(),
    }
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let kind = EntryKind::File {
        size: content.len() as u64,
        etag: etag(content),
    };
    (entry(path, kind), content.to_vec())
}

fn sample() -> Vec<(Entry, Vec<u8>)> {
    let long = "n".repeat(200);
    let mut annotated = file("a/annotated", b"hello").0;
    annotated.metadata = vec![
        ("mime=type%".into(), b"text\n\0bin".to_vec()),
        ("k".into(), vec![]),
    ];
    annotated.tags = vec!["draft".into(), "été".into()];
    annotated.mode = 0o4755;
    annotated.uid = 70_000;
    annotated.gid = u32::MAX;
    annotated.modified = Timestamp(-1_500_000_000);
    vec![
        (entry(".", EntryKind::Directory), vec![]),
        (entry("a", EntryKind::Directory), vec![]),
        (annotated, b"hello".to_vec()),
        file(&format!("a/{long}"), &[7; 1000]),
        (
            entry(
                "a-",
                EntryKind::Symlink {
                    target: "../outside".into(),
                },
            ),
            vec![],
        ),
        (
            entry(
                "b",
                EntryKind::HardLink {
                    target: "a/annotated".into(),
                },
            ),
            vec![],
        ),
        file("c", b""),
        file("d", &[1; 512]),
    ]
}

fn write(entries: &[(Entry, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new())?;
    for (entry, content) in entries {
        writer.entry(entry)?;
        for piece in content.chunks(300) {
            writer.content(piece)?;
        }
    }
    Ok(writer.finish()?.0)
}

fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = Reader::new(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        let mut buffer = [0; 333];
        loop {
            match reader.read_content(&mut buffer)? {
                0 => break,
                count => content.extend_from_slice(&buffer[..count]),
            }
        }
        entries.push((entry, content));
    }
    Ok(entries)
}

fn kind_of<T>(result: Result<T>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

#[test]
fn what_was_written_is_read_back() {
    let bytes = write(&sample()).unwrap();
    assert_eq!(read(&bytes).unwrap(), sample());
    let total = verify(bytes.as_slice()).unwrap();
    assert_eq!((total.entries, total.bytes), (8, 1517));
}

#[test]
fn an_archive_of_nothing_is_whole() {
    assert_eq!(read(&write(&[]).unwrap()).unwrap(), []);
}

#[test]
fn sha256_etags_are_checked_too() {
    use sha2::Digest as _;
    let content = b"abc";
    let etag = format!("sha256-{}", hex::encode(sha2::Sha256::digest(content)));
    let entry = entry("f", EntryKind::File { size: 3, etag });
    let written = [(entry, content.to_vec())];
    assert_eq!(read(&write(&written).unwrap()).unwrap(), written);
    assert_eq!(
        kind_of(write(&[(written[0].0.clone(), b"abd".to_vec())])),
        Some(Kind::Corrupt)
    );
}

#[test]
fn any_other_tar_can_read_it() {
    let bytes = write(&sample()).unwrap();
    let mut paths = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        if entry.header().entry_type() != tar::EntryType::XGlobalHeader {
            paths.push(entry.path().unwrap().display().to_string());
        }
    }
    let written: Vec<_> = sample().into_iter().map(|(entry, _)| entry.path).collect();
    assert_eq!(paths, written);
}

#[test]
fn a_cut_short_archive_is_refused_wherever_it_is_cut() {
    let bytes = write(&sample()).unwrap();
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        let kind = kind_of(verify(&bytes[..length]));
        assert!(
            matches!(kind, Some(Kind::Corrupt | Kind::InvalidArgument)),
            "{length}: {kind:?}"
        );
    }
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let bytes = write(&sample()).unwrap();
    let end = bytes.len() - 2 * BLOCK;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        // In the trailer's own padding nothing is said, so nothing can be changed.
        let silent = verify(changed.as_slice()).is_ok();
        assert!(!silent || (end - BLOCK..end).contains(&at), "byte {at}");
    }
}

#[test]
fn appended_data_is_refused_and_appended_zeros_are_not() {
    let mut bytes = write(&sample()).unwrap();
    bytes.extend([0; 8192]);
    verify(bytes.as_slice()).unwrap();
    bytes.push(1);
    assert_eq!(kind_of(verify(bytes.as_slice())), Some(Kind::Corrupt));
}

#[test]
fn a_foreign_tar_is_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    builder
        .append_data(&mut header, "a", std::io::empty())
        .unwrap();
    let bytes = builder.into_inner().unwrap();
    assert_eq!(
        kind_of(Reader::new(bytes.as_slice())),
        Some(Kind::InvalidArgument)
    );
    assert_eq!(kind_of(Reader::new(&b""[..])), Some(Kind::InvalidArgument));
    assert_eq!(
        kind_of(Reader::new(&[b'x'; 4096][..])),
        Some(Kind::InvalidArgument)
    );
}

/// Admits directories (ending in `/`) and files in order; says what happened to the last.
fn admit(paths: &[&str]) -> Option<Kind> {
    let mut order = Order::default();
    let mut last = None;
    for path in paths {
        assert_eq!(last, None, "only the last path may be refused");
        let name = path.strip_suffix('/').unwrap_or(path);
        last = kind_of(order.admit(name, path.ends_with('/')));
    }
    last
}

#[test]
fn paths_that_leave_the_tree_or_repeat_are_refused() {
    let refused: &[&[&str]] = &[
        &["/etc/passwd"],
        &[".."],
        &["a/", "a/../../b"],
        &["a/", "a/./b"],
        &["a/", "a//b"],
        &[""],
        &["a\0b"],
        &["a", "a"],
        &["a/", "a/"],
        &["b", "a"],
        &["a/", "a/c", "a/b"],
        &["a/b"],
        &["a", "a/b"],
        &["a/", "b/", "a/c"],
        &["a/", "b/", "b/c/", "a"],
        &["./", "a", "./"],
        &["."],
    ];
    for paths in refused {
        assert_eq!(admit(paths), Some(Kind::InvalidArgument), "{paths:?}");
    }
    let name = "n".repeat(256);
    assert_eq!(admit(&[&name]), Some(Kind::InvalidArgument));
}

#[test]
fn paths_in_depth_first_order_are_admitted() {
    assert_eq!(
        admit(&["./", "a/", "a/b/", "a/b/c", "a/d", "a-b", "é", "…"]),
        None
    );
    assert_eq!(admit(&["only-a-file"]), None);
}

#[test]
fn a_hard_link_to_a_later_or_outside_file_is_refused() {
    for target in ["z", "b", "../a", "/a", ""] {
        let link = entry(
            "b",
            EntryKind::HardLink {
                target: target.into(),
            },
        );
        let bytes = write(&[(link, vec![])]).unwrap();
        assert_eq!(
            kind_of(verify(bytes.as_slice())),
            Some(Kind::InvalidArgument),
            "{target}"
        );
    }
}

#[test]
fn content_that_is_not_what_was_announced_is_refused_when_written() {
    let (announced, _) = file("a", b"abc");
    for content in [&b"ab"[..], b"abcd", b"abd"] {
        let written = write(&[(announced.clone(), content.to_vec())]);
        assert_eq!(kind_of(written), Some(Kind::Corrupt));
    }
}

#[test]
fn a_header_that_claims_gigabytes_of_records_takes_no_memory() {
    let mut bytes = write(&[]).unwrap();
    let mut huge = tar::Header::new_ustar();
    huge.set_entry_type(tar::EntryType::XHeader);
    huge.set_size(8 << 30);
    huge.set_cksum();
    bytes.truncate(2 * BLOCK);
    bytes.extend(huge.as_bytes());
    assert_eq!(kind_of(verify(bytes.as_slice())), Some(Kind::LimitExceeded));
}

proptest! {
    #[test]
    fn reading_anything_ends_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..4096)) {
        let mut bytes = write(&[]).expect("an empty archive can be written");
        bytes.truncate(2 * BLOCK);
        bytes.extend(tail);
        prop_assert!(verify(bytes.as_slice()).is_err());
    }

    #[test]
    fn times_survive(nanos: i64) {
        let time = Timestamp(nanos);
        prop_assert_eq!(pax::parse_time(pax::format_time(time).as_bytes()).ok(), Some(time));
    }

    #[test]
    fn keys_survive(key in "[a%=3D25]{0,12}") {
        prop_assert_eq!(pax::unescape_key(&pax::escape_key(&key)), key);
    }
}
