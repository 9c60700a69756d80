//! Locks and fences.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use nexus_proto::v1::locks_client::LocksClient;
use nexus_proto::v1::{
    AcquireLockRequest, ExtendLockRequest, ForceUnlockRequest, InspectLockRequest, LockKind,
    LockMode, ReleaseLockRequest,
};
use nexus_service_api::{PrincipalKind, Rights};
use serde_json::{Value, json};
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::support::{Answer, Bearer, Server};

const HEADER: &str = "x-nexus-fence";

async fn acquire(server: &Server, resource: &str) -> Value {
    let body = json!({ "resource": resource, "ttl_ms": 60_000 });
    let answer = server.post("/api/v2/locks", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// Writes a file with these fences.
async fn write(server: &Server, fences: &[&[u8]]) -> Answer {
    let mut request = server.request("PUT", "/api/v2/files/a");
    for fence in fences {
        let headers = request.headers_mut().unwrap();
        headers.append(HEADER, HeaderValue::from_bytes(fence).unwrap());
    }
    server.send(request, "x").await
}

async fn grpc(server: &Server) -> LocksClient<InterceptedService<Channel, Bearer>> {
    LocksClient::with_interceptor(server.channel().await, Bearer(server.admin.clone()))
}

/// Waits until so many wait for a lock.
async fn until_waiting(server: &Server, resource: &str, count: usize) {
    let wait = async {
        loop {
            let state = server
                .get(&format!("/api/v2/locks/state?resource={resource}"))
                .await;
            if state.json()["waiters"]
                .as_array()
                .is_some_and(|waiters| waiters.len() == count)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lease_is_granted_extended_shown_and_released_over_rest() {
    let server = Server::start().await;
    server.put("/a", "x").await;
    let lease = acquire(&server, "/a").await;
    assert_eq!(
        (&lease["path"], &lease["mode"]),
        (&json!("/a"), &json!("exclusive"))
    );
    assert_eq!(lease["holder"], "user:admin");
    let (resource, token) = (lease["resource"].clone(), lease["token"].clone());
    let taken = json!({ "resource": "/a", "ttl_ms": 1000 });
    let taken = server.post("/api/v2/locks", taken).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert_eq!(taken.json()["error"]["context"]["holder"], "user:admin");
    let body = json!({ "resource": resource, "token": token, "ttl_ms": 120_000 });
    let extended = server.post("/api/v2/locks/extend", body).await.json();
    assert_eq!(extended["token"], token);
    assert_ne!(extended["expires"], lease["expires"]);
    let state = server.get("/api/v2/locks/state?resource=/a").await.json();
    assert_eq!(state["leases"][0], extended);
    let list = server
        .get("/api/v2/locks?path_prefix=/a&holder=user:admin&limit=5")
        .await
        .json();
    assert_eq!(list["locks"], json!([state]));
    let body = json!({ "resource": "/a", "token": token });
    let released = server.post("/api/v2/locks/release", body.clone()).await;
    assert!(released.json()["revision"].as_u64() > token.as_u64());
    let again = server.post("/api/v2/locks/release", body).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_lease_is_granted_extended_shown_and_released_over_grpc() {
    let server = Server::start().await;
    let mut locks = grpc(&server).await;
    let ask = AcquireLockRequest {
        resource: "name:gpu".into(),
        mode: Some(LockMode {
            kind: LockKind::Counting.into(),
            permits: Some(2),
        }),
        ttl_ms: 60_000,
        ..AcquireLockRequest::default()
    };
    let lease = locks.acquire(ask.clone()).await.unwrap().into_inner();
    let extend = ExtendLockRequest {
        resource: "name:gpu".into(),
        token: lease.token,
        ttl_ms: 120_000,
        durability: 0,
    };
    let extended = locks.extend(extend).await.unwrap().into_inner();
    assert!(extended.expires_ns > lease.expires_ns);
    let inspect = InspectLockRequest {
        resource: "name:gpu".into(),
    };
    let state = locks.inspect(inspect.clone()).await.unwrap().into_inner();
    assert_eq!(state.leases, [extended]);
    let list = locks
        .list(nexus_proto::v1::ListLocksRequest::default())
        .await
        .unwrap();
    assert_eq!(list.into_inner().locks, [state]);
    let release = ReleaseLockRequest {
        resource: "name:gpu".into(),
        token: lease.token,
        durability: 0,
    };
    locks.release(release).await.unwrap();
    assert_eq!(
        locks.inspect(inspect).await.unwrap_err().code(),
        Code::NotFound
    );
    let mut wrong = ask;
    wrong.ttl_ms = 0;
    assert_eq!(
        locks.acquire(wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn force_takes_an_administrator_and_shows_in_the_log() {
    let server = Server::start().await;
    let lease = acquire(&server, "name:x").await;
    let agent = server
        .key(PrincipalKind::Agent, "ada", Rights::ReadWrite)
        .await;
    let mut locks = LocksClient::with_interceptor(server.channel().await, Bearer(agent));
    let force = ForceUnlockRequest {
        resource: "name:x".into(),
        token: None,
    };
    assert_eq!(
        locks.force_unlock(force).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let body = json!({ "resource": "name:x", "token": lease["token"] });
    let forced = server.post("/api/v2/locks/force-unlock", body).await.json();
    assert_eq!(forced["leases"][0]["token"], lease["token"]);
    let log = server
        .get("/api/v2/log?newest_first=true&limit=1")
        .await
        .json();
    let record = &log["records"][0];
    assert_eq!(
        (&record["revision"], &record["actor"]),
        (&forced["revision"], &json!("user:admin"))
    );
    let change = &record["changes"][0];
    assert_eq!(
        (&change["kind"], &change["path"]),
        (&json!("lock_force"), &json!("name:x"))
    );
    assert_eq!(
        change["lease"],
        json!({ "token": lease["token"], "holder": "user:admin" })
    );
}

/// Who is bound to a prefix is told nothing of the locks out of its sight, neither by a fence nor
/// by a release, with the keys that nodes have.
#[tokio::test]
async fn a_key_with_a_prefix_is_told_nothing_of_locks_out_of_its_sight() {
    let server = Server::start().await;
    server
        .post(
            "/api/v2/mkdir",
            json!({ "path": "/team/inner", "parents": true }),
        )
        .await;
    let (agent, rights) = (PrincipalKind::Agent, Rights::ReadWrite);
    let key = server
        .key_within(Some("/team/inner"), agent, "ada", rights)
        .await;
    let mut locks = LocksClient::with_interceptor(server.channel().await, Bearer(key.clone()));
    let bearer = HeaderValue::from_str(&format!("Bearer {key}")).unwrap();
    for resource in ["/", "/team", "name:deploy"] {
        let lease = acquire(&server, resource).await;
        let token = lease["token"].as_u64().unwrap();
        let mut request = server.request("PUT", "/api/v2/files/team/inner/x");
        let headers = request.headers_mut().unwrap();
        headers.insert("authorization", bearer.clone());
        headers.insert(HEADER, format!("{token} {resource}").parse().unwrap());
        let fenced = server.send(request, "x").await;
        assert_eq!(fenced.status, StatusCode::FORBIDDEN, "{fenced:?}");
        for token in [token, 1] {
            let body = json!({ "resource": resource, "token": token });
            let mut request = server.request("POST", "/api/v2/locks/release");
            let headers = request.headers_mut().unwrap();
            headers.insert("authorization", bearer.clone());
            let answer = server.send(request, body.to_string()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
            let context = answer.json()["error"]["context"].clone();
            assert!(
                context["holder"].is_null() && context["expires"].is_null(),
                "{context}"
            );
            let release = ReleaseLockRequest {
                resource: resource.into(),
                token,
                durability: 0,
            };
            let status = locks.release(release).await.unwrap_err();
            assert_eq!(status.code(), Code::NotFound);
            assert!(!format!("{status:?}").contains("user:admin"), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_fence_comes_with_a_request_through_every_door() {
    let server = Server::start().await;
    let lease = acquire(&server, "name:50% \u{e9}").await;
    let held = format!("{} name:50%25%20%C3%A9", lease["token"]);
    assert_eq!(
        write(&server, &[held.as_bytes()]).await.status,
        StatusCode::OK
    );
    let stale = b"1 name:never";
    let refused = write(&server, &[held.as_bytes(), stale]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["error"]["context"]["resource"], "name:never");
    let params = json!({ "path": "/a", "content": "x" });
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "write", "params": params });
    let request = server
        .request("POST", "/api/nfs/write")
        .header(HEADER, "1 name:never");
    let answer = server.send(request, body.to_string()).await.json();
    assert_eq!(answer["error"]["code"], -32006);
    let mut files = server.files().await;
    let mut mkdir = tonic::Request::new(nexus_proto::v1::MkdirRequest {
        path: "/d".into(),
        ..Default::default()
    });
    mkdir
        .metadata_mut()
        .insert(HEADER, "1 name:never".parse().unwrap());
    assert_eq!(files.mkdir(mkdir).await.unwrap_err().code(), Code::Aborted);
}

#[tokio::test]
async fn what_is_no_fence_is_refused() {
    let server = Server::start().await;
    for fence in [
        &b""[..],
        b"x name:a",
        b"1",
        b"1 nonsense",
        b"1 name:%FF",
        b"1 name:\xFF",
    ] {
        let answer = write(&server, &[fence]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    }
    let answer = write(&server, &[&b"1 name:a"[..]; 9]).await;
    assert_eq!(answer.json()["error"]["kind"], "limit_exceeded");
}

#[tokio::test]
async fn a_request_that_is_broken_off_leaves_the_queue() {
    let server = Server::start().await;
    acquire(&server, "name:x").await;
    let ask = AcquireLockRequest {
        resource: "name:x".into(),
        ttl_ms: 1000,
        wait_ms: 600_000,
        ..AcquireLockRequest::default()
    };
    let mut locks = grpc(&server).await;
    let waiting = tokio::spawn(async move { locks.acquire(ask).await });
    until_waiting(&server, "name:x", 1).await;
    waiting.abort();
    until_waiting(&server, "name:x", 0).await;
}

#[tokio::test]
async fn a_node_that_stops_lets_nobody_wait() {
    let server = Server::start().await;
    acquire(&server, "name:x").await;
    let body = json!({ "resource": "name:x", "ttl_ms": 1000, "wait_ms": 600_000 });
    let request = server.request("POST", "/api/v2/locks");
    let waiting = server.send(request, body.to_string());
    let mut waiting = Box::pin(waiting);
    tokio::select! {
        answer = &mut waiting => panic!("{answer:?}"),
        () = until_waiting(&server, "name:x", 1) => {}
    }
    server.cancel();
    assert_eq!(waiting.await.status, StatusCode::SERVICE_UNAVAILABLE);
}
