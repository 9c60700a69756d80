//! The change feed: how soon an event is with who waits for it, and how many of them a node tells
//! to a hundred connections; beside a bare broadcast of the same bytes over TCP.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Server, call, request};
use crate::report::{Report, rate, time};
use crate::zone::folder;

mod broadcast;

pub(crate) use broadcast::serve as serve_broadcast;

const LATENCIES: usize = 1_000;
const SUBSCRIBERS: usize = 100;
/// Changes in a commit, and commits: 50,000 events.
const CHANGES: u32 = 100;
const COMMITS: usize = 500;
/// A connection that hears nothing for so long has lost what it waits for.
const SILENCE_MAX: Duration = Duration::from_secs(20);

const P99_MAX: Duration = Duration::from_millis(5);
const EVENTS_MIN: f64 = 10_000.0;

pub(crate) async fn run(report: &mut Report, node: &Path) -> Result<()> {
    let data = folder()?;
    let (server, key) = Server::new_node(node, data.path())?;
    let bare = Server::broadcast()?;
    latency(report, &server, &key, &bare).await?;
    fan_out(report, &server, &key, &bare).await
}

/// From before a write is sent, so what the write itself takes is in it: relaxed, since a flush
/// would drown the rest.
async fn latency(report: &mut Report, server: &Server, key: &str, bare: &Server) -> Result<()> {
    let mut events = subscribe(server, key).await?;
    let mut writer = TcpStream::connect(server.address()).await?;
    writer.set_nodelay(true)?;
    let mut answer = Vec::new();
    let mut times = Vec::new();
    for i in 0..LATENCIES {
        let path = "/api/v2/files/latency?durability=relaxed";
        let write = request("PUT", path, key, &i.to_be_bytes());
        let start = Instant::now();
        let (called, heard) = tokio::join!(
            call(&mut writer, &write, &mut answer),
            events.until_heard(1)
        );
        called?;
        times.push(heard? - start);
    }
    let base = broadcast::latencies(bare, LATENCIES).await?;
    let (p50, p99) = quantiles(times);
    let (base_p50, base_p99) = quantiles(base);
    report.judged(
        "event, from sending a relaxed write to a subscriber, p50",
        time(p50),
        format!("bare TCP broadcast {}", time(base_p50)),
        Some(p50.as_secs_f64() / base_p50.as_secs_f64()),
        "",
        None,
    );
    report.row(
        "event, from sending a relaxed write to a subscriber, p99",
        time(p99),
        format!("bare TCP broadcast {}", time(base_p99)),
        Some(p99.as_secs_f64() / base_p99.as_secs_f64()),
        &format!("<= {}", time(P99_MAX)),
        p99 <= P99_MAX,
    );
    Ok(())
}

fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn fan_out(report: &mut Report, server: &Server, key: &str, bare: &Server) -> Result<()> {
    let mut writer = TcpStream::connect(server.address()).await?;
    writer.set_nodelay(true)?;
    let mkdir = request("POST", "/api/v2/mkdir", key, br#"{"path":"/fan"}"#);
    call(&mut writer, &mkdir, &mut Vec::new()).await?;
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut events = subscribe(server, key).await?;
        subscribers.push(tokio::spawn(async move {
            let expected = COMMITS * CHANGES as usize;
            let heard = events.until_heard(expected).await;
            (heard, events)
        }));
    }
    let start = Instant::now();
    write_commits(&mut writer, key).await?;
    let (mut last, mut lost, mut bytes) = (start, 0, 0);
    for subscriber in subscribers {
        let (heard, events) = subscriber.await?;
        lost += COMMITS * CHANGES as usize - events.count.min(COMMITS * CHANGES as usize);
        bytes = events.bytes;
        match heard {
            Ok(at) => last = last.max(at),
            Err(error) if lost == 0 => return Err(error),
            Err(_) => {}
        }
    }
    let events = (COMMITS * CHANGES as usize) as f64;
    let ours = events / (last - start).as_secs_f64();
    let piece = Bytes::from(vec![7; bytes / COMMITS]);
    let base = events
        / broadcast::fan_out(bare, SUBSCRIBERS, COMMITS, piece)
            .await?
            .as_secs_f64();
    report.row(
        format!("events told to {SUBSCRIBERS} connections, lost {lost}"),
        format!(
            "{} each, {} in all",
            rate(ours),
            rate(ours * SUBSCRIBERS as f64)
        ),
        format!("bare TCP broadcast of the same bytes {} each", rate(base)),
        Some(ours / base),
        &format!(">= {} each, 0 lost", rate(EVENTS_MIN)),
        ours >= EVENTS_MIN && lost == 0,
    );
    Ok(())
}

