//! Connections as a client may misuse them, byte by byte.

use std::time::Duration;

use http::StatusCode;
use nexus_server::Limits;
use nexus_service_api::{Context, KeyService, PrincipalKind, Rights};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Server;

/// A connection on which a test says what it likes.
struct Raw(TcpStream);

impl Raw {
    async fn open(server: &Server) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer's head, or the rest of what comes if there is none.
    async fn head(&mut self) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => heard.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(heard).unwrap()
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_before_the_body_has_come_makes_no_key() {
    let server = Server::start().await;
    let secret = server.key(PrincipalKind::User, "boss", Rights::Admin).await;
    let key_id = server.keys.authenticate(&secret).await.unwrap().key_id;
    let body = r#"{"name":"k","id":"thief","rights":"admin"}"#;
    let mut connection = Raw::open(&server).await;
    let head = format!(
        "POST /api/v2/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len(),
    );
    connection.say(&head).await;
    // The body is asked for after the key was found to be in force.
    assert!(connection.head().await.starts_with("HTTP/1.1 100 "));
    let system = Context::system();
    server.keys.revoke(&system, &key_id.unwrap()).await.unwrap();
    connection.say(body).await;
    let answer = connection.head().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let keys = server.keys.list(&system, 10, None).await.unwrap().keys;
    assert!(keys.iter().all(|key| key.id != "thief"));
}

/// A server that has room for two connections, and little patience.
async fn impatient() -> Server {
    let limits = Limits {
        connections_max: 2,
        silence_max: Duration::from_millis(200),
        ..Limits::default()
    };
    Server::with_limits(limits).await
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let server = impatient().await;
    for said in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost:"] {
        let mut silent = [Raw::open(&server).await, Raw::open(&server).await];
        for connection in &mut silent {
            connection.say(said).await;
        }
        let health = tokio::time::timeout(Duration::from_secs(10), server.get("/health"));
        let health = health
            .await
            .unwrap_or_else(|_| panic!("kept out by {said:?}"));
        assert_eq!(health.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = impatient().await;
    for call in [
        "PUT /api/v2/files/a",
        "POST /api/v2/mkdir",
        "POST /api/nfs/read",
    ] {
        let mut connection = Raw::open(&server).await;
        let head = format!(
            "{call} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-length: 1000000\r\n\r\n{{",
            server.admin,
        );
        connection.say(&head).await;
        let answer = tokio::time::timeout(Duration::from_secs(10), connection.head());
        let answer = answer
            .await
            .unwrap_or_else(|_| panic!("{call} still waits"));
        assert!(
            answer.contains("x-nexus-error: invalid_argument"),
            "{answer}"
        );
    }
    let absent = server.get("/api/v2/stat?path=/a").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_that_are_held_have_a_limit_together() {
    let limits = Limits {
        buffered_bytes_max: 1_000,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let mut large = Raw::open(&server).await;
    let head = format!(
        "POST /api/v2/mkdir HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: 1000\r\n\r\n",
        server.admin,
    );
    large.say(&(head + &" ".repeat(900))).await;
    let mkdir = || async {
        let body = format!("{{\"path\":\"/d\",\"exist_ok\":true}}{}", " ".repeat(200));
        let request = server.request("POST", "/api/v2/mkdir");
        server.send(request, body).await.status
    };
    let answers = async |wanted: StatusCode| while mkdir().await != wanted {};
    let patience = Duration::from_secs(10);
    let refused = answers(StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::timeout(patience, refused).await.unwrap();
    drop(large);
    let served = answers(StatusCode::OK);
    tokio::time::timeout(patience, served).await.unwrap();
}
