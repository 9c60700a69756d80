//! Archives of zones: any bytes end in an error that names a kind, or in a zone that can be read.
//! Besides plain bytes, an input changes the rows of a good archive and makes its checksums fit, so
//! that what lies behind them is reached too.
#![no_main]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::StreamExt;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use nexus_archive::{BlobName, Block, Header, Reader, Writer};
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_fs::{
    At, CursorOwner, ExportOptions, ForkOptions, ListOptions, LogQuery, NewSnapshot, NewWorkspace,
    RetentionLimits, Session, SnapshotQuery, Stores, WriteOptions, Zone, ZoneConfig,
};
use nexus_kernel::{Entry, Kind, Result, Revision, Value};
use nexus_service_api::{Context, SystemClock};
use nexus_services::authorizer::KeyAuthorizer;
use tokio::runtime::{Builder, Runtime};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: &'a [u8],
    changes: Vec<Change<'a>>,
    damage: Option<(u16, u8)>,
}

/// Of a row, by its place, or a new one.
#[derive(Arbitrary, Debug)]
enum Change<'a> {
    Remove(u16),
    Key(u16, &'a [u8]),
    FlipKey(u16, u8, u8),
    Value(u16, &'a [u8]),
    FlipValue(u16, u8, u8),
    Revision(u16, u64),
    Add(u8, &'a [u8], &'a [u8]),
}

struct Archive {
    header: Header,
    rows: Vec<Entry>,
    blobs: Vec<(BlobName, Bytes)>,
}

static GOOD: LazyLock<Archive> = LazyLock::new(|| {
    let taken_apart = async {
        let stores = stores();
        let bytes = export(&fill(&stores).await.expect("memory takes all")).await;
        take_apart(&bytes).await
    };
    runtime().block_on(taken_apart).expect("it is good")
});

fuzz_target!(|input: Input<'_>| {
    let good = &*GOOD;
    let mut rows = good.rows.clone();
    for change in &input.changes {
        change.apply(&mut rows);
    }
    let forged = put_together(good, rows);
    runtime().block_on(async {
        check(input.bytes).await;
        let Ok(mut forged) = forged else { return };
        check(&forged).await;
        if let Some((at, change)) = input.damage {
            let at = usize::from(at) % forged.len();
            forged[at] ^= change;
            check(&forged).await;
            forged.truncate(at);
            let refused = Zone::import(&stores(), &forged[..], |_, _| {}).await;
            assert!(refused.is_err(), "an archive cut short is whole");
        }
    });
});

async fn check(bytes: &[u8]) {
    let stores = stores();
    if let Err(refused) = Zone::import(&stores, bytes, |_, _| {}).await {
        let expected = [
            Kind::Corrupt,
            Kind::Unsupported,
            Kind::InvalidArgument,
            Kind::LimitExceeded,
        ];
        assert!(expected.contains(&refused.kind()), "{refused:?}");
        return;
    }
    // Rows that do not agree may make a zone that cannot be read; it says so.
    if let Ok(files) = open(&stores).await {
        _ = look(&files).await;
    }
}

/// Reads all kinds of rows.
async fn look(files: &Session) -> Result<()> {
    let options = ListOptions {
        recursive: true,
        ..ListOptions::default()
    };
    let listed = files.list("/", options).await?;
    for entry in listed.entries {
        _ = files.read(&entry.path, At::Latest).await;
        _ = files.versions(&entry.path, 10, None).await;
        _ = files.lineage(&entry.path, Default::default()).await;
        _ = files.inspect_lock(&entry.path).await;
    }
    _ = files.log(LogQuery::default()).await;
    _ = files.snapshots(SnapshotQuery::default()).await;
    _ = files.retention().await;
    _ = files.workspaces(100, None).await;
    _ = files.forks(None, 100, None).await;
    _ = files.cursors(&CursorOwner::Anyone, 100, None).await;
    Ok(())
}

