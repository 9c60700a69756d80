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

/// What a reader hands out before it says that the archive is damaged: the entries whose
/// content was right to its end, and the error.
fn complete_entries(bytes: &[u8]) -> (Vec<(Entry, Vec<u8>)>, Option<Kind>) {
    let mut complete = Vec::new();
    let mut taken = || {
        let mut reader = Reader::new(bytes)?;
        while let Some(entry) = reader.next_entry()? {
            let mut content = Vec::new();
            let mut buffer = [0; 100];
            while let count @ 1.. = reader.read_content(&mut buffer)? {
                content.extend_from_slice(&buffer[..count]);
            }
            complete.push((entry, content));
        }
        Ok(())
    };
    let error = kind_of(taken());
    (complete, error)
}

/// Entries of a small tree, in the order of an archive.
fn tree() -> impl Strategy<Value = Vec<(Entry, Vec<u8>)>> {
    let content = prop::collection::vec(any::<u8>(), 0..1200);
    let metadata = prop::collection::vec(("[a-c=%é]{1,4}", any::<Vec<u8>>()), 0..3);
    let tags = prop::collection::vec("[a-cé]{1,4}", 0..3);
    let one = (content, metadata, tags, any::<[u32; 3]>(), any::<i64>());
    prop::collection::btree_map("[a-cé. ]{3,150}", one, 0..6).prop_map(|files| {
        let made = files
            .into_iter()
            .map(|(name, (content, metadata, tags, numbers, time))| {
                let (mut made, content) = file(&name, &content);
                let [mode, uid, gid] = numbers;
                (made.mode, made.uid, made.gid) = (mode & 0o7777, uid, gid);
                (made.metadata, made.tags, made.modified) = (metadata, tags, Timestamp(time));
                (made, content)
            });
        made.collect()
    })
}

proptest! {
    #[test]
    fn any_tree_is_read_back_as_it_was(tree in tree()) {
        let bytes = write(&tree).expect("a tree can be written");
        prop_assert_eq!(read(&bytes).expect("a whole archive"), tree);
    }

    #[test]
    fn of_a_cut_short_archive_only_complete_files_are_handed_out(tree in tree(), at in any::<prop::sample::Index>()) {
        let bytes = write(&tree).expect("a tree can be written");
        let (complete, error) = complete_entries(&bytes[..at.index(bytes.len())]);
        prop_assert!(matches!(error, Some(Kind::Corrupt | Kind::InvalidArgument)), "{error:?}");
        prop_assert_eq!(&complete[..], &tree[..complete.len()]);
    }

    #[test]
    fn of_a_damaged_archive_only_right_contents_are_handed_out(
        tree in tree(), at in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let mut bytes = write(&tree).expect("a tree can be written");
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        for (entry, content) in complete_entries(&bytes).0 {
            let EntryKind::File { size, etag: stated } = entry.kind else { continue };
            prop_assert_eq!((size, stated), (content.len() as u64, etag(&content)));
        }
        if verify(bytes.as_slice()).is_ok() {
            prop_assert_eq!(read(&bytes).expect("it was verified"), tree);
        }
    }

    #[test]
    fn records_that_no_writer_made_end_in_an_error_or_an_entry(
        records in prop::collection::vec((record_key(), any::<Vec<u8>>()), 0..4), cut in any::<prop::sample::Index>(),
    ) {
        let mut made = pax::Records::default();
        for (key, value) in &records {
            made.push(key, value);
        }
        let bytes = made.into_bytes();
        let parsed = pax::parse(&bytes).expect("records can be read");
        let expected: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), &value[..])).collect();
        prop_assert_eq!(parsed, expected);
        for records in [&bytes[..], &bytes[..cut.index(bytes.len() + 1)]] {
            let _ = header::entry(&header::plain(&file("a", b"").0), records);
        }
    }

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

/// Keys that mean something, and some that do not.
fn record_key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "path",
            "mtime",
            "linkpath",
            RECORD_CONTENT,
            RECORD_TAGS
        ])
        .prop_map(str::to_owned),
        "[a-c%]{0,3}".prop_map(|key| format!("{RECORD_METADATA}{key}")),
        "[a-z]{1,8}",
    ]
}

#[test]
fn a_read_that_a_signal_interrupts_is_made_again() {
    struct Interrupted<R>(R, bool);
    impl<R: std::io::Read> std::io::Read for Interrupted<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            self.0.read(buffer)
        }
    }
    let bytes = write(&sample()).unwrap();
    let total = verify(Interrupted(bytes.as_slice(), false)).unwrap();
    assert_eq!(total.entries, 8);
}
