//! gRPC.

use std::time::Duration;

use futures::stream;
use nexus_proto::v1::read_response::Part as ReadPart;
use nexus_proto::v1::write_request::Part as WritePart;
use nexus_proto::v1::*;
use prost::Message;
use tonic::{Code, Status};

use crate::support::{Bearer, Server};

fn write_request(path: &str, options: WriteOptions, pieces: &[&[u8]]) -> Vec<WriteRequest> {
    let header = WriteHeader {
        path: path.into(),
        options: Some(options),
    };
    let pieces = pieces
        .iter()
        .map(|piece| WritePart::Data(piece.to_vec().into()));
    let parts = std::iter::once(WritePart::Header(header)).chain(pieces);
    parts
        .map(|part| WriteRequest { part: Some(part) })
        .collect()
}

async fn write(server: &Server, path: &str, pieces: &[&[u8]]) -> Result<Changed, Status> {
    let request = write_request(path, WriteOptions::default(), pieces);
    Ok(server
        .files()
        .await
        .write(stream::iter(request))
        .await?
        .into_inner())
}

async fn read(server: &Server, request: ReadRequest) -> Result<(ReadHeader, Vec<u8>), Status> {
    let mut messages = server.files().await.read(request).await?.into_inner();
    let Some(ReadPart::Header(header)) = messages.message().await?.unwrap().part else {
        panic!("a read begins with its header");
    };
    let mut bytes = Vec::new();
    while let Some(message) = messages.message().await? {
        let Some(ReadPart::Data(data)) = message.part else {
            panic!("then comes data")
        };
        bytes.extend_from_slice(&data);
    }
    Ok((header, bytes))
}

fn at_path(path: &str) -> ReadRequest {
    ReadRequest {
        path: path.into(),
        ..Default::default()
    }
}

fn detail(status: &Status) -> ErrorDetail {
    let value = status.metadata().get_bin("nexus-error-bin").unwrap();
    ErrorDetail::decode(value.to_bytes().unwrap()).unwrap()
}

#[tokio::test]
async fn a_file_is_written_and_read_in_pieces() {
    let server = Server::start().await;
    let changed = write(&server, "/a", &[b"hel", b"", b"lo"]).await.unwrap();
    let stat = changed.stat.unwrap();
    assert_eq!(
        (stat.size, stat.version, stat.kind()),
        (5, 1, FileKind::File)
    );
    let (header, bytes) = read(&server, at_path("/a")).await.unwrap();
    assert_eq!(
        (&bytes[..], header.length, header.stat.unwrap()),
        (&b"hello"[..], 5, stat)
    );
    let part = ReadRequest {
        offset: 1,
        length: Some(3),
        ..at_path("/a")
    };
    assert_eq!(read(&server, part).await.unwrap().1, b"ell");
}

#[tokio::test]
async fn a_large_file_comes_back_whole() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..9_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let pieces: Vec<&[u8]> = content.chunks(3_000_000).collect();
    write(&server, "/big", &pieces).await.unwrap();
    assert!(read(&server, at_path("/big")).await.unwrap().1 == content);
}

