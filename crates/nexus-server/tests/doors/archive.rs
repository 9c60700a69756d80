//! The archive of a zone.

use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use nexus_proto::v1::archive_client::ArchiveClient;
use nexus_proto::v1::export_request::Part;
use nexus_proto::v1::{BlobNames, ExportBegin, ExportRequest, ExportResume};
use nexus_service_api::{PrincipalKind, Rights};
use tonic::{Code, Status};

use crate::support::{Bearer, Server};

async fn export(server: &Server, key: String, parts: Vec<Part>) -> Result<Vec<u8>, Status> {
    let mut client = ArchiveClient::with_interceptor(server.channel().await, Bearer(key));
    let request = |part| ExportRequest { part: Some(part) };
    let requests = stream::iter(parts.into_iter().map(request).collect::<Vec<_>>());
    let mut answer = client.export(requests).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = answer.message().await? {
        bytes.extend_from_slice(&message.data);
    }
    Ok(bytes)
}

fn begin() -> Part {
    Part::Begin(ExportBegin { secrets: false })
}

fn names(names: Vec<Bytes>) -> Part {
    Part::Blobs(BlobNames { names })
}

/// An archive of one row and one blob, of which no blob is there.
fn resume() -> ExportResume {
    ExportResume {
        revision: 1,
        blocks: 3,
        bytes: 100,
        chain: Bytes::from_static(&[7; 32]),
        rows: 1,
        blobs_named: 1,
        blobs: 0,
        blob_bytes: 0,
    }
}

#[tokio::test]
async fn a_zone_is_exported_over_grpc_and_over_http() {
    let server = Server::start().await;
    server.put("/api/v2/files/a", vec![1; 100_000]).await;
    let bytes = export(&server, server.admin.clone(), vec![begin()]).await;
    assert!(bytes.unwrap().starts_with(b"NXZONE"));
    let answer = server.get("/api/v2/zone/archive").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.starts_with(b"NXZONE"));
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.nexus.zone-archive"
    );
}

#[tokio::test]
async fn only_an_administrator_exports() {
    let server = Server::start().await;
    let key = server
        .key(PrincipalKind::User, "ada", Rights::ReadWrite)
        .await;
    for parts in [vec![begin()], vec![Part::Resume(resume()), names(vec![])]] {
        let refused = export(&server, key.clone(), parts).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn an_export_that_makes_no_sense_is_refused() {
    let server = Server::start().await;
    let short = ExportResume {
        chain: Bytes::from_static(b"short"),
        ..resume()
    };
    let beyond = ExportResume {
        blobs: 2,
        ..resume()
    };
    let unknown = Bytes::from_static(&[1; 33]);
    let many = vec![unknown.clone(); 1001];
    let cases = [
        (vec![], Code::InvalidArgument),
        (vec![names(vec![])], Code::InvalidArgument),
        (vec![Part::Resume(short)], Code::InvalidArgument),
        (vec![Part::Resume(beyond)], Code::InvalidArgument),
        (vec![Part::Resume(resume()), begin()], Code::InvalidArgument),
        (
            vec![Part::Resume(resume()), names(vec![Bytes::from("name")])],
            Code::InvalidArgument,
        ),
        (
            vec![Part::Resume(resume()), names(many)],
            Code::ResourceExhausted,
        ),
        // A content that is not there has been collected; none at all is no whole archive.
        (
            vec![Part::Resume(resume()), names(vec![unknown])],
            Code::Aborted,
        ),
        (vec![Part::Resume(resume())], Code::DataLoss),
    ];
    for (n, (parts, code)) in cases.into_iter().enumerate() {
        let refused = export(&server, server.admin.clone(), parts).await;
        assert_eq!(refused.unwrap_err().code(), code, "case {n}");
    }
}
