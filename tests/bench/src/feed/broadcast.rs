//! The baseline: what one connection says is passed on to all the others, and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Sender, channel};

use crate::http::Server;

/// What a connection says first.
const SUBSCRIBER: u8 = b'S';
const PUBLISHER: u8 = b'P';
/// Pieces that wait for one that is slow.
const WAITING: usize = 1024;

type Subscribers = Arc<Mutex<Vec<Sender<Bytes>>>>;

/// Serves until killed.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let subscribers = Subscribers::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(pass_on(stream, Arc::clone(&subscribers)));
    }
}

async fn pass_on(mut stream: TcpStream, subscribers: Subscribers) -> Result<()> {
    if stream.read_u8().await? == SUBSCRIBER {
        let (sender, mut pieces) = channel(WAITING);
        subscribers.lock().push(sender);
        stream.write_u8(SUBSCRIBER).await?;
        while let Some(piece) = pieces.recv().await {
            stream.write_all(&piece).await?;
        }
        return Ok(());
    }
    let mut buffer = BytesMut::with_capacity(64 << 10);
    while stream.read_buf(&mut buffer).await? > 0 {
        let piece = buffer.split().freeze();
        let all = subscribers.lock().clone();
        for subscriber in all {
            // One that is gone is told nothing more.
            let _ = subscriber.send(piece.clone()).await;
        }
        buffer.reserve(64 << 10);
    }
    Ok(())
}

async fn subscribe(server: &Server) -> Result<TcpStream> {
    let mut stream = connect(server, SUBSCRIBER).await?;
    stream.read_u8().await.context("it is noted")?;
    Ok(stream)
}

async fn connect(server: &Server, role: u8) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).await?;
    stream.set_nodelay(true)?;
    stream.write_u8(role).await?;
    Ok(stream)
}

/// How long single messages take.
pub(super) async fn latencies(server: &Server, count: usize) -> Result<Vec<Duration>> {
    let mut subscriber = subscribe(server).await?;
    let mut publisher = connect(server, PUBLISHER).await?;
    let mut message = [7; 350];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        publisher.write_all(&message).await?;
        subscriber.read_exact(&mut message).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// How long it takes until all have `count` times the piece.
pub(super) async fn fan_out(
    server: &Server,
    subscribers: usize,
    count: usize,
    piece: Bytes,
) -> Result<Duration> {
    let mut readers = Vec::new();
    for _ in 0..subscribers {
        let mut stream = subscribe(server).await?;
        let mut left = count * piece.len();
        readers.push(tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 20];
            while left > 0 {
                match stream.read(&mut buffer).await? {
                    0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                    read => left = left.saturating_sub(read),
                }
            }
            std::io::Result::Ok(Instant::now())
        }));
    }
    let mut publisher = connect(server, PUBLISHER).await?;
    let start = Instant::now();
    for _ in 0..count {
        publisher.write_all(&piece).await?;
    }
    let mut last = start;
    for reader in readers {
        last = last.max(reader.await??);
    }
    Ok(last - start)
}
