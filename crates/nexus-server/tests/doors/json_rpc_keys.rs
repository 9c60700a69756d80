//! Keys over JSON-RPC.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn keys_are_made_shown_once_listed_changed_and_revoked() {
    let server = Server::start().await;
    let params = json!({ "name": "k", "user_id": "bob", "expires_days": 1, "is_admin": false });
    let created = server.rpc_ok("admin_create_key", params).await;
    let secret = created["api_key"].as_str().unwrap();
    assert!(secret.starts_with("sk-"));
    assert_eq!(
        (&created["raw_key"], &created["key"]),
        (&created["api_key"], &created["api_key"])
    );
    assert_eq!(created["expires_at"]["__type__"], "datetime");
    let key = json!({ "key_id": created["key_id"] });
    let found = server.rpc_ok("admin_get_key", key.clone()).await;
    assert_eq!(
        (&found["user_id"], found.get("api_key")),
        (&json!("bob"), None)
    );
    // The client from PyPI looks for it under this name.
    assert_eq!(found["key"]["user_id"], "bob");
    let listed = server
        .rpc_ok("admin_list_keys", json!({ "user_id": "bob" }))
        .await;
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    let update = json!({ "key_id": created["key_id"], "is_admin": true, "name": "renamed" });
    let updated = server.rpc_ok("admin_update_key", update).await;
    assert_eq!(
        (&updated["is_admin"], &updated["name"]),
        (&json!(true), &json!("renamed"))
    );
    assert_eq!(
        server.rpc_ok("admin_revoke_key", key).await["success"],
        true
    );
    let listed = server
        .rpc_ok("admin_list_keys", json!({ "user_id": "bob" }))
        .await;
    assert_eq!(listed["keys"], json!([]));
    let listed = json!({ "user_id": "bob", "include_revoked": true });
    assert_eq!(
        server.rpc_ok("admin_list_keys", listed).await["keys"][0]["revoked"],
        true
    );
    for days in [json!(0), json!(-1)] {
        let params = json!({ "name": "k", "user_id": "bob", "expires_days": days });
        assert_eq!(
            server.rpc_error("admin_create_key", params).await["code"],
            -32005
        );
    }
}

#[tokio::test]
async fn keys_are_made_and_listed_in_a_zone() {
    let server = Server::start().await;
    let zone = server.get("/api/auth/whoami").await.json()["zone_id"].clone();
    // What clients from PyPI send when their user names no zone is this one.
    for zone in [&zone, &json!("default")] {
        for name in ["zone_id", "tenant_id"] {
            let params = json!({ "name": "k", "user_id": "bob", name: zone });
            server.rpc_ok("admin_create_key", params).await;
        }
    }
    for (zone, count) in [(zone, 4), (json!("default"), 4), (json!("elsewhere"), 0)] {
        for name in ["zone_id", "tenant_id"] {
            let params = json!({ "user_id": "bob", name: zone });
            let listed = server.rpc_ok("admin_list_keys", params).await;
            assert_eq!(listed["keys"].as_array().unwrap().len(), count, "{zone}");
        }
    }
    let params = json!({ "name": "k", "user_id": "bob", "tenant_id": "elsewhere" });
    let refused = server.rpc_error("admin_create_key", params).await;
    assert_eq!(refused["code"], -32005);
}

#[tokio::test]
async fn a_key_gets_the_rights_and_the_prefix_that_were_asked_for() {
    let server = Server::start().await;
    let asked = json!({
        "name": "k", "user_id": "bob", "is_admin": false, "rights": "read-only", "prefix": "/bob",
    });
    let created = server.rpc_ok("admin_create_key", asked).await;
    assert_eq!(
        (&created["rights"], &created["prefix"]),
        (&json!("read-only"), &json!("/bob"))
    );
    let raised = json!({ "key_id": created["key_id"], "rights": "read-write" });
    let raised = server.rpc_ok("admin_update_key", raised).await;
    assert_eq!(raised["rights"], "read-write");
}

#[tokio::test]
async fn a_key_that_shall_be_no_admin_loses_only_that() {
    let server = Server::start().await;
    for (before, after) in [
        ("read-only", "read-only"),
        ("read-write", "read-write"),
        ("admin", "read-write"),
    ] {
        let asked = json!({ "name": "k", "user_id": "bob", "rights": before });
        let created = server.rpc_ok("admin_create_key", asked).await;
        let update = json!({ "key_id": created["key_id"], "is_admin": false });
        let updated = server.rpc_ok("admin_update_key", update).await;
        assert_eq!(updated["rights"], after, "{before}");
    }
}

#[tokio::test]
async fn what_a_key_cannot_be_given_is_refused() {
    let server = Server::start().await;
    let asked = json!({ "name": "k", "user_id": "bob" });
    let id = server.rpc_ok("admin_create_key", asked).await["key_id"].clone();
    for (method, params, code) in [
        (
            "admin_create_key",
            json!({ "name": "k", "user_id": "bob", "path_prefix": "/bob" }),
            -32602,
        ),
        (
            "admin_update_key",
            json!({ "key_id": id, "prefix": "/bob" }),
            -32602,
        ),
        (
            "admin_create_key",
            json!({ "name": "k", "user_id": "bob", "rights": "root" }),
            -32005,
        ),
        (
            "admin_create_key",
            json!({ "name": "k", "user_id": "bob", "rights": "read-only", "is_admin": true }),
            -32005,
        ),
        (
            "admin_update_key",
            json!({ "key_id": id, "rights": "admin", "is_admin": false }),
            -32005,
        ),
    ] {
        let refused = server.rpc_error(method, params.clone()).await;
        assert_eq!(refused["code"], code, "{method} {params}");
    }
    let key = server
        .rpc_ok("admin_get_key", json!({ "key_id": id }))
        .await;
    assert_eq!(key["rights"], "read-write");
}