/// A zone that has rows of most kinds.
async fn fill(stores: &Stores) -> Result<Session> {
    let files = open(stores).await?;
    for path in ["/d/a", "/d/b", "/d/a"] {
        let options = WriteOptions {
            parents: true,
            ..WriteOptions::default()
        };
        files.write(path, path.repeat(9_000).into(), options).await?;
    }
    let name = Some("s".to_owned());
    let new = NewSnapshot {
        name,
        ..NewSnapshot::default()
    };
    files.create_snapshot("/d", new).await?;
    files.fork("/d", "/f", ForkOptions::default()).await?;
    let workspace = NewWorkspace::default();
    files.register_workspace("/d", workspace).await?;
    let limits = RetentionLimits::default();
    files.set_retention("/**", limits).await?;
    files.acquire_lock("name:x", Default::default()).await?;
    files.create_cursor(&"c".parse()?, None).await?;
    Ok(files)
}

impl Change<'_> {
    fn apply(&self, rows: &mut Vec<Entry>) {
        match *self {
            Self::Remove(at) => drop(rows.swap_remove(usize::from(at) % rows.len())),
            Self::Key(at, key) => row(rows, at).key = Bytes::copy_from_slice(key),
            Self::FlipKey(at, byte, change) => {
                let row = row(rows, at);
                row.key = flipped(&row.key, byte, change);
            }
            Self::Value(at, value) => row(rows, at).value.bytes = Bytes::copy_from_slice(value),
            Self::FlipValue(at, byte, change) => {
                let row = row(rows, at);
                row.value.bytes = flipped(&row.value.bytes, byte, change);
            }
            Self::Revision(at, revision) => row(rows, at).value.revision = Revision(revision),
            Self::Add(tag, key, value) => rows.push(Entry {
                key: [&[tag], key].concat().into(),
                value: Value {
                    bytes: Bytes::copy_from_slice(value),
                    revision: Revision(1),
                },
            }),
        }
        if rows.is_empty() {
            rows.extend(GOOD.rows.first().cloned());
        }
    }
}

fn row(rows: &mut [Entry], at: u16) -> &mut Entry {
    let at = usize::from(at) % rows.len();
    &mut rows[at]
}

fn flipped(bytes: &Bytes, at: u8, change: u8) -> Bytes {
    let mut bytes = bytes.to_vec();
    let len = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(usize::from(at) % len) {
        *byte ^= change;
    }
    bytes.into()
}

fn put_together(good: &Archive, mut rows: Vec<Entry>) -> Result<Vec<u8>> {
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    let (mut writer, first) = Writer::begin(&good.header)?;
    let mut bytes = first.to_vec();
    bytes.extend(writer.rows(rows)?);
    bytes.extend(writer.rows_end()?);
    bytes.extend(writer.blobs(good.blobs.clone())?);
    bytes.extend(writer.finish()?);
    Ok(bytes)
}

async fn take_apart(bytes: &[u8]) -> Result<Archive> {
    let mut reader = Reader::begin(bytes).await?;
    let mut archive = Archive {
        header: reader.header().clone(),
        rows: Vec::new(),
        blobs: Vec::new(),
    };
    while let Some(block) = reader.next().await? {
        match block {
            Block::Rows(rows) => archive.rows.extend(rows),
            Block::Blobs(blobs) => archive.blobs.extend(blobs),
            Block::RowsEnd(_) | Block::End(_) => {}
        }
    }
    Ok(archive)
}

async fn export(files: &Session) -> Vec<u8> {
    let exported = files.export_zone(ExportOptions::default()).await;
    let mut pieces = exported.expect("the system may");
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend(piece.expect("memory is readable"));
    }
    bytes
}

async fn open(stores: &Stores) -> Result<Session> {
    let authorizer = Arc::new(KeyAuthorizer::new("root"));
    let zone = Zone::open(stores.clone(), authorizer, ZoneConfig::default()).await?;
    Ok(zone.session(Context::system()))
}

fn stores() -> Stores {
    Stores {
        metastore: Arc::new(MemoryMetastore::default()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    }
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime starts")
}
