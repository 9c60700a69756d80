use nexus_client::{Revision, Stat, Timestamp};

use super::*;

fn entry(path: &str, kind: FileKind) -> DirEntry {
    DirEntry {
        path: path.into(),
        ino: 7,
        kind,
        stat: None,
    }
}

fn link(path: &str, target: &str) -> DirEntry {
    let stat = Stat {
        ino: 7,
        kind: FileKind::Symlink,
        size: target.len() as u64,
        etag: None,
        version: 1,
        revision: Revision(3),
        mode: 0o777,
        uid: 0,
        gid: 0,
        owner: "user:ada".into(),
        links: 1,
        created: Timestamp(0),
        modified: Timestamp(0),
        changed: Timestamp(0),
        accessed: Timestamp(0),
        target: Some(target.into()),
    };
    DirEntry {
        stat: Some(stat),
        ..entry(path, FileKind::Symlink)
    }
}

#[test]
fn a_name_shows_what_it_is() {
    let plain = Style::default();
    assert_eq!(line(&entry("/a", FileKind::File), "a", plain), "a");
    assert_eq!(line(&entry("/a", FileKind::Directory), "a", plain), "a/");
    let long = line(&link("/l", "a/b"), "l", plain);
    assert_eq!(
        long,
        "lrwxrwxrwx   1 user:ada               3 B 1970-01-01 00:00:00 l -> a/b"
    );
}

#[test]
fn colours_are_added_only_where_asked_for() {
    let directory = entry("/a", FileKind::Directory);
    assert_eq!(
        line(&directory, "a", Style { color: true }),
        "\x1b[1;34ma\x1b[0m/"
    );
}

#[test]
fn a_branch_knows_what_follows_it() {
    let level = |names: &[&str]| {
        let entries = names
            .iter()
            .map(|name| entry(name, FileKind::File))
            .collect::<Vec<_>>();
        entries.into_iter().peekable()
    };
    let file = entry("/x/f", FileKind::File);
    let check = |mut levels: Vec<Level>, text| {
        assert_eq!(branch(&file, &mut levels, Style::default()), text);
    };
    check(vec![level(&[])], "└── f");
    check(vec![level(&["/y"])], "├── f");
    check(
        vec![level(&["/y"]), level(&[]), level(&["/x/g"])],
        "│       ├── f",
    );
}
