//! Who may come in.

use http::StatusCode;
use nexus_service_api::{Context, KeyService, PrincipalKind, Rights};
use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn no_key_no_access_on_any_door() {
    let server = Server::start().await;
    for (method, path) in [
        ("GET", "/api/v2/stat?path=/"),
        ("GET", "/api/v2/files/a"),
        ("PUT", "/api/v2/files/a"),
        ("GET", "/api/v2/whoami"),
        ("POST", "/api/nfs/read"),
        ("GET", "/api/auth/whoami"),
    ] {
        for key in [
            None,
            Some("Bearer sk-wrong"),
            Some("Bearer"),
            Some("Basic eDp5"),
            Some("sk-x"),
        ] {
            let mut request = server.request(method, path);
            let headers = request.headers_mut().unwrap();
            headers.remove("authorization");
            headers.extend(key.map(|key| (http::header::AUTHORIZATION, key.parse().unwrap())));
            let refused = server.send(request, "").await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path} {key:?}");
            assert!(refused.json()["detail"].is_string());
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_then_on() {
    let server = Server::start().await;
    let created = json!({ "name": "k", "id": "bob", "rights": "read-only" });
    let created = server.post("/api/v2/keys", created).await.json();
    let secret = created["secret"].as_str().unwrap().to_owned();
    let ask = || {
        let mut request = server.request("GET", "/api/v2/whoami");
        let value = format!("Bearer {secret}").parse().unwrap();
        request
            .headers_mut()
            .unwrap()
            .insert("authorization", value);
        request
    };
    let whoami = server.send(ask(), "").await.json();
    assert_eq!(
        (&whoami["id"], &whoami["rights"]),
        (&json!("bob"), &json!("read-only"))
    );
    let key = format!(
        "/api/v2/keys/{}",
        created["key"]["key_id"].as_str().unwrap()
    );
    assert!(server.get(&key).await.json().get("revoked").is_none());
    let revoked = server.send(server.request("DELETE", &key), "").await;
    assert!(revoked.json()["revoked"].is_string());
    assert_eq!(
        server.send(ask(), "").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn rights_limit_what_a_key_may_do() {
    let server = Server::start().await;
    let reader = server
        .key(PrincipalKind::User, "reader", Rights::ReadOnly)
        .await;
    let as_reader = |method: &str, path: &str| {
        let mut request = server.request(method, path);
        let value = format!("Bearer {reader}").parse().unwrap();
        request
            .headers_mut()
            .unwrap()
            .insert("authorization", value);
        request
    };
    for (method, path) in [
        ("PUT", "/api/v2/files/a"),
        ("GET", "/api/v2/keys"),
        ("POST", "/api/v2/gc"),
    ] {
        let refused = server.send(as_reader(method, path), "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(refused.json()["error"]["kind"], "permission_denied");
    }
    let listed = server
        .send(as_reader("GET", "/api/v2/list?path=/"), "")
        .await;
    assert_eq!(listed.status, StatusCode::OK);
}

#[tokio::test]
async fn headers_may_say_only_what_the_key_says() {
    let server = Server::start().await;
    let agent = server
        .key(PrincipalKind::Agent, "scout", Rights::ReadWrite)
        .await;
    let ask = |secret: &str, name: &str, value: &str| {
        let mut request = server.request("GET", "/api/v2/whoami").header(name, value);
        let value = format!("Bearer {secret}").parse().unwrap();
        request
            .headers_mut()
            .unwrap()
            .insert("authorization", value);
        request
    };
    let (admin, ok, denied) = (server.admin.as_str(), StatusCode::OK, StatusCode::FORBIDDEN);
    for (secret, name, value, status) in [
        (admin, "x-nexus-zone-id", "root", ok),
        (admin, "x-tenant-id", "root", ok),
        (admin, "x-tenant-id", "", ok),
        (admin, "x-nexus-zone-id", "other", denied),
        (admin, "x-tenant-id", "other", denied),
        (&agent, "x-agent-id", "scout", ok),
        (&agent, "x-agent-id", "other", denied),
        (admin, "x-agent-id", "scout", denied),
        (admin, "x-agent-id", "admin", denied),
    ] {
        let answer = server.send(ask(secret, name, value), "").await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_change_is_recorded_with_who_made_it_in_which_session_and_request() {
    let server = Server::start().await;
    let request = server
        .request("PUT", "/api/v2/files/a")
        .header("x-nexus-session", "run-7")
        .header("x-request-id", "req-9");
    let written = server.send(request, "x").await;
    assert_eq!(written.header("x-request-id"), "req-9");
    for query in ["session=run-7", "request_id=req-9"] {
        let log = server.get(&format!("/api/v2/log?{query}")).await.json();
        let record = &log["records"][0];
        assert_eq!(record["actor"], "user:admin", "{query}");
        assert_eq!(
            (&record["session"], &record["request_id"]),
            (&json!("run-7"), &json!("req-9"))
        );
        let key = record["key_id"].as_str().unwrap();
        assert_eq!(
            server.keys.get(&Context::system(), key).await.unwrap().id,
            "admin"
        );
    }
}

#[tokio::test]
async fn keys_are_listed_and_changed_but_never_shown() {
    let server = Server::start().await;
    let created = json!({
        "name": "k", "id": "bot", "kind": "agent", "rights": "read-write", "prefix": "/bots",
        "expires": "2100-01-01T00:00:00Z",
    });
    let created = server.post("/api/v2/keys", created).await.json();
    let key = &created["key"];
    assert_eq!(
        (&key["kind"], &key["prefix"]),
        (&json!("agent"), &json!("/bots"))
    );
    let address = format!("/api/v2/keys/{}", key["key_id"].as_str().unwrap());
    let update = server.request("PATCH", &address);
    let updated = server
        .send(update, r#"{"name":"renamed","rights":"read-only"}"#)
        .await
        .json();
    assert_eq!(
        (&updated["name"], &updated["rights"]),
        (&json!("renamed"), &json!("read-only"))
    );
    assert_eq!(updated["expires"], "2100-01-01T00:00:00Z");
    let lasting = server.request("PATCH", &address);
    let lasting = server.send(lasting, r#"{"expires":null}"#).await.json();
    assert!(lasting.get("expires").is_none() && lasting["rights"] == "read-only");
    let listed = server.get("/api/v2/keys").await;
    assert_eq!(listed.json()["keys"].as_array().unwrap().len(), 2);
    let text = String::from_utf8(listed.body.to_vec()).unwrap();
    assert!(!text.contains(created["secret"].as_str().unwrap()) && !text.contains("sk-"));
    assert_eq!(
        server.get("/api/v2/keys/none").await.status,
        StatusCode::NOT_FOUND
    );
    for body in [
        json!({ "name": "k", "id": "x", "rights": "root" }),
        json!({ "name": "k", "id": "x", "rights": "admin", "kind": "system" }),
        json!({ "name": "k", "id": "x" }),
    ] {
        assert_eq!(
            server.post("/api/v2/keys", body).await.status,
            StatusCode::BAD_REQUEST
        );
    }
}
