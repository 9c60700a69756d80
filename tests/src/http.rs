//! HTTP over a socket of our own, so that a test may also send what no client would.

use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::process::WAIT_MAX;

mod body;

use body::Body;

/// A node's HTTP door, with a key or without. Every request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Http {
    address: String,
    key: Option<String>,
}

impl Http {
    /// The node at `address`, asked with this key.
    #[must_use]
    pub fn new(address: &str, key: &str) -> Self {
        Self {
            address: address.to_owned(),
            key: Some(key.to_owned()),
        }
    }

    /// The same node, asked with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self::new(&self.address, key)
    }

    /// The same node, asked without a key.
    #[must_use]
    pub fn without_key(&self) -> Self {
        Self {
            key: None,
            ..self.clone()
        }
    }

    /// A request, not yet sent.
    pub fn request(&self, method: &str, target: &str) -> Request {
        let request = Request {
            address: self.address.clone(),
            head: format!("{method} {target} HTTP/1.1\r\n"),
            body: Vec::new(),
        };
        let request = request
            .header("Host", &self.address)
            .header("Connection", "close");
        match &self.key {
            Some(key) => request.header("Authorization", &format!("Bearer {key}")),
            None => request,
        }
    }

    /// Asks for something.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target).send()
    }

    /// Writes a file, making the directories it is in.
    #[track_caller]
    pub fn write(&self, path: &str, content: impl Into<Vec<u8>>) -> Answer {
        self.request("PUT", &format!("{}?parents=true", file(path)))
            .body(content)
            .send()
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> Answer {
        self.get(&file(path))
    }

    /// Posts JSON.
    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Answer {
        self.request("POST", target).json(body).send()
    }

    /// Removes a file.
    #[track_caller]
    pub fn remove(&self, path: &str) -> Answer {
        self.request("DELETE", &file(path)).send()
    }

    /// Calls a method of the JSON-RPC door; answers the whole envelope.
    #[track_caller]
    pub fn rpc(&self, method: &str, params: &Value) -> Value {
        let call =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(&format!("/api/nfs/{method}"), &call).json()
    }

    /// The newest revision of the zone.
    #[track_caller]
    pub fn revision(&self) -> u64 {
        let body = self.get("/api/v2/revision").ok().json();
        body["revision"].as_u64().expect("it is a number")
    }

    /// Sends these bytes and reads what comes back, a well-formed answer.
    #[track_caller]
    pub fn raw(&self, request: &[u8]) -> Answer {
        let answer = || {
            let mut stream = connect(&self.address)?;
            stream.write_all(request)?;
            Reply::read(stream, true)?.whole()
        };
        answer().expect(ANSWERS)
    }
}

/// A request, not yet sent.
#[derive(Debug)]
#[must_use]
pub struct Request {
    address: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to JSON.
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// Sends it and reads the whole answer.
    #[track_caller]
    pub fn send(self) -> Answer {
        self.try_send().expect(ANSWERS)
    }

    /// Sends it and reads the whole answer, from a node that may go away meanwhile.
    ///
    /// # Errors
    ///
    /// Whatever keeps the answer from coming.
    pub fn try_send(self) -> io::Result<Answer> {
        let length = self.body.len() as u64;
        let body = io::Cursor::new(self.body);
        exchange(&self.address, &self.head, length, body)?.whole()
    }

    /// Sends it and reads the answer up to its body, which may have no end.
    #[track_caller]
    pub fn open(self) -> Reply {
        let length = self.body.len() as u64;
        let body = io::Cursor::new(self.body);
        exchange(&self.address, &self.head, length, body).expect(ANSWERS)
    }

    /// Sends it with a body of `length` bytes that is made as it goes.
    #[track_caller]
    pub fn send_stream(self, length: u64, body: impl Read) -> Answer {
        let reply = exchange(&self.address, &self.head, length, body);
        reply.and_then(Reply::whole).expect(ANSWERS)
    }

    /// Sends it, announces a body of `length` bytes, sends none of that, and reads the answer.
    #[track_caller]
    pub fn announce(self, length: u64) -> Answer {
        self.send_stream(length, io::empty())
    }

    /// Sends it, and of a body of `length` bytes only what is set; then hangs up.
    #[track_caller]
    pub fn break_off(self, length: u64) {
        let head = format!("{}Content-Length: {length}\r\n\r\n", self.head);
        let sent = connect(&self.address).and_then(|mut stream| {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&self.body)
        });
        sent.expect(ANSWERS);
    }
}

const ANSWERS: &str = "the node answers";

fn exchange(address: &str, head: &str, length: u64, mut body: impl Read) -> io::Result<Reply> {
    let mut stream = connect(address)?;
    let full_head = format!("{head}Content-Length: {length}\r\n\r\n");
    stream.write_all(full_head.as_bytes())?;
    // A node that refuses a body may stop reading it, and its answer tells why.
    let _ = io::copy(&mut body, &mut stream);
    Reply::read(stream, !head.starts_with("HEAD "))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.set_write_timeout(Some(WAIT_MAX))?;
    Ok(stream)
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Reply {
    fn read(stream: TcpStream, may_have_body: bool) -> io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let first = line(&mut stream)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut headers = Vec::new();
        while let Some((name, value)) = line(&mut stream)?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let has_body = may_have_body && !matches!(status, 204 | 304);
        let body = Body::new(stream, &headers, has_body);
        Ok(Self {
            status,
            headers,
            body,
        })
    }

    /// The lines of the body, each as it comes.
    #[must_use]
    pub fn lines(self) -> Lines<BufReader<impl Read>> {
        BufReader::new(self.body).lines()
    }

    /// The body, as it comes.
    #[must_use]
    pub fn into_body(self) -> impl Read {
        self.body
    }

    fn whole(mut self) -> io::Result<Answer> {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body)?;
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body,
        })
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// Itself, having succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text()
        );
        self
    }

    /// The value of a header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} is no JSON: {error}", self.text()))
    }

    /// The body as one JSON value a line.
    #[track_caller]
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let value = |line| serde_json::from_str(line).expect("every line is JSON");
        text.lines().map(value).collect()
    }
}

/// The address of a file, with everything in its path encoded that has to be.
#[must_use]
pub fn file(path: &str) -> String {
    format!("/api/v2/files{}", encode(path))
}

/// Text as it stands in an address.
#[must_use]
pub fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
