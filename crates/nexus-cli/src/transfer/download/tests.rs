use std::net::TcpListener;

use nexus_client::FileKind::{Directory, Symlink};
use nexus_client::{Kind, Revision, Timestamp};

use super::*;

/// A writer whose node never answers: links and directories need no answer.
async fn writer(listener: &TcpListener, top: &Path) -> DiskWriter {
    let address = listener.local_addr().unwrap();
    let client = Client::connect(&format!("http://{address}"), "key").await;
    let progress = Progress::bar(false, 0);
    let mut writer = DiskWriter::new(client.unwrap(), At::latest(), top.to_owned(), progress);
    writer.directory("", stat(Directory)).unwrap();
    writer
}

fn entry(kind: FileKind, path: &str, target: &Path) -> DirEntry {
    let target = target.to_str().unwrap().to_owned();
    DirEntry {
        path: path.to_owned(),
        ino: 2,
        kind,
        stat: Some(Stat {
            target: Some(target),
            ..stat(kind)
        }),
    }
}

fn stat(kind: FileKind) -> Stat {
    Stat {
        ino: 2,
        kind,
        size: 0,
        etag: None,
        version: 1,
        revision: Revision(1),
        mode: 0o755,
        uid: 0,
        gid: 0,
        owner: "user:u".to_owned(),
        links: 1,
        created: Timestamp(0),
        modified: Timestamp(0),
        changed: Timestamp(0),
        accessed: Timestamp(0),
        target: None,
    }
}

/// What a node that lies lists below `/x`, and what comes of it in a folder beside the top, which
/// `link` may lead to.
async fn listed(entries: &[(FileKind, &str)]) -> (Result<()>, Vec<PathBuf>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut writer = writer(&listener, &folder.path().join("top")).await;
    let mut done = Ok(());
    for (kind, path) in entries {
        let entry = entry(*kind, path, &outside);
        done = writer.entry(entry, "/x").await;
        if done.is_err() {
            break;
        }
    }
    let came = fs::read_dir(&outside).unwrap();
    (done, came.map(|entry| entry.unwrap().path()).collect())
}

#[tokio::test]
async fn nothing_comes_below_a_link_of_the_same_listing() {
    for below in [Directory, Symlink, FileKind::File] {
        let (done, outside) = listed(&[(Symlink, "/x/link"), (below, "/x/link/in")]).await;
        assert_eq!(done.unwrap_err().kind(), Kind::Corrupt, "{below:?}");
        assert!(outside.is_empty(), "{below:?}: {outside:?}");
    }
}

#[tokio::test]
async fn a_link_gives_way_to_a_directory_of_the_same_name() {
    let entries = [
        (Symlink, "/x/link"),
        (Directory, "/x/link"),
        (Directory, "/x/link/in"),
    ];
    let (done, outside) = listed(&entries).await;
    done.unwrap();
    assert!(outside.is_empty(), "{outside:?}");
}

#[tokio::test]
async fn a_directory_gives_way_to_nothing() {
    let (done, _) = listed(&[(Directory, "/x/name"), (Symlink, "/x/name")]).await;
    assert!(done.is_err());
}

#[tokio::test]
async fn an_entry_of_no_directory_that_was_listed_is_refused() {
    let left = [
        (Directory, "/x/a"),
        (Directory, "/x/b"),
        (Symlink, "/x/a/c"),
    ];
    for entries in [&left[..], &[(Symlink, "/x/a/b")], &[(Directory, "/x")]] {
        let (done, _) = listed(entries).await;
        assert!(done.is_err(), "{entries:?}");
    }
}
