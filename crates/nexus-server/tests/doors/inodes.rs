//! Files by inode numbers.

use nexus_proto::v1::inodes_client::InodesClient;
use nexus_proto::v1::write_piece::What;
use nexus_proto::v1::*;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::support::{Bearer, Server};

type Client = InodesClient<InterceptedService<Channel, Bearer>>;

async fn client(server: &Server) -> Client {
    InodesClient::with_interceptor(server.channel().await, Bearer(server.admin.clone()))
}

/// Makes a file and opens it; answers its inode and handle.
async fn make(client: &mut Client) -> (u64, u64) {
    let request = MakeRequest {
        parent: 1,
        name: "a".into(),
        kind: FileKind::File.into(),
        mode: 0o644,
        open: true,
        ..MakeRequest::default()
    };
    let made = client.make(request).await.unwrap().into_inner();
    (made.stat.unwrap().ino, made.handle.unwrap())
}

fn append(handle: u64, sequence: u64, texts: &[&str], finish: Finish) -> WriteHandleRequest {
    let piece = |text: &&str| WritePiece {
        what: Some(What::Append(text.to_string().into())),
    };
    WriteHandleRequest {
        handle,
        sequence,
        pieces: texts.iter().map(piece).collect(),
        finish: finish.into(),
    }
}

#[tokio::test]
async fn a_write_that_is_sent_again_is_done_once() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    let (ino, handle) = make(&mut client).await;
    for _ in 0..3 {
        let request = append(handle, 1, &["one ", "two "], Finish::Unspecified);
        let ends = client.write(request).await.unwrap().into_inner().ends;
        assert_eq!(ends, [4, 8]);
    }
    let request = append(handle, 2, &["three"], Finish::Flush);
    client.write(request).await.unwrap();
    let late = append(handle, 1, &["one ", "two "], Finish::Unspecified);
    assert_eq!(client.write(late).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(
        &server.get("/api/v2/files/a").await.body[..],
        b"one two three"
    );
    let stat = GetAttributesRequest {
        ino,
        ..GetAttributesRequest::default()
    };
    let stat = client.get_attributes(stat).await.unwrap().into_inner();
    assert_eq!(stat.size, 13);
    server.stop().await;
}

#[tokio::test]
async fn a_handle_that_is_closed_is_there_no_more() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    let (_, handle) = make(&mut client).await;
    let handles = vec![handle];
    let keep = KeepAliveRequest {
        handles: handles.clone(),
    };
    let known = client.keep_alive(keep.clone()).await.unwrap().into_inner();
    assert!(known.unknown.is_empty());
    client.close(CloseRequest { handles }).await.unwrap();
    let unknown = client.keep_alive(keep).await.unwrap().into_inner().unknown;
    assert_eq!(unknown, [handle]);
    let read = ReadHandleRequest {
        handle,
        offset: 0,
        length: 1,
    };
    let refused = client.read(Request::new(read)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn what_was_written_and_not_flushed_is_kept_when_the_server_stops() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    let (_, handle) = make(&mut client).await;
    let request = append(handle, 1, &["kept"], Finish::Unspecified);
    client.write(request).await.unwrap();
    let zone = server.zone.clone();
    drop(client);
    server.stop().await;
    let session = zone.session(nexus_service_api::Context::system());
    let found = session.read("/a", nexus_fs::At::Latest).await.unwrap();
    assert_eq!(&found.bytes[..], b"kept");
}

#[tokio::test]
async fn a_write_that_is_not_numbered_or_too_large_or_another_is_refused() {
    let server = Server::start().await;
    let mut client = client(&server).await;
    let (_, handle) = make(&mut client).await;
    let none = Finish::Unspecified;
    let first = client.write(append(handle, 1, &["one"], none)).await;
    let first = first.unwrap().into_inner().version;
    let large = "x".repeat(2 << 20);
    for (refused, code) in [
        (append(handle, 0, &["one"], none), Code::InvalidArgument),
        (append(handle, 1, &["other"], none), Code::InvalidArgument),
        (
            append(handle, 2, &["x"; 1_025], none),
            Code::ResourceExhausted,
        ),
        (
            append(handle, 2, &[&large, &large, "x"], none),
            Code::ResourceExhausted,
        ),
    ] {
        assert_eq!(client.write(refused).await.unwrap_err().code(), code);
    }
    client
        .write(append(handle, 2, &["two"], Finish::Flush))
        .await
        .unwrap();
    let later = client.write(append(handle, 3, &["three"], none)).await;
    assert!(later.unwrap().into_inner().version > first);
    assert_eq!(&server.get("/api/v2/files/a").await.body[..], b"onetwo");
}
