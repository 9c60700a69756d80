//! Whether two zones give the same answers.

use std::collections::BTreeSet;

use bytes::Bytes;
use nexus_fs::{At, FileKind, ListOptions, LogQuery, Session, Stat, Version};
use nexus_kernel::Revision;

/// What can be asked about a name at a point.
#[derive(Debug, PartialEq)]
struct Answer {
    path: String,
    stat: Stat,
    content: Option<Bytes>,
    metadata: Vec<(String, Bytes)>,
    tags: Vec<String>,
}

async fn answers(files: &Session, at: At) -> Vec<Answer> {
    let options = ListOptions {
        at: at.clone(),
        recursive: true,
        limit: 10_000,
        ..ListOptions::default()
    };
    let mut answers = Vec::new();
    for entry in files.list("/", options).await.unwrap().entries {
        let stat = files.lstat(&entry.path, at.clone()).await.unwrap();
        let is_link = stat.kind == FileKind::Symlink;
        let content = match stat.kind {
            FileKind::File => Some(files.read(&entry.path, at.clone()).await.unwrap().bytes),
            _ => None,
        };
        let (metadata, tags) = match is_link {
            true => (Vec::new(), Vec::new()),
            false => (
                files.metadata(&entry.path, at.clone()).await.unwrap(),
                files.tags(&entry.path, at.clone()).await.unwrap(),
            ),
        };
        answers.push(Answer {
            path: entry.path,
            stat,
            content,
            metadata,
            tags,
        });
    }
    answers
}

pub(super) async fn same_state(one: &Session, other: &Session, at: At) {
    let found = answers(other, at.clone()).await;
    assert_eq!(found, answers(one, at.clone()).await, "{at:?}");
}

/// Compares everything up to and with a revision; answers how many states that were.
pub(super) async fn same_history(one: &Session, other: &Session, until: Revision) -> usize {
    let mut states = BTreeSet::from([until]);
    let (mut cursor, mut pages) = (None, 0);
    loop {
        let query = LogQuery {
            limit: 7,
            cursor,
            until: Some(At::Revision(until)),
            ..LogQuery::default()
        };
        let page = one.log(query.clone()).await.unwrap();
        assert_eq!(other.log(query).await.unwrap(), page);
        states.extend(page.records.iter().map(|record| record.revision));
        pages += 1;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert!(pages > 1);
    for state in &states {
        same_state(one, other, At::Revision(*state)).await;
    }
    same_versions(one, other).await;
    states.len()
}

async fn same_versions(one: &Session, other: &Session) {
    for answer in answers(one, At::Latest).await {
        if answer.stat.kind != FileKind::File {
            continue;
        }
        let path = &answer.path;
        let versions: Vec<Version> = one.versions_of(answer.stat.ino, 1000).await.unwrap();
        assert_eq!(
            other.versions_of(answer.stat.ino, 1000).await.unwrap(),
            versions
        );
        for version in versions {
            let read = one.read_version(path, version.version).await.unwrap();
            let copied = other.read_version(path, version.version).await.unwrap();
            assert_eq!(copied.bytes, read.bytes);
        }
    }
}
