//! Messages of gRPC that are larger than their call takes.

use futures::stream;
use nexus_proto::v1::admin_client::AdminClient;
use nexus_proto::v1::archive_client::ArchiveClient;
use nexus_proto::v1::compare_client::CompareClient;
use nexus_proto::v1::export_request::Part;
use nexus_proto::v1::feed_client::FeedClient;
use nexus_proto::v1::files_client::FilesClient;
use nexus_proto::v1::inodes_client::InodesClient;
use nexus_proto::v1::locks_client::LocksClient;
use nexus_proto::v1::retention_client::RetentionClient;
use nexus_proto::v1::snapshots_client::SnapshotsClient;
use nexus_proto::v1::undo_client::UndoClient;
use nexus_proto::v1::workspaces_client::WorkspacesClient;
use nexus_proto::v1::write_request::Part as WritePart;
use nexus_proto::v1::*;
use nexus_server::Limits;
use prost::Message;
use tonic::{Code, Status};

use crate::support::{Bearer, Server};

/// More than fits into a message that names a few things.
const LARGE: usize = (1 << 20) + 1;
/// Less than that, and more than any name.
const FITTING: usize = 1 << 19;

fn detail(status: &Status) -> ErrorDetail {
    let value = status.metadata().get_bin("nexus-error-bin").unwrap();
    ErrorDetail::decode(value.to_bytes().unwrap()).unwrap()
}

fn is_too_large(status: &Status) -> bool {
    let detail = detail(status);
    detail.message.starts_with("the message is larger")
}

/// Answers of one call of each service that takes names only, each with a text of so many bytes.
async fn refusals(server: &Server, bytes: usize) -> Vec<(&'static str, Status)> {
    let channel = server.channel().await;
    let text = || "x".repeat(bytes);
    let mut refusals = Vec::new();
    macro_rules! call {
        ($client:ident.$method:ident($request:expr)) => {
            let bearer = Bearer(server.admin.clone());
            let mut client = $client::with_interceptor(channel.clone(), bearer);
            let refused = client.$method($request).await.err();
            refusals.push((stringify!($client), refused.unwrap()));
        };
    }
    call!(AdminClient.get_key(GetKeyRequest { key_id: text() }));
    call!(CompareClient.lineage(LineageRequest {
        path: text(),
        ..LineageRequest::default()
    }));
    call!(FilesClient.watch(WatchRequest {
        patterns: vec![text()],
        ..WatchRequest::default()
    }));
    call!(FeedClient.get_cursor(GetCursorRequest { name: text() }));
    call!(LocksClient.inspect(InspectLockRequest { resource: text() }));
    call!(RetentionClient.remove(RemoveRetentionRequest { pattern: text() }));
    call!(SnapshotsClient.get(GetSnapshotRequest { name: text() }));
    call!(WorkspacesClient.get(WorkspaceRequest { path: text() }));
    let names = vec![text().into_bytes().into()];
    let part = Some(Part::Blobs(BlobNames { names }));
    call!(ArchiveClient.export(stream::iter([ExportRequest { part }])));
    refusals
}

/// Each service has a bound of its own, and says what was wrong in the form of its other errors.
#[tokio::test]
async fn a_message_that_is_larger_than_its_call_takes_is_refused_by_kind() {
    let server = Server::start().await;
    for (service, refused) in refusals(&server, LARGE).await {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{service}");
        assert_eq!(detail(&refused).kind, "limit_exceeded", "{service}");
        assert!(is_too_large(&refused), "{service}: {refused}");
        let reason = &detail(&refused).context[0];
        assert!(reason.value.contains("1048576"), "{service}: {reason:?}");
    }
    for (service, refused) in refusals(&server, FITTING).await {
        assert!(!is_too_large(&refused), "{service}: {refused}");
    }
    let metrics = server.get("/metrics").await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    let counted = r#"operation="Locks/Inspect",outcome="limit_exceeded"} 1"#;
    assert!(text.contains(counted), "{text}");
}

/// Calls that take more than a few names have larger bounds.
#[tokio::test]
async fn calls_with_much_to_say_have_larger_bounds() {
    let limits = Limits {
        message_bytes_max: 16 << 20,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let bearer = || Bearer(server.admin.clone());
    let mut undo = UndoClient::with_interceptor(server.channel().await, bearer());
    let mut inodes = InodesClient::with_interceptor(server.channel().await, bearer());
    let mut files = server.files().await;
    for (bytes, too_large) in [(2 << 20, false), ((8 << 20) + 1, true)] {
        let request = RestoreRequest {
            path: "x".repeat(bytes),
            ..RestoreRequest::default()
        };
        let refused = undo.restore(request).await.unwrap_err();
        assert_eq!(is_too_large(&refused), too_large, "{refused}");
    }
    for (bytes, too_large) in [(2 << 20, false), ((4 << 20) + 1, true)] {
        let request = LookupRequest {
            name: "x".repeat(bytes),
            ..LookupRequest::default()
        };
        let refused = inodes.lookup(request).await.unwrap_err();
        assert_eq!(is_too_large(&refused), too_large, "{refused}");
    }
    let piece = vec![0; (16 << 20) + 1];
    let header = WriteHeader {
        path: "/a".into(),
        options: None,
    };
    let parts = [WritePart::Header(header), WritePart::Data(piece.into())];
    let messages = parts.map(|part| WriteRequest { part: Some(part) });
    let refused = files.write(stream::iter(messages)).await.unwrap_err();
    assert!(is_too_large(&refused), "{refused}");
    assert_eq!(server.get("/api/v2/files/a").await.status, 404);
}
