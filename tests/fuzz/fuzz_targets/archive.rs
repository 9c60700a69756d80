//! Archives: any bytes end in an error or in a whole archive, which written again is the same
//! tree. Besides plain bytes, an input makes an archive whose checksums are right, so that what
//! lies behind them is reached too.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use nexus_cli::archive::{Entry, EntryKind, Reader, Writer, verify};
use tar::{EntryType, Header};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: &'a [u8],
    pieces: Vec<Piece<'a>>,
    damage: Option<(u16, u8)>,
}

#[derive(Arbitrary, Debug)]
struct Piece<'a> {
    kind: Kind,
    path: &'a str,
    time: (i32, u32),
    target: Option<&'a str>,
    tags: Option<&'a str>,
    more: Vec<(&'a str, &'a [u8])>,
    content: &'a [u8],
    has_right_etag: bool,
    owner: (u64, u32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Directory,
    File,
    Symlink,
    HardLink,
    Other(u8),
}

type Tree = Vec<(Entry, Vec<u8>)>;

fuzz_target!(|input: Input<'_>| {
    check(input.bytes);
    let mut sealed = sealed(&input.pieces);
    check(&sealed);
    if let Some((at, change)) = input.damage {
        let at = usize::from(at) % sealed.len();
        sealed[at] ^= change;
        check(&sealed);
        sealed.truncate(at);
        assert!(
            verify(sealed.as_slice()).is_err(),
            "an archive cut short is whole"
        );
    }
});

fn check(bytes: &[u8]) {
    let Ok(total) = verify(bytes) else {
        return;
    };
    let tree = read(bytes);
    assert_eq!(total.entries, tree.len() as u64);
    assert_eq!(
        total.bytes,
        tree.iter()
            .map(|(_, content)| content.len() as u64)
            .sum::<u64>()
    );
    assert_eq!(read(&write(&tree)), tree);
}

fn read(bytes: &[u8]) -> Tree {
    let mut reader = Reader::new(bytes).expect("it was verified");
    let mut tree = Tree::new();
    while let Some(entry) = reader.next_entry().expect("it was verified") {
        let mut content = Vec::new();
        let mut buffer = [0; 333];
        while let count @ 1.. = reader.read_content(&mut buffer).expect("it was verified") {
            content.extend_from_slice(&buffer[..count]);
        }
        if let EntryKind::File { size, .. } = entry.kind {
            assert_eq!(size, content.len() as u64);
        }
        tree.push((entry, content));
    }
    tree
}

fn write(tree: &Tree) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).expect("memory takes all");
    for (entry, content) in tree {
        writer.entry(entry).expect("what was read can be written");
        if !content.is_empty() {
            writer.content(content).expect("its hash is right");
        }
    }
    writer.finish().expect("the archive is whole").0
}

/// An archive of these pieces, whatever they say, with all checksums right.
fn sealed(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    put_records(
        &mut out,
        EntryType::XGlobalHeader,
        &record("NEXUS.archive", b"1"),
    );
    let mut content_bytes = 0;
    for piece in pieces {
        put_records(&mut out, EntryType::XHeader, &piece.records());
        let content = piece.content();
        let mut header = header(piece.kind.entry_type(), content.len());
        header.set_mode(piece.owner.1);
        header.set_uid(piece.owner.0);
        header.set_gid(piece.owner.1.into());
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        put_padded(&mut out, content);
        content_bytes += content.len();
    }
    let hash = blake3::hash(&out).to_hex();
    let mut trailer = record("NEXUS.entries", pieces.len().to_string().as_bytes());
    trailer.extend(record("NEXUS.bytes", content_bytes.to_string().as_bytes()));
    trailer.extend(record("NEXUS.total", hash.as_bytes()));
    put_records(&mut out, EntryType::XGlobalHeader, &trailer);
    out.extend([0; 1024]);
    out
}

impl Piece<'_> {
    fn content(&self) -> &[u8] {
        match self.kind {
            Kind::File | Kind::Other(_) => self.content,
            _ => b"",
        }
    }

    fn records(&self) -> Vec<u8> {
        let mut records = record("path", self.path.as_bytes());
        let (seconds, fraction) = self.time;
        records.extend(record("mtime", format!("{seconds}.{fraction}").as_bytes()));
        if self.has_right_etag {
            let etag = format!("b3-{}", blake3::hash(self.content).to_hex());
            records.extend(record("NEXUS.content", etag.as_bytes()));
        }
        for (key, value) in [("linkpath", self.target), ("NEXUS.tags", self.tags)] {
            records.extend(value.map_or_else(Vec::new, |value| record(key, value.as_bytes())));
        }
        for (key, value) in &self.more {
            records.extend(record(&format!("SCHILY.xattr.user.{key}"), value));
            records.extend(record(key, value));
        }
        records
    }
}

impl Kind {
    fn entry_type(self) -> EntryType {
        match self {
            Self::Directory => EntryType::Directory,
            Self::File => EntryType::Regular,
            Self::Symlink => EntryType::Symlink,
            Self::HardLink => EntryType::Link,
            Self::Other(byte) => EntryType::new(byte),
        }
    }
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| rest + length.to_string().len() == *length);
    let mut bytes = format!(
        "{} {key}=",
        length.expect("lengths grow faster than digits")
    )
    .into_bytes();
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    bytes
}

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header
}

fn put_records(out: &mut Vec<u8>, kind: EntryType, records: &[u8]) {
    let mut header = header(kind, records.len());
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    put_padded(out, records);
}

fn put_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}