/// One after the other, as fast as they are answered.
async fn write_commits(writer: &mut TcpStream, key: &str) -> Result<()> {
    let mut answer = Vec::new();
    for commit in 0..COMMITS {
        let steps = (0..CHANGES)
            .map(|i| format!(r#"{{"op":"write","path":"/fan/f{i}","content":"{commit}"}}"#));
        let steps = steps.collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"steps":[{steps}],"durability":"relaxed"}}"#);
        let batch = request("POST", "/api/v2/batch", key, body.as_bytes());
        call(writer, &batch, &mut answer).await?;
    }
    Ok(())
}

/// A stream of server-sent events that file writes alone come over.
async fn subscribe(server: &Server, key: &str) -> Result<Events> {
    let mut stream = TcpStream::connect(server.address()).await?;
    stream.set_nodelay(true)?;
    let ask = format!(
        "GET /api/v2/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await?;
    let mut events = Events {
        stream,
        buffer: Vec::with_capacity(1 << 20),
        last: None,
        count: 0,
        bytes: 0,
    };
    // The opening says where the stream begins.
    while memmem::find(&events.buffer, b"retry: ").is_none()
        || !events.buffer.ends_with(b"\n\n\r\n")
    {
        ensure!(
            events.stream.read_buf(&mut events.buffer).await? > 0,
            "refused"
        );
    }
    events.buffer.clear();
    Ok(events)
}

/// A connection, and what came over it.
struct Events {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The id of the last event.
    last: Option<(u64, u32)>,
    count: usize,
    bytes: usize,
}

impl Events {
    /// Reads until so many more events have come; when the last did.
    async fn until_heard(&mut self, more: usize) -> Result<Instant> {
        let until = self.count + more;
        while self.count < until {
            let read = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(SILENCE_MAX, read).await;
            let read = read.context("nothing comes any more")??;
            ensure!(read > 0, "the node hung up");
            self.bytes += read;
            self.take()?;
        }
        Ok(Instant::now())
    }

    /// Notes the events in the buffer, and leaves the line that has not come whole.
    fn take(&mut self) -> Result<()> {
        let whole = memchr::memrchr(b'\n', &self.buffer).map_or(0, |end| end + 1);
        let mut lines = std::mem::take(&mut self.buffer);
        for at in memmem::find_iter(&lines[..whole], b"id: ") {
            let line = &lines[at + 4..whole];
            let end = memchr::memchr(b'\n', line).context("a line ends")?;
            let id = std::str::from_utf8(&line[..end])?;
            // A silence is filled with an id that is no event's.
            if let Some((revision, sequence)) = id.split_once('.') {
                self.note((revision.parse()?, sequence.parse()?))?;
            }
        }
        // The room stays: a small one would be filled by many small reads.
        lines.drain(..whole);
        self.buffer = lines;
        Ok(())
    }

    /// Each change comes once, after the one before it.
    fn note(&mut self, (revision, sequence): (u64, u32)) -> Result<()> {
        let follows = match self.last {
            Some((last, before)) if last == revision => sequence == before + 1,
            Some((last, _)) => revision > last && sequence == 0,
            None => sequence == 0,
        };
        if !follows {
            bail!("{revision}.{sequence} came after {:?}", self.last);
        }
        self.last = Some((revision, sequence));
        self.count += 1;
        Ok(())
    }
}