#[tokio::test]
async fn a_version_is_read_whole() {
    let server = Server::start().await;
    write(&server, "/a", &[b"one"]).await.unwrap();
    write(&server, "/a", &[b"two"]).await.unwrap();
    let first = ReadRequest {
        version: Some(1),
        ..at_path("/a")
    };
    assert_eq!(read(&server, first.clone()).await.unwrap().1, b"one");
    let part = ReadRequest { offset: 1, ..first };
    assert_eq!(
        read(&server, part).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn errors_carry_their_kind_and_facts() {
    let server = Server::start().await;
    let missing = read(&server, at_path("/none")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(
        missing.metadata().get("x-nexus-error").unwrap(),
        "not_found"
    );
    let detail = detail(&missing);
    assert_eq!(detail.kind, "not_found");
    assert!(
        detail
            .context
            .iter()
            .any(|fact| fact.name == "path" && fact.value == "/none")
    );
    assert!(!detail.outcome_unknown);
}

#[tokio::test]
async fn a_stale_etag_is_a_conflict() {
    let server = Server::start().await;
    let old = write(&server, "/a", &[b"one"])
        .await
        .unwrap()
        .stat
        .unwrap()
        .etag
        .unwrap();
    write(&server, "/a", &[b"two"]).await.unwrap();
    let precondition = Some(Precondition {
        must: Some(precondition::Must::Etag(old.clone())),
    });
    let options = WriteOptions {
        precondition,
        ..Default::default()
    };
    let request = write_request("/a", options, &[b"three"]);
    let stale = server
        .files()
        .await
        .write(stream::iter(request))
        .await
        .unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    assert!(detail(&stale).context.contains(&Fact {
        name: "expected_etag".into(),
        value: old
    }));
}

#[tokio::test]
async fn a_write_begins_with_its_header_and_has_no_other() {
    let server = Server::start().await;
    let mut files = server.files().await;
    let data = WriteRequest {
        part: Some(WritePart::Data("x".into())),
    };
    for messages in [Vec::new(), vec![data], vec![WriteRequest { part: None }]] {
        let refused = files.write(stream::iter(messages)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let mut twice = write_request("/a", WriteOptions::default(), &[b"x"]);
    twice.extend(write_request("/a", WriteOptions::default(), &[]));
    assert_eq!(
        files.write(stream::iter(twice)).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        read(&server, at_path("/a")).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn a_tree_is_changed_listed_and_searched() {
    let server = Server::start().await;
    let mut files = server.files().await;
    let options = Some(MkdirOptions {
        parents: true,
        ..Default::default()
    });
    files
        .mkdir(MkdirRequest {
            path: "/d/e".into(),
            options,
            ..Default::default()
        })
        .await
        .unwrap();
    write(&server, "/d/e/a.rs", &[b"fn main() {}\n"])
        .await
        .unwrap();
    let rename = RenameRequest {
        from: "/d/e".into(),
        to: "/f".into(),
        ..Default::default()
    };
    files.rename(rename).await.unwrap();
    let list = ListRequest {
        path: "/".into(),
        recursive: true,
        details: true,
        ..Default::default()
    };
    let page = files.list(list).await.unwrap().into_inner();
    let paths: Vec<_> = page
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(
        (paths, page.next.as_str()),
        (vec!["/d", "/f", "/f/a.rs"], "")
    );
    let glob = GlobRequest {
        pattern: "**/*.rs".into(),
        ..Default::default()
    };
    let mut found = files.glob(glob).await.unwrap().into_inner();
    assert_eq!(found.message().await.unwrap().unwrap().path, "/f/a.rs");
    assert!(found.message().await.unwrap().is_none());
    let grep = GrepRequest {
        pattern: "m.in".into(),
        path: "/".into(),
        ..Default::default()
    };
    let mut found = files.grep(grep).await.unwrap().into_inner();
    assert_eq!(found.message().await.unwrap().unwrap().matched, "main");
    let remove = RemoveRequest {
        path: "/f".into(),
        recursive: true,
        ..Default::default()
    };
    assert!(
        files
            .remove(remove)
            .await
            .unwrap()
            .into_inner()
            .stat
            .is_none()
    );
}

#[tokio::test]
async fn a_batch_and_an_edit_apply_as_a_whole() {
    let server = Server::start().await;
    let mut files = server.files().await;
    let step = |path: &str, content: &'static str| BatchStep {
        step: Some(batch_step::Step::Write(BatchWrite {
            path: path.into(),
            content: content.into(),
            options: None,
        })),
    };
    let batch = BatchRequest {
        steps: vec![step("/a", "one\n"), step("/b", "two\n")],
        ..Default::default()
    };
    let changes = files.batch(batch).await.unwrap().into_inner().changes;
    assert_eq!(changes[0].revision, changes[1].revision);
    let edits = vec![Edit {
        old: "one".into(),
        new: "1".into(),
        ..Default::default()
    }];
    let edit = EditRequest {
        path: "/a".into(),
        edits,
        ..Default::default()
    };
    let edited = files.edit(edit).await.unwrap().into_inner();
    assert!(edited.applied && edited.diff.contains("+1"));
    let empty = BatchRequest {
        steps: vec![BatchStep { step: None }],
        ..Default::default()
    };
    assert_eq!(
        files.batch(empty).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn changes_are_watched_until_the_server_ends() {
    let server = Server::start().await;
    let mut files = server.files().await;
    let request = WatchRequest {
        after: Some(0),
        ..Default::default()
    };
    let mut watched = files.watch(request).await.unwrap().into_inner();
    let changed = write(&server, "/a", &[b"x"]).await.unwrap();
    let record = loop {
        let record = watched.message().await.unwrap().unwrap();
        if record.revision == changed.revision {
            break record;
        }
    };
    assert_eq!(
        (record.actor.as_str(), record.changes[0].kind()),
        ("user:admin", ChangeKind::FileWrite)
    );
    let stop = tokio::time::timeout(Duration::from_secs(10), server.stop());
    let ended = async { while let Ok(Some(_)) = watched.message().await {} };
    assert!(tokio::join!(stop, ended).0.is_ok());
}

#[tokio::test]
async fn a_watch_is_narrowed_and_begins_at_a_cursor() {
    let server = Server::start().await;
    let mut files = server.files().await;
    let channel = server.channel().await;
    let mut feed = feed_client::FeedClient::with_interceptor(channel, Bearer(server.admin.clone()));
    let create = CreateCursorRequest {
        name: "c".into(),
        position: Some(FeedPosition {
            revision: 0,
            sequence: None,
        }),
    };
    feed.create_cursor(create.clone()).await.unwrap();
    assert_eq!(
        feed.create_cursor(create).await.unwrap_err().code(),
        Code::AlreadyExists
    );
    for path in ["/a", "/b", "/c"] {
        write(&server, path, &[b"x"]).await.unwrap();
    }
    let at_cursor = WatchRequest {
        cursor: Some("c".into()),
        patterns: vec!["/b".into(), "/c".into()],
        kinds: vec![ChangeKind::FileWrite.into()],
        ..Default::default()
    };
    let mut watched = files.watch(at_cursor.clone()).await.unwrap().into_inner();
    for path in ["/b", "/c"] {
        let record = watched.message().await.unwrap().unwrap();
        assert_eq!(record.changes[0].path, path);
    }
    for wrong in [
        WatchRequest {
            after: Some(1),
            ..at_cursor.clone()
        },
        WatchRequest {
            kinds: vec![99],
            ..at_cursor.clone()
        },
        WatchRequest {
            cursor: Some("/".into()),
            ..at_cursor.clone()
        },
        WatchRequest {
            after_sequence: Some(3),
            ..at_cursor
        },
        WatchRequest {
            after_sequence: Some(3),
            ..Default::default()
        },
    ] {
        assert_eq!(
            files.watch(wrong).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test]
async fn keys_are_managed_and_a_wrong_one_is_refused() {
    let server = Server::start().await;
    let mut admin = server.grpc_admin().await;
    let me = admin.whoami(WhoamiRequest {}).await.unwrap().into_inner();
    assert_eq!((me.id.as_str(), me.rights()), ("admin", Rights::Admin));
    let create = CreateKeyRequest {
        name: "k".into(),
        id: "bob".into(),
        rights: Rights::ReadOnly.into(),
        ..Default::default()
    };
    let created = admin.create_key(create.clone()).await.unwrap().into_inner();
    let key = created.key.unwrap();
    let channel = server.channel().await;
    let mut bob = admin_client::AdminClient::with_interceptor(channel, Bearer(created.secret));
    assert_eq!(
        bob.whoami(WhoamiRequest {}).await.unwrap().into_inner().id,
        "bob"
    );
    assert_eq!(
        bob.create_key(create).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    admin
        .revoke_key(RevokeKeyRequest { key_id: key.key_id })
        .await
        .unwrap();
    let refused = bob.whoami(WhoamiRequest {}).await.unwrap_err();
    assert_eq!(
        (refused.code(), detail(&refused).kind.as_str()),
        (Code::Unauthenticated, "unauthenticated")
    );
    let no_rights = CreateKeyRequest {
        name: "k".into(),
        id: "x".into(),
        ..Default::default()
    };
    assert_eq!(
        admin.create_key(no_rights).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn verification_reports_and_ends() {
    let server = Server::start().await;
    write(&server, "/a", &[b"x"]).await.unwrap();
    let mut progress = server
        .grpc_admin()
        .await
        .verify(VerifyRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut last = None;
    while let Some(step) = progress.message().await.unwrap() {
        assert_eq!(step.problem, None);
        last = Some(step);
    }
    assert!(last.unwrap().done);
}

#[tokio::test]
async fn a_call_is_counted_under_its_name() {
    let server = Server::start().await;
    let mut files = server.files().await;
    files.revision(RevisionRequest {}).await.unwrap();
    files
        .stat(StatRequest {
            path: "/none".into(),
            ..Default::default()
        })
        .await
        .unwrap_err();
    let metrics = server.get("/metrics").await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    for line in [
        r#"nexus_requests_total{door="grpc",operation="Files/Revision",outcome="ok"} 1"#,
        r#"nexus_requests_total{door="grpc",operation="Files/Stat",outcome="not_found"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn an_error_about_a_long_path_arrives() {
    let server = Server::start().await;
    let path = format!("/{}", "é".repeat(127)).repeat(16);
    let request = StatRequest {
        path: path.clone(),
        ..Default::default()
    };
    let status = server.files().await.stat(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let detail = detail(&status);
    assert_eq!(detail.kind, "not_found");
    let shown = &detail.context[0];
    assert!(shown.value.ends_with('…') && path.starts_with(shown.value.trim_end_matches('…')));
}

#[tokio::test]
async fn a_version_is_read_whole_and_at_no_other_point() {
    let server = Server::start().await;
    write(&server, "/a", &[b"one"]).await.unwrap();
    let version = || ReadRequest {
        version: Some(1),
        ..at_path("/a")
    };
    assert_eq!(read(&server, version()).await.unwrap().1, b"one");
    for request in [
        ReadRequest {
            at: "latest".into(),
            ..version()
        },
        ReadRequest {
            offset: 1,
            ..version()
        },
    ] {
        let refused = read(&server, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_removal_checks_the_etag_alone_and_in_a_batch() {
    let server = Server::start().await;
    write(&server, "/a", &[b"one"]).await.unwrap();
    let current = write(&server, "/a", &[b"two"]).await.unwrap();
    let current = current.stat.unwrap().etag.unwrap();
    let remove = |etag: &str| RemoveRequest {
        path: "/a".into(),
        if_match: Some(etag.into()),
        ..Default::default()
    };
    let step = |etag: &str| BatchRemove {
        path: "/a".into(),
        recursive: false,
        if_match: Some(etag.into()),
    };
    let batch = |etag: &str| BatchRequest {
        steps: vec![BatchStep {
            step: Some(batch_step::Step::Remove(step(etag))),
        }],
        ..Default::default()
    };
    let mut files = server.files().await;
    let refused = files.remove(remove("stale")).await.unwrap_err();
    assert_eq!(detail(&refused).kind, "conflict");
    let refused = files.batch(batch("stale")).await.unwrap_err();
    assert_eq!(detail(&refused).kind, "conflict");
    files.batch(batch(&current)).await.unwrap();
    write(&server, "/a", &[b"two"]).await.unwrap();
    // Quotes, as HTTP puts them around it, do no harm.
    let quoted = format!("\"{current}\"");
    files.remove(remove(&quoted)).await.unwrap();
}

#[tokio::test]
async fn a_key_is_changed() {
    let server = Server::start().await;
    let mut admin = server.grpc_admin().await;
    let new = CreateKeyRequest {
        name: "k".into(),
        id: "bob".into(),
        rights: Rights::ReadOnly.into(),
        expires_ns: Some(i64::MAX),
        ..Default::default()
    };
    let made = admin.create_key(new).await.unwrap().into_inner();
    let key_id = made.key.unwrap().key_id;
    let renamed = UpdateKeyRequest {
        key_id: key_id.clone(),
        name: Some("renamed".into()),
        ..Default::default()
    };
    let key = admin.update_key(renamed).await.unwrap().into_inner();
    assert_eq!(
        (key.name.as_str(), key.rights(), key.expires_ns),
        ("renamed", Rights::ReadOnly, Some(i64::MAX))
    );
    let lasting = UpdateKeyRequest {
        key_id,
        rights: Rights::ReadWrite.into(),
        end: Some(update_key_request::End::NeverExpires(true)),
        ..Default::default()
    };
    let key = admin.update_key(lasting).await.unwrap().into_inner();
    assert_eq!((key.rights(), key.expires_ns), (Rights::ReadWrite, None));
}
