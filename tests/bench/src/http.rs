//! What a call over HTTP costs the server in CPU time, beside a bare axum echo.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::report::{Report, time};
use crate::zone::folder;

const CALLS: usize = 20_000;

/// A server process that ends with this value.
pub(crate) struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    /// Starts the node on a data folder that it knows, and waits until it listens.
    pub(crate) fn node(binary: &Path, data: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--log", "error"]);
        Self::launch(command).with_context(|| format!("starting {}", binary.display()))
    }

    /// Starts the node on a data folder that is new; yields its admin key too.
    pub(crate) fn new_node(binary: &Path, data: &Path) -> Result<(Self, String)> {
        let mut server = Self::node(binary, data)?;
        let key = server.line_after("admin key: ")?;
        Ok((server, key))
    }

    /// This program as an axum echo.
    fn echo() -> Result<Self> {
        Self::myself("--echo")
    }

    /// This program as a bare broadcast.
    pub(crate) fn broadcast() -> Result<Self> {
        Self::myself("--broadcast")
    }

    fn myself(role: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role);
        Self::launch(command)
    }

    fn launch(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("its output")?);
        let mut server = Self {
            child,
            output,
            address: String::new(),
        };
        server.address = server.line_after("listening on http://")?;
        Ok(server)
    }

    /// The rest of the next line that begins so. What a server says is less than a pipe holds.
    fn line_after(&mut self, prefix: &str) -> Result<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.trim().to_owned());
            }
            line.clear();
        }
        bail!("it ended before it said {prefix:?}")
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, of all its threads.
    fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // Linux counts in hundredths of a second everywhere that matters.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the echo until killed.
pub(crate) async fn serve_echo() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/echo", post(|body: bytes::Bytes| async { body }));
    axum::serve(listener, app).await?;
    Ok(())
}

pub(crate) async fn run(report: &mut Report, node: &Path) -> Result<()> {
    let echo = Server::echo()?;
    let base = cpu_per_call(&echo, |_| request("POST", "/echo", "", &[7; 1024])).await?;
    let data = folder()?;
    let (server, key) = Server::new_node(node, data.path())?;
    let put = |i: usize| {
        let path = format!(
            "/api/v2/files/bench/f{}?durability=relaxed&parents=true",
            i % 500
        );
        request("PUT", &path, &key, &[7; 1024])
    };
    let get = |i: usize| {
        request(
            "GET",
            &format!("/api/v2/files/bench/f{}", i % 500),
            &key,
            b"",
        )
    };
    let head = |i: usize| {
        request(
            "HEAD",
            &format!("/api/v2/files/bench/f{}", i % 500),
            &key,
            b"",
        )
    };
    let baseline = format!("axum echo of 1 KiB {}", time(base));
    for (what, most, cpu) in [
        (
            "HTTP write 1 KiB relaxed, server CPU",
            200,
            cpu_per_call(&server, put).await?,
        ),
        (
            "HTTP read 1 KiB, server CPU",
            100,
            cpu_per_call(&server, get).await?,
        ),
        (
            "HTTP stat, server CPU",
            80,
            cpu_per_call(&server, head).await?,
        ),
    ] {
        let ratio = cpu.as_secs_f64() / base.as_secs_f64();
        let most = Duration::from_micros(most);
        report.row(
            what,
            time(cpu),
            baseline.clone(),
            Some(ratio),
            &format!("<= {}", time(most)),
            cpu <= most,
        );
    }
    Ok(())
}

async fn cpu_per_call(server: &Server, request: impl Fn(usize) -> Vec<u8>) -> Result<Duration> {
    let mut stream = TcpStream::connect(&server.address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    for i in 0..500 {
        call(&mut stream, &request(i), &mut buffer).await?;
    }
    let before = server.cpu()?;
    for i in 0..CALLS {
        call(&mut stream, &request(i), &mut buffer).await?;
    }
    Ok((server.cpu()? - before) / u32::try_from(CALLS)?)
}

pub(crate) fn request(method: &str, path: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) async fn call(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<()> {
    stream.write_all(request).await?;
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server hung up");
        }
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
    if !text.starts_with("http/1.1 2") {
        bail!("the server refused: {}", String::from_utf8_lossy(buffer));
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = if request.starts_with(b"HEAD") {
        0
    } else {
        length.unwrap_or("0").parse()?
    };
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server hung up");
        }
    }
    Ok(())
}
