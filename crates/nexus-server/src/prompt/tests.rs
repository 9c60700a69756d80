use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const WITHIN: Duration = Duration::from_secs(60);

fn connection() -> (DuplexStream, Prompt<DuplexStream>) {
    let (client, server) = duplex(1024);
    (client, Prompt::new(server, WITHIN))
}

/// Says this, byte by byte, and then nothing; tells how the other side sees that.
async fn after(said: &[u8]) -> Result<(), io::ErrorKind> {
    let (mut client, mut server) = connection();
    for byte in said {
        client.write_u8(*byte).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), *byte);
    }
    match tokio::time::timeout(2 * WITHIN, server.read_u8()).await {
        Ok(read) => Err(read.unwrap_err().kind()),
        Err(_) => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_show_a_protocol_is_cut_off() {
    for said in [&b""[..], b"P", &PREFACE[..PREFACE.len() - 1]] {
        assert_eq!(after(said).await, Err(io::ErrorKind::TimedOut));
    }
}

#[tokio::test(start_paused = true)]
async fn who_shows_a_protocol_may_be_silent_then() {
    for said in [&b"G"[..], b"PUT", PREFACE] {
        assert_eq!(after(said).await, Ok(()));
    }
}

#[tokio::test]
async fn all_that_is_said_passes() {
    let (mut client, mut server) = connection();
    let said = [PREFACE, b"more"].concat();
    client.write_all(&said).await.unwrap();
    drop(client);
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, said);
}
